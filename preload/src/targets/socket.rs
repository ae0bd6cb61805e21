//! Raw bytes into a Unix stream socket: one connection a process, made when there is something to send.
//!
//! A write goes into the queue and out of it at once, if the sink takes it; what it does not take goes with a later
//! write, or at the program's end. The connection is used by `sendmsg` alone, which fails on anything that is no
//! socket, and only after a look at what the descriptor is now.
//!
//! # Safety
//!
//! This file may use `unsafe`: it keeps the address of the queue's mapping, which is never taken away.
#![expect(unsafe_code, reason = "attaches the queue that was mapped at start")]

use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};

use logtap_wire::ring::writer::Part;
use logtap_wire::settings::{OnFull, Target};

use super::lines;
use super::piece::{Piece, piece};
use super::queue::{Queue, Sending};
use super::{is_vfork_child, move_away};
use crate::syscall::streams::{self, Object, SignalsHeld};
use crate::syscall::{self, EAGAIN, EINTR};
use crate::{clock, environment, identity, patience};

/// Shortest time between two attempts to connect.
const SHORTEST_PAUSE: u64 = 100_000_000;
/// Connections that are made for one write.
const MAX_CONNECTIONS: u32 = 2;
/// Of so many writes that find another thread sending, one asks whether that thread is still there.
const ASK_EVERY: u32 = 64;

static BASE: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
static SIZE: AtomicU32 = AtomicU32::new(0);
static STARTED: AtomicU64 = AtomicU64::new(0);
static BUSY: AtomicU32 = AtomicU32::new(0);
/// The connection that this memory knew last: in a forked child it is the parent's, and is closed there.
static LAST: AtomicI32 = AtomicI32::new(-1);
static LAST_DEVICE: AtomicU64 = AtomicU64::new(0);
static LAST_INODE: AtomicU64 = AtomicU64::new(0);

/// How sending ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nothing waits.
    Empty,
    /// The sink takes no more now.
    Blocked,
    /// There is no sink.
    Unconnected,
    /// Another thread sends, or is still writing.
    Busy,
}

/// Takes the mapping, at start.
pub(super) fn start(base: *mut u8, size: u32) {
    STARTED.store(clock::monotonic(), Ordering::Relaxed);
    SIZE.store(size, Ordering::Relaxed);
    BASE.store(base, Ordering::Release);
}

fn queue() -> Option<Queue> {
    let base = BASE.load(Ordering::Acquire);
    // SAFETY: mapped with this size at start, and never taken away.
    (!base.is_null()).then(|| unsafe { Queue::attach(base, SIZE.load(Ordering::Relaxed)) })
}

/// Takes a copy of a write. Returns how many bytes of it.
pub(super) fn copy(line: usize, parts: &[Part], length: usize) -> usize {
    let Some(queue) = queue() else { return 0 };
    let thread = streams::thread_id();
    if !identity::is_first_thread(thread) && is_vfork_child() {
        return send_apart(&queue, parts, length);
    }
    let patience = match patience::on_full() {
        OnFull::Drop => 0,
        OnFull::Wait(milliseconds) => u64::from(milliseconds) * 1_000_000,
    };
    let mut taken = 0;
    let mut from = 0;
    while from < length {
        let piece = piece(parts, from, length);
        taken += put(&queue, thread, line, &piece, patience);
        from += piece.length;
    }
    taken
}

/// Takes a write instead of its original: only if a sink is there and all of it fits.
pub(super) fn suppress(line: usize, parts: &[Part], length: usize) -> bool {
    let Some(queue) = queue() else { return false };
    let thread = streams::thread_id();
    if length > queue.size() / 2 || !identity::is_first_thread(thread) && is_vfork_child() {
        return false;
    }
    let _signals = SignalsHeld::new();
    if !is_sink_there(&queue, thread) {
        return false;
    }
    let piece = Piece { parts, skip: 0, length };
    let all = || {
        let state = queue.head().lines.get(line)?;
        // In the middle of a line that was left out nothing is suppressed.
        let mut is_put = false;
        let (after, _) = lines::take(state.load(Ordering::Relaxed), &piece, |from, count, _| {
            is_put = from == 0 && queue.put(parts, 0, count, 0, thread);
            is_put
        });
        if is_put {
            state.store(after, Ordering::Relaxed);
        }
        Some(is_put)
    };
    let is_taken = all() == Some(true) || {
        send(&queue, thread, false);
        all() == Some(true)
    };
    send(&queue, thread, false);
    is_taken
}

