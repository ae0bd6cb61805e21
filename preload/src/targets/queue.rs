//! Bytes that wait for a `socket:` target: many threads put, one at a time sends.
//!
//! ```text
//!            tail                          head
//!             ▼                             ▼
//!  ───────────┬────────────┬────────────────┬───────────    positions only grow; the byte of a position lies
//!    free     │ mark, length, owner │ bytes │  free          at `position % size`
//!  ───────────┴────────────┴────────────────┴───────────
//! ```
//! A writer reserves by one compare-and-swap of the head, copies, then marks the record as complete. Marks hold the
//! record's position, so what an earlier lap left behind is never one. Who sends holds a try-lock with its owner's
//! thread number; nobody waits for it. All of it lies in one mapping that the kernel clears in forked children:
//! a child has an empty queue, no lock and no connection.
//!
//! Signals are held while a thread is in here, so it is left only where the memory that it copies from is not
//! there: the record of a thread that did not finish is skipped and counted once that thread is proved to be elsewhere.
//!
//! # Safety
//!
//! This file may use `unsafe`: it copies between an application's buffers and the mapping that [`Queue::attach`] was
//! promised.
#![expect(unsafe_code, reason = "copies between raw application buffers and a mapping")]

use core::ptr;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

use logtap_wire::raw::RawPage;
use logtap_wire::ring::writer::Part;

/// Bytes before a record's own.
const RECORD_HEADER: u64 = 16;
/// What the mapping has before the bytes.
pub(crate) const HEAD_SIZE: usize = 16384;
/// Pieces that one call sends.
const MAX_PIECES: usize = 256;
/// Bytes that one call sends.
const MAX_SENT: u64 = 256 << 10;
/// An empty queue goes back to its beginning after so many bytes, so that little memory is touched while all is well.
const START_OVER_AFTER: u64 = 64 << 10;
/// Streams whose lines are kept whole apart from each other.
pub(super) const STREAMS: usize = 32;

const RESERVED: u64 = 0x6c6f_6774_6170_5231;
const COMPLETE: u64 = 0x6c6f_6774_6170_4331;

/// What stands before the bytes. Zeros are an empty queue.
#[repr(C)]
pub(super) struct Head {
    pub(super) page: RawPage,
    head: Aligned,
    tail: Aligned,
    /// Thread that sends now, 0 if none.
    lock: AtomicU32,
    /// What follows belongs to the thread that sends. Bytes of the record at the tail that are sent already.
    sent: AtomicU32,
    /// Number of the connection's descriptor + 1, and what it is; 0 without a connection.
    pub(super) descriptor: AtomicU32,
    pub(super) failures: AtomicU32,
    pub(super) device: AtomicU64,
    pub(super) inode: AtomicU64,
    /// Monotonic nanoseconds before which no connection is tried.
    pub(super) next_attempt: AtomicU64,
    /// Where each stream is in its line, see `lines`.
    pub(super) lines: [AtomicU8; STREAMS],
    pieces: [core::cell::UnsafeCell<Part>; MAX_PIECES],
}

#[repr(C, align(128))]
struct Aligned(AtomicU64);

const _: () = assert!(size_of::<Head>() <= HEAD_SIZE);

/// The queue in its mapping.
#[derive(Clone, Copy)]
pub(super) struct Queue {
    base: *mut u8,
    size: u64,
}

// SAFETY: all that is shared behind the pointer is reached by atomics, by the owner of a reserved record, or by the
// holder of the lock.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

/// The right to send.
pub(super) struct Sending<'a> {
    queue: &'a Queue,
    thread: u32,
}

impl Queue {
    /// Bytes of the mapping of a queue that holds `size`.
    pub(super) const fn mapping_size(size: u32) -> usize {
        HEAD_SIZE + size as usize
    }

    /// Takes a mapping for a queue.
    ///
    /// # Safety
    ///
    /// `base` is the start of a readable and writable private mapping of `mapping_size(size)` bytes, zeros at first,
    /// that is never taken away. `size` is a multiple of 64 KiB.
    pub(super) const unsafe fn attach(base: *mut u8, size: u32) -> Self {
        Self { base, size: size as u64 }
    }

    pub(super) fn head(&self) -> &Head {
        // SAFETY: `attach` promises the mapping; all fields but `pieces` are atomics.
        unsafe { &*self.base.cast::<Head>() }
    }

    /// Bytes that it holds at most.
    pub(super) const fn size(&self) -> usize {
        self.size as usize
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        let head = self.head();
        head.tail.0.load(Ordering::Acquire) == head.head.0.load(Ordering::Acquire)
    }

