//! The push thread: chunks to lines, lines to batches, batches to the sink, until it has them.
//!
//! A batch that fails is tried again for ever, ever more slowly; meanwhile nothing is thrown away:
//! what comes after it stays in the rings or in the spool. Only what a sink refuses for ever is dropped,
//! counted and reported.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::account::Account;
use crate::assembler::Assembler;
use crate::chunk::Chunk;
use crate::config::BatchRules;
use crate::error::CollectorError;
use crate::events::{Event, report};
use crate::parts::Parts;
use crate::shared::Shared;
use crate::sink::{PushError, Sink};
use crate::spool::{SpoolNext, SpoolReader};

/// First pause after a failed push.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause that we choose ourselves.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Longest pause that a sink may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(300);
/// A sink to which batches are too large gets smaller ones, down to so many bytes.
const SMALLEST_BATCH: usize = 4 << 10;
/// Pause between attempts once somebody wants to stop.
const STOPPING_PAUSE: Duration = Duration::from_millis(100);

/// Pause before a spool that could not be read is read again.
const SPOOL_PAUSE: Duration = Duration::from_millis(200);

/// What the push thread has to tell at its end.
#[derive(Debug)]
pub(crate) struct PushReport {
    pub(crate) account: Account,
    pub(crate) undelivered: u64,
    pub(crate) last_error: Option<String>,
}

/// The push thread's state.
pub(crate) struct Push {
    pub(crate) shared: Arc<Shared>,
    pub(crate) source: Source,
    pub(crate) drain: Thread,
    pub(crate) assembler: Assembler,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) rules: BatchRules,
    pub(crate) undelivered: u64,
    pub(crate) last_error: Option<String>,
    /// The spool could not be used, and that was told.
    pub(crate) spool_is_busy: bool,
}

/// Where chunks come from.
pub(crate) enum Source {
    /// Memory.
    Memory {
        /// drain thread --chunks--> push thread
        chunks: Receiver<Chunk>,
        /// push thread --chunks whose lines are safe--> drain thread
        safe: Sender<Chunk>,
    },
    /// The spool.
    Spool(SpoolReader),
}

impl Push {
    /// Works until no more chunks can come and the last batch is gone.
    pub(crate) fn run(mut self) -> PushReport {
        let mut waiting: Vec<Chunk> = Vec::new();
        let mut since: Option<Instant> = None;
        loop {
            let age = since.map_or(Duration::ZERO, |since| since.elapsed());
            let patience = match since {
                Some(_) => self.rules.age.saturating_sub(age),
                None => Duration::from_secs(1),
            };
            let mut over = false;
            match self.next(patience) {
                SpoolNext::Chunk(chunk) => {
                    self.apply(&chunk);
                    waiting.push(chunk);
                }
                SpoolNext::Segment => {
                    let last_line = self.assembler.output.last();
                    if let Source::Spool(spool) = &mut self.source {
                        spool.begin(self.assembler.state(), last_line);
                    }
                }
                SpoolNext::Nothing => {}
                SpoolNext::Over => over = true,
            }
            let empty = self.assembler.output.lines() == 0;
            if !empty && since.is_none() {
                since = Some(Instant::now());
            }
            let due = over
                || empty
                || self.assembler.output.len() >= self.rules.bytes
                || since.is_some_and(|since| since.elapsed() >= self.rules.age)
                || (self.shared.hurry.load(Ordering::Relaxed) && self.has_all());
            if due {
                self.shared.hurry.store(false, Ordering::Relaxed);
                since = None;
                if empty || self.deliver() {
                    self.acknowledge(&mut waiting);
                    self.drain.unpark();
                } else {
                    over = true;
                }
            }
            if over {
                break;
            }
        }
        self.finish()
    }

