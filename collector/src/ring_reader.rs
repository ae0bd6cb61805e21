//! One ring, read with `pread` only: words alone, then the bytes they vouch for, into private memory.
//!
//! The file belongs to somebody else's process. Sizes are taken once, at adoption; whatever does not
//! fit them later makes the ring hostile, and it is not read again. What is wrong inside the rules
//! (nonsense in a stream's name) is taken as it is; a counter that cannot be true is corrupt, and keeps the value that it
//! had when it was last believed.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{Ordering, fence};

use logtap_wire::record::{FLAG_MORE, RecordHeader, size_of_record};
use logtap_wire::ring::lane::Seen;
use logtap_wire::ring::{
    ARENA_OFFSET, ARENA_SIZE, COVERAGE_OFFSET, DATA_OFFSET, Geometry, LANES_OFFSET, LEASE_OFFSET,
    Lane, MAX_STREAMS, OWNER_OFFSET, PENDING_OFFSET, Pending, RingInfo, SLOT_STDERR, SLOT_STDOUT,
    STATE_OFFSET, STATE_RETIRED, STREAMS_OFFSET, SlotInfo, StreamKind, TAIL_OFFSET,
};
use rustix::fs::FlockOperation;

use crate::directory::RingFile;
use crate::merge::Place;

/// A lane that is held by the same write for so long (nanoseconds) counts as stuck.
const STUCK_AFTER: u64 = 1_000_000_000;

/// About what a record that waits costs in memory beside its bytes.
const COST_OF_WAITING: usize = 128;

/// Why a ring is not read any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Hostility {
    #[error("{0}")]
    NotARing(logtap_wire::ring::NotARing),
    #[error("the file has holes")]
    Sparse,
    #[error("the file is `{name}` under another name")]
    SecondName { name: String },
    #[error("the file became shorter")]
    CutOff,
    #[error("lane {lane} has an impossible head")]
    BadHead { lane: u32 },
    #[error("lane {lane} holds bytes that are no record")]
    BadRecord { lane: u32 },
    #[error("a record names slot {slot}, which is not in use")]
    BadSlot { slot: u8 },
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A ring that is being read.
#[derive(Debug)]
pub(crate) struct RingReader {
    pub(crate) name: String,
    /// Of its file.
    pub(crate) inode: u64,
    pub(crate) info: RingInfo,
    file: File,
    lanes: Vec<LaneReader>,
    /// Copy of the lanes' words, taken in bulk: good for seeing that something changed, no more.
    hints: Vec<u8>,
    known_slots: u64,
    /// Losses that an earlier collector has told: slot, records, bytes.
    told: Vec<(u8, u64, u64)>,
    /// What each slot's counters were when they were last believed, where they were anything.
    believed: BTreeMap<u8, Counters>,
    /// Slots whose counters are corrupt, one bit each.
    corrupt: u64,
    /// The streams' table and the path arena, as last read.
    table: Vec<u8>,
    retired: bool,
}

#[derive(Debug, Default)]
struct LaneReader {
    /// Records before this position were parsed.
    read: u64,
    /// Up to where the writers may overwrite: the tail that was stored last.
    released: u64,
    /// Up to where a chunk has promised to release.
    promised: u64,
    /// The bytes from `base` to `read`.
    buffer: Vec<u8>,
    base: u64,
    /// Records that are parsed and not taken yet: position, and whether it was taken meanwhile.
    waiting: VecDeque<(u64, bool)>,
    /// The word when it was last seen locked, and since when.
    locked: Option<(u64, u64)>,
}

/// A slot's counters: lost records and bytes, torn records and bytes.
type Counters = [u64; 4];

/// A record of a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parsed {
    pub(crate) lane: u32,
    pub(crate) position: u64,
    pub(crate) header: RecordHeader,
}

impl Parsed {
    pub(crate) fn place(&self) -> Place {
        Place { ticket: self.header.ticket, fragment: self.header.fragment }
    }

    pub(crate) fn more(&self) -> bool {
        self.header.flags & FLAG_MORE != 0
    }
}

/// A write whose writer died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Torn {
    /// Stream and bytes, if the writer got as far as to say.
    pub(crate) what: Option<(u8, u64)>,
}

