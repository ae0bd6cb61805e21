//! Loki's protobuf push, without a generated type: lines are copied once, from the body to the batch.
//!
//! ```text
//! PushRequest { repeated Stream streams = 1 }
//! Stream      { string labels = 1; repeated Entry entries = 2 }
//! Entry       { Timestamp timestamp = 1; bytes line = 2; repeated Pair metadata = 3 }
//! Timestamp   { int64 seconds = 1; int32 nanos = 2 }        Pair { string name = 1; value = 2 }
//! ```
//! Unknown fields are passed over beside those that are known; a stream or an entry that has only
//! unknown ones is kept as a line. A known field of another kind is refused. `line` is called a string
//! there; here any bytes survive.

use std::collections::HashMap;

use crate::batch::{Batch, Entry, Labels, Pairs};
use crate::decoded::{DecodeOptions, Decoded, INVALID, check_set, sorted};
use crate::error::DecodeError;
use crate::labels::{parse_labels, print_labels};

const NANOS: i64 = 1_000_000_000;
const LENGTH: u64 = 2;

/// Appends a batch as a push; its entries grouped by stream, in order within each.
pub fn encode_push(batch: &Batch, out: &mut Vec<u8>) {
    let metadata: Vec<Vec<u8>> = batch.metadata.iter().map(encode_metadata).collect();
    let metadata_of =
        |entry: &Entry| metadata.get(entry.metadata as usize).map_or(&[][..], Vec::as_slice);
    let mut order: Vec<&Entry> = batch.entries.iter().collect();
    order.sort_by_key(|entry| entry.stream);
    let mut text = String::new();
    for group in order.chunk_by(|a, b| a.stream == b.stream) {
        let stream = group.first().map_or(0, |entry| entry.stream);
        text.clear();
        let none = Labels::new();
        print_labels(batch.streams.get(stream as usize).unwrap_or(&none), &mut text);
        let entry_size = |entry: &Entry| {
            let line = entry.length as usize;
            let line = if line == 0 { 0 } else { 1 + varint_size(line as u64) + line };
            2 + time_size(entry.timestamp) + line + metadata_of(entry).len()
        };
        let entries: usize = group
            .iter()
            .map(|entry| {
                let size = entry_size(entry);
                1 + varint_size(size as u64) + size
            })
            .sum();
        push_tag(out, 1);
        push_varint(out, (1 + varint_size(text.len() as u64) + text.len() + entries) as u64);
        push_bytes(out, 1, text.as_bytes());
        for entry in group {
            push_tag(out, 2);
            push_varint(out, entry_size(entry) as u64);
            push_tag(out, 1);
            push_time(out, entry.timestamp);
            if entry.length > 0 {
                push_bytes(out, 2, batch.line(entry));
            }
            out.extend_from_slice(metadata_of(entry));
        }
    }
}

fn encode_metadata(pairs: &Pairs) -> Vec<u8> {
    let mut out = Vec::new();
    let mut pair = Vec::new();
    for (name, value) in pairs {
        pair.clear();
        push_bytes(&mut pair, 1, name.as_bytes());
        push_bytes(&mut pair, 2, value.as_bytes());
        push_bytes(&mut out, 3, &pair);
    }
    out
}

fn push_tag(out: &mut Vec<u8>, field: u8) {
    out.push(field << 3 | LENGTH as u8);
}

fn push_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    push_tag(out, field);
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_size(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn time_size(timestamp: i64) -> usize {
    let field = |value: u64| if value == 0 { 0 } else { 1 + varint_size(value) };
    field(timestamp.div_euclid(NANOS) as u64) + field(timestamp.rem_euclid(NANOS) as u64)
}

fn push_time(out: &mut Vec<u8>, timestamp: i64) {
    // Never more than 16 bytes, so its length takes one.
    out.push(time_size(timestamp) as u8);
    let fields = [(1 << 3, timestamp.div_euclid(NANOS)), (2 << 3, timestamp.rem_euclid(NANOS))];
    for (tag, value) in fields {
        if value != 0 {
            out.push(tag);
            push_varint(out, value as u64);
        }
    }
}

/// Takes a push apart. Decompress it first.
pub fn decode_push(body: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    if u32::try_from(body.len()).is_err() {
        let limit = u64::from(u32::MAX);
        return Err(DecodeError::TooLarge { size: body.len() as u64, limit });
    }
    let mut decoder = Decoder {
        start: body.as_ptr().addr(),
        options,
        out: Decoded::new(),
        streams: HashMap::new(),
        metadata: HashMap::new(),
        kept_texts: HashMap::new(),
    };
    decoder.out.batch.text.reserve_exact(body.len());
    let mut fields = Fields::of(body);
    while let Some((field, value)) = fields.next(decoder.start)? {
        match (field, value) {
            (1, Value::Bytes(stream)) => decoder.stream(stream)?,
            (1, _) => return Err(fields.unexpected(decoder.start)),
            _ => {}
        }
    }
    Ok(decoder.out.finish(options))
}

struct Decoder<'a> {
    start: usize,
    options: &'a DecodeOptions,
    out: Decoded,
    /// Label text to stream, so that equal labels are parsed once.
    streams: HashMap<&'a [u8], Parsed>,
    /// Encoded metadata to its index.
    metadata: HashMap<&'a [u8], u32>,
    /// A stream of invalid labels and metadata, to that metadata with the labels' text.
    kept_texts: HashMap<(u32, u32), u32>,
}

