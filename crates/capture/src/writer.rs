//! The one writer of a capture.
//!
//! [`Writer::append`] returns when the lines are in the kernel: a killed process loses nothing that it
//! acknowledged; [`Fsync`] says what a power cut can take. What cannot be written as a whole is taken
//! back, so that a batch is stored completely or not at all. [`OnFull`] says who goes when there is no
//! room.

mod active;
mod room;
mod terms;

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use logtap_loki::{Batch, Entry, Labels, Origin};

use crate::catalog::{Catalog, Limits};
use crate::compactor::{Compactor, lock_catalog};
use crate::durability::Fsync;
use crate::error::CaptureError;
use crate::fullness::OnFull;
use crate::index::SegmentStats;
use crate::layout::{PARTIAL, finished_file, next_stem, raw_file};
use crate::lock::lock;
use crate::losses::{Losses, name_of};
use crate::recovery::{Recovered, recover};
use crate::redact::RedactedBatch;
use crate::rotation::{expected_size, is_due, is_old, segment_limit};
use crate::stored::MAX_SOURCES;
use crate::stored::StoredLines;

use active::{Active, Pieces};
pub use terms::{Appended, Status, Totals, WriterOptions};

/// Writes a capture. Dropped without [`Writer::close`], it leaves what a crash leaves.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    options: WriterOptions,
    limit: u64,
    /// Bytes that names of streams may take in the index line of a segment.
    names_room: u64,
    lock: Arc<File>,
    catalog: Arc<Mutex<Catalog>>,
    compactor: Option<Compactor>,
    active: Option<Active>,
    /// Whether the metadata says that lines are being written.
    live: bool,
    latest_stem: Option<String>,
    stored: StoredLines,
    pieces: Pieces,
    rotations_by_size: u64,
    rotations_by_age: u64,
    rotation_failures: u64,
    sync_failures: u64,
    /// Whether lines were dropped that the metadata on disk does not tell of.
    untold_losses: bool,
    notes: Vec<String>,
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
        let limits = Limits {
            cap: options.disk_cap,
            keep_all: options.on_full == OnFull::DropNewest,
            compress: options.compress,
        };
        let Recovered { mut catalog, latest_stem, found_losses, notes } =
            recover(directory, (options.clock)(), limits)?;
        catalog.durable = options.fsync != Fsync::Never;
        catalog.save_found(found_losses)?;
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
            names_room: limits.names_room(),
            options,
            lock,
            catalog: Arc::new(Mutex::new(catalog)),
            compactor: None,
            active: None,
            live,
            latest_stem,
            stored,
            pieces: Pieces::default(),
            rotations_by_size: 0,
            rotations_by_age: 0,
            rotation_failures: 0,
            sync_failures: 0,
            untold_losses: false,
            notes,
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

    /// What a person should know of what was found in the directory.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Bytes of all files of the capture: segments, index and metadata.
    pub fn disk_bytes(&self) -> u64 {
        lock_catalog(&self.catalog).disk_bytes()
    }

    /// How it is now.
    pub fn status(&self) -> Status {
        let catalog = lock_catalog(&self.catalog);
        let (disk_bytes, (removed, dropped_lines)) = (catalog.disk_bytes(), catalog.lost());
        let rotation_failures = self.rotation_failures + catalog.failures;
        let sync_failures = self.sync_failures + catalog.sync_failures;
        drop(catalog);
        Status {
            disk_bytes,
            disk_cap: self.options.disk_cap,
            rotations_by_size: self.rotations_by_size,
            rotations_by_age: self.rotations_by_age,
            rotation_failures,
            sync_failures,
            removed,
            dropped_lines,
        }
    }

    /// Stores a batch, or the part of it that is not stored yet, completely or not at all.
    pub fn append(&mut self, redacted: &RedactedBatch<'_>) -> Result<Appended, CaptureError> {
        let batch: &Batch = redacted.get();
        let skipped = self.stored_before(batch)?;
        let entries = batch.entries.get(skipped..).unwrap_or_default();
        let mut appended = Appended { skipped: skipped as u64, ..Appended::default() };
        if entries.is_empty() {
            return Ok(appended);
        }
        let mark = batch
            .origin
            .as_ref()
            .map(|origin| Origin { first: origin.first + skipped as u64, ..origin.clone() });
        match self.store(batch, entries, mark.as_ref()) {
            Ok(()) => {
                appended.stored = entries.len() as u64;
                self.options.redactor.count(redacted, skipped as u64);
            }
            Err(error) if error.is_of_room() && self.options.on_full != OnFull::Reject => {
                appended.dropped = entries.len() as u64;
                // Whoever sent them is told that they are taken care of, so they are counted before.
                self.count_dropped(batch, entries);
                self.tell_losses();
            }
            Err(error) => return Err(error),
        }
        if let Some(origin) = mark {
            self.stored.set(&origin.source, origin.last);
        }
        Ok(appended)
    }

    /// Does what is due without a batch: closes a segment that is old, writes through to the disk, tells
    /// the metadata of losses. To be called about once a second.
    pub fn tick(&mut self) -> Result<(), CaptureError> {
        self.rotate_old()?;
        if let Some(active) = &mut self.active
            && let Err(error) = active.sync_if_due(self.options.fsync)
        {
            self.sync_failures += 1;
            return Err(error);
        }
        if self.untold_losses {
            lock_catalog(&self.catalog).save_metadata()?;
            self.untold_losses = false;
        }
        Ok(())
    }

    /// Stores entries, making room as far as that is allowed.
    fn store(
        &mut self,
        batch: &Batch,
        entries: &[Entry],
        mark: Option<&Origin>,
    ) -> Result<(), CaptureError> {
        let incoming = expected_size(batch.text.len() as u64, entries.len() as u64);
        if let Some(cap) = self.options.disk_cap.filter(|cap| *cap < incoming) {
            // Nothing older is given up for a batch that would not fit anyway, and waiting does not help.
            let directory = self.directory.clone();
            return Err(CaptureError::LargerThanCap { directory, bytes: incoming, cap });
        }
        self.rotate_old()?;
        if let Some(active) = &self.active
            && (is_due(active.length, incoming, self.limit)
                || active.stats.source_count() >= MAX_SOURCES)
        {
            self.rotate()?;
            self.rotations_by_size += 1;
        }
        loop {
            let outcome = self.check_free_space().and_then(|()| self.write(batch, entries, mark));
            let Err(error) = outcome else { return Ok(()) };
            if let Some(active) = &mut self.active {
                active.take_back(&self.catalog);
            }
            self.sync_failures += u64::from(error.is_of_sync());
            // A full disk is answered as a reached cap is: the oldest segment goes.
            if !error.is_full() || !self.give_up_oldest(&error)? {
                return Err(error);
            }
        }
    }

    /// Counts the lines of a batch that nobody will try to store again.
    pub fn give_up(&mut self, redacted: &RedactedBatch<'_>) {
        let batch: &Batch = redacted.get();
        self.count_dropped(batch, &batch.entries);
        lock_catalog(&self.catalog).add_unanswered(batch.entries.len() as u64);
        self.tell_losses();
    }

    /// Counts lines of a stream that were lost before anybody saw them.
    pub fn give_up_unseen(&mut self, labels: &Labels, lines: u64) {
        let mut catalog = lock_catalog(&self.catalog);
        catalog.add_dropped(&name_of(labels), lines, 0);
        catalog.add_unanswered(lines);
        drop(catalog);
        self.tell_losses();
    }

    /// All that was lost so far, over the capture's whole life.
    pub fn losses(&self) -> Losses {
        lock_catalog(&self.catalog).losses()
    }

    /// Closes the active segment if it is old.
    fn rotate_old(&mut self) -> Result<(), CaptureError> {
        let now = (self.options.clock)();
        let is_old = |active: &Active| {
            // A clock that was set back makes no segment young again.
            let most = self.options.max_segment_age;
            let by_clock = is_old(active.begun, now, most);
            active.length > 0 && (by_clock || most.is_some_and(|m| active.opened.elapsed() >= m))
        };
        if self.active.as_ref().is_some_and(is_old) {
            self.rotate()?;
            self.rotations_by_age += 1;
        }
        Ok(())
    }

    /// Ends the capture: compresses what is raw, writes the final index and metadata.
    pub fn close(mut self) -> Result<Totals, CaptureError> {
        self.rotate()?;
        let compression_failure = self.compactor.take().and_then(Compactor::finish);
        let mut catalog = lock_catalog(&self.catalog);
        catalog.set_redaction_counts(self.options.redactor.counts());
        let metadata = catalog.stop((self.options.clock)())?.clone();
        let disk_bytes = catalog.disk_bytes();
        let (segments, compressed) = catalog.counts();
        Ok(Totals {
            lines: metadata.total_lines,
            bytes: metadata.total_bytes,
            disk_bytes,
            segments,
            compressed,
            losses: metadata.losses(),
            compression_failure,
        })
    }

    /// The number of the last line that is stored of a source, 0 for none.
    pub fn last_line(&self, source: &str) -> u64 {
        self.stored.last(source)
    }

    /// Takes the lines of a source that are stored up to this one for stored, without writing that down.
    pub fn assume_stored(&mut self, source: &str, last: u64) {
        self.stored.set(source, last);
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
        let active = match self.active.take() {
            Some(active) => active,
            None => {
                let begun = (self.options.clock)();
                let is_taken = |stem: &str| is_taken(&self.directory, stem);
                let stem = next_stem(begun, self.latest_stem.as_deref(), is_taken)
                    .ok_or_else(|| CaptureError::NoName { directory: self.directory.clone() })?;
                let stats = SegmentStats::within(self.names_room);
                let fsync = self.options.fsync;
                let active = Active::begin(&self.directory, stem, begun, fsync, stats)?;
                self.latest_stem = Some(active.stem.clone());
                active
            }
        };
        let active = self.active.insert(active);
        active.append(batch, entries, mark, &mut self.pieces, &self.catalog, self.options.fsync)
    }

    /// Closes the active segment.
    fn rotate(&mut self) -> Result<(), CaptureError> {
        self.close_active().inspect_err(|_| self.rotation_failures += 1)
    }

    fn close_active(&mut self) -> Result<(), CaptureError> {
        if let Some(active) = &mut self.active {
            active.repair(&self.catalog)?;
            // Where it is going to be compressed, the thread that does it writes it through first.
            let is_last_form = !self.options.compress && self.options.fsync != Fsync::Never;
            if (is_last_form || self.options.fsync.is_eager()) && active.sync().is_err() {
                self.sync_failures += 1;
                // Pages that the disk has refused count as written afterwards, and are not: another file gets them.
                if active.write_again().is_err() {
                    // What the kernel has is readable still, and the next segment may fare better.
                    self.sync_failures += 1;
                }
            }
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
                self.options.fsync != Fsync::Never,
            )?,
        };
        self.compactor.insert(compactor).submit(stem);
        Ok(())
    }
}

/// Whether anything has a name that a segment of this stem would have.
fn is_taken(directory: &Path, stem: &str) -> bool {
    let finished = finished_file(stem);
    let names = [raw_file(stem), format!("{finished}{PARTIAL}"), finished];
    names.iter().any(|name| fs::symlink_metadata(directory.join(name)).is_ok())
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Another writer may open the directory as soon as this one is gone.
        if let Some(compactor) = self.compactor.take() {
            drop(compactor.finish());
        }
    }
}
