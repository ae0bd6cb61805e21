//! The files that are tapped: matched by path at first sight, known by identity afterwards.
//!
//! So a rename keeps a file tapped under its first name, and a recycled descriptor or inode number does not
//! make another file tapped.
//!
//! # Safety
//!
//! This file may use `unsafe`: an entry's path and identity are written by the one writer that claimed it, before
//! it is marked as ready, and never again. The table is a mapping that is made once and stays.
#![expect(unsafe_code, reason = "a table whose entries are written once")]

use core::cell::UnsafeCell;
use core::slice;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use logtap_wire::identity::Identity;
use logtap_wire::pattern;
use logtap_wire::ring::writer::Ring;

use crate::environment::{self, Settings};
use crate::syscall::{self, AT_FDCWD, S_IFIFO, S_IFREG, Status};
use crate::text::Text;

/// Files that one process can have tapped over its life before entries are shared: as many as a word of the table of
/// descriptors can name. An entry is never written again, since a thread may be reading it, so what comes and goes takes
/// new ones. Memory is taken by those in use alone.
pub(crate) const ENTRIES: usize = 16_128;
/// What is tried where address space is short.
const FEW_ENTRIES: usize = 1024;
/// Entries that a look for a file passes at most.
const PROBES: usize = 1024;
/// Longest path that is kept; of a longer one the end.
const MAX_PATH: usize = 256;

const EMPTY: u8 = 0;
const CLAIMED: u8 = 1;
const READY: u8 = 2;

struct Entry {
    state: AtomicU8,
    content: UnsafeCell<Content>,
    /// Which ring << 8 | slot of the file in that ring.
    slot: AtomicU64,
}

struct Content {
    identity: Identity,
    path: [u8; MAX_PATH],
    length: usize,
}

// SAFETY: `content` is written only between CLAIMED and READY, by the thread that claimed it.
unsafe impl Sync for Entry {}

/// The table; null where no file is to be tapped. Not a static of its size: those that are read with every write would lie
/// on both sides of it, and a page more is a page fault more at the start of every program.
static TABLE: AtomicPtr<Entry> = AtomicPtr::new(core::ptr::null_mut());
/// How many entries it has. Written before it, and never again.
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Makes room for the files, where some are to be tapped. Called once, before the hooks are active.
pub(crate) fn start(settings: &Settings) -> Result<(), &'static str> {
    if settings.patterns().is_empty() {
        return Ok(());
    }
    for length in [ENTRIES, FEW_ENTRIES] {
        if let Ok(table) = syscall::map_anonymous(size_of::<Entry>() * length) {
            LENGTH.store(length, Ordering::Relaxed);
            TABLE.store(table.cast(), Ordering::Release);
            return Ok(());
        }
    }
    Err("there is no memory for the table of files")
}

#[inline(always)]
fn table() -> &'static [Entry] {
    let table = TABLE.load(Ordering::Acquire);
    if table.is_null() {
        return &[];
    }
    // SAFETY: a mapping of so many entries, which stays; zeros are an entry that is not in use.
    unsafe { slice::from_raw_parts(table, LENGTH.load(Ordering::Relaxed)) }
}

impl Entry {
    fn content(&self) -> Option<&Content> {
        // SAFETY: a ready entry is not written any more.
        (self.state.load(Ordering::Acquire) == READY).then(|| unsafe { &*self.content.get() })
    }
}

/// The table's entry of a descriptor's file, if it is to be tapped. `before` is the entry that this very descriptor had,
/// where nothing has been done to it since.
pub(crate) fn find(descriptor: i32, status: &Status, before: Option<u16>) -> Option<u16> {
    let patterns = environment::get()?.patterns();
    if patterns.is_empty() || !matches!(status.kind(), S_IFREG | S_IFIFO) {
        return None;
    }
    let identity = &status.identity;
    let known = match before.filter(|&index| is_of(index, identity)) {
        Some(index) => Some(index),
        None if proves_itself(identity) => known(identity),
        None => None,
    };
    if known.is_some() {
        return known;
    }
    let mut buffer = [0; 1024];
    let length = path_of(descriptor, status, patterns, &mut buffer)?;
    let path = &buffer[..length];
    let path = &path[path.len().saturating_sub(MAX_PATH)..];
    same(identity, path).or_else(|| insert(identity, path))
}

/// Whether an identity is no other file's ever. Without a birth time (NFS, older file systems) an inode number that was
/// a log's may be a private file's now: then the name decides.
fn proves_itself(identity: &Identity) -> bool {
    identity.birth != 0
}

fn is_of(index: u16, identity: &Identity) -> bool {
    let content = table().get(usize::from(index)).and_then(Entry::content);
    content.is_some_and(|content| content.identity.is(identity))
}

/// The entry of a file that has the same name as well.
fn same(identity: &Identity, path: &[u8]) -> Option<u16> {
    places(identity).take_while(is_claimed).find_map(|(index, entry)| {
        let content = entry.content()?;
        let is_same = content.identity.is(identity) && content.path[..content.length] == *path;
        is_same.then_some(index as u16)
    })
}

