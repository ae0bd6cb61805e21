//! `backtrace_symbols_fd`, by which crash handlers write their last and best lines: glibc writes them from inside.
//!
//! The original writes first, to where the program says; then once more into memory of ours, which is copied. It
//! allocates nothing (that is what crash handlers call it for), so neither does the second time. Another library's function of
//! this name (musl has none of its own) writes by a call that is seen anyway: it is passed on alone.
//!
//! # Safety
//!
//! This file may use `unsafe`: it exports C functions and calls their originals with the arguments it was given.
#![expect(unsafe_code, reason = "C edges")]

use core::ffi::c_void;

use logtap_wire::ring::writer::Part;

use super::original;
use crate::descriptors::{self, Class};
use crate::elf::Name;
use crate::syscall::Errno;
use crate::syscall::streams::SignalsHeld;
use crate::{original, state, stdio, syscall, tap};

type Print = unsafe extern "C" fn(*const *mut c_void, i32, i32);

#[cfg_attr(panic = "abort", unsafe(no_mangle))]
unsafe extern "C" fn backtrace_symbols_fd(
    addresses: *const *mut c_void,
    count: i32,
    descriptor: i32,
) {
    let Some(print) = original!(backtrace_symbols_fd: Print) else { return };
    let class = descriptors::class(descriptor).filter(|_| writes_from_inside(print as usize));
    // SAFETY: the caller's arguments.
    unsafe { print(addresses, count, descriptor) };
    if let Some(class) = class {
        let errno = stdio::errno();
        // SAFETY: the caller's arguments, which the original has just taken.
        copy(class, |memory| unsafe { print(addresses, count, memory) });
        stdio::set_errno(errno);
    }
}

/// Whether it is glibc's own.
#[cold]
fn writes_from_inside(print: usize) -> bool {
    let name = Name::new(b"gnu_get_libc_version");
    let glibc = original::objects()
        .and_then(|mut objects| objects.find(|object| object.symbol(&name).is_some()));
    glibc.and_then(|glibc| glibc.span()).is_some_and(|(start, end)| (start..end).contains(&print))
}

/// Copies what `print` writes to a descriptor.
#[cold]
fn copy(class: Class, print: impl FnOnce(i32)) {
    match in_memory(print) {
        Ok(None) => {}
        Ok(Some((base, length))) => {
            tap::copy(class, &[Part { base, length }], length);
            // SAFETY: a mapping that nobody else has seen.
            unsafe { syscall::unmap(base, length) };
        }
        // How much it was nobody knows.
        Err(_) => tap::count_uncopied(class, 0),
    }
}

/// What `print` writes, mapped; nothing where it writes nothing.
fn in_memory(print: impl FnOnce(i32)) -> Result<Option<(*mut u8, usize)>, Errno> {
    if !state::may_call() {
        return Err(syscall::EBADF);
    }
    // No handler jumps out while a descriptor is open.
    let _signals = SignalsHeld::new();
    let file = syscall::move_up(syscall::memory_file()?, crate::rings::OUT_OF_THE_WAY);
    print(file.number());
    match syscall::descriptor_status(file.number())?.size as usize {
        0 => Ok(None),
        length => Ok(Some((syscall::map_shared(&file, length)?, length))),
    }
}
