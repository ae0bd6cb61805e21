//! What was counted: live while the collector works, and as a summary when it stops.
//!
//! For every stream: bytes delivered + lost + torn are what its writers wrote.

use std::collections::BTreeMap;

use serde::Serialize;

/// Live counts of a collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Lines assembled (gap entries too).
    pub lines: u64,
    /// Lines that the sink has acknowledged.
    pub delivered_lines: u64,
    /// Lines that the sink refused for ever.
    pub refused_lines: u64,
    /// Pushes that failed and were tried again.
    pub retries: u64,
    /// What all streams have in common.
    pub totals: Totals,
    /// Records that came after later ones.
    pub late_records: u64,
    /// States of redrawn lines that others replaced; left out where that is asked for.
    pub collapsed_states: u64,
    /// Their bytes.
    pub collapsed_bytes: u64,
    /// Rings seen.
    pub rings: u64,
    /// Files in the tap directory that broke the rules.
    pub hostile: u64,
    /// Datagrams that were no frames.
    pub foreign_datagrams: u64,
    /// Times that the control page had to be put back in order.
    pub control_repairs: u64,
    /// Counters in shared files that cannot be true. What they say is not added up.
    pub corrupt_counters: u64,
    /// Writes of processes without a ring that were lost.
    pub unringed_lost_records: u64,
    /// Their bytes.
    pub unringed_lost_bytes: u64,
}

/// What happened to the bytes of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Lines assembled (gap entries too).
    pub lines: u64,
    /// Writes taken out of rings, frames and feeders.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Writes that found no room.
    pub lost_records: u64,
    /// Their bytes.
    pub lost_bytes: u64,
    /// Writes whose writer died in the middle.
    pub torn_records: u64,
    /// Their bytes, as far as known.
    pub torn_bytes: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        self.records += other.records;
        self.bytes += other.bytes;
        self.lost_records = self.lost_records.saturating_add(other.lost_records);
        self.lost_bytes = self.lost_bytes.saturating_add(other.lost_bytes);
        self.add_torn(other.torn_records, other.torn_bytes);
    }

    pub(crate) fn add_torn(&mut self, records: u64, bytes: u64) {
        self.torn_records = self.torn_records.saturating_add(records);
        self.torn_bytes = self.torn_bytes.saturating_add(bytes);
    }
}

/// All that a collector has to tell when it stops.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// The counts at the end.
    pub counts: Counts,
    /// Per stream and file, over all rings, sorted.
    pub streams: Vec<StreamSummary>,
    /// The rings, in order of their appearance. The first [`MAX_RINGS_LISTED`] only.
    pub rings: Vec<RingSummary>,
    /// Rings that are not listed; their streams are in `streams`.
    pub rings_not_listed: u64,
    /// Files in the tap directory that broke the rules. The first few only.
    pub hostile: Vec<Hostile>,
    /// The programs that were started, by processes with the library.
    pub programs: Programs,
    /// The tap directory is still there.
    pub directory_kept: bool,
    /// Lines that the sink did not take before the deadline.
    pub undelivered_lines: u64,
    /// Why not, if the sink said so.
    pub last_error: Option<String>,
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamSummary {
    /// `stdout`, `stderr` or `file`.
    pub stream: &'static str,
    /// The file's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// How it was tapped: `preload`, `tail`, `pipe`...
    pub source: String,
    /// What happened to its bytes.
    #[serde(flatten)]
    pub totals: Totals,
}

/// One ring, or another source of streams.
#[derive(Clone, Debug, Serialize)]
pub struct RingSummary {
    /// Its file name.
    pub name: String,
    /// The process that made it.
    pub pid: u32,
    /// Its executable.
    pub executable: String,
    /// How it was tapped.
    pub source: String,
    /// `COVERAGE_*` and `SEEN_*` bits of the library.
    pub coverage: u32,
    /// How it ended: `ended`, `held` (by living processes) or `hostile`.
    pub state: &'static str,
    /// Processes that wrote to it. The first few only.
    pub processes: Vec<u32>,
    /// Writes of unknown stream and length whose writer died in the middle.
    pub torn_unknown: u64,
    /// Its streams.
    pub streams: Vec<StreamSummary>,
}

/// A file that broke the rules.
#[derive(Clone, Debug, Serialize)]
pub struct Hostile {
    /// Its name.
    pub name: String,
    /// What was wrong.
    pub reason: String,
}

/// Programs that processes with the library started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Programs {
    /// Those that were started without it in their environment, by their names. The first few only.
    pub unreached: BTreeMap<String, Starts>,
    /// The others by their names. What kind of program it is, and so whether the library reaches it, others
    /// must find out.
    pub started: BTreeMap<String, Starts>,
}

/// How a program was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Starts {
    /// The first process that was to run it, or that spawned it.
    pub pid: u32,
    /// How many times it was started.
    pub times: u64,
}

/// How many names of started programs a summary lists.
pub const MAX_STARTED: usize = 1000;
/// How many rings a summary lists.
pub const MAX_RINGS_LISTED: usize = 1000;
/// How many hostile files, unreached programs and processes of a ring a summary lists.
pub const MAX_LISTED: usize = 100;
