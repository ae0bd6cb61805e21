//! The collector on real rings in a real directory, written by the library's own writer.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod drain;
mod feeders;
mod frames;
mod hostile;
mod memory_sink;
mod push;
mod raw_clients;
mod raw_ring;
mod running;
mod server;
mod spool;
mod writer;
