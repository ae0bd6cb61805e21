//! Calls by which libc gives a process other standard streams from inside, where no `dup2` is seen.
//!
//! # Safety
//!
//! This file may use `unsafe`: it exports C functions and calls their originals with the arguments it was given.
#![expect(unsafe_code, reason = "C edges")]

use core::ffi::c_void;

use super::{answer, original};
use crate::descriptors::{forget, forget_range};
use crate::syscall::Errno;

/// A program that calls these has a C library; without their originals there is nothing to do.
const MISSING: Errno = Errno(38);

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn daemon(stay_in_directory: i32, keep_streams: i32) -> i32 {
    let result = match original!(daemon: unsafe extern "C" fn(i32, i32) -> i32) {
        // SAFETY: the caller's arguments.
        Some(daemon) => unsafe { daemon(stay_in_directory, keep_streams) },
        None => answer(Err(MISSING)) as i32,
    };
    forget_range(0, 2);
    result
}

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn login_tty(terminal: i32) -> i32 {
    forget(terminal);
    let result = match original!(login_tty: unsafe extern "C" fn(i32) -> i32) {
        // SAFETY: the caller's arguments.
        Some(login_tty) => unsafe { login_tty(terminal) },
        None => answer(Err(MISSING)) as i32,
    };
    forget_range(0, 2);
    forget(terminal);
    result
}

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn forkpty(
    controller: *mut i32,
    name: *mut u8,
    settings: *const c_void,
    size: *const c_void,
) -> i32 {
    type ForkPty = unsafe extern "C" fn(*mut i32, *mut u8, *const c_void, *const c_void) -> i32;
    let result = match original!(forkpty: ForkPty) {
        // SAFETY: the caller's arguments.
        Some(forkpty) => unsafe { forkpty(controller, name, settings, size) },
        None => answer(Err(MISSING)) as i32,
    };
    // In the child they are the terminal now; in the parent it costs one more look.
    forget_range(0, 2);
    result
}
