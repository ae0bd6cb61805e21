//! Which bytes of a write a full queue takes: whole lines. A policy of its inputs alone.
//!
//! A line that was begun may use room that no other line may, so that it can be ended. Where even that is not enough
//! what follows is left out until a line's end, which goes to the target as the end of the cut line.

/// The last taken byte ended a line.
const AT_START: u8 = 0;
/// A line was begun and taken.
const INSIDE: u8 = 1;
/// A line was begun and left out: the rest of it is left out too.
const SKIPPING: u8 = 2;
/// A line was begun and taken, and then something was left out: its next end is taken.
const BROKEN: u8 = 3;

/// How a write looks: where its first line end is, where its last is, and how long it is.
pub(super) trait Bytes {
    fn length(&self) -> usize;
    /// The first line end at or after a byte.
    fn line_end(&self, from: usize) -> Option<usize>;
    fn ends_line(&self) -> bool;
}

/// Decides about one write. `put(from, length, may use the reserve)` tries to take a range. Returns the new state and
/// how many bytes were taken.
pub(super) fn take(
    state: u8,
    bytes: &impl Bytes,
    mut put: impl FnMut(usize, usize, bool) -> bool,
) -> (u8, usize) {
    let length = bytes.length();
    let after = if bytes.ends_line() { AT_START } else { INSIDE };
    let from = match (state, bytes.line_end(0)) {
        (AT_START | INSIDE, _) => 0,
        (state, None) => return (state, 0),
        (SKIPPING, Some(end)) => end + 1,
        (_, Some(end)) => end,
    };
    if from == length {
        return (AT_START, 0);
    }
    if put(from, length - from, false) {
        return (after, length - from);
    }
    let left_out = if bytes.ends_line() { AT_START } else { SKIPPING };
    if matches!(state, AT_START | SKIPPING) {
        return (left_out, 0);
    }
    // The line that was begun is ended, and the rest left out.
    let end = bytes.line_end(from).map_or(length, |end| end + 1);
    if put(from, end - from, true) {
        let state = if end < length { left_out } else { after };
        return (state, end - from);
    }
    (BROKEN, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Bytes for &[u8] {
        fn length(&self) -> usize {
            self.len()
        }

        fn line_end(&self, from: usize) -> Option<usize> {
            Some(from + self.get(from..)?.iter().position(|&byte| byte == b'\n')?)
        }

        fn ends_line(&self) -> bool {
            self.last() == Some(&b'\n')
        }
    }

    /// Runs writes against a queue that takes those of which `plan` says so: room, reserve, none.
    fn run(writes: &[&str], plan: &str) -> String {
        let (mut state, mut out) = (AT_START, String::new());
        for (write, room) in writes.iter().zip(plan.chars()) {
            let (next, taken) = take(state, &write.as_bytes(), |from, length, reserve| {
                let fits = room == 'y' || room == 'r' && reserve;
                if fits {
                    out.push_str(&write[from..from + length]);
                }
                fits
            });
            assert!(taken <= write.len());
            state = next;
        }
        out
    }

    #[test]
    fn lines_are_taken_or_left_out_whole() {
        assert_eq!(run(&["a\n", "b\n", "c\n"], "yny"), "a\nc\n");
        assert_eq!(run(&["a", "b\n", "c\n"], "nyy"), "c\n", "the rest of a line that was left out");
        assert_eq!(run(&["a", "b\nc\nd", "e\nf\n"], "yry"), "ab\nf\n", "ended with the reserve");
        assert_eq!(run(&["a", "b", "c\nd\n"], "yny"), "a\nd\n", "cut, and ended where it ends");
        assert_eq!(run(&["a", "b\n", "c\n", "d\n"], "ynny"), "a\n", "one end is enough");
        assert_eq!(run(&["a\nb", "c\n"], "ny"), "");
    }

    #[test]
    fn whatever_has_room_every_line_that_comes_out_went_in_or_is_the_head_of_one() {
        // All plans of up to six writes, cut at every odd place.
        let text = "alpha\nbeta\ngamma\ndelta\n";
        let lines: Vec<&str> = text.lines().collect();
        for size in 1..9 {
            let writes: Vec<&str> = text
                .as_bytes()
                .chunks(size)
                .map(|chunk| std::str::from_utf8(chunk).unwrap_or(""))
                .collect();
            for plan in 0..3_u32.pow(6) {
                let plan: String = (0..writes.len() as u32)
                    .map(|turn| ['y', 'r', 'n'][(plan / 3_u32.pow(turn % 6) % 3) as usize])
                    .collect();
                let out = run(&writes, &plan);
                for line in out.lines() {
                    assert!(
                        lines.iter().any(|known| known.starts_with(line)),
                        "`{line}` with {plan} of {size}"
                    );
                }
            }
        }
    }
}
