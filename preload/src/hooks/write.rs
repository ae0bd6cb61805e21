//! `write` and its family.
//!
//! # Safety
//!
//! This file may use `unsafe`: it exports C functions and calls their originals with the arguments it was given.
#![expect(unsafe_code, reason = "C edges")]

use core::slice;

use logtap_wire::ring::writer::Part;

use super::{answer, original};
use crate::syscall::{number, raw};
use crate::{descriptors, tap};

/// Calls the original and copies what it wrote.
#[inline(always)]
pub(super) fn tapped(descriptor: i32, parts: &[Part], call: impl FnOnce() -> isize) -> isize {
    let Some(class) = descriptors::class(descriptor) else { return call() };
    if class.suppress {
        let length = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.length));
        if length <= isize::MAX as usize && tap::suppress(class, parts, length) {
            return length as isize;
        }
    }
    let result = call();
    if result > 0 {
        tap::copy(class, parts, result as usize);
    }
    result
}

/// The same where nothing is ever suppressed: the file's position and content are part of the call's meaning.
#[inline(always)]
pub(super) fn copied(descriptor: i32, parts: &[Part], call: impl FnOnce() -> isize) -> isize {
    let Some(class) = descriptors::class(descriptor) else { return call() };
    let result = call();
    if result > 0 {
        tap::copy(class, parts, result as usize);
    }
    result
}

/// The pieces of an I/O vector.
///
/// # Safety
///
/// As for writev: `count` valid entries, or an impossible count.
#[inline(always)]
pub(super) unsafe fn vector<'a>(entries: *const Part, count: i32) -> &'a [Part] {
    if entries.is_null() || !(1..=1024).contains(&count) {
        return &[];
    }
    // SAFETY: the caller passed an I/O vector; the kernel refuses longer ones.
    unsafe { slice::from_raw_parts(entries, count as usize) }
}

#[inline(always)]
unsafe fn write_next(descriptor: i32, buffer: *const u8, length: usize) -> isize {
    type Write = unsafe extern "C" fn(i32, *const u8, usize) -> isize;
    match original!(write: Write) {
        // SAFETY: the caller's arguments.
        Some(write) => unsafe { write(descriptor, buffer, length) },
        // SAFETY: as above.
        None => answer(unsafe {
            raw(number::WRITE, [descriptor as usize, buffer as usize, length, 0, 0, 0])
        }),
    }
}

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn write(descriptor: i32, buffer: *const u8, length: usize) -> isize {
    let parts = [Part { base: buffer, length }];
    // SAFETY: the caller's arguments.
    tapped(descriptor, &parts, || unsafe { write_next(descriptor, buffer, length) })
}

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn __write(descriptor: i32, buffer: *const u8, length: usize) -> isize {
    let parts = [Part { base: buffer, length }];
    // SAFETY: the caller's arguments.
    tapped(descriptor, &parts, || unsafe { write_next(descriptor, buffer, length) })
}

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn writev(descriptor: i32, entries: *const Part, count: i32) -> isize {
    type WriteV = unsafe extern "C" fn(i32, *const Part, i32) -> isize;
    // SAFETY: the caller's arguments, here and below.
    let parts = unsafe { vector(entries, count) };
    tapped(descriptor, parts, || match original!(writev: WriteV) {
        // SAFETY: the caller's arguments.
        Some(writev) => unsafe { writev(descriptor, entries, count) },
        // SAFETY: as above.
        None => answer(unsafe {
            raw(number::WRITEV, [descriptor as usize, entries as usize, count as usize, 0, 0, 0])
        }),
    })
}

macro_rules! positioned {
    ($($name:ident),*) => {$(
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(descriptor: i32, buffer: *const u8, length: usize, offset: i64) -> isize {
            type Write = unsafe extern "C" fn(i32, *const u8, usize, i64) -> isize;
            let parts = [Part { base: buffer, length }];
            copied(descriptor, &parts, || match original!($name: Write) {
                // SAFETY: the caller's arguments.
                Some(write) => unsafe { write(descriptor, buffer, length, offset) },
                // SAFETY: as above.
                None => answer(unsafe {
                    raw(number::PWRITE64, [descriptor as usize, buffer as usize, length, offset as usize, 0, 0])
                }),
            })
        }
    )*};
}
positioned!(pwrite, pwrite64);

macro_rules! positioned_vector {
    ($($name:ident),*) => {$(
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(descriptor: i32, entries: *const Part, count: i32, offset: i64) -> isize {
            type WriteV = unsafe extern "C" fn(i32, *const Part, i32, i64) -> isize;
            // SAFETY: the caller's arguments, here and below.
            let parts = unsafe { vector(entries, count) };
            copied(descriptor, parts, || match original!($name: WriteV) {
                // SAFETY: the caller's arguments.
                Some(write) => unsafe { write(descriptor, entries, count, offset) },
                // SAFETY: as above; the high half of the offset is nothing on 64 bits.
                None => answer(unsafe {
                    let offset = offset as usize;
                    raw(number::PWRITEV, [descriptor as usize, entries as usize, count as usize, offset, 0, 0])
                }),
            })
        }
    )*};
}
positioned_vector!(pwritev, pwritev64);

macro_rules! positioned_vector_flags {
    ($($name:ident),*) => {$(
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(
            descriptor: i32, entries: *const Part, count: i32, offset: i64, flags: i32,
        ) -> isize {
            type WriteV = unsafe extern "C" fn(i32, *const Part, i32, i64, i32) -> isize;
            // SAFETY: the caller's arguments, here and below.
            let parts = unsafe { vector(entries, count) };
            copied(descriptor, parts, || match original!($name: WriteV) {
                // SAFETY: the caller's arguments.
                Some(write) => unsafe { write(descriptor, entries, count, offset, flags) },
                // SAFETY: as above.
                None => answer(unsafe {
                    let (offset, flags) = (offset as usize, flags as usize);
                    raw(number::PWRITEV2, [descriptor as usize, entries as usize, count as usize, offset, 0, flags])
                }),
            })
        }
    )*};
}
positioned_vector_flags!(pwritev2, pwritev64v2);

/// The caller's memory into a pipe, without a copy in between. What the caller changes before the pipe is read is
/// nobody's to know.
#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn vmsplice(
    descriptor: i32,
    entries: *const Part,
    count: usize,
    flags: u32,
) -> isize {
    type VmSplice = unsafe extern "C" fn(i32, *const Part, usize, u32) -> isize;
    // SAFETY: the caller's arguments, here and below.
    let parts = unsafe { vector(entries, count.min(i32::MAX as usize) as i32) };
    copied(descriptor, parts, || match original!(vmsplice: VmSplice) {
        // SAFETY: the caller's arguments.
        Some(vmsplice) => unsafe { vmsplice(descriptor, entries, count, flags) },
        // SAFETY: as above.
        None => answer(unsafe {
            let flags = flags as usize;
            raw(number::VMSPLICE, [descriptor as usize, entries as usize, count, flags, 0, 0])
        }),
    })
}
