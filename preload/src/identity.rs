//! Which process this is: told from its parent by a page that the kernel clears at a fork, and from a child of vfork, which
//! writes in its parent's memory, by asking.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::rings::{self, Maker};
use crate::state;
use crate::syscall::{MADV_WIPEONFORK, advise, map_anonymous, parent_id, process_id, unmap};

/// A page with the process id that the kernel clears in forked children; 0 where it would not.
static PROCESS_PAGE: AtomicUsize = AtomicUsize::new(0);

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
    let Ok(page) = map_anonymous(4096) else { return };
    if advise(page, 4096, MADV_WIPEONFORK).is_err() {
        // SAFETY: nobody has seen the page yet.
        unsafe { unmap(page, 4096) };
        return;
    }
    PROCESS_PAGE.store(page as usize, Ordering::Release);
    claim(process_id());
}

fn claim(process: u32) {
    LAST_OWNER.store(process, Ordering::Relaxed);
    let Some(page) = process_page() else { return };
    page.owner.store(u64::from(process), Ordering::Release);
    // A process can come into another pid namespace by being forked, and in no other way.
    if rings::settle(process) {
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
        _ if state::may_call() => first_question(),
        _ => Writer { process: 0, holder: 0 },
    }
}

/// This process as one that makes a ring.
pub(crate) fn maker() -> Maker {
    Maker { process: process(), has_own_memory }
}

/// This process's id, as [`writer`] knows it.
pub(crate) fn process() -> u32 {
    writer().process
}

#[cold]
fn first_question() -> Writer {
    let known = has_own_memory().then(process_page).flatten();
    let word = known.map_or(0, |page| page.owner.load(Ordering::Acquire));
    Writer { process: process_id(), holder: (word >> 32) as u32 }
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
