//! Which lines are taken with the one that they continue: keeps the streams whose last line of its own was taken.
//!
//! A stream, the lines with the same labels, may be interleaved with others; one that is not heard of for
//! [`MAX_APART`] lines is let go, so that a search goes on at its full speed.

use std::borrow::Cow;

use logtap_capture::continuation::{Context, Step, names_level, step};
use logtap_capture::encode::push_object;
use logtap_capture::{Line, LineSlices};

/// Lines of others between a line and one that continues it.
pub(crate) const MAX_APART: u32 = 64;
/// Streams that are kept at a time.
const MAX_OPEN: usize = 64;

/// What of a line tells whether it continues another.
pub(crate) struct Parts<'a> {
    stream: Cow<'a, [u8]>,
    message: Cow<'a, [u8]>,
    metadata: Cow<'a, [u8]>,
}

impl<'a> Parts<'a> {
    /// Those of a line, with what was found of it already. Nothing where it is no line, or not finished.
    pub(crate) fn of(
        line: &'a [u8],
        slices: Option<&LineSlices<'a>>,
        is_finished: bool,
    ) -> Option<Self> {
        if let Some(slices) = slices {
            let message = match slices.escaped {
                false => Cow::Borrowed(slices.message),
                true => {
                    let mut room = Vec::new();
                    slices.text(&mut room)?;
                    Cow::Owned(room)
                }
            };
            let behind = slices.message.as_ptr_range().end as usize - line.as_ptr() as usize;
            let metadata = line.get(behind..).unwrap_or_default();
            let stream = Cow::Borrowed(slices.labels);
            return Some(Self { stream, message, metadata: Cow::Borrowed(metadata) });
        }
        let Some(parsed) = Line::parse(line) else {
            let is_line = is_finished && !line.iter().all(u8::is_ascii_whitespace);
            return is_line.then_some(Self {
                stream: Cow::default(),
                message: Cow::Borrowed(line),
                metadata: Cow::default(),
            });
        };
        if parsed.is_phantom() {
            return None;
        }
        let (mut stream, mut metadata) = (Vec::new(), Vec::new());
        push_object(&mut stream, &parsed.labels);
        push_object(&mut metadata, &parsed.metadata);
        let message = parsed.message.into_owned().into_bytes();
        Some(Self {
            stream: Cow::Owned(stream),
            message: Cow::Owned(message),
            metadata: Cow::Owned(metadata),
        })
    }

    fn step(&self, before: Context) -> Step {
        step(&self.message, before, || names_level(&self.metadata, &self.message))
    }

    /// Whether it looks like a line that continues another, whatever its stream is inside of.
    pub(crate) fn looks_like_continuation(&self) -> bool {
        matches!(self.step(Context::default()), Step::Continues(_))
    }
}

/// The streams whose last line of its own was taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    streams: Vec<Open>,
}

#[derive(Clone, Debug)]
struct Open {
    stream: Vec<u8>,
    context: Context,
    /// Lines of others since its last one.
    apart: u32,
}

impl Groups {
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Whether a line continues one that was taken. One that begins something of its own ends what was open.
    pub(crate) fn take(&mut self, line: &Parts<'_>) -> bool {
        let found = self.streams.iter().position(|open| open.stream == *line.stream);
        let Some(place) = found else {
            self.pass();
            return false;
        };
        if let Some(open) = self.streams.get_mut(place)
            && let Step::Continues(context) = line.step(open.context)
        {
            (open.context, open.apart) = (context, 0);
            return true;
        }
        self.streams.swap_remove(place);
        self.pass();
        false
    }

    /// A line of another stream.
    fn pass(&mut self) {
        for open in &mut self.streams {
            open.apart += 1;
        }
        self.streams.retain(|open| open.apart <= MAX_APART);
    }

    /// Opens the stream of a line that was taken for itself, if it begins something.
    pub(crate) fn open(&mut self, line: &Parts<'_>) {
        if let Step::Begins(context) = line.step(Context::default())
            && self.streams.len() < MAX_OPEN
        {
            self.streams.push(Open { stream: line.stream.to_vec(), context, apart: 0 });
        }
    }

    /// With what is open elsewhere.
    pub(crate) fn add(&mut self, other: Self) {
        for open in other.streams {
            if self.streams.len() < MAX_OPEN
                && !self.streams.iter().any(|known| known.stream == open.stream)
            {
                self.streams.push(open);
            }
        }
    }
}
