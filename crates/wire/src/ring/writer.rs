//! The writing half of a ring, as it runs inside a hook.
//!
//! It makes no system call, takes no lock that another could wait for, allocates nothing and never spins:
//! a lane that is held or full is passed over. Where no lane is left the caller decides (count, or wait and
//! try again). May be left at any instruction, for ever.
//!
//! # Safety
//!
//! This file may use `unsafe`: it copies between an application's buffers and a mapping. [`Ring::attach`] states
//! what the caller answers for; every other function is safe on that ground.
#![expect(unsafe_code, reason = "copies between raw application buffers and a shared mapping")]

use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::lane::{self, Said};
use super::{
    ARENA_OFFSET, ARENA_SIZE, DATA_OFFSET, Geometry, Header, LANES_OFFSET, Lane, MAX_LANES,
    MAX_STREAMS, Pending, SLOT_CLAIMED, SLOT_FILES, STREAMS_OFFSET, StreamKind, StreamSlot,
};
use crate::record::{FLAG_MORE, HEADER_SIZE, RecordHeader, size_of_record};
use crate::sync::compiler_fence;

/// A piece of an application's buffer; the layout of `struct iovec`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Part {
    /// First byte.
    pub base: *const u8,
    /// Number of bytes.
    pub length: usize,
}

/// What is to be written.
#[derive(Clone, Copy)]
pub struct Write<'a> {
    /// Slot of the stream.
    pub slot: u8,
    /// `FLAG_*` of the record, but for [`FLAG_MORE`].
    pub flags: u8,
    /// The writer's process id.
    pub pid: u32,
    /// By which process id the ring's other writers can tell that this one is gone; 0 where they cannot, as when it is
    /// in another pid namespace than the ring's maker, or when a child of vfork may write under the same one.
    pub holder: u32,
    /// Time stamp in nanoseconds since 1970.
    pub time: u64,
    /// The bytes. May hold more than `length`.
    pub parts: &'a [Part],
    /// How many bytes of the parts count.
    pub length: usize,
}

/// Nothing was written: no lane, or no lanes together, had room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// How many lanes were passed over because somebody held them.
    pub held: u32,
}

/// A mapped ring.
#[derive(Clone, Copy)]
pub struct Ring {
    base: *mut u8,
    geometry: Geometry,
}

// SAFETY: all that is shared behind the pointer is reached by atomics, or by the holder of a lane.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

impl Ring {
    /// Takes a mapping for a ring.
    ///
    /// # Safety
    ///
    /// `base` is the start of a readable and writable mapping of at least `geometry.file_size()` bytes, aligned
    /// to 4096, that stays for as long as any copy of the result is used; its pages exist
    /// (no fault can end the process). The lanes' size is a power of two.
    pub const unsafe fn attach(base: *mut u8, geometry: Geometry) -> Self {
        Self { base, geometry }
    }

    /// Lanes and their size.
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The first page.
    pub fn header(&self) -> &Header {
        // SAFETY: `attach` promises the mapping and its alignment; shared fields are atomics.
        unsafe { &*self.base.cast::<Header>() }
    }

    #[inline(always)]
    fn lane(&self, lane: u32) -> &Lane {
        let offset = LANES_OFFSET + (lane % MAX_LANES) as usize * size_of::<Lane>();
        // SAFETY: within the header that `attach` promises; all fields are atomics.
        unsafe { &*self.base.add(offset).cast::<Lane>() }
    }

    /// One slot of the stream table.
    #[inline(always)]
    pub fn slot(&self, slot: u8) -> &StreamSlot {
        let offset = STREAMS_OFFSET + (slot as usize % MAX_STREAMS) * size_of::<StreamSlot>();
        // SAFETY: within the header that `attach` promises; all fields are atomics.
        unsafe { &*self.base.add(offset).cast::<StreamSlot>() }
    }