impl RingReader {
    /// Takes a ring over.
    pub(crate) fn adopt(name: &str, ring: RingFile) -> Result<Self, Hostility> {
        let RingFile { file, size, blocks, inode } = ring;
        let mut page = [0; LANES_OFFSET];
        if size < DATA_OFFSET as u64 {
            return Err(Hostility::NotARing(logtap_wire::ring::NotARing::Foreign));
        }
        read_exact(&file, &mut page, 0)?;
        let info = RingInfo::parse(&page, size).map_err(Hostility::NotARing)?;
        if blocks.saturating_mul(512) < size {
            return Err(Hostility::Sparse);
        }
        let lanes = (0..info.geometry.lanes)
            .map(|lane| {
                let at = Geometry::lane_offset(lane) + TAIL_OFFSET;
                let stored = read_word(&file, at as u64)?;
                Ok(LaneReader {
                    read: stored,
                    released: stored,
                    promised: stored,
                    base: stored,
                    ..LaneReader::default()
                })
            })
            .collect::<Result<_, Hostility>>()?;
        Ok(Self {
            name: name.to_owned(),
            inode,
            hints: vec![0; info.geometry.lanes as usize * size_of::<Lane>()],
            info,
            file,
            lanes,
            known_slots: 0,
            told: Vec::new(),
            believed: BTreeMap::new(),
            corrupt: 0,
            table: Vec::new(),
            retired: false,
        })
    }

    /// Goes on behind these positions, whatever the ring says: its records before are safe already.
    pub(crate) fn resume(&mut self, tails: &[u64]) {
        for (lane, &tail) in self.lanes.iter_mut().zip(tails) {
            lane.read = tail.max(lane.read);
            lane.base = lane.read;
        }
    }

    /// Learns what an earlier collector has told of a slot's losses.
    pub(crate) fn know_told(&mut self, slot: u8, records: u64, bytes: u64) {
        self.told.push((slot, records, bytes));
    }

    /// What an earlier collector has told of a slot's losses: records and bytes.
    pub(crate) fn told(&self, slot: u8) -> Option<(u64, u64)> {
        let told = self.told.iter().find(|told| told.0 == slot)?;
        Some((told.1, told.2))
    }

    /// Up to where each lane's records were taken.
    pub(crate) fn positions(&self) -> Vec<u64> {
        self.lanes.iter().map(LaneReader::safe).collect()
    }

    /// Number of lanes.
    pub(crate) fn lanes(&self) -> u32 {
        self.info.geometry.lanes
    }

    /// Copies all words, to see which lanes have changed.
    pub(crate) fn look(&mut self) -> Result<(), Hostility> {
        read_exact(&self.file, &mut self.hints, LANES_OFFSET as u64)
    }

    /// Whether a lane seems to have something new.
    pub(crate) fn has_news(&self, lane: u32) -> bool {
        self.hint(lane).head() != self.lanes[lane as usize].read
    }

    /// Reads what is new in a lane and hands its records, in their order in the lane, to `each`,
    /// which says whether it has taken the record. Returns how many bytes were read.
    pub(crate) fn read_lane(
        &mut self,
        lane: u32,
        mut each: impl FnMut(&Parsed, &[u8]) -> bool,
    ) -> Result<u64, Hostility> {
        let size = u64::from(self.info.geometry.lane_size);
        let at = Geometry::lane_offset(lane) as u64;
        let head = Seen::from_raw(read_word(&self.file, at)?).head();
        fence(Ordering::Acquire);
        let reader = &mut self.lanes[lane as usize];
        if head < reader.read || head - reader.released > size || !head.is_multiple_of(8) {
            return Err(Hostility::BadHead { lane });
        }
        let new = head - reader.read;
        if new == 0 {
            return Ok(0);
        }
        reader.compact();
        let start = reader.buffer.len();
        reader.buffer.resize(start + new as usize, 0);
        let data = self.info.geometry.data_offset(lane);
        let offset = reader.read % size;
        let first = new.min(size - offset) as usize;
        let target = &mut reader.buffer[start..];
        read_exact(&self.file, &mut target[..first], data + offset)?;
        read_exact(&self.file, &mut target[first..], data)?;
        while reader.read < head {
            let from = (reader.read - reader.base) as usize;
            let rest = &reader.buffer[from..];
            let Some(header) = RecordHeader::from_bytes(rest) else {
                return Err(Hostility::BadRecord { lane });
            };
            let length = header.length as usize;
            let record = size_of_record(length);
            let payload =
                rest.get(logtap_wire::record::HEADER_SIZE..).and_then(|rest| rest.get(..length));
            let (Some(payload), true) = (payload, record <= rest.len()) else {
                return Err(Hostility::BadRecord { lane });
            };
            if usize::from(header.slot) >= MAX_STREAMS {
                return Err(Hostility::BadSlot { slot: header.slot });
            }
            let parsed = Parsed { lane, position: reader.read, header };
            if !each(&parsed, payload) {
                reader.waiting.push_back((reader.read, false));
            }
            reader.read += record as u64;
        }
        Ok(new)
    }

