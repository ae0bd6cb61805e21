//! Output that the C library flushes from inside, where no symbol can be interposed.
//!
//! Not by patching code: by replacing one function pointer in data. In glibc the `write` slot of the two genuine
//! vtables, in musl the `write` pointer of each FILE. The running library is checked against what is
//! expected first; where a check fails that way stays unused and the ring's coverage bits say so.
//!
//! # Safety
//!
//! This file may use `unsafe`: it reads C library objects at offsets that [`patch`] has checked.
#![expect(unsafe_code, reason = "reads objects of the C library")]

use core::ffi::c_void;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use crate::hooks::original;
use crate::{descriptors, environment, original};

mod glibc;
mod musl;

/// Offset of the descriptor in a FILE; 0 where the layout is not known.
static DESCRIPTOR_OFFSET: AtomicUsize = AtomicUsize::new(0);
/// [`formats_inside`]: 0 where nobody has asked yet.
static FORMATS_INSIDE: AtomicU8 = AtomicU8::new(0);
const NO: u8 = 1;
const YES: u8 = 2;

/// Which C library serves this process, by what it can do and not by its name.
pub(crate) fn patch() -> u32 {
    if glibc::find() {
        let coverage = glibc::patch();
        if coverage != 0 {
            DESCRIPTOR_OFFSET.store(glibc::DESCRIPTOR, Ordering::Relaxed);
        }
        return coverage;
    }
    let coverage = musl::patch();
    if coverage != 0 {
        DESCRIPTOR_OFFSET.store(musl::DESCRIPTOR, Ordering::Relaxed);
        FORMATS_INSIDE.store(YES, Ordering::Relaxed);
    }
    coverage
}

/// Lets C's standard output be written line by line, if that is asked for. Called once, before the program runs.
pub(crate) fn line_buffer_stdout() {
    if !environment::get().is_some_and(|settings| settings.line_buffered) {
        return;
    }
    let Some(address) = original::global(b"stdout") else { return };
    // SAFETY: `stdout` is a pointer to a FILE, in the program where that has a copy of it.
    let file = unsafe { *(address as *const *mut c_void) };
    line_buffer(file);
}

/// Lets a FILE be written line by line, if that is asked for. Nothing was written to it yet.
fn line_buffer(file: *mut c_void) {
    type SetVBuf = unsafe extern "C" fn(*mut c_void, *mut u8, i32, usize) -> i32;
    const IOLBF: i32 = 1;
    let asked = environment::get().is_some_and(|settings| settings.line_buffered);
    if !asked || file.is_null() {
        return;
    }
    if let Some(address) = original::global(b"setvbuf") {
        // SAFETY: the C library's function of this type.
        let setvbuf = unsafe { core::mem::transmute::<usize, SetVBuf>(address) };
        let before = errno();
        // SAFETY: a FILE of that library. Without a buffer of ours it only changes the mode.
        unsafe { setvbuf(file, core::ptr::null_mut(), IOLBF, 0) };
        set_errno(before);
    }
}

/// Whether `dprintf` writes in a way that only its own hook sees.
pub(crate) fn formats_inside() -> bool {
    match FORMATS_INSIDE.load(Ordering::Relaxed) {
        0 => {
            let inside = glibc::formats_inside();
            FORMATS_INSIDE.store(if inside { YES } else { NO }, Ordering::Relaxed);
            inside
        }
        known => known == YES,
    }
}

/// The descriptor of a FILE, -1 where it cannot be told.
///
/// # Safety
///
/// `file` is null or a FILE of this process's C library.
pub(crate) unsafe fn descriptor(file: *const c_void) -> i32 {
    let offset = DESCRIPTOR_OFFSET.load(Ordering::Relaxed);
    if offset == 0 || file.is_null() {
        return -1;
    }
    // SAFETY: the layout was checked at start.
    unsafe { *file.cast::<u8>().add(offset).cast::<i32>() }
}

/// A FILE was opened.
///
/// # Safety
///
/// As for [`descriptor`].
pub(crate) unsafe fn opened(file: *mut c_void) {
    // SAFETY: the caller's promise.
    descriptors::forget(unsafe { descriptor(file) });
    if !file.is_null() {
        // SAFETY: the caller's promise.
        unsafe { musl::adopt(file.cast()) };
        let asked = environment::get().is_some_and(|settings| settings.line_buffered);
        // SAFETY: the caller's promise.
        if asked && descriptors::class(unsafe { descriptor(file) }).is_some() {
            line_buffer(file);
        }
    }
}

/// The thread's errno.
pub(crate) fn errno() -> i32 {
    match original!(errno_location: unsafe extern "C" fn() -> *mut i32) {
        // SAFETY: __errno_location points to the thread's errno.
        Some(location) => unsafe { *location() },
        None => 0,
    }
}

/// Sets the thread's errno back to what it was.
pub(crate) fn set_errno(errno: i32) {
    if let Some(location) = original!(errno_location: unsafe extern "C" fn() -> *mut i32) {
        // SAFETY: __errno_location points to the thread's errno.
        unsafe { *location() = errno };
    }
}
