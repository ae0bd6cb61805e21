//! The writer's view of a directory: its metadata, its closed segments and what they take on disk.
//!
//! Shared by the writer and the thread that compresses. Every change is put on disk as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use logtap_loki::Labels;

use crate::error::CaptureError;
use crate::fullness::OTHERS;
use crate::index::{
    IndexEntry, LabelCounts, MAX_SOURCES, SegmentStats, Sources, raise, render_index,
};
use crate::layout::{INDEX, METADATA, SegmentName, finished_file, is_dated, raw_file};
use crate::metadata::{Metadata, Redaction, Removed};
use crate::replace::replace_file;
use crate::retention::segments_to_remove;
use crate::timestamp::Timestamp;

/// Label names, and values of each, of which the lines that were removed are counted apart.
const MAX_REMOVED_NAMES: usize = 64;
const MAX_REMOVED_VALUES: usize = 1_000;

/// Metadata and closed segments of a capture that is being written.
#[derive(Debug)]
pub(crate) struct Catalog {
    directory: PathBuf,
    metadata: Metadata,
    closed: Vec<Closed>,
    /// How often each pattern was replaced before the capture was opened.
    counts_before: BTreeMap<String, u64>,
    /// Bytes of the file that the compressing thread is writing.
    pub(crate) partial: u64,
    /// Times that a closed segment could not be entered into the index or compressed.
    pub(crate) failures: u64,
}

/// A segment that will not grow.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) entry: IndexEntry,
    pub(crate) disk_bytes: u64,
}

impl Catalog {
    pub(crate) fn new(directory: &Path, metadata: Metadata, closed: Vec<Closed>) -> Self {
        let mut catalog = Self {
            directory: directory.to_owned(),
            metadata,
            closed: Vec::new(),
            counts_before: BTreeMap::new(),
            partial: 0,
            failures: 0,
        };
        for segment in closed {
            catalog.insert(segment);
        }
        catalog
    }

    /// Adds a segment that was just closed.
    pub(crate) fn add(&mut self, stem: &str, stats: SegmentStats) {
        let disk_bytes = stats.bytes();
        let entry = stats.into_entry(raw_file(stem));
        self.insert(Closed { entry, disk_bytes });
        // What cannot be written now, on a full disk, is written with the next change, and at the end
        // it has to be. Until then readers read the segment instead of the index.
        if self.save_index().and_then(|()| self.save_metadata()).is_err() {
            self.failures += 1;
        }
    }

    fn insert(&mut self, segment: Closed) {
        let seen = self.metadata.labels_seen.get_or_insert_with(Vec::new);
        for name in segment.entry.labels.keys() {
            if let Err(place) = seen.binary_search(name) {
                seen.insert(place, name.clone());
            }
        }
        let place = self.closed.partition_point(|known| known.entry.file < segment.entry.file);
        self.closed.insert(place, segment);
    }

    /// Whether a segment is still here and raw.
    pub(crate) fn is_raw(&self, stem: &str) -> bool {
        let file = raw_file(stem);
        self.closed.iter().any(|segment| segment.entry.file == file)
    }

    /// Notes that a segment is compressed now.
    pub(crate) fn set_finished(&mut self, stem: &str, disk_bytes: u64) -> Result<(), CaptureError> {
        let file = raw_file(stem);
        if let Some(segment) = self.closed.iter_mut().find(|segment| segment.entry.file == file) {
            segment.entry.file = finished_file(stem);
            segment.disk_bytes = disk_bytes;
        }
        self.save_index()
    }

    /// Names of the segments of ours that are not compressed yet.
    pub(crate) fn raw_stems(&self) -> Vec<String> {
        let finished: BTreeSet<String> =
            self.names().filter(|name| name.finished).map(|name| name.stem).collect();
        self.names()
            .filter(|name| !name.finished && is_dated(&name.stem))
            .map(|name| name.stem)
            // Its place is taken by other lines.
            .filter(|stem| !finished.contains(stem))
            .collect()
    }