    /// The payload of a record that was not taken when it was read, and takes it.
    pub(crate) fn take(&mut self, parsed: &Parsed) -> &[u8] {
        let reader = &mut self.lanes[parsed.lane as usize];
        if let Ok(at) = reader.waiting.binary_search_by_key(&parsed.position, |waiting| waiting.0) {
            reader.waiting[at].1 = true;
        }
        while reader.waiting.front().is_some_and(|waiting| waiting.1) {
            reader.waiting.pop_front();
        }
        let start = (parsed.position - reader.base) as usize + logtap_wire::record::HEADER_SIZE;
        reader.buffer.get(start..start + parsed.header.length as usize).unwrap_or_default()
    }

    /// Bytes of records that wait for their turn.
    pub(crate) fn buffered(&self) -> usize {
        let waiting = |lane: &&LaneReader| !lane.waiting.is_empty();
        let bytes = |lane: &LaneReader| lane.buffer.len() + lane.waiting.len() * COST_OF_WAITING;
        self.lanes.iter().filter(waiting).map(bytes).sum()
    }

    /// Lanes from which more was taken since the last call, and up to where.
    pub(crate) fn promises(&mut self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.lanes.iter_mut().enumerate().filter_map(|(index, lane)| {
            let safe = lane.safe();
            (safe != lane.promised).then(|| {
                lane.promised = safe;
                (index as u32, safe)
            })
        })
    }

    /// Lets the writers overwrite everything before `position`.
    pub(crate) fn release(&mut self, lane: u32, position: u64) -> io::Result<()> {
        let Some(reader) = self.lanes.get_mut(lane as usize) else { return Ok(()) };
        if position <= reader.released {
            return Ok(());
        }
        reader.released = position;
        fence(Ordering::SeqCst);
        let at = Geometry::lane_offset(lane) + TAIL_OFFSET;
        self.file.write_all_at(&position.to_ne_bytes(), at as u64)
    }

    /// Whether a lane is so full that its writers may soon have to wait.
    pub(crate) fn is_pressed(&self) -> bool {
        let half = u64::from(self.info.geometry.lane_size) / 2;
        self.lanes.iter().any(|lane| lane.read - lane.released > half)
    }

    /// Slots whose streams were told, one bit each.
    pub(crate) fn known_slots(&self) -> u64 {
        self.known_slots
    }

    /// What a slot is, the first time that it is asked for. `None` where it was told already.
    pub(crate) fn new_stream(
        &mut self,
        slot: u8,
    ) -> Result<Option<(StreamKind, &[u8])>, Hostility> {
        if self.known_slots & (1 << slot) != 0 {
            return Ok(None);
        }
        self.known_slots |= 1 << slot;
        self.read_table()?;
        let (table, arena) = self.table.split_at(ARENA_OFFSET - STREAMS_OFFSET);
        match (SlotInfo::parse(table, usize::from(slot)), slot) {
            (Some(info), _) => Ok(Some((info.kind, info.path(arena).unwrap_or_default()))),
            (None, SLOT_STDOUT) => Ok(Some((StreamKind::Stdout, &[]))),
            (None, SLOT_STDERR) => Ok(Some((StreamKind::Stderr, &[]))),
            (None, slot) => Err(Hostility::BadSlot { slot }),
        }
    }

    /// Slots whose writers counted something that was lost or torn, with all that they counted, as far as it can be true.
    /// Counters only grow: one that has shrunk is corrupt too.
    pub(crate) fn losses(&mut self) -> Result<Vec<(u8, SlotInfo)>, Hostility> {
        let mut table = [0; ARENA_OFFSET - STREAMS_OFFSET];
        read_exact(&self.file, &mut table, STREAMS_OFFSET as u64)?;
        let mut slots = Vec::new();
        for slot in 0..MAX_STREAMS as u8 {
            let Some(mut info) = SlotInfo::parse(&table, usize::from(slot)) else { continue };
            let counts = [info.lost_records, info.lost_bytes, info.torn_records, info.torn_bytes];
            let believed = self.believed.get(&slot).copied().unwrap_or_default();
            let has_grown = counts.iter().zip(&believed).all(|(now, before)| now >= before);
            if has_grown && info.can_be_true() {
                if counts != believed {
                    self.believed.insert(slot, counts);
                }
            } else {
                self.corrupt |= 1 << slot;
                [info.lost_records, info.lost_bytes, info.torn_records, info.torn_bytes] = believed;
            }
            let kept = [info.lost_records, info.lost_bytes, info.torn_records, info.torn_bytes];
            if kept != [0; 4] {
                slots.push((slot, info));
            }
        }
        Ok(slots)
    }

    /// Slots whose counters were found to be corrupt, one bit each.
    pub(crate) const fn corrupt_slots(&self) -> u64 {
        self.corrupt
    }

