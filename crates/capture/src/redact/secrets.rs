//! Passwords in URLs, and values of keys whose name says that they are secret.
//!
//! `password=x`, `password: x`, `"password":"x"`, `\"password\":\"x\"`, `PASSWORD='x'`. What stands for
//! nothing (`null`, `***`, `${NAME}`) stays, and so does prose (`password: must be longer`).

use super::bytes::{Found, at, before, is_at, is_at_any_case, is_word, run_end, run_start};
use super::{Pattern, Patterns, tokens};

/// A name of a key is looked at up to this length.
const LONGEST_KEY: usize = 48;
/// A value before a parenthesis that is no longer than this is the name of a function.
const LONGEST_NAME: usize = 64;
/// What is no password is shorter than this only by chance.
const SHORTEST_TOKEN: usize = 6;

/// The password of a URL, from behind its `://`.
pub(super) fn url(line: &[u8], from: usize) -> Option<Found> {
    let stop = |byte: u8| {
        byte <= b' ' || matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'`')
    };
    let end = run_end(line, from, |byte| !stop(byte));
    let authority = line.get(from..end)?;
    let at_sign = from + memchr::memrchr(b'@', authority)?;
    let start = from + memchr::memchr(b':', line.get(from..at_sign)?)? + 1;
    let password = line.get(start..at_sign)?;
    let is_one = !password.is_empty() && !is_nothing(password);
    is_one.then_some(Found { start, end: at_sign, pattern: Pattern::UrlPassword })
}

/// The value behind a `=` or `:` whose key says that it is secret.
#[inline]
pub(super) fn value(line: &[u8], sign: usize, floor: usize, chosen: Patterns) -> Option<Found> {
    let mut key_end = sign;
    while matches!(before(line, key_end), b' ' | b'"' | b'\'' | b'\\' | b':' | b']')
        && key_end + 4 > sign
    {
        key_end -= 1;
    }
    // Nearly all keys are told apart by their last two letters.
    let tail = (before(line, key_end - 1.min(key_end)) | 0x20, before(line, key_end) | 0x20);
    if !matches!(
        tail,
        (b'r', b'd' | b't')
            | (b'w', b'd')
            | (b's', b'e' | b's')
            | (b'e', b't' | b'n' | b'y')
            | (b'o', b'n')
    ) {
        return None;
    }
    let start = run_start(line, key_end, floor.max(key_end.saturating_sub(LONGEST_KEY)), |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
    });
    let kind = kind_of(line.get(start..key_end)?)?;
    value_behind(line, start, sign, kind, floor, chosen)
}

/// Whether the value of a label or of metadata is secret by its name alone.
pub(super) fn is_secret_name(name: &str) -> bool {
    kind_of(name.as_bytes()).is_some()
}

/// Whether a value stands for nothing, or is what was put in the place of another.
pub(super) fn is_nothing(value: &[u8]) -> bool {
    const WORDS: [&[u8]; 10] = [
        b"null",
        b"nil",
        b"none",
        b"undefined",
        b"true",
        b"false",
        b"<nil>",
        b"redacted",
        b"[filtered]",
        b"(null)",
    ];
    value.is_empty()
        || stands_for_another(value)
        || WORDS.iter().any(|word| word.eq_ignore_ascii_case(value))
        || (value
            .iter()
            .all(|&byte| matches!(byte, b'*' | b'x' | b'X' | b'.' | b'-' | b'<' | b'>')))
}

/// Whether a value is a mark of ours, or a place that a template fills.
fn stands_for_another(value: &[u8]) -> bool {
    [&b"[REDACTED"[..], b"${", b"{{", b"%s"].iter().any(|mark| value.starts_with(mark))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Password,
    Token,
    Authorization,
}

/// What a key's name says about its value.
fn kind_of(name: &[u8]) -> Option<Kind> {
    let mut plain = [0; LONGEST_KEY];
    let mut length = 0;
    for byte in name.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
        *plain.get_mut(length)? = byte.to_ascii_lowercase();
        length += 1;
    }
    let plain = plain.get(..length)?;
    let ends = |words: &[&[u8]]| words.iter().any(|word| plain.ends_with(word));
    if ends(&[b"password", b"passwd", b"passphrase", b"passwort", b"userpwd", b"dbpwd"])
        || plain == b"pass"
        || plain == b"pwd"
        || name.ends_with(b"_pass")
        || name.ends_with(b"_PASS")
        || name.ends_with(b"_pwd")
        || name.ends_with(b"_PWD")
        || name.ends_with(b".pass")
    {
        // The shell's working directory.
        return (name != b"PWD" && name != b"OLD_PWD").then_some(Kind::Password);
    }
    if ends(&[b"authorization"]) {
        return Some(Kind::Authorization);
    }
    ends(&[
        b"secret",
        b"token",
        b"apikey",
        b"accesskey",
        b"secretkey",
        b"privatekey",
        b"accountkey",
        b"sharedkey",
        b"signingkey",
        b"encryptionkey",
        b"masterkey",
        b"authkey",
    ])
    .then_some(Kind::Token)
}

