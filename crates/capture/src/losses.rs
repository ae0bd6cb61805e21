//! What a capture has lost, by stream.
//!
//! A stream is a set of labels. Only so many of them are told apart, the first that lose something;
//! the lines of all others are counted together under [`OTHERS`], so that counts always add up to what
//! was lost. A stream that has a name keeps it: who sums up what was told in pieces gets the same.

use std::collections::BTreeMap;

use logtap_loki::print_pairs;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// More streams than this are counted together as [`OTHERS`].
const MAX_STREAMS: usize = 1_000;
/// A stream whose labels are longer than so many bytes is counted there too.
const MAX_NAME: usize = 2_048;
/// Names of streams take no more than so many bytes in any one list.
pub(crate) const MAX_NAMES_BYTES: u64 = 64 * 1024;
/// The name under which further streams are counted.
pub const OTHERS: &str = "(others)";

/// What a number and the marks around it and a name take in JSON, at most.
const LISTED_BASE: u64 = 26;

/// What a name with its number takes in JSON, at most.
pub(crate) fn listed(name: &str) -> u64 {
    let wider = name.bytes().map(|byte| match byte {
        b'"' | b'\\' => 1,
        0..0x20 => 5,
        _ => 0,
    });
    name.len() as u64 + 2 + wider.sum::<u64>() + LISTED_BASE
}

/// Lines by stream, as `{name="value"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    counts: BTreeMap<String, u64>,
    /// What the names take in JSON, or a little more, without [`OTHERS`].
    listed_bytes: u64,
}

impl StreamCounts {
    /// Counts lines of a stream, under its own name if there is room in so many bytes of names.
    pub(crate) fn add(&mut self, name: &str, lines: u64, room: u64) {
        if let Some(count) = self.counts.get_mut(name) {
            *count = count.saturating_add(lines);
            return;
        }
        let listed = listed(name);
        let is_told = self.counts.len() < MAX_STREAMS
            && name.len() <= MAX_NAME
            && self.listed_bytes.saturating_add(listed) <= room;
        if is_told && name != OTHERS {
            self.listed_bytes += listed;
            self.counts.insert(name.to_owned(), lines);
        } else {
            let count = self.counts.entry(OTHERS.to_owned()).or_default();
            *count = count.saturating_add(lines);
        }
    }

    /// Counts lines of which nobody knows whose they were.
    pub fn add_unnamed(&mut self, lines: u64) {
        self.add(OTHERS, lines, 0);
    }

    /// Adds up to `lines` lines of which it is known here whose some or all of them were.
    pub(crate) fn add_all(&mut self, known: &Self, lines: u64, room: u64) {
        let rest = lines.checked_sub(known.lines());
        if rest.is_some() {
            // The largest are told apart where not all can be.
            let mut streams: Vec<_> = known.iter().collect();
            streams.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
            for (name, lines) in streams {
                self.add(name, lines, room);
            }
        }
        // A list that says more than there was says nothing.
        let rest = rest.unwrap_or(lines);
        if rest > 0 {
            self.add_unnamed(rest);
        }
    }

    /// What these streams would add to [`StreamCounts::listed_bytes`], at most.
    pub(crate) fn growth(&self, names: &[String], room: u64) -> u64 {
        let new = names.iter().filter(|name| !self.counts.contains_key(name.as_str()));
        let new = new.map(|name| listed(name)).sum::<u64>();
        new.min(self.room_left(room))
    }

    /// Bytes of names that may be added yet.
    pub(crate) fn room_left(&self, room: u64) -> u64 {
        room.saturating_sub(self.listed_bytes)
    }

    /// What its names take in JSON, at most.
    pub(crate) fn listed_bytes(&self) -> u64 {
        self.listed_bytes
    }

    /// The same sum, of no stream in particular.
    #[must_use]
    pub(crate) fn condensed(&self) -> Self {
        let counts = match self.lines() {
            0 => BTreeMap::new(),
            lines => [(OTHERS.to_owned(), lines)].into(),
        };
        Self { counts, listed_bytes: 0 }
    }

    /// All lines.
    pub fn lines(&self) -> u64 {
        self.counts.values().fold(0, |sum, lines| sum.saturating_add(*lines))
    }

