//! What a capture takes on disk, and that it never takes more than its cap.
//!
//! Bytes are claimed before they are written: by the segment that grows, by the file that is being
//! compressed, by the texts of index and metadata, which are replaced as a whole and so are there twice
//! for a moment. A claim that would go beyond the cap removes the oldest segments first, or is refused.
//! Lines leave enough room for index and metadata to be replaced when their segment is closed. What is
//! not ours and no segment does not count, and neither does the audit trail.

use std::fs;
use std::path::Path;

use super::{Books, Catalog};
use crate::error::CaptureError;
use crate::layout::{INDEX, METADATA, SegmentName, finished_file, is_dated, raw_file};
use crate::losses::MAX_NAMES_BYTES;
use crate::replace::remove_if_there;
use crate::retention::segments_to_remove;

/// What the metadata may grow by between two times that it is written: counts with more digits.
const METADATA_GROWTH: u64 = 2 * 1024;
/// Metadata of more than this part of the cap, and of more than so many bytes, tells the sums of losses
/// alone.
const METADATA_PART: u64 = 16;
const METADATA_PLENTY: u64 = 4 * 1024;
/// Names of streams take at most this part of the cap: in a line of the index, and for each kind of loss in
/// the metadata.
const NAMES_PART: u64 = 64;
/// Where nothing may be removed, lines leave room for a raw segment to be compressed to this part of it.
const COMPRESSED_PART: u64 = 4;

/// How much room there is, and what may be done to get some.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// All files of the capture together take no more than this many bytes.
    pub(crate) cap: Option<u64>,
    /// Whether nothing that is stored may be removed.
    pub(crate) keep_all: bool,
    /// Whether raw segments are going to be compressed.
    pub(crate) compress: bool,
}

impl Limits {
    /// Bytes that names of streams may take in one list.
    pub(crate) fn names_room(&self) -> u64 {
        self.cap.map_or(MAX_NAMES_BYTES, |cap| MAX_NAMES_BYTES.min(cap / NAMES_PART))
    }
}

/// What is on disk beside closed segments, in bytes.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The segment that grows, as far as it was allowed to.
    active: u64,
    /// What its line in the index will take.
    active_entry: u64,
    /// The file that is being compressed, as far as it was allowed to grow.
    partial: u64,
    /// The index as it is.
    pub(super) index: u64,
    /// The metadata as it is.
    pub(super) metadata: u64,
    /// Whether even the names of streams that have lost lines have no room.
    names_given_up: bool,
}

/// What is to be written in place of the metadata and the index.
pub(super) struct Texts {
    pub(super) metadata: Option<Vec<u8>>,
    pub(super) index: Option<Vec<u8>>,
}

impl Room {
    /// What a directory has that is not being written.
    pub(super) fn found(directory: &Path) -> Self {
        let size = |name| fs::metadata(directory.join(name)).map_or(0, |found| found.len());
        Self { index: size(INDEX), metadata: size(METADATA), ..Self::default() }
    }

    /// Bytes of data files that are no closed segments.
    pub(super) fn data(&self) -> u64 {
        self.active + self.partial
    }

    /// The segment that grows has this size now.
    pub(super) fn settle_active(&mut self, length: u64) {
        self.active = length;
        if length == 0 {
            self.active_entry = 0;
        }
    }

    /// No file is being compressed any more.
    pub(super) fn settle_partial(&mut self) {
        self.partial = 0;
    }
}

