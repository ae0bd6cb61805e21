//! Addresses: e-mail, IPv4, IPv6.
//!
//! Versions, times, hardware addresses and paths of modules stay.

use std::net::Ipv6Addr;

use super::Pattern;
use super::bytes::{Found, at, before, is_at_any_case, is_word, run_end, run_start};

/// What looks like the end of a domain and is that of a file or a system unit.
const NO_DOMAINS: [&[u8]; 24] = [
    b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"js", b"css", b"service", b"socket",
    b"timer", b"mount", b"slice", b"scope", b"gz", b"tgz", b"bz", b"xz", b"tar", b"whl", b"jar",
    b"deb", b"rpm", b"json",
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
    let mut octets = [0; 4];
    for (part, octet) in octets.iter_mut().enumerate() {
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
        *octet = digits
            .iter()
            .fold(0, |value: u8, digit| value.wrapping_mul(10).wrapping_add(digit - b'0'));
        place = end;
    }
    let (previous, next) = (before(line, start), at(line, place));
    let behind = at(line, place + 1);
    let goes_on = is_word(next) || next == b'.' && is_digit(behind);
    let continues = previous == b'.' && is_word(before(line, start - 1));
    if goes_on || continues || is_nobodys(octets) {
        return None;
    }
    // Numbers so small are those of versions, but for the addresses that everybody knows.
    let known: [[u8; 4]; 7] = [
        [1, 1, 1, 1],
        [8, 8, 8, 8],
        [8, 8, 4, 4],
        [1, 0, 0, 1],
        [9, 9, 9, 9],
        [4, 2, 2, 1],
        [4, 2, 2, 2],
    ];
    let is_small =
        octets[0] != 10 && octets.iter().all(|&octet| octet <= 31) && !known.contains(&octets);
    let is_tail = next == b'-' && (is_digit(behind) && is_small || behind.is_ascii_alphabetic())
        || next == b'.' && behind.is_ascii_alphabetic() && is_small
        || next == b'+' && behind.is_ascii_alphanumeric();
    let is_named = previous == b'_' && is_small
        || matches!(previous, b'-' | b'@')
            && before(line, start - 1).is_ascii_alphanumeric()
            && is_small
        || previous == b'=' && before(line, start - 1) == b'='
        || previous == b'/'
            && is_small
            && next != b':'
            && before(line, start - 1).is_ascii_alphabetic()
        || is_small && !matches!(next, b':' | b'/') && is_behind_a_product(line, start);
    (!is_tail && !is_named && !is_version(line, start, zero)).then_some(place)
}

/// Loopback, unspecified, multicast and reserved addresses, netmasks, and those that documents use.
fn is_nobodys([a, b, c, _]: [u8; 4]) -> bool {
    matches!((a, b, c), (0 | 127 | 224.., _, _) | (192, 0, 2) | (198, 51, 100) | (203, 0, 113))
}

