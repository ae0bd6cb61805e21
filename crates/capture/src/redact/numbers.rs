//! Numbers that are about people and money: cards, social security, telephone, bank accounts.
//!
//! A number counts only in a form that people write and with a check that random digits rarely pass:
//! timestamps, order numbers, hashes and UUIDs stay. Bare digits are no telephone number unless a word
//! before them says so; custom patterns can be stricter.

use super::bytes::{Found, at, before, is_at_any_case, run_end, run_start};
use super::{Pattern, Patterns};

/// Digits of the longest card number.
const CARD: std::ops::RangeInclusive<usize> = 13..=19;
/// How far before bare digits a word such as `phone` is looked for.
const CONTEXT: usize = 16;

/// Looks at the digits that begin at a place; the byte before is no digit.
pub(super) fn recognise(
    line: &[u8],
    start: usize,
    floor: usize,
    chosen: Patterns,
) -> Option<Found> {
    let previous = before(line, start);
    if previous.is_ascii_alphabetic() {
        if start < floor + 2 {
            return None;
        }
        // `SSN123-45-6789`
        if previous | 0x20 == b'n'
            && chosen.has(Pattern::Ssn)
            && is_at_any_case(line, start.saturating_sub(3), b"ssn")
        {
            let end = named_social_security(line, start)?;
            return Some(Found { start, end, pattern: Pattern::Ssn });
        }
        // Digits within words and hashes are far more often than accounts.
        let is_head = at(line, start - 2).is_ascii_alphabetic()
            && at(line, start + 1).is_ascii_digit()
            && !before(line, start - 2).is_ascii_alphanumeric();
        return if is_head && chosen.has(Pattern::Iban) { iban(line, start - 2) } else { None };
    }
    let end = run_end(line, start, |byte| byte.is_ascii_digit());
    let (length, next) = (end - start, at(line, end));
    if next.is_ascii_alphabetic() {
        return None;
    }
    let found = |end, pattern| Some(Found { start, end, pattern });
    match length {
        1..=3 if next == b'.' && chosen.has(Pattern::IpV4) => {
            if let Some(end) = super::addresses::ip_v4(line, start) {
                return found(end, Pattern::IpV4);
            }
        }
        4 if matches!(next, b' ' | b'-' | b'.') && chosen.has(Pattern::CreditCard) => {
            if let Some(end) = grouped_card(line, start) {
                return found(end, Pattern::CreditCard);
            }
        }
        _ if CARD.contains(&length) && chosen.has(Pattern::CreditCard) => {
            let is_card = previous != b'_' && next != b'_' && card(line.get(start..end)?);
            // Behind a decimal point, or before one, it is a part of another number.
            let is_part = (previous == b'.' && before(line, start - 1).is_ascii_digit())
                || (next == b'.' && at(line, end + 1).is_ascii_digit());
            if is_card && !is_part && !is_of_no_one(line, start, floor) {
                return found(end, Pattern::CreditCard);
            }
        }
        _ => {}
    }
    if length == 3
        && next == b'-'
        && chosen.has(Pattern::Ssn)
        && let Some(end) = social_security(line, start)
    {
        return found(end, Pattern::Ssn);
    }
    if (length == 9 || length == 3 && matches!(next, b' ' | b'-'))
        && chosen.has(Pattern::Ssn)
        && is_named_ssn(line, start, floor)
        && let Some(end) = named_social_security(line, start)
    {
        return found(end, Pattern::Ssn);
    }
    if chosen.has(Pattern::Phone) { phone(line, start, end, floor) } else { None }
}

/// Whether a text's digits, whatever stands between them, have Luhn's check digit.
pub(super) fn is_card(text: &[u8]) -> bool {
    let digits: Vec<u8> = text.iter().copied().filter(u8::is_ascii_digit).collect();
    CARD.contains(&digits.len()) && luhn(&digits)
}

