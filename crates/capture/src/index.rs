//! `index.jsonl`: for each closed segment its time range, its size and exact counts per label value and stream.
//!
//! One compact object a line, the predecessor's keys first. Ours: `streams`, the lines of each set of
//! labels, and `sources`, the number of the last line stored of each source that numbers its lines. A label
//! name with too many values is left out, which readers take as "look into the segment".

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use logtap_loki::Labels;
use serde::{Deserialize, Serialize};

use crate::decode::BatchMark;
use crate::error::CaptureError;
use crate::layout::{INDEX, is_plain};
use crate::losses::{MAX_NAMES_BYTES, StreamCounts, listed};
use crate::open;
use crate::stored::Sources;
use crate::time_counts::TimeCounts;
use crate::timestamp::Timestamp;

/// More values than this of one label name are not counted.
const MAX_VALUES: usize = 10_000;
/// More label names than this are not counted.
const MAX_NAMES: usize = 1_000;
/// Values of a label that take more bytes than this in a line of the index are not counted, and neither are those of the
/// label with which all labels take more than the other: readers then look into the file. So what senders make up does
/// not fill the index, which is in memory as a whole.
const MAX_LABEL_BYTES: u64 = 32 << 10;
const MAX_LABELS_BYTES: u64 = 128 << 10;

/// Label name to value to number of lines.
pub type LabelCounts = BTreeMap<String, BTreeMap<String, u64>>;

/// What the index says about one segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// The data file's name.
    pub file: String,
    /// The earliest time in it.
    #[serde(default = "beginning")]
    pub from: Timestamp,
    /// The latest time in it.
    #[serde(default = "end")]
    pub to: Timestamp,
    /// How many lines it has.
    #[serde(default)]
    pub lines: u64,
    /// Its size before compression.
    #[serde(default)]
    pub bytes: u64,
    /// Lines per label value.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: LabelCounts,
    /// Lines by time; nothing in an index that somebody else has written.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "TimeCounts::is_empty"
    )]
    pub times: TimeCounts,
    /// Lines per stream, all of them, as far as it is known.
    #[serde(default, skip_serializing_if = "StreamCounts::is_empty")]
    pub streams: StreamCounts,
    /// Last stored lines of the sources in it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: Sources,
}

fn beginning() -> Timestamp {
    Timestamp(i64::MIN)
}

fn end() -> Timestamp {
    Timestamp(i64::MAX)
}

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl IndexEntry {
    /// Reads a line. `None` for one that cannot be read, or that cannot be true: then the file itself is read.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let mut entry: Self = serde_json::from_slice(line).ok()?;
        entry.times.shrink();
        let mut left = MAX_LABELS_BYTES;
        entry.labels.retain(|_, values| {
            let bytes = values.keys().map(|value| listed(value)).fold(0, u64::saturating_add);
            let stays = bytes <= MAX_LABEL_BYTES.min(left);
            left -= if stays { bytes } else { 0 };
            stays
        });
        // Every line of a file has its end; and no file is an exabyte.
        let is_possible =
            entry.bytes < MOST_BYTES && (entry.bytes == 0 || entry.lines <= entry.bytes);
        (is_possible && entry.lines < MOST_BYTES).then_some(entry)
    }
}

/// No segment has so many bytes, nor lines.
const MOST_BYTES: u64 = 1 << 60;

/// Reads a capture's index, skipping lines that cannot be read; the last line about a file counts.
///
/// A missing index is an empty one. A name that is not a plain file name is an error.
pub fn read_index(directory: &Path) -> Result<Vec<IndexEntry>, CaptureError> {
    let path = directory.join(INDEX);
    let text = match open::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(CaptureError::io("read", &path)(error)),
    };
    let mut entries: Vec<IndexEntry> = Vec::new();
    let mut places = BTreeMap::new();
    for line in text.split(|&byte| byte == b'\n') {
        let Some(entry) = IndexEntry::parse(line) else { continue };
        if !is_plain(&entry.file) {
            return Err(CaptureError::ForeignFile {
                directory: directory.to_owned(),
                file: entry.file,
            });
        }
        let place = *places.entry(entry.file.clone()).or_insert(entries.len());
        match entries.get_mut(place) {
            Some(known) => *known = entry,
            None => entries.push(entry),
        }
    }
    Ok(entries)
}

/// The text of an index.
pub(crate) fn render_index<'a>(entries: impl Iterator<Item = &'a IndexEntry>) -> Vec<u8> {
    let mut text = Vec::new();
    for entry in entries {
        let line = serde_json::to_vec(entry).expect("names, numbers and times are always JSON");
        text.extend_from_slice(&line);
        text.push(b'\n');
    }
    text
}

