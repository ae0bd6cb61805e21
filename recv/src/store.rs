//! Batches in, capture out: redaction and the one writer behind a lock.
//!
//! What [`Store::append`] has returned for is in the capture, whatever happens to the process.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use logtap_capture::{
    Appended, CaptureError, Losses, Redactor, Status, Totals, Writer, WriterOptions,
};
use logtap_loki::{Batch, Labels};

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

    /// Whether another process writes the capture.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Capture(CaptureError::Locked { .. }))
    }

    /// Whether smaller parts of the batch may be stored, and never the whole.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Capture(CaptureError::LargerThanCap { .. }))
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
    /// Lines that came where nobody can be asked to send again, and were not stored.
    pub lost: u64,
    /// Lines of older segments that went for want of room.
    pub removed: u64,
}

/// Up to where the lines of a source are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastLine {
    pub(crate) number: u64,
    /// Whether lines are stored under its older name.
    pub(crate) has_older: bool,
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
    lost: AtomicU64,
    /// What was lost over the capture's whole life, as its metadata has it.
    losses: Mutex<Losses>,
    status: Mutex<Status>,
    /// How the capture was found.
    found: Status,
    notes: Vec<String>,
    talkers: Talkers,
}

impl Store {
    /// Begins a capture in a directory, or continues the one that is there.
    pub fn create(directory: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let redactor = Arc::clone(&options.writer.redactor);
        let writer = Writer::open(directory, options.writer)?;
        let status = writer.status();
        let notes = writer.notes().to_vec();
        let losses = Mutex::new(writer.losses());
        Ok(Self {
            directory: directory.to_owned(),
            redactor,
            writer: Mutex::new(Some(writer)),
            lines: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            losses,
            status: Mutex::new(status),
            found: status,
            notes,
            talkers: Talkers::default(),
        })
    }

