//! What people write: sizes as `64MB`, durations as `1h30m`.

use std::time::Duration;

/// A text that is no size or no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// It is no size.
    #[error("`{0}` is no size, such as 512KB, 256MB or 50GB")]
    Size(String),
    /// It is no duration.
    #[error("`{0}` is no duration, such as 500ms, 30s, 15m, 1h30m or 1d")]
    Duration(String),
}

/// Parses a size in bytes: a decimal number and B, KB, MB, GB or TB (or K, M, G, T, KiB ...), each 1024 times the
/// one before. At least one byte.
pub fn size(text: &str) -> Result<u64, UnitError> {
    let wrong = || UnitError::Size(text.to_owned());
    let trimmed = text.trim();
    let end = trimmed.find(|character: char| !character.is_ascii_digit() && character != '.');
    let (number, unit) = trimmed.split_at(end.unwrap_or(trimmed.len()));
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let power = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 1,
        "M" | "MB" | "MIB" => 2,
        "G" | "GB" | "GIB" => 3,
        "T" | "TB" | "TIB" => 4,
        _ => return Err(wrong()),
    };
    let bytes = number * 1024_f64.powi(power);
    if bytes < 1.0 || bytes > u64::MAX as f64 / 2.0 {
        return Err(wrong());
    }
    Ok(bytes as u64)
}

/// Parses a size, or 0 for none.
pub fn size_or_zero(text: &str) -> Result<u64, UnitError> {
    if text.trim() == "0" { Ok(0) } else { size(text) }
}

/// Parses a duration: numbers with ms, s, m, h or d, one behind the other, such as `90s` or `1h30m`. Longer than
/// nothing.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    let wrong = || UnitError::Duration(text.to_owned());
    let mut rest = text.trim();
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let letters = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, behind) = rest.split_at(letters);
        let end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        seconds += number
            * match unit {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3_600.0,
                "d" => 86_400.0,
                _ => return Err(wrong()),
            };
        rest = behind;
    }
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    if duration.is_zero() { Err(wrong()) } else { Ok(duration) }
}

/// Parses a duration, or a number alone of what such flags once took.
pub fn duration_or_number(text: &str, of: Duration) -> Result<Duration, UnitError> {
    let digits = |character: char| character.is_ascii_digit() || character == '.';
    if text.is_empty() || !text.chars().all(digits) {
        return duration(text);
    }
    let number: f64 = text.parse().map_err(|_| UnitError::Duration(text.to_owned()))?;
    Duration::try_from_secs_f64(number * of.as_secs_f64())
        .map_err(|_| UnitError::Duration(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("512", 512),
            ("1.5 kb", 1536),
            ("64M", 64 << 20),
            ("256MB", 256 << 20),
            ("50gb", 50 << 30),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "-1MB", "1.2.3KB", "5 parsecs", "0", "1e5", "99999999999G"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(size_or_zero("0"), Ok(0));
    }

    #[test]
    fn durations_are_sums() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("1.5s", 1_500),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "h", "0s", "-1s", "1y", "1h 30m", "1e99d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_alone_is_of_the_unit_that_was_there_first() {
        let milliseconds = |text| duration_or_number(text, Duration::from_millis(1));
        assert_eq!(milliseconds("200"), Ok(Duration::from_millis(200)));
        assert_eq!(milliseconds("0"), Ok(Duration::ZERO));
        assert_eq!(milliseconds("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration_or_number("0.5", Duration::from_secs(1)), milliseconds("500"));
        for text in ["", ".", "1.2.3", "-1", "soon"] {
            assert!(milliseconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_named_as_it_was_written() {
        assert_eq!(
            size(" lots ").unwrap_err().to_string(),
            "` lots ` is no size, such as 512KB, 256MB or 50GB"
        );
    }
}
