//! Turns a batch into the lines of a segment.
//!
//! ```text
//! {"ts":"2024-01-15T10:19:59.001Z","labels":{"app":"web"},"msg":"text"}
//!      and after msg, only where there is something to say:
//!      ,"meta":{"pid":"12"}              structured metadata
//!      ,"raw":"/w=="                     the exact bytes, in base64, of a line that is not UTF-8
//!      ,"batch":{"source":"...","first":1,"last":6}  on the first line of a batch of several lines, or that has an
//!      origin (else without a source): what it says is stored as a whole or not at all; always last
//! ```
//! Labels, metadata and the current second are rendered once and copied for each line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use logtap_loki::{Batch, Entry, Origin, push_escaped};

use crate::timestamp::Clockface;

/// Renders the lines of one batch after the other, keeping its memory.
#[derive(Debug, Default)]
pub struct LineEncoder {
    clock: Clockface,
    labels: Rendered,
    metadata: Rendered,
}

/// Several rendered texts in one buffer.
#[derive(Debug, Default)]
struct Rendered {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Rendered {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn get(&self, index: u32) -> &[u8] {
        let index = index as usize;
        let start = match index.checked_sub(1) {
            None => 0,
            Some(before) => self.ends.get(before).copied().unwrap_or(usize::MAX),
        };
        let end = self.ends.get(index).copied().unwrap_or(0);
        self.text.get(start..end).unwrap_or_default()
    }
}

impl LineEncoder {
    /// Prepares for the lines of a batch: renders its labels and metadata.
    pub fn begin(&mut self, batch: &Batch) {
        self.labels.clear();
        for labels in &batch.streams {
            if !labels.is_empty() {
                self.labels.text.extend_from_slice(b",\"labels\":");
                push_object(&mut self.labels.text, labels);
            }
            self.labels.ends.push(self.labels.text.len());
        }
        self.metadata.clear();
        for metadata in &batch.metadata {
            if !metadata.is_empty() {
                self.metadata.text.extend_from_slice(b",\"meta\":");
                push_object(&mut self.metadata.text, metadata);
            }
            self.metadata.ends.push(self.metadata.text.len());
        }
    }

    /// Appends one line; `mark` says that a batch begins with it, of no source where that is empty.
    #[inline]
    pub fn line(&mut self, out: &mut Vec<u8>, batch: &Batch, entry: &Entry, mark: Option<&Origin>) {
        out.extend_from_slice(b"{\"ts\":\"");
        self.clock.render(entry.timestamp, out);
        out.push(b'"');
        out.extend_from_slice(self.labels.get(entry.stream));
        out.extend_from_slice(b",\"msg\":\"");
        let line = batch.line(entry);
        match std::str::from_utf8(line) {
            Ok(text) => {
                push_escaped(out, text);
                out.push(b'"');
                out.extend_from_slice(self.metadata.get(entry.metadata));
            }
            Err(_) => {
                push_escaped(out, &String::from_utf8_lossy(line));
                out.push(b'"');
                out.extend_from_slice(self.metadata.get(entry.metadata));
                out.extend_from_slice(b",\"raw\":\"");
                out.extend_from_slice(STANDARD.encode(line).as_bytes());
                out.push(b'"');
            }
        }
        if let Some(origin) = mark {
            out.extend_from_slice(b",\"batch\":{");
            if !origin.source.is_empty() {
                out.extend_from_slice(b"\"source\":\"");
                push_escaped(out, &origin.source);
                out.extend_from_slice(b"\",");
            }
            let numbers = format!("\"first\":{},\"last\":{}}}", origin.first, origin.last);
            out.extend_from_slice(numbers.as_bytes());
        }
        out.extend_from_slice(b"}\n");
    }
}

/// Appends names and values as an object.
pub fn push_object<Text: AsRef<str>>(out: &mut Vec<u8>, pairs: &[(Text, Text)]) {
    out.push(b'{');
    for (index, (name, value)) in pairs.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",\"" } else { b"\"" });
        push_escaped(out, name.as_ref());
        out.extend_from_slice(b"\":\"");
        push_escaped(out, value.as_ref());
        out.push(b'"');
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &[u8], mark: Option<&Origin>) -> String {
        let mut batch = Batch::new();
        batch.streams.push(vec![("app".into(), "w\"eb".into())]);
        batch.streams.push(Vec::new());
        batch.metadata.push(vec![("pid".into(), "12".into())]);
        batch.push(0, 1_705_313_999_001_000_000, 1, line);
        let mut encoder = LineEncoder::default();
        encoder.begin(&batch);
        let mut out = Vec::new();
        encoder.line(&mut out, &batch, &batch.entries[0], mark);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_looks_as_documented() {
        assert_eq!(
            one(b"say \"hi\"\tnow", None),
            "{\"ts\":\"2024-01-15T10:19:59.001Z\",\"labels\":{\"app\":\"w\\\"eb\"},\
             \"msg\":\"say \\\"hi\\\"\\tnow\",\"meta\":{\"pid\":\"12\"}}\n"
        );
        let origin = Origin { source: "ab".into(), first: 3, last: 4 };
        assert_eq!(
            one(b"\xff", Some(&origin)),
            "{\"ts\":\"2024-01-15T10:19:59.001Z\",\"labels\":{\"app\":\"w\\\"eb\"},\
             \"msg\":\"\u{fffd}\",\"meta\":{\"pid\":\"12\"},\"raw\":\"/w==\",\
             \"batch\":{\"source\":\"ab\",\"first\":3,\"last\":4}}\n"
        );
    }
}
