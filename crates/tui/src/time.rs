//! Times as people type them, and as they are shown. Always UTC, as in the capture.

use logtap_capture::Timestamp;

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

/// How much of a time is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeStyle {
    /// `10:19:59.001`
    Clock,
    /// `2024-01-15T10:19:59.001000003Z`
    Full,
    /// Nothing.
    Hidden,
}

impl TimeStyle {
    /// The next one.
    pub fn next(self) -> Self {
        match self {
            Self::Clock => Self::Full,
            Self::Full => Self::Hidden,
            Self::Hidden => Self::Clock,
        }
    }

    /// The one that takes less room.
    pub(crate) fn shorter(self) -> Self {
        match self {
            Self::Full => Self::Clock,
            Self::Clock | Self::Hidden => Self::Hidden,
        }
    }

    /// Cells of a time in this style.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Full => "2024-01-15T10:19:59.001000003Z".len(),
            Self::Clock => "10:19:59.001".len(),
            Self::Hidden => 0,
        }
    }

    /// A time in this style.
    pub fn show(self, time: Option<Timestamp>) -> String {
        match (self, time) {
            (Self::Hidden, _) => String::new(),
            (style, None) => " ".repeat(style.width()),
            (Self::Full, Some(time)) => format!("{:<30}", time.to_string()),
            (Self::Clock, Some(time)) => clock(time),
        }
    }
}

/// `10:19:59.001`
pub(crate) fn clock(time: Timestamp) -> String {
    let of_day = time.0.rem_euclid(DAY);
    let seconds = of_day / SECOND;
    let milliseconds = of_day % SECOND / 1_000_000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{milliseconds:03}", seconds % 60)
}

/// Reads a time: with a date, of a day, or before the end of the capture (`-5m`). A time of a day is that of the
/// last day on which the capture has it.
pub(crate) fn parse(text: &str, range: (Timestamp, Timestamp)) -> Result<Timestamp, String> {
    let text = text.trim();
    let (first, last) = range;
    if let Some(ago) = text.strip_prefix('-').and_then(duration) {
        return Ok(Timestamp(last.0.saturating_sub(ago)));
    }
    if let Some(time) = with_date(text) {
        return Ok(time);
    }
    if let Some(of_day) = of_day(text) {
        let today = last.0.div_euclid(DAY) * DAY + of_day;
        let before = today.saturating_sub(DAY);
        return Ok(Timestamp(if today > last.0 && before >= first.0 { before } else { today }));
    }
    Err(format!("`{text}` is no time  hint: 10:42, 10:42:07.5, 2026-11-21T10:42, -5m"))
}

fn with_date(text: &str) -> Option<Timestamp> {
    let full = text.replacen(' ', "T", 1);
    let rest = match full.len() {
        10 => "T00:00:00Z",
        16 => ":00Z",
        _ if full.get(10..).is_some_and(|time| !time.contains(['Z', '+', '-'])) => "Z",
        _ => "",
    };
    Timestamp::parse(&format!("{full}{rest}"))
}

/// Nanoseconds since midnight.
fn of_day(text: &str) -> Option<i64> {
    let seconds = if text.len() <= 5 { ":00" } else { "" };
    let zero = if text.find(':') == Some(1) { "0" } else { "" };
    let time = Timestamp::parse(&format!("1970-01-01T{zero}{text}{seconds}Z"))?;
    Some(time.0)
}

/// `90s`, `5m`, `2h`, `1d`.
fn duration(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        "d" => DAY,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_typed() {
        let time = |text: &str| Timestamp::parse(text).unwrap();
        let range = (time("2024-01-14T12:00:00Z"), time("2024-01-15T10:19:59Z"));
        for (text, expected) in [
            ("10:00", "2024-01-15T10:00:00Z"),
            ("9:00", "2024-01-15T09:00:00Z"),
            ("23:10:05.5", "2024-01-14T23:10:05.5Z"),
            ("11:00", "2024-01-15T11:00:00Z"),
            ("2024-01-15", "2024-01-15T00:00:00Z"),
            ("2024-01-15 10:01", "2024-01-15T10:01:00Z"),
            ("2024-01-15T10:01:02.25", "2024-01-15T10:01:02.25Z"),
            ("2024-01-15T10:01:02+01:00", "2024-01-15T09:01:02Z"),
            ("-5m", "2024-01-15T10:14:59Z"),
            (" -1d ", "2024-01-14T10:19:59Z"),
        ] {
            assert_eq!(parse(text, range), Ok(time(expected)), "{text}");
        }
        for text in ["", "noon", "25:00", "-5x", "10", "\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}"] {
            assert!(parse(text, range).unwrap_err().contains(&format!("`{text}`")), "{text}");
        }
    }

    #[test]
    fn times_are_shown_in_three_ways() {
        let time = Timestamp::parse("2024-01-15T10:19:59.001000003Z");
        assert_eq!(TimeStyle::Clock.show(time), "10:19:59.001");
        assert_eq!(TimeStyle::Full.show(time), "2024-01-15T10:19:59.001000003Z");
        assert_eq!(TimeStyle::Clock.show(None).len(), 12);
    }
}