    /// Whether no process has the ring any more. From then on nothing in it changes.
    pub(crate) fn is_free(&self) -> bool {
        rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    /// Writes that were cut off by their writers' end. Only for a ring that is free.
    pub(crate) fn torn(&mut self) -> Result<Vec<Torn>, Hostility> {
        self.look()?;
        let mut torn = Vec::new();
        let (mut told, mut silent) = (Vec::new(), Vec::new());
        for lane in 0..self.lanes() {
            let seen = self.hint(lane);
            if !seen.is_locked() {
                continue;
            }
            let owner = self.hint_word(lane, OWNER_OFFSET) as u32;
            let pending = Pending::from_word(self.hint_word(lane, PENDING_OFFSET));
            let known = pending.is_at(seen.head()) && pending.length > 0;
            if known && usize::from(pending.slot) < MAX_STREAMS {
                torn.push(Torn { what: Some((pending.slot, u64::from(pending.length))) });
                told.push(owner);
            } else if !silent.contains(&owner) {
                silent.push(owner);
            }
        }
        // One write may hold several lanes and say of one at a time what it is about to do.
        silent.retain(|owner| !told.contains(owner));
        torn.extend(silent.iter().map(|_| Torn { what: None }));
        Ok(torn)
    }

    /// Asks the writers for a new ring where most lanes have been held by the same write too long.
    ///
    /// It takes no lane back, even from an owner that is known to be gone: without a mapping there is no compare and
    /// swap, and a plain store could undo what a sibling has just done with the lane.
    pub(crate) fn retire_if_stuck(&mut self, now: u64) -> io::Result<bool> {
        let mut stuck = 0;
        for lane in 0..self.lanes() {
            let seen = self.hint(lane);
            let reader = &mut self.lanes[lane as usize];
            reader.locked = match reader.locked {
                _ if !seen.is_locked() => None,
                Some((head, since)) if head == seen.head() => Some((head, since)),
                _ => Some((seen.head(), now)),
            };
            stuck += u32::from(
                reader.locked.is_some_and(|(_, since)| now.saturating_sub(since) > STUCK_AFTER),
            );
        }
        if stuck <= self.lanes() / 2 || self.retired {
            return Ok(false);
        }
        self.retired = true;
        self.file.write_all_at(&STATE_RETIRED.to_ne_bytes(), STATE_OFFSET as u64)?;
        Ok(true)
    }

    /// Tells the writers that the collector lives, or with 0 that it does not.
    pub(crate) fn lease(&self, now: u64) -> io::Result<()> {
        self.file.write_all_at(&now.to_ne_bytes(), LEASE_OFFSET as u64)
    }

    /// Gives the file's memory back. Only for a ring that is free.
    pub(crate) fn empty(&self) -> io::Result<()> {
        self.file.set_len(0)
    }

    /// `COVERAGE_*` and `SEEN_*` bits now.
    pub(crate) fn coverage(&self) -> u32 {
        let mut word = [0; 4];
        match self.file.read_exact_at(&mut word, COVERAGE_OFFSET as u64) {
            Ok(()) => u32::from_ne_bytes(word),
            Err(_) => self.info.coverage,
        }
    }

    fn read_table(&mut self) -> Result<(), Hostility> {
        self.table.resize(ARENA_OFFSET - STREAMS_OFFSET + ARENA_SIZE, 0);
        read_exact(&self.file, &mut self.table, STREAMS_OFFSET as u64)
    }

    fn hint(&self, lane: u32) -> Seen {
        Seen::from_raw(self.hint_word(lane, 0))
    }

    fn hint_word(&self, lane: u32, offset: usize) -> u64 {
        let at = lane as usize * size_of::<Lane>() + offset;
        let bytes = self.hints.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_ne_bytes)
    }
}

impl LaneReader {
    /// Everything before this was taken.
    fn safe(&self) -> u64 {
        self.waiting.front().map_or(self.read, |waiting| waiting.0)
    }

    /// Forgets bytes that nobody waits for.
    fn compact(&mut self) {
        let safe = self.safe();
        let gone = (safe - self.base) as usize;
        if gone == self.buffer.len() {
            self.buffer.clear();
            self.base = safe;
        } else if gone > self.buffer.len() / 2 {
            self.buffer.drain(..gone);
            self.base = safe;
        }
    }
}

/// Eight bytes at an address that the processor reads and writes in one piece.
#[repr(align(8))]
struct Word([u8; 8]);

fn read_word(file: &File, at: u64) -> Result<u64, Hostility> {
    let mut word = Word([0; 8]);
    read_exact(file, &mut word.0, at)?;
    Ok(u64::from_ne_bytes(word.0))
}

/// Fills `buffer`; a file that ends before is hostile.
fn read_exact(file: &File, buffer: &mut [u8], at: u64) -> Result<(), Hostility> {
    file.read_exact_at(buffer, at).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Hostility::CutOff,
        _ => Hostility::Io(error),
    })
}

#[cfg(test)]
mod tests;
