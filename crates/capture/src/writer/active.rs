//! The segment that grows: begun, appended to batch by batch, repaired, written through.
//!
//! A batch goes into its file completely or not at all; what a failed write leaves behind the last whole
//! batch is taken back. Decides nothing: when to begin another segment, and what goes when there is no
//! room, is for its owner and the catalog.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use logtap_loki::{Batch, Entry, Origin};

use crate::catalog::Catalog;
use crate::compactor::lock_catalog;
use crate::durability::Fsync;
use crate::encode::LineEncoder;
use crate::error::CaptureError;
use crate::index::SegmentStats;
use crate::layout::raw_file;
use crate::losses::name_of;
use crate::open::{open_regular, open_to_read};
use crate::replace::{create, create_new, sync_directory};
use crate::time_counts::TimeCounts;
use crate::timestamp::Timestamp;

/// Lines are handed to the kernel in pieces of about this size.
const WRITE_SIZE: usize = 256 * 1024;
/// What a piece may keep of its memory: most lines end it a little above its size.
const PIECE_MEMORY: usize = WRITE_SIZE + WRITE_SIZE / 4;

/// The segment that grows.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) stem: String,
    pub(super) path: PathBuf,
    file: File,
    /// Its size up to the last whole batch.
    pub(super) length: u64,
    /// Whether there may be more behind that, which could not be taken back.
    torn: bool,
    pub(super) begun: Timestamp,
    /// The same by the clock that nobody sets.
    pub(super) opened: Instant,
    /// When it was written through last, and whether there is more since then.
    synced: Instant,
    unsynced: bool,
    pub(super) stats: SegmentStats,
}

/// What turns batches into pieces of text; its memory is used again from batch to batch.
#[derive(Debug)]
pub(super) struct Pieces {
    encoder: LineEncoder,
    text: Vec<u8>,
    lines_per_stream: Vec<u64>,
}

impl Default for Pieces {
    fn default() -> Self {
        Self {
            encoder: LineEncoder::default(),
            text: Vec::with_capacity(PIECE_MEMORY),
            lines_per_stream: Vec::new(),
        }
    }
}

impl Active {
    /// Makes an empty segment, of which nothing is known but what may be noted of it.
    pub(super) fn begin(
        directory: &Path,
        stem: String,
        begun: Timestamp,
        fsync: Fsync,
        stats: SegmentStats,
    ) -> Result<Self, CaptureError> {
        let path = directory.join(raw_file(&stem));
        let file = create_new(&path).map_err(CaptureError::io("create", &path))?;
        if fsync.is_eager()
            && let Err(error) = sync_directory(directory)
        {
            // Its name is free for the next try; left here, an empty file is removed at the next start.
            drop(fs::remove_file(&path));
            return Err(error);
        }
        Ok(Self {
            stem,
            path,
            file,
            length: 0,
            torn: false,
            begun,
            opened: Instant::now(),
            synced: Instant::now(),
            unsynced: false,
            stats,
        })
    }

    /// Writes entries of a batch. After an error, [`Active::take_back`] is to be called.
    pub(super) fn append(
        &mut self,
        batch: &Batch,
        entries: &[Entry],
        mark: Option<&Origin>,
        pieces: &mut Pieces,
        catalog: &Mutex<Catalog>,
        fsync: Fsync,
    ) -> Result<(), CaptureError> {
        self.repair(catalog)?;
        let Pieces { encoder, text, lines_per_stream } = pieces;
        encoder.begin(batch);
        text.clear();
        lines_per_stream.clear();
        lines_per_stream.resize(batch.streams.len(), 0);
        let source = batch.origin.as_ref().map(|origin| origin.source.as_str());
        // Whoever is killed in the middle leaves a part, which the next start cannot tell from a whole without this.
        let whole = Origin { source: String::new(), first: 1, last: entries.len() as u64 };
        let mut mark = mark.or((entries.len() > 1).then_some(&whole));
        let names: Vec<String> = batch.streams.iter().map(|labels| name_of(labels)).collect();
        let times = TimeCounts::of(entries.iter().map(|entry| entry.timestamp));
        let growth = self.stats.growth(&batch.streams, &names, source, &times);
        let entry_bytes = self.stats.entry_bytes() + growth;
        let claim = |end| lock_catalog(catalog).claim_active(end, entry_bytes);
        let mut end = self.length;
        let (mut from, mut to) = (i64::MAX, i64::MIN);
        for entry in entries {
            encoder.line(text, batch, entry, mark.take());
            from = from.min(entry.timestamp);
            to = to.max(entry.timestamp);
            if let Some(lines) = lines_per_stream.get_mut(entry.stream as usize) {
                *lines += 1;
            }
            if text.len() >= WRITE_SIZE {
                end = self.write(end, text, claim)?;
                text.clear();
            }
        }
        end = self.write(end, text, claim)?;
        // The memory of one very long line is not kept for all others.
        text.clear();
        text.shrink_to(PIECE_MEMORY);
        self.unsynced = true;
        match fsync {
            Fsync::Always => self.sync()?,
            Fsync::Every(_) => self.sync_if_due(fsync)?,
            Fsync::Never | Fsync::Rotation => {}
        }
        let (from, to) = (Timestamp(from), Timestamp(to));
        self.stats.add_lines(from, to, entries.len() as u64, end - self.length);
        self.stats.add_times(&times);
        let streams = batch.streams.iter().zip(&names);
        for ((labels, stream), &lines) in streams.zip(&*lines_per_stream) {
            if lines > 0 {
                self.stats.add_stream(stream, lines);
                for (name, value) in labels {
                    self.stats.add_label(name, value, lines);
                }
            }
        }
        if let Some(origin) = &batch.origin {
            self.stats.add_source(&origin.source, origin.last);
        }
        self.length = end;
        Ok(())
    }

