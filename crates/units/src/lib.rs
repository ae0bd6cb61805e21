//! How sizes, durations and numbers are written, and read: the same in every command, flag, variable and file.
//!
//! [`read`] takes what people write, [`show`] writes what they read, [`visible`] is how text of others is written on a
//! terminal. Refuses to guess: a text that could mean two
//! things is an error that says how to write it.

pub mod read;
pub mod show;
pub mod visible;