    /// Puts a record into one lane: the first, from `hint` on, that is free and has room.
    #[inline(always)]
    pub fn put(&self, tickets: &AtomicU64, hint: u32, write: &Write<'_>) -> Result<(), NoRoom> {
        let size = size_of_record(write.length) as u64;
        let lane_size = u64::from(self.geometry.lane_size);
        if size > lane_size {
            return self.put_split(tickets, hint, write);
        }
        let lanes = self.geometry.lanes;
        let (mut held, mut free) = (0, 0);
        let mut index = first(hint, lanes);
        for _ in 0..lanes {
            let lane = self.lane(index);
            let seen = lane.word.peek();
            let used = seen.head().wrapping_sub(lane.tail.position.load(Ordering::Acquire));
            // A tail beyond the head is not ours to believe: `used` is huge then, the lane is full.
            if used.saturating_add(size) <= lane_size && lane.word.try_lock(seen) {
                self.own(lane, seen.head(), write, write.length);
                let ticket = tickets.fetch_add(1, Ordering::Relaxed);
                self.copy(index, seen.head(), write, ticket, 0, 0, write.length, 0);
                lane.word.publish(seen.head() + size);
                return Ok(());
            }
            held += u32::from(seen.is_locked());
            free += lane_size.saturating_sub(used);
            index = if index + 1 == lanes { 0 } else { index + 1 };
        }
        // Several lanes together may have the room that none has alone.
        if free > size { self.put_split(tickets, hint, write) } else { Err(NoRoom { held }) }
    }

    /// Puts a record into as many lanes as it needs, all of it or nothing.
    #[cold]
    fn put_split(&self, tickets: &AtomicU64, hint: u32, write: &Write<'_>) -> Result<(), NoRoom> {
        let lanes = self.geometry.lanes;
        let mut room = [0_u32; MAX_LANES as usize];
        let mut total = 0_usize;
        let mut held = 0;
        for step in 0..lanes {
            let index = (hint.wrapping_add(step)) % lanes;
            let lane = self.lane(index);
            let seen = lane.word.peek();
            let free = self.free(lane, seen.head());
            if seen.is_locked() {
                held += 1;
            } else if free > 2 * HEADER_SIZE as u32 && lane.word.try_lock(seen) {
                self.own(lane, seen.head(), write, 0);
                // The lane's room may have grown since, never shrunk: only its holder moves the head.
                let payload = (free & !7) - HEADER_SIZE as u32;
                room[index as usize] = payload;
                total += payload as usize;
                if total >= write.length {
                    break;
                }
            }
        }
        if total < write.length {
            for index in (0..lanes).filter(|&index| room[index as usize] > 0) {
                let lane = self.lane(index);
                lane::unsay(&lane.pending);
                lane.word.publish(lane.word.peek().head());
            }
            return Err(NoRoom { held });
        }
        let ticket = tickets.fetch_add(1, Ordering::Relaxed);
        let (mut done, mut fragment) = (0, 0);
        for step in 0..lanes {
            let index = (hint.wrapping_add(step)) % lanes;
            if room[index as usize] == 0 {
                continue;
            }
            let lane = self.lane(index);
            let head = lane.word.peek().head();
            let length = (room[index as usize] as usize).min(write.length - done);
            let more = if done + length < write.length { FLAG_MORE } else { 0 };
            self.own(lane, head, write, length);
            self.copy(index, head, write, ticket, fragment, done, length, more);
            lane.word.publish(head + size_of_record(length) as u64);
            done += length;
            fragment += 1;
        }
        Ok(())
    }

