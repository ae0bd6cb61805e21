//! Which lines are taken with the one that they continue: keeps the streams whose last line of its own was taken.
//!
//! A stream, the lines with the same labels, may be interleaved with others; one that is not heard of for
//! [`MAX_APART`] lines is let go, so that a search goes on at its full speed.

use std::borrow::Cow;

use logtap_capture::continuation::{Context, Step, begin, may_continue, names_level, step};
use logtap_capture::encode::push_object;
use logtap_capture::{Line, LineSlices};

/// Lines of others between a line and one that continues it.
pub(crate) const MAX_APART: u32 = 64;
/// Streams that are kept at a time.
const MAX_STREAMS: usize = 32;

/// What of a line tells whether it continues another.
pub(crate) struct Parts<'a> {
    stream: Cow<'a, [u8]>,
    message: Cow<'a, [u8]>,
    /// The message has escapes still.
    escaped: Option<LineSlices<'a>>,
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
            let behind = slices.message.as_ptr_range().end as usize - line.as_ptr() as usize;
            return Some(Self {
                stream: Cow::Borrowed(slices.labels),
                message: Cow::Borrowed(slices.message),
                escaped: slices.escaped.then_some(*slices),
                metadata: Cow::Borrowed(line.get(behind..).unwrap_or_default()),
            });
        }
        let Some(parsed) = Line::parse(line) else {
            let is_line = is_finished && !line.iter().all(u8::is_ascii_whitespace);
            return is_line.then_some(Self {
                stream: Cow::default(),
                message: Cow::Borrowed(line),
                escaped: None,
                metadata: Cow::default(),
            });
        };
        if parsed.is_phantom() {
            return None;
        }
        let (mut stream, mut metadata) = (Vec::new(), Vec::new());
        push_object(&mut stream, &parsed.labels);
        push_object(&mut metadata, &parsed.metadata);
        Some(Self {
            stream: Cow::Owned(stream),
            message: Cow::Owned(parsed.message.into_owned().into_bytes()),
            escaped: None,
            metadata: Cow::Owned(metadata),
        })
    }

    fn text(&self) -> Cow<'_, [u8]> {
        let mut room = Vec::new();
        match self.escaped.as_ref().map(|slices| slices.text(&mut room).is_some()) {
            Some(true) => Cow::Owned(room),
            Some(false) | None => Cow::Borrowed(&self.message),
        }
    }

    fn step(&self, before: Context) -> Step {
        if !may_continue(&self.message, before) {
            // Neither blanks nor escapes are at its front.
            return Step::Begins(begin(&self.message));
        }
        let text = self.text();
        step(&text, before, || names_level(&self.metadata, &text))
    }

    /// Whether it looks like a line that continues another, whatever its stream is inside of.
    pub(crate) fn looks_like_continuation(&self) -> bool {
        matches!(self.step(Context::default()), Step::Continues(_))
    }
}

/// The streams whose last line of its own was taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    /// Closed ones too: their memory is used again.
    streams: Vec<Stream>,
    /// Lines that were looked at.
    now: u32,
    /// When the last of them is let go.
    until: u32,
}

#[derive(Clone, Debug)]
struct Stream {
    labels: Vec<u8>,
    /// Where it is, while it is open.
    context: Option<Context>,
    /// When its last line was.
    seen: u32,
}

impl Groups {
    /// Whether no line can continue one that was taken.
    pub(crate) const fn is_empty(&self) -> bool {
        self.now >= self.until
    }

    /// Whether a line continues one that was taken. One that begins something of its own ends what was open.
    pub(crate) fn take(&mut self, line: &Parts<'_>) -> bool {
        self.now += 1;
        let now = self.now;
        let found = self.streams.iter_mut().find(|stream| stream.labels == *line.stream);
        let Some(stream) = found else { return false };
        let Some(context) = stream.context.filter(|_| now - stream.seen <= MAX_APART + 1) else {
            return false;
        };
        match line.step(context) {
            Step::Continues(context) => {
                (stream.context, stream.seen) = (Some(context), now);
                self.until = now + MAX_APART + 1;
                true
            }
            Step::Begins(_) => {
                stream.context = None;
                if self.streams.iter().all(|stream| stream.context.is_none()) {
                    self.until = now;
                }
                false
            }
        }
    }

    /// Opens the stream of a line that was taken for itself, if it begins something.
    pub(crate) fn open(&mut self, line: &Parts<'_>) {
        let Step::Begins(context) = line.step(Context::default()) else { return };
        if self.now > u32::MAX / 2 {
            *self = Self::default();
        }
        self.put(&line.stream, context, self.now);
    }

    fn put(&mut self, labels: &[u8], context: Context, seen: u32) {
        self.until = self.until.max(seen + MAX_APART + 1);
        let context = Some(context);
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.labels == labels) {
            (stream.context, stream.seen) = (context, seen);
            return;
        }
        if self.streams.len() < MAX_STREAMS {
            return self.streams.push(Stream { labels: labels.to_vec(), context, seen });
        }
        // In place of the one that was not heard of for the longest time.
        if let Some(stream) = self.streams.iter_mut().min_by_key(|stream| stream.seen) {
            stream.labels.clear();
            stream.labels.extend_from_slice(labels);
            (stream.context, stream.seen) = (context, seen);
        }
    }

    /// With what is open elsewhere, whose last lines are newer.
    pub(crate) fn add(&mut self, other: &Self) {
        for stream in &other.streams {
            let apart = other.now - stream.seen;
            if let Some(context) = stream.context
                && apart <= MAX_APART
            {
                // The time here begins anew, far enough from nothing.
                self.now = self.now.max(MAX_APART + 1);
                self.put(&stream.labels, context, self.now - apart);
            }
        }
    }
}
