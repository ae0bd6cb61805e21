//! glibc: the `write` and `close` slots of `_IO_file_jumps` and `_IO_wfile_jumps`.
//!
//! glibc aborts when a FILE's vtable pointer leaves its section of vtables (`_IO_vtable_check` in libio/vtables.c),
//! but it does not look into the genuine ones. They are data that is read-only after relocation: made
//! writable for one store each, then read-only again.
//!
//! Layout on 64 bits, unchanged since 2.2.5: FILE holds `_fileno` at 0x70 and the vtable pointer at 0xd8
//! (libio/bits/types/struct_FILE.h); a vtable holds `write` at 0x78 and `close` at 0x88 (libio/libioP.h).
//!
//! # Safety
//!
//! This file may use `unsafe`: it replaces function pointers after checking that each table is where the library's
//! own symbol says, inside the library, and full of pointers into some mapped object.
#![expect(unsafe_code, reason = "replaces function pointers of the C library")]

use core::mem::transmute;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

use logtap_wire::ring::writer::Part;
use logtap_wire::ring::{COVERAGE_STDIO, COVERAGE_WIDE};

use crate::elf::{Name, Object};
use crate::syscall::{self, OrIgnore as _, PROT_READ, PROT_WRITE};
use crate::{auxiliary_vector, descriptors, original, tap};

/// Offset of `_fileno` in FILE.
pub(super) const DESCRIPTOR: usize = 0x70;
const VTABLE: usize = 0xd8;
const WRITE_SLOT: usize = 0x78;
const CLOSE_SLOT: usize = 0x88;

type Write = unsafe extern "C" fn(*mut u8, *const u8, isize) -> isize;
type Close = unsafe extern "C" fn(*mut u8) -> i32;

/// What stood in the slots, narrow and wide.
static WRITES: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
static CLOSES: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// Address of the function that tells the version; 0 where there is none.
static VERSION: AtomicUsize = AtomicUsize::new(0);

/// Whether the C library is glibc.
pub(super) fn find() -> bool {
    let address = original::global(b"gnu_get_libc_version").unwrap_or(0);
    VERSION.store(address, Ordering::Relaxed);
    address != 0
}

/// Whether dprintf bypasses the vtables: from 2.37 on it writes by itself (stdio-common/iovdprintf.c).
pub(super) fn formats_inside() -> bool {
    let address = VERSION.load(Ordering::Relaxed);
    if address == 0 {
        return false;
    }
    // SAFETY: a function without arguments that returns a C string.
    let version = unsafe {
        let version = transmute::<usize, unsafe extern "C" fn() -> *const u8>(address)();
        crate::environment::c_string(version, 16)
    };
    let mut numbers = version
        .split(|&byte| byte == b'.')
        .filter_map(|part| core::str::from_utf8(part).ok()?.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) >= (2, 37),
        _ => false,
    }
}

/// Puts our functions into the slots. The coverage bits of what worked.
pub(super) fn patch() -> u32 {
    let Some(tables) = checked_tables() else { return 0 };
    let narrow = Slots {
        table: tables.narrow,
        index: 0,
        write: write_narrow as *const () as usize,
        close: close_narrow as *const () as usize,
    };
    let wide = tables.wide.map(|table| Slots {
        table,
        index: 1,
        write: write_wide as *const () as usize,
        close: close_wide as *const () as usize,
    });
    let either = |done: bool, coverage: u32| if done { coverage } else { 0 };
    match wide {
        // The tables are neighbours: their pages are made writable together.
        Some(wide) if touch(&narrow.pages(), &wide.pages()) => {
            let (narrow_pages, wide_pages) = (narrow.pages(), wide.pages());
            let first = narrow_pages.start.min(wide_pages.start);
            let end = narrow_pages.end.max(wide_pages.end);
            either(replace(&(first..end), &[narrow, wide]), COVERAGE_STDIO | COVERAGE_WIDE)
        }
        Some(wide) => {
            either(replace(&narrow.pages(), &[narrow]), COVERAGE_STDIO)
                | either(replace(&wide.pages(), &[wide]), COVERAGE_WIDE)
        }
        None => either(replace(&narrow.pages(), &[narrow]), COVERAGE_STDIO),
    }
}

struct Tables {
    narrow: usize,
    wide: Option<usize>,
}

/// The vtables, if everything about them is as expected.
fn checked_tables() -> Option<Tables> {
    // SAFETY: `stdout` is a pointer to a FILE, in the program where that has a copy of it.
    let stdout = unsafe { *(original::global(b"stdout")? as *const usize) };
    // SAFETY: a FILE of glibc, see the layout above.
    let descriptor = unsafe { *((stdout + DESCRIPTOR) as *const i32) };
    // SAFETY: as above.
    let narrow = unsafe { *((stdout + VTABLE) as *const usize) };
    if descriptor != 1 {
        return None;
    }
    // The table must be the one that libc itself calls by this name: a program's copy would be another.
    let libc = original::objects()?.find(|object| is_inside(object, narrow))?;
    let symbols = libc.tables()?;
    if symbols.symbol(&Name::new(b"_IO_file_jumps")).is_some_and(|symbol| symbol != narrow) {
        return None;
    }
    let wide = symbols.symbol(&Name::new(b"_IO_wfile_jumps"));
    let plausible = |table: usize| {
        [WRITE_SLOT, CLOSE_SLOT].into_iter().all(|slot| {
            // SAFETY: within the table, which lies within the library.
            let function = unsafe { *((table + slot) as *const usize) };
            // Its own, but for another that was here before.
            is_inside(&libc, function)
                || original::objects()
                    .is_some_and(|mut objects| objects.any(|object| is_inside(&object, function)))
        })
    };
    let wide = wide.filter(|&wide| is_inside(&libc, wide) && plausible(wide));
    plausible(narrow).then_some(Tables { narrow, wide })
}

