//! The capture directory: its format, its one writer and its readers.
//!
//! A capture is a directory of segments, files of JSON lines that are raw while they grow and
//! compressed when they are full, with an index of them and a note about the whole. [`layout`] draws
//! the directory, [`encode`] the lines, [`seekable`] the compressed files. It is the predecessor's
//! format; what we add are keys and frames that its readers pass over.
//!
//! This crate knows no network, prints nothing, and writes only what a [`Redactor`] has passed.

mod capture;
mod catalog;
mod compactor;
pub mod continuation;
mod damage;
pub mod decode;
mod durability;
pub mod encode;
mod error;
pub mod filter;
mod fullness;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod index;
mod label_matcher;
pub mod layout;
mod lock;
mod long_line;
mod losses;
pub mod metadata;
mod open;
mod recovery;
pub mod redact;
mod replace;
pub mod retention;
pub mod rotation;
pub mod scan;
pub mod seekable;
pub mod segment;
pub mod slices;
mod stored;
pub mod time_counts;
pub mod timestamp;
mod twins;
mod writer;

pub use capture::Capture;
pub use damage::damage;
pub use decode::Line;
pub use durability::{Fsync, UnknownFsync};
pub use error::CaptureError;
pub use filter::Filter;
pub use fullness::OnFull;
pub use index::{IndexEntry, LabelCounts, read_index};
pub use label_matcher::{LabelMatcher, all_hold};
pub use losses::Removed;
pub use losses::{Dropped, Losses, OTHERS, StreamCounts};
pub use metadata::Metadata;
pub use open::{open_regular, open_to_read};
pub use redact::{Pattern, Patterns, Redacted, RedactedBatch, Redactor};
pub use segment::Segment;
pub use slices::LineSlices;
pub use timestamp::Timestamp;
pub use writer::{Appended, Status, Totals, Writer, WriterOptions};
