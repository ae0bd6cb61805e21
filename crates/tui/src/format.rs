//! Numbers as people read them.

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1,234` or, from there on, `12.3K`, `1.2M`: a number where there is little room.
pub(crate) fn short(number: u64) -> String {
    let mut value = number as f64;
    let mut unit = "";
    for next in ["K", "M", "G", "T", "P"] {
        if number < 10_000 || value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if unit.is_empty() { count(number) } else { format!("{value:.1}{unit}") }
}

/// `1:02:03`.
pub(crate) fn duration(seconds: u64) -> String {
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(
            (count(0), count(999), count(1_234_567)),
            ("0".into(), "999".into(), "1,234,567".into())
        );
        assert_eq!(duration(3_723), "1:02:03");
        let shorts = [9_999, 10_000, 999_949, 999_950, 12_345_678].map(short);
        assert_eq!(shorts, ["9,999", "10.0K", "999.9K", "1.0M", "12.3M"]);
    }
}
