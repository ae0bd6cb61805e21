//! Keeps what the destination of a run does not take: in a capture of its own, under a directory that `logtap recover`
//! finds.
//!
//! A line that is refused is kept at once. One that could be delivered later is kept when the run ends and its
//! destination still does not answer. Where there is no room for it the collector has it back, as before: then it stays
//! in its ring, or is counted as not delivered. Refuses to say that a line is delivered which is not: it is counted here.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use logtap_collector::sink::{PushError, Sink};
use logtap_loki::Batch;
use logtap_recv::{Redactor, Store, StoreOptions, WriterOptions};

use crate::commands::undelivered::{self, CAPTURE, Owner};

/// What is kept of one run.
pub(crate) struct Keeper {
    owner: Owner,
    redactor: Arc<Redactor>,
    /// From when on nobody waits for the destination.
    give_up_at: OnceLock<Instant>,
    /// Number of the last line that the destination took of a batch that it did not take as a whole.
    pub(crate) taken_through: Arc<AtomicU64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    /// Lines that are kept because they were refused.
    refused: u64,
    /// Lines that are kept because the destination did not answer.
    undelivered: u64,
    last_error: Option<String>,
    trouble: Option<String>,
}

struct Open {
    directory: PathBuf,
    store: Store,
    _lock: File,
}

/// What was kept, when the run is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    pub(crate) directory: Option<PathBuf>,
    pub(crate) refused: u64,
    pub(crate) undelivered: u64,
    pub(crate) last_error: Option<String>,
    /// Why something could not be kept.
    pub(crate) trouble: Option<String>,
}

impl Keeper {
    pub(crate) fn new(owner: Owner, redactor: Arc<Redactor>) -> Self {
        Self {
            owner,
            redactor,
            give_up_at: OnceLock::new(),
            taken_through: Arc::default(),
            state: Mutex::default(),
        }
    }

    /// Nobody waits for the destination any more from then on.
    pub(crate) fn give_up_at(&self, time: Instant) {
        // The first word stands.
        let _second_word = self.give_up_at.set(time);
    }

    fn is_over(&self) -> bool {
        self.give_up_at.get().is_some_and(|time| Instant::now() >= *time)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a batch, without the lines that the destination has. False where it cannot.
    fn keep(&self, batch: &Batch, reason: &str, is_refused: bool) -> bool {
        let left = without_taken(batch, self.taken_through.load(Ordering::Relaxed));
        let mut state = self.state();
        let stored = self.store(&mut state, &left);
        match stored {
            Ok(()) => {
                let lines = left.entries.len() as u64;
                if is_refused {
                    state.refused += lines;
                } else {
                    state.undelivered += lines;
                }
                state.last_error = Some(reason.to_owned());
                true
            }
            Err(error) => {
                state.trouble = Some(error);
                false
            }
        }
    }

    fn store(&self, state: &mut State, batch: &Batch) -> Result<(), String> {
        let open = match &mut state.open {
            Some(open) => open,
            none => none.insert(self.open()?),
        };
        open.store.append(batch).map(drop).map_err(|error| error.to_string())
    }

    fn open(&self) -> Result<Open, String> {
        let (directory, lock) =
            undelivered::make(&self.owner).map_err(|error| error.to_string())?;
        let writer =
            WriterOptions { redactor: Arc::clone(&self.redactor), ..WriterOptions::default() };
        let store = Store::create(&directory.join(CAPTURE), StoreOptions { writer })
            .map_err(|error| error.to_string())?;
        Ok(Open { directory, store, _lock: lock })
    }

    /// Closes what was kept, and says what that is.
    pub(crate) fn close(&self) -> Kept {
        let state = std::mem::take(&mut *self.state());
        let State { open, refused, undelivered, last_error, mut trouble } = state;
        let directory = open.map(|open| {
            if let Err(error) = open.store.close() {
                trouble = Some(format!("failed to close `{}`: {error}", open.directory.display()));
            }
            open.directory
        });
        Kept { directory, refused, undelivered, last_error, trouble }
    }
}

/// The lines of a batch behind a number.
fn without_taken(batch: &Batch, through: u64) -> Batch {
    let taken = batch.origin.as_ref().map_or(0, |origin| {
        if through > origin.last { 0 } else { (through + 1).saturating_sub(origin.first) }
    });
    let mut left = batch.clone_without_lines();
    for entry in batch.entries.iter().skip(usize::try_from(taken).unwrap_or(usize::MAX)) {
        left.push(entry.stream, entry.timestamp, entry.metadata, batch.line(entry));
    }
    // A capture takes lines of one source in order and without repetition; these are some of many.
    left.origin = None;
    left
}

/// The destination of a run with a keeper behind it.
pub(crate) struct KeepingSink {
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) keeper: Arc<Keeper>,
    /// The destination was given up.
    pub(crate) given_up: Option<String>,
}

impl Sink for KeepingSink {
    fn push(&mut self, batch: &Batch) -> Result<(), PushError> {
        if let Some(reason) = self.given_up.clone() {
            // Once there is no time left, a server that hangs is not asked for each batch.
            return if self.keeper.keep(batch, &reason, false) {
                Ok(())
            } else {
                Err(PushError::Retry { reason, after: None })
            };
        }
        let outcome = self.sink.push(batch);
        match &outcome {
            Err(PushError::Refused { reason }) => {
                // Told as refused all the same: the collector then keeps nobody from writing to the original.
                self.keeper.keep(batch, reason, true);
            }
            Err(PushError::TooLarge { reason }) if batch.entries.len() <= 1 => {
                self.keeper.keep(batch, reason, true);
                return Err(PushError::Refused { reason: reason.clone() });
            }
            Err(PushError::Retry { reason, .. })
                if self.keeper.is_over() && self.keeper.keep(batch, reason, false) =>
            {
                self.given_up = Some(reason.clone());
                return Ok(());
            }
            _ => {}
        }
        outcome
    }
}

/// As a user types it, to send later what is in a directory.
pub(crate) fn command(directory: &Path) -> String {
    let shown = directory.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,".contains(&byte);
    if shown.bytes().all(is_plain) {
        return format!("logtap recover {shown}");
    }
    format!("logtap recover '{}'", shown.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use logtap_loki::Origin;

    use super::*;

    #[test]
    fn lines_that_a_full_capture_took_are_not_kept_again() {
        let mut batch = Batch::new();
        batch.streams.push(vec![("app".into(), "web".into())]);
        for number in 0..5 {
            batch.push(0, number, 0, number.to_string().as_bytes());
        }
        batch.origin = Some(Origin { source: "s".into(), first: 11, last: 15 });
        for (through, left) in [(0, 5), (10, 5), (12, 3), (15, 0), (16, 5)] {
            let kept = without_taken(&batch, through);
            assert_eq!(kept.entries.len(), left, "{through}");
            assert!(kept.origin.is_none());
        }
        let kept = without_taken(&batch, 12);
        assert_eq!(kept.line(&kept.entries[0]), b"2");
    }

    #[test]
    fn a_directory_of_any_name_can_be_typed() {
        assert_eq!(command(Path::new("/a/b-1")), "logtap recover /a/b-1");
        assert_eq!(command(Path::new("/a b/it's")), r"logtap recover '/a b/it'\''s'");
    }
}
