//! The atomics of the ring protocol, exchanged for loom's under model checking.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Loom has no signal handlers, and so no fence against them.
#[cfg(loom)]
pub(crate) fn compiler_fence(_: Ordering) {}
