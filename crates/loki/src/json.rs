//! Loki's JSON push, version 1.
//!
//! ```text
//! {"streams":[{"stream":{"app":"web"},"values":[["<nanoseconds>","line",{"trace":"1"}], ...]}, ...]}
//! ```
//! Unknown keys and anything after the object are passed over. Label values that are no strings become
//! their text. JSON cannot carry bytes that are not UTF-8: encoding puts U+FFFD in their place, while
//! decoding takes them as they come.

mod scanner;

use std::collections::HashMap;

use self::scanner::{Scanner, unescape};
use crate::batch::{Batch, Entry, Pairs};
use crate::decoded::{DecodeOptions, Decoded, set};
use crate::error::DecodeError;
use crate::escape::{push_escaped, push_unescaped};

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

/// Takes a push apart. Decompress it first.
pub fn decode_push_json(body: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    if u32::try_from(body.len()).is_err() {
        let limit = u64::from(u32::MAX);
        return Err(DecodeError::TooLarge { size: body.len() as u64, limit });
    }
    let mut scanner = Scanner::new(body);
    if scanner.peek().is_none() {
        return Err(DecodeError::Empty);
    }
    let mut decoder = Decoder {
        options,
        out: Decoded::new(),
        streams: HashMap::new(),
        metadata: HashMap::new(),
        line: Vec::new(),
    };
    decoder.out.batch.text.reserve(body.len());
    scanner.object(|scanner, name| match name {
        b"streams" => scanner.array(|scanner| decoder.stream(scanner)),
        _ => scanner.value().map(drop),
    })?;
    Ok(decoder.out.finish(options))
}

struct Decoder<'a> {
    options: &'a DecodeOptions,
    out: Decoded,
    /// Text of a labels object to stream: some senders make a stream of each line.
    streams: HashMap<&'a [u8], u32>,
    /// Text of a metadata object to its index.
    metadata: HashMap<&'a [u8], u32>,
    line: Vec<u8>,
}

impl<'a> Decoder<'a> {
    fn stream(&mut self, scanner: &mut Scanner<'a>) -> Result<(), DecodeError> {
        let (mut labels, mut values) = (None, None);
        scanner.object(|scanner, name| {
            scanner.peek();
            match name {
                b"stream" => labels = Some((scanner.position(), scanner.value()?)),
                b"values" => values = Some((scanner.position(), scanner.value()?)),
                _ => drop(scanner.value()?),
            }
            Ok(())
        })?;
        self.out.streams += 1;
        let stream = match labels {
            Some((position, text)) => self.labels(text).map_err(|error| shift(error, position))?,
            None => self.labels(b"{}")?,
        };
        let Some((position, values)) = values else { return Ok(()) };
        Scanner::new(values)
            .array(|scanner| self.entry(scanner, stream))
            .map_err(|error| shift(error, position))
    }

    fn labels(&mut self, text: &'a [u8]) -> Result<u32, DecodeError> {
        if let Some(known) = self.streams.get(text) {
            return Ok(*known);
        }
        let mut labels = pairs(text)?;
        labels.retain(|(_, value)| !value.is_empty());
        self.out.batch.streams.push(labels);
        let stream = (self.out.batch.streams.len() - 1) as u32;
        self.streams.insert(text, stream);
        Ok(stream)
    }

    fn entry(&mut self, scanner: &mut Scanner<'a>, stream: u32) -> Result<(), DecodeError> {
        match scanner.peek() {
            Some(b'n') => return scanner.value().map(drop),
            Some(b'[') => {}
            _ => {
                let text = scanner.value()?;
                let stream = self.out.invalid_stream(stream, "entry");
                self.out.invalid += 1;
                self.out.batch.push(stream, self.options.now, 0, text);
                return Ok(());
            }
        }
        let (mut time, mut metadata, mut is_line) = (&b""[..], 0, true);
        self.line.clear();
        let mut index = 0;
        scanner.array(|scanner| {
            let value = scanner.value()?;
            match (index, value.first()) {
                (0, _) => time = value,
                (1, Some(b'"')) => {
                    push_unescaped(&mut self.line, inside(value))
                        .ok_or_else(|| scanner.error("broken escape"))?;
                }
                (1, _) => {
                    self.line.extend_from_slice(value);
                    is_line = false;
                }
                (2, Some(b'{')) => {
                    metadata = match self.metadata.get(value) {
                        Some(known) => *known,
                        None => {
                            let known = self.out.metadata(pairs(value)?);
                            self.metadata.insert(value, known);
                            known
                        }
                    };
                }
                _ => {}
            }
            index += 1;
            Ok(())
        })?;
        let parsed = parse_time(time);
        let mut stream = stream;
        if parsed.is_none() {
            let text = String::from_utf8_lossy(inside(time)).into_owned();
            metadata = self.out.metadata_with(metadata, "timestamp", &text);
            stream = self.out.invalid_stream(stream, "timestamp");
        } else if !is_line {
            stream = self.out.invalid_stream(stream, "entry");
        }
        self.out.invalid += u64::from(parsed.is_none() || !is_line);
        self.out.batch.push(stream, parsed.unwrap_or(self.options.now), metadata, &self.line);
        Ok(())
    }
}

/// A time as text or as a number, both in nanoseconds.
fn parse_time(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(inside(value)).ok()?.trim().parse().ok()
}

/// What is between the quotes of a string; any other value as it is.
fn inside(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

/// An object as names and values. Values that are no strings become their text; the last one of a
/// name counts.
fn pairs(object: &[u8]) -> Result<Pairs, DecodeError> {
    let mut pairs = Pairs::new();
    Scanner::new(object).object(|scanner, name| {
        let name = unescape(name, scanner.position())?;
        let value = scanner.value()?;
        let value = match value.first() {
            Some(b'"') => unescape(inside(value), scanner.position())?,
            _ => value.to_vec(),
        };
        set(&mut pairs, &String::from_utf8_lossy(&name), &String::from_utf8_lossy(&value));
        Ok(())
    })?;
    Ok(pairs)
}

/// The same error, counted from where the text began that it is about.
fn shift(error: DecodeError, by: usize) -> DecodeError {
    match error {
        DecodeError::Json { position, reason } => {
            DecodeError::Json { position: position + by, reason }
        }
        other => other,
    }
}
