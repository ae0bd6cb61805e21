//! Lines for each value of each label, for whoever watches. Bounded: names beyond the limit are not counted, and where
//! values are too many the quiet ones are counted together, so no sender can make it grow.
//!
//! Counted once for each stream of a batch, not for each line.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use logtap_loki::Batch;

/// Label names that are counted.
const MAX_NAMES: usize = 64;
/// Values of one name that are counted apart. Beyond it the quieter half makes room: who is loud is seen whenever it comes,
/// and no value is counted as more than it had.
const MAX_VALUES: usize = 1_000;

/// Lines by label value.
#[derive(Debug, Default)]
pub(crate) struct Talkers {
    names: Mutex<BTreeMap<String, Values>>,
}

#[derive(Debug, Default)]
struct Values {
    lines: BTreeMap<String, u64>,
    others: u64,
}

/// Lines for each value of one label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TalkerCounts {
    /// Value and lines, by value.
    pub values: Vec<(String, u64)>,
    /// Lines of values that were not counted apart, or not all the time.
    pub others: u64,
}

impl Talkers {
    /// Counts the lines of a batch behind the first `skipped`.
    pub(crate) fn count(&self, batch: &Batch, skipped: usize) {
        let mut lines = vec![0_u64; batch.streams.len()];
        for entry in batch.entries.iter().skip(skipped) {
            if let Some(lines) = lines.get_mut(entry.stream as usize) {
                *lines += 1;
            }
        }
        let mut names = self.lock();
        for (labels, lines) in batch.streams.iter().zip(lines) {
            if lines == 0 {
                continue;
            }
            for (name, value) in labels {
                if !names.contains_key(name) {
                    if names.len() >= MAX_NAMES {
                        continue;
                    }
                    names.insert(name.clone(), Values::default());
                }
                if let Some(values) = names.get_mut(name) {
                    values.add(value, lines);
                }
            }
        }
    }

    /// The names that were seen.
    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// The lines for each value of a name.
    pub(crate) fn of(&self, name: &str) -> TalkerCounts {
        self.lock().get(name).map_or_else(TalkerCounts::default, |values| TalkerCounts {
            values: values.lines.iter().map(|(value, lines)| (value.clone(), *lines)).collect(),
            others: values.others,
        })
    }

    /// A thread that panics while it counts leaves numbers that are whole.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Values>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Values {
    fn add(&mut self, value: &str, lines: u64) {
        if let Some(count) = self.lines.get_mut(value) {
            *count += lines;
            return;
        }
        if self.lines.len() >= MAX_VALUES {
            self.make_room();
        }
        self.lines.insert(value.to_owned(), lines);
    }

    /// Counts the quieter half together. It is done once for many new values, since it looks at all.
    fn make_room(&mut self) {
        let mut counts: Vec<u64> = self.lines.values().copied().collect();
        let (quieter, middle, _) = counts.select_nth_unstable(MAX_VALUES / 2);
        let middle = *middle;
        // Of those that are as loud as the one in the middle, as many as make it half.
        let mut left = quieter.iter().filter(|lines| **lines == middle).count();
        self.lines.retain(|_, lines| {
            let goes = *lines < middle || (*lines == middle && left > 0);
            left -= usize::from(goes && *lines == middle);
            if goes {
                self.others += *lines;
            }
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_value_what_is_not_skipped() {
        let mut batch = Batch::new();
        batch.streams.push(vec![("app".into(), "web".into()), ("pod".into(), "a".into())]);
        batch.streams.push(vec![("app".into(), "db".into())]);
        for stream in [0, 0, 1, 0] {
            batch.push(stream, 1, 0, b"12345");
        }
        let talkers = Talkers::default();
        talkers.count(&batch, 1);
        assert_eq!(talkers.names(), ["app", "pod"]);
        assert_eq!(talkers.of("app").values, [("db".to_owned(), 1), ("web".to_owned(), 2)]);
        assert_eq!(talkers.of("none"), TalkerCounts::default());
    }

    #[test]
    fn too_many_values_and_names_do_not_make_it_grow() {
        let talkers = Talkers::default();
        for number in 0..2 * MAX_VALUES {
            let mut batch = Batch::new();
            batch.streams.push(vec![
                ("id".into(), number.to_string()),
                (format!("name-{number:04}"), "x".into()),
            ]);
            batch.push(0, 1, 0, b"");
            talkers.count(&batch, 0);
        }
        let counts = talkers.of("id");
        let apart = counts.values.len();
        assert!((MAX_VALUES / 2..=MAX_VALUES).contains(&apart), "{apart}");
        assert_eq!(
            apart as u64 + counts.others,
            2 * MAX_VALUES as u64,
            "each line is counted once"
        );
        assert_eq!(talkers.names().len(), MAX_NAMES);
    }

    #[test]
    fn who_is_loud_is_seen_however_late_it_comes() {
        let mut values = Values::default();
        let mut all = 0;
        for number in 0..20 * MAX_VALUES {
            values.add(&format!("quiet-{number}"), 1);
            all += 1;
            if number > 2 * MAX_VALUES && number.is_multiple_of(7) {
                values.add("late", 3);
                all += 3;
            }
            assert!(values.lines.len() <= MAX_VALUES);
        }
        let late = (2 * MAX_VALUES + 1..20 * MAX_VALUES).filter(|number| number.is_multiple_of(7));
        assert_eq!(values.lines["late"], 3 * late.count() as u64, "and nothing of it is missing");
        assert_eq!(values.lines.values().sum::<u64>() + values.others, all);
    }
}