fn value_behind(
    line: &[u8],
    key: usize,
    sign: usize,
    kind: Kind,
    floor: usize,
    chosen: Patterns,
) -> Option<Found> {
    let is_colon = at(line, sign) == b':';
    let next = at(line, sign + 1);
    // Comparisons, assignments whose sign comes next, paths of modules, URLs.
    if next == b'=' || matches!(before(line, sign), b'=' | b'!' | b'<' | b'>') {
        return None;
    }
    if is_colon && (next == b':' || is_at(line, sign + 1, b"//")) {
        return None;
    }
    let mut from = sign + 1;
    while from < sign + 4 && matches!(at(line, from), b' ' | b'\t') {
        from += 1;
    }
    let blank = from > sign + 1;
    let (quote, mut from) = match (at(line, from), at(line, from + 1)) {
        (b'"', _) => (Some(&b"\""[..]), from + 1),
        (b'\'', _) => (Some(&b"'"[..]), from + 1),
        (b'\\', b'"') => (Some(&b"\\\""[..]), from + 2),
        _ => (None, from),
    };
    if kind == Kind::Authorization {
        if is_at_any_case(line, from, b"bearer") && chosen.has(Pattern::Bearer) {
            return tokens::bearer(line, from, floor.min(key));
        }
        // The scheme is no secret.
        for scheme in [&b"basic "[..], b"bearer ", b"token ", b"digest ", b"negotiate ", b"apikey "]
        {
            if is_at_any_case(line, from, scheme) {
                from += scheme.len();
            }
        }
    }
    if stands_for_another(line.get(from..)?) {
        return None;
    }
    let end = match quote {
        Some(quote) => quoted_end(line, from, quote),
        None => unquoted_end(line, from),
    };
    let value = line.get(from..end)?;
    if is_nothing(value) || !value.iter().any(u8::is_ascii_alphanumeric) {
        return None;
    }
    if kind != Kind::Password {
        let counts = value.iter().all(u8::is_ascii_digit) && value.len() < 12;
        if value.len() < SHORTEST_TOKEN || counts {
            return None;
        }
    }
    if quote.is_none() && is_colon && blank && is_prose(line, value, end) {
        return None;
    }
    // `secret.yaml`, `kind: Secret, name: ...` and calls such as `getToken()` are no values.
    if quote.is_none() && at(line, end) == b'(' && value.len() <= LONGEST_NAME {
        return None;
    }
    Some(Found { start: from, end, pattern: Pattern::Secret })
}

/// A plain word after which other words follow.
fn is_prose(line: &[u8], value: &[u8], end: usize) -> bool {
    let word = value.iter().skip(1).all(u8::is_ascii_lowercase)
        && value.first().is_some_and(u8::is_ascii_alphabetic);
    word && at(line, end) == b' ' && at(line, end + 1).is_ascii_alphabetic()
}

/// Where a quoted value ends, its closing quote not included.
fn quoted_end(line: &[u8], from: usize, quote: &[u8]) -> usize {
    let mut place = from;
    while place < line.len() {
        if is_at(line, place, quote) {
            return place;
        }
        // A quote within the value is escaped.
        place += if at(line, place) == b'\\' { 2 } else { 1 };
    }
    line.len()
}

fn unquoted_end(line: &[u8], from: usize) -> usize {
    let mut place = from;
    while place < line.len() {
        match at(line, place) {
            0..=b' ' | b'&' | b';' | b'"' | b'\'' | b'}' | b')' | b'>' | b'(' => break,
            // `[REDACTED:secret]` has one, lists end with one.
            b']' if at(line, from) != b'[' => break,
            b'\\' if matches!(at(line, place + 1), b'n' | b'r' | b't' | b'"') => break,
            b',' => {
                let word = run_end(line, place + 1, |byte| is_word(byte) || byte == b'-');
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
