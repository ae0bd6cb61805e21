//! The writer's view of a directory: its metadata, its closed segments, and what all of it takes on disk.
//!
//! Shared by the writer and the thread that compresses. Every change is put on disk as a whole. A segment
//! that is removed is counted exactly once, whenever the process is killed: its file goes first, then the
//! metadata counts it and names it, then the index forgets it. What the index still names, is not there
//! and is not named by the metadata either, the next start counts ([`Catalog::forget`]).

mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::CaptureError;
use crate::index::{IndexEntry, SegmentStats, raise, render_index};
use crate::layout::{INDEX, METADATA, SegmentName, finished_file, is_dated, raw_file};
use crate::losses::Losses;
use crate::losses::Removed;
use crate::metadata::{Metadata, Redaction};
use crate::open;
use crate::replace::{remove_if_there, replace_file};
use crate::stored::{MAX_SOURCES, Sources};
use crate::timestamp::Timestamp;

pub(crate) use room::Limits;
use room::{Room, Texts};

/// Metadata and closed segments of a capture that is being written.
#[derive(Debug)]
pub(crate) struct Catalog {
    directory: PathBuf,
    metadata: Metadata,
    closed: Vec<Closed>,
    /// How often each pattern was replaced before the capture was opened.
    counts_before: BTreeMap<String, u64>,
    /// Times that a closed segment could not be entered into the index or compressed.
    pub(crate) failures: u64,
    /// Times that the disk refused to write a closed segment through.
    pub(crate) sync_failures: u64,
    /// Whether what is told of closed segments is on the disk before anybody goes on.
    pub(crate) durable: bool,
    limits: Limits,
    room: Room,
}

/// A segment that will not grow.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) entry: IndexEntry,
    pub(crate) disk_bytes: u64,
    /// What its line in the index takes.
    entry_bytes: u64,
}

/// Which of the two files about the segments are to be written.
#[derive(Clone, Copy, Debug)]
enum Books {
    Index,
    Metadata,
    Both,
}

impl Closed {
    pub(crate) fn new(entry: IndexEntry, disk_bytes: u64) -> Self {
        let entry_bytes = render_index([&entry].into_iter()).len() as u64;
        Self { entry, disk_bytes, entry_bytes }
    }
}

impl Catalog {
    pub(crate) fn new(
        directory: &Path,
        mut metadata: Metadata,
        closed: Vec<Closed>,
        limits: Limits,
    ) -> Self {
        metadata.settle_losses();
        let mut catalog = Self {
            directory: directory.to_owned(),
            metadata,
            closed: Vec::new(),
            counts_before: BTreeMap::new(),
            failures: 0,
            sync_failures: 0,
            durable: false,
            limits,
            room: Room::found(directory),
        };
        for segment in closed {
            catalog.insert(segment);
        }
        catalog
    }

    /// Writes what a start has learned, if it is more than what is there.
    pub(crate) fn save_found(&mut self, found_losses: bool) -> Result<(), CaptureError> {
        let known = open::read(&self.directory.join(INDEX)).unwrap_or_default();
        match known == self.index() {
            _ if found_losses => self.save(Books::Both, false),
            true => Ok(()),
            false => self.save(Books::Index, false),
        }
    }