/// Whether digits have Luhn's check digit and begin as some issuer's do.
#[inline(never)]
fn card(digits: &[u8]) -> bool {
    let issuer = match digits {
        [b'4' | b'5' | b'6', ..] => true,
        [b'2', second, ..] => (b'2'..=b'7').contains(second),
        [b'3', second, ..] => matches!(second, b'0' | b'4'..=b'9'),
        [b'9', b'7', b'9', b'2', ..] => true,
        _ => false,
    };
    // 0000... and 5555... are fillers.
    issuer && luhn(digits) && digits.iter().any(|digit| Some(digit) != digits.first())
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0');
            match (place % 2, digit * 2) {
                (0, _) => digit,
                (_, double) if double > 9 => double - 9,
                (_, double) => double,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// A card number in groups: 4-4-4-4, the same and up to three more, 4-6-5, 4-6-4, with one and the same
/// separator. The longest that passes counts.
#[inline(never)]
fn grouped_card(line: &[u8], start: usize) -> Option<usize> {
    let separator = at(line, start + 4);
    let previous = before(line, start);
    let is_part = previous == b'.' && separator == b'.';
    if previous == b'_'
        || is_part
        || (previous == b'-' && before(line, start - 1).is_ascii_alphanumeric())
    {
        return None;
    }
    let mut digits = [0; 19];
    digits.get_mut(..4)?.copy_from_slice(line.get(start..start + 4)?);
    let (mut count, mut end) = (4, start + 4);
    let mut groups = [4, 0, 0, 0, 0];
    let mut longest = None;
    for number in 1..groups.len() {
        if at(line, end) != separator {
            break;
        }
        let group_end = run_end(line, end + 1, |byte| byte.is_ascii_digit());
        let size = group_end - end - 1;
        let Some(place) = digits.get_mut(count..count + size) else { break };
        place.copy_from_slice(line.get(end + 1..group_end)?);
        count += size;
        end = group_end;
        groups[number] = size;
        let form = matches!(
            groups.get(..=number)?,
            [4, 4, 4, 1..=4] | [4, 6, 4 | 5] | [4, 4, 4, 4, 1..=3]
        );
        let goes_on =
            separator == b'.' && at(line, end) == b'.' && at(line, end + 1).is_ascii_digit();
        let ends = !goes_on && !super::bytes::is_word(at(line, end));
        if form && ends && card(digits.get(..count)?) {
            longest = Some(end);
        }
        if size == 0 {
            break;
        }
    }
    longest
}

/// `ddd-dd-dddd` in the ranges that are given out.
#[inline(never)]
fn social_security(line: &[u8], start: usize) -> Option<usize> {
    let number = line.get(start..start + 11)?;
    let form = number.iter().zip(b"ddd-dd-dddd").all(|(&byte, &form)| match form {
        b'd' => byte.is_ascii_digit(),
        mark => byte == mark,
    });
    if !form || !stands_alone(line, start, start + 11) {
        return None;
    }
    is_given_out(number.get(..3)?, number.get(4..6)?, number.get(7..)?).then_some(start + 11)
}

/// Nine digits behind a word that says what they are, together or with hyphens or blanks.
#[inline(never)]
fn named_social_security(line: &[u8], start: usize) -> Option<usize> {
    let digits = |from: usize, count: usize| {
        line.get(from..from + count).filter(|run| run.iter().all(u8::is_ascii_digit))
    };
    let separated = usize::from(matches!(at(line, start + 3), b'-' | b' '));
    let (group, serial) = (start + 3 + separated, start + 5 + 2 * separated);
    let same = separated == 0 || at(line, start + 3) == at(line, serial - 1);
    let end = serial + 4;
    let ends = !at(line, end).is_ascii_alphanumeric();
    (same && ends && is_given_out(digits(start, 3)?, digits(group, 2)?, digits(serial, 4)?))
        .then_some(end)
}

/// Whether a number is in the ranges that are given out.
fn is_given_out(area: &[u8], group: &[u8], serial: &[u8]) -> bool {
    let is_given = match area {
        b"000" | b"666" => false,
        // Taxpayers' numbers.
        [b'9', ..] => matches!(group, [b'5'..=b'9', _]),
        _ => true,
    };
    is_given && group != b"00" && serial != b"0000"
}

/// Whether a number is not a part of something longer with hyphens, dots or underscores.
fn stands_alone(line: &[u8], start: usize, end: usize) -> bool {
    let joins = |byte: u8| matches!(byte, b'-' | b'.' | b'_');
    let previous = before(line, start);
    let continues = previous.is_ascii_alphanumeric()
        || (joins(previous) && start > 0 && before(line, start - 1).is_ascii_digit());
    let next = at(line, end);
    let goes_on =
        next.is_ascii_alphanumeric() || (joins(next) && at(line, end + 1).is_ascii_digit());
    !continues && !goes_on
}

/// Telephone numbers: international with a plus, North American with separators or parentheses, and bare
/// digits behind a word that says what they are.
fn phone(line: &[u8], start: usize, end: usize, floor: usize) -> Option<Found> {
    let found = |start, end| Some(Found { start, end, pattern: Pattern::Phone });
    let (length, next, previous) = (end - start, at(line, end), before(line, start));
    if previous == b'+' && start > floor && !before(line, start - 1).is_ascii_alphanumeric() {
        return international(line, start).and_then(|end| found(start - 1, end));
    }
    let alone = |from, to| stands_alone(line, from, to);
    match (length, next) {
        (3, b'-' | b'.') => {
            let end = national(line, start, next)?;
            if alone(start, end) { found(start, end) } else { None }
        }
        (3, b')') if previous == b'(' && start > floor && area(line, start) => {
            let rest = start + 4 + usize::from(at(line, start + 4) == b' ');
            let end = local(line, rest)?;
            let from = start - 1;
            alone(from, end).then_some(())?;
            // `1 (555) 123-4567`
            let country = from.checked_sub(2).filter(|&place| {
                place >= floor
                    && matches!(line.get(place..from), Some(b"1 " | b"1-"))
                    && !super::bytes::is_word(before(line, place))
            });
            found(country.unwrap_or(from), end)
        }
        (1, b'-' | b'.' | b' ') if at(line, start) == b'1' => {
            let from = start + 2;
            let end = match at(line, from) {
                b'(' if area(line, from + 1) && at(line, from + 4) == b')' => {
                    local(line, from + 5 + usize::from(at(line, from + 5) == b' '))?
                }
                _ if next == b' ' => return None,
                _ => national(line, from, next)?,
            };
            if alone(start, end) { found(start, end) } else { None }
        }
        (7..=15, _) if is_called_so(line, start, floor) && alone(start, end) => found(start, end),
        (2..=5, b' ' | b'-' | b'/' | b')' | b'.') if may_be_called_so(line, start) => {
            let end = grouped(line, start)?;
            let from = start - usize::from(previous == b'(' && next == b')');
            // What is asked last is what takes longest.
            if alone(from, end) && is_called_so(line, start, floor) {
                found(from, end)
            } else {
                None
            }
        }
        _ => None,
    }
}

/// Groups of digits behind a word that says what they are: 7 to 15 digits, one separator between two groups.
#[inline(never)]
fn grouped(line: &[u8], start: usize) -> Option<usize> {
    let (mut place, mut digits) = (start, 0);
    loop {
        let end = run_end(line, place, |byte| byte.is_ascii_digit());
        digits += end - place;
        let joint = match (at(line, end), at(line, end + 1)) {
            (b' ' | b'-' | b'/' | b'.' | b')', next) if next.is_ascii_digit() => 1,
            (b')', b' ' | b'-') if at(line, end + 2).is_ascii_digit() => 2,
            _ => 0,
        };
        if joint == 0 || digits > 15 {
            return (7..=15).contains(&digits).then_some(end);
        }
        place = end + joint;
    }
}

/// Three digits of an area.
fn area(line: &[u8], start: usize) -> bool {
    matches!(line.get(start..start + 3), Some([b'2'..=b'9', b, c])
        if b.is_ascii_digit() && c.is_ascii_digit())
}

/// `ddd-ddd-dddd` with this separator.
#[inline(never)]
fn national(line: &[u8], start: usize, separator: u8) -> Option<usize> {
    let here = area(line, start) && at(line, start + 3) == separator;
    let end = local(line, start + 4).filter(|_| here)?;
    (at(line, start + 7) == separator).then_some(end)
}

/// `ddd-dddd`, with a hyphen, a dot or a blank.
fn local(line: &[u8], start: usize) -> Option<usize> {
    let digits = |from: usize, count: usize| {
        line.get(from..from + count).is_some_and(|run| run.iter().all(u8::is_ascii_digit))
    };
    let separated = matches!(at(line, start + 3), b'-' | b'.' | b' ');
    let end = start + 8;
    (digits(start, 3) && separated && digits(start + 4, 4) && !at(line, end).is_ascii_digit())
        .then_some(end)
}

/// The end of a number behind a plus: 8 to 15 digits, single separators between them.
#[inline(never)]
fn international(line: &[u8], start: usize) -> Option<usize> {
    let (mut place, mut digits, mut end) = (start, 0, None);
    while digits <= 15 {
        let group = run_end(line, place, |byte| byte.is_ascii_digit());
        digits += group - place;
        if digits > 15 {
            break;
        }
        if digits >= 8 {
            end = Some(group);
        }
        // North American numbers have eleven digits, and what follows is not theirs.
        if digits >= 11 && at(line, start) == b'1' {
            break;
        }
        let next = match (at(line, group), at(line, group + 1), at(line, group + 2)) {
            (b' ' | b'-' | b'.' | b'/' | b'(' | b')', digit, _) if digit.is_ascii_digit() => {
                group + 1
            }
            (b' ' | b')' | b'-', b'(' | b' ' | b'-', digit) if digit.is_ascii_digit() => group + 2,
            _ => break,
        };
        place = next;
    }
    end.filter(|&end| !at(line, end).is_ascii_alphanumeric())
}

/// Whether `ssn` or `social security number` stands before a number.
#[inline(never)]
fn is_named_ssn(line: &[u8], start: usize, floor: usize) -> bool {
    let joint = |byte: u8| matches!(byte, b' ' | b':' | b'=' | b'"' | b'\'' | b'\\' | b'>' | b'#');
    let end = run_start(line, start, floor.max(start.saturating_sub(8)), joint);
    let is = |word: &[u8]| {
        let from = end.checked_sub(word.len()).filter(|&from| from >= floor);
        from.is_some_and(|from| is_at_any_case(line, from, word))
    };
    end < start
        && match before(line, end) | 0x20 {
            b'n' => is(b"ssn"),
            b'y' => is(b"social security"),
            b'r' => is(b"social security number"),
            _ => false,
        }
}

/// Whether the key of a number says that it is one of a trace, a request or the like.
#[inline(never)]
fn is_of_no_one(line: &[u8], start: usize, floor: usize) -> bool {
    let near = |place: usize| floor.max(place.saturating_sub(super::names::LONGEST_NAME));
    let joint = |byte: u8| matches!(byte, b'"' | b'\'' | b'\\' | b' ' | b'[');
    let sign = run_start(line, start, near(start), joint);
    if !matches!(before(line, sign), b':' | b'=') {
        return false;
    }
    let end = run_start(line, sign - 1, near(sign - 1), joint);
    let name = run_start(line, end, near(end), |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
    });
    super::names::is_of_no_one(line.get(name..end).unwrap_or_default())
}

/// Whether what stands right before the digits can be the end of such a word, or of `number`.
fn may_be_called_so(line: &[u8], start: usize) -> bool {
    let joint = |byte: u8| matches!(byte, b' ' | b':' | b'=' | b'"' | b'\'' | b'(' | b'\\' | b'>');
    if !joint(before(line, start)) {
        return false;
    }
    let end = run_start(line, start, start.saturating_sub(5), joint);
    matches!(before(line, end) | 0x20, b'e' | b'l' | b'x' | b's' | b'p' | b'n' | b'r' | b'o')
}

/// Whether a word before the digits says that they are a telephone number.
#[inline(never)]
fn is_called_so(line: &[u8], start: usize, floor: usize) -> bool {
    let from = start.saturating_sub(CONTEXT).max(floor);
    let is = |place, word: &[u8]| is_at_any_case(line, place, word);
    (from..start).any(|place| match at(line, place) | 0x20 {
        b'p' => is(place, b"phone"),
        b'm' => is(place, b"mobile") || is(place, b"msisdn"),
        b'c' => is(place, b"cell"),
        b't' => is(place, b"tel"),
        b'f' => is(place, b"fax"),
        b's' => is(place, b"sms"),
        b'w' => is(place, b"whatsapp"),
        _ => false,
    })
        // Between word and digits there is no other number.
        && !line.get(from..start).unwrap_or_default().iter().any(u8::is_ascii_digit)
}

/// A bank account number that begins at a place with its country's two letters.
#[inline(never)]
fn iban(line: &[u8], start: usize) -> Option<Found> {
    let country: [u8; 2] = line.get(start..start + 2)?.try_into().ok()?;
    if before(line, start).is_ascii_alphanumeric() {
        return None;
    }
    // In small letters only where the rest is digits: hashes have letters.
    let is_small = country.iter().all(u8::is_ascii_lowercase);
    let length = iban_length(if is_small {
        country.map(|byte| byte.to_ascii_uppercase())
    } else {
        country
    })?;
    let separator = at(line, start + 4);
    let (mut text, mut count, mut place) = ([0; 34], 0, start);
    while count < length {
        let byte = at(line, place);
        if byte.is_ascii_digit() || byte.is_ascii_uppercase() && !is_small || is_small && count < 2
        {
            *text.get_mut(count)? = byte.to_ascii_uppercase();
            count += 1;
        } else if !matches!(byte, b' ' | b'-') || byte != separator || count % 4 != 0 {
            return None;
        }
        place += 1;
    }
    let text = text.get(..length)?;
    let check = text.get(2..4)?.iter().all(u8::is_ascii_digit);
    let ends = !at(line, place).is_ascii_alphanumeric();
    (check && ends && modulo_97(text) == 1).then_some(Found {
        start,
        end: place,
        pattern: Pattern::Iban,
    })
}

/// ISO 7064: the country and the check digits go to the end, letters count from 10.
fn modulo_97(text: &[u8]) -> u32 {
    let (head, tail) = text.split_at(4.min(text.len()));
    tail.iter().chain(head).fold(0, |rest, &byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte.wrapping_sub(b'A')) + 10) % 97,
    })
}

