//! One ring: an honest writer, somebody who spoils the file, and the reader.
//!
//! As long as nobody has spoilt anything, all that was written is read, once, in order and as it was. Afterwards it
//! may be refused at any point, but no position is handed out twice, nothing is read that is not in the file, no tail
//! passes a head, and no more memory is held than the lanes have.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::mem::offset_of;
use std::os::unix::fs::FileExt as _;

use logtap_wire::record::{FLAG_MORE, RecordHeader, size_of_record};
use logtap_wire::ring::{
    ARENA_SIZE, DATA_OFFSET, Geometry, Header, MAX_STREAMS, RING_MAGIC, TAIL_OFFSET,
};
use rustix::fs::{FallocateFlags, MemfdFlags};

use super::Script;
use crate::directory::RingFile;
use crate::ring_reader::{Hostility, Parsed, RingReader};

/// Longer inputs add nothing.
const MAX_STEPS: usize = 200;

/// Runs a script on one ring.
pub fn ring(data: &[u8]) {
    let mut script = Script::new(data);
    let lanes = u32::from(script.byte() % 4) + 1;
    let geometry = Geometry { lanes, lane_size: 4096 };
    let start = if script.byte().is_multiple_of(2) { 0 } else { script.long() >> 2 & !7 };
    let mut ring = SpoiltRing::new(geometry, start);
    let Ok(reader) = ring.adopt() else { unreachable!("a fresh ring is one") };
    let mut watched = Watched::new(reader, geometry, start);
    for _ in 0..MAX_STEPS {
        if script.is_over() {
            break;
        }
        if ring.step(&mut script, &mut watched).is_err() {
            assert!(ring.spoilt, "an honest ring was refused");
            return;
        }
    }
    let lanes = lanes.min(watched.geometry.lanes);
    let read = (0..lanes).try_for_each(|lane| watched.read(&mut ring, lane, 0xff));
    if !ring.spoilt {
        read.expect("an honest ring is read to its end");
        watched.take(&mut ring, usize::MAX);
        assert!(ring.lanes.iter().all(|lane| lane.written.is_empty()), "something was not read");
    }
}

struct SpoiltRing {
    file: File,
    geometry: Geometry,
    lanes: Vec<WrittenLane>,
    /// From here on nothing is promised.
    spoilt: bool,
}

/// What the honest writer has put into a lane, by position.
#[derive(Default)]
struct WrittenLane {
    head: u64,
    /// Nobody has taken it.
    written: BTreeMap<u64, Vec<u8>>,
    /// Taken, and what a reader that begins again may take again if another before it was not.
    taken: BTreeMap<u64, Vec<u8>>,
}

