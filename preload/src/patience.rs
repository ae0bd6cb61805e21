//! How long a write waits for room, and from when on that is pointless.
//!
//! Who chose `wait:MS` has a write wait for so long, as long as the collector gives signs of life. A collector that lives and
//! makes no room for longer than that has a sink that takes nothing, as on a full disk: then no write in the whole
//! directory waits again until there was room once more. The program pauses once, and does not crawl. What is not waited for is counted
//! by the caller.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use logtap_wire::control::ControlPage;
use logtap_wire::ring::LEASE_NANOSECONDS;
use logtap_wire::settings::OnFull;

use crate::{clock, control, state, syscall};

/// First pause between two attempts, and the longest, in nanoseconds.
const FIRST_PAUSE: u64 = 20_000;
const LONGEST_PAUSE: u64 = 1_000_000;
/// Waits that ran out count together until they were so long, in nanoseconds: short ones say little of the sink.
const TELLING: u64 = 2_000_000_000;

/// 0: drop; else milliseconds + 1.
static ON_FULL: AtomicU32 = AtomicU32::new(0);
// Not exact with several threads, and need not be.
/// How long the waits of this process were that ran out, in nanoseconds, and while the collector's word was which.
static WAITED: AtomicU64 = AtomicU64::new(0);
static WHILE: AtomicU64 = AtomicU64::new(0);

/// Sets what a write does that finds no room. Called once at start.
pub(crate) fn set_on_full(on_full: OnFull) {
    let word = match on_full {
        OnFull::Drop => 0,
        OnFull::Wait(milliseconds) => milliseconds.saturating_add(1),
    };
    ON_FULL.store(word, Ordering::Relaxed);
}

/// What a write does that finds no room.
pub(crate) fn on_full() -> OnFull {
    match ON_FULL.load(Ordering::Relaxed) {
        0 => OnFull::Drop,
        word => OnFull::Wait(word - 1),
    }
}

/// Tries until it works, or the patience that the user asked for ends, or nobody is there to make room.
/// The closure says `Err(true)` where trying again may help.
pub(crate) fn with_patience(mut attempt: impl FnMut() -> Result<(), bool>) -> bool {
    match attempt() {
        Ok(()) => return true,
        Err(false) => return false,
        Err(true) => {}
    }
    let OnFull::Wait(milliseconds) = on_full() else { return false };
    let Some(control) = control::page() else { return false };
    let room = control.collector.made_room.load(Ordering::Relaxed);
    let patience = u64::from(milliseconds) * 1_000_000;
    let mut left = patience;
    let mut pause = FIRST_PAUSE;
    while left > 0
        && state::may_call()
        && is_collector_alive(control)
        && !control.is_waiting_in_vain()
    {
        let pause_now = pause.min(left);
        syscall::sleep(pause_now);
        left -= pause_now;
        pause = (pause * 2).min(LONGEST_PAUSE);
        match attempt() {
            Ok(()) => return true,
            Err(false) => return false,
            Err(true) => {}
        }
    }
    if left == 0 {
        ran_out(control, room, patience);
    }
    false
}

/// A wait that began when the collector's word was `room` has run out.
fn ran_out(control: &ControlPage, room: u64, waited: u64) {
    let before = (WHILE.swap(room, Ordering::Relaxed), WAITED.load(Ordering::Relaxed));
    let waited = in_all(before, room, waited);
    WAITED.store(waited, Ordering::Relaxed);
    if waited >= TELLING {
        control.say_in_vain(room);
    }
}

/// How long waits have run out while the collector's word was `room`, with one more; `before` says the same of an earlier
/// word, or of this one.
fn in_all(before: (u64, u64), room: u64, waited: u64) -> u64 {
    match before {
        (known, earlier) if known == room => earlier.saturating_add(waited),
        _ => waited,
    }
}

/// Whether the collector gave a sign of life within the lease.
fn is_collector_alive(control: &ControlPage) -> bool {
    is_fresh(control.collector.lease.load(Ordering::Relaxed), clock::monotonic())
}

/// Whether a lease of this moment still holds.
#[inline(always)]
pub(crate) fn is_fresh(lease: u64, now: u64) -> bool {
    // A lease from the future is another boot's or another time namespace's.
    lease != 0 && now != 0 && lease <= now + LEASE_NANOSECONDS && now < lease + LEASE_NANOSECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_add_up_while_the_collector_makes_no_room() {
        assert_eq!(in_all((0, 0), 7, 100), 100);
        assert_eq!(in_all((7, 100), 7, 100), 200);
        assert_eq!(in_all((7, 200), 8, 100), 100);
    }

    #[test]
    fn a_lease_holds_for_its_time_and_one_from_another_boot_does_not() {
        assert!(is_fresh(5, 5) && is_fresh(5, 4 + LEASE_NANOSECONDS));
        assert!(!is_fresh(5, 5 + LEASE_NANOSECONDS));
        assert!(!is_fresh(0, 1) && !is_fresh(1, 0) && !is_fresh(7 + LEASE_NANOSECONDS, 6));
    }
}
