//! One ring of a tap directory, looked at from outside while others write it.
//!
//! Nothing in it is believed: sizes are checked once, bytes are copied before they are parsed, and what moves under
//! the look is looked at again.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use logtap_wire::record::{FLAG_NOTE, Records};
use logtap_wire::ring::lane::Seen;
use logtap_wire::ring::{
    ARENA_OFFSET, COVERAGE_MUSL, COVERAGE_OFFSET, COVERAGE_PLT, COVERAGE_STDIO, COVERAGE_WIDE,
    DATA_OFFSET, Geometry, LANES_OFFSET, LEASE_NANOSECONDS, LEASE_OFFSET, MAX_STREAMS, RingInfo,
    SEEN_IO_URING, SEEN_SANDBOX, SEEN_SPLICE, STARTER, STATE_OFFSET, STATE_RETIRED, STREAMS_OFFSET,
    SlotInfo, StreamKind, TAIL_OFFSET,
};
use serde::Serialize;

use crate::locks::Locks;
use crate::text;

/// How often a lane that the collector drains meanwhile is looked at.
const LOOKS: u32 = 3;

/// What a ring says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RingReport {
    /// Its file's name.
    pub name: String,
    /// The process that made it, in its own pid namespace.
    pub pid: u32,
    /// Inode of that namespace; 0 where unknown.
    pub pid_namespace: u64,
    /// Its effective user.
    pub user: u32,
    /// What that process ran.
    pub executable: String,
    /// Whether it is the small ring of a process's start.
    pub starter: bool,
    /// Whether a process still has it; unknown across containers.
    pub in_use: Option<bool>,
    /// Whether its writers were told to open another.
    pub retired: bool,
    /// The ways by which writes are captured.
    pub hooks: Vec<&'static str>,
    /// What the process was seen doing that is not, or not wholly, captured.
    pub seen: Vec<&'static str>,
    /// Bytes of its lanes together.
    pub capacity: u64,
    /// Bytes of records that were ever put into it, headers included.
    pub written_bytes: u64,
    /// Those that the collector has not taken yet.
    pub waiting_bytes: u64,
    /// Lanes that a writer holds at this moment.
    pub held_lanes: u32,
    /// Whether the collector took care of it within its lease.
    pub cared_for: bool,
    /// The streams that were written or lost something.
    pub streams: Vec<StreamReport>,
}

/// What a ring says of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// `stdout`, `stderr` or `file`.
    pub stream: &'static str,
    /// Path of a file.
    pub path: Option<String>,
    /// Records that the collector has not taken yet.
    pub waiting_records: u64,
    /// Bytes in them.
    pub waiting_bytes: u64,
    /// Records that found no room.
    pub lost_records: u64,
    /// Their bytes.
    pub lost_bytes: u64,
    /// Bytes among those that could not be copied (splice).
    pub uncopied_bytes: u64,
    /// Records whose writer died while it wrote them.
    pub torn_records: u64,
    /// Their bytes, as far as known.
    pub torn_bytes: u64,
}

impl StreamReport {
    /// The stream's name for people.
    pub fn name(&self) -> &str {
        self.path.as_deref().unwrap_or(self.stream)
    }
}

