//! Where a line is: in which segment, and at which byte of its text. True for as long as the segment
//! is there, raw or compressed.

use std::sync::Arc;

/// A segment by its name; the order is that of the data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentKey {
    /// The file's name without its ending.
    pub stem: Arc<str>,
    /// Whether it is the second of two with one name: a raw file beside a compressed one with other
    /// lines.
    pub second: bool,
}

/// Bytes of a segment's text that are read at a time.
pub(crate) const CHUNK: u64 = 512 * 1024;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Its segment.
    pub segment: SegmentKey,
    /// The byte of the segment's text that it begins with.
    pub offset: u64,
}

/// The lines of a segment that begin in a range of [`CHUNK`] bytes; the number of the range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChunkKey {
    pub(crate) segment: SegmentKey,
    pub(crate) number: u64,
}
