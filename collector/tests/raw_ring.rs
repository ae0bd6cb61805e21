//! A ring as bytes: what somebody without the library, or against it, could put into the directory. No process holds it.

use std::fs::File;
use std::mem::offset_of;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use logtap_wire::record::{RecordHeader, size_of_record};
use logtap_wire::ring::{
    ARENA_OFFSET, DATA_OFFSET, Geometry, Header, RING_MAGIC, STREAMS_OFFSET, StreamKind, StreamSlot,
};

/// The smallest ring there can be.
pub(crate) const SMALL: Geometry = Geometry { lanes: 1, lane_size: 4096 };

/// The bytes of a ring's file.
pub(crate) struct RawRing {
    bytes: Vec<u8>,
    geometry: Geometry,
    head: u64,
}

impl RawRing {
    pub(crate) fn new(geometry: Geometry) -> Self {
        let mut ring = Self { bytes: vec![0; geometry.file_size() as usize], geometry, head: 0 };
        ring.put(offset_of!(Header, magic), &RING_MAGIC.to_ne_bytes());
        ring.put(offset_of!(Header, version), &logtap_wire::VERSION.to_ne_bytes());
        ring.put(offset_of!(Header, data_offset), &(DATA_OFFSET as u32).to_ne_bytes());
        ring.put(offset_of!(Header, lanes), &geometry.lanes.to_ne_bytes());
        ring.put(offset_of!(Header, lane_size), &geometry.lane_size.to_ne_bytes());
        for (slot, kind) in [(0, StreamKind::Stdout), (1, StreamKind::Stderr)] {
            ring.put(STREAMS_OFFSET + slot * size_of::<StreamSlot>(), &(kind as u32).to_ne_bytes());
        }
        ring
    }

    /// Any bytes anywhere.
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Makes a slot a file whose path lies at this place of the arena.
    pub(crate) fn file(&mut self, slot: usize, offset: u32, length: u32) {
        let at = STREAMS_OFFSET + slot * size_of::<StreamSlot>();
        self.put(at, &(StreamKind::File as u32).to_ne_bytes());
        self.put(at + offset_of!(StreamSlot, path), &(offset << 16 | length).to_ne_bytes());
    }

    /// Fills the arena.
    pub(crate) fn arena(&mut self, byte: u8) {
        self.bytes[ARENA_OFFSET..DATA_OFFSET].fill(byte);
    }

    /// Appends a record to the first lane.
    pub(crate) fn record(&mut self, header: RecordHeader, payload: &[u8]) {
        let header = RecordHeader { length: payload.len() as u32, ..header };
        let mut at = (self.geometry.data_offset(0) + self.head) as usize;
        for word in header.to_words() {
            self.put(at, &word.to_ne_bytes());
            at += 8;
        }
        self.put(at, payload);
        self.head += size_of_record(payload.len()) as u64;
        self.put(Geometry::lane_offset(0), &(self.head << 1).to_ne_bytes());
    }

    /// Puts the file into the directory, whole from the moment that it has its name.
    pub(crate) fn write(&self, directory: &Path, name: &str) -> PathBuf {
        let temporary = directory.join(format!("{name}.new"));
        let file = File::create(&temporary).unwrap();
        file.write_all_at(&self.bytes, 0).unwrap();
        let path = directory.join(format!("{name}.ring"));
        std::fs::rename(&temporary, &path).unwrap();
        path
    }
}

/// A ring with one line.
pub(crate) fn with_line(ticket: u64, text: &str) -> RawRing {
    let mut ring = RawRing::new(SMALL);
    let header = RecordHeader { ticket, pid: 9, ..RecordHeader::default() };
    ring.record(header, format!("{text}\n").as_bytes());
    ring
}
