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
use core::sync::atomic::{AtomicUsize, Ordering};

use logtap_wire::ring::writer::Part;
use logtap_wire::ring::{COVERAGE_STDIO, COVERAGE_WIDE};

use crate::elf::Object;
use crate::syscall::{self, OrIgnore as _, PROT_READ, PROT_WRITE};
use crate::{descriptors, original, start, tap};

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

/// Whether dprintf bypasses the vtables: from 2.37 on it writes by itself (stdio-common/iovdprintf.c).
pub(super) fn formats_inside() -> bool {
    let Some(address) = original::global(b"gnu_get_libc_version") else { return false };
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
    let Some(table) = checked_table() else { return 0 };
    let mut coverage = 0;
    let narrow = Slots {
        write: write_narrow as *const () as usize,
        close: close_narrow as *const () as usize,
    };
    let wide =
        Slots { write: write_wide as *const () as usize, close: close_wide as *const () as usize };
    if narrow.replace(table.narrow, 0) {
        coverage |= COVERAGE_STDIO;
    }
    if table.wide.is_some_and(|table| wide.replace(table, 1)) {
        coverage |= COVERAGE_WIDE;
    }
    coverage
}

struct Tables {
    narrow: usize,
    wide: Option<usize>,
}

/// The vtables, if everything about them is as expected.
fn checked_table() -> Option<Tables> {
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
    if libc.symbol(b"_IO_file_jumps").is_some_and(|symbol| symbol != narrow) {
        return None;
    }
    let wide = libc.symbol(b"_IO_wfile_jumps").filter(|&wide| is_inside(&libc, wide));
    let plausible = |table: usize| {
        [WRITE_SLOT, CLOSE_SLOT].into_iter().all(|slot| {
            // SAFETY: within the table, which lies within the library.
            let function = unsafe { *((table + slot) as *const usize) };
            original::objects()
                .is_some_and(|mut objects| objects.any(|object| is_inside(&object, function)))
        })
    };
    plausible(narrow).then_some(Tables { narrow, wide: wide.filter(|&wide| plausible(wide)) })
}

fn is_inside(object: &Object, address: usize) -> bool {
    object.span().is_some_and(|(start, end)| (start..end - 0x100).contains(&address))
}

/// Our functions for one table.
struct Slots {
    write: usize,
    close: usize,
}

impl Slots {
    fn replace(&self, table: usize, index: usize) -> bool {
        let page = start::page_size();
        let first = (table + WRITE_SLOT) & !(page - 1);
        let end = (table + CLOSE_SLOT + 8 + page - 1) & !(page - 1);
        // SAFETY: the pages hold data that is read-only after relocation; nobody writes it meanwhile.
        if unsafe { syscall::protect(first, end - first, PROT_READ | PROT_WRITE) }.is_err() {
            return false;
        }
        // SAFETY: a function pointer of the table, writable now.
        let (write, close) = unsafe {
            let at = |slot: usize| &*((table + slot) as *const AtomicUsize);
            (at(WRITE_SLOT), at(CLOSE_SLOT))
        };
        WRITES[index].store(write.load(Ordering::Relaxed), Ordering::Release);
        CLOSES[index].store(close.load(Ordering::Relaxed), Ordering::Release);
        write.store(self.write, Ordering::Release);
        close.store(self.close, Ordering::Release);
        // SAFETY: as it was.
        unsafe { syscall::protect(first, end - first, PROT_READ) }.or_ignore();
        true
    }
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
    descriptors::forget(descriptor);
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