    /// The address of a position, and how many bytes lie there before the end.
    fn place(&self, position: u64) -> (*mut u8, u64) {
        let offset = position % self.size;
        // SAFETY: within the mapping that `attach` was promised.
        (unsafe { self.base.add(HEAD_SIZE + offset as usize) }, self.size - offset)
    }

    fn mark(&self, position: u64) -> &AtomicU64 {
        // SAFETY: positions of records are multiples of 16, and so is the size: within the mapping, and aligned.
        unsafe { &*self.place(position).0.cast::<AtomicU64>() }
    }

    /// Length and owner of a record.
    fn length_and_owner(&self, position: u64) -> &[AtomicU32; 2] {
        // SAFETY: as for `mark`; the second half of the record's header.
        unsafe { &*self.place(position).0.add(8).cast::<[AtomicU32; 2]>() }
    }

    /// Puts `length` bytes of the parts from byte `skip` on, if `spare` bytes are free beside them. The thread's
    /// signals are held.
    pub(super) fn put(
        &self,
        parts: &[Part],
        skip: usize,
        length: usize,
        spare: u64,
        thread: u32,
    ) -> bool {
        let size = size_of_record(length as u64);
        let Some(position) = self.reserve(size, spare) else { return false };
        let [length_word, owner] = self.length_and_owner(position);
        length_word.store(length as u32, Ordering::Relaxed);
        owner.store(thread, Ordering::Relaxed);
        let mark = self.mark(position);
        mark.store(position ^ RESERVED, Ordering::Release);
        self.copy(position + RECORD_HEADER, parts, skip, length);
        mark.store(position ^ COMPLETE, Ordering::Release);
        // Who sends looks at the mark after it let go of the lock; who puts looks at the lock after the mark.
        fence(Ordering::SeqCst);
        true
    }

    fn reserve(&self, size: u64, spare: u64) -> Option<u64> {
        let words = self.head();
        let mut head = words.head.0.load(Ordering::Acquire);
        loop {
            let tail = words.tail.0.load(Ordering::Acquire);
            // A tail before the head: the queue is about to start over. What lies between is free either way.
            let room = if tail > head { tail - head } else { self.size - (head - tail) };
            if size.checked_add(spare)? > room {
                // Another thread may have moved both meanwhile.
                let now = words.head.0.load(Ordering::Acquire);
                if now == head {
                    return None;
                }
                head = now;
                continue;
            }
            match words.head.0.compare_exchange_weak(
                head,
                head + size,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(head),
                Err(now) => head = now,
            }
        }
    }

    fn copy(&self, position: u64, parts: &[Part], skip: usize, length: usize) {
        let (mut skip, mut left, mut position) = (skip, length, position);
        for part in parts {
            let passed = skip.min(part.length);
            skip -= passed;
            let count = (part.length - passed).min(left);
            let (to, before_end) = self.place(position);
            let first = count.min(before_end as usize);
            // SAFETY: the application's bytes; the place was reserved by this thread.
            unsafe { ptr::copy_nonoverlapping(part.base.wrapping_add(passed), to, first) };
            if first < count {
                let rest = part.base.wrapping_add(passed + first);
                // SAFETY: as above; what goes over the end lies at the beginning.
                unsafe { ptr::copy_nonoverlapping(rest, self.base.add(HEAD_SIZE), count - first) };
            }
            left -= count;
            position += count as u64;
            if left == 0 {
                break;
            }
        }
    }

    /// Takes the right to send, unless another thread has it. `is_gone` says whether a thread is no more.
    pub(super) fn lock(&self, thread: u32, is_gone: impl Fn(u32) -> bool) -> Option<Sending<'_>> {
        let words = self.head();
        let taken =
            |from| words.lock.compare_exchange(from, thread, Ordering::AcqRel, Ordering::Acquire);
        if let Err(owner) = taken(0) {
            // This thread's signals are held in here: its own number says that a fault threw it out.
            if owner != thread && !is_gone(owner) || taken(owner).is_err() {
                return None;
            }
            // Nobody knows what that thread was about: the record goes to a new connection, whole.
            words.sent.store(0, Ordering::Relaxed);
            words.descriptor.store(0, Ordering::Relaxed);
        }
        Some(Sending { queue: self, thread })
    }

    /// Whether a complete record waits that nobody may be sending.
    pub(super) fn is_ready(&self) -> bool {
        fence(Ordering::SeqCst);
        let tail = self.head().tail.0.load(Ordering::Acquire);
        self.mark(tail).load(Ordering::Acquire) == tail ^ COMPLETE
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.queue.head().lock.store(0, Ordering::Release);
    }
}

