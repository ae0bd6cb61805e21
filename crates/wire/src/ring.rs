//! A ring: a file in shared memory into which the threads of a process and its forked children write.
//!
//! ```text
//!  0 ─────────┬ 4096 ────┬ 8192 ──────────┬ 11264 ───────┬ 16384 ─────────────────────────────
//!  │ Header   │ 16 Lane  │ 64 StreamSlot  │ path arena   │ lane 0 │ lane 1 │ ... │ lane n-1 │
//!  └──────────┴──────────┴────────────────┴──────────────┴─────────────────────────────────────
//! ```
//!
//! Several **lanes** instead of one queue, because a writer may be killed, stopped for an hour or jumped
//! out of a hook at any instruction: it then holds one lane, never the ring. A lane is a byte
//! ring of its own. Positions only grow; the byte of a position lies at `position % lane_size`, and
//! records ([`crate::record`]) may wrap around the lane's end at any byte.
//!
//! Writing (in [`writer`]): lock a lane's word by compare-and-swap, note what is pending, take a ticket, copy,
//! then publish and unlock by one release store. Reading: everything in `[tail, head)` is complete and
//! immutable, locked or not; the collector copies it out and stores the tail.
//!
//! A ring has the process's `flock` (shared) as long as any process maps it: when the lock is free, nobody
//! writes any more, and a lane that is locked then was torn.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::{counters, sync};

pub mod lane;
pub mod writer;

/// First eight bytes of a ring.
pub const RING_MAGIC: u64 = 0x3152706174676f6c;
/// Room in the header for lanes.
pub const MAX_LANES: u32 = 16;
/// Slots of the stream table.
pub const MAX_STREAMS: usize = 64;
/// Bytes of the path arena, shared by all slots.
pub const ARENA_SIZE: usize = DATA_OFFSET - ARENA_OFFSET;
/// Smallest and largest lane in bytes.
pub const LANE_SIZES: core::ops::RangeInclusive<u32> = 4096..=(4 << 20);
/// Slot of standard output. It is always in use.
pub const SLOT_STDOUT: u8 = 0;
/// Slot of standard error. It is always in use.
pub const SLOT_STDERR: u8 = 1;
/// First slot of files.
pub const SLOT_FILES: u8 = 2;

/// Where the lanes' words begin.
pub const LANES_OFFSET: usize = 4096;
/// Where the stream table begins.
pub const STREAMS_OFFSET: usize = 8192;
/// Where the path arena begins.
pub const ARENA_OFFSET: usize = 11264;
/// Where the lanes' data begins.
pub const DATA_OFFSET: usize = 16384;
/// The collector's lease lasts so many nanoseconds after it was written.
pub const LEASE_NANOSECONDS: u64 = 2_000_000_000;

/// Set in [`Header::state`]: writers should open a new ring.
pub const STATE_RETIRED: u32 = 1;

/// Hooks of `write` and its family through the dynamic symbol table.
pub const COVERAGE_PLT: u32 = 1;
/// glibc's stdio, narrow.
pub const COVERAGE_STDIO: u32 = 2;
/// glibc's stdio, wide.
pub const COVERAGE_WIDE: u32 = 4;
/// musl's stdio.
pub const COVERAGE_MUSL: u32 = 8;
/// The process set up an io_uring: what it writes that way is not seen.
pub const SEEN_IO_URING: u32 = 1 << 16;
/// The process spliced into a tapped stream: counted as lost.
pub const SEEN_SPLICE: u32 = 1 << 17;
/// The process entered a sandbox: the library makes no system call of its own any more.
pub const SEEN_SANDBOX: u32 = 1 << 18;
/// The process mapped a tapped file to write to it: what it stores that way is not seen.
pub const SEEN_MAPPED: u32 = 1 << 19;

/// The first page of a ring. All but the atomics is written before the file has its name.
#[repr(C)]
pub struct Header {
    /// [`RING_MAGIC`].
    pub magic: u64,
    /// [`crate::VERSION`].
    pub version: u32,
    /// [`DATA_OFFSET`].
    pub data_offset: u32,
    /// Number of lanes, 1 to [`MAX_LANES`].
    pub lanes: u32,
    /// Bytes of a lane, a power of two.
    pub lane_size: u32,
    /// The process that made the ring, in its own pid namespace.
    pub pid: u32,
    /// Its effective user.
    pub user: u32,
    /// Inode of its pid namespace, 0 where it could not be read.
    pub pid_namespace: u64,
    /// When the ring was made, nanoseconds since 1970.
    pub created: u64,
    /// Path of the executable, cut to this length, then zeros.
    pub executable: [u8; 256],
    reserved: [u8; 208],
    /// `COVERAGE_*` and `SEEN_*`.
    pub coverage: AtomicU32,
    /// `STATE_*`.
    pub state: AtomicU32,
    /// Bytes of the path arena in use.
    pub arena_used: AtomicU32,
    reserved2: u32,
    reserved3: [u8; 112],
    /// `CLOCK_MONOTONIC` nanoseconds at which the collector last took care of this ring.
    pub lease: AtomicU64,
}

