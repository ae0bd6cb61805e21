//! Looks at what is encoded in a line: percent-encoded, with the escapes of JSON (also of JSON inside JSON inside JSON) or
//! with those of programming languages. What is found in the decoded text is mapped back to where it came from.
//!
//! ```text
//! line      {"m":"{\"mail\":\"bob\u0040example.com\"}"}
//! layer 1   {"m":"{"mail":"bob@example.com"}"}
//! ```
//! It decodes no base64, and a line without a backslash or a percent sign costs one search for them.

use std::ops::Range;

use super::bytes::{Found, at, step};
use super::scan::Scanner;

/// More layers than this are not taken off.
const LAYERS: usize = 4;
/// So much is decoded at a time, so that a long line takes no more memory.
const CHUNK: usize = 64 << 10;
/// What chunks have in common: longer than what can be found by far.
const OVERLAP: usize = 4 << 10;

/// Whether a line holds what begins an escape.
#[inline]
pub(super) fn may_be_encoded(line: &[u8]) -> bool {
    let found = memchr::memchr2(b'\\', b'%', line);
    step(found.unwrap_or(line.len()));
    found.is_some()
}

/// Calls `emit` for everything that is found below the surface of a line, in order and without overlaps.
pub(super) fn scan(scanner: &Scanner, line: &[u8], mut emit: impl FnMut(Found)) {
    let mut found = Vec::new();
    let (mut start, mut written) = (0, 0);
    loop {
        let end = line.len().min(start + CHUNK);
        let is_last = end == line.len();
        let chunk = line.get(start..end).unwrap_or_default();
        found.clear();
        scan_chunk(scanner, chunk, &mut found);
        let next = end - if is_last { 0 } else { OVERLAP };
        for found in merged(&mut found) {
            let begin = (start + found.start).max(written);
            let end = start + found.end;
            if begin < end && (is_last || start + found.start < next) {
                emit(Found { start: begin, end, pattern: found.pattern });
                written = end;
            }
        }
        if is_last {
            return;
        }
        start = next;
    }
}

fn scan_chunk(scanner: &Scanner, chunk: &[u8], found: &mut Vec<Found>) {
    let mut layers: Vec<Layer> = Vec::new();
    for _ in 0..LAYERS {
        let text = layers.last().map_or(chunk, |layer| layer.text.as_slice());
        let Some(layer) = Layer::below(text) else { return };
        layers.push(layer);
        let Some(layer) = layers.last() else { return };
        scanner.scan(&layer.text, |Found { start, end, pattern }| {
            let place = layers.iter().rev().fold(start..end, |place, layer| layer.origin(place));
            found.push(Found { start: place.start, end: place.end, pattern });
        });
    }
}

/// What overlaps becomes one, under the name of the first.
fn merged(found: &mut [Found]) -> impl Iterator<Item = Found> {
    found.sort_unstable_by_key(|found| (found.start, std::cmp::Reverse(found.end)));
    let mut rest = found.iter().copied().peekable();
    std::iter::from_fn(move || {
        let mut first = rest.next()?;
        while let Some(next) = rest.next_if(|next| next.start < first.end) {
            first.end = first.end.max(next.end);
        }
        Some(first)
    })
}

/// A text with its outermost escapes taken off.
struct Layer {
    text: Vec<u8>,
    /// Where a run begins: here, and in the text that it was decoded from.
    runs: Vec<(u32, u32)>,
}

impl Layer {
    /// `None` if there is nothing to decode.
    fn below(text: &[u8]) -> Option<Self> {
        let mut layer = Self { text: Vec::new(), runs: Vec::new() };
        let (mut place, mut copied) = (0, 0);
        while let Some(next) = memchr::memchr2(b'\\', b'%', text.get(place..)?) {
            let escape = place + next;
            step(next + 1);
            let Some((character, length)) = decode(text, escape) else {
                place = escape + 1;
                continue;
            };
            layer.copy(text, copied..escape);
            layer.run(escape);
            let mut bytes = [0; 4];
            match character {
                Decoded::Byte(byte) => layer.text.push(byte),
                Decoded::Character(character) => {
                    layer.text.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
                }
            }
            place = escape + length;
            copied = place;
        }
        if copied == 0 {
            return None;
        }
        layer.copy(text, copied..text.len());
        layer.run(text.len());
        Some(layer)
    }

    fn copy(&mut self, text: &[u8], run: Range<usize>) {
        if !run.is_empty() {
            self.run(run.start);
            self.text.extend_from_slice(text.get(run).unwrap_or_default());
        }
    }

    fn run(&mut self, origin: usize) {
        self.runs.push((self.text.len() as u32, origin as u32));
    }

    /// Where a place of this text came from.
    fn origin(&self, place: Range<usize>) -> Range<usize> {
        let origin = |place: usize| {
            let run = self.runs.partition_point(|&(here, _)| here as usize <= place);
            let (here, origin) =
                run.checked_sub(1).and_then(|run| self.runs.get(run)).unwrap_or(&(0, 0));
            *origin as usize + place - *here as usize
        };
        origin(place.start)..origin(place.end)
    }
}

enum Decoded {
    Byte(u8),
    Character(char),
}

/// What an escape that begins at a place stands for, and its length.
fn decode(text: &[u8], place: usize) -> Option<(Decoded, usize)> {
    let byte = |byte, length| Some((Decoded::Byte(byte), length));
    if at(text, place) == b'%' {
        return byte(hexadecimal(text, place + 1, 2)? as u8, 3);
    }
    match at(text, place + 1) {
        quoted @ (b'"' | b'\'' | b'\\' | b'/') => byte(quoted, 2),
        b'n' | b'r' => byte(b'\n', 2),
        b't' => byte(b'\t', 2),
        b'x' => byte(hexadecimal(text, place + 2, 2)? as u8, 4),
        b'u' => {
            let unit = hexadecimal(text, place + 2, 4)?;
            let is_pair = (0xD800..0xDC00).contains(&unit)
                && at(text, place + 6) == b'\\'
                && at(text, place + 7) == b'u';
            let low = if is_pair { hexadecimal(text, place + 8, 4) } else { None };
            match low.filter(|low| (0xDC00..0xE000).contains(low)) {
                Some(low) => {
                    let code = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                    Some((Decoded::Character(char::from_u32(code)?), 12))
                }
                None => Some((Decoded::Character(char::from_u32(unit).unwrap_or('?')), 6)),
            }
        }
        _ => None,
    }
}

fn hexadecimal(text: &[u8], from: usize, digits: usize) -> Option<u32> {
    step(digits);
    text.get(from..from + digits)?
        .iter()
        .try_fold(0, |value, &byte| Some(value * 16 + char::from(byte).to_digit(16)?))
}