    /// The streams in ascending order with their lines.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(name, lines)| (name.as_str(), *lines))
    }

    /// The lines of a stream.
    pub fn get(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

impl From<BTreeMap<String, u64>> for StreamCounts {
    fn from(counts: BTreeMap<String, u64>) -> Self {
        let names = counts.keys().filter(|name| *name != OTHERS);
        let listed_bytes = names.map(|name| listed(name)).sum();
        Self { counts, listed_bytes }
    }
}

impl Serialize for StreamCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.counts.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StreamCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let counts = Option::<BTreeMap<String, u64>>::deserialize(deserializer)?;
        Ok(counts.unwrap_or_default().into())
    }
}

/// Lines that came and were not stored, because the user chose so or because nobody could be asked to
/// send them again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// How many.
    pub lines: u64,
    /// Their bytes, as the programs wrote them.
    pub bytes: u64,
    /// How many of the lines came where nobody can be asked to send again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unanswered: u64,
    /// How many lines by stream.
    #[serde(default)]
    pub streams: StreamCounts,
}

impl Dropped {
    pub(crate) fn is_nothing(&self) -> bool {
        self.lines == 0
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// All that a capture has lost over its whole life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// What went with old segments.
    pub removed: Removed,
    /// Whose lines these were.
    pub removed_streams: StreamCounts,
    /// What was not stored.
    pub dropped: Dropped,
}

/// A stream's labels as Loki writes them, in ascending order.
pub(crate) fn stream_name<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut pairs: Vec<_> = labels.collect();
    pairs.sort_unstable();
    let mut name = String::new();
    print_pairs(pairs, &mut name);
    name
}

/// The same of labels that are being written.
pub(crate) fn name_of(labels: &[(String, String)]) -> String {
    stream_name(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// Segments that were removed to keep to the disk cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// How many.
    pub segments: u64,
    /// The lines in them.
    pub lines: u64,
    /// Their bytes before compression.
    pub bytes: u64,
}

impl Removed {
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_limited_by_number_length_and_room_and_no_line_is_missing() {
        let mut counts = StreamCounts::default();
        for number in 0..MAX_STREAMS + 5 {
            counts.add(&number.to_string(), 1, u64::MAX);
        }
        counts.add("0", 2, u64::MAX);
        assert_eq!((counts.get("0"), counts.get(OTHERS), counts.lines()), (3, 5, 1_007));

        let mut counts = StreamCounts::default();
        counts.add(&"x".repeat(MAX_NAME + 1), 1, u64::MAX);
        for number in 0..100 {
            counts.add(&format!("\"\n{number}"), 1, 200);
        }
        assert_eq!((counts.lines(), counts.counts.len()), (101, 6));
        let text = serde_json::to_string(&counts).unwrap();
        assert!(text.len() as u64 <= 200 + listed(OTHERS), "{text}");
        assert_eq!(serde_json::from_str::<StreamCounts>(&text).unwrap(), counts);
        assert_eq!(counts.condensed().get(OTHERS), 101);
        assert_eq!(serde_json::from_str::<StreamCounts>("null").unwrap(), StreamCounts::default());
    }

    #[test]
    fn what_is_added_up_is_what_there_was_whatever_a_list_says() {
        let known = StreamCounts::from(BTreeMap::from([("a".into(), 3), ("b".into(), 5)]));
        for (lines, a, b, others) in [(8, 3, 5, 0), (10, 3, 5, 2), (7, 0, 0, 7), (0, 0, 0, 0)] {
            let mut sum = StreamCounts::default();
            sum.add_all(&known, lines, u64::MAX);
            assert_eq!((sum.get("a"), sum.get("b"), sum.get(OTHERS)), (a, b, others), "{lines}");
            assert_eq!(sum.lines(), lines);
        }
        let mut sum = StreamCounts::default();
        sum.add_all(&known, 8, listed("b"));
        assert_eq!((sum.get("a"), sum.get("b"), sum.get(OTHERS)), (0, 5, 3), "the larger one");
    }

    #[test]
    fn a_stream_has_one_name_in_whatever_order_its_labels_are() {
        let pairs = [("b", "2\n"), ("a", "1\"")];
        let name = stream_name(pairs.into_iter());
        assert_eq!(name, stream_name(pairs.into_iter().rev()));
        assert_eq!(name, r#"{a="1\"", b="2\n"}"#);
    }
}
