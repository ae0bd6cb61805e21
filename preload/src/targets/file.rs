//! Raw bytes appended to a file: one call a write, straight to the file that has the name now.
//!
//! Rotation needs no signal: before each write the name is looked at, and a file that was renamed or removed is left
//! for a new one. A truncated file is appended to from its new end. No writer waits for another: threads and
//! processes rely on the kernel, which appends one write after the other.

use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use logtap_wire::ring::writer::Part;
use logtap_wire::settings::{MAX_FILE_PATH, Target};

use super::{is_vfork_child, move_away};
use crate::syscall::streams::{self, Object, SignalsHeld};
use crate::syscall::{self, AT_FDCWD, EINTR, O_CREAT, O_NONBLOCK, O_WRONLY, S_IFREG, Status};
use crate::text::Text;
use crate::{clock, environment};

const O_APPEND: u32 = 0o2000;
const O_NOCTTY: u32 = 0o400;
/// Pieces that are written by one call where not all bytes of a write count.
const PIECES: usize = 32;

static NUMBER: AtomicI32 = AtomicI32::new(-1);
static DEVICE: AtomicU64 = AtomicU64::new(0);
static INODE: AtomicU64 = AtomicU64::new(0);
/// Since when (monotonic nanoseconds) a thread makes a new descriptor the process's, 0 if none does. Others open the file
/// for their write alone meanwhile.
static REOPENING: AtomicU64 = AtomicU64::new(0);
/// Who has been at it for longer was thrown out by a fault, or was another process before a fork.
const REOPENING_TAKES: u64 = 1_000_000_000;
/// The last write of this process was cut: the next one begins a line of its own.
static IS_CUT: AtomicBool = AtomicBool::new(false);

/// An open target: the process's, or one for this write alone.
enum Opened {
    Kept(i32),
    /// No handler runs, and so none jumps out, before it is closed.
    Once {
        descriptor: syscall::Descriptor,
        _signals: SignalsHeld,
    },
}

/// Appends a write. Returns how many bytes of it.
pub(super) fn append(parts: &[Part], length: usize) -> usize {
    let Some((opened, status)) = open() else { return 0 };
    let number = match &opened {
        Opened::Kept(number) => *number,
        Opened::Once { descriptor, .. } => descriptor.number(),
    };
    // A file beyond the limit would end the process with SIGXFSZ.
    let is_regular = status.kind() == S_IFREG;
    if is_regular && status.size.saturating_add(length as u64 + 1) > syscall::file_size_limit() {
        return 0;
    }
    let mut done = 0;
    if IS_CUT.load(Ordering::Relaxed) && !end_cut_line(number) {
        return 0;
    }
    while done < length {
        match write_from(number, parts, done, length) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(EINTR) => {}
            Err(_) => break,
        }
    }
    if done > 0 && done < length {
        IS_CUT.store(true, Ordering::Relaxed);
    }
    done
}

/// Ends the line that was cut, unless another thread does. False where that failed.
#[cold]
fn end_cut_line(number: i32) -> bool {
    // No handler jumps out in between.
    let _signals = SignalsHeld::new();
    if IS_CUT.swap(false, Ordering::Relaxed) {
        let end = Part { base: b"\n".as_ptr(), length: 1 };
        if streams::append(number, &[end]) != Ok(1) {
            IS_CUT.store(true, Ordering::Relaxed);
            return false;
        }
    }
    true
}

/// One call for the bytes from `done` on; as they are where all parts count whole.
fn write_from(
    number: i32,
    parts: &[Part],
    done: usize,
    length: usize,
) -> Result<usize, syscall::Errno> {
    let whole = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.length));
    if done == 0 && whole == length {
        return streams::append(number, parts);
    }
    let mut pieces = [Part { base: core::ptr::null(), length: 0 }; PIECES];
    let (mut skip, mut left, mut count) = (done, length - done, 0);
    for part in parts {
        let passed = skip.min(part.length);
        skip -= passed;
        let taken = (part.length - passed).min(left);
        left -= taken;
        if taken == 0 {
            continue;
        }
        let Some(piece) = pieces.get_mut(count) else { break };
        *piece = Part { base: part.base.wrapping_add(passed), length: taken };
        count += 1;
    }
    streams::append(number, pieces.get(..count).unwrap_or_default())
}

/// The file that has the name now: the one that is open, or that one opened.
fn open() -> Option<(Opened, Status)> {
    let settings = environment::get()?;
    let Target::File(path) = settings.target() else { return None };
    let mut name = Text::<{ MAX_FILE_PATH + 1 }>::new();
    name.push(path);
    let name = name.path()?;
    let number = NUMBER.load(Ordering::Acquire);
    let known = known();
    let kept = (number >= 0 && streams::object(number) == Some(known)).then_some(number);
    match (kept, syscall::status(AT_FDCWD, name)) {
        (Some(number), Ok(status)) if Object::of(&status) == known => {
            return Some((Opened::Kept(number), status));
        }
        // Who may not look at the directory any more goes on with the file that is open.
        (Some(number), Err(error)) if error != syscall::ENOENT => {
            let status = syscall::descriptor_status(number).ok()?;
            return Some((Opened::Kept(number), status));
        }
        _ => {}
    }
    let signals = SignalsHeld::new();
    let flags = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY;
    let Ok(opened) = syscall::open(name, flags, 0o644) else {
        // Rights were given up since: the file that is open serves, under whatever name.
        let number = kept?;
        return Some((Opened::Kept(number), syscall::descriptor_status(number).ok()?));
    };
    let status = syscall::descriptor_status(opened.number()).ok()?;
    if is_vfork_child() || !may_keep() {
        return Some((Opened::Once { descriptor: opened, _signals: signals }, status));
    }
    let kept = keep(opened, &Object::of(&status));
    REOPENING.store(0, Ordering::Release);
    if let Some(page) = super::page() {
        page.opened.fetch_add(1, Ordering::Relaxed);
    }
    Some((Opened::Kept(kept), status))
}

/// Whether this thread is the one to make a descriptor the process's.
fn may_keep() -> bool {
    let now = clock::monotonic().max(1);
    let since = REOPENING.load(Ordering::Relaxed);
    (since == 0 || now.saturating_sub(since) > REOPENING_TAKES)
        && REOPENING.compare_exchange(since, now, Ordering::Acquire, Ordering::Relaxed).is_ok()
}

/// Makes a descriptor the process's: in the place of the one that it has, if that is still ours, so that a thread that
/// is about to write meets either file.
fn keep(opened: syscall::Descriptor, object: &Object) -> i32 {
    let number = NUMBER.load(Ordering::Acquire);
    let is_ours = number >= 0 && streams::object(number) == Some(known());
    DEVICE.store(object.device, Ordering::Relaxed);
    INODE.store(object.inode, Ordering::Release);
    if is_ours && streams::replace(number, &opened).is_ok() {
        return number;
    }
    let number = move_away(opened).keep();
    NUMBER.store(number, Ordering::Release);
    number
}

/// What the process's descriptor is.
fn known() -> Object {
    let inode = INODE.load(Ordering::Acquire);
    Object { device: DEVICE.load(Ordering::Relaxed), inode }
}
