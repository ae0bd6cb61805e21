//! Times that are in another unit than nanoseconds, as it seems: taken for nanoseconds, they are in the first
//! weeks of 1970. They are stored as they came, as Loki does it; who runs the receiver is told once for each
//! stream.
//!
//! Refuses to correct a time: a guess that is wrong could not be taken back.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use logtap_capture::Redactor;
use logtap_loki::{Batch, print_pairs};

/// Of so many streams somebody is told.
const MAX_TOLD: usize = 1000;

/// From 2010 to 2100, in seconds since 1970: when lines may be from that are sent now.
const FIRST: i64 = 1_262_304_000;
const LAST: i64 = 4_102_444_800;

/// The streams of which somebody was told.
#[derive(Debug, Default)]
pub(crate) struct OddTimes {
    told: Mutex<HashSet<u64>>,
    hashing: RandomState,
}

/// What is odd about the times of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Oddity {
    /// How many lines have such a time.
    pub(crate) lines: u64,
    /// What to tell.
    pub(crate) texts: Vec<String>,
}

impl OddTimes {
    /// Looks at the times of a push.
    pub(crate) fn look(&self, batch: &Batch, redactor: &Redactor) -> Oddity {
        let mut oddity = Oddity::default();
        let mut latest = None;
        for entry in &batch.entries {
            if entry.timestamp > LAST * 1_000_000 {
                continue;
            }
            let Some(unit) = unit_of(entry.timestamp) else { continue };
            oddity.lines += 1;
            if latest == Some(entry.stream) {
                continue;
            }
            latest = Some(entry.stream);
            let Some(labels) = batch.streams.get(entry.stream as usize) else { continue };
            if !self.is_new(self.hashing.hash_one(labels)) {
                continue;
            }
            let mut name = String::new();
            let redacted = redactor.redact_pairs(labels);
            let pairs = redacted.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            print_pairs(pairs, &mut name);
            oddity.texts.push(format!(
                "the times of stream {name} are {unit}, it seems, such as {}; Loki's push wants \
                 nanoseconds, and they are stored as such, in 1970",
                entry.timestamp
            ));
        }
        oddity
    }

    fn is_new(&self, stream: u64) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MAX_TOLD && told.insert(stream)
    }
}

/// The unit in which a time would be one that lines have.
fn unit_of(time: i64) -> Option<&'static str> {
    [(1, "seconds"), (1000, "milliseconds"), (1_000_000, "microseconds")]
        .into_iter()
        .find_map(|(unit, name)| (FIRST * unit..=LAST * unit).contains(&time).then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_told_by_the_size() {
        for (time, unit) in [
            (1_700_000_000, Some("seconds")),
            (1_700_000_000_123, Some("milliseconds")),
            (1_700_000_000_123_456, Some("microseconds")),
            (1_700_000_000_123_456_789, None),
            (0, None),
            (1, None),
            (-1_700_000_000, None),
            (500_000_000_000_000_000, None),
        ] {
            assert_eq!(unit_of(time), unit, "{time}");
        }
    }

    #[test]
    fn each_stream_is_told_of_once() {
        let times = OddTimes::default();
        let mut batch = Batch::new();
        for app in ["web", "shop"] {
            batch.streams.push(vec![("app".into(), app.into())]);
        }
        for stream in [0, 1, 0, 1] {
            batch.push(stream, 1_700_000_000_123, 0, b"x");
        }
        batch.push(0, 1_700_000_000_123_456_789, 0, b"x");
        let oddity = times.look(&batch, &Redactor::none());
        assert_eq!((oddity.lines, oddity.texts.len()), (4, 2));
        assert!(
            oddity.texts[0].starts_with(
                "the times of stream {app=\"web\"} are milliseconds, it seems, such as \
                 1700000000123"
            ),
            "{oddity:?}"
        );
        let again = times.look(&batch, &Redactor::none());
        assert_eq!(again, Oddity { lines: 4, texts: Vec::new() });
        for number in 0..2 * MAX_TOLD {
            batch.streams[0] = vec![("app".into(), number.to_string())];
            drop(times.look(&batch, &Redactor::none()));
        }
        batch.streams[0] = vec![("app".into(), "last".into())];
        assert!(times.look(&batch, &Redactor::none()).texts.is_empty(), "it ends at some point");
    }
}