/// Labels that were seen.
#[derive(Clone, Copy)]
struct Parsed {
    stream: u32,
    /// Whether the text is no label set.
    invalid: bool,
}

impl<'a> Decoder<'a> {
    fn stream(&mut self, body: &'a [u8]) -> Result<(), DecodeError> {
        self.out.streams += 1;
        // The labels come first by custom, but nothing says that they must.
        let mut labels: &[u8] = b"{}";
        let mut fields = Fields::of(body);
        while let Some((field, value)) = fields.next(self.start)? {
            match (field, value) {
                (1, Value::Bytes(text)) => {
                    labels = text;
                    if fields.rest.first() == Some(&(2 << 3 | LENGTH as u8)) {
                        break;
                    }
                }
                _ => continue,
            }
        }
        let parsed = self.labels(labels)?;
        let (before, mut has_more) = (self.out.batch.entries.len(), false);
        let mut fields = Fields::of(body);
        while let Some((field, value)) = fields.next(self.start)? {
            match (field, value) {
                (2, Value::Bytes(entry)) => self.entry(entry, parsed, labels)?,
                (1, Value::Bytes(_)) => {}
                (1 | 2, _) => return Err(fields.unexpected(self.start)),
                (_, Value::Bytes(_)) => has_more = true,
                _ => {}
            }
        }
        if self.out.batch.entries.len() == before {
            if has_more && !self.options.strict {
                // Its lines are in another field.
                let set = if parsed.invalid { self.with_text(parsed.stream, 0, labels) } else { 0 };
                self.keep_whole(body, parsed.stream, self.options.now, set)?;
            } else {
                self.out.empty_streams += 1;
            }
        }
        // A stream without entries is kept too.
        self.out.check_weight(self.options)
    }

    /// Keeps a message as a line, because it has something in the place of what it should have.
    fn keep_whole(
        &mut self,
        body: &[u8],
        stream: u32,
        time: i64,
        set: u32,
    ) -> Result<(), DecodeError> {
        let stream = self.out.invalid_stream(stream, "entry");
        self.out.invalid += 1;
        self.out.push(self.options, (stream, time, set), body)
    }

    fn labels(&mut self, text: &'a [u8]) -> Result<Parsed, DecodeError> {
        if let Some(known) = self.streams.get(text) {
            return Ok(*known);
        }
        check_set(text, b'=', self.options)?;
        let labels = match std::str::from_utf8(text).map(parse_labels) {
            Ok(Ok(labels)) => Some(labels),
            Ok(Err(error)) if self.options.strict => {
                return Err(DecodeError::Refused(error.as_loki_says(text)));
            }
            Err(_) if self.options.strict => {
                let text = "couldn't parse labels: 1:1: parse error: invalid UTF-8";
                return Err(DecodeError::Refused(text.to_owned()));
            }
            _ => None,
        };
        let invalid = labels.is_none();
        let labels = labels.unwrap_or_else(|| vec![(INVALID.to_owned(), "labels".to_owned())]);
        let parsed = Parsed { stream: self.out.new_stream(labels), invalid };
        self.streams.insert(text, parsed);
        Ok(parsed)
    }

    /// The metadata with the text of labels that are none.
    fn with_text(&mut self, stream: u32, set: u32, text: &[u8]) -> u32 {
        if let Some(known) = self.kept_texts.get(&(stream, set)) {
            return *known;
        }
        let kept = self.out.metadata_with(set, "labels", &String::from_utf8_lossy(text));
        self.kept_texts.insert((stream, set), kept);
        kept
    }

