//! Addresses: e-mail, IPv4, IPv6.
//!
//! Versions, times, hardware addresses and paths of modules stay.

use std::net::Ipv6Addr;

use super::Pattern;
use super::bytes::{Found, at, before, is_at_any_case, is_word, run_end, run_start};

/// What looks like the end of a domain and is that of a file or a system unit.
const NO_DOMAINS: [&[u8]; 14] = [
    b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"js", b"css", b"service", b"socket",
    b"timer", b"mount", b"slice", b"scope",
];
/// No part of an e-mail address before its `@` is longer, so that a line of nothing else costs no more.
const LONGEST_LOCAL: usize = 128;
/// No domain is longer.
const LONGEST_DOMAIN: usize = 255;
/// Longer than the longest IPv6 address with an IPv4 address in it.
const LONGEST_IP_V6: usize = 45;

/// The end of an IPv4 address that begins at a place with a digit; the byte before is no letter or digit.
pub(super) fn ip_v4(line: &[u8], start: usize) -> Option<usize> {
    let mut place = start;
    let mut zero = false;
    for part in 0..4 {
        if part > 0 {
            if at(line, place) != b'.' {
                return None;
            }
            place += 1;
        }
        let end = run_end(line, place, |byte| byte.is_ascii_digit());
        let digits = line.get(place..end)?;
        let is_octet = match digits {
            [_] => true,
            [b'0', ..] => false,
            [_, _] => true,
            [b'1', _, _] => true,
            [b'2', second, third] => (*second, *third) <= (b'5', b'5') && *second <= b'5',
            _ => false,
        };
        if !is_octet {
            return None;
        }
        zero = digits == b"0";
        place = end;
    }
    let (previous, next) = (before(line, start), at(line, place));
    let goes_on = is_word(next) || (matches!(next, b'.' | b'-') && is_digit(at(line, place + 1)));
    let continues = previous == b'_' || (previous == b'.' && is_word(before(line, start - 1)));
    (!goes_on && !continues && !is_version(line, start, zero)).then_some(place)
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

/// `Chrome/120.0.0.0`, `version 1.2.3.4`, `version=1.2.3.4`.
fn is_version(line: &[u8], start: usize, ends_with_zero: bool) -> bool {
    if before(line, start) == b'/' {
        return ends_with_zero && before(line, start - 1).is_ascii_alphabetic();
    }
    let word_end = run_start(line, start, 0, |byte| matches!(byte, b' ' | b'=' | b':' | b'"'));
    let is = |word: &[u8]| {
        word_end.checked_sub(word.len()).is_some_and(|from| is_at_any_case(line, from, word))
    };
    word_end < start && (is(b"version") || is(b"release") || is(b"build"))
}

/// An e-mail address around a place: of the `@`, or of the `%40` that stands for it in a URL.
pub(super) fn email(line: &[u8], place: usize, width: usize, floor: usize) -> Option<Found> {
    let local =
        |byte: u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(&byte) || is_letter_part(byte);
    let floor = floor.max(place.saturating_sub(LONGEST_LOCAL));
    let mut start = run_start(line, place, floor, local);
    // What was cut off in the middle of a character does not belong to it.
    while start < place && (0x80..0xC0).contains(&at(line, start)) {
        start += 1;
    }
    while start < place && matches!(at(line, start), b'.' | b'-' | b'%' | b'+') {
        start += 1;
    }
    let domain_start = place + width;
    let line = line.get(..line.len().min(domain_start + LONGEST_DOMAIN))?;
    let mut end =
        run_end(line, domain_start, |byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    while end > domain_start && matches!(before(line, end), b'.' | b'-') {
        end -= 1;
    }
    if start == place {
        return None;
    }
    let domain = line.get(domain_start..end)?;
    let (end, last) = domain_end(domain)?;
    let end = domain_start + end;
    let looks_like_version = matches!(domain, [b'v' | b'V', digit, ..] if is_digit(*digit))
        || matches!(domain, [digit, b'x', b'.', ..] if is_digit(*digit));
    let is_file = NO_DOMAINS.iter().any(|known| known.eq_ignore_ascii_case(last));
    (!looks_like_version && !is_file).then_some(Found { start, end, pattern: Pattern::Email })
}

/// Where the longest part of a domain ends that ends with letters, and these letters:
/// `b.example.42` ends with `example`, `b.org-x` with `org`.
fn domain_end(domain: &[u8]) -> Option<(usize, &[u8])> {
    let mut longest = None;
    let mut start = 0;
    for (number, label) in domain.split(|&byte| byte == b'.').enumerate() {
        let letters = run_end(label, 0, |byte| byte.is_ascii_alphabetic());
        let ends = !at(label, letters).is_ascii_alphanumeric();
        if number > 0 && letters >= 2 && ends {
            longest = Some((start + letters, label.get(..letters)?));
        }
        if label.is_empty() {
            break;
        }
        start += label.len() + 1;
    }
    longest
}

/// A byte of a letter of the Latin, Greek or Cyrillic script in UTF-8.
fn is_letter_part(byte: u8) -> bool {
    matches!(byte, 0x80..=0xBF | 0xC3..=0xD4)
}

/// An IPv6 address around the first of its colons.
pub(super) fn ip_v6(line: &[u8], colon: usize, floor: usize) -> Option<Found> {
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
    let start = run_start(line, colon, floor, |byte| byte.is_ascii_hexdigit());
    // Most colons are in times, keys and paths, and go no further than this.
    let is_double = at(line, colon + 1) == b':';
    let first = line.get(start..colon)?;
    if !(is_double || first.len() >= 2 && first.len() <= 4 && is_part(at(line, colon + 1))) {
        return None;
    }
    let is_given = match first {
        [] => is_double,
        [b'2' | b'3', _, _, _] => true,
        [b'f' | b'F', second, ..] => {
            matches!(second, b'c' | b'C' | b'd' | b'D' | b'e' | b'E' | b'f' | b'F')
                && first.len() == 4
        }
        b"64" => true,
        _ => false,
    };
    if !is_given || is_word(before(line, start)) || before(line, start) == b':' {
        return None;
    }
    // No further than to see that it is too long.
    let near = line.get(..line.len().min(start + LONGEST_IP_V6 + 2))?;
    let mut end = run_end(near, colon, |byte| is_part(byte) || byte == b'.');
    while end > colon && before(line, end) == b'.' {
        end -= 1;
    }
    // `::1:` and `[::1]:80`: a last colon alone belongs to what follows.
    if before(line, end) == b':' && end >= 2 && at(line, end - 2) != b':' {
        end -= 1;
    }
    if end - start > LONGEST_IP_V6 || is_word(at(line, end)) {
        return None;
    }
    let text = std::str::from_utf8(line.get(start..end)?).ok()?;
    let address: Ipv6Addr = text.parse().ok()?;
    (!address.is_unspecified()).then_some(Found { start, end, pattern: Pattern::IpV6 })
}
