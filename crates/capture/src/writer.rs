//! The one writer of a capture.
//!
//! [`Writer::append`] returns when the lines are in the kernel: a killed process loses nothing that it
//! acknowledged. There is no fsync until a segment is finished. What cannot be written as a whole is
//! taken back, so that a batch is stored completely or not at all.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use logtap_loki::{Batch, Entry, Origin};

use crate::catalog::Catalog;
use crate::compactor::{Compactor, lock_catalog};
use crate::encode::LineEncoder;
use crate::error::CaptureError;
use crate::index::{MAX_SOURCES, SegmentStats};
use crate::layout::{next_stem, raw_file};
use crate::lock::lock;
use crate::metadata::Removed;
use crate::recovery::{Recovered, recover};
use crate::redact::{RedactedBatch, Redactor};
use crate::replace::create_new;
use crate::rotation::{expected_size, is_due, segment_limit};
use crate::stored::StoredLines;
use crate::timestamp::Timestamp;

/// Lines are handed to the kernel in pieces of about this size.
const WRITE_SIZE: usize = 256 * 1024;

/// How a capture is written.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// A segment is closed when the next batch would make it larger than this.
    pub max_segment_bytes: u64,
    /// All data files together take no more than this; older segments go first.
    pub disk_cap: Option<u64>,
    /// Whether closed segments are compressed.
    pub compress: bool,
    /// How hard, as zstd counts.
    pub compression_level: i32,
    /// What its batches are passed by. Here it only tells its names and counts for the metadata.
    pub redactor: Arc<Redactor>,
    /// Where the time comes from.
    pub clock: fn() -> Timestamp,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            max_segment_bytes: 256 << 20,
            disk_cap: Some(50 << 30),
            compress: true,
            compression_level: 1,
            redactor: Arc::new(Redactor::none()),
            clock: Timestamp::now,
        }
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Lines that are stored now.
    pub stored: u64,
    /// Lines that were stored before.
    pub skipped: u64,
}

/// What a closed capture holds.
#[derive(Debug, Default)]
pub struct Totals {
    /// Lines in it.
    pub lines: u64,
    /// Bytes before compression.
    pub bytes: u64,
    /// Bytes of its data files.
    pub disk_bytes: u64,
    /// Its segments.
    pub segments: usize,
    /// How many of them are compressed.
    pub compressed: usize,
    /// What the disk cap has taken away.
    pub removed: Removed,
    /// Why a segment could not be compressed; it is there in its raw form.
    pub compression_failure: Option<CaptureError>,
}

/// Writes a capture. Dropped without [`Writer::close`], it leaves what a crash leaves.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    options: WriterOptions,
    limit: u64,
    lock: Arc<File>,
    catalog: Arc<Mutex<Catalog>>,
    compactor: Option<Compactor>,
    active: Option<Active>,
    /// Whether the metadata says that lines are being written.
    live: bool,
    latest_stem: Option<String>,
    stored: StoredLines,
    encoder: LineEncoder,
    buffer: Vec<u8>,
    lines_per_stream: Vec<u64>,
}

/// The segment that grows.
#[derive(Debug)]
struct Active {
    stem: String,
    path: PathBuf,
    file: File,
    /// Its size up to the last whole batch.
    length: u64,
    /// Whether there may be more behind that, which could not be taken back.
    torn: bool,
    stats: SegmentStats,
}

impl Active {
    /// Tries again to take back what a failed write has left.
    fn repair(&mut self) -> Result<(), CaptureError> {
        if self.torn {
            self.file.set_len(self.length).map_err(CaptureError::io("repair", &self.path))?;
            self.torn = false;
        }
        Ok(())
    }
}