    fn names(&self) -> impl Iterator<Item = SegmentName> {
        self.closed.iter().filter_map(|segment| SegmentName::parse(&segment.entry.file))
    }

    /// Bytes of all data files but the active one.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.closed.iter().map(|segment| segment.disk_bytes).sum::<u64>() + self.partial
    }

    /// The last stored line of each source, as far as closed segments know.
    pub(crate) fn sources(&self) -> Sources {
        let mut sources = self.metadata.sources.clone();
        for segment in &self.closed {
            for (source, last) in &segment.entry.sources {
                raise(&mut sources, source, *last);
            }
        }
        sources
    }

    /// Removes as many of the oldest segments as it takes to keep `active` bytes within the cap.
    pub(crate) fn make_room(&mut self, active: u64, cap: u64) -> Result<(), CaptureError> {
        let kept = active.saturating_add(self.partial);
        if self.disk_bytes().saturating_add(active) <= cap {
            return Ok(());
        }
        let sizes: Vec<u64> = self.closed.iter().map(|segment| segment.disk_bytes).collect();
        match segments_to_remove(&sizes, kept, cap) {
            Some(count) => self.remove_oldest(count),
            None => Err(CaptureError::CapReached { directory: self.directory.clone(), cap }),
        }
    }

    /// Whether `active` bytes are within the cap as things are.
    pub(crate) fn has_room(&self, active: u64, cap: u64) -> Result<(), CaptureError> {
        if self.disk_bytes().saturating_add(active) <= cap {
            return Ok(());
        }
        Err(CaptureError::CapReached { directory: self.directory.clone(), cap })
    }

    /// Counts lines that are dropped.
    pub(crate) fn add_dropped(&mut self, labels: &Labels, lines: u64, bytes: u64) {
        self.metadata.dropped.add(labels, lines, bytes);
    }

    /// What was removed and what was dropped so far, over the capture's whole life.
    pub(crate) fn losses(&self) -> (Removed, u64) {
        (self.metadata.removed, self.metadata.dropped.lines)
    }

    /// The removed lines for each label value, over the capture's whole life.
    pub(crate) fn removed_labels(&self) -> &LabelCounts {
        &self.metadata.removed_labels
    }

    /// Removes the oldest segment; false if there is none.
    pub(crate) fn remove_one(&mut self) -> Result<bool, CaptureError> {
        if self.closed.is_empty() {
            return Ok(false);
        }
        self.remove_oldest(1).map(|()| true)
    }

    fn remove_oldest(&mut self, count: usize) -> Result<(), CaptureError> {
        for _ in 0..count.min(self.closed.len()) {
            let Some(segment) = self.closed.first() else { break };
            let path = self.directory.join(&segment.entry.file);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(CaptureError::io("remove", &path)(error));
                }
                _ => {
                    let segment = self.closed.remove(0);
                    self.forget(&segment.entry);
                }
            }
        }
        self.save_index()?;
        self.save_metadata()
    }

    /// Counts a segment that is gone, and keeps what must outlive it.
    pub(crate) fn forget(&mut self, entry: &IndexEntry) {
        self.metadata.removed.segments += 1;
        self.metadata.removed.lines += entry.lines;
        self.metadata.removed.bytes += entry.bytes;
        add_labels(&mut self.metadata.removed_labels, &entry.labels);
        for (source, last) in &entry.sources {
            raise(&mut self.metadata.sources, source, *last);
        }
        while self.metadata.sources.len() > MAX_SOURCES {
            self.metadata.sources.pop_first();
        }
    }

    /// Notes how lines are redacted from now on.
    pub(crate) fn set_redaction(&mut self, names: Vec<String>) {
        let known = self.metadata.redaction.take();
        self.counts_before = known.as_ref().map(|known| known.counts.clone()).unwrap_or_default();
        self.metadata.redaction = Redaction::continued(known, self.closed.is_empty(), names);
    }

    /// Notes how often each pattern was replaced since the capture was opened.
    pub(crate) fn set_redaction_counts(&mut self, counts: Vec<(String, u64)>) {
        let mut all = self.counts_before.clone();
        for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            *all.entry(name).or_default() += count;
        }
        if let Some(redaction) = &mut self.metadata.redaction {
            redaction.counts = all;
        } else if !all.is_empty() {
            self.metadata.redaction = Some(Redaction { counts: all, ..Redaction::default() });
        }
    }

    /// Whether the capture has an end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.metadata.stopped.is_some()
    }

    /// Says that lines are being written.
    pub(crate) fn go_live(&mut self) -> Result<(), CaptureError> {
        let live =
            Metadata { stopped: None, total_lines: 0, total_bytes: 0, ..self.metadata.clone() };
        self.save(METADATA, &live.render(), false)?;
        self.metadata = live;
        Ok(())
    }

    /// Ends the capture.
    pub(crate) fn stop(&mut self, now: Timestamp) -> Result<&Metadata, CaptureError> {
        // A capture that had ended and got no line since then has not ended again.
        self.metadata.stopped.get_or_insert(now);
        self.metadata.total_lines = self.closed.iter().map(|segment| segment.entry.lines).sum();
        self.metadata.total_bytes = self.closed.iter().map(|segment| segment.entry.bytes).sum();
        if !self.closed.is_empty() {
            self.save(INDEX, &self.index(), true)?;
        }
        self.save(METADATA, &self.metadata.render(), true)?;
        Ok(&self.metadata)
    }

    /// How many segments there are, and how many of them are compressed.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.closed.len(), self.names().filter(|name| name.finished).count())
    }

    pub(crate) fn save_index(&self) -> Result<(), CaptureError> {
        self.save(INDEX, &self.index(), false)
    }

    pub(crate) fn save_metadata(&self) -> Result<(), CaptureError> {
        self.save(METADATA, &self.metadata.render(), false)
    }

    fn index(&self) -> Vec<u8> {
        render_index(self.closed.iter().map(|segment| &segment.entry))
    }

    fn save(&self, name: &str, text: &[u8], durable: bool) -> Result<(), CaptureError> {
        replace_file(&self.directory, name, text, durable)
    }
}

