//! Passwords in URLs, and in what databases take for one.

use super::Pattern;
use super::bytes::{Found, at, before, run_end, run_start, step};
use super::placeholders::is_nothing;

/// A password with a slash in it is no longer than this.
const LONGEST_WITH_SLASH: usize = 256;

/// The password of a URL, from behind its `://`.
pub(super) fn url(line: &[u8], from: usize) -> Option<Found> {
    let end = run_end(line, from, |byte| !ends_url(byte) && !matches!(byte, b'/' | b'?' | b'#'));
    let authority = line.get(from..end)?;
    let found = match memchr::memrchr(b'@', authority) {
        Some(at_sign) => password(line, from, from + at_sign)?,
        None => with_slash(line, from, end)?,
    };
    Some(found)
}

fn ends_url(byte: u8) -> bool {
    byte <= b' ' || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`')
}

/// `user:password` between two places.
fn password(line: &[u8], from: usize, at_sign: usize) -> Option<Found> {
    step(at_sign - from);
    let start = from + memchr::memchr(b':', line.get(from..at_sign)?)? + 1;
    let password = line.get(start..at_sign)?;
    let is_one = !password.is_empty() && !is_nothing(password);
    is_one.then_some(Found { start, end: at_sign, pattern: Pattern::UrlPassword })
}

/// The same with a `/`, `?` or `#` in the password: what stands behind the first colon is no port then.
fn with_slash(line: &[u8], from: usize, slash: usize) -> Option<Found> {
    if !matches!(at(line, slash), b'/' | b'?' | b'#') {
        return None;
    }
    let colon = from + memchr::memchr(b':', line.get(from..slash)?)?;
    if colon == from || line.get(colon + 1..slash)?.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let near = line.get(..line.len().min(slash + LONGEST_WITH_SLASH))?;
    let end = run_end(near, slash, |byte| !ends_url(byte) && byte != b'@');
    let is_host = at(line, end) == b'@'
        && (at(line, end + 1).is_ascii_alphanumeric() || at(line, end + 1) == b'[');
    if is_host && !super::bytes::is_at(line, slash, b"//") {
        password(line, from, end)
    } else {
        None
    }
}

/// `jdbc:oracle:thin:user/password@host`, from behind the second colon.
pub(super) fn oracle(line: &[u8], from: usize) -> Option<Found> {
    const LONGEST: usize = 128;
    let near = line.get(..line.len().min(from + LONGEST))?;
    let slash = run_end(near, from, |byte| byte.is_ascii_alphanumeric() || b"_$#-".contains(&byte));
    let end = run_end(near, slash + 1, |byte| !ends_url(byte) && byte != b'@');
    let is_one =
        slash > from && at(line, slash) == b'/' && at(line, end) == b'@' && end > slash + 1;
    is_one.then_some(Found { start: slash + 1, end, pattern: Pattern::UrlPassword })
}

/// Base64 of `user:password` behind `Basic `, which is at a place.
pub(super) fn basic(line: &[u8], word: usize, length: usize) -> Option<Found> {
    let is_word = !before(line, word).is_ascii_alphanumeric();
    let start = word + length;
    let end = run_end(line, start, is_base64);
    (is_word && is_user_password(line.get(start..end)?)).then_some(Found {
        start,
        end,
        pattern: Pattern::Secret,
    })
}

pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte)
}

/// Whether a text is base64 of a user's name, a colon and a password.
pub(super) fn is_user_password(text: &[u8]) -> bool {
    const SHORTEST: usize = 6;
    step(text.len());
    let (mut bits, mut count, mut colon, mut length) = (0_u32, 0, None, 0);
    let end = run_start(text, text.len(), 0, |byte| byte == b'=');
    for &byte in text.get(..end).unwrap_or_default() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return false,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            let decoded = (bits >> count) as u8;
            if decoded < b' ' || decoded == 0x7F {
                return false;
            }
            if decoded == b':' && colon.is_none() {
                colon = Some(length);
            }
            length += 1;
        }
    }
    end >= SHORTEST && colon.is_some_and(|place| place + 1 < length)
}
