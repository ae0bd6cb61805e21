//! Whether the library does anything in this process, and whether it may still call the kernel.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Whether the hooks do anything beyond the original call.
static ACTIVE: AtomicBool = AtomicBool::new(false);
/// Calls that entered a sandbox, or are just about to: no system call of ours any more.
static SANDBOXES: AtomicU32 = AtomicU32::new(0);

/// Lets the hooks work. Everything they read is stored before.
pub(crate) fn activate() {
    ACTIVE.store(true, Ordering::Release);
}

#[inline(always)]
pub(crate) fn is_active() -> bool {
    ACTIVE.load(Ordering::Acquire)
}

/// Runs a call after which the process may be forbidden any system call. Where it fails, as it does for those who
/// only ask whether it exists, nothing is forbidden. The caller tells the ring of a sandbox that was entered.
pub(crate) fn enter_sandbox(call: impl FnOnce() -> isize) -> isize {
    SANDBOXES.fetch_add(1, Ordering::Relaxed);
    let result = call();
    if result < 0 {
        SANDBOXES.fetch_sub(1, Ordering::Relaxed);
    }
    result
}

/// Whether the library may make system calls.
#[inline(always)]
pub(crate) fn may_call() -> bool {
    SANDBOXES.load(Ordering::Relaxed) == 0
}
