//! The targets of liblogtap: raw bytes, into a Unix stream socket or appended to a file.
//!
//! Unlike rings they need system calls and a descriptor while the application runs. So: the descriptor is a high one,
//! closed at exec, and used only after a look at what it is; nothing is ever waited for (but for `wait:`, and for a
//! bounded moment at the program's end); after a sandbox call nothing is sent any more, and all is counted.
//!
//! # What a write costs
//!
//! `socket:` holds and releases the thread's signals (two `rt_sigprocmask`), or a handler that jumps away would leave the
//! right to send with a thread that knows nothing of it; asks for the thread's number (`gettid`), which proves to others
//! that it still sends, and, on the first thread, that this is no child of vfork (others ask `getpid`); looks what the
//! descriptor is now (`fstat`), or lines would go into a socket of the application's; and sends (`sendmsg`).
//!
//! `file:` looks at the descriptor (`fstat`) and at the name (`statx`), or lines would go into a file that was rotated away
//! and may be compressed and removed already; asks for the limit of file sizes (`prlimit64`), beyond which the kernel ends
//! the process with SIGXFSZ, and which others may lower at any time; and writes (`writev`).
//!
//! What was rejected: to remember any of these answers between two writes. Descriptors, names and limits change without the
//! library's being told (by system calls that pass libc, by other processes), and a wrong answer writes into a file
//! or socket that is not ours, loses lines, or ends the program. `tap:` needs none of it.
//!
//! A child of vfork runs in its parent's memory with descriptors of its own. It touches nothing that the two share
//! but the counts.

use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use logtap_wire::raw::{KIND_FILE, KIND_SOCKET, RAW_NAME, RawPage};
use logtap_wire::ring::writer::Part;
use logtap_wire::settings::Target;

use crate::descriptors::{self, Class};
use crate::environment::{self, Settings};
use crate::streams::Stream;
use crate::syscall::{self, MADV_DONTDUMP, MADV_WIPEONFORK, OrIgnore as _, streams};
use crate::text::Text;
use crate::{clock, identity, state};

mod file;
mod lines;
mod piece;
mod queue;
mod socket;

/// Without a collector that moves the epoch, tapped classes are looked up again so often (nanoseconds).
const EXPIRE_EVERY: u64 = 100_000_000;
/// Descriptors of ours go to a number from here on, where the limit allows it.
const NUMBERS: [i32; 3] = [960, 200, 20];

/// The page of counts, at the start of the mapping; null without a target of this kind.
static PAGE: AtomicPtr<RawPage> = AtomicPtr::new(core::ptr::null_mut());
static IS_SOCKET: AtomicBool = AtomicBool::new(false);
/// The program is about to end: every write may be the last.
static IS_ENDING: AtomicBool = AtomicBool::new(false);
static EXPIRED_AT: AtomicU64 = AtomicU64::new(0);

/// Maps what the target needs. Called once at start.
pub(crate) fn start(settings: &Settings) -> Result<(), &'static str> {
    let (is_socket, sizes) = match settings.target() {
        Target::Socket(_) => (true, [settings.queue_size, 1 << 20, 64 << 10]),
        Target::File(_) => (false, [0; 3]),
        Target::Tap(_) => return Err("a tap directory is no raw target"),
    };
    for size in sizes {
        let bytes = queue::Queue::mapping_size(size);
        let Ok(address) = syscall::map_anonymous(bytes) else { continue };
        if syscall::advise(address, bytes, MADV_WIPEONFORK).is_err() {
            return Err("the kernel cannot clear memory in forked children");
        }
        syscall::advise(address, bytes, MADV_DONTDUMP).or_ignore();
        streams::name_mapping(address, bytes, RAW_NAME);
        if is_socket {
            socket::start(address, size);
        }
        IS_SOCKET.store(is_socket, Ordering::Relaxed);
        PAGE.store(address.cast(), Ordering::Release);
        return Ok(());
    }
    Err("no memory for what waits for the target")
}

#[expect(unsafe_code, reason = "the mapping lives as long as the process")]
fn page() -> Option<&'static RawPage> {
    // SAFETY: null, or the start of a mapping of at least this size that is never taken away.
    let page = unsafe { PAGE.load(Ordering::Acquire).as_ref() }?;
    let kind = if IS_SOCKET.load(Ordering::Relaxed) { KIND_SOCKET } else { KIND_FILE };
    page.name(kind);
    Some(page)
}

