//! Drains rings, assembles lines and hands labelled batches to a sink.
//!
//! ```text
//!  tap directory            drain thread                      push thread
//!  rings, socket ──pread──► records ──merge by ticket──► chunks ──► lines ──► batches ──► sink
//!        ▲                                                                                  │
//!        └────────────── tails, and files of rings that ended, move on ◄── acknowledged ────┘
//! ```
//!
//! With a spool ([`SpoolConfig`]) chunks go through files, and tails move when a chunk is written.
//! Without a spool a ring's tail moves when the sink has acknowledged the lines, so what a killed
//! collector had not delivered is still in the ring. The exception is a line that has no end yet: its
//! bytes are in the collector's memory from the moment at which they were read.
//!
//! Nothing in a ring is believed: see [`TapDirectory`] and the module `ring_reader`.

pub mod command;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod sink;
pub mod sinks;

mod account;
mod assembler;
mod chunk;
mod clock;
mod config;
mod control_page;
mod counts;
mod directory;
mod drain;
mod engine;
mod error;
mod events;
mod feeder;
mod health;
mod labels;
mod lines;
mod merge;
mod operation;
mod outlet;
mod output;
mod parts;
mod push;
mod raw;
mod resume;
mod ring_reader;
mod shared;
mod slots;
mod spool;
mod told;

pub use config::{BatchRules, Config, LineRules, MIN_SPOOL_SIZE, SpoolConfig};
pub use counts::{
    Counts, Hostile, MAX_LISTED, MAX_RINGS_LISTED, MAX_STARTED, Programs, RingSummary, Starts,
    StreamSummary, Summary, Totals,
};
pub use directory::TapDirectory;
pub use drain::MAX_RINGS;
pub use engine::{Collector, new_source};
pub use error::CollectorError;
pub use feeder::{Feeder, FeederStream, Stopped};
pub use health::Monitor;
pub use labels::{RESERVED_LABELS, is_label_name};
pub use parts::Parts;
pub use raw::RawClients;
