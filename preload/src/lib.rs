//! `liblogtap.so`: copies what a program writes to its standard streams and log files into shared memory.
//!
//! It lives inside other people's processes, under any C library or none, put there by `LD_PRELOAD`. So:
//! a hook never blocks (but for the bounded `wait:`), allocates, locks, panics, exits or changes errno; the
//! application's own call runs first and exactly once; no descriptor (but for the targets of liblogtap) and no
//! thread is held; whatever does not work leaves the library inert. No tap is better than a hurt application.
//!
//! ```text
//!  start                  the constructor
//!  hooks/*   stdio/*      what the application calls; C edges only
//!      └──┬─────┘
//!       tap               the one road from a hook to a ring, and what happens when it is full (patience, frames);
//!    ┌────┼────────┐      targets: to a socket or a file instead
//!  descriptors  files     what a descriptor is (cached, invalidated), by what the streams are
//!    └────┬────────┘
//!      identity           which process this is
//!       rings             the process's ring files
//!  state, control, environment, namespace, clock, auxiliary_vector, linker, elf, original, syscall
//!                         no libc below this line either; no two files import each other in a circle
//! ```
//!
//! # What the kernel is asked
//!
//! With a `tap:` target nothing at a write, tapped or not, whose descriptor is known. What there is besides:
//!
//! | when | calls |
//! |---|---|
//! | at start | 27 in a process that owns a tapped stream: `prctl` (before Linux 6.4, and where a tracer or an emulator has loaded the program, `/proc/self/auxv` is read instead, and `/proc/self/maps` where that does not help; `mincore` for what is found there, and for objects that do not begin with their tables); `mmap`, `madvise` and `getpid` for the page that tells a forked child; `statx` of the directory; `openat`, `fstatfs`, `pread64`, `statx`, `mmap`, `close` of the control page; `readlinkat` of `/proc/self/ns/pid`; two `mprotect` of glibc's tables; `getpid` and `statx` of descriptor 1; and what the starter ring needs: `prlimit64`, `getpid`, `openat`, `flock`, `fallocate`, `mmap`, `madvise`, `geteuid`, `readlinkat`, `renameat2`, `close`. One that is asked for nothing: the first alone. More where `LLT_STREAMS` does not say what the streams are, or files are tapped: an `mmap` each for their names and their table |
//! | a descriptor that was not seen since its number was closed, opened or duplicated, or whose tapped class has expired (the collector's epoch, some 100 ms; without one every 1,024 tapped writes) | `statx`; `getpid`, because a child of vfork must not remember what it sees in its parent's memory; with files configured `readlinkat` (without `/proc`: a `statx` of each plain name); `fcntl` where it would be suppressed |
//! | the first such look or tapped write of a forked child | `getpid` (twice) and `getppid`; with a ring a `readlinkat` of `/proc/self/ns/pid`: in another pid namespace the ring is not the child's. A grandchild whose parent never wrote asks up to eight times before it is sure |
//! | a `dup` where stdout and stderr are one object, and the closing of a duplicate of stderr there | `getpid` |
//! | a ring made while the program runs (a full one after 16 KiB, one more where most lanes are stuck or the table of files is full; at most 16) | signals held and released; `statx` of the directory, which must still be the same; `prlimit64`, `readlinkat` of `/proc/self/ns/pid`, `openat`, `fcntl`, `close`, `fchmod`, `flock`, `fallocate`, `mmap`, two `madvise`, `geteuid`, `readlinkat`, `renameat2`, `close`, two `getpid` |
//! | every 64th write that finds the ring full and lanes held | `readlinkat` of `/proc/self/ns/pid`, `kill` with signal 0 for each holder |
//! | a program is started with this library in its environment | `statx`, `openat`, `read`, `close` of its file and of its interpreter: one for another architecture gets the environment without the library |
//! | `wait:MS` and a full ring | `nanosleep` |
//! | no ring can be made | signals held and released, a `statx` of the directory, `readlinkat` of `/proc/self/ns/pid`, `socket`, `sendmsg`, `close` for each write |
//! | `sendfile` and its relatives into a tapped stream | `pread64` of what was sent |
//! | `backtrace_symbols_fd` into a tapped stream | signals held and released, `memfd_create`, `fcntl`, `close`, glibc's `writev` once more, `statx`, `mmap`, `close`, `munmap` |
//!
//! A `socket:` target costs five calls a write (six off the first thread), a `file:` target four; `targets` says for what.
//! After a call that may have entered a sandbox there are none at all.
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

mod auxiliary_vector;
mod clock;
mod control;
mod descriptors;
mod directory;
mod elf;
mod environment;
mod files;
mod frames;
mod hooks;
mod identity;
mod linker;
mod namespace;
mod original;
mod patience;
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
