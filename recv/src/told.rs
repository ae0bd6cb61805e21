//! What the audit trail has told of losses: read from it at the start, so that what a killed receiver had
//! no time to tell is told by the next one, and nothing twice.
//!
//! The sum of what a trail tells begins anew with each `losses_before`, which says how much it was by then;
//! so one file of the trail says all, whatever became of older ones. Refuses to guess: where the streams
//! of a difference do not add up, the lines are told as nobody's in particular.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

use logtap_capture::{Losses, OTHERS, StreamCounts};
use serde::{Deserialize, Serialize};

/// A longer line of a trail is none of ours that tells of losses.
const MAX_LINE: u64 = 1 << 20;

/// Lines by stream.
pub(crate) type Streams = BTreeMap<String, u64>;

/// How lines were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// They were stored, and their segments went for want of room.
    Removed,
    /// They came and were not stored.
    Dropped,
}

impl Loss {
    pub(crate) const ALL: [Self; 2] = [Self::Removed, Self::Dropped];
}

/// So many lines, and whose they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) lines: u64,
    pub(crate) streams: Streams,
}

impl Sum {
    /// All lines that were lost in one way.
    pub(crate) fn of(loss: Loss, losses: &Losses) -> Self {
        let by_name = |streams: &StreamCounts| {
            streams.iter().map(|(name, lines)| (name.to_owned(), lines)).collect()
        };
        let (lines, streams) = match loss {
            Loss::Removed => (losses.removed.lines, by_name(&losses.removed_streams)),
            Loss::Dropped => (losses.dropped.lines, by_name(&losses.dropped.streams)),
        };
        Self { lines, streams }
    }

    /// The same lines, of nobody in particular.
    pub(crate) fn condensed(self) -> Self {
        let Self { lines, .. } = self;
        Self { lines, streams: [(OTHERS.to_owned(), lines)].into() }
    }

    fn add(&mut self, more: Self) {
        self.lines = self.lines.saturating_add(more.lines);
        for (name, lines) in more.streams {
            let sum = self.streams.entry(name).or_default();
            *sum = sum.saturating_add(lines);
        }
    }

    /// What is in another sum and not in this one.
    fn missing_of(&self, all: &Self) -> Self {
        let lines = all.lines.saturating_sub(self.lines);
        let since = |(name, lines): (&String, &u64)| {
            let more = lines.saturating_sub(self.streams.get(name).copied().unwrap_or(0));
            (more > 0).then(|| (name.clone(), more))
        };
        let streams: Streams = all.streams.iter().filter_map(since).collect();
        let missing = Self { lines, streams };
        if missing.streams.values().sum::<u64>() == lines { missing } else { missing.condensed() }
    }
}

/// What a trail has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    removed: Sum,
    dropped: Sum,
}

/// What is looked at in a record.
#[derive(Deserialize)]
struct Record {
    event: String,
    loss: Loss,
    #[serde(default)]
    lines: u64,
    #[serde(default)]
    streams: Streams,
}

impl Told {
    /// Sums up a trail. Lines that cannot be read tell nothing.
    pub(crate) fn read(mut trail: impl BufRead) -> io::Result<Self> {
        let mut told = Self::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            if (&mut trail).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                return Ok(told);
            }
            if memchr::memmem::find(&line, b"\"loss\":").is_none() {
                continue;
            }
            let Ok(record) = serde_json::from_slice::<Record>(&line) else { continue };
            let Record { event, loss, lines, streams } = record;
            match event.as_str() {
                "losses_before" => *told.sum_mut(loss) = Sum { lines, streams },
                "lines_dropped" => told.add(loss, Sum { lines, streams }),
                _ => {}
            }
        }
    }

    /// What was told of lines that were lost in one way.
    pub(crate) fn sum(&self, loss: Loss) -> &Sum {
        match loss {
            Loss::Removed => &self.removed,
            Loss::Dropped => &self.dropped,
        }
    }

    fn sum_mut(&mut self, loss: Loss) -> &mut Sum {
        match loss {
            Loss::Removed => &mut self.removed,
            Loss::Dropped => &mut self.dropped,
        }
    }

    /// Notes what was told.
    pub(crate) fn add(&mut self, loss: Loss, more: Sum) {
        self.sum_mut(loss).add(more);
    }

    /// Begins anew from what is known.
    pub(crate) fn set(&mut self, loss: Loss, sum: Sum) {
        *self.sum_mut(loss) = sum;
    }

    /// What is to be told yet.
    pub(crate) fn untold(&self, loss: Loss, losses: &Losses) -> Option<Sum> {
        let missing = self.sum(loss).missing_of(&Sum::of(loss, losses));
        (missing.lines > 0).then_some(missing)
    }

    /// Whether a trail tells more than there was.
    pub(crate) fn is_too_much(&self, loss: Loss, losses: &Losses) -> bool {
        self.sum(loss).lines > Sum::of(loss, losses).lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(streams: &[(&str, u64)]) -> Sum {
        let streams: Streams =
            streams.iter().map(|(name, lines)| ((*name).to_owned(), *lines)).collect();
        Sum { lines: streams.values().sum(), streams }
    }

    #[test]
    fn a_trail_is_summed_up_from_where_it_begins_anew() {
        let trail = concat!(
            r#"{"event":"lines_dropped","loss":"removed","lines":5,"streams":{"{a=\"1\"}":5}}"#,
            "\n",
            r#"{"event":"lines_dropped","loss":"dropped","lines":7,"streams":{"{a=\"1\"}":7}}"#,
            "\n{\"event\":\"rotation\"}\nnonsense \"loss\":\n\n",
            r#"{"event":"losses_before","loss":"removed","lines":2,"streams":{"{a=\"1\"}":2}}"#,
            "\n",
            r#"{"event":"lines_dropped","loss":"removed","lines":1,"streams":{"{b=\"1\"}":1}}"#,
            "\n",
            r#"{"event":"lines_dropped","loss":"rem"#,
        );
        let told = Told::read(trail.as_bytes()).unwrap();
        assert_eq!(*told.sum(Loss::Removed), sum(&[("{a=\"1\"}", 2), ("{b=\"1\"}", 1)]));
        assert_eq!(*told.sum(Loss::Dropped), sum(&[("{a=\"1\"}", 7)]));
    }

    #[test]
    fn the_difference_adds_up_or_is_of_nobody_in_particular() {
        let told = sum(&[("a", 1), ("b", 2)]);
        assert_eq!(told.missing_of(&told), sum(&[]));
        assert_eq!(
            told.missing_of(&sum(&[("a", 3), ("b", 2), ("c", 1)])),
            sum(&[("a", 2), ("c", 1)])
        );
        // Names were given up since then.
        assert_eq!(told.missing_of(&sum(&[(OTHERS, 5)])), sum(&[(OTHERS, 2)]));
        assert_eq!(told.missing_of(&sum(&[("a", 1)])).lines, 0);
    }
}