/// The entries in the order in which this file looks for one. Numbers that follow each other are spread: in a long row
/// of entries in use, another file would not find its own.
fn places(identity: &Identity) -> impl Iterator<Item = (usize, &'static Entry)> {
    let (behind, before) = match table() {
        [] => (&[][..], &[][..]),
        table => {
            let device = u64::from(identity.major) << 20 ^ u64::from(identity.minor);
            let spread = (identity.inode ^ device << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            let start = (spread % table.len() as u64) as usize;
            let (before, behind) = table.split_at(start);
            (behind, before)
        }
    };
    let start = before.len();
    let behind = behind.iter().enumerate().map(move |(index, entry)| (start + index, entry));
    behind.chain(before.iter().enumerate()).take(PROBES)
}

/// Behind one that is not, no entry of the same file lies.
fn is_claimed((_, entry): &(usize, &'static Entry)) -> bool {
    entry.state.load(Ordering::Relaxed) != EMPTY
}

fn known(identity: &Identity) -> Option<u16> {
    places(identity)
        .take_while(is_claimed)
        .find(|(_, entry)| entry.content().is_some_and(|content| content.identity.is(identity)))
        .map(|(index, _)| index as u16)
}

/// The path by which a file is tapped; `None` where no pattern matches.
fn path_of(
    descriptor: i32,
    status: &Status,
    patterns: &[u8],
    buffer: &mut [u8; 1024],
) -> Option<usize> {
    let mut link = Text::<40>::new();
    link.push(b"/proc/self/fd/").push_number(descriptor as u64);
    if let Ok(length) = syscall::readlink(link.path()?, buffer) {
        let path = &buffer[..length];
        let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        return pattern::any_matches(patterns, path).then_some(path.len());
    }
    // No /proc here: compare with the files that are named without a wildcard.
    let named =
        pattern::split(patterns).filter(|pattern| !pattern::is_glob(pattern)).find(|path| {
            let mut path_text = Text::<1024>::new();
            path_text.push(path);
            path_text
                .path()
                .and_then(|path| syscall::status(AT_FDCWD, path).ok())
                .is_some_and(|named| named.identity.is(&status.identity))
        })?;
    buffer.get_mut(..named.len())?.copy_from_slice(named);
    Some(named.len())
}

fn insert(identity: &Identity, path: &[u8]) -> Option<u16> {
    for (index, entry) in places(identity) {
        let claimed = entry
            .state
            .compare_exchange(EMPTY, CLAIMED, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
        if claimed {
            // SAFETY: claimed by this thread alone.
            let content = unsafe { &mut *entry.content.get() };
            content.identity = *identity;
            content.path[..path.len()].copy_from_slice(path);
            content.length = path.len();
            entry.state.store(READY, Ordering::Release);
            return Some(index as u16);
        }
    }
    // There is no room: an entry of the same path serves, else the last one. Nothing is lost, but a name may be
    // an older file's. The identity is looked up again at every expiry.
    let same = places(identity).find(|(_, entry)| {
        entry.content().is_some_and(|content| content.path[..content.length] == *path)
    });
    same.or_else(|| places(identity).last()).map(|(index, _)| index as u16)
}

/// The path of an entry.
pub(crate) fn path(index: u16) -> &'static [u8] {
    table()
        .get(usize::from(index))
        .and_then(Entry::content)
        .and_then(|content| content.path.get(..content.length))
        .unwrap_or_default()
}

/// The slot of an entry in this ring. `None` where the ring has no room for its name.
#[inline]
pub(crate) fn slot(index: u16, ring: &Ring) -> Option<u8> {
    let entry = table().get(usize::from(index))?;
    // Told by where it lies, since another thread may change the process's ring between two looks at it.
    let place = core::ptr::from_ref(ring.header()) as u64 / 4096;
    let known = entry.slot.load(Ordering::Relaxed);
    if known >> 8 == place && known & 0xff != 0 {
        return Some(known as u8);
    }
    let slot = ring.file_slot(path(index))?;
    entry.slot.store(place << 8 | u64::from(slot), Ordering::Relaxed);
    Some(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests share it: one makes it, and each takes files of its own.
    fn make_table() {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            let table = syscall::map_anonymous(size_of::<[Entry; ENTRIES]>()).expect("memory");
            LENGTH.store(ENTRIES, Ordering::Relaxed);
            TABLE.store(table.cast(), Ordering::Release);
        });
    }

    #[test]
    fn thousands_of_files_have_an_entry_each_whatever_their_numbers() {
        make_table();
        let identity = |number: u64| {
            // One after the other, with gaps, the same on several devices, and like those of one size of table.
            let inode = match number % 4 {
                0 => 1_000_000 + number,
                1 => 2_000_000 + number * 8,
                2 => 500 + number / 4 % 10,
                _ => number * ENTRIES as u64,
            };
            Identity { major: 8, minor: (number / 40) as u32, inode, birth: 1 + number }
        };
        let path = |number: u64| format!("/var/log/{number}.log");
        let files = 12_000;
        let entries: std::collections::HashSet<_> = (0..files)
            .map(|number| insert(&identity(number), path(number).as_bytes()).expect("an entry"))
            .collect();
        assert_eq!(entries.len() as u64, files);
        for number in 0..files {
            let index = known(&identity(number)).expect("it is there");
            assert_eq!(super::path(index), path(number).as_bytes());
            assert_eq!(same(&identity(number), path(number).as_bytes()), Some(index));
        }
        assert_eq!(known(&identity(files)), None);
    }

    #[test]
    fn an_inode_number_without_a_birth_time_is_known_by_its_name_only() {
        make_table();
        let log = Identity { major: 7, minor: 7, inode: 42, birth: 0 };
        let index = insert(&log, b"/var/log/app.log").expect("an entry");
        assert!(!proves_itself(&log) && proves_itself(&Identity { birth: 1, ..log }));
        assert_eq!(same(&log, b"/var/log/app.log"), Some(index));
        assert_eq!(same(&log, b"/etc/private.key"), None);
        assert!(is_of(index, &log) && !is_of(index, &Identity { inode: 43, ..log }));
    }
}
