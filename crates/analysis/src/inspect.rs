//! `inspect`: how large a capture is, what labels it has, when its lines are from.
//!
//! What the index knows is not read again. A segment that it does not know, as in a live capture, is
//! read whole, by several threads.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::Path;

use logtap_capture::decode::parse_pairs;
use logtap_capture::encode::push_object;
use logtap_capture::index::SegmentStats;
use logtap_capture::scan::{default_threads, scan};
use logtap_capture::time_counts::{TimeCount, TimeCounts};
use logtap_capture::{
    Capture, CaptureError, IndexEntry, Line, LineSlices, Metadata, Segment, Timestamp, damage,
};
use serde::Serialize;

use crate::timeline::{Bucket, Span, timeline, width_name};

/// What `inspect` finds. Serialised it has the predecessor's keys; `live` and `damaged` are new.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InspectReport {
    /// The capture's directory, as it was given.
    pub dir: String,
    /// What its metadata says, if it has any.
    pub metadata: Option<Metadata>,
    /// How many data files there are.
    pub files: usize,
    /// How many lines there are.
    pub total_lines: u64,
    /// Those of them that are no entries, and have neither labels nor a time.
    #[serde(skip_serializing_if = "is_none_of_them")]
    pub unparsed_lines: u64,
    /// Their size before compression.
    pub total_bytes: u64,
    /// The size of the data files.
    pub disk_size: u64,
    /// The time of the earliest entry.
    pub data_from: Option<Timestamp>,
    /// The time of the latest entry.
    pub data_to: Option<Timestamp>,
    /// Entries a second of the capture's own time.
    #[serde(skip_serializing_if = "is_zero")]
    pub lines_per_sec: f64,
    /// Whether lines of some file are spread evenly over its time, since its index does not say more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub timeline_is_estimate: bool,
    /// How wide the buckets of the timeline are, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bucket_width: String,
    /// For each label its values, the most frequent first.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Vec<LabelValue>>,
    /// Entries over time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Bucket>,
    /// Whether the capture is being written, or was when its writer ended without a word.
    pub live: bool,
    /// What could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
}

/// A value of a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabelValue {
    /// The value.
    pub value: String,
    /// Entries that have it.
    pub lines: u64,
    /// Their share of the bytes.
    pub bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_none_of_them(value: &u64) -> bool {
    *value == 0
}

/// Looks at a capture. Without a number of threads there is one for each processor.
pub fn inspect(
    directory: &Path,
    threads: Option<NonZero<usize>>,
) -> Result<InspectReport, CaptureError> {
    let capture = Capture::open(directory)?;
    let Unknown { entries: unknown, unparsed, mut damaged } =
        read_unknown(&capture, threads.unwrap_or_else(default_threads));
    let known = capture.segments().iter().filter_map(Segment::index);
    let entries: Vec<&IndexEntry> =
        known.chain(&unknown).filter(|entry| entry.lines > 0 || entry.bytes > 0).collect();
    let spans: Vec<Span> = entries.iter().flat_map(|entry| spans(entry)).collect();
    let filled = || entries.iter().filter(|entry| entry.lines > 0);
    let (timeline, width) = timeline(&spans);
    let total_lines =
        entries.iter().map(|entry| entry.lines).fold(unparsed.lines, u64::saturating_add);
    damaged.sort();
    damaged.extend(damage(directory));
    Ok(InspectReport {
        dir: directory.display().to_string(),
        files: capture.segments().len(),
        total_lines,
        unparsed_lines: unparsed.lines,
        total_bytes: entries
            .iter()
            .map(|entry| entry.bytes)
            .fold(unparsed.bytes, u64::saturating_add),
        disk_size: capture.segments().iter().map(Segment::disk_bytes).fold(0, u64::saturating_add),
        data_from: filled().map(|entry| entry.from).min(),
        data_to: filled().map(|entry| entry.to).max(),
        lines_per_sec: capture.metadata().map_or(0.0, |metadata| rate(metadata, total_lines)),
        bucket_width: width_name(width),
        timeline_is_estimate: entries.iter().any(|entry| !has_times(entry)),
        labels: labels(&entries),
        timeline,
        live: capture.metadata().is_some_and(Metadata::is_live),
        metadata: capture.metadata().cloned(),
        damaged,
    })
}

/// Whether it is known when the lines of a segment are from.
fn has_times(entry: &IndexEntry) -> bool {
    entry.lines == entry.times.lines()
}

/// The lines of a segment by time; all of its time where nothing more is known.
fn spans(entry: &IndexEntry) -> Vec<Span> {
    if !has_times(entry) {
        return vec![Span { from: entry.from, to: entry.to, lines: entry.lines }];
    }
    let within = |one: TimeCount| Span {
        from: one.from.max(entry.from),
        to: one.to.min(entry.to),
        lines: one.lines,
    };
    entry.times.buckets().map(within).collect()
}

fn rate(metadata: &Metadata, lines: u64) -> f64 {
    match (metadata.started, metadata.stopped) {
        (Some(started), Some(stopped)) if started < stopped => {
            lines as f64 / (stopped.0.saturating_sub(started.0) as f64 / 1e9)
        }
        _ => 0.0,
    }
}