    /// Puts as much of a record as fits into one lane and returns how many bytes that was: for writes larger
    /// than the ring, which are streamed through it. `done` bytes went before, in `fragment` pieces.
    pub fn put_piece(
        &self,
        hint: u32,
        write: &Write<'_>,
        ticket: u64,
        fragment: u16,
        done: usize,
    ) -> Result<usize, NoRoom> {
        let lanes = self.geometry.lanes;
        let mut held = 0;
        for step in 0..lanes {
            let index = (hint.wrapping_add(step)) % lanes;
            let lane = self.lane(index);
            let seen = lane.word.peek();
            held += u32::from(seen.is_locked());
            let free = self.free(lane, seen.head());
            if free < self.geometry.lane_size / 4 || !lane.word.try_lock(seen) {
                continue;
            }
            let length = ((free & !7) as usize - HEADER_SIZE).min(write.length - done);
            let more = if done + length < write.length { FLAG_MORE } else { 0 };
            self.own(lane, seen.head(), write, length);
            self.copy(index, seen.head(), write, ticket, fragment, done, length, more);
            lane.word.publish(seen.head() + size_of_record(length) as u64);
            return Ok(length);
        }
        Err(NoRoom { held })
    }

    /// A lane as its present holder left it; `None` where nobody holds it, or has not yet said so.
    pub fn held(&self, lane: u32) -> Option<Said> {
        let lane = self.lane(lane);
        lane::said(&lane.word, &lane.owner, &lane.pending)
    }