/// Looks at a ring. An error of kind `InvalidData` where it is none.
pub(crate) fn read(
    path: &Path,
    name: &str,
    locks: &Locks,
    namespace: u64,
    now: u64,
) -> io::Result<RingReport> {
    let file = File::options()
        .read(true)
        .custom_flags((rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() < DATA_OFFSET as u64 {
        return Err(invalid("not a ring"));
    }
    let mut head = vec![0; DATA_OFFSET];
    file.read_exact_at(&mut head, 0)?;
    let info =
        RingInfo::parse(&head, metadata.len()).map_err(|error| invalid(&error.to_string()))?;
    let geometry = info.geometry;
    let mut counts = [(0, 0); MAX_STREAMS];
    let (mut written, mut waiting, mut held_lanes) = (0_u64, 0_u64, 0);
    for lane in 0..geometry.lanes {
        let look = look_at_lane(&file, geometry, lane, &mut counts)?;
        written = written.saturating_add(look.head);
        waiting = waiting.saturating_add(look.head - look.tail);
        held_lanes += u32::from(look.locked);
    }
    // The table once more: losses that came while the lanes were read belong to what is shown.
    file.read_exact_at(&mut head, 0)?;
    let coverage = word(&head, COVERAGE_OFFSET);
    let lease = long(&head, LEASE_OFFSET);
    Ok(RingReport {
        name: name.to_owned(),
        pid: info.pid,
        pid_namespace: info.pid_namespace,
        user: info.user,
        executable: text(info.executable_path()),
        starter: geometry == STARTER,
        in_use: in_use(locks, &metadata, &info, namespace),
        retired: word(&head, STATE_OFFSET) & STATE_RETIRED != 0,
        hooks: hooks(coverage),
        seen: seen(coverage),
        capacity: geometry.file_size() - DATA_OFFSET as u64,
        written_bytes: written,
        waiting_bytes: waiting,
        held_lanes,
        cared_for: is_fresh(lease, now),
        streams: streams(&head, &counts),
    })
}

/// Whether a sign of life is younger than the collector's lease.
pub(crate) fn is_fresh(lease: u64, now: u64) -> bool {
    lease != 0
        && lease <= now.saturating_add(LEASE_NANOSECONDS)
        && now < lease.saturating_add(LEASE_NANOSECONDS)
}

/// Which of the ways of a ring capture writes, in words.
pub fn hooks(coverage: u32) -> Vec<&'static str> {
    words(
        coverage,
        &[
            (COVERAGE_PLT, "write and its family"),
            (COVERAGE_STDIO, "glibc's stdio"),
            (COVERAGE_WIDE, "glibc's wide stdio"),
            (COVERAGE_MUSL, "musl's stdio"),
        ],
    )
}

fn seen(coverage: u32) -> Vec<&'static str> {
    words(
        coverage,
        &[
            (SEEN_IO_URING, "set up an io_uring, whose writes are not captured"),
            (SEEN_SPLICE, "spliced into a tapped stream, which is counted as lost"),
            (SEEN_SANDBOX, "entered a sandbox, so the library makes no system call any more"),
        ],
    )
}