/// `rails 7.0.4.3`, `activesupport (7.0.4.3)`: a plain word before it that is none of addresses.
#[inline(never)]
fn is_behind_a_product(line: &[u8], start: usize) -> bool {
    const NONE: [&[u8]; 44] = [
        b"from",
        b"to",
        b"ip",
        b"addr",
        b"address",
        b"host",
        b"client",
        b"peer",
        b"remote",
        b"server",
        b"src",
        b"dst",
        b"source",
        b"dest",
        b"destination",
        b"at",
        b"via",
        b"by",
        b"on",
        b"user",
        b"ssh",
        b"ping",
        b"dns",
        b"gateway",
        b"for",
        b"and",
        b"or",
        b"login",
        b"connection",
        b"access",
        b"request",
        b"denied",
        b"blocked",
        b"banned",
        b"refused",
        b"node",
        b"ipv4",
        b"router",
        b"proxy",
        b"upstream",
        b"nameserver",
        b"of",
        b"with",
        b"is",
    ];
    let end = start.saturating_sub(usize::from(before(line, start) == b'('));
    let Some(blank) = end.checked_sub(1).filter(|&place| at(line, place) == b' ') else {
        return false;
    };
    let word =
        run_start(line, blank, blank.saturating_sub(40), |byte| is_word(byte) || byte == b'-');
    let text = line.get(word..blank).unwrap_or_default();
    // A list of addresses is none of versions: `1.2.3.4 1.2.3.5`.
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && !matches!(before(line, word), b'@' | b'.' | b':' | b'=')
        && !NONE.iter().any(|none| none.eq_ignore_ascii_case(text))
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

/// `Chrome/120.0.0.0`, `version 1.2.3.4`, `version=1.2.3.4`.
#[inline(never)]
fn is_version(line: &[u8], start: usize, ends_with_zero: bool) -> bool {
    if before(line, start) == b'/' {
        return ends_with_zero && before(line, start - 1).is_ascii_alphabetic();
    }
    let near = start.saturating_sub(8);
    let word_end = run_start(line, start, near, |byte| {
        matches!(byte, b' ' | b'=' | b':' | b'"' | b'(' | b'v')
    });
    let is = |word: &[u8]| {
        word_end.checked_sub(word.len()).is_some_and(|from| is_at_any_case(line, from, word))
    };
    word_end < start && (is(b"version") || is(b"ersion\\") || is(b"release") || is(b"build"))
}

/// An e-mail address around a place: of the `@`, or of the `%40` that stands for it in a URL.
pub(super) fn email(line: &[u8], place: usize, width: usize, floor: usize) -> Option<Found> {
    let local = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"._%+-'".contains(&byte) || is_letter_part(byte)
    };
    let floor = floor.max(place.saturating_sub(LONGEST_LOCAL));
    let mut start = run_start(line, place, floor, local);
    if before(line, place) >= 0x80 && !is_letter_part(first_byte(line, place)) {
        start = other_script_start(line, place, floor);
    }
    // What was cut off in the middle of a character does not belong to it.
    while start < place && (0x80..0xC0).contains(&at(line, start)) {
        start += 1;
    }
    // A letter behind a backslash is an escape.
    if before(line, start) == b'\\' && matches!(at(line, start), b'n' | b'r' | b't') {
        start += 1;
    }
    while start < place && matches!(at(line, start), b'.' | b'-' | b'%' | b'+' | b'\'') {
        start += 1;
    }
    let domain_start = place + width;
    let line = line.get(..line.len().min(domain_start + LONGEST_DOMAIN))?;
    let is_other_script = at(line, domain_start) >= 0x80;
    let mut end = run_end(line, domain_start, |byte| {
        byte.is_ascii_alphanumeric() || b".-".contains(&byte) || byte >= 0x80
    });
    if !is_other_script {
        end = ascii_labels_end(line, domain_start, end);
    }
    while end > domain_start && matches!(before(line, end), b'.' | b'-') {
        end -= 1;
    }
    if start == place {
        return None;
    }
    let domain = line.get(domain_start..end)?;
    let (end, last) = domain_end(domain)?;
    let end = domain_start + end;
    // `git@host:path` names a repository, `u'bob@host'` has a quote before the name.
    if line.get(start..place)? == b"git" && at(line, end) == b':' {
        return None;
    }
    if at(line, end) == b'\''
        && let Some(quote) = memchr::memchr(b'\'', line.get(start..place)?)
        && quote <= 2
        && before(line, start) != b'\''
    {
        start += quote + 1;
    }
    let looks_like_version = matches!(domain, [digit, b'.', next, ..] if is_digit(*digit) && is_digit(*next))
        || matches!(domain, [b'v' | b'V', digit, ..] if is_digit(*digit))
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
        let letters = run_end(label, 0, |byte| byte.is_ascii_alphabetic() || byte >= 0x80);
        // Punctuation of other scripts ends it.
        let letters = punctuation(label).map_or(letters, |place| letters.min(place));
        let is_coded = label.len() > 6
            && label.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"xn--"));
        let letters = if is_coded { label.len() } else { letters };
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

