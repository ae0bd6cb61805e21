//! The one road from a hook to a ring, and what happens when the ring is full.

use core::sync::atomic::{AtomicU32, Ordering};

use logtap_wire::control::ControlPage;
use logtap_wire::record::{FLAG_NOTE, FLAG_SUPPRESSED, Note, size_of_record};
use logtap_wire::ring::writer::{NoRoom, Part, Ring, Write};
use logtap_wire::ring::{SLOT_STDERR, SLOT_STDOUT, STATE_RETIRED};

use crate::descriptors::{self, Class};
use crate::patience::{is_fresh, with_patience};
use crate::streams::Stream;
use crate::syscall::OrIgnore as _;
use crate::{clock, control, files, frames, identity, rings, state, targets};

/// A process that has written so many bytes through the starter ring gets a full one, before the starter runs over.
const STARTER_SERVES: u32 = 16 << 10;

/// Without a collector that moves the epoch, classes are looked up again after so many tapped writes.
const EXPIRE_AFTER: u32 = 1024;

/// Of so many writes that find a lane held and no room, one looks for owners that are gone.
const RECLAIM_EVERY: u32 = 64;

// Not exact with several threads, and need not be.
static COUNT: AtomicU32 = AtomicU32::new(0);
static BYTES: AtomicU32 = AtomicU32::new(0);

/// Copies what a call has written.
#[inline]
pub(crate) fn copy(class: Class, parts: &[Part], length: usize) {
    let Some(control) = control::page() else { return targets::copy(class, parts, length) };
    let count = COUNT.load(Ordering::Relaxed).wrapping_add(1);
    COUNT.store(count, Ordering::Relaxed);
    if count % EXPIRE_AFTER == 0 {
        descriptors::expire();
    }
    let bytes = BYTES.load(Ordering::Relaxed);
    if bytes < STARTER_SERVES {
        let now = bytes.saturating_add(length.min(STARTER_SERVES as usize) as u32);
        BYTES.store(now, Ordering::Relaxed);
        if now >= STARTER_SERVES {
            grow();
        }
    }
    let write = prepare(parts, length, 0);
    let place = match rings::current() {
        Some(ring) => slot(class.stream, &ring).map(|slot| (ring, slot)),
        None => None,
    };
    let Some((ring, slot)) = place else { return no_place(control, class.stream, write) };
    let write = Write { slot, ..write };
    if let Err(full) = ring.put(&control.ticket.next, hint(), &write) {
        no_room(control, class.stream, ring, write, full);
    }
}

/// Exchanges the starter ring for a full one.
#[cold]
fn grow() {
    // Where that fails the starter goes on serving.
    let _: Option<Ring> = rings::next(identity::maker, false);
}

/// Takes a write instead of its original. False: the original must be called.
pub(crate) fn suppress(class: Class, parts: &[Part], length: usize) -> bool {
    let Some(control) = control::page() else { return targets::suppress(class, parts, length) };
    let write = timeless(parts, length, FLAG_SUPPRESSED);
    let Some(ring) = rings::current().or_else(|| rings::next(identity::maker, false)) else {
        return false;
    };
    let now = clock::monotonic();
    if length == 0 || !is_lease_fresh(control, &ring, now) {
        return false;
    }
    let write = Write { time: clock::now_at(now), ..write };
    let put = |slot| ring.put(&control.ticket.next, hint(), &Write { slot, ..write }).is_ok();
    if slot(class.stream, &ring).is_some_and(put) {
        return true;
    }
    suppress_elsewhere(control, class, ring, &write)
}

/// The same where the ring has no room: in the next one, or after a wait.
#[cold]
fn suppress_elsewhere(control: &ControlPage, class: Class, ring: Ring, write: &Write<'_>) -> bool {
    let put = |ring: &Ring| match slot(class.stream, ring) {
        Some(slot) => ring.put(&control.ticket.next, hint(), &Write { slot, ..*write }).is_ok(),
        None => false,
    };
    let ring = room(ring, NoRoom { held: 1 });
    // What can never fit is not worth a wait.
    let capacity = ring.geometry().lanes as usize * ring.geometry().lane_size as usize;
    let fits = write.length < capacity / 2;
    put(&ring) || (fits && with_patience(|| if put(&ring) { Ok(()) } else { Err(true) }))
}

/// Leaves a note of the library in the ring, if there is one with room.
#[cold]
pub(crate) fn note(note: Note, text: &[u8]) {
    let (Some(control), Some(_)) = (control::page(), rings::current()) else { return };
    if !state::is_active() {
        return;
    }
    let kind = [note as u8];
    let parts =
        [Part { base: kind.as_ptr(), length: 1 }, Part { base: text.as_ptr(), length: text.len() }];
    let write = prepare(&parts, 1 + text.len(), FLAG_NOTE);
    let Some(ring) = rings::current() else { return };
    // A note is not the application's: no room, no note.
    ring.put(&control.ticket.next, hint(), &write).or_ignore();
}