/// What writers and collector share of one lane.
#[repr(C, align(128))]
pub struct Lane {
    /// `head << 1 | locked`.
    pub word: lane::Word,
    /// What the lane's owner is writing: the head's low 32 bits, the stream's slot (8), the length (24).
    pub pending: sync::AtomicU64,
    /// Process that locked the lane last, in the pid namespace of the ring's maker; 0 where it is in another, or where its
    /// end is not proved by its number alone. Its holder's only once `pending` says so.
    pub owner: sync::AtomicU32,
    reserved: [u8; 108],
    /// Up to where the collector has taken the lane's bytes. Only the collector writes it.
    pub tail: Tail,
}

/// A lane's tail, on a cache line of its own.
#[repr(C, align(128))]
pub struct Tail {
    /// A position.
    pub position: AtomicU64,
}

/// One stream of a ring.
#[repr(C)]
pub struct StreamSlot {
    /// [`StreamKind`] once the slot is in use, 0 before; [`SLOT_CLAIMED`] while it is filled in.
    pub kind: AtomicU32,
    /// Offset (high 16 bits) and length (low 16 bits) of the path in the arena.
    pub path: AtomicU32,
    /// Records of this stream that found no room.
    pub lost_records: AtomicU64,
    /// Their bytes.
    pub lost_bytes: AtomicU64,
    /// Bytes written past the hooks in a way that cannot be copied (splice), also in `lost_bytes`.
    pub uncopied_bytes: AtomicU64,
    /// Records whose writer died while it wrote them, found by a sibling that took the lane back.
    pub torn_records: AtomicU64,
    /// Their bytes, as far as they were known.
    pub torn_bytes: AtomicU64,
}

/// A slot that is being filled in.
pub const SLOT_CLAIMED: u32 = 255;

/// What kind of stream a slot or a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum StreamKind {
    /// Standard output.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
    /// A file; it has a path.
    File = 3,
}

impl StreamKind {
    /// The kind of this number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Stdout),
            2 => Some(Self::Stderr),
            3 => Some(Self::File),
            _ => None,
        }
    }
}

/// Offset of [`Header::coverage`] in the file.
pub const COVERAGE_OFFSET: usize = offset_of!(Header, coverage);
/// Offset of [`Header::state`].
pub const STATE_OFFSET: usize = offset_of!(Header, state);
/// Offset of [`Header::lease`].
pub const LEASE_OFFSET: usize = offset_of!(Header, lease);
/// Offset of [`Lane::pending`] in a lane.
pub const PENDING_OFFSET: usize = offset_of!(Lane, pending);
/// Offset of [`Lane::owner`] in a lane.
pub const OWNER_OFFSET: usize = offset_of!(Lane, owner);
/// Offset of [`Lane::tail`] in a lane.
pub const TAIL_OFFSET: usize = offset_of!(Lane, tail);

const _: () = assert!(RING_MAGIC == u64::from_le_bytes(*b"logtapR1"));
const _: () = assert!(size_of::<Header>() <= LANES_OFFSET);
const _: () = assert!(COVERAGE_OFFSET == 512 && LEASE_OFFSET == 640);
#[cfg(not(loom))]
const _: () = assert!(size_of::<Lane>() == 256 && TAIL_OFFSET == 128);
const _: () = assert!(ARENA_OFFSET == STREAMS_OFFSET + MAX_STREAMS * size_of::<StreamSlot>());

/// Lanes and their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Number of lanes.
    pub lanes: u32,
    /// Bytes of each, a power of two.
    pub lane_size: u32,
}

/// The ring that a process gets at its start: small, so that short programs cost little.
pub const STARTER: Geometry = Geometry { lanes: 4, lane_size: 16 << 10 };

impl Geometry {
    /// The lanes of a ring of at most so many bytes (and at least 64 KiB).
    pub const fn of_size(bytes: u32) -> Self {
        let share = bytes / MAX_LANES;
        let lane_size = if share < 4096 { 4096 } else { 1 << share.ilog2() };
        Self { lanes: MAX_LANES, lane_size }
    }

