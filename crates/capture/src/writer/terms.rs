//! What a writer is told, and what it answers: its options, what became of a batch, how it stands, what
//! it leaves.

use std::sync::Arc;
use std::time::Duration;

use crate::durability::Fsync;
use crate::error::CaptureError;
use crate::fullness::OnFull;
use crate::losses::Losses;
use crate::losses::Removed;
use crate::redact::Redactor;
use crate::timestamp::Timestamp;

/// How a capture is written.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// A segment is closed when the next batch would make it larger than this.
    pub max_segment_bytes: u64,
    /// A segment is closed when it was begun so long ago.
    pub max_segment_age: Option<Duration>,
    /// All files of the capture together take no more than this, at any moment; older segments go first.
    pub disk_cap: Option<u64>,
    /// Bytes that the file system is to have free beside the capture; 0 for none.
    pub min_free: u64,
    /// What happens to a batch for which there is no room.
    pub on_full: OnFull,
    /// When lines have to be on the disk itself.
    pub fsync: Fsync,
    /// Whether closed segments are compressed.
    pub compress: bool,
    /// How hard, as zstd counts.
    pub compression_level: i32,
    /// What its batches are passed by. Here it only tells its names and counts for the metadata.
    pub redactor: Arc<Redactor>,
    /// Where the time comes from.
    pub clock: fn() -> Timestamp,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            max_segment_bytes: 256 << 20,
            max_segment_age: None,
            disk_cap: Some(50 << 30),
            min_free: 0,
            on_full: OnFull::default(),
            fsync: Fsync::default(),
            compress: true,
            compression_level: 1,
            redactor: Arc::new(Redactor::none()),
            clock: Timestamp::now,
        }
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Lines that are stored now.
    pub stored: u64,
    /// Lines that were stored before.
    pub skipped: u64,
    /// Lines that had no room and were dropped, because [`OnFull`] says so.
    pub dropped: u64,
}

/// How a capture is at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Bytes of all files of the capture.
    pub disk_bytes: u64,
    /// What they may take together.
    pub disk_cap: Option<u64>,
    /// Segments closed for their size since the capture was opened.
    pub rotations_by_size: u64,
    /// Segments closed for their age since then.
    pub rotations_by_age: u64,
    /// Times that a segment could not be closed, entered into the index or compressed since then. Its
    /// lines are there, and it is tried again.
    pub rotation_failures: u64,
    /// Times that a segment could not be written through to the disk since then.
    pub sync_failures: u64,
    /// What was removed for want of room over the capture's whole life.
    pub removed: Removed,
    /// Lines that were dropped for want of room over the capture's whole life.
    pub dropped_lines: u64,
}

impl Status {
    /// The same with only what was lost since an earlier look.
    #[must_use]
    pub fn losses_since(mut self, before: &Self) -> Self {
        let since = |now: &mut u64, before: u64| *now = now.saturating_sub(before);
        since(&mut self.removed.segments, before.removed.segments);
        since(&mut self.removed.lines, before.removed.lines);
        since(&mut self.removed.bytes, before.removed.bytes);
        since(&mut self.dropped_lines, before.dropped_lines);
        self
    }
}

/// What a closed capture holds.
#[derive(Debug, Default)]
pub struct Totals {
    /// Lines in it.
    pub lines: u64,
    /// Bytes before compression.
    pub bytes: u64,
    /// Bytes of all its files.
    pub disk_bytes: u64,
    /// Its segments.
    pub segments: usize,
    /// How many of them are compressed.
    pub compressed: usize,
    /// All that was lost over its whole life.
    pub losses: Losses,
    /// Why a segment could not be compressed; it is there in its raw form.
    pub compression_failure: Option<CaptureError>,
}