fn words(bits: u32, names: &[(u32, &'static str)]) -> Vec<&'static str> {
    names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect()
}

struct Look {
    head: u64,
    tail: u64,
    locked: bool,
}

fn look_at_lane(
    file: &File,
    geometry: Geometry,
    lane: u32,
    counts: &mut [(u64, u64); MAX_STREAMS],
) -> io::Result<Look> {
    let size = u64::from(geometry.lane_size);
    let at = Geometry::lane_offset(lane) as u64;
    for _ in 0..LOOKS {
        let tail = long_at(file, at + TAIL_OFFSET as u64)?;
        let seen = Seen::from_raw(long_at(file, at)?);
        let Some(waiting) = seen.head().checked_sub(tail).filter(|waiting| *waiting <= size) else {
            if long_at(file, at + TAIL_OFFSET as u64)? != tail {
                continue;
            }
            return Err(invalid("a lane has an impossible head"));
        };
        let mut bytes = vec![0; waiting as usize];
        let (data, offset) = (geometry.data_offset(lane), tail % size);
        let first = waiting.min(size - offset) as usize;
        file.read_exact_at(&mut bytes[..first], data + offset)?;
        file.read_exact_at(&mut bytes[first..], data)?;
        if long_at(file, at + TAIL_OFFSET as u64)? != tail {
            // Drained under the look: what was copied may be newer writes.
            continue;
        }
        for record in Records::new(&bytes) {
            let (header, payload) =
                record.map_err(|_| invalid("a lane holds bytes that are no record"))?;
            if header.flags & FLAG_NOTE == 0 {
                let (records, total) = &mut counts[usize::from(header.slot) % MAX_STREAMS];
                *records += u64::from(header.fragment == 0);
                *total += payload.len() as u64;
            }
        }
        return Ok(Look { head: seen.head(), tail, locked: seen.is_locked() });
    }
    // It moves too fast to be counted, so it is being drained well.
    let head = Seen::from_raw(long_at(file, at)?);
    Ok(Look { head: head.head(), tail: head.head(), locked: head.is_locked() })
}

fn streams(head: &[u8], counts: &[(u64, u64); MAX_STREAMS]) -> Vec<StreamReport> {
    let table = head.get(STREAMS_OFFSET..ARENA_OFFSET).unwrap_or_default();
    let arena = head.get(ARENA_OFFSET..).unwrap_or_default();
    (0..MAX_STREAMS)
        .filter_map(|slot| {
            let info = SlotInfo::parse(table, slot)?;
            let (waiting_records, waiting_bytes) = counts[slot];
            let stream = match info.kind {
                StreamKind::Stdout => "stdout",
                StreamKind::Stderr => "stderr",
                StreamKind::File => "file",
            };
            let report = StreamReport {
                stream,
                path: info.path(arena).filter(|path| !path.is_empty()).map(text),
                waiting_records,
                waiting_bytes,
                lost_records: info.lost_records,
                lost_bytes: info.lost_bytes,
                uncopied_bytes: info.uncopied_bytes,
                torn_records: info.torn_records,
                torn_bytes: info.torn_bytes,
            };
            let silent = [waiting_records, info.lost_records, info.torn_records] == [0; 3];
            (!silent || info.kind == StreamKind::File).then_some(report)
        })
        .collect()
}

/// Writers keep a shared lock. Where none is shown, only a ring of our own pid namespace is known to be left.
fn in_use(
    locks: &Locks,
    metadata: &std::fs::Metadata,
    info: &RingInfo,
    namespace: u64,
) -> Option<bool> {
    match locks.holder(metadata) {
        Some(_) => Some(true),
        None if info.pid_namespace == namespace && namespace != 0 => Some(false),
        None => None,
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}

fn long_at(file: &File, offset: u64) -> io::Result<u64> {
    let mut word = [0; 8];
    file.read_exact_at(&mut word, offset)?;
    Ok(u64::from_ne_bytes(word))
}

fn long(bytes: &[u8], offset: usize) -> u64 {
    bytes
        .get(offset..offset + 8)
        .and_then(|word| word.try_into().ok())
        .map_or(0, u64::from_ne_bytes)
}

fn word(bytes: &[u8], offset: usize) -> u32 {
    bytes
        .get(offset..offset + 4)
        .and_then(|word| word.try_into().ok())
        .map_or(0, u32::from_ne_bytes)
}

const _: () = assert!(LANES_OFFSET < DATA_OFFSET);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_fresh_for_two_seconds_and_never_from_another_boot() {
        let second = 1_000_000_000;
        assert!(is_fresh(10 * second, 11 * second));
        assert!(!is_fresh(10 * second, 12 * second));
        assert!(!is_fresh(0, second));
        assert!(!is_fresh(100 * second, 10 * second));
    }

    #[test]
    fn coverage_is_told_in_words() {
        assert_eq!(
            hooks(COVERAGE_PLT | COVERAGE_STDIO | SEEN_SPLICE),
            ["write and its family", "glibc's stdio"]
        );
        assert_eq!(seen(SEEN_IO_URING).len(), 1);
    }

    #[test]
    fn what_is_no_ring_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.ring");
        let look = || read(&path, "x.ring", &Locks::read(), 0, 1).map_err(|error| error.kind());
        std::fs::write(&path, vec![7; 40_000]).unwrap();
        assert_eq!(look(), Err(io::ErrorKind::InvalidData));
        std::fs::write(&path, b"short").unwrap();
        assert_eq!(look(), Err(io::ErrorKind::InvalidData));
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/proc/self/exe", &path).unwrap();
        assert!(look().is_err());
    }
}
