//! `liblogtap.so`: copies what a program writes to its standard streams and log files into shared memory.
//!
//! It lives inside other people's processes, under any C library or none, put there by `LD_PRELOAD`. So:
//! a hook never blocks (but for the bounded `wait:`), allocates, locks, panics, exits or changes errno; the
//! application's own call runs first and exactly once; no descriptor (but for the targets of liblogtap) and no
//! thread is held; whatever does not work leaves the library inert. No tap is better than a hurt application.
//!
//! ```text
//!  hooks/*   stdio/*      what the application calls; C edges only
//!      └──┬─────┘
//!       tap               the one road from a hook to a ring, and what happens when it is full; targets: to a
//!    │                    socket or a file instead
//!    ┌────┼────────┐
//!  descriptors   rings    what a descriptor is (cached, invalidated)      the process's ring files
//!    └────┬────────┘
//!  state, clock, elf, original, syscall        no libc below this line either
//! ```
//!
//! The shipped library is built by `cargo preload` (profile `preload`: no_std, no imports); an ordinary build of
//! this package exports nothing and only serves its tests.

#![cfg_attr(panic = "abort", no_std)]
#![cfg_attr(
    not(panic = "abort"),
    allow(dead_code, reason = "the hooks are only exported by the profile that ships")
)]

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("liblogtap.so is written for x86_64 and aarch64");

mod clock;
mod descriptors;
mod directory;
mod elf;
mod environment;
mod files;
mod frames;
mod hooks;
mod original;
mod rings;
#[cfg(panic = "abort")]
mod runtime;
mod start;
mod state;
mod stdio;
mod streams;
mod syscall;
mod tap;
mod targets;
mod text;
