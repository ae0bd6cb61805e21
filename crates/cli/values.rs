//! How values on the command line are written: sizes in bytes, durations.

use std::time::Duration;

/// Parses a size: a decimal number and B, KB, MB, GB or TB (or K, M, G, T, KiB ...), each 1024 times
/// the one before.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let wrong = || format!("`{text}` is no size, such as 512KB, 256MB or 50GB");
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
pub(crate) fn size_or_zero(text: &str) -> Result<u64, String> {
    if text.trim() == "0" { Ok(0) } else { size(text) }
}

/// Parses a duration: numbers with ms, s, m, h or d, one behind the other, such as 90s or 1h30m.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration, such as 500ms, 30s, 15m, 1h30m or 1d");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("512", 512),
            ("1.5 kb", 1536),
            ("256MB", 256 << 20),
            ("50gb", 50 << 30),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "-1MB", "1.2.3KB", "5 parsecs", "0", "1e5"] {
            assert!(size(text).is_err(), "{text}");
        }
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
        assert_eq!(size_or_zero("0"), Ok(0));
        assert!(size("0").is_err());
    }
}
