//! The word of a lane: who may write it, and how a record becomes visible.
//!
//! The protocol in three steps, each one atomic access: [`Word::try_lock`] (acquire), the copy, and
//! [`Word::publish`] (release), which moves the head and unlocks in one store. A reader that loads the head
//! ([`Word::head`], acquire) sees every byte before it. `tests/loom.rs` checks exactly these functions.
//!
//! Between the first two steps the holder says who it is and what it writes ([`say`]), so that its siblings can tell
//! what it tore when it is gone, and take the lane back ([`take_back`]). What a lane says may be left over from
//! an earlier holder, who may be gone: only a note that names the head at which the lane is locked is the
//! present holder's. One that was locked and never said so is nobody's to take, and neither is one whose
//! holder has no name (0): others would look its number up in another pid namespace than its own.

use super::Pending;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Says who holds a lane (0 where the others cannot tell by its number whether it is gone), and what it is about to
/// write. Only for who holds the lane.
#[inline(always)]
pub fn say(owner: &AtomicU32, pending: &AtomicU64, process: u32, what: u64) {
    owner.store(process, Ordering::Relaxed);
    // Who sees the note sees the name.
    pending.store(what, Ordering::Release);
}

/// Takes back what was said, before a lane is given up at the head at which it was taken. Only for its holder.
pub fn unsay(pending: &AtomicU64) {
    pending.store(Pending::NONE, Ordering::Relaxed);
}

/// What the holder of a lane has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// The lane's word.
    pub seen: Seen,
    /// Who.
    pub owner: u32,
    /// [`Pending`], as a word.
    pub pending: u64,
}

/// Who holds a lane, and what it writes; `None` where nobody does, where the holder has not yet said so, or where it
/// has no name.
pub fn said(word: &Word, owner: &AtomicU32, pending: &AtomicU64) -> Option<Said> {
    let seen = word.peek();
    let what = pending.load(Ordering::Acquire);
    let owner = owner.load(Ordering::Relaxed);
    let known = seen.is_locked() && Pending::from_word(what).is_at(seen.head());
    (known && owner != 0).then_some(Said { seen, owner, pending: what })
}

/// Takes a lane from a holder that is proved to be gone. False where another did, or where the lane has another
/// holder by now that says the same.
pub fn take_back(word: &Word, owner: &AtomicU32, pending: &AtomicU64, said: &Said) -> bool {
    // Who takes the note away takes the lane: nobody else can, and no later holder finds the old note.
    let taken =
        pending.compare_exchange(said.pending, Pending::NONE, Ordering::AcqRel, Ordering::Relaxed);
    if taken.is_err() {
        return false;
    }
    if owner.load(Ordering::Relaxed) != said.owner {
        // The same note of another process: it gets it back, unless it has written another since; then there is
        // nothing to give back.
        pending
            .compare_exchange(Pending::NONE, said.pending, Ordering::AcqRel, Ordering::Relaxed)
            .ok();
        return false;
    }
    word.reclaim(said.seen)
}

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
