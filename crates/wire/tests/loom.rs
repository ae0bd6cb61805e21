//! The lane protocol under every interleaving that the memory model allows: two writers and a reader on one lane.
//!
//! Runs with `RUSTFLAGS="--cfg loom" cargo test -p logtap-wire --test loom --release`; without that flag there is
//! nothing here.
#![cfg(loom)]

use std::sync::Arc as Shared;

use logtap_wire::ring::lane::Word;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, Ordering};
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