/// What is learned about a segment while it is written or scanned.
#[derive(Clone, Debug)]
pub struct SegmentStats {
    range: Option<(Timestamp, Timestamp)>,
    times: TimeCounts,
    lines: u64,
    bytes: u64,
    labels: BTreeMap<String, Option<BTreeMap<String, u64>>>,
    streams: StreamCounts,
    /// Bytes that names of streams may take.
    names_room: u64,
    sources: Sources,
    /// What labels and sources take in the index line, or a little more.
    listed_bytes: u64,
    /// What the values of each label take of that, and of all.
    label_bytes: BTreeMap<String, u64>,
    all_label_bytes: u64,
}

/// What an index line takes without labels, streams and sources, at most.
const LINE_BASE: u64 = 384;

impl Default for SegmentStats {
    fn default() -> Self {
        Self::within(MAX_NAMES_BYTES)
    }
}

impl SegmentStats {
    /// Of a segment without lines, of which names of streams take no more than so many bytes.
    pub(crate) fn within(names_room: u64) -> Self {
        Self {
            range: None,
            times: TimeCounts::default(),
            lines: 0,
            bytes: 0,
            labels: BTreeMap::new(),
            streams: StreamCounts::default(),
            names_room,
            sources: Sources::new(),
            listed_bytes: 0,
            label_bytes: BTreeMap::new(),
            all_label_bytes: 0,
        }
    }

    /// What the segment's index line takes, at most.
    pub(crate) fn entry_bytes(&self) -> u64 {
        LINE_BASE + self.listed_bytes + self.streams.listed_bytes() + self.times.listed_bytes()
    }

    /// What these streams, with their names, this source and these times would add to it, at most.
    pub(crate) fn growth(
        &self,
        streams: &[Labels],
        names: &[String],
        source: Option<&str>,
        times: &TimeCounts,
    ) -> u64 {
        let pairs = streams.iter().flatten().filter(|(name, value)| {
            let known = self.labels.get(name);
            !known.is_some_and(|known| known.as_ref().is_none_or(|known| known.contains_key(value)))
        });
        let labels = pairs.map(|(name, value)| listed(name) + listed(value));
        let source = source.filter(|source| !self.sources.contains_key(*source)).map(listed);
        let of_streams = self.streams.growth(names, self.names_room);
        labels.sum::<u64>() + of_streams + source.unwrap_or(0) + self.times.growth(times)
    }

    /// Counts lines between two times.
    pub fn add_lines(&mut self, from: Timestamp, to: Timestamp, lines: u64, bytes: u64) {
        self.range = Some(match self.range {
            None => (from, to),
            Some((earliest, latest)) => (earliest.min(from), latest.max(to)),
        });
        self.lines += lines;
        self.bytes += bytes;
    }

    /// Counts the times of lines.
    pub fn add_times(&mut self, times: &TimeCounts) {
        self.times.add_all(times);
    }

