//! What the library knows of itself in this process: written once at start, read by every hook.

use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use logtap_wire::control::ControlPage;
use logtap_wire::settings::OnFull;

/// Whether the hooks do anything beyond the original call.
static ACTIVE: AtomicBool = AtomicBool::new(false);
/// `COVERAGE_*` and `SEEN_*` bits, copied into every ring.
static COVERAGE: AtomicU32 = AtomicU32::new(0);
/// Calls that entered a sandbox, or are just about to: no system call of ours any more.
static SANDBOXES: AtomicU32 = AtomicU32::new(0);
static CONTROL: AtomicPtr<ControlPage> = AtomicPtr::new(core::ptr::null_mut());
/// 0: drop; else milliseconds + 1.
static ON_FULL: AtomicU32 = AtomicU32::new(0);
/// A page with the process id that the kernel clears in forked children; 0 where it would not.
static PROCESS_PAGE: AtomicUsize = AtomicUsize::new(0);

/// Lets the hooks work. Everything they read is stored before.
pub(crate) fn activate() {
    ACTIVE.store(true, Ordering::Release);
}

#[inline(always)]
pub(crate) fn is_active() -> bool {
    ACTIVE.load(Ordering::Acquire)
}

pub(crate) fn coverage() -> u32 {
    COVERAGE.load(Ordering::Relaxed)
}

/// Adds coverage bits, also to the ring that is in use.
pub(crate) fn add_coverage(bits: u32) {
    COVERAGE.fetch_or(bits, Ordering::Relaxed);
    if let Some(ring) = crate::rings::current() {
        ring.header().coverage.fetch_or(bits, Ordering::Relaxed);
    }
}

/// Runs a call after which the process may be forbidden any system call. Where it fails, as it does for those who
/// only ask whether it exists, nothing is forbidden.
pub(crate) fn enter_sandbox(call: impl FnOnce() -> isize) -> isize {
    SANDBOXES.fetch_add(1, Ordering::Relaxed);
    let result = call();
    if result < 0 {
        SANDBOXES.fetch_sub(1, Ordering::Relaxed);
    } else {
        add_coverage(logtap_wire::ring::SEEN_SANDBOX);
    }
    result
}

/// Whether the library may make system calls.
#[inline(always)]
pub(crate) fn may_call() -> bool {
    SANDBOXES.load(Ordering::Relaxed) == 0
}

pub(crate) fn set_on_full(on_full: OnFull) {
    let word = match on_full {
        OnFull::Drop => 0,
        OnFull::Wait(milliseconds) => milliseconds.saturating_add(1),
    };
    ON_FULL.store(word, Ordering::Relaxed);
}

pub(crate) fn on_full() -> OnFull {
    match ON_FULL.load(Ordering::Relaxed) {
        0 => OnFull::Drop,
        word => OnFull::Wait(word - 1),
    }
}

/// Takes the mapped control page, for the rest of the process's life.
///
/// # Safety
///
/// The pointer is a mapping of a whole control page that is never taken away.
#[expect(unsafe_code, reason = "states what the later reads rely on")]
pub(crate) unsafe fn set_control(page: *mut ControlPage) {
    CONTROL.store(page, Ordering::Release);
}

/// The control page, if there is one.
#[expect(unsafe_code, reason = "the mapping lives as long as the process")]
#[inline(always)]
pub(crate) fn control() -> Option<&'static ControlPage> {
    // SAFETY: null or what `set_control` was promised; the fields that change are atomics.
    unsafe { CONTROL.load(Ordering::Acquire).as_ref() }
}

/// What the page holds; all of it is 0 in a forked child.
#[repr(C)]
struct ProcessPage {
    /// The process whose memory this is, as far as it has said so; in the high half the number under which it holds
    /// lanes: the same, or 0 where the ring's other writers cannot look it up.
    owner: AtomicU64,
    /// How often somebody could not tell whether it is the owner.
    doubts: AtomicU32,
    /// Not 0 once the memory was lent to a child of vfork.
    lent: AtomicU32,
}

/// The last owner that is known, kept over a fork: in a forked child its parent.
static LAST_OWNER: AtomicU32 = AtomicU32::new(0);
/// Whoever asks more often is the owner: a child of vfork ends or executes soon.
const DOUBTS: u32 = 8;

