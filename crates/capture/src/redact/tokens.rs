//! What services hand out: tokens with a prefix, JSON web tokens, bearer tokens.

use super::Pattern;
use super::bytes::{Found, at, before, is_at, is_at_any_case, is_word, run_end};

/// Which bytes a token is made of.
pub(super) type Bytes = fn(u8) -> bool;

pub(super) const BASE64_URL: Bytes =
    |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
/// What a bearer token is made of (RFC 6750).
const TOKEN_68: Bytes = |byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);

/// A token behind its prefix, which is from `start` to `from`.
pub(super) fn token(
    line: &[u8],
    start: usize,
    from: usize,
    is: Bytes,
    least: usize,
    most: usize,
) -> Option<Found> {
    if before(line, start).is_ascii_alphanumeric() {
        return None;
    }
    // No further than to see that it is too long.
    let line = line.get(..line.len().min(from + most + 1))?;
    let end = run_end(line, from, is);
    let length = end - from;
    // Names of things are words; tokens have digits, or small and capital letters, or are of capital letters alone.
    let token = line.get(from..end)?;
    let has = |is: fn(&u8) -> bool| token.iter().any(is);
    let is_token = has(u8::is_ascii_digit)
        || has(u8::is_ascii_uppercase) && (has(u8::is_ascii_lowercase) || least == most);
    (is_token && (least..=most).contains(&length)).then_some(Found {
        start,
        end,
        pattern: Pattern::ApiKey,
    })
}

/// Header, claims and signature; the signature may be empty. Before `ruled_out` there is none: the run of letters
/// that goes on there was looked at, from another place.
pub(super) fn jwt(line: &[u8], start: usize, ruled_out: &mut usize) -> Option<Found> {
    if start < *ruled_out || before(line, start).is_ascii_alphanumeric() {
        return None;
    }
    let header = run_end(line, start, BASE64_URL);
    *ruled_out = header;
    if at(line, header) != b'.' {
        return None;
    }
    if !is_at(line, header, b".eyJ") {
        return encrypted(line, start, header);
    }
    let claims = run_end(line, header + 1, BASE64_URL);
    if at(line, claims) != b'.' {
        return None;
    }
    let mut end = run_end(line, claims + 1, BASE64_URL);
    if end == claims + 1 {
        // A full stop at the end of a sentence is none of the token.
        end = claims;
    }
    Some(Found { start, end, pattern: Pattern::Jwt })
}

/// An encrypted token: header, key (which may be empty), vector, text and tag.
fn encrypted(line: &[u8], start: usize, header: usize) -> Option<Found> {
    const SHORTEST: usize = 16;
    let mut ends = [header; 5];
    for part in 1..ends.len() {
        let from = ends.get(part - 1)? + 1;
        let end = run_end(line, from, BASE64_URL);
        let is_last = part == ends.len() - 1;
        if end - from < SHORTEST && part != 1 || !is_last && at(line, end) != b'.' {
            return None;
        }
        *ends.get_mut(part)? = end;
    }
    let is_header = header - start >= 20;
    is_header.then_some(Found { start, end: ends[4], pattern: Pattern::Jwt })
}

/// `Bearer TOKEN`, with `Authorization:` before it if that is there.
pub(super) fn bearer(line: &[u8], start: usize, floor: usize) -> Option<Found> {
    if !is_at_any_case(line, start, b"bearer") || is_word(before(line, start)) {
        return None;
    }
    let blanks = start + b"bearer".len();
    let from = run_end(line, blanks, |byte| matches!(byte, b' ' | b'\t'));
    if from == blanks {
        return None;
    }
    let mut end = run_end(line, from, TOKEN_68);
    // A full stop or comma at the end of a sentence is none of the token.
    while end > from && before(line, end) == b'.' {
        end -= 1;
    }
    if end == from {
        return None;
    }
    let header = header_start(line, start, floor);
    let token = line.get(from..end)?;
    // A name has one capital letter at most, at its start.
    let is_word = token.iter().skip(1).all(u8::is_ascii_lowercase) && token.len() < 24
        || token.iter().all(|&byte| byte.is_ascii_lowercase() || b"-._".contains(&byte))
            && (token.len() < 24 || !token.iter().all(u8::is_ascii_lowercase));
    if header.is_none() && (token.len() < 8 || is_word) {
        return None;
    }
    Some(Found { start: header.unwrap_or(start), end, pattern: Pattern::Bearer })
}

/// Where `Authorization:` begins that ends before a place.
fn header_start(line: &[u8], place: usize, floor: usize) -> Option<usize> {
    let blank = |byte: u8| matches!(byte, b' ' | b'\t');
    let colon = super::bytes::run_start(line, place, floor, blank).checked_sub(1)?;
    let start = colon.checked_sub(b"authorization".len())?;
    (start >= floor && at(line, colon) == b':' && is_at_any_case(line, start, b"authorization"))
        .then_some(start)
}
