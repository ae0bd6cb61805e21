//! Where a value ends: with its quote, its list, its call, its line, or what separates it from the next key.
//!
//! It does not ask whether the value is a secret.

use super::bytes::{at, before, is_at, is_word, run_end};
use super::names::LONGEST_NAME;

/// The words of a passphrase, and how long they are together.
pub(super) const LONGEST_PHRASE: usize = 256;
/// The arguments of a call are no longer than this.
const LONGEST_CALL: usize = 128;

/// The bytes of a name.
pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// The quote that a value begins with: how many backslashes stand before it says in how much JSON it is.
#[derive(Clone, Copy)]
pub(super) struct Quote {
    pub(super) mark: u8,
    backslashes: usize,
}

pub(super) fn opening(line: &[u8], from: usize) -> Option<(Quote, usize)> {
    // `b'...'` and the like.
    let from = from
        + usize::from(
            matches!(at(line, from), b'b' | b'u' | b'r' | b'f')
                && matches!(at(line, from + 1), b'"' | b'\''),
        );
    let near = line.get(..line.len().min(from + 16))?;
    let place = run_end(near, from, |byte| byte == b'\\').max(from);
    let (mark, backslashes) = (at(line, place), place - from);
    (matches!(mark, b'"' | b'\'') && matches!(backslashes, 0 | 1 | 3 | 7))
        .then_some((Quote { mark, backslashes }, place + 1))
}

/// Where the parenthesis at a place closes, if it is one of a call.
fn call_end(line: &[u8], open: usize) -> Option<usize> {
    let near = line.get(..line.len().min(open + LONGEST_CALL))?;
    let close = run_end(near, open + 1, |byte| byte != b')' && byte != b'(');
    (at(line, close) == b')' && !is_word(at(line, close + 1))).then_some(close)
}

/// The end of the words that follow a value, up to one that is a key.
pub(super) fn words_end(line: &[u8], mut end: usize) -> usize {
    let near = line.get(..line.len().min(end + LONGEST_PHRASE)).unwrap_or_default();
    while at(line, end) == b' ' {
        let next = run_end(near, end + 1, |byte| is_name(byte) || byte >= 0x80 || byte == b'\'');
        if next <= end + 1
            || matches!(at(line, next), b'=' | b':' | b'/' | b'(')
            || before(line, end + 2) == b'-'
        {
            break;
        }
        end = next;
    }
    end
}

/// Where a quoted value ends, its closing quote not included. A quote within the value has more backslashes before
/// it than the one that opened it; those of the value itself are doubled for each JSON around it.
pub(super) fn quoted_end(line: &[u8], from: usize, quote: Quote) -> usize {
    let mut place = from;
    while place < line.len() {
        let next = run_end(line, place, |byte| byte != b'\\' && byte != quote.mark);
        let mark = run_end(line, next, |byte| byte == b'\\');
        let backslashes = mark - next;
        if at(line, mark) == quote.mark
            && backslashes % (2 * (quote.backslashes + 1)) == quote.backslashes
        {
            return mark - quote.backslashes;
        }
        place = mark + usize::from(at(line, mark) == quote.mark);
        if place == next {
            break;
        }
    }
    line.len()
}

/// Where the last value of a list of quoted ones ends.
pub(super) fn list_end(line: &[u8], from: usize, quote: Quote) -> usize {
    const MOST: usize = 32;
    let mut end = quoted_end(line, from, quote);
    for _ in 0..MOST {
        let comma = end + quote.backslashes + 1;
        let blanks = run_end(line, comma + 1, |byte| byte == b' ');
        let Some((next, start)) = opening(line, blanks) else { break };
        if at(line, comma) != b','
            || next.mark != quote.mark
            || next.backslashes != quote.backslashes
        {
            break;
        }
        end = quoted_end(line, start, quote);
    }
    end
}

/// Where the cookies of a header end: with the line or the text around it.
pub(super) fn cookie_end(line: &[u8], from: usize, is_list: bool) -> usize {
    let mut place = from;
    while place < line.len() {
        place = run_end(line, place, |byte| {
            byte >= b' ' && !matches!(byte, b'"' | b'\'' | b'\\' | b']' | b'|' | b'<')
        });
        match at(line, place) {
            b'\\' if !matches!(at(line, place + 1), b'n' | b'r' | b'"') => place += 1,
            b']' if !is_list => place += 1,
            _ => break,
        }
    }
    place.min(line.len())
}

pub(super) fn unquoted_end(line: &[u8], from: usize) -> usize {
    let mut place = from;
    while place < line.len() {
        match at(line, place) {
            0..=b' ' | b'&' | b';' | b'"' | b'\'' | b'}' | b')' | b'>' => {
                // `<password>`
                return place + usize::from(at(line, place) == b'>' && at(line, from) == b'<');
            }
            b'<' if at(line, place + 1) == b'/' => break,
            b'(' if place > from && call_end(line, place).is_some() => break,
            // `[REDACTED:secret]` has one, lists end with one.
            b']' if at(line, from) != b'[' => break,
            b'\\' if matches!(at(line, place + 1), b'n' | b'r' | b't' | b'"') => break,
            b'\\' if is_at(line, place + 1, b"u0026") || is_at(line, place + 1, b"\\\"") => break,
            b',' => {
                let near = line.get(..line.len().min(place + LONGEST_NAME)).unwrap_or_default();
                let word = run_end(near, place + 1, |byte| is_word(byte) || byte == b'-');
                if matches!(at(line, place + 1), 0..=b' ' | b'"' | b'\'')
                    || matches!(at(line, word), b'=' | b':')
                {
                    break;
                }
                place += 1;
            }
            _ => place += 1,
        }
    }
    place
}