impl Sending<'_> {
    /// A connection begins: a record that was begun goes there from its start.
    pub(super) fn start_over(&self) {
        self.queue.head().sent.store(0, Ordering::Relaxed);
    }

    /// What is to be sent next, in order.
    pub(super) fn pieces(&self, is_gone: impl Fn(u32) -> bool) -> &[Part] {
        let (queue, words) = (self.queue, self.queue.head());
        let end = words.head.0.load(Ordering::Acquire);
        let mut position = words.tail.0.load(Ordering::Acquire);
        let mut begun = u64::from(words.sent.load(Ordering::Relaxed));
        let (mut count, mut bytes) = (0, 0);
        while position < end && count + 2 <= MAX_PIECES && bytes < MAX_SENT {
            let Some(length) = self.length_at(position, end, count == 0, &is_gone) else { break };
            let Some(length) = length else {
                // Skipped: the tail stands behind it.
                position = words.tail.0.load(Ordering::Acquire);
                continue;
            };
            let from = begun.min(length);
            begun = 0;
            let (base, before_end) = queue.place(position + RECORD_HEADER + from);
            let first = (length - from).min(before_end);
            self.set_piece(count, base, first);
            count += 1;
            if first < length - from {
                self.set_piece(count, queue.place(0).0, length - from - first);
                count += 1;
            }
            bytes += length - from;
            position += size_of_record(length);
        }
        // SAFETY: `count` pieces were just set, and only the holder of the lock touches them.
        unsafe { core::slice::from_raw_parts(words.pieces.as_ptr().cast::<Part>(), count) }
    }

    fn set_piece(&self, index: usize, base: *mut u8, length: u64) {
        if let Some(piece) = self.queue.head().pieces.get(index) {
            // SAFETY: only the holder of the lock touches the pieces.
            unsafe { *piece.get() = Part { base, length: length as usize } };
        }
    }

    /// The length of the record at a position: nothing where it is not complete, nothing inside where it was skipped.
    fn length_at(
        &self,
        position: u64,
        end: u64,
        is_first: bool,
        is_gone: impl Fn(u32) -> bool,
    ) -> Option<Option<u64>> {
        let queue = self.queue;
        let mark = queue.mark(position).load(Ordering::Acquire) ^ position;
        let [length, owner] = queue.length_and_owner(position);
        let length = u64::from(length.load(Ordering::Relaxed));
        if !matches!(mark, RESERVED | COMPLETE) || position + size_of_record(length) > end {
            return None;
        }
        if mark == COMPLETE {
            return Some(Some(length));
        }
        let owner = owner.load(Ordering::Relaxed);
        if !is_first || owner != self.thread && !is_gone(owner) {
            return None;
        }
        let words = queue.head();
        words.page.lose(1, length);
        words.sent.store(0, Ordering::Relaxed);
        words.tail.0.store(position + size_of_record(length), Ordering::Release);
        Some(None)
    }

    /// So many bytes of the pieces were sent.
    pub(super) fn advance(&self, sent: usize) {
        let (queue, words) = (self.queue, self.queue.head());
        words.page.delivered_bytes.fetch_add(sent as u64, Ordering::Relaxed);
        let mut sent = sent as u64 + u64::from(words.sent.load(Ordering::Relaxed));
        let start = words.tail.0.load(Ordering::Acquire);
        let end = words.head.0.load(Ordering::Acquire);
        let mut tail = start;
        while tail < end && queue.mark(tail).load(Ordering::Acquire) == tail ^ COMPLETE {
            let length = u64::from(queue.length_and_owner(tail)[0].load(Ordering::Relaxed));
            if sent < length {
                break;
            }
            sent -= length;
            tail += size_of_record(length);
            if sent == 0 {
                break;
            }
        }
        words.sent.store(sent as u32, Ordering::Relaxed);
        words.tail.0.store(tail, Ordering::Release);
        self.go_to_start(tail);
    }

    /// An empty queue starts over at the beginning of its memory, unless somebody writes just now.
    fn go_to_start(&self, tail: u64) {
        let (queue, words) = (self.queue, self.queue.head());
        let offset = tail % queue.size;
        if !(START_OVER_AFTER..queue.size / 2).contains(&offset)
            || words.head.0.load(Ordering::Acquire) != tail
        {
            return;
        }
        let start = tail - offset + queue.size;
        words.tail.0.store(start, Ordering::Release);
        let moved = words.head.0.compare_exchange(tail, start, Ordering::AcqRel, Ordering::Acquire);
        if moved.is_err() {
            words.tail.0.store(tail, Ordering::Release);
        }
    }
}

const fn size_of_record(length: u64) -> u64 {
    (RECORD_HEADER + length + 15) & !15
}

#[cfg(test)]
mod tests;