    fn next(&mut self, patience: Duration) -> SpoolNext {
        match &mut self.source {
            Source::Memory { chunks, .. } => match chunks.recv_timeout(patience) {
                Ok(chunk) => SpoolNext::Chunk(chunk),
                Err(RecvTimeoutError::Timeout) => SpoolNext::Nothing,
                Err(RecvTimeoutError::Disconnected) => SpoolNext::Over,
            },
            Source::Spool(spool) => match spool.next(patience) {
                Ok(next) => next,
                Err(error @ CollectorError::Spool { .. }) if self.shared.deadline().is_none() => {
                    self.spool_busy(&error);
                    std::thread::park_timeout(SPOOL_PAUSE);
                    SpoolNext::Nothing
                }
                Err(error) => {
                    self.spool_failed(&error);
                    SpoolNext::Over
                }
            },
        }
    }

    /// Whether no chunk waits.
    fn has_all(&self) -> bool {
        match &self.source {
            Source::Memory { chunks, .. } => chunks.is_empty(),
            Source::Spool(spool) => spool.is_at_end(),
        }
    }

    /// The sink has all lines up to here.
    fn acknowledge(&mut self, waiting: &mut Vec<Chunk>) {
        let last = self.assembler.output.last();
        match &mut self.source {
            Source::Memory { safe, .. } => {
                for chunk in waiting.drain(..) {
                    // The drain thread is gone only at the very end, when it has given up.
                    if safe.send(chunk).is_err() {
                        break;
                    }
                }
            }
            Source::Spool(spool) => {
                waiting.clear();
                match spool.acknowledge(last) {
                    Ok(()) => self.spool_is_busy = false,
                    // The sink has the lines; if we end now it gets them again, with their numbers.
                    Err(error) => self.spool_busy(&error),
                }
            }
        }
    }

    /// What may pass: a full disk, no descriptor. Told once, until it has passed.
    fn spool_busy(&mut self, error: &CollectorError) {
        let reason = error.with_causes();
        if !std::mem::replace(&mut self.spool_is_busy, true) {
            report(&Event::SpoolBusy { reason: reason.clone() });
        }
        self.last_error = Some(reason);
    }

    fn spool_failed(&mut self, error: &CollectorError) {
        let reason = error.with_causes();
        report(&Event::SpoolFailed { reason: reason.clone() });
        self.shared.push_failed(true);
        self.last_error = Some(reason);
    }

    fn finish(mut self) -> PushReport {
        self.shared.add_up();
        let reason = self.last_error.clone().unwrap_or_default();
        if let Source::Memory { chunks, .. } = &self.source {
            let left: Vec<Chunk> = chunks.try_iter().collect();
            for chunk in left {
                self.apply(&chunk);
                self.undelivered += self.assembler.output.lines();
                self.assembler.output.clear();
            }
            if self.undelivered > 0 {
                report(&Event::Undelivered { lines: self.undelivered, reason });
            }
        } else if let Source::Spool(spool) = &self.source
            && self.undelivered > 0
        {
            let spool = spool.directory().display().to_string();
            report(&Event::Kept { lines: self.undelivered, reason, spool });
        }
        PushReport {
            account: self.assembler.account_of_all(),
            undelivered: self.undelivered,
            last_error: self.last_error,
        }
    }

    fn apply(&mut self, chunk: &Chunk) {
        if self.assembler.apply_chunk(chunk.now, &chunk.bytes).is_err() {
            // Chunks are made by this very process.
            report(&Event::DamagedChunk { bytes: chunk.bytes.len() });
        }
        let counts = self.assembler.account.counts;
        self.shared.update_counts(|live| {
            *live = crate::counts::Counts {
                delivered_lines: live.delivered_lines,
                refused_lines: live.refused_lines,
                retries: live.retries,
                ..counts
            };
        });
    }