impl SpoiltRing {
    fn new(geometry: Geometry, start: u64) -> Self {
        let name = c"ring";
        let file = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC).expect("a file in memory");
        let file = File::from(file);
        let mut page = vec![0; DATA_OFFSET];
        let mut put = |at: usize, word: &[u8]| page[at..at + word.len()].copy_from_slice(word);
        put(offset_of!(Header, magic), &RING_MAGIC.to_ne_bytes());
        put(offset_of!(Header, version), &logtap_wire::VERSION.to_ne_bytes());
        put(offset_of!(Header, data_offset), &(DATA_OFFSET as u32).to_ne_bytes());
        put(offset_of!(Header, lanes), &geometry.lanes.to_ne_bytes());
        put(offset_of!(Header, lane_size), &geometry.lane_size.to_ne_bytes());
        for lane in 0..geometry.lanes {
            put(Geometry::lane_offset(lane), &(start << 1).to_ne_bytes());
            put(Geometry::lane_offset(lane) + TAIL_OFFSET, &start.to_ne_bytes());
        }
        let size = geometry.file_size();
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size).expect("memory");
        file.write_all_at(&page, 0).expect("memory");
        let lane = |_| WrittenLane { head: start, ..WrittenLane::default() };
        let lanes = (0..geometry.lanes).map(lane).collect();
        Self { file, geometry, lanes, spoilt: false }
    }

    fn adopt(&self) -> Result<RingReader, Hostility> {
        use std::os::unix::fs::MetadataExt as _;
        let file = self.file.try_clone().expect("a descriptor");
        let metadata = file.metadata().expect("a file");
        let (size, blocks, inode) = (metadata.len(), metadata.blocks(), metadata.ino());
        RingReader::adopt("fuzz.ring", RingFile { file, size, blocks, inode })
    }

    fn word(&self, at: usize) -> u64 {
        let mut word = [0; 8];
        match self.file.read_exact_at(&mut word, at as u64) {
            Ok(()) => u64::from_ne_bytes(word),
            Err(_) => 0,
        }
    }

    fn head(&self, lane: u32) -> u64 {
        self.word(Geometry::lane_offset(lane)) >> 1
    }

    fn tail(&self, lane: u32) -> u64 {
        self.word(Geometry::lane_offset(lane) + TAIL_OFFSET)
    }

    fn step(&mut self, script: &mut Script<'_>, watched: &mut Watched) -> Result<(), Hostility> {
        let choice = script.byte();
        let lane = u32::from(choice >> 4) % self.geometry.lanes.min(watched.geometry.lanes);
        match choice & 15 {
            0..=3 => self.write(script, lane),
            4 => self.poke(script),
            5 => {
                self.spoilt = true;
                let at = Geometry::lane_offset(lane) as u64;
                let near = self.head(lane).wrapping_add(u64::from(script.short())) & !7;
                let word = if script.byte().is_multiple_of(2) { near << 1 } else { script.long() };
                self.file.write_all_at(&word.to_ne_bytes(), at).unwrap_or_default();
            }
            6 => {
                self.spoilt = true;
                let length = u64::from(script.word() % (1 << 17));
                self.file.set_len(length).unwrap_or_default();
            }
            7 => {
                self.spoilt = true;
                let (from, length) = (u64::from(script.short()), u64::from(script.short()) + 1);
                let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                rustix::fs::fallocate(&self.file, hole, from, length).unwrap_or_default();
            }
            8..=10 => watched.read(self, lane, script.byte())?,
            11 => watched.take(self, usize::from(script.byte())),
            12 => watched.release(self),
            13 => watched.ask(script.byte())?,
            14 => watched.restart(self)?,
            _ => {
                // A file of other bytes altogether.
                self.spoilt = true;
                let bytes = script.bytes(usize::MAX);
                self.file.write_all_at(bytes, 0).unwrap_or_default();
                watched.restart(self)?;
            }
        }
        Ok(())
    }

    /// What the library's writer does, byte by byte, if there is room.
    fn write(&mut self, script: &mut Script<'_>, lane: u32) {
        let length = usize::from(script.short() % 4000);
        let flags = script.byte() & FLAG_MORE;
        let size = size_of_record(length) as u64;
        let tail = self.tail(lane);
        let known = &mut self.lanes[lane as usize];
        let used = known.head.wrapping_sub(tail);
        if used.saturating_add(size) > u64::from(self.geometry.lane_size) {
            return;
        }
        let fill = known.head as u8 | 1;
        let header = RecordHeader {
            length: length as u32,
            flags,
            ticket: known.head,
            slot: script.byte() % 2,
            ..RecordHeader::default()
        };
        let mut bytes: Vec<u8> =
            header.to_words().iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.resize(bytes.len() + length, fill);
        bytes.resize(size as usize, 0);
        let lane_size = u64::from(self.geometry.lane_size);
        let data = self.geometry.data_offset(lane);
        let first = (lane_size - known.head % lane_size).min(size) as usize;
        let at = data + known.head % lane_size;
        // Whoever has cut the file off has spoilt it: then it does not matter where this goes.
        self.file.write_all_at(&bytes[..first], at).unwrap_or_default();
        self.file.write_all_at(&bytes[first..], data).unwrap_or_default();
        known.written.insert(known.head, vec![fill; length]);
        known.head += size;
        let word = (known.head << 1).to_ne_bytes();
        self.file.write_all_at(&word, Geometry::lane_offset(lane) as u64).unwrap_or_default();
    }

    /// The reader has taken a record: once, and as it was written.
    fn taken(&mut self, parsed: &Parsed, payload: &[u8]) {
        if !self.spoilt {
            let lane = &mut self.lanes[parsed.lane as usize];
            let written = lane.written.remove(&parsed.position);
            assert!(written.as_deref() == Some(payload), "not written so, or taken twice");
            lane.taken.insert(parsed.position, payload.to_vec());
        }
    }

    /// Any bytes anywhere.
    fn poke(&mut self, script: &mut Script<'_>) {
        self.spoilt = true;
        let at = u64::from(script.word()) % self.geometry.file_size();
        let length = usize::from(script.byte() % 64);
        self.file.write_all_at(script.bytes(length), at).unwrap_or_default();
    }
}

