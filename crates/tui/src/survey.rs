//! Counts the lines of the whole capture by what is shown and searched, in a thread of its own.
//!
//! The thread works only while there is a filter or a search. It begins where somebody is waiting, and
//! otherwise at the end of the capture. What it remembers is a few counts for each chunk, never the
//! lines: a screen is put together from the chunks that have any.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::catalogue::{Volume, Volumes};
use crate::judge::Judge;
use crate::place::{CHUNK, ChunkKey, SegmentKey};
use crate::spec::Spec;
use crate::tally::Tally;
use crate::text::TextReader;

/// How far the survey is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Whether there is anything to survey.
    pub active: bool,
    /// Chunks that were looked at.
    pub done: u64,
    /// Chunks that there are.
    pub total: u64,
    /// What was found so far.
    pub tally: Tally,
    /// What could not be read.
    pub damaged: Option<String>,
}

impl Progress {
    /// Whether every line was looked at.
    pub fn is_complete(&self) -> bool {
        self.done == self.total
    }

    /// How far, in percent.
    pub fn percent(&self) -> u64 {
        if self.is_complete() { 100 } else { self.done * 100 / self.total.max(1) }
    }
}

/// The thread and what it shares.
pub(crate) struct Survey {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    board: Mutex<Board>,
    changed: Condvar,
}

struct Board {
    spec: Arc<Spec>,
    /// Grows with each new spec; what was found for an older one is thrown away.
    generation: u64,
    stop: bool,
    segments: BTreeMap<SegmentKey, Known>,
    pending: BTreeSet<ChunkKey>,
    tally: Tally,
    done: u64,
    /// Where somebody waits, and whether for what comes behind.
    wanted: Option<(ChunkKey, bool)>,
    damaged: Option<String>,
}

struct Known {
    volume: Arc<Volume>,
    /// Length up to which chunks are pending or counted.
    length: u64,
    chunks: Vec<Option<Box<Tally>>>,
}

/// A chunk to look at, and the one before it.
struct Task {
    chunk: ChunkKey,
    volume: Arc<Volume>,
    length: u64,
    before: Option<(Arc<Volume>, u64, u64)>,
}

impl Survey {
    /// Starts the thread; it sleeps until there is something to do.
    pub(crate) fn start() -> std::io::Result<Self> {
        let board = Board {
            spec: Arc::new(Spec::default()),
            generation: 0,
            stop: false,
            segments: BTreeMap::new(),
            pending: BTreeSet::new(),
            tally: Tally::default(),
            done: 0,
            wanted: None,
            damaged: None,
        };
        let shared = Arc::new(Shared { board: Mutex::new(board), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("survey".to_owned()).spawn(move || theirs.work())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Begins anew with another spec; what is under way is given up.
    pub(crate) fn set_spec(&self, spec: Arc<Spec>) {
        let mut board = self.shared.lock();
        board.spec = spec;
        board.generation += 1;
        board.segments.clear();
        board.pending.clear();
        board.tally = Tally::default();
        board.done = 0;
        board.wanted = None;
        board.damaged = None;
        drop(board);
        self.shared.changed.notify_all();
    }

    /// Tells what there is now.
    pub(crate) fn update(&self, volumes: &Volumes) {
        let mut board = self.shared.lock();
        if !board.spec.needs_survey() {
            return;
        }
        board.forget_missing(volumes);
        for volume in volumes.iter() {
            board.learn(volume);
        }
        let busy = !board.pending.is_empty();
        drop(board);
        if busy {
            self.shared.changed.notify_all();
        }
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        let mut board = self.shared.lock();
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            // What it panicked with was told; here is what it means.
            let text = "lines are counted and searched no more: the thread for it has failed";
            board.damaged = Some(text.to_owned());
        }
        Progress {
            active: board.spec.needs_survey(),
            done: board.done,
            total: board.done + board.pending.len() as u64,
            tally: board.tally.clone(),
            damaged: board.damaged.clone(),
        }
    }

    /// What is known about a chunk; `None` if it was not looked at yet. Asks for it in that case.
    pub(crate) fn known<Wanted>(
        &self,
        chunk: &ChunkKey,
        forward: bool,
        read: impl FnOnce(&Tally) -> Wanted,
    ) -> Option<Wanted> {
        let mut board = self.shared.lock();
        let known = board
            .segments
            .get(&chunk.segment)
            .and_then(|known| known.chunks.get(chunk.number as usize)?.as_ref());
        match known {
            Some(tally) => Some(read(tally)),
            None => {
                board.wanted = Some((chunk.clone(), forward));
                None
            }
        }
    }

    /// What all chunks before one have found; `None` if not all of them were looked at.
    pub(crate) fn found_before(&self, chunk: &ChunkKey) -> Option<u64> {
        let board = self.shared.lock();
        if board.pending.range(..chunk.clone()).next().is_some() {
            return None;
        }
        let sum = |chunks: &[Option<Box<Tally>>]| {
            chunks.iter().flatten().map(|tally| tally.found).sum::<u64>()
        };
        let before = board.segments.range(..chunk.segment.clone());
        let own = board.segments.get(&chunk.segment)?;
        let own = own.chunks.get(..chunk.number as usize)?;
        Some(before.map(|(_, known)| sum(&known.chunks)).sum::<u64>() + sum(own))
    }
}

impl Drop for Survey {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has left its message already.
            drop(thread.join());
        }
    }
}