/// How long the numbers of a country are, as the registry (ISO 13616) says.
fn iban_length(country: [u8; 2]) -> Option<usize> {
    Some(match &country {
        b"NO" => 15,
        b"BE" => 16,
        b"DK" | b"FI" | b"FO" | b"GL" | b"NL" | b"SD" => 18,
        b"MK" | b"SI" => 19,
        b"AT" | b"BA" | b"EE" | b"KZ" | b"LT" | b"LU" | b"XK" | b"MN" => 20,
        b"CH" | b"HR" | b"LI" | b"LV" => 21,
        b"BG" | b"BH" | b"CR" | b"DE" | b"GB" | b"GE" | b"IE" | b"ME" | b"RS" | b"VA" => 22,
        b"AE" | b"GI" | b"IL" | b"IQ" | b"TL" | b"OM" | b"SO" => 23,
        b"AD" | b"CZ" | b"ES" | b"MD" | b"PK" | b"RO" | b"SA" | b"SE" | b"SK" | b"TN" | b"VG" => 24,
        b"LY" | b"PT" | b"ST" => 25,
        b"IS" | b"TR" => 26,
        b"BI" | b"DJ" | b"FR" | b"GR" | b"IT" | b"MC" | b"MR" | b"SM" => 27,
        b"AL" | b"AZ" | b"BY" | b"CY" | b"DO" | b"EG" | b"GT" | b"HU" | b"LB" | b"NI" | b"PL"
        | b"SV" => 28,
        b"BR" | b"PS" | b"QA" | b"UA" => 29,
        b"JO" | b"KW" | b"MU" | b"YE" => 30,
        b"MT" | b"SC" => 31,
        b"LC" => 32,
        b"RU" => 33,
        _ => return None,
    })
}