    /// Bytes of the ring's file.
    pub const fn file_size(self) -> u64 {
        DATA_OFFSET as u64 + self.lanes as u64 * self.lane_size as u64
    }

    /// Offset of a lane's [`Lane`] in the file.
    pub const fn lane_offset(lane: u32) -> usize {
        LANES_OFFSET + lane as usize * size_of::<Lane>()
    }

    /// Offset of a lane's first byte in the file.
    pub const fn data_offset(self, lane: u32) -> u64 {
        DATA_OFFSET as u64 + lane as u64 * self.lane_size as u64
    }
}

/// What the collector takes from a ring's first page, once, at adoption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingInfo {
    /// Lanes and their size.
    pub geometry: Geometry,
    /// The process that made it, in its own pid namespace.
    pub pid: u32,
    /// Its effective user.
    pub user: u32,
    /// Inode of its pid namespace, 0 where unknown.
    pub pid_namespace: u64,
    /// When it was made, nanoseconds since 1970.
    pub created: u64,
    /// Executable's path: bytes up to the first zero.
    pub executable: [u8; 256],
    /// `COVERAGE_*` and `SEEN_*` at that moment.
    pub coverage: u32,
}

/// Why a file is no ring that this version reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotARing {
    /// Too short, or without the magic word.
    Foreign,
    /// Made by another version of the library.
    Version(u32),
    /// Its geometry is impossible, or the file is smaller than it says.
    Geometry(Geometry),
}

impl core::fmt::Display for NotARing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Foreign => f.write_str("not a ring"),
            Self::Version(version) => {
                write!(f, "ring of version {version}, this is version {}", crate::VERSION)
            }
            Self::Geometry(Geometry { lanes, lane_size }) => {
                write!(f, "impossible geometry of {lanes} lanes of {lane_size} bytes")
            }
        }
    }
}

impl RingInfo {
    /// Reads a copy of the first page of a file of `file_size` bytes.
    pub fn parse(page: &[u8], file_size: u64) -> Result<Self, NotARing> {
        let bytes = |offset: usize, length: usize| {
            page.get(offset..offset + length).ok_or(NotARing::Foreign)
        };
        let word = |offset: usize| {
            bytes(offset, 4).map(|four| u32::from_ne_bytes([four[0], four[1], four[2], four[3]]))
        };
        let long = |offset: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(bytes(offset, 8)?);
            Ok(u64::from_ne_bytes(eight))
        };
        if long(0)? != RING_MAGIC {
            return Err(NotARing::Foreign);
        }
        match word(offset_of!(Header, version))? {
            crate::VERSION => {}
            other => return Err(NotARing::Version(other)),
        }
        let geometry = Geometry {
            lanes: word(offset_of!(Header, lanes))?,
            lane_size: word(offset_of!(Header, lane_size))?,
        };
        let possible = (1..=MAX_LANES).contains(&geometry.lanes)
            && LANE_SIZES.contains(&geometry.lane_size)
            && geometry.lane_size.is_power_of_two()
            && word(offset_of!(Header, data_offset))? == DATA_OFFSET as u32
            && geometry.file_size() == file_size;
        if !possible {
            return Err(NotARing::Geometry(geometry));
        }
        let mut executable = [0; 256];
        executable.copy_from_slice(bytes(offset_of!(Header, executable), 256)?);
        Ok(Self {
            geometry,
            pid: word(offset_of!(Header, pid))?,
            user: word(offset_of!(Header, user))?,
            pid_namespace: long(offset_of!(Header, pid_namespace))?,
            created: long(offset_of!(Header, created))?,
            executable,
            coverage: word(COVERAGE_OFFSET)?,
        })
    }

    /// The executable's path.
    pub fn executable_path(&self) -> &[u8] {
        let end = self.executable.iter().position(|&byte| byte == 0);
        &self.executable[..end.unwrap_or(self.executable.len())]
    }
}

/// A slot of the stream table, as read from a copy of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotInfo {
    /// What it is.
    pub kind: StreamKind,
    /// Where its path lies in the arena.
    pub path_offset: u16,
    /// Length of the path.
    pub path_length: u16,
    /// Records that found no room.
    pub lost_records: u64,
    /// Their bytes.
    pub lost_bytes: u64,
    /// Bytes that could not be copied, also in `lost_bytes`.
    pub uncopied_bytes: u64,
    /// Records whose writer died, found by a sibling that took the lane back.
    pub torn_records: u64,
    /// Their bytes, as far as they were known.
    pub torn_bytes: u64,
}

