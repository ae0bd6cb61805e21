//! `syscall`, for programs that go around libc's names, and `prctl`.
//!
//! # Safety
//!
//! This file may use `unsafe`: it exports C functions and calls their originals with the arguments it was given.
#![expect(unsafe_code, reason = "C edges")]

use logtap_wire::ring::writer::Part;
use logtap_wire::ring::{SEEN_IO_URING, SEEN_SANDBOX};

use super::copying::{moved, spliced};
use super::descriptors::{closes, is_duplication};
use super::mapping::mapped;
use super::programs::note;
use super::write::{copied, tapped, vector};
use super::{answer, original};
use crate::syscall::{number, raw};
use crate::{clock, descriptors, rings, state};

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
    let changes = |changed: i32| {
        descriptors::forget(changed);
        let result = next();
        descriptors::forget(changed);
        result
    };
    match call {
        number::WRITE => tapped(descriptor, &[Part { base: b as *const u8, length: c }], next),
        number::PWRITE64 => copied(descriptor, &[Part { base: b as *const u8, length: c }], next),
        // SAFETY: the caller's arguments.
        number::WRITEV => tapped(descriptor, unsafe { vector(b as *const Part, c as i32) }, next),
        number::PWRITEV | number::PWRITEV2 | number::VMSPLICE => {
            // SAFETY: the caller's arguments.
            copied(descriptor, unsafe { vector(b as *const Part, c as i32) }, next)
        }
        // SAFETY: the caller's arguments.
        number::SENDFILE => unsafe { moved(descriptor, b as i32, c as *const i64, next) },
        // SAFETY: the caller's arguments.
        number::COPY_FILE_RANGE => unsafe { moved(c as i32, descriptor, b as *const i64, next) },
        number::SPLICE => spliced(c as i32, next),
        number::TEE => spliced(b as i32, next),
        number::CLOSE => {
            descriptors::closing(descriptor);
            changes(descriptor)
        }
        number::DUP => {
            let result = next();
            descriptors::forget(result as i32);
            descriptors::copied(descriptor, result as i32);
            result
        }
        number::DUP2 | number::DUP3 => {
            let result = changes(b as i32);
            descriptors::copied(descriptor, result as i32);
            result
        }
        number::FCNTL if is_duplication(b as i32) => {
            let result = next();
            descriptors::forget(result as i32);
            descriptors::copied(descriptor, result as i32);
            result
        }
        number::OPENAT | number::OPENAT2 | number::OPEN | number::CREAT => {
            let result = next();
            descriptors::forget(result as i32);
            result
        }
        number::CLOSE_RANGE => {
            if closes(c as i32) {
                descriptors::closing_range(a as u32, b as u32);
            }
            let result = next();
            descriptors::forget_range(a as u32, b as u32);
            result
        }
        number::EXECVE => {
            // SAFETY: the caller's arguments.
            unsafe { note(a as *const u8, c as *const *const u8) };
            next()
        }
        number::MMAP => {
            let result = next();
            if result != -1 {
                mapped(c as i32, d as i32, e as i32);
            }
            result
        }
        number::IO_URING_SETUP => {
            rings::add_coverage(SEEN_IO_URING);
            next()
        }
        // The operations above these two only ask.
        number::SECCOMP if a <= 1 => {
            clock::use_coarse();
            enter_sandbox(next)
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

/// Runs a call that may forbid the process any system call.
fn enter_sandbox(call: impl FnOnce() -> isize) -> isize {
    let result = state::enter_sandbox(call);
    if result >= 0 {
        rings::add_coverage(SEEN_SANDBOX);
    }
    result
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
            enter_sandbox(call)
        }
        PR_SET_SYSCALL_USER_DISPATCH if argument != 0 => enter_sandbox(call),
        PR_SET_TSC => {
            clock::use_coarse();
            call()
        }
        _ => call(),
    }
}
