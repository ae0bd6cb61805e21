//! Calls that change what a descriptor is: observed, never altered.
//!
//! # Safety
//!
//! This file may use `unsafe`: it exports C functions and calls their originals with the arguments it was given.
#![expect(unsafe_code, reason = "C edges")]

use core::ffi::c_void;

use super::{answer, original};
use crate::descriptors::{closing, closing_range, copied, forget, forget_range};
use crate::stdio;
use crate::syscall::{AT_FDCWD, OrIgnore as _, number, raw};

macro_rules! closes {
    ($($name:ident),*) => {$(
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(descriptor: i32) -> i32 {
            closing(descriptor);
            let result = match original!(close: unsafe extern "C" fn(i32) -> i32) {
                // SAFETY: the caller's arguments.
                Some(close) => unsafe { close(descriptor) },
                // SAFETY: as above.
                None => answer(unsafe { raw(number::CLOSE, [descriptor as usize, 0, 0, 0, 0, 0]) }) as i32,
            };
            forget(descriptor);
            result
        }
    )*};
}
closes!(close, __close);

/// Whether a `close_range` closes, and does not only mark what is closed at an exec.
pub(super) fn closes(flags: i32) -> bool {
    const CLOSE_RANGE_CLOEXEC: i32 = 4;
    flags & CLOSE_RANGE_CLOEXEC == 0
}

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn close_range(first: u32, last: u32, flags: i32) -> i32 {
    if closes(flags) {
        closing_range(first, last);
    }
    let result = match original!(close_range: unsafe extern "C" fn(u32, u32, i32) -> i32) {
        // SAFETY: the caller's arguments.
        Some(close_range) => unsafe { close_range(first, last, flags) },
        // SAFETY: as above.
        None => answer(unsafe {
            raw(number::CLOSE_RANGE, [first as usize, last as usize, flags as usize, 0, 0, 0])
        }) as i32,
    };
    forget_range(first, last);
    result
}

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn closefrom(first: i32) {
    closing_range(first.max(0) as u32, u32::MAX);
    match original!(closefrom: unsafe extern "C" fn(i32)) {
        // SAFETY: the caller's arguments.
        Some(closefrom) => unsafe { closefrom(first) },
        None => {
            let first = first.max(0) as usize;
            // SAFETY: what the caller asked for, in one call.
            unsafe { raw(number::CLOSE_RANGE, [first, u32::MAX as usize, 0, 0, 0, 0]) }.or_ignore();
        }
    }
    forget_range(first.max(0) as u32, u32::MAX);
}

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn dup(descriptor: i32) -> i32 {
    let result = match original!(dup: unsafe extern "C" fn(i32) -> i32) {
        // SAFETY: the caller's arguments.
        Some(dup) => unsafe { dup(descriptor) },
        // SAFETY: as above.
        None => answer(unsafe { raw(number::DUP, [descriptor as usize, 0, 0, 0, 0, 0]) }) as i32,
    };
    forget(result);
    copied(descriptor, result);
    result
}

macro_rules! duplicating {
    ($($name:ident),*) => {$(
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(descriptor: i32, to: i32) -> i32 {
            forget(to);
            let result = match original!(dup2: unsafe extern "C" fn(i32, i32) -> i32) {
                // SAFETY: the caller's arguments.
                Some(dup2) => unsafe { dup2(descriptor, to) },
                // SAFETY: as above; dup3 refuses equal numbers, where dup2 only looks.
                None => answer(unsafe {
                    raw(number::DUP3, [descriptor as usize, to as usize, 0, 0, 0, 0])
                }) as i32,
            };
            forget(to);
            copied(descriptor, result);
            result
        }
    )*};
}
duplicating!(dup2, __dup2);

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn dup3(descriptor: i32, to: i32, flags: i32) -> i32 {
    forget(to);
    let result = match original!(dup3: unsafe extern "C" fn(i32, i32, i32) -> i32) {
        // SAFETY: the caller's arguments.
        Some(dup3) => unsafe { dup3(descriptor, to, flags) },
        // SAFETY: as above.
        None => answer(unsafe {
            raw(number::DUP3, [descriptor as usize, to as usize, flags as usize, 0, 0, 0])
        }) as i32,
    };
    forget(to);
    copied(descriptor, result);
    result
}

/// Whether an `fcntl` makes another descriptor.
pub(super) fn is_duplication(command: i32) -> bool {
    const F_DUPFD: i32 = 0;
    const F_DUPFD_CLOEXEC: i32 = 1030;
    matches!(command, F_DUPFD | F_DUPFD_CLOEXEC)
}

macro_rules! controlling {
    ($($name:ident),*) => {$(
        /// The third argument is whatever the register holds where the caller passed none, as in libc's own.
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(descriptor: i32, command: i32, argument: usize) -> i32 {
            type Fcntl = unsafe extern "C" fn(i32, i32, usize) -> i32;
            let result = match original!($name: Fcntl).or_else(|| original!(fcntl: Fcntl)) {
                // SAFETY: the caller's arguments.
                Some(fcntl) => unsafe { fcntl(descriptor, command, argument) },
                // SAFETY: as above.
                None => answer(unsafe {
                    raw(number::FCNTL, [descriptor as usize, command as usize, argument, 0, 0, 0])
                }) as i32,
            };
            if is_duplication(command) && result >= 0 {
                forget(result);
                copied(descriptor, result);
            }
            result
        }
    )*};
}
controlling!(fcntl, fcntl64);