impl Catalog {
    /// Bytes of all files of the capture.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.data_bytes() + self.room.index + self.room.metadata
    }

    /// Claims that the segment that grows has `end` bytes and a line of `entry` bytes in the index.
    pub(crate) fn claim_active(&mut self, end: u64, entry: u64) -> Result<(), CaptureError> {
        let Room { active, active_entry, .. } = self.room;
        self.room.active = end;
        self.room.active_entry = entry;
        self.make_room(None).inspect_err(|_| {
            self.room.active = active;
            self.room.active_entry = active_entry;
        })
    }

    /// The segment that grows has this size, and no more was written.
    pub(crate) fn settle_active(&mut self, length: u64) {
        self.room.settle_active(length);
    }

    /// Claims that the compressed file of a segment has so many bytes. False if the segment is gone.
    pub(crate) fn claim_partial(&mut self, stem: &str, bytes: u64) -> Result<bool, CaptureError> {
        if !self.is_raw(stem) {
            return Ok(false);
        }
        let before = self.room.partial;
        self.room.partial = bytes;
        self.make_room(Some(&raw_file(stem))).inspect_err(|_| self.room.partial = before)?;
        Ok(true)
    }

    /// The file that was being compressed is gone.
    pub(crate) fn settle_partial(&mut self) {
        self.room.settle_partial();
    }

    /// Removes the oldest segment; false if there is none.
    pub(crate) fn remove_one(&mut self) -> Result<bool, CaptureError> {
        if !self.unlink_oldest()? {
            return Ok(false);
        }
        self.save(Books::Both, false).map(|()| true)
    }

    /// Removes as many of the oldest segments as it takes to keep what is claimed within the cap; none
    /// of them, and nothing, if it would not be enough. `spared` and what is newer stay.
    fn make_room(&mut self, spared: Option<&str>) -> Result<(), CaptureError> {
        let Some(cap) = self.limits.cap else { return Ok(()) };
        let mut removed = false;
        loop {
            let weights =
                self.closed.iter().map(|segment| segment.disk_bytes + segment.entry_bytes);
            let others = self.claimed();
            if weights.clone().fold(others, u64::saturating_add) <= cap {
                break;
            }
            if self.limits.keep_all {
                return Err(self.cap_reached(cap));
            }
            let may_go = spared.map_or(self.closed.len(), |spared| {
                self.closed.partition_point(|segment| segment.entry.file.as_str() < spared)
            });
            let weights: Vec<u64> = weights.collect();
            let (old, new) = weights.split_at(may_go);
            let kept = new.iter().fold(others, |sum, weight| sum.saturating_add(*weight));
            let Some(count) = segments_to_remove(old, kept, cap) else {
                return Err(self.cap_reached(cap));
            };
            for _ in 0..count {
                self.unlink_oldest()?;
            }
            removed = true;
        }
        if removed { self.save(Books::Both, false) } else { Ok(()) }
    }

    /// Bytes that names of streams may take in the metadata, for each kind of loss.
    pub(super) fn names_room(&self) -> u64 {
        if self.room.names_given_up { 0 } else { self.limits.names_room() }
    }

    /// What is needed beside the closed segments and their lines in the next index: what is growing, and
    /// index and metadata as they are and as they will be.
    fn claimed(&self) -> u64 {
        let Room { active, active_entry, partial, index, metadata, .. } = self.room;
        let to_compress = match self.limits {
            Limits { keep_all: true, compress: true, .. } => {
                let raw = self.closed.iter().filter(|segment| !is_finished(&segment.entry.file));
                raw.map(|segment| segment.disk_bytes).max().unwrap_or(0) / COMPRESSED_PART
            }
            _ => 0,
        };
        let books_now = index + metadata;
        let names = self.names_room();
        let names_then = self.metadata.removed_streams.room_left(names)
            + self.metadata.dropped.streams.room_left(names);
        let books_then = active_entry + metadata + active_entry + names_then + METADATA_GROWTH;
        active
            .saturating_add(partial.max(to_compress))
            .saturating_add(books_now)
            .saturating_add(books_then)
    }

    /// The texts to write, after old segments have gone as far as they have to for it.
    pub(super) fn render_within_cap(&mut self, mut books: Books) -> Result<Texts, CaptureError> {
        loop {
            if !self.metadata.removed_files.is_empty() {
                // The index must not forget what the metadata does not count.
                books = match books {
                    Books::Metadata => Books::Metadata,
                    Books::Index | Books::Both => Books::Both,
                };
            }
            if self.metadata.stopped.is_some() {
                let entries = self.closed.iter().map(|segment| &segment.entry);
                let sum = |sum: u64, one: u64| sum.saturating_add(one);
                self.metadata.total_lines = entries.clone().map(|entry| entry.lines).fold(0, sum);
                self.metadata.total_bytes = entries.map(|entry| entry.bytes).fold(0, sum);
            }
            let mut texts = Texts {
                metadata: (!matches!(books, Books::Index)).then(|| self.metadata.render()),
                index: (!matches!(books, Books::Metadata)).then(|| self.index()),
            };
            let Some(cap) = self.limits.cap else { return Ok(texts) };
            // What is told of losses must not take the room of what is not lost.
            let plenty = METADATA_PLENTY.max(cap / METADATA_PART);
            if texts.metadata.as_ref().is_some_and(|text| text.len() as u64 > plenty) {
                texts.metadata = Some(self.render_condensed());
            }
            if self.while_replaced(&texts) <= cap {
                return Ok(texts);
            }
            // The sums have to be told; whose lines they are is what can be done without.
            texts.metadata = texts.metadata.map(|_| self.render_condensed());
            if self.while_replaced(&texts) <= cap {
                return Ok(texts);
            }
            if self.limits.keep_all || !self.unlink_oldest()? {
                return Err(self.cap_reached(cap));
            }
            books = Books::Both;
        }
    }

    /// The metadata without the names of streams, which are given up for good: whoever asks for losses gets
    /// what the metadata says.
    fn render_condensed(&mut self) -> Vec<u8> {
        self.room.names_given_up = true;
        self.metadata.condense_losses();
        self.metadata.render()
    }

    /// The most that is on disk while these texts are written.
    fn while_replaced(&self, texts: &Texts) -> u64 {
        let length = |text: &Option<Vec<u8>>| text.as_ref().map(|text| text.len() as u64);
        let metadata = length(&texts.metadata);
        let index = length(&texts.index).unwrap_or(0);
        let first = self.disk_bytes() + metadata.unwrap_or(0);
        let then =
            self.data_bytes() + metadata.unwrap_or(self.room.metadata) + self.room.index + index;
        first.max(then)
    }

    /// Removes the files of the oldest segment and counts it; false if there is none.
    fn unlink_oldest(&mut self) -> Result<bool, CaptureError> {
        let Some(oldest) = self.closed.first() else { return Ok(false) };
        let file = oldest.entry.file.clone();
        if let Some(SegmentName { stem, .. }) =
            SegmentName::parse(&file).filter(|name| is_dated(&name.stem))
        {
            // While it is being compressed it has both; the other may also be a segment by itself.
            for twin in [raw_file(&stem), finished_file(&stem)] {
                if twin != file && self.closed.get(1).is_none_or(|next| next.entry.file != twin) {
                    remove_if_there(&self.directory.join(twin))?;
                }
            }
        }
        remove_if_there(&self.directory.join(&file))?;
        let gone = self.closed.remove(0);
        self.forget(&gone.entry);
        self.metadata.removed_files.push(file);
        Ok(true)
    }

    fn cap_reached(&self, cap: u64) -> CaptureError {
        CaptureError::CapReached { directory: self.directory.clone(), cap }
    }
}

fn is_finished(file: &str) -> bool {
    SegmentName::parse(file).is_some_and(|name| name.finished)
}
