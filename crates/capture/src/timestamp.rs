//! Points in time as captures spell them: RFC 3339 with up to nine digits of a second.
//!
//! Writing is always UTC with `Z` and is fast: the second is rendered once and reused. Reading takes
//! what the predecessor's readers take. Times outside 1677 to 2262 are moved to the nearer end.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NANOS: i64 = 1_000_000_000;

/// The text for "no time": what a live capture has as the time of its end.
pub const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Nanoseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time of the system's clock.
    pub fn now() -> Self {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
            Err(before) => {
                Self(i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos))
            }
        }
    }

    /// Reads RFC 3339; `None` if it is not that.
    pub fn parse(text: &str) -> Option<Self> {
        parse(text.as_bytes()).map(Self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(32);
        Clockface::new().render(self.0, &mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time"))
    }
}

/// Renders times, remembering the last second, which log lines share more often than not.
#[derive(Clone, Debug)]
pub struct Clockface {
    second: i64,
    text: [u8; 19],
}

impl Default for Clockface {
    fn default() -> Self {
        Self::new()
    }
}

impl Clockface {
    /// A clock face that shows 1970-01-01T00:00:00.
    pub fn new() -> Self {
        Self { second: 0, text: *b"1970-01-01T00:00:00" }
    }

    /// Appends a time as `2024-01-15T10:19:59.001000003Z`, without trailing zeros.
    #[inline]
    pub fn render(&mut self, nanos: i64, out: &mut Vec<u8>) {
        let second = nanos.div_euclid(NANOS);
        if second != self.second {
            self.set(second);
        }
        out.extend_from_slice(&self.text);
        let fraction = nanos.rem_euclid(NANOS) as u32;
        if fraction != 0 {
            let mut digits = [b'.'; 10];
            let mut rest = fraction;
            for digit in digits.iter_mut().skip(1).rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            let mut length = 10;
            while length > 1 && digits.get(length - 1) == Some(&b'0') {
                length -= 1;
            }
            out.extend_from_slice(digits.get(..length).unwrap_or_default());
        }
        out.push(b'Z');
    }

    #[cold]
    fn set(&mut self, second: i64) {
        let days = second.div_euclid(86_400);
        let of_day = second.rem_euclid(86_400);
        let (year, month, day) = date_of(days);
        self.text = *b"0000-00-00T00:00:00";
        let fields = [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, of_day / 3600),
            (14, 2, of_day / 60 % 60),
            (17, 2, of_day % 60),
        ];
        for (at, width, value) in fields {
            let mut rest = value;
            for digit in self.text.iter_mut().skip(at).take(width).rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        self.second = second;
    }
}

/// Year, month and day of a day counted from 1970-01-01 in the Gregorian calendar.
fn date_of(days: i64) -> (i64, i64, i64) {
    // Years are counted from March, so that the leap day is the last one of its year.
    let from_march_0000 = days + 719_468;
    let era = from_march_0000.div_euclid(146_097);
    let day_of_era = from_march_0000.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The day, counted from 1970-01-01, of a date.
fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn number(text: &[u8], from: usize, length: usize) -> Option<i64> {
    text.get(from..from + length)?.iter().try_fold(0_i64, |value, &byte| {
        byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'))
    })
}

fn parse(text: &[u8]) -> Option<i64> {
    let year = number(text, 0, 4)?;
    let month = number(text, 5, 2)?;
    let day = number(text, 8, 2)?;
    let hour = number(text, 11, 2)?;
    let minute = number(text, 14, 2)?;
    let second = number(text, 17, 2)?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|&(at, mark)| text.get(at) != Some(&mark)) {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut at = 19;
    let mut fraction = 0_i64;
    if matches!(text.get(at), Some(b'.' | b',')) {
        at += 1;
        let first = at;
        let mut unit = NANOS / 10;
        while let Some(digit) = text.get(at).filter(|byte| byte.is_ascii_digit()) {
            fraction += i64::from(digit - b'0') * unit;
            unit /= 10;
            at += 1;
        }
        if at == first {
            return None;
        }
    }
    let zone = text.get(at..)?;
    let offset = match zone {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let hours = number(zone, 1, 2)?;
            let minutes = number(zone, 4, 2)?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3600 + minutes * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let seconds = day_of(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    // Wider, because the earliest time of all begins before the second that it is in.
    let nanos = i128::from(seconds) * i128::from(NANOS) + i128::from(fraction);
    Some(nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_what_jiff_writes_and_reads_back(nanos: i64) {
            let text = Timestamp(nanos).to_string();
            prop_assert_eq!(Timestamp::parse(&text), Some(Timestamp(nanos)));
            let reference = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap();
            prop_assert_eq!(text, reference.to_string());
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            let _: Option<Timestamp> = Timestamp::parse(&text);
        }
    }

    #[test]
    fn the_earliest_and_the_latest_time_survive() {
        for time in [Timestamp(i64::MIN), Timestamp(i64::MIN + 1), Timestamp(i64::MAX)] {
            assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        }
    }

    #[test]
    fn takes_what_the_predecessor_takes_and_nothing_else() {
        let base = Timestamp::parse("2024-01-15T10:19:59Z").unwrap();
        for (text, nanos) in [
            ("2024-01-15T10:19:59.5Z", 500_000_000),
            ("2024-01-15T10:19:59,000000001Z", 1),
            ("2024-01-15T10:19:59.1234567899999Z", 123_456_789),
            ("2024-01-15T11:19:59+01:00", 0),
            ("2024-01-15T04:49:59-05:30", 0),
        ] {
            assert_eq!(Timestamp::parse(text), Some(Timestamp(base.0 + nanos)), "{text}");
        }
        for text in [
            "",
            "2024-01-15t10:19:59Z",
            "2024-01-15T10:19:59z",
            "2024-01-15 10:19:59Z",
            "2024-01-15T10:19:60Z",
            "2024-01-15T24:00:00Z",
            "2024-01-15T10:19:59+0100",
            "2024-01-15T10:19:59.Z",
            "2024-02-30T10:19:59Z",
            "2024-01-15T10:19:59",
            "1705313999",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn times_beyond_the_range_go_to_its_ends() {
        assert_eq!(Timestamp::parse(ZERO_TIME), Some(Timestamp(i64::MIN)));
        assert_eq!(Timestamp::parse("9999-12-31T23:59:59Z"), Some(Timestamp(i64::MAX)));
    }
}
