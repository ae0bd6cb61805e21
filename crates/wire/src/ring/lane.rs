//! The word of a lane: who may write it, and how a record becomes visible.
//!
//! The protocol in three steps, each one atomic access: [`Word::try_lock`] (acquire), the copy, and
//! [`Word::publish`] (release), which moves the head and unlocks in one store. A reader that loads the head
//! ([`Word::head`], acquire) sees every byte before it. `tests/loom.rs` checks exactly these functions.

use crate::sync::{AtomicU64, Ordering};

/// `head << 1 | locked`.
#[repr(transparent)]
pub struct Word(AtomicU64);

/// A lane's word as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen(u64);

impl Seen {
    /// The position behind the last complete record.
    #[inline(always)]
    pub const fn head(self) -> u64 {
        self.0 >> 1
    }

    /// Whether a writer holds the lane.
    #[inline(always)]
    pub const fn is_locked(self) -> bool {
        self.0 & 1 != 0
    }

    /// Reads the word from a copy of the ring's bytes.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

impl Word {
    /// The word of a new lane: empty, not locked. A ring's file is zeros at first, which is the same.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// What the word is now, without order: to choose a lane.
    #[inline(always)]
    pub fn peek(&self) -> Seen {
        Seen(self.0.load(Ordering::Relaxed))
    }

    /// Locks the lane if it is as it was seen and nobody holds it.
    #[inline(always)]
    pub fn try_lock(&self, seen: Seen) -> bool {
        !seen.is_locked()
            && self
                .0
                .compare_exchange(seen.0, seen.0 | 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }

    /// Makes all bytes before `head` visible and unlocks. Only for who holds the lane.
    #[inline(always)]
    pub fn publish(&self, head: u64) {
        self.0.store(head << 1, Ordering::Release);
    }

    /// Makes all bytes before `head` visible and keeps the lane. Only for who holds it.
    #[inline(always)]
    pub fn publish_locked(&self, head: u64) {
        self.0.store(head << 1 | 1, Ordering::Release);
    }

    /// Takes the lane from an owner that is proved to be gone. False where somebody else did.
    pub fn reclaim(&self, seen: Seen) -> bool {
        seen.is_locked()
            && self
                .0
                .compare_exchange(seen.0, seen.0 & !1, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    /// The position up to which a reader may read.
    #[inline(always)]
    pub fn head(&self) -> u64 {
        Seen(self.0.load(Ordering::Acquire)).head()
    }
}

impl Default for Word {
    fn default() -> Self {
        Self::new()
    }
}