/// A byte of a letter of the Latin, Greek, Cyrillic, Hebrew, Arabic, Indic or Thai scripts in UTF-8.
fn is_letter_part(byte: u8) -> bool {
    matches!(byte, 0x80..=0xBF | 0xC3..=0xDF | 0xE0 | 0xE1)
}

/// The first byte of the character that ends before a place.
fn first_byte(line: &[u8], place: usize) -> u8 {
    let behind = line.get(place.saturating_sub(4)..place).unwrap_or_default();
    behind.iter().rev().copied().find(|byte| !(0x80..0xC0).contains(byte)).unwrap_or(0)
}

/// Where a name in a script without blanks begins: with its punctuation, or where another script ends.
#[inline(never)]
fn other_script_start(line: &[u8], place: usize, floor: usize) -> usize {
    let start = run_start(line, place, floor, |byte| byte >= 0x80);
    let text = line.get(start..place).unwrap_or_default();
    last_punctuation(text).map_or(start, |end| start + end)
}

/// Where the first character of ideographic or full-width punctuation is.
fn punctuation(text: &[u8]) -> Option<usize> {
    if text.is_ascii() {
        return None;
    }
    text.windows(2).position(is_punctuation)
}

/// Behind the last one.
fn last_punctuation(text: &[u8]) -> Option<usize> {
    text.windows(2).rposition(is_punctuation).map(|place| place + 3)
}

fn is_punctuation(pair: &[u8]) -> bool {
    matches!(pair, [0xE3, 0x80] | [0xEF, 0xBC | 0xBD] | [0xE2, 0x80])
}

/// Where a domain in ASCII ends: with the first label that begins so and goes on otherwise.
#[inline(never)]
fn ascii_labels_end(line: &[u8], start: usize, end: usize) -> usize {
    let mut place = start;
    while place < end {
        let label =
            run_end(line, place, |byte| byte.is_ascii_alphanumeric() || byte == b'-').min(end);
        match at(line, label) {
            b'.' => place = label + 1,
            0x80.. if label == place => place = run_end(line, place, |byte| byte != b'.').min(end),
            _ => return label,
        }
        if at(line, place) == b'.' && place > label {
            place += 1;
        }
    }
    end
}

/// An IPv6 address around the first of its colons.
pub(super) fn ip_v6(line: &[u8], colon: usize, floor: usize) -> Option<Found> {
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
    if !is_part(at(line, colon + 1)) {
        return None;
    }
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
    if !is_given
        || is_word(before(line, start))
        || before(line, start) == b':' && !is_behind_a_key(line, start, floor)
    {
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
    (!is_nobodys_v6(address)).then_some(Found { start, end, pattern: Pattern::IpV6 })
}

/// Whether the colon before an address ends a key: `addr:2a00:1450::1`.
#[inline(never)]
fn is_behind_a_key(line: &[u8], start: usize, floor: usize) -> bool {
    let colon = start.saturating_sub(1);
    let word = run_start(line, colon, floor.max(colon.saturating_sub(32)), |byte| {
        byte.is_ascii_alphabetic() || byte == b'_'
    });
    let key = line.get(word..colon).unwrap_or_default();
    key.iter().any(|byte| byte.is_ascii_alphabetic() && !byte.is_ascii_hexdigit())
        && before(line, word) != b':'
}

/// Loopback, unspecified, multicast, those that documents use, and what is nobody's among IPv4's.
fn is_nobodys_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || (first, second) == (0x2001, 0x0DB8)
        || (first == 0x3FFF && second < 0x1000)
        || address.to_ipv4_mapped().is_some_and(|address| is_nobodys(address.octets()))
}