impl Writer {
    /// Opens a capture for writing: makes the directory, or repairs and continues what is there.
    pub fn open(directory: &Path, options: WriterOptions) -> Result<Self, CaptureError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(CaptureError::io("create", directory))?;
        let lock = Arc::new(lock(directory)?);
        let Recovered { mut catalog, latest_stem } = recover(directory, (options.clock)())?;
        if catalog.counts().0 > 0 {
            catalog.save_index()?;
        }
        // A capture that has ended stays so until the first line.
        let live = !catalog.is_stopped();
        if live {
            catalog.set_redaction(options.redactor.names());
            catalog.go_live()?;
        }
        let stored = StoredLines::from(catalog.sources());
        let waiting = catalog.raw_stems();
        let mut writer = Self {
            directory: directory.to_owned(),
            limit: segment_limit(options.max_segment_bytes, options.disk_cap),
            options,
            lock,
            catalog: Arc::new(Mutex::new(catalog)),
            compactor: None,
            active: None,
            live,
            latest_stem,
            stored,
            encoder: LineEncoder::default(),
            buffer: Vec::with_capacity(WRITE_SIZE + WRITE_SIZE / 4),
            lines_per_stream: Vec::new(),
        };
        for stem in waiting {
            writer.compress(stem)?;
        }
        Ok(writer)
    }

    /// The capture directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Bytes of all data files.
    pub fn disk_bytes(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, |active| active.length);
        lock_catalog(&self.catalog).disk_bytes() + active
    }

    /// Stores a batch, or the part of it that is not stored yet, completely or not at all.
    pub fn append(&mut self, redacted: &RedactedBatch<'_>) -> Result<Appended, CaptureError> {
        let batch: &Batch = redacted.get();
        let skipped = self.stored_before(batch)?;
        let entries = batch.entries.get(skipped..).unwrap_or_default();
        if entries.is_empty() {
            return Ok(Appended { stored: 0, skipped: skipped as u64 });
        }
        let mark = batch
            .origin
            .as_ref()
            .map(|origin| Origin { first: origin.first + skipped as u64, ..origin.clone() });
        let incoming = expected_size(batch.text.len() as u64, entries.len() as u64);
        if let Some(cap) = self.options.disk_cap.filter(|cap| *cap < incoming) {
            // Nothing older is given up for a batch that would not fit anyway.
            return Err(CaptureError::CapReached { directory: self.directory.clone(), cap });
        }
        if let Some(active) = &self.active
            && (is_due(active.length, incoming, self.limit)
                || active.stats.source_count() >= MAX_SOURCES)
        {
            self.rotate()?;
        }
        while let Err(error) = self.write(batch, entries, mark.as_ref()) {
            self.take_back();
            // A full disk is answered as a reached cap is: the oldest segment goes.
            let retry = matches!(error, CaptureError::Io { .. }) && error.is_full();
            if !retry || !lock_catalog(&self.catalog).remove_one()? {
                return Err(error);
            }
        }
        if let Some(origin) = mark {
            self.stored.set(&origin.source, origin.last);
        }
        self.options.redactor.count(redacted, skipped as u64);
        Ok(Appended { stored: entries.len() as u64, skipped: skipped as u64 })
    }

    /// Ends the capture: compresses what is raw, writes the final index and metadata.
    pub fn close(mut self) -> Result<Totals, CaptureError> {
        self.rotate()?;
        let compression_failure = self.compactor.take().and_then(Compactor::finish);
        let mut catalog = lock_catalog(&self.catalog);
        catalog.set_redaction_counts(self.options.redactor.counts());
        let (segments, compressed) = catalog.counts();
        let disk_bytes = catalog.disk_bytes();
        let metadata = catalog.stop((self.options.clock)())?;
        Ok(Totals {
            lines: metadata.total_lines,
            bytes: metadata.total_bytes,
            disk_bytes,
            segments,
            compressed,
            removed: metadata.removed,
            compression_failure,
        })
    }

    /// How many of the batch's first lines are stored already.
    fn stored_before(&self, batch: &Batch) -> Result<usize, CaptureError> {
        let Some(origin) = &batch.origin else { return Ok(0) };
        let entries = batch.entries.len();
        let behind = origin.first.checked_add(entries as u64);
        if origin.first == 0 || behind.is_none() || behind != origin.last.checked_add(1) {
            let Origin { first, last, .. } = *origin;
            return Err(CaptureError::BadOrigin { first, last, entries });
        }
        let skipped = (self.stored.last(&origin.source) + 1).saturating_sub(origin.first);
        Ok(usize::try_from(skipped).unwrap_or(usize::MAX).min(entries))
    }

    fn write(
        &mut self,
        batch: &Batch,
        entries: &[Entry],
        mark: Option<&Origin>,
    ) -> Result<(), CaptureError> {
        if !self.live {
            let mut catalog = lock_catalog(&self.catalog);
            catalog.set_redaction(self.options.redactor.names());
            catalog.go_live()?;
            drop(catalog);
            self.live = true;
        }
        if self.active.is_none() {
            self.active = Some(self.begin_segment()?);
        }
        let Some(active) = &mut self.active else { return Ok(()) };
        active.repair()?;
        let mut output = Output {
            file: &active.file,
            path: &active.path,
            catalog: &self.catalog,
            cap: self.options.disk_cap,
            end: active.length,
        };
        self.encoder.begin(batch);
        self.buffer.clear();
        self.lines_per_stream.clear();
        self.lines_per_stream.resize(batch.streams.len(), 0);
        let (mut from, mut to) = (i64::MAX, i64::MIN);
        let mut mark = mark;
        for entry in entries {
            self.encoder.line(&mut self.buffer, batch, entry, mark.take());
            from = from.min(entry.timestamp);
            to = to.max(entry.timestamp);
            if let Some(lines) = self.lines_per_stream.get_mut(entry.stream as usize) {
                *lines += 1;
            }
            if self.buffer.len() >= WRITE_SIZE {
                output.write(&self.buffer)?;
                self.buffer.clear();
            }
        }
        output.write(&self.buffer)?;
        let end = output.end;
        let stats = &mut active.stats;
        stats.add_lines(Timestamp(from), Timestamp(to), entries.len() as u64, end - active.length);
        for (labels, &lines) in batch.streams.iter().zip(&self.lines_per_stream) {
            if lines > 0 {
                for (name, value) in labels {
                    stats.add_label(name, value, lines);
                }
            }
        }
        if let Some(origin) = &batch.origin {
            stats.add_source(&origin.source, origin.last);
        }
        active.length = end;
        Ok(())
    }

    /// Removes what a failed write left behind the last whole batch.
    fn take_back(&mut self) {
        if let Some(active) = &mut self.active {
            active.torn = active.file.set_len(active.length).is_err();
        }
    }

    fn begin_segment(&mut self) -> Result<Active, CaptureError> {
        let stem = next_stem((self.options.clock)(), self.latest_stem.as_deref());
        let path = self.directory.join(raw_file(&stem));
        let file = create_new(&path).map_err(CaptureError::io("create", &path))?;
        self.latest_stem = Some(stem.clone());
        Ok(Active { stem, path, file, length: 0, torn: false, stats: SegmentStats::default() })
    }

    /// Closes the active segment.
    fn rotate(&mut self) -> Result<(), CaptureError> {
        if let Some(active) = &mut self.active {
            active.repair()?;
        }
        let Some(active) = self.active.take() else { return Ok(()) };
        if active.length == 0 {
            return fs::remove_file(&active.path).map_err(CaptureError::io("remove", &active.path));
        }
        let Active { stem, stats, .. } = active;
        let mut catalog = lock_catalog(&self.catalog);
        catalog.set_redaction_counts(self.options.redactor.counts());
        catalog.add(&stem, stats);
        drop(catalog);
        self.compress(stem)
    }

    fn compress(&mut self, stem: String) -> Result<(), CaptureError> {
        if !self.options.compress {
            return Ok(());
        }
        let compactor = match self.compactor.take() {
            Some(compactor) => compactor,
            None => Compactor::start(
                self.directory.clone(),
                Arc::clone(&self.catalog),
                Arc::clone(&self.lock),
                self.options.compression_level,
            )?,
        };
        self.compactor.insert(compactor).submit(stem);
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Another writer may open the directory as soon as this one is gone.
        if let Some(compactor) = self.compactor.take() {
            drop(compactor.finish());
        }
    }
}

/// Where the pieces of a batch go.
struct Output<'a> {
    file: &'a File,
    path: &'a Path,
    catalog: &'a Mutex<Catalog>,
    cap: Option<u64>,
    end: u64,
}

impl Output<'_> {
    fn write(&mut self, piece: &[u8]) -> Result<(), CaptureError> {
        let end = self.end + piece.len() as u64;
        if let Some(cap) = self.cap {
            lock_catalog(self.catalog).make_room(end, cap)?;
        }
        let mut file = self.file;
        file.write_all(piece).map_err(CaptureError::io("write", self.path))?;
        self.end = end;
        Ok(())
    }
}