impl SlotInfo {
    /// Reads one slot from the bytes of the stream table. `None` where it is not in use.
    pub fn parse(table: &[u8], slot: usize) -> Option<Self> {
        let start = slot.checked_mul(size_of::<StreamSlot>())?;
        let bytes = table.get(start..start + size_of::<StreamSlot>())?;
        let word = |offset: usize| {
            u32::from_ne_bytes(bytes[offset..offset + 4].try_into().unwrap_or([0; 4]))
        };
        let long = |offset: usize| {
            u64::from_ne_bytes(bytes[offset..offset + 8].try_into().unwrap_or([0; 8]))
        };
        let path = word(offset_of!(StreamSlot, path));
        Some(Self {
            kind: StreamKind::from_number(word(offset_of!(StreamSlot, kind)))?,
            path_offset: (path >> 16) as u16,
            path_length: path as u16,
            lost_records: long(offset_of!(StreamSlot, lost_records)),
            lost_bytes: long(offset_of!(StreamSlot, lost_bytes)),
            uncopied_bytes: long(offset_of!(StreamSlot, uncopied_bytes)),
            torn_records: long(offset_of!(StreamSlot, torn_records)),
            torn_bytes: long(offset_of!(StreamSlot, torn_bytes)),
        })
    }

    /// Whether its counters can be true. Others than the ring's writers may have written there.
    pub const fn can_be_true(&self) -> bool {
        counters::can_be_true(self.lost_records, self.lost_bytes)
            && counters::can_be_true(self.torn_records, self.torn_bytes)
            && self.uncopied_bytes <= counters::MOST_BYTES
    }

    /// The path, from a copy of the arena.
    pub fn path<'a>(&self, arena: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::from(self.path_offset);
        arena.get(start..start + usize::from(self.path_length))
    }
}

/// What an owner was writing, read from [`Lane::pending`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The low 32 bits of the head at which the record was to begin.
    pub head: u32,
    /// Slot of the stream.
    pub slot: u8,
    /// Bytes of payload; 0 for a lane that a larger write holds and has not yet come to.
    pub length: u32,
}

impl Pending {
    /// The word of a lane whose holder was taken away: no head, since those are multiples of 8.
    pub const NONE: u64 = u64::MAX;

    /// Largest length that the word can hold.
    pub const MAX_LENGTH: u32 = (1 << 24) - 1;

    /// As it lies in the lane.
    #[inline(always)]
    pub const fn to_word(self) -> u64 {
        self.head as u64 | (self.slot as u64) << 32 | (self.length as u64) << 40
    }

    /// Reads the word.
    pub const fn from_word(word: u64) -> Self {
        Self { head: word as u32, slot: (word >> 32) as u8, length: (word >> 40) as u32 }
    }

    /// Whether the note belongs to the record at `head`: then a locked lane was torn by exactly this
    /// record; otherwise its owner had not yet said what it was about to write.
    pub const fn is_at(self, head: u64) -> bool {
        self.head == head as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_of_another_size_or_version_is_refused() {
        let mut page = vec![0_u8; 4096];
        assert_eq!(RingInfo::parse(&page, 0), Err(NotARing::Foreign));
        page[..8].copy_from_slice(&RING_MAGIC.to_ne_bytes());
        assert_eq!(RingInfo::parse(&page, 0), Err(NotARing::Version(0)));
        page[8..12].copy_from_slice(&crate::VERSION.to_ne_bytes());
        page[12..16].copy_from_slice(&(DATA_OFFSET as u32).to_ne_bytes());
        page[16..20].copy_from_slice(&4_u32.to_ne_bytes());
        page[20..24].copy_from_slice(&(16_u32 << 10).to_ne_bytes());
        let size = STARTER.file_size();
        assert_eq!(RingInfo::parse(&page, size).unwrap().geometry, STARTER);
        assert_eq!(RingInfo::parse(&page, size - 1), Err(NotARing::Geometry(STARTER)));
        assert_eq!(RingInfo::parse(&page[..100], size), Err(NotARing::Foreign));
    }

    #[test]
    fn pending_survives_its_word() {
        let pending = Pending { head: 0xdead_beef, slot: 63, length: Pending::MAX_LENGTH };
        assert_eq!(Pending::from_word(pending.to_word()), pending);
        assert!(pending.is_at(0x1_dead_beef));
    }
}
