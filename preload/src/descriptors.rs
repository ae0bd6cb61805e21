//! What each descriptor is: a cached class, looked up again whenever it may have changed.
//!
//! One word a descriptor, shared by threads and by children of vfork:
//!
//! ```text
//!  63 ─────── 35 ┬ 34 ────── 29 ┬ 28 ───────── 28 ┬ 27 ── 20 ┬ 19 ─────── 8 ┬ 7 ── 0
//!  │ generation  │ class, high  │ may suppress    │ epoch    │ number >> 13 │ class │
//!  └─────────────┴──────────────┴─────────────────┴──────────┴──────────────┴───────┘
//! ```
//! Observed calls (open, close, dup, ...) only ever *forget* the class and move the generation, before and after
//! the call, and a class is stored only if the generation has not moved since the descriptor was
//! looked at. So a child of vfork that plays with descriptor 1 in its parent's memory costs the parent one more
//! look, and nothing else; what it sees when it looks itself is not stored. Tapped classes also expire with the collector's epoch (every 100 ms), which bounds how
//! long a change that bypassed libc can go unnoticed.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::streams::{Stream, is_stderr_copy, set_stderr_copy, stderr_copies};
use crate::{control, environment, files, identity, state, streams, syscall};

/// Descriptors share words above this number.
const WORDS: usize = 8192;
const NUMBER_BITS: u32 = 13;

const UNKNOWN: u8 = 0;
const UNTAPPED: u8 = 1;
const STDOUT: u8 = 2;
const STDERR: u8 = 3;
/// Classes from here on are entries of the file table, so many for each value of the high bits.
const FILES: u8 = 4;
const FILES_A_PAGE: u16 = 256 - FILES as u16;
const HIGH_SHIFT: u32 = 29;
const HIGH_BITS: u32 = 6;
/// A word has room for every entry of the file table.
const _: () = assert!(files::ENTRIES == (FILES_A_PAGE as usize) << HIGH_BITS);

const SUPPRESS: u64 = 1 << 28;
const GENERATION: u64 = 1 << (HIGH_SHIFT + HIGH_BITS);

static CLASSES: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];
static LOCAL_EPOCH: AtomicU32 = AtomicU32::new(0);

/// What a tapped descriptor is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Class {
    pub(crate) stream: Stream,
    /// The user asked for suppression, and the descriptor is open for writing.
    pub(crate) suppress: bool,
}

fn word(descriptor: i32) -> &'static AtomicU64 {
    &CLASSES[descriptor as usize % WORDS]
}

fn tag(descriptor: i32) -> u64 {
    ((descriptor as u64) >> NUMBER_BITS & 0xfff) << 8
}

fn is_of(word: u64, descriptor: i32) -> bool {
    word & 0xf_ff00 == tag(descriptor)
}

#[inline(always)]
fn epoch() -> u64 {
    let collector = match control::page() {
        Some(control) => control.collector.epoch.load(Ordering::Relaxed),
        None => 0,
    };
    u64::from(collector.wrapping_add(LOCAL_EPOCH.load(Ordering::Relaxed)) & 0xff) << 20
}

fn unpack(word: u64) -> Option<Class> {
    let stream = match word as u8 {
        UNKNOWN | UNTAPPED => return None,
        STDOUT => Stream::Stdout,
        STDERR => Stream::Stderr,
        file => {
            let page = (word >> HIGH_SHIFT & ((1 << HIGH_BITS) - 1)) as u16;
            Stream::File(page * FILES_A_PAGE + u16::from(file - FILES))
        }
    };
    Some(Class { stream, suppress: word & SUPPRESS != 0 })
}

fn pack(class: Option<Class>) -> u64 {
    let Some(class) = class else { return u64::from(UNTAPPED) };
    let number = match class.stream {
        Stream::Stdout => u64::from(STDOUT),
        Stream::Stderr => u64::from(STDERR),
        Stream::File(index) => {
            let (page, rest) = (index / FILES_A_PAGE, index % FILES_A_PAGE);
            u64::from(page) << HIGH_SHIFT | u64::from(u16::from(FILES) + rest)
        }
    };
    number | if class.suppress { SUPPRESS } else { 0 }
}

/// The class of a descriptor; `None` where it is not tapped.
#[inline(always)]
pub(crate) fn class(descriptor: i32) -> Option<Class> {
    if !state::is_active() || descriptor < 0 {
        return None;
    }
    let known = word(descriptor).load(Ordering::Relaxed);
    if is_of(known, descriptor) {
        if known as u8 == UNTAPPED {
            return None;
        }
        if known as u8 != UNKNOWN && known & (0xff << 20) == epoch() {
            return unpack(known);
        }
    }
    look(descriptor)
}

/// Looks at a descriptor and remembers what it is.
#[cold]
fn look(descriptor: i32) -> Option<Class> {
    let word = word(descriptor);
    if !state::may_call() {
        let known = word.load(Ordering::Relaxed);
        return if is_of(known, descriptor) { unpack(known) } else { None };
    }
    if !identity::has_own_memory() {
        // What a child of vfork learns of its descriptors is not true of its parent's.
        return examine(descriptor, None);
    }
    let mut class = None;
    for _ in 0..3 {
        let before = word.load(Ordering::Acquire);
        let epoch = epoch();
        let present = if is_of(before, descriptor) { unpack(before) } else { None };
        class = examine(descriptor, present);
        let after = before & !(GENERATION - 1) | epoch | tag(descriptor) | pack(class);
        if word.compare_exchange(before, after, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            break;
        }
    }
    class
}