/// Adds counts of lines per label value; beyond the limits values are counted together.
fn add_labels(sum: &mut LabelCounts, more: &LabelCounts) {
    for (name, values) in more {
        if !sum.contains_key(name) && sum.len() >= MAX_REMOVED_NAMES {
            continue;
        }
        let known = sum.entry(name.clone()).or_default();
        for (value, lines) in values {
            let is_one_more = !known.contains_key(value) && known.len() >= MAX_REMOVED_VALUES;
            let value = if is_one_more { OTHERS } else { value.as_str() };
            *known.entry(value.to_owned()).or_default() += lines;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_removed_lines_are_limited_and_lose_none() {
        let mut sum = LabelCounts::new();
        for number in 0..MAX_REMOVED_VALUES as u64 + 5 {
            let values = BTreeMap::from([(number.to_string(), 2)]);
            add_labels(&mut sum, &LabelCounts::from([("app".to_owned(), values)]));
        }
        assert_eq!((sum["app"]["0"], sum["app"][OTHERS]), (2, 10));
        assert_eq!(sum["app"].values().sum::<u64>(), 2 * (MAX_REMOVED_VALUES as u64 + 5));
        for number in 0..MAX_REMOVED_NAMES + 5 {
            let values = BTreeMap::from([("x".to_owned(), 1)]);
            add_labels(&mut sum, &LabelCounts::from([(number.to_string(), values)]));
        }
        assert_eq!(sum.len(), MAX_REMOVED_NAMES);
    }
}
