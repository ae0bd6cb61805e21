//! The preload library as it ships, without collector and command: its rings, its behaviour when it
//! is killed or stopped anywhere.

/// A tap directory that the test itself keeps, and the records of its rings.
mod tap;

/// What the kernel is asked because of the library.
mod calls;
/// Killed or stopped after every single instruction of one write.
mod fire;
/// Writes of every length.
mod lengths;
/// A child in a pid namespace of its own.
mod namespaces;
/// Standard output and standard error are one object.
mod one_stream;
/// The reader of rings in C.
mod reader;
/// A change, a death, a fork of which the library is not told.
mod rings;
/// A child of vfork whose parent is killed.
mod vforked;