    /// Adds the segment that was growing, which is closed now.
    pub(crate) fn add(&mut self, stem: &str, stats: SegmentStats) {
        let disk_bytes = stats.bytes();
        self.room.settle_active(0);
        self.insert(Closed::new(stats.into_entry(raw_file(stem)), disk_bytes));
        // What cannot be written now, on a full disk, is written with the next change, and at the end
        // it has to be. Until then readers read the segment instead of the index.
        if self.save(Books::Both, self.durable).is_err() {
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

    /// Notes that a segment is compressed now, and has its finished file beside the raw one; removes the
    /// raw one.
    pub(crate) fn finish(&mut self, stem: &str, finished_bytes: u64) -> Result<(), CaptureError> {
        let (raw, finished) = (raw_file(stem), finished_file(stem));
        if let Some(segment) = self.closed.iter_mut().find(|segment| segment.entry.file == raw) {
            let Closed { entry, disk_bytes, .. } = segment;
            *segment =
                Closed::new(IndexEntry { file: finished.clone(), ..entry.clone() }, *disk_bytes);
        }
        // The raw file goes also if the index cannot be written: on a full disk its room is needed, and
        // what the index says about the one is true for the other.
        let indexed = self.save(Books::Index, self.durable);
        remove_if_there(&self.directory.join(&raw))?;
        self.room.settle_partial();
        if let Some(segment) = self.closed.iter_mut().find(|segment| segment.entry.file == finished)
        {
            segment.disk_bytes = finished_bytes;
        }
        indexed
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

    /// Counts lines that are dropped.
    pub(crate) fn add_dropped(&mut self, stream: &str, lines: u64, bytes: u64) {
        let room = self.names_room();
        let dropped = &mut self.metadata.dropped;
        dropped.lines = dropped.lines.saturating_add(lines);
        dropped.bytes = dropped.bytes.saturating_add(bytes);
        dropped.streams.add(stream, lines, room);
    }

    /// Notes that so many of the lines that are dropped came where nobody can be asked to send again.
    pub(crate) fn add_unanswered(&mut self, lines: u64) {
        let unanswered = &mut self.metadata.dropped.unanswered;
        *unanswered = unanswered.saturating_add(lines);
    }

    /// How much was removed and dropped so far, over the capture's whole life.
    pub(crate) fn lost(&self) -> (Removed, u64) {
        (self.metadata.removed, self.metadata.dropped.lines)
    }

    /// All that was lost so far, over the capture's whole life.
    pub(crate) fn losses(&self) -> Losses {
        self.metadata.losses()
    }

    /// Counts a segment that is gone, and keeps what must outlive it.
    pub(crate) fn forget(&mut self, entry: &IndexEntry) {
        let removed = &mut self.metadata.removed;
        removed.segments = removed.segments.saturating_add(1);
        removed.lines = removed.lines.saturating_add(entry.lines);
        removed.bytes = removed.bytes.saturating_add(entry.bytes);
        let room = self.names_room();
        self.metadata.removed_streams.add_all(&entry.streams, entry.lines, room);
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
        let Metadata { stopped, total_lines, total_bytes, .. } = self.metadata;
        self.metadata.stopped = None;
        self.metadata.total_lines = 0;
        self.metadata.total_bytes = 0;
        self.save(Books::Metadata, false).inspect_err(|_| {
            self.metadata.stopped = stopped;
            self.metadata.total_lines = total_lines;
            self.metadata.total_bytes = total_bytes;
        })
    }

    /// Ends the capture.
    pub(crate) fn stop(&mut self, now: Timestamp) -> Result<&Metadata, CaptureError> {
        if !self.closed.is_empty() {
            self.save(Books::Index, true)?;
        }
        // A capture that had ended and got no line since then has not ended again.
        self.metadata.stopped.get_or_insert(now);
        self.save(Books::Metadata, true)?;
        Ok(&self.metadata)
    }

    /// How many segments there are, and how many of them are compressed.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.closed.len(), self.names().filter(|name| name.finished).count())
    }

    /// Bytes of the data files.
    pub(crate) fn data_bytes(&self) -> u64 {
        let closed = self.closed.iter().map(|segment| segment.disk_bytes);
        closed.fold(self.room.data(), u64::saturating_add)
    }

    /// Tells the metadata on disk of what has changed.
    pub(crate) fn save_metadata(&mut self) -> Result<(), CaptureError> {
        self.save(Books::Metadata, false)
    }

    /// Replaces the index, the metadata or both, the metadata first.
    fn save(&mut self, books: Books, durable: bool) -> Result<(), CaptureError> {
        let Texts { metadata, index } = self.render_within_cap(books)?;
        if let Some(text) = metadata {
            replace_file(&self.directory, METADATA, &text, durable)?;
            self.room.metadata = text.len() as u64;
        }
        if let Some(text) = index {
            replace_file(&self.directory, INDEX, &text, durable)?;
            self.room.index = text.len() as u64;
            self.metadata.removed_files.clear();
        }
        Ok(())
    }

    fn index(&self) -> Vec<u8> {
        render_index(self.closed.iter().map(|segment| &segment.entry))
    }
}
