//! `metadata.json`: when the capture was made, how large it is, whether it is still being written.
//!
//! The predecessor's keys in its order. While a writer is at work `stopped` is the zero time and the
//! totals are zero. Ours: what the disk cap has removed, and the last stored lines of sources whose
//! segments are gone. Keys that we do not know are kept.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::CaptureError;
use crate::layout::METADATA;
use crate::losses::{Dropped, Losses, Removed, StreamCounts};
use crate::open;
use crate::stored::Sources;
use crate::timestamp::{Timestamp, ZERO_TIME};

/// What `metadata.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Version of the format.
    #[serde(default = "version")]
    pub version: u32,
    /// Form of the lines.
    #[serde(default = "format")]
    pub format: String,
    /// When the capture was begun.
    #[serde(default, with = "zero_time")]
    pub started: Option<Timestamp>,
    /// When it was ended; none while it is being written, or after a crash.
    #[serde(default, with = "zero_time")]
    pub stopped: Option<Timestamp>,
    /// Lines in it.
    #[serde(default)]
    pub total_lines: u64,
    /// Bytes in it before compression.
    #[serde(default)]
    pub total_bytes: u64,
    /// The label names in ascending order.
    #[serde(default)]
    pub labels_seen: Option<Vec<String>>,
    /// How it was redacted; none if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redaction: Option<Redaction>,
    /// What the disk cap has taken away.
    #[serde(default, skip_serializing_if = "Removed::is_nothing")]
    pub removed: Removed,
    /// The lines in them by stream.
    #[serde(default, skip_serializing_if = "StreamCounts::is_empty")]
    pub removed_streams: StreamCounts,
    /// Files that are counted there and that the index may still name, after a crash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed_files: Vec<String>,
    /// What was acknowledged and not stored, because there was no room and the user chose so.
    #[serde(default, skip_serializing_if = "Dropped::is_nothing")]
    pub dropped: Dropped,
    /// Last stored lines of the sources whose segments were removed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: Sources,
    /// Keys of others.
    #[serde(flatten)]
    pub others: serde_json::Map<String, serde_json::Value>,
}

/// How a capture was redacted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redaction {
    /// Whether it was at all.
    #[serde(default)]
    pub enabled: bool,
    /// The names of the patterns.
    #[serde(default)]
    pub patterns: Vec<String>,
    /// How often each was replaced, as far as segments are closed. Ours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
}

impl Redaction {
    /// What can be said of a capture that was redacted like this and is continued with these patterns:
    /// only what is true for all of its lines.
    pub(crate) fn continued(
        known: Option<Self>,
        is_empty: bool,
        names: Vec<String>,
    ) -> Option<Self> {
        let (before, counts) = match known {
            Some(known) => (Some(known.patterns).filter(|_| known.enabled), known.counts),
            None => (None, BTreeMap::new()),
        };
        let patterns: Vec<String> = match before {
            _ if is_empty => names,
            None => Vec::new(),
            Some(before) => names.into_iter().filter(|name| before.contains(name)).collect(),
        };
        let enabled = !patterns.is_empty();
        (enabled || !counts.is_empty()).then_some(Self { enabled, patterns, counts })
    }
}

fn version() -> u32 {
    1
}

fn format() -> String {
    "jsonl".to_owned()
}

impl Metadata {
    /// About a capture begun now.
    pub fn begin(now: Timestamp) -> Self {
        Self {
            version: version(),
            format: format(),
            started: Some(now),
            stopped: None,
            total_lines: 0,
            total_bytes: 0,
            labels_seen: Some(Vec::new()),
            redaction: None,
            removed: Removed::default(),
            removed_streams: StreamCounts::default(),
            removed_files: Vec::new(),
            dropped: Dropped::default(),
            sources: Sources::new(),
            others: serde_json::Map::new(),
        }
    }