    /// Pushes the batch until the sink has it or refuses it; what is too large for the sink in parts. False where the
    /// deadline passed first.
    fn deliver(&mut self) -> bool {
        let mut parts = Parts::new(self.assembler.output.batch().entries.len());
        while let Some(lines) = parts.next() {
            match self.deliver_part(lines) {
                Outcome::Done => parts.advance(),
                Outcome::TooLarge(reason) if !parts.halve() => {
                    self.refused(1, reason);
                    parts.advance();
                }
                Outcome::TooLarge(_) => {}
                Outcome::TooLate => {
                    self.undelivered += parts.lines() as u64;
                    self.assembler.output.clear();
                    return false;
                }
            }
        }
        self.shared.push_failed(false);
        self.assembler.output.clear();
        true
    }

    fn refused(&mut self, lines: u64, reason: String) {
        report(&Event::Refused { lines, reason: reason.clone() });
        self.shared.update_counts(|counts| counts.refused_lines += lines);
        self.shared.sink_refused(true);
        self.last_error = Some(reason);
    }

    /// Pushes some lines of the batch.
    fn deliver_part(&mut self, range: Range<usize>) -> Outcome {
        let lines = range.len() as u64;
        let whole = self.assembler.output.batch();
        let part = (range.len() < whole.entries.len()).then(|| whole.part(range));
        let mut pause = FIRST_PAUSE;
        loop {
            let batch = part.as_ref().unwrap_or_else(|| self.assembler.output.batch());
            let (reason, after) = match self.sink.push(batch) {
                Ok(()) => {
                    self.shared.update_counts(|counts| counts.delivered_lines += lines);
                    self.shared.sink_refused(false);
                    return Outcome::Done;
                }
                Err(PushError::Refused { reason }) => {
                    self.refused(lines, reason);
                    return Outcome::Done;
                }
                Err(PushError::TooLarge { reason }) => {
                    // What comes next is likely to be too large as well.
                    let size = self.assembler.output.len();
                    self.rules.bytes = self.rules.bytes.min((size / 2).max(SMALLEST_BATCH));
                    return Outcome::TooLarge(reason);
                }
                Err(PushError::Retry { reason, after }) => (reason, after),
            };
            self.shared.update_counts(|counts| counts.retries += 1);
            self.shared.push_failed(true);
            let stopping = self.shared.deadline().is_some();
            let asked = after.unwrap_or_default().min(LONGEST_ASKED);
            let wait = if stopping { STOPPING_PAUSE } else { jittered(pause).max(asked) };
            if !stopping || self.last_error.as_ref() != Some(&reason) {
                report(&Event::Retry { lines, wait, reason: reason.clone() });
            }
            self.last_error = Some(reason);
            pause = (pause * 2).min(LONGEST_PAUSE);
            if let Some(deadline) = self.shared.wait(wait) {
                // Nobody waits for a slow sink longer than until the deadline, nor asks it in a loop.
                let left = deadline.saturating_duration_since(Instant::now());
                if left <= STOPPING_PAUSE {
                    return Outcome::TooLate;
                }
                std::thread::park_timeout(STOPPING_PAUSE);
            }
        }
    }
}

/// What became of lines that were pushed.
enum Outcome {
    /// The sink has them, or has refused them for ever.
    Done,
    /// They are too many at once, as the sink says.
    TooLarge(String),
    /// The deadline passed before the sink took them.
    TooLate,
}

/// Between half and all of `pause`, so that many collectors do not come back at the same moment.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0; 2];
    // Without randomness the pause is just not spread.
    let random = rustix::rand::getrandom(&mut byte, rustix::rand::GetRandomFlags::NONBLOCK);
    let part = if random.is_ok() { u32::from(u16::from_ne_bytes(byte)) } else { 65535 };
    pause / 2 + pause / 2 * part / 65535
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_spread_over_its_upper_half() {
        for _ in 0..100 {
            let pause = jittered(Duration::from_secs(10));
            assert!((Duration::from_secs(5)..=Duration::from_secs(10)).contains(&pause));
        }
    }
}