macro_rules! opening {
    ($($name:ident = $fallback:ident),*) => {$(
        /// The mode is whatever the register holds where the caller passed none, as in libc's own.
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(path: *const u8, flags: i32, mode: u32) -> i32 {
            type Open = unsafe extern "C" fn(*const u8, i32, u32) -> i32;
            let result = match original!($name: Open).or_else(|| original!($fallback: Open)) {
                // SAFETY: the caller's arguments.
                Some(open) => unsafe { open(path, flags, mode) },
                // SAFETY: as above.
                None => answer(unsafe {
                    let here = AT_FDCWD as usize;
                    raw(number::OPENAT, [here, path as usize, flags as usize, mode as usize, 0, 0])
                }) as i32,
            };
            forget(result);
            result
        }
    )*};
}
opening!(open = open64, open64 = open);

macro_rules! opening_at {
    ($($name:ident = $fallback:ident),*) => {$(
        /// The mode is whatever the register holds where the caller passed none, as in libc's own.
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(directory: i32, path: *const u8, flags: i32, mode: u32) -> i32 {
            type Open = unsafe extern "C" fn(i32, *const u8, i32, u32) -> i32;
            let result = match original!($name: Open).or_else(|| original!($fallback: Open)) {
                // SAFETY: the caller's arguments.
                Some(open) => unsafe { open(directory, path, flags, mode) },
                // SAFETY: as above.
                None => answer(unsafe {
                    let directory = directory as usize;
                    raw(number::OPENAT, [directory, path as usize, flags as usize, mode as usize, 0, 0])
                }) as i32,
            };
            forget(result);
            result
        }
    )*};
}
opening_at!(openat = openat64, openat64 = openat);

/// What fortified programs call. Without an original there is no fortified program.
macro_rules! opening_checked {
    ($($name:ident = $original:ident),*) => {$(
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(path: *const u8, flags: i32) -> i32 {
            let result = match original!($original: unsafe extern "C" fn(*const u8, i32) -> i32) {
                // SAFETY: the caller's arguments.
                Some(open) => unsafe { open(path, flags) },
                // SAFETY: as above.
                None => answer(unsafe {
                    raw(number::OPENAT, [AT_FDCWD as usize, path as usize, flags as usize, 0, 0, 0])
                }) as i32,
            };
            forget(result);
            result
        }
    )*};
}
opening_checked!(__open_2 = open_2, __open64_2 = open64_2);

macro_rules! opening_at_checked {
    ($($name:ident = $original:ident),*) => {$(
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(directory: i32, path: *const u8, flags: i32) -> i32 {
            let result = match original!($original: unsafe extern "C" fn(i32, *const u8, i32) -> i32) {
                // SAFETY: the caller's arguments.
                Some(open) => unsafe { open(directory, path, flags) },
                // SAFETY: as above.
                None => answer(unsafe {
                    raw(number::OPENAT, [directory as usize, path as usize, flags as usize, 0, 0, 0])
                }) as i32,
            };
            forget(result);
            result
        }
    )*};
}
opening_at_checked!(__openat_2 = openat_2, __openat64_2 = openat64_2);

macro_rules! creating {
    ($($name:ident),*) => {$(
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(path: *const u8, mode: u32) -> i32 {
            let result = match original!($name: unsafe extern "C" fn(*const u8, u32) -> i32) {
                // SAFETY: the caller's arguments.
                Some(creat) => unsafe { creat(path, mode) },
                // SAFETY: as above.
                None => answer(unsafe {
                    const CREATE: usize = 0o1101;
                    raw(number::OPENAT, [AT_FDCWD as usize, path as usize, CREATE, mode as usize, 0, 0])
                }) as i32,
            };
            forget(result);
            result
        }
    )*};
}
creating!(creat, creat64);

type File = *mut c_void;

macro_rules! opening_stdio {
    ($($name:ident($argument:ident: $type:ty) = $fallback:ident),*) => {$(
        /// A program that calls this has a C library; without its original there is nothing to open with.
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name($argument: $type, mode: *const u8) -> File {
            type Open = unsafe extern "C" fn($type, *const u8) -> File;
            let next = original!($name: Open).or_else(|| original!($fallback: Open));
            // SAFETY: the caller's arguments.
            let file = next.map_or(core::ptr::null_mut(), |open| unsafe { open($argument, mode) });
            // SAFETY: what the original returned.
            unsafe { stdio::opened(file) };
            file
        }
    )*};
}
opening_stdio!(
    fopen(path: *const u8) = fopen64,
    fopen64(path: *const u8) = fopen,
    fdopen(descriptor: i32) = fdopen,
    popen(command: *const u8) = popen
);

macro_rules! reopening {
    ($($name:ident = $fallback:ident),*) => {$(
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(path: *const u8, mode: *const u8, file: File) -> File {
            type Reopen = unsafe extern "C" fn(*const u8, *const u8, File) -> File;
            // SAFETY: the caller's arguments, here and below.
            let before = unsafe { stdio::descriptor(file) };
            if path.is_null() {
                forget(before);
            } else {
                closing(before);
            }
            let next = original!($name: Reopen).or_else(|| original!($fallback: Reopen));
            // SAFETY: the caller's arguments.
            let file = next.map_or(core::ptr::null_mut(), |reopen| unsafe { reopen(path, mode, file) });
            forget(before);
            // SAFETY: what the original returned.
            unsafe { stdio::opened(file) };
            file
        }
    )*};
}
reopening!(freopen = freopen64, freopen64 = freopen);

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn pclose(file: File) -> i32 {
    // SAFETY: the caller's arguments, here and below.
    let descriptor = unsafe { stdio::descriptor(file) };
    forget(descriptor);
    let next = original!(pclose: unsafe extern "C" fn(File) -> i32);
    // SAFETY: the caller's arguments.
    let result = next.map_or(-1, |pclose| unsafe { pclose(file) });
    forget(descriptor);
    result
}
