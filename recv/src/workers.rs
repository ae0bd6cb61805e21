//! Whether the workers that decode and store get on: what `/readyz` has to say when none of them is free.
//!
//! That all of them are busy is usual. Where none of them has begun or ended anything for a while, pushes
//! wait behind them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// All of them busy with the same for so long is more than usual.
const LONG: Duration = Duration::from_secs(2);

/// The workers.
#[derive(Debug)]
pub(crate) struct Workers {
    count: u64,
    busy: AtomicU64,
    begun: Instant,
    /// When one of them has begun or ended something, in milliseconds.
    moved: AtomicU64,
}

/// A worker that is busy, for as long as this is there.
#[derive(Debug)]
pub(crate) struct Busy<'a>(&'a Workers);

impl Workers {
    pub(crate) fn new(count: usize) -> Self {
        let (busy, moved) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { count: count as u64, busy, begun: Instant::now(), moved }
    }

    /// Says that one of them begins.
    pub(crate) fn begin(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.note();
        Busy(self)
    }

    /// Whether none is free, and has not been for long.
    pub(crate) fn are_stuck(&self) -> bool {
        self.are_stuck_after(self.begun.elapsed())
    }

    fn are_stuck_after(&self, now: Duration) -> bool {
        let since = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        self.busy.load(Ordering::Relaxed) >= self.count && now.saturating_sub(since) >= LONG
    }

    fn note(&self) {
        self.moved.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
        self.0.note();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_stuck_when_all_are_busy_with_the_same_for_long() {
        let workers = Workers::new(2);
        let now = || workers.begun.elapsed();
        let first = workers.begin();
        assert!(!workers.are_stuck_after(now() + 9 * LONG), "one is free");
        let second = workers.begin();
        assert!(!workers.are_stuck_after(now() + LONG / 2), "that is usual");
        assert!(workers.are_stuck_after(now() + LONG));
        drop(second);
        assert!(!workers.are_stuck_after(now() + 9 * LONG));
        let _second = workers.begin();
        assert!(!workers.are_stuck());
        drop(first);
    }
}
