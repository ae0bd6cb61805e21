//! How many lines there are at which time: true counts, in buckets of a minute that get wider where they are many.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// Nanoseconds of the narrowest bucket.
const MINUTE: i64 = 60_000_000_000;
/// More buckets than this are not kept: they become half as many of twice the width.
const MOST: usize = 64;
/// What a bucket takes in a line of the index, at most.
const LISTED: u64 = 36;
/// What the counts take there without buckets.
const LISTED_BASE: u64 = 48;
/// The widest bucket has all the time there is.
const WIDEST: u32 = 30;

/// Lines by time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeCounts {
    /// How often the width of a minute was doubled; told as the width in minutes.
    #[serde(rename = "minutes", with = "minutes")]
    doubled: u32,
    /// The lines of each bucket, by its number: the time of its beginning divided by its width.
    lines: BTreeMap<i64, u64>,
}

/// The width of buckets as a number of minutes.
mod minutes {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::WIDEST;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
    pub(super) fn serialize<S: Serializer>(doubled: &u32, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(1 << (*doubled).min(WIDEST))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        let minutes = u64::deserialize(from)?;
        let doubled = minutes.trailing_zeros();
        if minutes.is_power_of_two() && doubled <= WIDEST {
            Ok(doubled)
        } else {
            Err(D::Error::custom("not a width of buckets"))
        }
    }
}

/// The lines of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeCount {
    /// When the bucket begins.
    pub from: Timestamp,
    /// Its last nanosecond.
    pub to: Timestamp,
    /// How many lines are in it.
    pub lines: u64,
}

impl TimeCounts {
    /// Of these times.
    pub fn of(times: impl Iterator<Item = i64>) -> Self {
        let mut counts = Self::default();
        // Neighbours are of one time most often.
        let mut run = (0, 0);
        for time in times {
            let bucket = time.div_euclid(MINUTE);
            if run.0 != bucket {
                counts.add(run.0, run.1);
                run = (bucket, 0);
            }
            run.1 += 1;
        }
        counts.add(run.0, run.1);
        counts
    }

    fn add(&mut self, minute: i64, lines: u64) {
        if lines > 0 {
            let count = self.lines.entry(minute >> self.doubled).or_default();
            *count = count.saturating_add(lines);
            self.shrink();
        }
    }

    /// Counts all lines of others too.
    pub fn add_all(&mut self, others: &Self) {
        while self.doubled < others.doubled {
            self.double();
        }
        for (bucket, lines) in &others.lines {
            let count = self.lines.entry(bucket >> (self.doubled - others.doubled)).or_default();
            *count = count.saturating_add(*lines);
        }
        self.shrink();
    }

    /// Makes them as few as ours are, where somebody else has written more.
    pub(crate) fn shrink(&mut self) {
        while self.lines.len() > MOST && self.doubled < WIDEST {
            self.double();
        }
    }

    fn double(&mut self) {
        self.doubled += 1;
        for (bucket, lines) in std::mem::take(&mut self.lines) {
            let count = self.lines.entry(bucket >> 1).or_default();
            *count = count.saturating_add(lines);
        }
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// All lines.
    pub fn lines(&self) -> u64 {
        self.lines.values().copied().fold(0, u64::saturating_add)
    }

    /// The buckets that have lines, in order.
    pub fn buckets(&self) -> impl Iterator<Item = TimeCount> + '_ {
        let width = MINUTE.saturating_mul(1_i64.checked_shl(self.doubled.min(WIDEST)).unwrap_or(1));
        self.lines.iter().map(move |(bucket, lines)| {
            let from = bucket.saturating_mul(width);
            TimeCount {
                from: Timestamp(from),
                to: Timestamp(from.saturating_add(width - 1)),
                lines: *lines,
            }
        })
    }

    /// What they take in a line of the index, at most.
    pub(crate) fn listed_bytes(&self) -> u64 {
        LISTED_BASE + LISTED * self.lines.len() as u64
    }

    /// What these would add to that, at most.
    pub(crate) fn growth(&self, others: &Self) -> u64 {
        LISTED * others.lines.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_minute_is_counted_as_long_as_they_are_few() {
        let times = (0..1000)
            .map(|number| number * 10_000_000)
            .chain((0..10).map(|_| 3600 * 1_000_000_000));
        let counts = TimeCounts::of(times);
        let buckets: Vec<_> =
            counts.buckets().map(|one| (one.from.0 / MINUTE, one.lines)).collect();
        assert_eq!(buckets, [(0, 1000), (60, 10)]);
        let text = serde_json::to_string(&counts).unwrap();
        assert_eq!(text, r#"{"minutes":1,"lines":{"0":1000,"60":10}}"#);
        assert_eq!(serde_json::from_str::<TimeCounts>(&text).unwrap(), counts);
    }

    proptest! {
        #[test]
        fn no_line_is_lost_and_every_time_is_in_its_bucket(
            parts in proptest::collection::vec(proptest::collection::vec(any::<i64>(), 0..100), 0..8)
        ) {
            let mut counts = TimeCounts::default();
            for part in &parts {
                let others = TimeCounts::of(part.iter().copied());
                let most = counts.listed_bytes() + counts.growth(&others);
                counts.add_all(&others);
                prop_assert!(counts.listed_bytes() <= most);
            }
            let times = parts.iter().flatten();
            prop_assert_eq!(counts.lines(), times.clone().count() as u64);
            prop_assert!(counts.lines.len() <= MOST);
            let size = serde_json::to_string(&counts).unwrap().len() as u64;
            prop_assert!(size + 10 <= counts.listed_bytes());
            for time in times {
                let is_in = |one: TimeCount| (one.from.0..=one.to.0).contains(time);
                prop_assert!(counts.buckets().any(is_in), "{}", time);
            }
        }
    }
}
