//! Lines and bytes a second, from counters that are looked at now and then.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::statistics::Statistics;

/// Seconds that are remembered.
const MAX_SAMPLES: usize = 120;
/// How long a sample is.
const SAMPLE: Duration = Duration::from_secs(1);

/// The last minutes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    /// Lines a second, the newest last.
    pub lines: VecDeque<u64>,
    /// Bytes a second, the newest last.
    pub bytes: VecDeque<u64>,
    /// Lines a second of each talker.
    pub talkers: BTreeMap<String, u64>,
    before: Option<Before>,
}

#[derive(Clone, Debug, PartialEq)]
struct Before {
    at: Duration,
    lines: u64,
    bytes: u64,
    label: Option<String>,
    talkers: BTreeMap<String, u64>,
}

impl Rates {
    /// Takes a look at the counters; once a second it becomes a sample.
    pub fn look(&mut self, now: Duration, statistics: &Statistics, label: Option<&str>) {
        let elapsed = self.before.as_ref().map(|before| now.saturating_sub(before.at));
        if elapsed.is_some_and(|elapsed| elapsed < SAMPLE) {
            return;
        }
        let talkers: BTreeMap<String, u64> = statistics.talkers.iter().cloned().collect();
        if let (Some(before), Some(elapsed)) = (&self.before, elapsed) {
            let rate = |now: u64, then: u64| {
                (now.saturating_sub(then) as f64 / elapsed.as_secs_f64()).round() as u64
            };
            push(&mut self.lines, rate(statistics.lines, before.lines));
            push(&mut self.bytes, rate(statistics.bytes, before.bytes));
            self.talkers.clear();
            if before.label.as_deref() == label {
                for (name, lines) in &talkers {
                    let then = before.talkers.get(name).copied().unwrap_or(0);
                    self.talkers.insert(name.clone(), rate(*lines, then));
                }
            }
        }
        self.before = Some(Before {
            at: now,
            lines: statistics.lines,
            bytes: statistics.bytes,
            label: label.map(str::to_owned),
            talkers,
        });
    }
}

fn push(samples: &mut VecDeque<u64>, sample: u64) {
    if samples.len() >= MAX_SAMPLES {
        samples.pop_front();
    }
    samples.push_back(sample);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_whatever_the_time_between_looks() {
        let mut rates = Rates::default();
        let look = |lines: u64| Statistics {
            lines,
            bytes: lines * 10,
            talkers: vec![("web".into(), lines)],
            ..Statistics::default()
        };
        for (at, lines) in [(0, 100), (500, 150), (2000, 300), (2500, 999), (3000, 400)] {
            rates.look(Duration::from_millis(at), &look(lines), Some("app"));
        }
        assert_eq!(rates.lines, [100, 100]);
        assert_eq!(rates.bytes, [1000, 1000]);
        assert_eq!(rates.talkers["web"], 100);
        rates.look(Duration::from_secs(9), &look(500), Some("pod"));
        assert!(rates.talkers.is_empty());
    }
}
