//! The lane protocol under every interleaving that the memory model allows: two writers and a reader on one lane,
//! and those who take a lane back from a process that is gone.
//!
//! Runs with `RUSTFLAGS="--cfg loom" cargo test -p logtap-wire --test loom --release`; without that flag there is
//! nothing here.
#![cfg(loom)]

use std::sync::Arc as Shared;

use logtap_wire::ring::Pending;
use logtap_wire::ring::lane::{Word, said, say, take_back};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use loom::thread;

const CELLS: usize = 2;

/// A lane of two cells, each as large as one record, and its tail.
struct Lane {
    word: Word,
    tail: AtomicU64,
    cells: [UnsafeCell<u64>; CELLS],
}

// SAFETY: what the test proves: loom fails where a cell is read and written at once.
#[expect(unsafe_code, reason = "the cells are what the protocol protects")]
unsafe impl Sync for Lane {}

impl Lane {
    fn new() -> Self {
        Self { word: Word::new(), tail: AtomicU64::new(0), cells: Default::default() }
    }

    /// What a writer does: look, lock, copy, publish. False where the lane was held or full.
    #[expect(unsafe_code, reason = "writes the cell that the lock protects")]
    fn put(&self, value: u64) -> bool {
        let seen = self.word.peek();
        let used = seen.head().wrapping_sub(self.tail.load(Ordering::Acquire));
        if used.saturating_add(1) > CELLS as u64 || !self.word.try_lock(seen) {
            return false;
        }
        // SAFETY: the lane is held, and the cell is not between tail and head.
        self.cells[seen.head() as usize % CELLS].with_mut(|cell| unsafe { *cell = value });
        self.word.publish(seen.head() + 1);
        true
    }

    /// What the reader does: take all between tail and head, then give the room back.
    #[expect(unsafe_code, reason = "reads the cells that are published")]
    fn drain(&self, taken: &mut Vec<u64>) {
        let head = self.word.head();
        let tail = self.tail.load(Ordering::Relaxed);
        for position in tail..head {
            // SAFETY: published and not yet given back.
            taken.push(self.cells[position as usize % CELLS].with(|cell| unsafe { *cell }));
        }
        self.tail.store(head, Ordering::Release);
    }
}

#[test]
fn every_published_record_is_read_once_and_whole() {
    loom::model(|| {
        let lane = Shared::new(Lane::new());
        let writers: Vec<_> = [1, 2]
            .map(|number| {
                let lane = Shared::clone(&lane);
                thread::spawn(move || {
                    let first = lane.put(number * 10);
                    let second = lane.put(number * 10 + 1);
                    u64::from(first) + u64::from(second)
                })
            })
            .into_iter()
            .collect();
        let mut taken = Vec::new();
        lane.drain(&mut taken);
        let put: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        lane.drain(&mut taken);
        assert_eq!(taken.len() as u64, put);
        for number in [1, 2] {
            let own: Vec<u64> =
                taken.iter().copied().filter(|value| value / 10 == number).collect();
            assert!(own.is_sorted() && own.len() <= 2 && own.iter().all(|value| value % 10 < 2));
        }
    });
}

#[test]
fn a_lane_is_reclaimed_by_one_and_not_from_a_writer_that_finished() {
    loom::model(|| {
        let word = Shared::new(Word::new());
        assert!(word.try_lock(word.peek()));
        let held = word.peek();
        let reclaimers: Vec<_> = (0..2)
            .map(|_| {
                let word = Shared::clone(&word);
                thread::spawn(move || word.reclaim(held))
            })
            .collect();
        let count = reclaimers.into_iter().map(|reclaimer| reclaimer.join().unwrap());
        assert_eq!(count.filter(|&reclaimed| reclaimed).count(), 1);
        assert!(!word.peek().is_locked());
        word.publish(8);
        assert!(!word.reclaim(word.peek()));
    });
}

/// A lane with what its holders say of themselves, and one cell that only its holder may touch.
struct Claimed {
    word: Word,
    owner: AtomicU32,
    pending: AtomicU64,
    cell: UnsafeCell<u64>,
}