    fn entry(&mut self, body: &'a [u8], labels: Parsed, text: &[u8]) -> Result<(), DecodeError> {
        let (mut time, mut line) = (None, &b""[..]);
        // From the first to behind the last metadata field: the key under which it is remembered.
        let mut metadata: Option<(usize, usize)> = None;
        let (mut has_line, mut has_more) = (false, false);
        let mut fields = Fields::of(body);
        loop {
            let before = body.len() - fields.rest.len();
            let Some((field, value)) = fields.next(self.start)? else { break };
            match (field, value) {
                (1, Value::Bytes(value)) => time = self.time(value)?,
                (2, Value::Bytes(value)) => (line, has_line) = (value, true),
                (3, Value::Bytes(_)) => {
                    let first = metadata.map_or(before, |(first, _)| first);
                    metadata = Some((first, body.len() - fields.rest.len()));
                }
                (1..=3, _) => return Err(fields.unexpected(self.start)),
                (5.., Value::Bytes(_)) => has_more = true,
                _ => {}
            }
        }
        let mut set = match metadata.and_then(|(first, end)| body.get(first..end)) {
            Some(pairs) => self.metadata(pairs)?,
            None => 0,
        };
        let mut stream = labels.stream;
        if labels.invalid {
            set = self.with_text(stream, set, text);
        }
        if has_more && !has_line && !self.options.strict {
            return self.keep_whole(body, stream, time.unwrap_or(self.options.now), set);
        }
        if time.is_none() {
            if self.options.strict {
                return Err(DecodeError::Refused("timestamp is out of range".to_owned()));
            }
            stream = self.out.invalid_stream(stream, "timestamp");
        }
        self.out.invalid += u64::from(labels.invalid || time.is_none());
        self.out.push(self.options, (stream, time.unwrap_or(self.options.now), set), line)
    }

    fn time(&self, body: &[u8]) -> Result<Option<i64>, DecodeError> {
        let (mut seconds, mut nanos) = (0, 0);
        let mut fields = Fields::of(body);
        while let Some((field, value)) = fields.next(self.start)? {
            match (field, value) {
                (1, Value::Number(value)) => seconds = value as i64,
                (2, Value::Number(value)) => nanos = value as i64,
                (1 | 2, _) => return Err(fields.unexpected(self.start)),
                _ => {}
            }
        }
        let in_range = (0..NANOS).contains(&nanos);
        Ok(seconds.checked_mul(NANOS).and_then(|time| time.checked_add(nanos)).filter(|_| in_range))
    }

    fn metadata(&mut self, body: &'a [u8]) -> Result<u32, DecodeError> {
        if let Some(known) = self.metadata.get(body) {
            return Ok(*known);
        }
        // Each pair begins with the number of its field.
        check_set(body, 3 << 3 | LENGTH as u8, self.options)?;
        let mut pairs = Pairs::new();
        let mut fields = Fields::of(body);
        while let Some((field, value)) = fields.next(self.start)? {
            let (3, Value::Bytes(pair)) = (field, value) else { continue };
            let (mut name, mut text) = (&b""[..], &b""[..]);
            let mut fields = Fields::of(pair);
            while let Some((field, value)) = fields.next(self.start)? {
                match (field, value) {
                    (1, Value::Bytes(value)) => name = value,
                    (2, Value::Bytes(value)) => text = value,
                    (1 | 2, _) => return Err(fields.unexpected(self.start)),
                    _ => {}
                }
            }
            let owned = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            pairs.push((owned(name), owned(text)));
        }
        let index = self.out.metadata(sorted(pairs));
        self.metadata.insert(body, index);
        Ok(index)
    }
}

/// The fields of a message.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

/// What a field holds.
pub(crate) enum Value<'a> {
    /// A number of any length.
    Number(u64),
    /// Text, bytes or a message.
    Bytes(&'a [u8]),
    /// A number of four or eight bytes.
    Fixed(u64),
}

impl<'a> Fields<'a> {
    pub(crate) fn of(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// The next field; `start` is where the whole body lies, to say where it is wrong.
    #[inline]
    pub(crate) fn next(&mut self, start: usize) -> Result<Option<(u64, Value<'a>)>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let position = self.rest.as_ptr().addr().wrapping_sub(start);
        let error = |reason| DecodeError::Protobuf { position, reason };
        let tag = self.varint().ok_or(error("broken field number"))?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint().ok_or(error("broken number"))?),
            1 => self.fixed(8).ok_or(error("message cut short"))?,
            LENGTH => {
                let length = self.varint().ok_or(error("broken length"))?;
                Value::Bytes(self.bytes(length).ok_or(error("message cut short"))?)
            }
            5 => self.fixed(4).ok_or(error("message cut short"))?,
            _ => return Err(error("unknown kind of field")),
        };
        match tag >> 3 {
            0 => Err(error("field number 0")),
            field => Ok(Some((field, value))),
        }
    }

    /// That the field before this place is of another kind than its number says.
    pub(crate) fn unexpected(&self, start: usize) -> DecodeError {
        let position = self.rest.as_ptr().addr().wrapping_sub(start);
        DecodeError::Protobuf { position, reason: "field of an unexpected kind" }
    }

    fn fixed(&mut self, length: u64) -> Option<Value<'a>> {
        let bytes = self.bytes(length)?;
        let mut eight = [0; 8];
        eight.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Value::Fixed(u64::from_le_bytes(eight)))
    }

    fn bytes(&mut self, length: u64) -> Option<&'a [u8]> {
        let length = usize::try_from(length).ok()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    #[inline]
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
            if byte < 0x80 {
                self.rest = self.rest.get(index + 1..)?;
                return Some(value);
            }
        }
        None
    }
}