/// Sends what waits, for at most so long. Without a sink it does not wait.
pub(super) fn flush(nanoseconds: u64) {
    let Some(queue) = queue() else { return };
    let (mut left, mut is_first) = (nanoseconds, true);
    while !queue.is_empty() {
        let outcome = {
            let _signals = SignalsHeld::new();
            send(&queue, streams::thread_id(), is_first)
        };
        is_first = false;
        if matches!(outcome, Outcome::Empty | Outcome::Unconnected) {
            return;
        }
        match wait(&queue, outcome, left) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Waits for the sink or for another thread. Returns what is left of the patience; nothing where it is at its end.
fn wait(queue: &Queue, outcome: Outcome, left: u64) -> Option<u64> {
    const STEP: u64 = 20_000_000;
    if left == 0 {
        return None;
    }
    let before = clock::monotonic();
    let step = left.min(STEP);
    match (outcome, connection(queue)) {
        (Outcome::Blocked, Some(socket)) => streams::wait_writable(socket, step),
        _ => syscall::sleep(step.min(1_000_000)),
    }
    // The clock is a coarse one: what is shorter than its tick costs a little all the same.
    let passed = clock::monotonic().saturating_sub(before).max(100_000);
    Some(left.saturating_sub(passed))
}

/// Puts what fits of a piece into the queue, and sends. Returns how many bytes were taken.
fn put(queue: &Queue, thread: u32, line: usize, piece: &Piece<'_>, patience: u64) -> usize {
    let mut signals = Some(SignalsHeld::new());
    let nowhere = AtomicU8::new(0);
    let state = queue.head().lines.get(line).unwrap_or(&nowhere);
    let reserve = queue.size() as u64 / 8;
    let mut left = patience;
    let (after, taken) =
        lines::take(state.load(Ordering::Relaxed), piece, |from, length, may_use| {
            let spare = if may_use { 0 } else { reserve };
            let put = || queue.put(piece.parts, piece.skip + from, length, spare, thread);
            if put() {
                return true;
            }
            let mut outcome = send(queue, thread, false);
            while !put() {
                if outcome == Outcome::Unconnected {
                    return false;
                }
                // Handlers run while it waits.
                signals = None;
                let rest = wait(queue, outcome, left);
                signals = Some(SignalsHeld::new());
                match rest {
                    Some(rest) => left = rest,
                    None => return false,
                }
                outcome = send(queue, thread, false);
            }
            true
        });
    state.store(after, Ordering::Relaxed);
    send(queue, thread, false);
    drop(signals);
    taken
}

/// Sends what waits. The thread's signals are held.
fn send(queue: &Queue, thread: u32, at_once: bool) -> Outcome {
    let is_gone = |owner| streams::is_thread_gone(identity::process(), owner);
    loop {
        let asks = BUSY.load(Ordering::Relaxed) % ASK_EVERY == ASK_EVERY - 1;
        let Some(sending) = queue.lock(thread, |owner| asks && is_gone(owner)) else {
            BUSY.fetch_add(1, Ordering::Relaxed);
            return Outcome::Busy;
        };
        let outcome = send_all(queue, &sending, at_once, is_gone);
        drop(sending);
        // Another thread may have put something while it found the lock held.
        if outcome != Outcome::Empty || !queue.is_ready() {
            return match outcome {
                Outcome::Empty if !queue.is_empty() => Outcome::Busy,
                outcome => outcome,
            };
        }
    }
}

fn send_all(
    queue: &Queue,
    sending: &Sending<'_>,
    at_once: bool,
    is_gone: impl Fn(u32) -> bool,
) -> Outcome {
    // A sink may take connections and end them at once.
    let mut connections = 0;
    loop {
        let pieces = sending.pieces(&is_gone);
        if pieces.is_empty() {
            return Outcome::Empty;
        }
        let socket = match connection(queue) {
            Some(socket) => socket,
            None if connections < MAX_CONNECTIONS && connect(queue, at_once) => {
                connections += 1;
                sending.start_over();
                continue;
            }
            None => return Outcome::Unconnected,
        };
        match streams::send(socket, pieces) {
            Ok(sent) => sending.advance(sent),
            Err(EINTR) => {}
            Err(EAGAIN) => return Outcome::Blocked,
            Err(_) => disconnect(queue, socket),
        }
    }
}

/// The connection's descriptor, if it is still the connection.
fn connection(queue: &Queue) -> Option<i32> {
    let words = queue.head();
    let number = words.descriptor.load(Ordering::Relaxed).checked_sub(1)? as i32;
    let known = Object {
        device: words.device.load(Ordering::Relaxed),
        inode: words.inode.load(Ordering::Relaxed),
    };
    if streams::object(number) == Some(known) {
        return Some(number);
    }
    // The application has closed it, and may have put something else there.
    words.descriptor.store(0, Ordering::Relaxed);
    None
}

fn disconnect(queue: &Queue, socket: i32) {
    queue.head().descriptor.store(0, Ordering::Relaxed);
    streams::close(socket);
}

/// Connects, unless it was tried a moment ago.
fn connect(queue: &Queue, at_once: bool) -> bool {
    let words = queue.head();
    let now = clock::monotonic();
    if !at_once && now != 0 && now < words.next_attempt.load(Ordering::Relaxed) {
        return false;
    }
    let Some(settings) = environment::get() else { return false };
    let Target::Socket(path) = settings.target() else { return false };
    close_inherited();
    let made = streams::connect(path).ok().map(move_away);
    let made = made.and_then(|socket| Some((streams::object(socket.number())?, socket)));
    let Some((object, socket)) = made else {
        let failures = words.failures.fetch_add(1, Ordering::Relaxed);
        let first = u64::from(settings.first_connect) * 1_000_000_000;
        let is_young = now.saturating_sub(STARTED.load(Ordering::Relaxed)) < first;
        words
            .next_attempt
            .store(now + pause(failures, is_young, settings.reconnect), Ordering::Relaxed);
        return false;
    };
    let number = socket.keep();
    LAST.store(number, Ordering::Relaxed);
    LAST_DEVICE.store(object.device, Ordering::Relaxed);
    LAST_INODE.store(object.inode, Ordering::Relaxed);
    words.failures.store(0, Ordering::Relaxed);
    words.next_attempt.store(0, Ordering::Relaxed);
    words.device.store(object.device, Ordering::Relaxed);
    words.inode.store(object.inode, Ordering::Relaxed);
    words.descriptor.store(number as u32 + 1, Ordering::Relaxed);
    words.page.opened.fetch_add(1, Ordering::Relaxed);
    true
}

/// Nanoseconds to the next attempt, after so many that failed. While the program is young its sink may be starting too.
fn pause(failures: u32, is_young: bool, reconnect: u32) -> u64 {
    let longest = u64::from(reconnect) * 1_000_000_000;
    let doubled = if is_young { SHORTEST_PAUSE } else { SHORTEST_PAUSE << failures.min(20) };
    doubled.min(longest)
}

/// Closes the connection that a forked child has from its parent, if it is still that.
fn close_inherited() {
    let number = LAST.load(Ordering::Relaxed);
    let known = Object {
        device: LAST_DEVICE.load(Ordering::Relaxed),
        inode: LAST_INODE.load(Ordering::Relaxed),
    };
    if number >= 0 && streams::object(number) == Some(known) {
        streams::close(number);
    }
}

/// Whether a sink takes connections, and the one that was made is not ended.
fn is_sink_there(queue: &Queue, thread: u32) -> bool {
    let Some(sending) = queue.lock(thread, |_| false) else {
        // Another thread is sending: the sink is there as far as anybody knows.
        return queue.head().descriptor.load(Ordering::Relaxed) != 0;
    };
    if let Some(socket) = connection(queue) {
        if streams::is_connected(socket) {
            return true;
        }
        disconnect(queue, socket);
    }
    let is_there = connect(queue, false);
    sending.start_over();
    is_there
}

/// A child of vfork sends by a connection of its own, which it closes.
#[cold]
fn send_apart(queue: &Queue, parts: &[Part], length: usize) -> usize {
    let Some(settings) = environment::get() else { return 0 };
    let Target::Socket(path) = settings.target() else { return 0 };
    let Ok(socket) = streams::connect(path) else { return 0 };
    let mut sent = 0;
    for slice in (Piece { parts, skip: 0, length }).slices(0) {
        let part = Part { base: slice.as_ptr(), length: slice.len() };
        match streams::send(socket.number(), &[part]) {
            Ok(count) => sent += count,
            Err(_) => break,
        }
        if slice.len() != part.length {
            break;
        }
    }
    queue.head().page.delivered_bytes.fetch_add(sent as u64, Ordering::Relaxed);
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_to_what_was_asked_for_and_is_short_at_first() {
        let seconds = |count: u64| count * 1_000_000_000;
        assert_eq!(pause(9, true, 30), SHORTEST_PAUSE);
        assert_eq!(pause(0, false, 30), SHORTEST_PAUSE);
        assert_eq!(pause(3, false, 30), 8 * SHORTEST_PAUSE);
        assert_eq!(pause(1000, false, 30), seconds(30));
        assert_eq!(pause(5, true, 0), 0);
    }
}