    /// Takes a lane back from a holder that is proved to be gone, and counts what it tore. False where another did.
    pub fn reclaim(&self, lane: u32, held: &Said) -> bool {
        let lane = self.lane(lane);
        if !lane::take_back(&lane.word, &lane.owner, &lane.pending, held) {
            return false;
        }
        let pending = Pending::from_word(held.pending);
        let slot = self.slot(pending.slot);
        slot.torn_bytes.fetch_add(u64::from(pending.length), Ordering::Relaxed);
        slot.torn_records.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Counts bytes that found no room.
    pub fn count_lost(&self, slot: u8, records: u64, bytes: u64) {
        let slot = self.slot(slot);
        slot.lost_bytes.fetch_add(bytes, Ordering::Relaxed);
        slot.lost_records.fetch_add(records, Ordering::Relaxed);
    }

    #[inline(always)]
    fn free(&self, lane: &Lane, head: u64) -> u32 {
        let used = head.wrapping_sub(lane.tail.position.load(Ordering::Acquire));
        u64::from(self.geometry.lane_size).saturating_sub(used) as u32
    }

    /// Says what is about to be written, for those who find the lane locked for ever.
    #[inline(always)]
    fn own(&self, lane: &Lane, head: u64, write: &Write<'_>, length: usize) {
        let pending = Pending { head: head as u32, slot: write.slot, length: length as u32 };
        lane::say(&lane.owner, &lane.pending, write.holder, pending.to_word());
        compiler_fence(crate::sync::Ordering::SeqCst);
    }

    #[expect(clippy::too_many_arguments, reason = "inlined into the one hot path")]
    #[inline(always)]
    fn copy(
        &self,
        lane: u32,
        head: u64,
        write: &Write<'_>,
        ticket: u64,
        fragment: u16,
        skip: usize,
        length: usize,
        more: u8,
    ) {
        let slot = self.slot(write.slot);
        let header = RecordHeader {
            length: length as u32,
            slot: write.slot,
            flags: write.flags | more,
            fragment,
            ticket,
            time: write.time,
            pid: write.pid,
            lost_records: slot.lost_records.load(Ordering::Relaxed) as u32,
            lost_bytes: slot.lost_bytes.load(Ordering::Relaxed),
        }
        .to_words();
        let lane_size = self.geometry.lane_size as usize;
        // SAFETY: `lane` is below the geometry's count, so the lane's bytes are in the mapping.
        let data = unsafe { self.base.add(DATA_OFFSET + lane as usize * lane_size) };
        let at = head as usize & (lane_size - 1);
        if at + HEADER_SIZE + length <= lane_size && write.parts.len() == 1 {
            for (index, word) in header.into_iter().enumerate() {
                // Word by word: an array would be put together in memory and read back in wider pieces,
                // which the processor cannot forward from its stores.
                // SAFETY: the record does not reach the lane's end, the lane is held, and positions are
                // multiples of 8 in a page-aligned mapping.
                unsafe { data.add(at).cast::<u64>().add(index).write(word) };
            }
            // SAFETY: the application's buffer has `skip + length` bytes: its own call has just read
            // them (or is about to, when suppressed), and it does not overlap our mapping.
            unsafe {
                let from = write.parts[0].base.add(skip);
                ptr::copy_nonoverlapping(from, data.add(at + HEADER_SIZE), length);
            }
            return;
        }
        let mut to = Wrapping { data, lane_size, at };
        to.append(header.as_ptr().cast(), HEADER_SIZE);
        let (mut skip, mut left) = (skip, length);
        for part in write.parts {
            if left == 0 {
                break;
            }
            if skip >= part.length {
                skip -= part.length;
                continue;
            }
            let take = (part.length - skip).min(left);
            // SAFETY: `skip` is below the part's length.
            to.append(unsafe { part.base.add(skip) }, take);
            left -= take;
            skip = 0;
        }
    }

    /// The slot of a file, taken into the table if it is not there. `None` where table or arena are full.
    pub fn file_slot(&self, path: &[u8]) -> Option<u8> {
        for slot in SLOT_FILES..MAX_STREAMS as u8 {
            let entry = self.slot(slot);
            let kind = entry.kind.load(Ordering::Acquire);
            if kind == StreamKind::File as u32 {
                if self.path(entry) == path {
                    return Some(slot);
                }
            } else if kind == 0
                && entry
                    .kind
                    .compare_exchange(0, SLOT_CLAIMED, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
            {
                // A writer that dies here leaves a claimed slot, which everybody passes over.
                let length = u32::try_from(path.len()).ok()?;
                let used = &self.header().arena_used;
                let Some(offset) = claim(used, length) else {
                    entry.kind.store(0, Ordering::Release);
                    return None;
                };
                // SAFETY: `claim` gave these bytes of the arena to this writer alone.
                unsafe {
                    let to = self.base.add(ARENA_OFFSET + offset as usize);
                    ptr::copy_nonoverlapping(path.as_ptr(), to, path.len());
                }
                entry.path.store(offset << 16 | length, Ordering::Relaxed);
                entry.kind.store(StreamKind::File as u32, Ordering::Release);
                return Some(slot);
            }
        }
        None
    }

    fn path(&self, entry: &StreamSlot) -> &[u8] {
        let path = entry.path.load(Ordering::Relaxed);
        let (offset, length) = ((path >> 16) as usize, (path & 0xffff) as usize);
        if offset + length > ARENA_SIZE {
            return &[];
        }
        // SAFETY: within the arena; its bytes were complete when the slot's kind was stored (release)
        // and never change afterwards.
        unsafe { core::slice::from_raw_parts(self.base.add(ARENA_OFFSET + offset), length) }
    }
}

/// The lane to begin with: the low 16 bits of the hint, spread over the lanes without a division.
#[inline(always)]
const fn first(hint: u32, lanes: u32) -> u32 {
    ((hint & 0xffff) * lanes) >> 16
}

/// Takes `length` bytes of the arena; their offset.
fn claim(used: &AtomicU32, length: u32) -> Option<u32> {
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
        let end = used.checked_add(length)?;
        (end as usize <= ARENA_SIZE).then_some(end)
    })
    .ok()
}

/// Appends to a lane, around its end.
struct Wrapping {
    data: *mut u8,
    lane_size: usize,
    at: usize,
}

impl Wrapping {
    fn append(&mut self, from: *const u8, length: usize) {
        let first = length.min(self.lane_size - self.at);
        // SAFETY: `at + first` is at most the lane's size; the lane is held.
        unsafe { ptr::copy_nonoverlapping(from, self.data.add(self.at), first) };
        // SAFETY: a record is no longer than its lane, so the rest ends before where it began.
        unsafe { ptr::copy_nonoverlapping(from.add(first), self.data, length - first) };
        self.at = (self.at + length) % self.lane_size;
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