    /// Counts bytes that are no lines.
    pub fn add_bytes(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Counts lines with a label.
    pub fn add_label(&mut self, name: &str, value: &str, lines: u64) {
        if !self.labels.contains_key(name) {
            if self.labels.len() >= MAX_NAMES {
                return;
            }
            self.labels.insert(name.to_owned(), Some(BTreeMap::new()));
            self.listed_bytes += listed(name);
        }
        let Some(values) = self.labels.get_mut(name) else { return };
        let Some(counts) = values else { return };
        if let Some(count) = counts.get_mut(value) {
            *count += lines;
            return;
        }
        let new = listed(value);
        let bytes = self.label_bytes.entry(name.to_owned()).or_default();
        let has_room = *bytes + new <= MAX_LABEL_BYTES
            && self.all_label_bytes + new <= MAX_LABELS_BYTES
            && counts.len() < MAX_VALUES;
        if has_room {
            counts.insert(value.to_owned(), lines);
            (*bytes, self.all_label_bytes) = (*bytes + new, self.all_label_bytes + new);
            self.listed_bytes += new;
        } else {
            let given_up = std::mem::take(bytes);
            self.listed_bytes = self.listed_bytes.saturating_sub(given_up);
            self.all_label_bytes = self.all_label_bytes.saturating_sub(given_up);
            *values = None;
        }
    }

    /// Counts lines of a stream.
    pub(crate) fn add_stream(&mut self, name: &str, lines: u64) {
        self.streams.add(name, lines, self.names_room);
    }

    /// Notes that a source's lines up to this one are stored.
    pub fn add_source(&mut self, source: &str, last: u64) {
        if !self.sources.contains_key(source) {
            self.listed_bytes += listed(source);
        }
        raise(&mut self.sources, source, last);
    }

    /// Notes a batch of which `lines` lines were found.
    pub(crate) fn add_batch(&mut self, mark: &BatchMark, lines: u64) {
        if lines > 0 && !mark.source.is_empty() {
            self.add_source(&mark.source, mark.last.min(mark.first.saturating_add(lines - 1)));
        }
    }

    /// How many lines there are.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many sources there are.
    pub fn source_count(&self) -> usize {
        self.sources.len()
    }

    /// The index line of the segment in this file.
    pub fn into_entry(self, file: String) -> IndexEntry {
        let (from, to) = self.range.unwrap_or((Timestamp(0), Timestamp(0)));
        IndexEntry {
            file,
            from,
            to,
            lines: self.lines,
            bytes: self.bytes,
            times: self.times,
            labels: self
                .labels
                .into_iter()
                .filter_map(|(name, values)| Some((name, values?)))
                .collect(),
            streams: self.streams,
            sources: self.sources,
        }
    }
}

/// Sets a source's last stored line, never back.
pub(crate) fn raise(sources: &mut Sources, source: &str, last: u64) {
    match sources.get_mut(source) {
        Some(known) => *known = last.max(*known),
        None => {
            sources.insert(source.to_owned(), last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::losses::{OTHERS, name_of};

    #[test]
    fn reads_the_predecessors_index_and_the_last_line_about_a_file() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read_index(directory.path()).unwrap(), []);
        let text = "{\"file\":\"a.jsonl\",\"lines\":1}\nnonsense\n\n\
            {\"file\":\"a.jsonl.zst\",\"from\":\"2024-01-15T10:00:00+01:00\",\
            \"to\":\"2024-01-15T10:00:01Z\",\"lines\":2,\"bytes\":9,\"labels\":null,\"new\":{}}\n\
            {\"file\":\"a.jsonl\",\"lines\":3}\n";
        fs::write(directory.path().join(INDEX), text).unwrap();
        let entries = read_index(directory.path()).unwrap();
        let seen: Vec<_> = entries.iter().map(|e| (e.file.as_str(), e.lines)).collect();
        assert_eq!(seen, [("a.jsonl", 3), ("a.jsonl.zst", 2)]);
        assert_eq!(entries[1].from.to_string(), "2024-01-15T09:00:00Z");
    }

    #[test]
    fn refuses_a_file_outside_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(INDEX), "{\"file\":\"../x.jsonl\"}\n").unwrap();
        let error = read_index(directory.path()).unwrap_err().to_string();
        assert!(error.contains("`../x.jsonl`"), "{error}");
    }

    #[test]
    fn what_an_index_line_takes_is_known_before_it_is_written() {
        let mut stats = SegmentStats::default();
        let streams: Vec<Labels> = (0..50)
            .map(|number| {
                let app = format!("app \"{number}\" \\ \n\u{1}\u{e4}");
                vec![("app".to_owned(), app), ("na\u{7f}me\t".to_owned(), String::new())]
            })
            .collect();
        let before = stats.entry_bytes();
        let names: Vec<String> = streams.iter().map(|labels| name_of(labels)).collect();
        let growth = stats.growth(&streams, &names, Some("source"), &TimeCounts::default());
        for name in &names {
            stats.add_stream(name, u64::MAX / 100);
        }
        stats.add_stream(OTHERS, u64::MAX / 3);
        for (name, value) in streams.iter().flatten() {
            stats.add_label(name, value, u64::MAX / 100);
        }
        stats.add_lines(Timestamp(i64::MIN), Timestamp(i64::MAX), u64::MAX, u64::MAX);
        stats.add_source("source", u64::MAX);
        assert_eq!(stats.growth(&streams, &names, Some("source"), &TimeCounts::default()), 0);
        let (now, bound) = (stats.entry_bytes(), before + growth);
        assert!(now <= bound, "{now} {bound}");
        let entry = stats.into_entry("2024-01-15T101959-000.jsonl.zst".into());
        let rendered = render_index([&entry].into_iter()).len() as u64;
        assert!(rendered <= now && now < 2 * rendered, "{rendered} {now}");
    }

    #[test]
    fn a_label_with_too_many_values_is_left_out() {
        let mut stats = SegmentStats::default();
        for number in 0..=MAX_VALUES {
            stats.add_label("id", &number.to_string(), 1);
            stats.add_label("app", "x", 1);
        }
        stats.add_label("id", "0", 1);
        let entry = stats.into_entry("a.jsonl".into());
        assert_eq!(entry.labels.keys().collect::<Vec<_>>(), ["app"]);
        assert_eq!(entry.labels["app"]["x"], MAX_VALUES as u64 + 1);
    }
}
