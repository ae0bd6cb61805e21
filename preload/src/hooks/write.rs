//! `write` and its family, and `syscall`.
//!
//! # Safety
//!
//! This file may use `unsafe`: it exports C functions and calls their originals with the arguments it was given.
#![expect(unsafe_code, reason = "C edges")]

use core::slice;

use logtap_wire::ring::writer::Part;

use super::{answer, original};
use crate::syscall::{number, raw};
use crate::{clock, descriptors, state, tap};

/// Calls the original and copies what it wrote.
#[inline(always)]
fn tapped(descriptor: i32, parts: &[Part], call: impl FnOnce() -> isize) -> isize {
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
fn copied(descriptor: i32, parts: &[Part], call: impl FnOnce() -> isize) -> isize {
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
unsafe fn vector<'a>(entries: *const Part, count: i32) -> &'a [Part] {
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

/// `syscall(2)`, for programs that go around libc's names. Takes as many arguments as any call has; the ones that the
/// caller did not pass are whatever the registers hold, as in libc's own.
#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn syscall(
    call: usize,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> isize {
    type Syscall = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize, usize) -> isize;
    let next = || match original!(syscall: Syscall) {
        // SAFETY: the caller's arguments.
        Some(syscall) => unsafe { syscall(call, a, b, c, d, e, f) },
        // SAFETY: as above.
        None => answer(unsafe { raw(call, [a, b, c, d, e, f]) }),
    };
    let descriptor = a as i32;
    match call {
        number::WRITE => tapped(descriptor, &[Part { base: b as *const u8, length: c }], next),
        number::PWRITE64 => copied(descriptor, &[Part { base: b as *const u8, length: c }], next),
        // SAFETY: the caller's arguments.
        number::WRITEV => tapped(descriptor, unsafe { vector(b as *const Part, c as i32) }, next),
        number::CLOSE => {
            descriptors::forget(descriptor);
            let result = next();
            descriptors::forget(descriptor);
            result
        }
        number::DUP | number::OPENAT => {
            let result = next();
            descriptors::forget(result as i32);
            result
        }
        number::DUP2 | number::DUP3 => {
            descriptors::forget(b as i32);
            let result = next();
            descriptors::forget(b as i32);
            result
        }
        number::CLOSE_RANGE => {
            descriptors::forget_range(a as u32, b as u32);
            let result = next();
            descriptors::forget_range(a as u32, b as u32);
            result
        }
        number::IO_URING_SETUP => {
            state::add_coverage(logtap_wire::ring::SEEN_IO_URING);
            next()
        }
        // The operations above these two only ask.
        number::SECCOMP if a <= 1 => {
            clock::use_coarse();
            state::enter_sandbox(next)
        }
        number::PRCTL => controlling(a as i32, b, next),
        _ => next(),
    }
}

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn prctl(option: i32, a: usize, b: usize, c: usize, d: usize) -> i32 {
    type Prctl = unsafe extern "C" fn(i32, usize, usize, usize, usize) -> i32;
    controlling(option, a, || match original!(prctl: Prctl) {
        // SAFETY: the caller's arguments.
        Some(prctl) => unsafe { prctl(option, a, b, c, d) as isize },
        // SAFETY: as above.
        None => answer(unsafe { raw(number::PRCTL, [option as usize, a, b, c, d, 0]) }),
    }) as i32
}

/// Runs a `prctl`. From a sandbox on the library makes no system call, and where the time stamp counter is forbidden it
/// does not read it.
fn controlling(option: i32, argument: usize, call: impl FnOnce() -> isize) -> isize {
    const PR_SET_SECCOMP: i32 = 22;
    const PR_SET_TSC: i32 = 26;
    // Hands system calls to a handler of the program (as emulators do), which must not see ours.
    const PR_SET_SYSCALL_USER_DISPATCH: i32 = 59;
    match option {
        PR_SET_SECCOMP => {
            clock::use_coarse();
            state::enter_sandbox(call)
        }
        PR_SET_SYSCALL_USER_DISPATCH if argument != 0 => state::enter_sandbox(call),
        PR_SET_TSC => {
            clock::use_coarse();
            call()
        }
        _ => call(),
    }
}