// SAFETY: what the tests prove: loom fails where two touch the cell at once.
#[expect(unsafe_code, reason = "the cell is what the protocol protects")]
unsafe impl Sync for Claimed {}

/// A process that is gone, and one that lives.
const GONE: u32 = 1;
const ALIVE: u32 = 2;

fn note(head: u64) -> u64 {
    Pending { head: head as u32, slot: 0, length: 3 }.to_word()
}

impl Claimed {
    /// A lane in which a process that is gone has locked the first position and said so.
    fn new() -> Self {
        let lane = Self {
            word: Word::new(),
            owner: AtomicU32::new(0),
            pending: AtomicU64::new(0),
            cell: UnsafeCell::new(0),
        };
        assert!(lane.word.try_lock(lane.word.peek()));
        say(&lane.owner, &lane.pending, GONE, note(0));
        lane
    }

    #[expect(unsafe_code, reason = "touches the cell that the lock protects")]
    fn touch(&self) {
        // SAFETY: called by the holder.
        self.cell.with_mut(|cell| unsafe { *cell += 1 });
    }

    /// A whole write of the living process, if the lane is free.
    fn write(&self) -> bool {
        self.write_as(ALIVE)
    }

    fn write_as(&self, name: u32) -> bool {
        let seen = self.word.peek();
        if !self.word.try_lock(seen) {
            return false;
        }
        self.touch();
        say(&self.owner, &self.pending, name, note(seen.head()));
        self.touch();
        self.word.publish(seen.head() + 8);
        true
    }

    /// Takes the lane back from the process that is gone.
    fn take_back(&self) -> bool {
        said(&self.word, &self.owner, &self.pending).is_some_and(|said| {
            said.owner == GONE && take_back(&self.word, &self.owner, &self.pending, &said)
        })
    }
}

#[test]
fn a_lane_of_a_process_that_is_gone_comes_free_once_and_for_one_writer_at_a_time() {
    loom::model(|| {
        let lane = Shared::new(Claimed::new());
        let others: Vec<_> = (0..2)
            .map(|_| {
                let lane = Shared::clone(&lane);
                thread::spawn(move || {
                    let taken = lane.take_back();
                    (taken, lane.write())
                })
            })
            .collect();
        let results: Vec<(bool, bool)> =
            others.into_iter().map(|other| other.join().unwrap()).collect();
        assert_eq!(results.iter().filter(|(taken, _)| *taken).count(), 1);
        let written = results.iter().filter(|(_, written)| *written).count() as u64;
        assert_eq!(lane.word.head(), written * 8);
        assert!(!lane.word.peek().is_locked());
    });
}

#[test]
fn a_living_holder_that_has_not_said_so_is_not_taken_for_the_one_before() {
    loom::model(|| {
        let lane = Shared::new(Claimed::new());
        // The process finished its write before it went; its name is left in the lane.
        lane.word.publish(8);
        let other = Shared::clone(&lane);
        let other = thread::spawn(move || (other.take_back(), other.write()));
        let mut written = u64::from(lane.write());
        let (taken, wrote) = other.join().unwrap();
        written += u64::from(wrote);
        assert!(!taken);
        assert!(written > 0);
        assert_eq!(lane.word.head(), 8 + written * 8);
    });
}

#[test]
fn a_holder_without_a_name_keeps_the_lane_that_one_who_is_gone_had_before() {
    loom::model(|| {
        let lane = Shared::new(Claimed::new());
        let others: Vec<_> = (0..2)
            .map(|_| {
                let lane = Shared::clone(&lane);
                thread::spawn(move || (lane.take_back(), lane.write_as(0)))
            })
            .collect();
        let results: Vec<(bool, bool)> =
            others.into_iter().map(|other| other.join().unwrap()).collect();
        assert_eq!(results.iter().filter(|(taken, _)| *taken).count(), 1);
        let written = results.iter().filter(|(_, written)| *written).count() as u64;
        assert_eq!(lane.word.head(), written * 8);
        assert!(!lane.word.peek().is_locked());
    });
}