    /// What a person should know of what was found in the directory.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Stores a batch completely or not at all; skips what is stored already.
    pub fn append(&self, batch: &Batch) -> Result<Appended, StoreError> {
        let redacted = self.redactor.redact(batch);
        let outcome = match self.writer().as_mut() {
            Some(writer) => {
                let outcome = writer.append(&redacted);
                self.look_at(writer);
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
                if appended.dropped > 0 {
                    self.dropped.fetch_add(appended.dropped, Ordering::Relaxed);
                }
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

    /// The number of the last line that is stored of a source, 0 for none, or where the store is closed. A
    /// source without any has those of another name, `older`.
    pub(crate) fn last_line(&self, source: &str, older: &str) -> LastLine {
        let mut writer = self.writer();
        let Some(writer) = writer.as_mut() else { return LastLine::default() };
        let of_older = writer.last_line(older);
        if of_older > writer.last_line(source) {
            writer.assume_stored(source, of_older);
        }
        LastLine { number: writer.last_line(source), has_older: of_older > 0 }
    }

    /// Counts the lines of a batch that came where nobody can be asked to send again, and that cannot be
    /// stored any more.
    pub fn give_up(&self, batch: &Batch) {
        let redacted = self.redactor.redact(batch);
        let lines = batch.entries.len() as u64;
        self.lost.fetch_add(lines, Ordering::Relaxed);
        match self.writer().as_mut() {
            Some(writer) => {
                writer.give_up(&redacted);
                self.look_at(writer);
            }
            None => self.lose_after_the_end(lines),
        }
    }

    /// Counts lines that were lost before anybody saw them, under a name of what they were.
    pub fn give_up_unseen(&self, name: &str, lines: u64) {
        let labels: Labels = vec![("logtap_lost".to_owned(), name.to_owned())];
        self.lost.fetch_add(lines, Ordering::Relaxed);
        match self.writer().as_mut() {
            Some(writer) => {
                writer.give_up_unseen(&labels, lines);
                self.look_at(writer);
            }
            None => self.lose_after_the_end(lines),
        }
    }

    /// Counts lines that are lost when the metadata is complete: only whoever asks here is told of them.
    fn lose_after_the_end(&self, lines: u64) {
        let mut losses = lock(&self.losses);
        losses.dropped.lines += lines;
        losses.dropped.unanswered += lines;
        losses.dropped.streams.add_unnamed(lines);
    }

    fn look_at(&self, writer: &Writer) {
        let status = writer.status();
        let mut known = lock(&self.losses);
        if known.removed != status.removed || known.dropped.lines != status.dropped_lines {
            *known = writer.losses();
        }
        drop(known);
        *lock(&self.status) = status;
    }

    /// What a text becomes that may quote what a sender sent, before it is told to anybody: redacted as
    /// lines are, and not longer than somebody reads.
    pub fn told(&self, text: &str) -> String {
        told(&self.redactor, text)
    }

    /// By what lines are redacted.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Does what is due without a batch: closes old segments, writes through to the disk, tells of losses.
    /// To be called about once a second.
    pub fn tick(&self) -> Result<(), StoreError> {
        match self.writer().as_mut() {
            Some(writer) => {
                let outcome = writer.tick();
                self.look_at(writer);
                outcome.map_err(StoreError::from)
            }
            None => Ok(()),
        }
    }

    /// Ends the capture; waits until everything is compressed.
    pub fn close(&self) -> Result<Totals, StoreError> {
        let writer = self.writer().take().ok_or_else(|| self.closed())?;
        let totals = writer.close()?;
        let mut status = lock(&self.status);
        status.disk_bytes = totals.disk_bytes;
        // What was lost at the very end is told like everything else.
        status.removed = totals.losses.removed;
        status.dropped_lines = totals.losses.dropped.lines;
        drop(status);
        lock(&self.losses).clone_from(&totals.losses);
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
            lost: self.lost.load(Ordering::Relaxed),
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

    /// What was lost over the capture's whole life, with the numbers of its metadata. Never waits for the
    /// disk.
    pub fn losses(&self) -> Losses {
        lock(&self.losses).clone()
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

/// Of a text that quotes a sender, so many bytes are told.
const MAX_TOLD: usize = 2048;

/// Redacts and cuts a text. Where escapes could hide what redaction looks for, nothing is quoted.
fn told(redactor: &Redactor, text: &str) -> String {
    let mut text = match redactor.redact_line(text.as_bytes(), |_| {}) {
        Some(redacted) => String::from_utf8_lossy(&redacted).into_owned(),
        None => text.to_owned(),
    };
    let is_escape = |two: &[u8]| matches!(two, [b'\\', b'x' | b'u' | b'U' | b'0'..=b'7']);
    let mut end = MAX_TOLD;
    if redactor.is_active() && text.as_bytes().windows(2).any(is_escape) {
        end = text.find(['\'', '"', '`']).map_or(0, |quote| quote + 1);
    }
    if text.len() > end {
        let end = (0..=end).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// A thread that panicked leaves what it held whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use logtap_capture::{Capture, Filter, Metadata, OTHERS, Patterns};
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
        let counts = Counts { lines: 3, bytes: 9, skipped: 2, failures: 1, ..Counts::default() };
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
    fn what_is_quoted_is_redacted_and_short() {
        let redactor = Redactor::new(Patterns::parse("email").unwrap(), None);
        let said = |text: &str| told(&redactor, text);
        assert_eq!(
            said("stream '{a=\"bob@example.com\"}' is"),
            "stream '{a=\"[REDACTED:email]\"}' is"
        );
        // Looked through, where it is known what is escaped how; else left out.
        assert_eq!(
            said(r#"stream '{a="bob\x40example.com"}' is"#),
            "stream '{a=\"[REDACTED:email]\"}' is"
        );
        assert_eq!(said("no quote \\u0040"), "...");
        let long = "\u{e9}".repeat(MAX_TOLD);
        assert_eq!(said(&long).len(), MAX_TOLD + 3);
        assert_eq!(told(&Redactor::none(), r"'\x40'"), r"'\x40'");
    }

    #[test]
    fn what_is_given_up_is_counted_by_stream_and_in_the_metadata() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::create(directory.path(), StoreOptions::default()).unwrap();
        store.give_up(&batch());
        store.give_up_unseen("packets", 5);
        let told = store.losses();
        let streams: Vec<_> = told.dropped.streams.iter().collect();
        assert_eq!(streams, [("{app=\"web\"}", 2), ("{logtap_lost=\"packets\"}", 5)]);
        assert_eq!((told.dropped.lines, told.dropped.unanswered), (7, 7));
        assert_eq!((store.counts().lost, store.counts().dropped), (7, 0));
        let metadata = || Metadata::read(directory.path()).unwrap().losses();
        assert_eq!(metadata(), told, "at once");
        store.close().unwrap();
        assert_eq!(metadata(), told);
        store.give_up(&batch());
        assert_eq!(store.losses().dropped.streams.get(OTHERS), 2, "of which nobody can note more");
        let again = Store::create(directory.path(), StoreOptions::default()).unwrap();
        assert_eq!(again.losses(), told, "over its whole life");
        assert_eq!(again.counts(), Counts::default());
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