/// The reader, and all that it has handed out.
struct Watched {
    reader: RingReader,
    geometry: Geometry,
    /// Up to where each lane's records were handed out.
    ends: Vec<u64>,
    /// Records that were not taken at once.
    held: VecDeque<(Parsed, Vec<u8>)>,
}

impl Watched {
    fn new(reader: RingReader, geometry: Geometry, start: u64) -> Self {
        Self { reader, geometry, ends: vec![start; geometry.lanes as usize], held: VecDeque::new() }
    }

    /// Reads a lane; a record is taken at once where `taken` has the bit of its place in the lane.
    fn read(&mut self, ring: &mut SpoiltRing, lane: u32, taken: u8) -> Result<(), Hostility> {
        let lane_size = u64::from(self.geometry.lane_size);
        self.reader.look()?;
        self.reader.has_news(lane);
        let end = &mut self.ends[lane as usize];
        let (before, mut seen) = (*end, Vec::new());
        let read = self.reader.read_lane(lane, |parsed, payload| {
            assert_eq!(parsed.position, *end, "handed out twice, or passed over");
            assert_eq!(payload.len(), parsed.header.length as usize);
            *end = parsed.position + size_of_record(payload.len()) as u64;
            let take = taken >> (seen.len() % 8) & 1 != 0;
            seen.push((*parsed, payload.to_vec(), take));
            take
        });
        assert!(*end - before <= lane_size, "more than a lane holds");
        assert!(self.reader.buffered() <= 6 * self.geometry.file_size() as usize);
        let bytes = read?;
        assert!(*end <= ring.head(lane), "read beyond the head");
        assert_eq!(bytes, *end - before, "every byte belongs to a record");
        for (parsed, payload, take) in seen {
            if take {
                ring.taken(&parsed, &payload);
            } else {
                self.held.push_back((parsed, payload));
            }
        }
        Ok(())
    }

    /// Takes so many of the records that wait, from both ends.
    fn take(&mut self, ring: &mut SpoiltRing, count: usize) {
        for turn in 0..count {
            let next = if turn % 3 == 0 { self.held.pop_back() } else { self.held.pop_front() };
            let Some((parsed, payload)) = next else { return };
            assert_eq!(self.reader.take(&parsed), payload, "it changed while it waited");
            ring.taken(&parsed, &payload);
        }
    }

    /// Lets go of what was taken, as far as promised.
    fn release(&mut self, ring: &SpoiltRing) {
        for (lane, position) in self.reader.promises().collect::<Vec<_>>() {
            assert!(position <= self.ends[lane as usize], "promised what was not read");
            if self.reader.release(lane, position).is_ok() && !ring.spoilt {
                assert!(ring.tail(lane) == position && position <= ring.head(lane));
            }
        }
    }

    /// All other questions that the drain thread asks.
    fn ask(&mut self, slot: u8) -> Result<(), Hostility> {
        self.reader.retire_if_stuck(u64::from(slot) << 30).unwrap_or_default();
        self.reader.lease(1).unwrap_or_default();
        self.reader.coverage();
        self.reader.is_pressed();
        assert!(self.reader.torn()?.len() <= self.geometry.lanes as usize);
        assert!(self.reader.losses()?.len() <= MAX_STREAMS);
        if let Some((_, path)) = self.reader.new_stream(slot % 2)? {
            assert!(path.len() <= ARENA_SIZE);
        }
        Ok(())
    }

    /// Another collector goes on with the ring, as after a crash with a spool.
    fn restart(&mut self, ring: &mut SpoiltRing) -> Result<(), Hostility> {
        let positions = self.reader.positions();
        for (lane, &position) in ring.lanes.iter_mut().zip(&positions) {
            let again = lane.taken.split_off(&position);
            assert!(again.is_empty() || ring.spoilt || lane.written.contains_key(&position));
            lane.written.extend(again);
        }
        self.reader = ring.adopt()?;
        self.geometry = self.reader.info.geometry;
        self.held.clear();
        if self.reader.lanes() as usize == positions.len() {
            self.reader.resume(&positions);
        }
        self.ends = self.reader.positions();
        Ok(())
    }
}
