//! What a capture does when there is no room: who has to go, and what is counted as lost.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use logtap_loki::Labels;
use serde::{Deserialize, Serialize};

/// More streams than this are counted together as [`OTHERS`].
const MAX_STREAMS: usize = 1_000;
/// The name under which further streams are counted.
pub(crate) const OTHERS: &str = "(others)";

/// What happens to a batch for which there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// The oldest closed segments go; if that is not enough, the batch is refused, and its sender keeps it.
    #[default]
    Reject,
    /// The oldest segments go, also the one that is being written; a batch that has no room even then is
    /// dropped and counted.
    DropOldest,
    /// What is stored stays; the batch is dropped and counted.
    DropNewest,
}

/// Lines that were acknowledged and not stored, because the user chose so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// How many.
    pub lines: u64,
    /// Their bytes, as the programs wrote them.
    pub bytes: u64,
    /// How many by stream, as `{name="value"}`.
    #[serde(default)]
    pub streams: BTreeMap<String, u64>,
}

impl Dropped {
    pub(crate) fn is_nothing(&self) -> bool {
        self.lines == 0
    }

    /// The same sums, of no stream in particular.
    pub(crate) fn without_streams(&self) -> Self {
        let streams = match self.lines {
            0 => BTreeMap::new(),
            lines => [(OTHERS.to_owned(), lines)].into(),
        };
        Self { streams, ..*self }
    }

    /// Counts lines of a stream.
    pub fn add(&mut self, labels: &Labels, lines: u64, bytes: u64) {
        self.lines += lines;
        self.bytes += bytes;
        let mut name = stream_name(labels);
        if !self.streams.contains_key(&name) && self.streams.len() >= MAX_STREAMS {
            OTHERS.clone_into(&mut name);
        }
        *self.streams.entry(name).or_default() += lines;
    }
}

/// A stream's labels as Loki writes them.
fn stream_name(labels: &Labels) -> String {
    let pairs = labels.iter().map(|(name, value)| format!("{name}={value:?}"));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

/// Bytes that are free for this process in the file system of a directory.
pub(crate) fn free_bytes(directory: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(directory)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_counted_by_stream_and_streams_are_limited() {
        let mut dropped = Dropped::default();
        let labels = |value: &str| vec![("app".to_owned(), value.to_owned())];
        for number in 0..MAX_STREAMS + 5 {
            dropped.add(&labels(&number.to_string()), 1, 10);
        }
        dropped.add(&labels("0"), 2, 20);
        assert_eq!((dropped.lines, dropped.bytes), (1_007, 10_070));
        assert_eq!(dropped.streams["{app=\"0\"}"], 3);
        assert_eq!(dropped.streams[OTHERS], 5);
        assert_eq!(dropped.streams.values().sum::<u64>(), dropped.lines);
    }
}
