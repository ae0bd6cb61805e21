//! Batches as JSON lines to any writer: standard output, a socket, a file.
//!
//! ```text
//! {"ts":"2026-01-15T10:19:59.001Z","labels":{"app":"web"},"msg":"text","meta":{"pid":"12"}}
//! ```
//! The same form as in a capture: `raw` holds the exact bytes, in base64, of a line that is not UTF-8.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use logtap_loki::{Batch, Pairs, push_escaped, push_object};

use crate::sink::{PushError, Sink};

/// Writes JSON lines.
#[derive(Debug)]
pub struct JsonLines<W> {
    to: W,
    buffer: Vec<u8>,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `to`.
    pub fn new(to: W) -> Self {
        Self { to, buffer: Vec::new() }
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn push(&mut self, batch: &Batch) -> Result<(), PushError> {
        self.buffer.clear();
        render(batch, &mut self.buffer);
        let written = self.to.write_all(&self.buffer).and_then(|()| self.to.flush());
        // A part may have been written: whoever reads standard output has no numbers to tell by.
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => {
                PushError::Refused { reason: "nobody reads the output any more".to_owned() }
            }
            _ => PushError::Retry { reason: format!("failed to write: {error}"), after: None },
        })
    }
}

/// Appends the lines of a batch.
pub(crate) fn render(batch: &Batch, out: &mut Vec<u8>) {
    for entry in &batch.entries {
        out.extend_from_slice(b"{\"ts\":\"");
        push_time(out, entry.timestamp);
        out.push(b'"');
        if let Some(labels) = batch.streams.get(entry.stream as usize) {
            push_pairs(out, "labels", labels);
        }
        out.extend_from_slice(b",\"msg\":\"");
        let line = batch.line(entry);
        let text = String::from_utf8_lossy(line);
        push_escaped(out, &text);
        out.push(b'"');
        if let Some(metadata) = batch.metadata.get(entry.metadata as usize) {
            push_pairs(out, "meta", metadata);
        }
        if matches!(text, std::borrow::Cow::Owned(_)) {
            out.extend_from_slice(b",\"raw\":\"");
            out.extend_from_slice(STANDARD.encode(line).as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b"}\n");
    }
}

fn push_time(out: &mut Vec<u8>, nanoseconds: i64) {
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default();
    // Writing to memory cannot fail.
    write!(out, "{time}").unwrap_or_default();
}

fn push_pairs(out: &mut Vec<u8>, name: &str, pairs: &Pairs) {
    if pairs.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    push_object(out, pairs);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Pairs {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn batch() -> Batch {
        let mut batch = Batch::new();
        batch.streams.push(pairs(&[("app", "we\"b")]));
        batch.metadata.push(pairs(&[("pid", "12")]));
        batch.push(0, 1_705_313_999_001_000_000, 0, b"one \"two\"");
        batch.push(0, 1_705_313_999_000_000_001, 1, b"\xff!");
        batch
    }

    #[test]
    fn lines_are_as_in_a_capture() {
        let mut out = Vec::new();
        let mut sink = JsonLines::new(&mut out);
        sink.push(&batch()).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"ts":"2024-01-15T10:19:59.001Z","labels":{"app":"we\"b"},"msg":"one \"two\""}"#,
                "\n",
                r#"{"ts":"2024-01-15T10:19:59.000000001Z","labels":{"app":"we\"b"},"msg":""#,
                "\u{fffd}",
                r#"!","meta":{"pid":"12"},"raw":"/yE="}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_reader_that_is_gone_takes_nothing_more() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert!(matches!(JsonLines::new(Gone).push(&batch()), Err(PushError::Refused { .. })));
    }
}
