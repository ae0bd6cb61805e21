//! Small questions about the bytes of a line, which all recognisers ask.

/// What a recogniser found: a place in the line, and which pattern it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) pattern: super::Pattern,
}

/// Counts bytes that are looked at, for the test that holds the work to be linear. Nothing where no test is built.
#[inline(always)]
pub(super) fn step(_bytes: usize) {
    #[cfg(test)]
    steps::add(_bytes);
}

/// Where a text is first found.
pub(super) fn find(line: &[u8], text: &[u8]) -> Option<usize> {
    let found = memchr::memmem::find(line, text);
    step(found.map_or(line.len(), |place| place + text.len()));
    found
}

/// Where a text is last found.
pub(super) fn rfind(line: &[u8], text: &[u8]) -> Option<usize> {
    let found = memchr::memmem::rfind(line, text);
    step(line.len() - found.unwrap_or(0));
    found
}

/// The byte at a place; 0 outside of the line.
#[inline]
pub(super) fn at(line: &[u8], place: usize) -> u8 {
    step(1);
    line.get(place).copied().unwrap_or(0)
}

/// The byte before a place; 0 at the start of the line.
#[inline]
pub(super) fn before(line: &[u8], place: usize) -> u8 {
    place.checked_sub(1).map_or(0, |place| at(line, place))
}

/// The end of the run of bytes of a kind that begins at a place.
#[inline]
pub(super) fn run_end(line: &[u8], start: usize, is: impl Fn(u8) -> bool) -> usize {
    let rest = line.get(start..).unwrap_or_default();
    let end = rest.iter().position(|&byte| !is(byte)).map_or(line.len(), |length| start + length);
    step((end + 1).saturating_sub(start));
    end
}

/// The start of the run of bytes of a kind that ends before a place, not before `floor`.
#[inline]
pub(super) fn run_start(line: &[u8], end: usize, floor: usize, is: impl Fn(u8) -> bool) -> usize {
    let behind = line.get(floor..end).unwrap_or_default();
    let start = behind.iter().rposition(|&byte| !is(byte)).map_or(floor, |place| floor + place + 1);
    step((end + 1).saturating_sub(start));
    start
}

/// Whether a line goes on at a place with a text.
#[inline]
pub(super) fn is_at(line: &[u8], place: usize, text: &[u8]) -> bool {
    step(1);
    line.get(place..).is_some_and(|rest| rest.starts_with(text))
}

/// The same whatever the letters' case.
pub(super) fn is_at_any_case(line: &[u8], place: usize, text: &[u8]) -> bool {
    step(1);
    line.get(place..place + text.len()).is_some_and(|here| here.eq_ignore_ascii_case(text))
}

/// Letters, digits and the underscore.
#[inline]
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// How many bytes recognizers have looked at.
#[cfg(test)]
pub(super) mod steps {
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn add(bytes: usize) {
        STEPS.with(|steps| steps.set(steps.get() + bytes));
    }

    /// The steps of a piece of work.
    pub(in super::super) fn of(work: impl FnOnce()) -> usize {
        STEPS.with(|steps| steps.set(0));
        work();
        STEPS.with(Cell::get)
    }
}