    /// Writes a piece behind `end` if there is room; gives the new end.
    fn write(
        &mut self,
        end: u64,
        piece: &[u8],
        claim: impl Fn(u64) -> Result<(), CaptureError>,
    ) -> Result<u64, CaptureError> {
        let end = end + piece.len() as u64;
        claim(end)?;
        self.file.write_all(piece).map_err(CaptureError::io("write", &self.path))?;
        Ok(end)
    }

    /// Removes what a failed write left behind the last whole batch.
    pub(super) fn take_back(&mut self, catalog: &Mutex<Catalog>) {
        self.torn = true;
        // What fails is tried again before anything else is done with the file, and until then it counts.
        drop(self.repair(catalog));
    }

    /// Tries again to take back what a failed write has left.
    pub(super) fn repair(&mut self, catalog: &Mutex<Catalog>) -> Result<(), CaptureError> {
        if self.torn {
            self.file.set_len(self.length).map_err(CaptureError::io("repair", &self.path))?;
            self.torn = false;
            lock_catalog(catalog).settle_active(self.length);
        }
        Ok(())
    }

    /// Writes it through to the disk.
    pub(super) fn sync(&mut self) -> Result<(), CaptureError> {
        if self.unsynced {
            self.file.sync_data().map_err(CaptureError::io("sync", &self.path))?;
            self.unsynced = false;
        }
        self.synced = Instant::now();
        Ok(())
    }

    /// Writes all of it into another file, through to the disk, and puts that in its place: for content of which the
    /// disk has refused a part.
    pub(super) fn write_again(&mut self) -> Result<(), CaptureError> {
        let partial = self.path.with_extension("jsonl.partial");
        let again = || {
            let mut from = open_to_read(&self.path)?.take(self.length);
            let mut to = create(&partial)?;
            io::copy(&mut from, &mut to)?;
            to.sync_all()?;
            fs::rename(&partial, &self.path)?;
            open_regular(OpenOptions::new().append(true), &self.path)
        };
        match again() {
            Ok(file) => {
                self.file = file;
                self.unsynced = false;
                Ok(())
            }
            Err(error) => {
                drop(fs::remove_file(&partial));
                Err(CaptureError::io("sync", &self.path)(error))
            }
        }
    }

    /// Writes it through where that is wanted so often and was not done for so long.
    pub(super) fn sync_if_due(&mut self, fsync: Fsync) -> Result<(), CaptureError> {
        match fsync {
            Fsync::Every(interval) if self.synced.elapsed() >= interval => self.sync(),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Redactor;
    use crate::writer::{Writer, WriterOptions};

    #[test]
    fn a_long_line_is_stored_and_its_memory_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(directory.path(), WriterOptions::default()).unwrap();
        let mut batch = Batch::new();
        batch.streams.push(vec![("app".to_owned(), "web".to_owned())]);
        batch.push(0, 1, 0, &vec![b'x'; 8 << 20]);
        for _ in 0..2 {
            assert_eq!(writer.append(&Redactor::none().redact(&batch)).unwrap().stored, 1);
            assert!(writer.pieces.text.capacity() <= PIECE_MEMORY);
        }
        assert_eq!(writer.close().unwrap().lines, 2);
    }
}
