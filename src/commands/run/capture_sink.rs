//! The sinks of `logtap run`: the capture in this very process, redaction before an address, and a word where lines wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use logtap_collector::sink::{PushError, Sink};
use logtap_loki::Batch;
use logtap_recv::{Redactor, Store, StoreError};

/// What helps against a full disk while the command runs.
const MAKE_ROOM: &str = "free some space there; when shared memory is full too, the command waits for some seconds, and \
                         then goes on while lines are lost and counted";

/// Hands batches to a store by a function call.
pub(crate) struct CaptureSink {
    pub(crate) store: Arc<Store>,
    /// Number of the last line of a batch that had room only in part.
    pub(crate) taken_through: Arc<AtomicU64>,
}

impl Sink for CaptureSink {
    fn push(&mut self, batch: &Batch) -> Result<(), PushError> {
        let stored = match self.store.append(batch) {
            Err(error) if error.is_full() || error.is_too_large() => {
                store_in_parts(&self.store, batch, &self.taken_through)
            }
            other => other.map(drop),
        };
        match stored {
            Ok(()) => Ok(()),
            Err(error) if error.is_bad_batch() => Err(PushError::Refused { reason: chain(&error) }),
            // A full disk may get room again, and what cannot be written stays with the collector.
            Err(error) => {
                // `run` has no limits of its own that could be set otherwise.
                let remedy = if error.is_full() { Some(MAKE_ROOM) } else { error.remedy() };
                let remedy = remedy.map(|remedy| format!("; {remedy}"));
                let reason = chain(&error) + &remedy.unwrap_or_default();
                Err(PushError::Retry { reason, after: None })
            }
        }
    }
}

/// Stores as many of a batch's first lines as there is room for: the store takes a batch as a whole or not at all, and
/// skips what it has when the whole comes again.
fn store_in_parts(
    store: &Store,
    batch: &Batch,
    taken_through: &AtomicU64,
) -> Result<(), StoreError> {
    let (mut stored, mut step) = (0, batch.entries.len() / 2);
    loop {
        let Some(part) = first_lines(batch, stored + step.max(1)) else {
            // Nothing is left to try; the answer to the whole is the store's own.
            return store.append(batch).map(drop);
        };
        match store.append(&part) {
            Ok(_) => {
                stored = part.entries.len();
                if let Some(origin) = &part.origin {
                    // Tried again, a smaller part is taken too: it is there already.
                    taken_through.fetch_max(origin.last, Ordering::Relaxed);
                }
            }
            Err(error) if step <= 1 => return Err(error),
            Err(_) => step /= 2,
        }
    }
}

/// The first lines of a batch, fewer than all; nothing where the lines have no numbers by which they would be known again.
fn first_lines(batch: &Batch, count: usize) -> Option<Batch> {
    if count >= batch.entries.len() {
        return None;
    }
    let mut part = batch.clone_without_lines();
    for entry in batch.entries.get(..count)? {
        part.push(entry.stream, entry.timestamp, entry.metadata, batch.line(entry));
    }
    let origin = part.origin.as_mut()?;
    origin.last = origin.first + count as u64 - 1;
    Some(part)
}

/// A warning about lines that wait is not repeated within this time.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Tells a person that lines wait, who may have to do something about it before the program has to wait too.
pub(crate) struct WarningSink {
    sink: Box<dyn Sink>,
    warn: fn(&str),
    warned: Option<Instant>,
}

impl WarningSink {
    pub(crate) fn new(sink: Box<dyn Sink>, warn: fn(&str)) -> Self {
        Self { sink, warn, warned: None }
    }
}

impl Sink for WarningSink {
    fn push(&mut self, batch: &Batch) -> Result<(), PushError> {
        let outcome = self.sink.push(batch);
        if let Err(PushError::Retry { reason, .. }) = &outcome
            && self.warned.is_none_or(|last| last.elapsed() >= WARN_EVERY)
        {
            self.warned = Some(Instant::now());
            (self.warn)(reason);
        }
        outcome
    }
}

/// Redacts batches before another sink gets them, and counts what that has taken.
pub(crate) struct RedactingSink<Inner> {
    pub(crate) sink: Inner,
    pub(crate) redactor: Arc<Redactor>,
}

impl<Inner: Sink> Sink for RedactingSink<Inner> {
    fn push(&mut self, batch: &Batch) -> Result<(), PushError> {
        let redacted = self.redactor.redact(batch);
        self.sink.push(redacted.get())?;
        self.redactor.count(&redacted, 0);
        Ok(())
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        let cause = cause.to_string();
        // Some errors repeat their cause in their own text.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use logtap_loki::Origin;
    use logtap_recv::{StoreOptions, WriterOptions};

    use super::*;

    const LINES: usize = 1_000;

    fn batch() -> Batch {
        let mut batch = Batch::new();
        batch.streams.push(vec![("app".into(), "web".into())]);
        for number in 0..LINES {
            batch.push(0, number as i64, 0, "x".repeat(100).as_bytes());
        }
        batch.origin = Some(Origin { source: "s".into(), first: 1, last: LINES as u64 });
        batch
    }

    #[test]
    fn a_batch_without_room_is_stored_as_far_as_there_is_some_and_one_warning_is_given() {
        static WARNINGS: AtomicUsize = AtomicUsize::new(0);
        let directory = tempfile::tempdir().unwrap();
        // Nothing is closed, and so nothing can go to make room.
        let writer = WriterOptions { disk_cap: Some(60_000), ..WriterOptions::default() };
        let store = Arc::new(Store::create(directory.path(), StoreOptions { writer }).unwrap());
        let taken_through = Arc::new(AtomicU64::new(0));
        let sink = Box::new(CaptureSink {
            store: Arc::clone(&store),
            taken_through: Arc::clone(&taken_through),
        });
        let mut sink = WarningSink::new(sink, |reason| {
            assert!(!reason.is_empty());
            WARNINGS.fetch_add(1, Ordering::Relaxed);
        });
        assert!(matches!(sink.push(&batch()), Err(PushError::Retry { .. })));
        let stored = store.counts().lines;
        assert!((50..LINES as u64).contains(&stored), "{stored}");
        assert!(matches!(sink.push(&batch()), Err(PushError::Retry { .. })));
        assert_eq!((store.counts().lines, WARNINGS.load(Ordering::Relaxed)), (stored, 1));
        assert_eq!(taken_through.load(Ordering::Relaxed), stored);
    }

    #[test]
    fn lines_without_numbers_are_not_stored_in_parts() {
        let mut batch = batch();
        assert_eq!(first_lines(&batch, 3).unwrap().origin.unwrap().last, 3);
        assert_eq!(first_lines(&batch, LINES), None);
        batch.origin = None;
        assert_eq!(first_lines(&batch, 3), None);
    }
}