    /// Reads a capture's metadata.
    pub fn read(directory: &Path) -> Result<Self, CaptureError> {
        let path = directory.join(METADATA);
        let text = open::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => CaptureError::NotACapture {
                directory: directory.to_owned(),
                reason: format!("it has no {METADATA}"),
            },
            _ => CaptureError::io("read", &path)(source),
        })?;
        serde_json::from_slice(&text).map_err(|error| CaptureError::NotACapture {
            directory: directory.to_owned(),
            reason: format!("{METADATA}: {error}"),
        })
    }

    /// Keeps the sums alone of what was lost: not of which streams.
    pub(crate) fn condense_losses(&mut self) {
        self.removed_streams = self.removed_streams.condensed();
        self.dropped.streams = self.dropped.streams.condensed();
    }

    /// Makes the streams add up to what was lost, where somebody wrote it who did not count them, or
    /// changed it.
    pub(crate) fn settle_losses(&mut self) {
        let settled = |known: &StreamCounts, lines| {
            let mut sum = StreamCounts::default();
            sum.add_all(known, lines, u64::MAX);
            sum
        };
        self.removed_streams = settled(&self.removed_streams, self.removed.lines);
        self.dropped.streams = settled(&self.dropped.streams, self.dropped.lines);
        self.dropped.unanswered = self.dropped.unanswered.min(self.dropped.lines);
    }

    /// All that was lost.
    pub fn losses(&self) -> Losses {
        Losses {
            removed: self.removed,
            removed_streams: self.removed_streams.clone(),
            dropped: self.dropped.clone(),
        }
    }

    /// The file's text.
    pub(crate) fn render(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("names, numbers and times are always JSON")
    }

    /// Whether the capture has no end yet.
    pub fn is_live(&self) -> bool {
        self.stopped.is_none()
    }
}

/// A time of which the zero time means none.
mod zero_time {
    use super::{Deserialize, Deserializer, Serializer, Timestamp, ZERO_TIME};

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub(super) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.collect_str(time),
            None => serializer.serialize_str(ZERO_TIME),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let time = text.as_deref().and_then(Timestamp::parse);
        Ok(time.filter(|time| time.0 != i64::MIN))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_live_capture_has_the_zero_time_and_keys_in_the_predecessors_order() {
        let text = String::from_utf8(Metadata::begin(Timestamp(0)).render()).unwrap();
        assert_eq!(
            text,
            "{\n  \"version\": 1,\n  \"format\": \"jsonl\",\n  \"started\": \"1970-01-01T00:00:00Z\",\n  \
             \"stopped\": \"0001-01-01T00:00:00Z\",\n  \"total_lines\": 0,\n  \"total_bytes\": 0,\n  \
             \"labels_seen\": []\n}"
        );
    }

    #[test]
    fn what_others_wrote_is_read_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let text = r#"{"version":2,"started":"2024-01-15T10:00:00+01:00","labels_seen":null,
            "redaction":null,"removed":{"segments":1,"lines":2,"bytes":3},"colour":"red"}"#;
        fs::write(directory.path().join(METADATA), text).unwrap();
        let metadata = Metadata::read(directory.path()).unwrap();
        assert!(metadata.is_live());
        assert_eq!(metadata.started.unwrap().to_string(), "2024-01-15T09:00:00Z");
        assert_eq!(metadata.removed.lines, 2);
        let again: Metadata = serde_json::from_slice(&metadata.render()).unwrap();
        assert_eq!(again, metadata);
        assert_eq!(again.others["colour"], "red");
    }

    #[test]
    fn only_what_holds_for_all_lines_is_said_of_redaction() {
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let of = |list: &[&str]| Redaction {
            enabled: true,
            patterns: names(list),
            counts: BTreeMap::new(),
        };
        let continued = |known, is_empty, list: &[&str]| {
            Redaction::continued(known, is_empty, names(list)).map(|said| said.patterns)
        };
        assert_eq!(continued(None, true, &["email"]), Some(names(&["email"])));
        assert_eq!(continued(None, false, &["email"]), None);
        assert_eq!(continued(Some(of(&["email", "ssn"])), false, &["ssn"]), Some(names(&["ssn"])));
        assert_eq!(continued(Some(of(&["email"])), false, &[]), None);
        assert_eq!(continued(Some(of(&["email"])), true, &[]), None);
        let counted = Redaction { counts: [("email".to_owned(), 2)].into(), ..of(&["email"]) };
        let said = Redaction::continued(Some(counted), false, Vec::new()).unwrap();
        assert!(!said.enabled && said.counts["email"] == 2);
    }

    #[test]
    fn says_why_a_directory_is_not_a_capture() {
        let directory = tempfile::tempdir().unwrap();
        let missing = Metadata::read(directory.path()).unwrap_err().to_string();
        assert!(missing.contains("is not a capture: it has no metadata.json"), "{missing}");
        fs::write(directory.path().join(METADATA), "{").unwrap();
        let broken = Metadata::read(directory.path()).unwrap_err().to_string();
        assert!(broken.contains("is not a capture: metadata.json: "), "{broken}");
    }
}
