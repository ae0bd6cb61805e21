//! What a process whose target is `socket:` or `file:` counts of itself, read from its memory.
//!
//! The page is in a private mapping of the process's own ([`logtap_wire::raw`]); it is found by its first bytes. What it
//! says is the process's claim: it is shown, and nothing else depends on it. Refuses to stop the process and to write.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;

use logtap_wire::raw::{self, KIND_SOCKET, RAW_NAME, RawCounts};
use serde::Serialize;

use crate::Finding;
use crate::proc::{self, Process};

/// Most mappings that are looked into.
const MAPPING_LIMIT: usize = 20_000;
/// Bytes of the page that are read.
const PAGE: usize = 64;

/// The counts of a raw target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RawReport {
    /// Writes to tapped streams since the process began or was forked off.
    pub taken_records: u64,
    /// Their bytes.
    pub taken_bytes: u64,
    /// Bytes that the socket or the file took.
    pub delivered_bytes: u64,
    /// Bytes that wait in the process for the sink.
    pub waiting_bytes: u64,
    /// Writes of which something was lost.
    pub lost_records: u64,
    /// The bytes that were lost.
    pub lost_bytes: u64,
    /// How often a connection was made, or the file opened.
    pub opened: u64,
    /// How often that was again.
    pub reconnects: u64,
}

impl RawReport {
    fn new(counts: &RawCounts) -> Self {
        // Read one after the other while the process writes: what waits is never less than nothing.
        let done = counts.delivered_bytes.saturating_add(counts.lost_bytes);
        Self {
            taken_records: counts.taken_records,
            taken_bytes: counts.taken_bytes,
            delivered_bytes: counts.delivered_bytes,
            waiting_bytes: counts.taken_bytes.saturating_sub(done),
            lost_records: counts.lost_records,
            lost_bytes: counts.lost_bytes,
            opened: counts.opened,
            reconnects: counts.opened.saturating_sub(1),
        }
    }
}

/// Reads the counts and judges them. Nothing where nothing tapped was written yet, or the memory may not be read.
pub(crate) fn check(process: &Process, target: &str) -> (Option<RawReport>, Vec<Finding>) {
    match counts(process.number) {
        Ok(Some(counts)) => (Some(RawReport::new(&counts)), judge(&counts, target)),
        Ok(None) => {
            let text = "the library is ready; the process has written nothing to a tapped stream";
            (None, vec![Finding::warning("nothing_written", text)])
        }
        Err(error) => {
            let text = format!("what the process counts of its target cannot be read: {error}");
            let finding = Finding::warning("counts_unreadable", text);
            (None, vec![finding.remedy("ask as root, or as its user where ptrace is allowed")])
        }
    }
}

fn judge(counts: &RawCounts, target: &str) -> Vec<Finding> {
    let is_socket = counts.kind == KIND_SOCKET;
    let mut findings = Vec::new();
    if counts.lost_records > 0 {
        let (why, remedy) = if is_socket {
            (
                "there was no sink, or it was too slow",
                "let the sink run before the program and read faster; LLT_RING_SIZE gives what waits more room",
            )
        } else {
            (
                "the file could not be opened or took no more",
                "look at the target's rights, its disk's free space and the process's limit of file sizes (ulimit -f)",
            )
        };
        findings.push(
            Finding::problem(
                "lost",
                format!(
                    "{} writes ({} bytes) of {} did not reach `{target}`: {why}",
                    counts.lost_records, counts.lost_bytes, counts.taken_records
                ),
            )
            .remedy(remedy),
        );
    }
    let waiting = RawReport::new(counts).waiting_bytes;
    if is_socket && waiting > 0 && counts.opened == 0 {
        findings.push(
            Finding::problem(
                "no_sink",
                format!(
                    "{waiting} bytes wait for `{target}`, which no connection was ever made to"
                ),
            )
            .remedy("start the sink: logtap collector --socket PATH, or one of your own"),
        );
    }
    findings
}

/// The counts in a process's memory.
fn counts(process: u32) -> io::Result<Option<RawCounts>> {
    let maps = proc::read(process, "maps")?;
    let memory = fs::File::open(format!("/proc/{process}/mem"))?;
    let read = |start: u64| {
        let mut page = [0; PAGE];
        // A mapping that is gone by now, or that nobody may read, is not the one.
        memory.read_exact_at(&mut page, start).ok()?;
        raw::parse(&page)
    };
    Ok(candidates(&maps).into_iter().find_map(read))
}

/// Where anonymous writable mappings begin, those with the page's name first.
fn candidates(maps: &[u8]) -> Vec<u64> {
    let named = format!("[anon:{}]", RAW_NAME.to_string_lossy());
    let mut found: Vec<(bool, u64)> = String::from_utf8_lossy(maps)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (range, rights) = (words.next()?, words.next()?);
            let (inode, name) = (words.nth(2)?, words.next().unwrap_or_default());
            let start = u64::from_str_radix(range.split('-').next()?, 16).ok()?;
            (rights == "rw-p" && inode == "0").then_some((name != named, start))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(MAPPING_LIMIT).map(|(_, start)| start).collect()
}

#[cfg(test)]
mod tests {
    use logtap_wire::raw::KIND_FILE;

    use super::*;

    #[test]
    fn the_mapping_with_the_name_is_looked_into_first_and_files_never() {
        let maps = b"1000-2000 rw-p 00000000 00:00 0 \n\
                     3000-4000 r--p 00000000 00:00 0 \n\
                     5000-6000 rw-p 00000000 08:01 7   /lib/a b.so\n\
                     7000-8000 rw-p 00000000 00:00 0                  [anon:liblogtap]\n\
                     rubbish\n";
        assert_eq!(candidates(maps), [0x7000, 0x1000]);
        assert_eq!(candidates(b"\xff\xfe"), [0; 0]);
    }

    #[test]
    fn losses_and_a_sink_that_never_was_are_problems() {
        let counts = RawCounts {
            kind: KIND_SOCKET,
            taken_records: 10,
            taken_bytes: 100,
            lost_records: 2,
            lost_bytes: 20,
            delivered_bytes: 0,
            opened: 0,
        };
        let kinds = |counts: &RawCounts| {
            let findings = judge(counts, "socket:/run/x");
            findings.into_iter().map(|finding| finding.what).collect::<Vec<_>>()
        };
        assert_eq!(RawReport::new(&counts).waiting_bytes, 80);
        assert_eq!(kinds(&counts), ["lost", "no_sink"]);
        let fine =
            RawCounts { lost_records: 0, lost_bytes: 0, delivered_bytes: 101, opened: 3, ..counts };
        assert_eq!(kinds(&fine), [""; 0]);
        assert_eq!(RawReport::new(&fine).waiting_bytes, 0);
        assert_eq!(RawReport::new(&fine).reconnects, 2);
        assert_eq!(kinds(&RawCounts { kind: KIND_FILE, ..counts }), ["lost"]);
    }
}
