//! What people read: `1,204 lines`, `96.1 KB`.

/// A number and its noun, thousands apart.
pub fn plural(count: u64, noun: &str) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let ending = if count == 1 { "" } else { "s" };
    format!("{grouped} {noun}{ending}")
}

/// Bytes in the unit that a person would take, each 1024 of the one before.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart_and_one_has_no_s() {
        assert_eq!(plural(1, "line"), "1 line");
        assert_eq!(plural(1_234_567, "line"), "1,234,567 lines");
        assert_eq!(plural(0, "line"), "0 lines");
    }

    #[test]
    fn what_is_shown_can_be_read_back() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(96 << 10), "96.0 KB");
        assert_eq!(size(u64::MAX / 2), "8388608.0 TB");
        assert_eq!(crate::read::size(&size(64 << 20)), Ok(64 << 20));
    }
}