/// Counts bytes that reached a tapped stream in a way that cannot be copied.
#[cold]
pub(crate) fn count_uncopied(class: Class, length: usize) {
    let Some(control) = control::page() else { return targets::count_uncopied(length) };
    let ring = rings::current().or_else(|| rings::next(identity::maker, false));
    match ring.and_then(|ring| Some((ring, slot(class.stream, &ring)?))) {
        Some((ring, slot)) => {
            ring.count_lost(slot, 1, length as u64);
            ring.slot(slot).uncopied_bytes.fetch_add(length as u64, Ordering::Relaxed);
        }
        None => {
            control.totals.lost_records.fetch_add(1, Ordering::Relaxed);
            control.totals.lost_bytes.fetch_add(length as u64, Ordering::Relaxed);
        }
    }
}

#[inline(always)]
fn prepare(parts: &[Part], length: usize, flags: u8) -> Write<'_> {
    Write { time: clock::now(), ..timeless(parts, length, flags) }
}

#[inline(always)]
fn timeless(parts: &[Part], length: usize, flags: u8) -> Write<'_> {
    let identity::Writer { process: pid, holder } = identity::writer();
    Write { slot: SLOT_STDOUT, flags, pid, holder, time: 0, parts, length }
}

#[inline(always)]
fn slot(stream: Stream, ring: &Ring) -> Option<u8> {
    match stream {
        Stream::Stdout => Some(SLOT_STDOUT),
        Stream::Stderr => Some(SLOT_STDERR),
        Stream::File(index) => files::slot(index, ring),
    }
}

/// A number that differs between threads, without asking the kernel or thread-local storage: where the stack is.
#[inline(always)]
fn hint() -> u32 {
    let here = 0_u8;
    let page = (core::ptr::from_ref(&here) as usize >> 16) as u32;
    page.wrapping_mul(0x9E37_79B9) >> 16
}

/// A ring with more room than this one; else the same, now and then after dead owners' lanes were taken back.
fn room(ring: Ring, full: NoRoom) -> Ring {
    static FAILURES: AtomicU32 = AtomicU32::new(0);
    if let Some(next) = rings::next(identity::maker, false) {
        return next;
    }
    // A held lane is most often a busy one. Asking the kernel about owners is not for every write.
    if full.held > 0 && FAILURES.fetch_add(1, Ordering::Relaxed) % RECLAIM_EVERY == 0 {
        rings::reclaim(&ring);
    }
    ring
}

/// There is no ring, or no slot in it for this stream.
#[cold]
fn no_place(control: &ControlPage, stream: Stream, write: Write<'_>) {
    let ring = match rings::current() {
        None => rings::next(identity::maker, false),
        // The ring has no room for one more file name: the next one has.
        Some(_) => rings::next(identity::maker, true),
    };
    let Some((ring, slot)) = ring.and_then(|ring| Some((ring, slot(stream, &ring)?))) else {
        return frames::send(stream, &write);
    };
    let write = Write { slot, ..write };
    if let Err(full) = ring.put(&control.ticket.next, hint(), &write) {
        no_room(control, stream, ring, write, full);
    }
}

/// The ring is full, or its lanes are held.
#[cold]
fn no_room(control: &ControlPage, stream: Stream, ring: Ring, write: Write<'_>, full: NoRoom) {
    let tickets = &control.ticket.next;
    let wider = room(ring, full);
    let (ring, write) = match slot(stream, &wider) {
        Some(slot) => (wider, Write { slot, ..write }),
        None => (ring, write),
    };
    let geometry = ring.geometry();
    let capacity = geometry.lanes as usize * geometry.lane_size as usize;
    if size_of_record(write.length) > capacity / 2 {
        return stream_through(control, &ring, &write);
    }
    let put = with_patience(|| {
        ring.put(tickets, hint(), &write).map_err(|full| {
            room(ring, full);
            true
        })
    });
    if !put {
        ring.count_lost(write.slot, 1, write.length as u64);
    }
}

/// A write larger than the ring: piece by piece, each as soon as there is room.
fn stream_through(control: &ControlPage, ring: &Ring, write: &Write<'_>) {
    let ticket = control.ticket.next.fetch_add(1, Ordering::Relaxed);
    let (mut done, mut fragment) = (0, 0_u16);
    while done < write.length {
        let mut piece = 0;
        let put = with_patience(|| {
            piece = ring.put_piece(hint(), write, ticket, fragment, done).map_err(|_| true)?;
            Ok(())
        });
        if !put {
            let rest = (write.length - done) as u64;
            return ring.count_lost(write.slot, u64::from(done == 0), rest);
        }
        done += piece;
        fragment = fragment.saturating_add(1);
    }
}

/// Whether the collector takes care of this ring. One that it has not met yet counts as taken care of while the
/// collector lives at all.
#[inline(always)]
fn is_lease_fresh(control: &ControlPage, ring: &Ring, now: u64) -> bool {
    let header = ring.header();
    if header.state.load(Ordering::Relaxed) & STATE_RETIRED != 0 {
        return false;
    }
    match header.lease.load(Ordering::Relaxed) {
        0 => is_fresh(control.collector.lease.load(Ordering::Relaxed), now),
        lease => is_fresh(lease, now),
    }
}
