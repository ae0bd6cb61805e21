//! Calls that move bytes inside the kernel: what they wrote is read again from where it came.
//!
//! # Safety
//!
//! This file may use `unsafe`: it exports C functions and calls their originals with the arguments it was given.
#![expect(unsafe_code, reason = "C edges")]

use core::slice;

use logtap_wire::ring::SEEN_SPLICE;
use logtap_wire::ring::writer::Part;

use super::{answer, original};
use crate::descriptors::{self, Class};
use crate::syscall::{self, number, raw};
use crate::{rings, state, tap};

/// Bytes that are read again at a time.
const CHUNK: usize = 64 << 10;

/// Where a call that has moved so many bytes began to read: it has moved its offset argument, or the descriptor's position.
///
/// # Safety
///
/// `offset` is null or points to an offset, as the kernel has just found.
unsafe fn start(descriptor: i32, offset: *const i64, length: usize) -> Option<u64> {
    let end = if offset.is_null() {
        if !state::may_call() {
            return None;
        }
        syscall::position(descriptor).ok()?
    } else {
        // SAFETY: the caller's promise.
        u64::try_from(unsafe { *offset }).ok()?
    };
    end.checked_sub(length as u64)
}

/// Copies `length` bytes that were read from `descriptor` at `start`.
#[cold]
fn read_again(class: Class, descriptor: i32, start: Option<u64>, length: usize) {
    let (Some(start), true) = (start, state::may_call()) else {
        return tap::count_uncopied(class, length);
    };
    let size = length.min(CHUNK);
    let Ok(buffer) = syscall::map_anonymous(size) else {
        return tap::count_uncopied(class, length);
    };
    let mut done = 0;
    while done < length {
        // SAFETY: a fresh mapping of this size that only this call uses.
        let bytes = unsafe { slice::from_raw_parts_mut(buffer, size.min(length - done)) };
        match syscall::pread(descriptor, bytes, start + done as u64) {
            Ok(count) if count > 0 => {
                tap::copy(class, &[Part { base: buffer, length: count }], count);
                done += count;
            }
            Err(syscall::EINTR) => {}
            _ => {
                tap::count_uncopied(class, length - done);
                break;
            }
        }
    }
    // SAFETY: nobody else has seen the mapping.
    unsafe { syscall::unmap(buffer, size) };
}

/// Calls something that moves bytes of a file, and copies what it moved.
///
/// # Safety
///
/// `offset` is what the call takes as such.
#[inline]
pub(super) unsafe fn moved(
    to: i32,
    from: i32,
    offset: *const i64,
    call: impl FnOnce() -> isize,
) -> isize {
    let Some(class) = descriptors::class(to) else { return call() };
    let result = call();
    if result > 0 {
        let length = result as usize;
        // Not before the call: a bad pointer is for the kernel to find.
        // SAFETY: the kernel has read the offset and written it.
        let start = unsafe { start(from, offset, length) };
        read_again(class, from, start, length);
    }
    result
}

/// Calls something that moves bytes out of a pipe, and what left a pipe is gone: counted, not copied.
#[inline]
pub(super) fn spliced(to: i32, call: impl FnOnce() -> isize) -> isize {
    let Some(class) = descriptors::class(to) else { return call() };
    let result = call();
    if result > 0 {
        rings::add_coverage(SEEN_SPLICE);
        tap::count_uncopied(class, result as usize);
    }
    result
}

macro_rules! send_file {
    ($($name:ident),*) => {$(
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(to: i32, from: i32, offset: *mut i64, count: usize) -> isize {
            type SendFile = unsafe extern "C" fn(i32, i32, *mut i64, usize) -> isize;
            let call = || match original!($name: SendFile) {
                // SAFETY: the caller's arguments.
                Some(send_file) => unsafe { send_file(to, from, offset, count) },
                // SAFETY: as above.
                None => answer(unsafe {
                    raw(number::SENDFILE, [to as usize, from as usize, offset as usize, count, 0, 0])
                }),
            };
            // SAFETY: the caller's arguments.
            unsafe { moved(to, from, offset, call) }
        }
    )*};
}
send_file!(sendfile, sendfile64);

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn copy_file_range(
    from: i32,
    from_offset: *mut i64,
    to: i32,
    to_offset: *mut i64,
    length: usize,
    flags: u32,
) -> isize {
    type Copy = unsafe extern "C" fn(i32, *mut i64, i32, *mut i64, usize, u32) -> isize;
    let call = || match original!(copy_file_range: Copy) {
        // SAFETY: the caller's arguments.
        Some(copy) => unsafe { copy(from, from_offset, to, to_offset, length, flags) },
        // SAFETY: as above.
        None => answer(unsafe {
            let (from_offset, to_offset) = (from_offset as usize, to_offset as usize);
            let arguments =
                [from as usize, from_offset, to as usize, to_offset, length, flags as usize];
            raw(number::COPY_FILE_RANGE, arguments)
        }),
    };
    // SAFETY: the caller's arguments.
    unsafe { moved(to, from, from_offset, call) }
}

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn splice(
    from: i32,
    from_offset: *mut i64,
    to: i32,
    to_offset: *mut i64,
    length: usize,
    flags: u32,
) -> isize {
    type Splice = unsafe extern "C" fn(i32, *mut i64, i32, *mut i64, usize, u32) -> isize;
    spliced(to, || match original!(splice: Splice) {
        // SAFETY: the caller's arguments.
        Some(splice) => unsafe { splice(from, from_offset, to, to_offset, length, flags) },
        // SAFETY: as above.
        None => answer(unsafe {
            let (from_offset, to_offset) = (from_offset as usize, to_offset as usize);
            let arguments =
                [from as usize, from_offset, to as usize, to_offset, length, flags as usize];
            raw(number::SPLICE, arguments)
        }),
    })
}

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn tee(from: i32, to: i32, length: usize, flags: u32) -> isize {
    type Tee = unsafe extern "C" fn(i32, i32, usize, u32) -> isize;
    spliced(to, || match original!(tee: Tee) {
        // SAFETY: the caller's arguments.
        Some(tee) => unsafe { tee(from, to, length, flags) },
        // SAFETY: as above.
        None => answer(unsafe {
            raw(number::TEE, [from as usize, to as usize, length, flags as usize, 0, 0])
        }),
    })
}
