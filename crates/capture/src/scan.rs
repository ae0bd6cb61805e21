//! Goes through segments with several threads and hands out the results in order.
//!
//! Threads take the pieces of the segments one after the other; results wait for those before them.
//! How far the threads may be ahead is limited, so memory is too.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::error::CaptureError;
use crate::segment::{OpenSegment, Piece, PieceReader, Segment};

/// Pieces per thread that may be done before their turn.
const PIECES_AHEAD: usize = 4;

/// How many threads to use if nobody says: one for each processor.
pub fn default_threads() -> NonZero<usize> {
    thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

/// Scans segments.
///
/// `begin` makes a thread's own state, `work` turns whole lines into a result, `take` gets the results
/// in order, each with the segment it is from, and says whether to go on. What could not be read comes
/// in its place as an error.
pub fn scan<State, Output: Send>(
    segments: &[&Segment],
    threads: NonZero<usize>,
    begin: impl Fn() -> State + Sync,
    work: impl Fn(&mut State, &[u8]) -> Output + Sync,
    mut take: impl FnMut(&Segment, Result<Output, CaptureError>) -> ControlFlow<()>,
) {
    let board = Board {
        state: Mutex::new(Progress {
            segments: segments.iter().copied().enumerate().collect(),
            pieces: VecDeque::new(),
            given: 0,
            taken: 0,
            running: threads.get(),
            stopped: false,
            done: BTreeMap::new(),
        }),
        changed: Condvar::new(),
        ahead: PIECES_AHEAD * threads.get(),
    };
    thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                let _leave = Leave(&board);
                let mut state = begin();
                let mut reader = PieceReader::default();
                while let Some(task) = board.next_task() {
                    let mut results = Vec::new();
                    let outcome = match &task.source {
                        Ok((open, piece)) => open.read(piece, &mut reader, |lines| {
                            results.push(Ok(work(&mut state, lines)));
                        }),
                        Err(_) => Ok(()),
                    };
                    results.extend(outcome.err().or(task.source.err()).map(Err));
                    board.finish(task.number, task.segment, results);
                }
            });
        }
        while let Some((segment, results)) = board.next_done() {
            for result in results {
                let Some(segment) = segments.get(segment) else { continue };
                if take(segment, result).is_break() {
                    board.stop();
                    return;
                }
            }
        }
    });
}

type Source = Result<(Arc<OpenSegment>, Piece), CaptureError>;
type Done<Output> = (usize, Vec<Result<Output, CaptureError>>);

struct Task {
    number: usize,
    segment: usize,
    source: Source,
}

struct Board<'a, Output> {
    state: Mutex<Progress<'a, Output>>,
    changed: Condvar,
    ahead: usize,
}

struct Progress<'a, Output> {
    /// Segments that are not opened yet.
    segments: VecDeque<(usize, &'a Segment)>,
    /// Pieces of the open segment that nobody has taken.
    pieces: VecDeque<(usize, Source)>,
    /// Tasks given to threads.
    given: usize,
    /// Results taken by the caller.
    taken: usize,
    running: usize,
    stopped: bool,
    done: BTreeMap<usize, Done<Output>>,
}

impl<'a, Output> Board<'a, Output> {
    /// A thread that panics while it holds the lock leaves counters that are whole.
    fn lock(&self) -> MutexGuard<'_, Progress<'a, Output>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_task(&self) -> Option<Task> {
        let mut state = self.lock();
        while !state.stopped && state.given >= state.taken + self.ahead {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped {
            return None;
        }
        while state.pieces.is_empty() {
            let (number, segment) = state.segments.pop_front()?;
            match open(segment) {
                Ok(pieces) => {
                    state.pieces = pieces.into_iter().map(|piece| (number, Ok(piece))).collect();
                }
                Err(error) => state.pieces.push_back((number, Err(error))),
            }
        }
        let (segment, source) = state.pieces.pop_front()?;
        let number = state.given;
        state.given += 1;
        Some(Task { number, segment, source })
    }

    fn finish(&self, number: usize, segment: usize, results: Vec<Result<Output, CaptureError>>) {
        self.lock().done.insert(number, (segment, results));
        self.changed.notify_all();
    }

    fn next_done(&self) -> Option<Done<Output>> {
        let mut state = self.lock();
        loop {
            let next = state.taken;
            if let Some(done) = state.done.remove(&next) {
                state.taken += 1;
                self.changed.notify_all();
                return Some(done);
            }
            if state.running == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }
}

fn open(segment: &Segment) -> Result<Vec<(Arc<OpenSegment>, Piece)>, CaptureError> {
    let Some(open) = segment.open()? else { return Ok(Vec::new()) };
    let open = Arc::new(open);
    let pieces = open.pieces()?;
    Ok(pieces.into_iter().map(|piece| (Arc::clone(&open), piece)).collect())
}

/// Counts a thread out, also one that panics, so that nobody waits for it.
struct Leave<'a, 'b, Output>(&'a Board<'b, Output>);

impl<Output> Drop for Leave<'_, '_, Output> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.running -= 1;
        state.stopped |= thread::panicking();
        drop(state);
        self.0.changed.notify_all();
    }
}
