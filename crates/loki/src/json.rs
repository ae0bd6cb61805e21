//! Loki's JSON pushes: the current form, which is written and read, and the older one, which is read.
//!
//! JSON cannot carry bytes that are not UTF-8: encoding puts U+FFFD in their place, while decoding
//! takes them as they come.

mod decoder;
pub(crate) mod objects;
mod scanner;

pub use self::decoder::decode_push_json;
use crate::batch::{Batch, Entry, Pairs};
use crate::escape::push_escaped;

/// A text without the byte order mark that some senders put in front.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Appends a batch as a push; its entries grouped by stream, in order within each.
pub fn encode_push_json(batch: &Batch, out: &mut Vec<u8>) {
    let mut order: Vec<&Entry> = batch.entries.iter().collect();
    order.sort_by_key(|entry| entry.stream);
    let none = Pairs::new();
    out.extend_from_slice(b"{\"streams\":[");
    for (index, group) in order.chunk_by(|a, b| a.stream == b.stream).enumerate() {
        let stream = group.first().map_or(0, |entry| entry.stream);
        out.extend_from_slice(if index > 0 { b",{\"stream\":" } else { b"{\"stream\":" });
        push_object(out, batch.streams.get(stream as usize).unwrap_or(&none));
        out.extend_from_slice(b",\"values\":[");
        for (index, entry) in group.iter().enumerate() {
            out.extend_from_slice(if index > 0 { b",[\"" } else { b"[\"" });
            out.extend_from_slice(entry.timestamp.to_string().as_bytes());
            out.extend_from_slice(b"\",\"");
            push_escaped(out, &String::from_utf8_lossy(batch.line(entry)));
            out.push(b'"');
            match batch.metadata.get(entry.metadata as usize) {
                Some(metadata) if !metadata.is_empty() => {
                    out.push(b',');
                    push_object(out, metadata);
                }
                _ => {}
            }
            out.push(b']');
        }
        out.extend_from_slice(b"]}");
    }
    out.extend_from_slice(b"]}");
}

/// Appends the pairs as a JSON object of strings.
pub fn push_object(out: &mut Vec<u8>, pairs: &Pairs) {
    out.push(b'{');
    for (index, (name, value)) in pairs.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",\"" } else { b"\"" });
        push_escaped(out, name);
        out.extend_from_slice(b"\":\"");
        push_escaped(out, value);
        out.push(b'"');
    }
    out.push(b'}');
}