fn is_inside(object: &Object, address: usize) -> bool {
    object.is_below(address)
        && object.span().is_some_and(|(start, end)| (start..end - 0x100).contains(&address))
}

/// Our functions for one table.
struct Slots {
    table: usize,
    /// Where what stood there is kept.
    index: usize,
    write: usize,
    close: usize,
}

impl Slots {
    /// The pages that hold the slots.
    fn pages(&self) -> Range<usize> {
        let page = auxiliary_vector::page_size();
        let first = (self.table + WRITE_SLOT) & !(page - 1);
        first..(self.table + CLOSE_SLOT + 8 + page - 1) & !(page - 1)
    }
}

/// Whether nothing lies between two ranges.
fn touch(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start <= other.end && other.start <= one.end
}

/// Replaces what the slots in a range of pages hold. Nothing is changed where the pages cannot be made writable.
fn replace(pages: &Range<usize>, slots: &[Slots]) -> bool {
    // SAFETY: the pages hold data that is read-only after relocation; nobody writes it meanwhile.
    if unsafe { syscall::protect(pages.start, pages.len(), PROT_READ | PROT_WRITE) }.is_err() {
        return false;
    }
    for slots in slots {
        // SAFETY: a function pointer of the table, writable now.
        let (write, close) = unsafe {
            let at = |slot: usize| &*((slots.table + slot) as *const AtomicUsize);
            (at(WRITE_SLOT), at(CLOSE_SLOT))
        };
        WRITES[slots.index].store(write.load(Ordering::Relaxed), Ordering::Release);
        CLOSES[slots.index].store(close.load(Ordering::Relaxed), Ordering::Release);
        write.store(slots.write, Ordering::Release);
        close.store(slots.close, Ordering::Release);
    }
    // SAFETY: as it was.
    unsafe { syscall::protect(pages.start, pages.len(), PROT_READ) }.or_ignore();
    true
}

/// # Safety
///
/// As the slot: a FILE and its bytes.
#[inline(always)]
unsafe fn write(index: usize, file: *mut u8, buffer: *const u8, length: isize) -> isize {
    // SAFETY: what stood in the slot before.
    let next = unsafe { transmute::<usize, Write>(WRITES[index].load(Ordering::Relaxed)) };
    // SAFETY: a FILE of glibc.
    let descriptor = unsafe { *file.add(DESCRIPTOR).cast::<i32>() };
    let Some(class) = descriptors::class(descriptor) else {
        // SAFETY: the caller's arguments.
        return unsafe { next(file, buffer, length) };
    };
    let parts = [Part { base: buffer, length: length.max(0) as usize }];
    if class.suppress && tap::suppress(class, &parts, parts[0].length) {
        return length;
    }
    // SAFETY: the caller's arguments. It writes all, or returns how much before an error.
    let result = unsafe { next(file, buffer, length) };
    if result > 0 {
        tap::copy(class, &parts, result as usize);
    }
    result
}

unsafe extern "C" fn write_narrow(file: *mut u8, buffer: *const u8, length: isize) -> isize {
    // SAFETY: the caller's arguments.
    unsafe { write(0, file, buffer, length) }
}

unsafe extern "C" fn write_wide(file: *mut u8, buffer: *const u8, length: isize) -> isize {
    // SAFETY: the caller's arguments.
    unsafe { write(1, file, buffer, length) }
}

/// # Safety
///
/// As the slot: a FILE.
unsafe fn close(index: usize, file: *mut u8) -> i32 {
    // SAFETY: what stood in the slot before.
    let next = unsafe { transmute::<usize, Close>(CLOSES[index].load(Ordering::Relaxed)) };
    // SAFETY: a FILE of glibc.
    let descriptor = unsafe { *file.add(DESCRIPTOR).cast::<i32>() };
    descriptors::closing(descriptor);
    // SAFETY: the caller's arguments.
    let result = unsafe { next(file) };
    descriptors::forget(descriptor);
    result
}

unsafe extern "C" fn close_narrow(file: *mut u8) -> i32 {
    // SAFETY: the caller's arguments.
    unsafe { close(0, file) }
}

unsafe extern "C" fn close_wide(file: *mut u8) -> i32 {
    // SAFETY: the caller's arguments.
    unsafe { close(1, file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_changed_together_where_nothing_lies_between_them() {
        assert!(touch(&(4096..8192), &(4096..8192)), "one page");
        assert!(touch(&(4096..8192), &(8192..12288)) && touch(&(8192..12288), &(4096..8192)));
        assert!(!touch(&(4096..8192), &(12288..16384)) && !touch(&(12288..16384), &(4096..8192)));
    }
}
