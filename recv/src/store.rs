//! Batches in, capture out: redaction and the one writer behind a lock.
//!
//! What [`Store::append`] has returned for is in the capture, whatever happens to the process.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use logtap_capture::{Appended, CaptureError, Redactor, Status, Totals, Writer, WriterOptions};
use logtap_loki::Batch;

use crate::talkers::{TalkerCounts, Talkers};

/// How a store keeps its capture.
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    /// Sizes, cap, compression, and what lines are redacted by.
    pub writer: WriterOptions,
}

/// A failure to store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The capture could not be written.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// It was closed before.
    #[error("capture `{}` is closed", .directory.display())]
    Closed {
        /// The capture directory.
        directory: PathBuf,
    },
}

impl StoreError {
    /// Whether the same batch may be stored later, when there is room again.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Capture(error) if error.is_full())
    }

    /// What somebody can do about it, if there is something.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Capture(error) => error.remedy(),
            Self::Closed { .. } => None,
        }
    }

    /// Whether the batch itself is wrong and will never be stored.
    pub fn is_bad_batch(&self) -> bool {
        matches!(self, Self::Capture(CaptureError::BadOrigin { .. }))
    }
}

/// What a store has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines stored.
    pub lines: u64,
    /// Their bytes, as the programs wrote them.
    pub bytes: u64,
    /// Lines that were stored before and sent again.
    pub skipped: u64,
    /// Batches that could not be stored.
    pub failures: u64,
    /// Lines that had no room and were dropped, because the user chose so.
    pub dropped: u64,
    /// Lines of older segments that went for want of room.
    pub removed: u64,
}

/// A capture that takes batches, from any thread.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    redactor: Arc<Redactor>,
    writer: Mutex<Option<Writer>>,
    lines: AtomicU64,
    bytes: AtomicU64,
    skipped: AtomicU64,
    failures: AtomicU64,
    dropped: AtomicU64,
    status: Mutex<Status>,
    /// How the capture was found.
    found: Status,
    talkers: Talkers,
}

impl Store {
    /// Begins a capture in a directory, or continues the one that is there.
    pub fn create(directory: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let redactor = Arc::clone(&options.writer.redactor);
        let writer = Writer::open(directory, options.writer)?;
        let status = writer.status();
        Ok(Self {
            directory: directory.to_owned(),
            redactor,
            writer: Mutex::new(Some(writer)),
            lines: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            status: Mutex::new(status),
            found: status,
            talkers: Talkers::default(),
        })
    }

    /// Stores a batch completely or not at all; skips what is stored already.
    pub fn append(&self, batch: &Batch) -> Result<Appended, StoreError> {
        let redacted = self.redactor.redact(batch);
        let outcome = match self.writer().as_mut() {
            Some(writer) => {
                let outcome = writer.append(&redacted);
                *lock(&self.status) = writer.status();
                outcome.map_err(StoreError::from)
            }
            None => Err(self.closed()),
        };
        match &outcome {
            Ok(appended) => {
                let skipped = appended.skipped as usize;
                let stored = batch.entries.iter().skip(skipped);
                let bytes = match appended.stored {
                    0 => 0,
                    _ => stored.map(|entry| u64::from(entry.length)).sum(),
                };
                if appended.stored > 0 {
                    // What was taken out of labels must not be seen here either.
                    self.talkers.count(redacted.get(), skipped);
                }
                self.dropped.fetch_add(appended.dropped, Ordering::Relaxed);
                self.lines.fetch_add(appended.stored, Ordering::Relaxed);
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
                self.skipped.fetch_add(appended.skipped, Ordering::Relaxed);
            }
            Err(_) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        outcome
    }

    /// Does what is due without a batch: closes old segments, writes through to the disk, tells of losses.
    /// To be called about once a second.
    pub fn tick(&self) -> Result<(), StoreError> {
        match self.writer().as_mut() {
            Some(writer) => {
                let outcome = writer.tick();
                *lock(&self.status) = writer.status();
                outcome.map_err(StoreError::from)
            }
            None => Ok(()),
        }
    }

    /// Ends the capture; waits until everything is compressed.
    pub fn close(&self) -> Result<Totals, StoreError> {
        let writer = self.writer().take().ok_or_else(|| self.closed())?;
        let totals = writer.close()?;
        lock(&self.status).disk_bytes = totals.disk_bytes;
        Ok(totals)
    }

    /// What was done so far. Never waits.
    pub fn counts(&self) -> Counts {
        Counts {
            lines: self.lines.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            removed: self.status().losses_since(&self.found).removed.lines,
        }
    }

    /// The names of the redaction patterns with how often each was replaced in what is stored. Never
    /// waits.
    pub fn redactions(&self) -> Vec<(String, u64)> {
        self.redactor.counts()
    }

    /// The names of the labels that stored lines have.
    pub fn label_names(&self) -> Vec<String> {
        self.talkers.names()
    }

    /// The lines stored so far for each value of a label.
    pub fn talkers(&self, label: &str) -> TalkerCounts {
        self.talkers.of(label)
    }

    /// How the capture was after the last batch. Never waits for the disk.
    pub fn status(&self) -> Status {
        *lock(&self.status)
    }

    /// Bytes of the data files after the last batch. Never waits for the disk.
    pub fn disk_bytes(&self) -> u64 {
        self.status().disk_bytes
    }

    /// The capture directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn writer(&self) -> MutexGuard<'_, Option<Writer>> {
        lock(&self.writer)
    }