fn examine(descriptor: i32, present: Option<Class>) -> Option<Class> {
    let entry = match present {
        Some(Class { stream: Stream::File(index), .. }) => Some(index),
        _ => None,
    };
    let settings = environment::get()?;
    let status = syscall::descriptor_status(descriptor).ok()?;
    let standard = streams::recognise(descriptor, &status).filter(|stream| match stream {
        Stream::Stdout => settings.stdout,
        Stream::Stderr => settings.stderr,
        Stream::File(_) => true,
    });
    // A standard stream that is not asked for may still be a file that is.
    let stream = match standard {
        Some(stream) => stream,
        None => Stream::File(files::find(descriptor, &status, entry)?),
    };
    let asked = match stream {
        Stream::Stdout => settings.suppress_stdout,
        Stream::Stderr => settings.suppress_stderr,
        Stream::File(_) => settings.suppress_files,
    };
    let writable = || {
        syscall::status_flags(descriptor)
            .is_ok_and(|flags| flags & syscall::O_ACCMODE != syscall::O_RDONLY)
    };
    Some(Class { stream, suppress: asked && writable() })
}

/// Forgets what a descriptor is. Harmless at any time, from any thread, child of vfork or signal handler.
#[inline]
pub(crate) fn forget(descriptor: i32) {
    if descriptor < 0 {
        return;
    }
    forget_word(word(descriptor));
}

fn forget_word(word: &AtomicU64) {
    let mut known = word.load(Ordering::Relaxed);
    loop {
        let next = (known & !(GENERATION - 1)).wrapping_add(GENERATION);
        match word.compare_exchange_weak(known, next, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return,
            Err(other) => known = other,
        }
    }
}

/// Forgets a range of descriptors, both ends included.
pub(crate) fn forget_range(first: u32, last: u32) {
    let count = (last.saturating_sub(first) as usize).saturating_add(1).min(WORDS);
    for offset in 0..count {
        let word = &CLASSES[(first as usize).wrapping_add(offset) % WORDS];
        if word.load(Ordering::Relaxed) as u8 != UNKNOWN {
            forget_word(word);
        }
    }
}

/// A descriptor is about to be closed: what gets its number is nothing's duplicate.
pub(crate) fn closing(descriptor: i32) {
    no_copy(descriptor);
    forget(descriptor);
}

/// The same for a range of descriptors, both ends included.
pub(crate) fn closing_range(first: u32, last: u32) {
    for descriptor in stderr_copies().filter(|&number| (first..=last).contains(&(number as u32))) {
        no_copy(descriptor);
    }
    forget_range(first, last);
}

/// Number 2 stays standard error: who opens something under that number means it.
fn no_copy(descriptor: i32) {
    if descriptor < 0 || descriptor == 2 || !is_stderr_copy(descriptor) {
        return;
    }
    // As in `copied`.
    if state::is_active() && state::may_call() && identity::has_own_memory() {
        set_stderr_copy(descriptor, false);
    }
}

/// Lets every tapped class be looked up again.
pub(crate) fn expire() {
    LOCAL_EPOCH.fetch_add(1, Ordering::Relaxed);
}

/// Remembers that `copy` is a duplicate of `original`, where stderr can only be told by that.
///
/// A child of vfork shares this memory, and what it does to its own descriptors says nothing about its parent's.
pub(crate) fn copied(original: i32, copy: i32) {
    if copy < 0 || !state::is_active() || !streams::are_one() || !state::may_call() {
        return;
    }
    if identity::has_own_memory() {
        set_stderr_copy(copy, is_stderr_copy(original));
    }
}

/// Marks descriptor 2 as what the process was started with.
pub(crate) fn start() {
    set_stderr_copy(2, true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_survives_its_word() {
        for class in [
            None,
            Some(Class { stream: Stream::Stdout, suppress: false }),
            Some(Class { stream: Stream::Stderr, suppress: true }),
            Some(Class { stream: Stream::File(63), suppress: true }),
            Some(Class { stream: Stream::File(251), suppress: true }),
            Some(Class { stream: Stream::File(252), suppress: false }),
            Some(Class { stream: Stream::File(files::ENTRIES as u16 - 1), suppress: true }),
        ] {
            assert_eq!(unpack(pack(class)), class);
        }
    }

    #[test]
    fn forgetting_moves_the_generation_and_descriptors_above_the_table_do_not_alias() {
        let number = 4000;
        word(number).store(pack(None) | tag(number), Ordering::Relaxed);
        assert!(is_of(word(number).load(Ordering::Relaxed), number));
        assert!(!is_of(word(number).load(Ordering::Relaxed), number + WORDS as i32));
        let before = word(number).load(Ordering::Relaxed);
        forget(number);
        let after = word(number).load(Ordering::Relaxed);
        assert_eq!(after, (before & !(GENERATION - 1)) + GENERATION);
        forget(-1);
    }
}
