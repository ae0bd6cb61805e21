//! The end of the program: what waits for a `socket:` target is sent, for a bounded moment.
//!
//! `exit` ends in this library's finalizer (and in what libc flushes after it), `_exit` in its hook. Who is killed ends
//! without either.
//!
//! # Safety
//!
//! This file may use `unsafe`: it exports C functions and calls their originals with the arguments it was given.
#![expect(unsafe_code, reason = "C edges")]

use super::original;
use crate::syscall::{OrIgnore as _, number, raw};
use crate::targets;

#[cfg(panic = "abort")]
#[used]
#[unsafe(link_section = ".fini_array")]
static FINALIZER: extern "C" fn() = finalize;

/// Called by the dynamic linker at exit.
extern "C" fn finalize() {
    targets::end();
}

macro_rules! ending {
    ($($(#[$attribute:meta])* $name:ident),*) => {$(
        $(#[$attribute])*
        #[cfg_attr(panic = "abort", unsafe(no_mangle))]
        unsafe extern "C" fn $name(status: i32) -> ! {
            targets::end();
            if let Some(exit) = original!($name: unsafe extern "C" fn(i32) -> !) {
                // SAFETY: the caller's arguments.
                unsafe { exit(status) }
            }
            loop {
                // SAFETY: what the caller asked for.
                unsafe { raw(number::EXIT_GROUP, [status as usize, 0, 0, 0, 0, 0]) }.or_ignore();
            }
        }
    )*};
}
ending!(
    _exit,
    // The lint knows that exported names are given.
    #[cfg_attr(not(panic = "abort"), expect(non_snake_case, reason = "named as in C"))]
    _Exit
);