    fn closed(&self) -> StoreError {
        StoreError::Closed { directory: self.directory.clone() }
    }
}

/// A thread that panicked leaves what it held whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use logtap_capture::{Capture, Filter, Metadata, Patterns};
    use logtap_loki::Origin;

    use super::*;

    fn batch() -> Batch {
        let mut batch = Batch::new();
        batch.streams.push(vec![("app".into(), "web".into())]);
        batch.push(0, 1, 0, b"one");
        batch.push(0, 2, 0, b"three");
        batch.origin = Some(Origin { source: "s".into(), first: 1, last: 2 });
        batch
    }

    #[test]
    fn counts_what_it_stores_and_what_it_skips() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::create(directory.path(), StoreOptions::default()).unwrap();
        assert_eq!(store.append(&batch()).unwrap(), Appended { stored: 2, skipped: 0, dropped: 0 });
        let mut more = batch();
        more.push(0, 3, 0, b"x");
        more.origin = Some(Origin { source: "s".into(), first: 1, last: 3 });
        assert_eq!(store.append(&more).unwrap(), Appended { stored: 1, skipped: 2, dropped: 0 });
        more.origin = Some(Origin { source: "s".into(), first: 1, last: 9 });
        assert!(store.append(&more).unwrap_err().is_bad_batch());
        let counts = Counts { lines: 3, bytes: 9, skipped: 2, failures: 1, dropped: 0, removed: 0 };
        assert_eq!(store.counts(), counts);
        assert!(store.disk_bytes() > 0);
        assert_eq!(store.close().unwrap().lines, 3);
        assert!(matches!(store.close(), Err(StoreError::Closed { .. })));
        assert!(matches!(store.append(&batch()), Err(StoreError::Closed { .. })));
    }

    #[test]
    fn redacts_before_it_stores_and_counts_what_is_stored() {
        let directory = tempfile::tempdir().unwrap();
        let redactor = Redactor::new(Patterns::parse("email,ip_v4").unwrap(), None);
        let writer = WriterOptions { redactor: Arc::new(redactor), ..WriterOptions::default() };
        let store = Store::create(directory.path(), StoreOptions { writer }).unwrap();
        let mut batch = batch();
        batch.push(0, 3, 0, b"from bob@example.com");
        batch.origin = Some(Origin { source: "s".into(), first: 1, last: 3 });
        for stored in [3, 0] {
            assert_eq!(store.append(&batch).unwrap().stored, stored);
        }
        let counts = [("email".to_owned(), 1), ("ip_v4".to_owned(), 0)];
        assert_eq!(store.redactions(), counts);
        store.close().unwrap();
        let metadata = Metadata::read(directory.path()).unwrap();
        let redaction = metadata.redaction.unwrap();
        assert!(redaction.enabled);
        assert_eq!(redaction.patterns, ["email", "ip_v4"]);
        assert_eq!(redaction.counts, [("email".to_owned(), 1)].into());
        let mut lines = Vec::new();
        Capture::open(directory.path()).unwrap().read(&Filter::default(), |line| {
            lines.push(line.unwrap().message.to_string());
            ControlFlow::Continue(())
        });
        assert_eq!(lines, ["one", "three", "from [REDACTED:email]"]);
    }

    #[test]
    fn continues_a_capture() {
        let directory = tempfile::tempdir().unwrap();
        for (stored, skipped) in [(2, 0), (0, 2)] {
            let store = Store::create(directory.path(), StoreOptions::default()).unwrap();
            assert_eq!(store.append(&batch()).unwrap(), Appended { stored, skipped, dropped: 0 });
            assert_eq!(store.close().unwrap().lines, 2);
        }
    }
}
