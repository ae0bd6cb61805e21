//! Times as senders write them, in nanoseconds since 1970-01-01 UTC.

/// A number of nanoseconds.
pub(crate) fn nanoseconds(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// A time as text, with its zone.
pub(crate) fn rfc3339(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let time: jiff::Timestamp = text.trim().parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// A time in any of the forms that log senders use: as text with its zone, or a number of seconds,
/// milliseconds, microseconds or nanoseconds, told apart by their size.
pub(crate) fn any(text: &[u8]) -> Option<i64> {
    rfc3339(text).or_else(|| number(std::str::from_utf8(text).ok()?.trim()))
}

fn number(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        // A number with an exponent, as some print floating-point seconds.
        let seconds: f64 = text.parse().ok().filter(|_| text.contains(['e', 'E']))?;
        let nanoseconds = (seconds * 1e9).round();
        return (nanoseconds.abs() < i64::MAX as f64).then_some(nanoseconds as i64);
    }
    let value: i64 = whole.parse().ok()?;
    // What would be a time after the year 5138 in one unit is one in the next smaller unit.
    let unit: i64 = match value {
        0..=99_999_999_999 => 1_000_000_000,
        100_000_000_000..=99_999_999_999_999 => 1_000_000,
        100_000_000_000_000..=99_999_999_999_999_999 => 1_000,
        _ => 1,
    };
    let mut nanoseconds = value.checked_mul(unit)?;
    let mut weight = unit;
    for digit in fraction.bytes() {
        weight /= 10;
        nanoseconds = nanoseconds.checked_add(weight * i64::from(digit - b'0'))?;
    }
    Some(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        const TIME: i64 = 1_700_000_000_123_456_789;
        for (text, expected) in [
            ("2023-11-14T22:13:20.123456789Z", Some(TIME)),
            ("2023-11-14T23:13:20.123456789+01:00", Some(TIME)),
            ("2023-11-14 22:13:20.123456789Z", Some(TIME)),
            ("1700000000.123456789", Some(TIME)),
            ("1700000000123.456789", Some(TIME)),
            ("1700000000123456.789", Some(TIME)),
            ("1700000000123456789", Some(TIME)),
            (" 1700000000 ", Some(TIME - TIME % 1_000_000_000)),
            ("1.7e9", Some(1_700_000_000_000_000_000)),
            ("0", Some(0)),
            ("", None),
            ("yesterday", None),
            ("12:30", None),
            ("-1", None),
            ("1.2.3", None),
            ("inf", None),
            ("1e300", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(any(text.as_bytes()), expected, "{text}");
        }
    }
}