impl Board {
    fn forget_missing(&mut self, volumes: &Volumes) {
        if self.segments.len() <= volumes.len()
            && self.segments.keys().all(|key| volumes.binary_search_by(|v| v.key.cmp(key)).is_ok())
        {
            return;
        }
        let there: BTreeSet<&SegmentKey> = volumes.iter().map(|volume| &volume.key).collect();
        let (mut tally, mut done) = (std::mem::take(&mut self.tally), self.done);
        self.segments.retain(|key, known| {
            let stays = there.contains(key);
            if !stays {
                for chunk in known.chunks.iter().flatten() {
                    tally.subtract(chunk);
                    done -= 1;
                }
            }
            stays
        });
        self.pending.retain(|chunk| there.contains(&chunk.segment));
        (self.tally, self.done) = (tally, done);
    }

    /// Notes what a segment has beyond what is known.
    fn learn(&mut self, volume: &Arc<Volume>) {
        let length = volume.length();
        let known = self.segments.entry(volume.key.clone()).or_insert_with(|| Known {
            volume: Arc::clone(volume),
            length: 0,
            chunks: Vec::new(),
        });
        if !Arc::ptr_eq(&known.volume, volume) {
            known.volume = Arc::clone(volume);
        }
        if length == known.length {
            return;
        }
        // A failed write that was taken back makes a segment shorter.
        let first = known.length.min(length) / CHUNK;
        for number in first..length.max(known.length).div_ceil(CHUNK) {
            let place = number as usize;
            if let Some(tally) = known.chunks.get_mut(place).and_then(Option::take) {
                self.tally.subtract(&tally);
                self.done -= 1;
            }
            let chunk = ChunkKey { segment: volume.key.clone(), number };
            if number * CHUNK < length {
                self.pending.insert(chunk);
            } else {
                self.pending.remove(&chunk);
            }
        }
        known.chunks.resize(length.div_ceil(CHUNK) as usize, None);
        known.length = length;
    }

    fn next(&mut self) -> Option<Task> {
        let chunk = match &self.wanted {
            Some((from, true)) => self.pending.range(from.clone()..).next(),
            Some((from, false)) => self.pending.range(..=from.clone()).next_back(),
            None => None,
        };
        let chunk = match chunk {
            Some(chunk) => chunk.clone(),
            None => {
                self.wanted = None;
                self.pending.last()?.clone()
            }
        };
        let known = self.segments.get(&chunk.segment)?;
        let before = match chunk.number.checked_sub(1) {
            Some(number) => Some((known, number)),
            None => {
                let earlier = self.segments.range(..chunk.segment.clone()).rev();
                let known = earlier.map(|(_, known)| known).find(|known| known.length > 0);
                known.map(|known| (known, known.length.div_ceil(CHUNK) - 1))
            }
        };
        let before =
            before.map(|(known, number)| (Arc::clone(&known.volume), number, known.length));
        Some(Task { volume: Arc::clone(&known.volume), length: known.length, chunk, before })
    }

    fn put(&mut self, chunk: &ChunkKey, tally: Tally) {
        let Some(known) = self.segments.get_mut(&chunk.segment) else { return };
        let Some(place) = known.chunks.get_mut(chunk.number as usize) else { return };
        if self.pending.remove(chunk) {
            self.tally.add(&tally);
            self.done += 1;
            *place = Some(Box::new(tally));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut reader = TextReader::default();
        let mut judge = Judge::new(Arc::new(Spec::default()));
        loop {
            let mut board = self.lock();
            let (task, generation) = loop {
                if board.stop {
                    return;
                }
                if !Arc::ptr_eq(&judge.spec, &board.spec) {
                    judge = Judge::new(Arc::clone(&board.spec));
                }
                if let Some(task) = board.next() {
                    break (task, board.generation);
                }
                board = self.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
            };
            drop(board);
            let Task { chunk, volume, length, before } = task;
            let outcome = reader.chunk(&volume, chunk.number, length);
            drop(volume);
            let (tally, damage) = match outcome {
                Ok(text) => {
                    // What cannot be read there is told where it is.
                    let before = || {
                        let (volume, number, length) = before?;
                        reader.chunk(&volume, number, length).ok().map(|chunk| chunk.text)
                    };
                    (tally(&mut judge, &text.text, before), None)
                }
                Err(error) => (Tally::default(), Some(error.to_string())),
            };
            let mut board = self.lock();
            // A segment that grew meanwhile has its last chunk pending again.
            let same = board.segments.get(&chunk.segment).is_some_and(|known| {
                known.length == length || (chunk.number + 1) * CHUNK <= known.length.min(length)
            });
            if board.generation == generation && same {
                board.put(&chunk, tally);
                board.damaged = damage.or(board.damaged.take());
            }
        }
    }
}

fn tally(judge: &mut Judge, text: &[u8], before: impl FnOnce() -> Option<Vec<u8>>) -> Tally {
    let rules = judge.spec.rules.len();
    let mut tally = Tally { hits: vec![0; rules], ..Tally::default() };
    for verdict in judge.judge_all(text, before) {
        tally.count(&verdict, rules);
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_gone_is_told() {
        let survey = Survey::start().unwrap();
        assert_eq!(survey.progress().damaged, None);
        survey.shared.lock().stop = true;
        survey.shared.changed.notify_all();
        while !survey.thread.as_ref().unwrap().is_finished() {
            thread::yield_now();
        }
        assert!(survey.progress().damaged.unwrap().contains("no more"));
    }
}
