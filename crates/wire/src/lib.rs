//! The contract between `liblogtap.so`, which lives in other people's processes, and the collector.
//!
//! ```text
//!  DIR/control          one page, mapped by every writer: tickets, byte total, epoch   [`control`]
//!  DIR/NS-PID-SALT-N.ring   one ring a process (shared with its forked children)       [`ring`]
//!  DIR/tap.sock         datagrams of writers that could not make a ring                [`frame`]
//!  DIR/streams-KEY      what the container's stdout and stderr are                     [`identity`]
//! ```
//!
//! A process whose target is `socket:` or `file:` has one page of counts instead of all that: [`raw`].
//!
//! The crate allocates nothing, makes no system call, imports nothing and works without std.
//! It holds layouts and the two halves of the ring protocol; files and mappings belong to others.
//!
//! # Changing it
//!
//! A ring outlives the library that made it and the collector that reads it, so every change of a
//! layout or of a meaning bumps [`VERSION`]. Safe without a bump: giving a meaning to bytes that are
//! reserved and zero, adding a flag or coverage bit that readers may ignore, adding a setting.

#![cfg_attr(not(any(test, loom)), no_std)]

pub mod control;
pub mod counters;
pub mod frame;
pub mod identity;
pub mod pattern;
pub mod raw;
pub mod record;
pub mod ring;
pub mod settings;
mod sync;

/// Version of all layouts in this crate. A reader refuses any other.
pub const VERSION: u32 = 1;

/// Name of the control page in the tap directory.
pub const CONTROL_FILE: &str = "control";
/// Ending of ring files. A file under construction ends in `.tmp`.
pub const RING_ENDING: &str = ".ring";
/// Name of the datagram socket in the tap directory.
pub const SOCKET_FILE: &str = "tap.sock";
/// How the files begin that publish stream identities; the rest of the name is the container's key.
pub const STREAMS_PREFIX: &str = "streams-";