/// Copies what a call has written.
#[cold]
pub(crate) fn copy(class: Class, parts: &[Part], length: usize) {
    let Some(page) = page() else { return };
    page.take(length as u64);
    if !state::may_call() {
        return page.lose(1, length as u64);
    }
    expire();
    let taken = if IS_SOCKET.load(Ordering::Relaxed) {
        socket::copy(line_of(class.stream), parts, length)
    } else {
        let taken = file::append(parts, length);
        page.delivered_bytes.fetch_add(taken as u64, Ordering::Relaxed);
        taken
    };
    if taken < length {
        page.lose(1, (length - taken) as u64);
    }
    if IS_ENDING.load(Ordering::Relaxed) {
        end();
    }
}

/// Takes a write instead of its original. False: the original must be called, and is copied then.
#[cold]
pub(crate) fn suppress(class: Class, parts: &[Part], length: usize) -> bool {
    let Some(page) = page() else { return false };
    if length == 0 || !state::may_call() {
        return false;
    }
    expire();
    let is_taken = if IS_SOCKET.load(Ordering::Relaxed) {
        socket::suppress(line_of(class.stream), parts, length)
    } else {
        file::append(parts, length) == length
    };
    if is_taken {
        page.take(length as u64);
        if !IS_SOCKET.load(Ordering::Relaxed) {
            page.delivered_bytes.fetch_add(length as u64, Ordering::Relaxed);
        }
        if IS_ENDING.load(Ordering::Relaxed) {
            end();
        }
    }
    is_taken
}

/// Counts bytes that reached a tapped stream in a way that cannot be copied.
#[cold]
pub(crate) fn count_uncopied(length: usize) {
    if let Some(page) = page() {
        page.take(length as u64);
        page.lose(1, length as u64);
    }
}

/// The program is about to end, or to become another: what waits is sent, for a bounded moment.
#[cold]
pub(crate) fn flush() {
    if PAGE.load(Ordering::Acquire).is_null()
        || !IS_SOCKET.load(Ordering::Relaxed)
        || !state::may_call()
        || is_vfork_child()
    {
        return;
    }
    let wait = environment::get().map_or(0, |settings| settings.exit_wait);
    socket::flush(u64::from(wait) * 1_000_000);
}

/// The program ends. More may be written yet, by what libc does last: this is called again after each such write, so
/// that what debug mode says last is true.
#[cold]
pub(crate) fn end() {
    if PAGE.load(Ordering::Acquire).is_null() {
        return;
    }
    flush();
    if is_vfork_child() {
        return;
    }
    IS_ENDING.store(true, Ordering::Relaxed);
    let debug = environment::get().is_some_and(|settings| settings.debug);
    if debug && state::may_call() {
        tell_counts();
    }
}

/// What still waits is lost with the process, unless one of the writes that follow takes it along.
fn tell_counts() {
    let Some(page) = page() else { return };
    let counts = page.counts();
    if counts.taken_records == 0 {
        return;
    }
    let undelivered = counts.taken_bytes.saturating_sub(counts.delivered_bytes);
    let waiting = undelivered.saturating_sub(counts.lost_bytes);
    let mut text = Text::<256>::new();
    text.push(b"[liblogtap ").push_number(u64::from(syscall::process_id()));
    text.push(b"] ").push_number(counts.taken_records).push(b" writes (");
    text.push_number(counts.taken_bytes).push(b" bytes), delivered ");
    text.push_number(counts.delivered_bytes).push(b" bytes, lost ");
    text.push_number(undelivered).push(b" bytes");
    if waiting > 0 {
        text.push(b" (").push_number(waiting).push(b" of them could not be sent before the end)");
    }
    text.push(b"\n");
    syscall::write(2, text.bytes()).or_ignore();
}

/// Whether this process runs in its parent's memory.
fn is_vfork_child() -> bool {
    !identity::has_own_memory()
}

/// Lets tapped classes be looked up again now and then, as a collector would.
fn expire() {
    let now = clock::monotonic();
    let last = EXPIRED_AT.load(Ordering::Relaxed);
    if now == 0 || now.wrapping_sub(last) >= EXPIRE_EVERY {
        EXPIRED_AT.store(now, Ordering::Relaxed);
        descriptors::expire();
    }
}

/// Which of the line states is a stream's. Many files share some.
fn line_of(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
        Stream::File(index) => 2 + usize::from(index) % (queue::STREAMS - 2),
    }
}

/// Moves a descriptor out of the application's way.
fn move_away(descriptor: syscall::Descriptor) -> syscall::Descriptor {
    NUMBERS.iter().fold(descriptor, |descriptor, &from| {
        if descriptor.number() >= NUMBERS[2] {
            descriptor
        } else {
            syscall::move_up(descriptor, from)
        }
    })
}