fn labels(entries: &[&IndexEntry]) -> BTreeMap<String, Vec<LabelValue>> {
    let mut counts: BTreeMap<&str, BTreeMap<&str, (u64, u64)>> = BTreeMap::new();
    for entry in entries {
        for (name, values) in &entry.labels {
            for (value, &lines) in values {
                let sums = counts.entry(name).or_default().entry(value).or_default();
                let bytes =
                    u128::from(entry.bytes) * u128::from(lines) / u128::from(entry.lines.max(1));
                sums.0 += lines;
                sums.1 += u64::try_from(bytes).unwrap_or(u64::MAX);
            }
        }
    }
    let in_order = |values: BTreeMap<&str, (u64, u64)>| {
        let mut values: Vec<LabelValue> = values
            .into_iter()
            .map(|(value, (lines, bytes))| LabelValue { value: value.to_owned(), lines, bytes })
            .collect();
        // Values of equal count stay in the order of their names.
        values.sort_by_key(|value| std::cmp::Reverse(value.lines));
        values
    };
    counts.into_iter().map(|(name, values)| (name.to_owned(), in_order(values))).collect()
}

/// What was found in segments that the index does not know.
struct Unknown {
    /// What it would say about them.
    entries: Vec<IndexEntry>,
    unparsed: Unparsed,
    damaged: Vec<String>,
}

/// Lines that are no entries.
#[derive(Clone, Copy, Default)]
struct Unparsed {
    lines: u64,
    bytes: u64,
}

/// Reads the segments that the index does not know.
fn read_unknown(capture: &Capture, threads: NonZero<usize>) -> Unknown {
    let segments: Vec<&Segment> =
        capture.segments().iter().filter(|segment| segment.index().is_none()).collect();
    let mut found: BTreeMap<String, SegmentStats> = BTreeMap::new();
    let mut damaged = Vec::new();
    let mut unparsed = Unparsed::default();
    scan(
        &segments,
        threads,
        || (),
        |(), lines| Counted::of(lines),
        |segment, result| {
            match result {
                Ok(counted) => {
                    unparsed.lines += counted.unparsed.lines;
                    unparsed.bytes += counted.unparsed.bytes;
                    counted.add_to(found.entry(segment.file()).or_default());
                }
                Err(error) => damaged.push(error.to_string()),
            }
            ControlFlow::Continue(())
        },
    );
    let entries = found.into_iter().map(|(file, stats)| stats.into_entry(file)).collect();
    Unknown { entries, unparsed, damaged }
}

/// What is counted in a piece of a segment.
#[derive(Default)]
struct Counted {
    range: Option<(Timestamp, Timestamp)>,
    lines: u64,
    bytes: u64,
    unparsed: Unparsed,
    /// Labels as they stand in the lines.
    labels: HashMap<Vec<u8>, u64>,
    times: Vec<i64>,
}

impl Counted {
    fn of(text: &[u8]) -> Self {
        let mut counted = Self::default();
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let entry = line.strip_suffix(b"\n").unwrap_or(line);
            // An unfinished last line is no entry yet, and does not count as one.
            match counted.add(entry) {
                Some(true) => counted.bytes += line.len() as u64,
                Some(false) if line.len() > entry.len() => {
                    counted.unparsed.lines += 1;
                    counted.unparsed.bytes += line.len() as u64;
                }
                _ => {}
            }
        }
        counted
    }

    /// Counts an entry; false for a line that is none, and nothing for what is no line.
    fn add(&mut self, line: &[u8]) -> Option<bool> {
        if let Some(slices) = LineSlices::of(line).filter(|slices| !slices.labels.is_empty())
            && let Some(time) = slices.time()
        {
            self.add_entry(time, slices.labels);
            return Some(true);
        }
        let Some(line) = Line::parse(line) else {
            return (!line.iter().all(u8::is_ascii_whitespace)).then_some(false);
        };
        if line.is_phantom() {
            return None;
        }
        let mut labels = Vec::new();
        push_object(&mut labels, &line.labels);
        self.add_entry(line.timestamp, &labels);
        Some(true)
    }

    fn add_entry(&mut self, time: Timestamp, labels: &[u8]) {
        self.lines += 1;
        self.times.push(time.0);
        self.range = Some(match self.range {
            None => (time, time),
            Some((from, to)) => (from.min(time), to.max(time)),
        });
        match self.labels.get_mut(labels) {
            Some(lines) => *lines += 1,
            None => {
                self.labels.insert(labels.to_vec(), 1);
            }
        }
    }

    fn add_to(self, stats: &mut SegmentStats) {
        if let Some((from, to)) = self.range {
            stats.add_lines(from, to, self.lines, self.bytes);
            stats.add_times(&TimeCounts::of(self.times.into_iter()));
        }
        for (labels, lines) in self.labels {
            for (name, value) in parse_pairs(&labels).unwrap_or_default() {
                stats.add_label(&name, &value, lines);
            }
        }
    }
}
