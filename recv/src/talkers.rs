//! Lines for each value of each label, for whoever watches. Bounded: names and values beyond the limits
//! are counted together, so no sender can make it grow.
//!
//! Counted once for each stream of a batch, not for each line.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use logtap_loki::Batch;

/// Label names that are counted.
const MAX_NAMES: usize = 64;
/// Values of one name that are counted apart.
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
    /// Lines with values that were too many to be counted apart.
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
        } else if self.lines.len() < MAX_VALUES {
            self.lines.insert(value.to_owned(), lines);
        } else {
            self.others += lines;
        }
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
        assert_eq!((counts.values.len(), counts.others), (MAX_VALUES, MAX_VALUES as u64));
        assert_eq!(talkers.names().len(), MAX_NAMES);
    }
}
