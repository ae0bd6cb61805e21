//! What can be learned from a capture: one function a command.
//!
//! Each takes a directory and options and returns a report that can be serialised. Nothing is printed
//! here, and nothing is written. What could not be read is part of the report, not the end of it.

mod grep;
mod groups;
mod inspect;
mod needle;
mod timeline;

pub use grep::{FileMatches, GrepError, GrepOptions, GrepReport, Match, grep};
pub use inspect::{InspectReport, LabelValue, inspect};
pub use logtap_capture::{CaptureError, Filter, LabelMatcher, Line, Metadata, Timestamp, damage};
pub use timeline::Bucket;
