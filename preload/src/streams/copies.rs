//! Which descriptors are duplicates of standard error: asked only where stdout and stderr are one object.

use core::sync::atomic::{AtomicU64, Ordering};

/// Descriptors that are told apart.
const DESCRIPTORS: usize = 8192;

/// One bit a descriptor.
static STDERR_COPIES: [AtomicU64; DESCRIPTORS / 64] =
    [const { AtomicU64::new(0) }; DESCRIPTORS / 64];
/// Remembers whether a descriptor is such a duplicate.
pub(crate) fn set_stderr_copy(descriptor: i32, is_copy: bool) {
    let Some(word) = STDERR_COPIES.get(descriptor as usize / 64) else { return };
    let bit = 1 << (descriptor % 64);
    if is_copy {
        word.fetch_or(bit, Ordering::Relaxed);
    } else {
        word.fetch_and(!bit, Ordering::Relaxed);
    }
}

/// Whether a descriptor is standard error by its origin: number 2 unless something else was put there.
pub(crate) fn is_stderr_copy(descriptor: i32) -> bool {
    let Some(word) = STDERR_COPIES.get((descriptor.max(0)) as usize / 64) else { return false };
    word.load(Ordering::Relaxed) >> (descriptor % 64) & 1 != 0
}

/// All such duplicates.
pub(crate) fn stderr_copies() -> impl Iterator<Item = i32> {
    let words = STDERR_COPIES.iter().enumerate();
    words.flat_map(|(index, word)| {
        let bits = word.load(Ordering::Relaxed);
        let set = (0..64).filter(move |bit| bits >> bit & 1 != 0);
        set.map(move |bit| index as i32 * 64 + bit)
    })
}