#[expect(unsafe_code, reason = "reads the page that was made for it")]
#[inline(always)]
fn process_page() -> Option<&'static ProcessPage> {
    let page = PROCESS_PAGE.load(Ordering::Acquire) as *const ProcessPage;
    // SAFETY: null, or the page that `remember_process` made, which stays; atomics at its start.
    unsafe { page.as_ref() }
}

/// Makes the page that remembers the process id.
#[expect(unsafe_code, reason = "takes away a page that was just made")]
pub(crate) fn remember_process() {
    use crate::syscall::{MADV_WIPEONFORK, advise, map_anonymous, unmap};
    let Ok(page) = map_anonymous(4096) else { return };
    if advise(page, 4096, MADV_WIPEONFORK).is_err() {
        // SAFETY: nobody has seen the page yet.
        unsafe { unmap(page, 4096) };
        return;
    }
    PROCESS_PAGE.store(page as usize, Ordering::Release);
    claim(crate::syscall::process_id());
}

fn claim(process: u32) {
    LAST_OWNER.store(process, Ordering::Relaxed);
    let Some(page) = process_page() else { return };
    page.owner.store(u64::from(process), Ordering::Release);
    // A process can come into another pid namespace by being forked, and in no other way.
    if crate::rings::settle() {
        page.owner.store(u64::from(process) << 32 | u64::from(process), Ordering::SeqCst);
        if page.lent.load(Ordering::SeqCst) != 0 {
            page.owner.fetch_and(NUMBER, Ordering::SeqCst);
        }
    }
}

/// The low half of a page's owner.
const NUMBER: u64 = u32::MAX as u64;

/// A child of vfork, or of clone in the same memory, is about to write here under this process's name: which proves nothing
/// of the child's end. From now on lanes are held without a name here.
pub(crate) fn lend_memory() {
    if let Some(page) = process_page() {
        // Whoever claims the memory at the same moment sees the one or is undone by the other.
        page.lent.store(1, Ordering::SeqCst);
        page.owner.fetch_and(NUMBER, Ordering::SeqCst);
    }
}

/// Who writes.
#[derive(Clone, Copy)]
pub(crate) struct Writer {
    /// This process's id; a child of vfork has its parent's.
    pub(crate) process: u32,
    /// The number under which it holds lanes; 0 where the ring's other writers cannot tell by it whether the lane's holder
    /// is gone.
    pub(crate) holder: u32,
}

/// Who writes. A forked child asks the kernel once. The number for lanes counts only for a ring that is read after it.
#[inline(always)]
pub(crate) fn writer() -> Writer {
    match process_page().map(|page| page.owner.load(Ordering::Acquire)) {
        Some(word) if word != 0 => Writer { process: word as u32, holder: (word >> 32) as u32 },
        _ if may_call() => first_question(),
        _ => Writer { process: 0, holder: 0 },
    }
}

/// This process's id, as [`writer`] knows it.
pub(crate) fn process() -> u32 {
    writer().process
}

#[cold]
fn first_question() -> Writer {
    let known = has_own_memory().then(process_page).flatten();
    let word = known.map_or(0, |page| page.owner.load(Ordering::Acquire));
    Writer { process: crate::syscall::process_id(), holder: (word >> 32) as u32 }
}

/// Whether a thread of this number proves by it alone that its process has its own memory: the first thread has the number of
/// its process, which no child of vfork can have while that one lives.
pub(crate) fn is_first_thread(thread: u32) -> bool {
    let owner = process_page().map_or(0, |page| page.owner.load(Ordering::Relaxed) as u32);
    thread != 0 && thread == owner
}

/// Whether what this process learns of itself may be kept in its memory: not in a child of vfork, whose memory
/// is its parent's. Asks the kernel; call it only where that is allowed.
#[cold]
pub(crate) fn has_own_memory() -> bool {
    use crate::syscall::{parent_id, process_id};
    let Some(page) = process_page() else { return true };
    let process = process_id();
    let is_own = match page.owner.load(Ordering::Relaxed) as u32 {
        owner if owner == process => return true,
        // Forked, or vforked by one that was forked and has never asked. The former is a child of the last known
        // owner, unless others were forked in between or that one is gone.
        0 => {
            parent_id() == LAST_OWNER.load(Ordering::Relaxed)
                || page.doubts.fetch_add(1, Ordering::Relaxed) >= DOUBTS
        }
        // The owner waits for its child of vfork. Else such a child took itself for the owner.
        owner => parent_id() != owner,
    };
    if is_own {
        claim(process);
    }
    is_own
}
