//! Frames: records of writers that could not make a ring, as datagrams. All of them together are
//! read as one more ring, and as further ones where one has no room for the names of their files.

use std::collections::HashMap;
use std::os::unix::net::UnixDatagram;

use logtap_wire::frame::{FRAME_HEADER_SIZE, Frame, MAX_PATH, MAX_PAYLOAD};
use logtap_wire::record::{FLAG_MORE, FLAG_NOTE, RecordHeader};
use logtap_wire::ring::{MAX_STREAMS, StreamKind};

use crate::account::OTHER_FILES;
use crate::chunk::{Adoption, Chunk, Release};
use crate::events::is_worth_telling;
use crate::merge::Place;
use crate::operation::{FRAGMENT, LATE, MORE, Operation, Record, RingEnd, RingId};
use crate::shared::Shared;

/// Frames taken in one pass.
const MAX_FRAMES: usize = 128;

/// Rings that stand for frames: together they name as many files as one process tells apart.
const MAX_FRAME_RINGS: usize = 256;

/// The frames of a tap directory.
#[derive(Debug)]
pub(crate) struct Frames {
    rings: Vec<RingId>,
    /// Which of the rings, and the slot in it.
    slots: HashMap<(StreamKind, Vec<u8>), (usize, u8)>,
    buffer: Vec<u8>,
}

/// A frame that waits for its turn.
#[derive(Debug)]
pub(crate) struct HeldFrame {
    pub(super) kind: StreamKind,
    pub(super) path: Vec<u8>,
    record: RecordHeader,
    payload: Vec<u8>,
}

impl HeldFrame {
    pub(crate) fn place(&self) -> Place {
        Place { ticket: self.record.ticket, fragment: self.record.fragment }
    }

    pub(crate) fn more(&self) -> bool {
        self.record.flags & FLAG_MORE != 0
    }

    /// The path of the file that was written to, if it was one.
    pub(crate) fn file(&self) -> Option<&[u8]> {
        (self.kind == StreamKind::File).then_some(&self.path[..])
    }

    /// Bytes that it holds.
    pub(crate) fn len(&self) -> usize {
        size_of::<Self>() + self.path.len() + self.payload.len()
    }

    /// The note that it is, if it is one.
    pub(crate) fn note(&self) -> Option<(u32, &[u8])> {
        (self.record.flags & FLAG_NOTE != 0).then_some((self.record.pid, &self.payload[..]))
    }
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self { rings: Vec::new(), slots: HashMap::new(), buffer: Vec::new() }
    }

    /// Takes what has come. Returns how many bytes that was.
    pub(crate) fn take(
        &mut self,
        socket: &UnixDatagram,
        shared: &Shared,
        mut each: impl FnMut(HeldFrame),
    ) -> u64 {
        self.buffer.resize(FRAME_HEADER_SIZE + MAX_PATH + MAX_PAYLOAD + 1, 0);
        let mut bytes = 0;
        for _ in 0..MAX_FRAMES {
            let Ok(length) = socket.recv(&mut self.buffer) else { break };
            bytes += length as u64;
            match Frame::parse(self.buffer.get(..length).unwrap_or_default()) {
                Some(frame) => each(HeldFrame {
                    kind: frame.kind,
                    path: frame.path.to_vec(),
                    record: frame.record,
                    payload: frame.payload.to_vec(),
                }),
                None => {
                    let number = shared.saw_foreign_datagram();
                    if is_worth_telling(number) {
                        tracing::warn!(length, number, "a datagram that is no frame was dropped");
                    }
                }
            }
        }
        bytes
    }

    /// Writes a frame's record.
    pub(crate) fn write(
        &mut self,
        frame: &HeldFrame,
        late: bool,
        next_ring: &mut RingId,
        chunk: &mut Chunk,
    ) {
        let key = (frame.kind, frame.path.clone());
        let (ring, slot) = match self.slots.get(&key) {
            Some(&(place, slot)) => (self.ring(place, next_ring, chunk), slot),
            None => {
                // The last slot of the last ring stands for all further files.
                let taken = self.slots.len().min(MAX_FRAME_RINGS * MAX_STREAMS - 1);
                let (place, slot) = (taken / MAX_STREAMS, (taken % MAX_STREAMS) as u8);
                let is_last = taken == MAX_FRAME_RINGS * MAX_STREAMS - 1;
                let ring = self.ring(place, next_ring, chunk);
                let path = if is_last { OTHER_FILES } else { &key.1[..] };
                Operation::Stream { ring, slot, kind: frame.kind, path }.write(&mut chunk.bytes);
                if !is_last {
                    self.slots.insert(key, (place, slot));
                }
                (ring, slot)
            }
        };
        let header = &frame.record;
        let mut flags = 0;
        for (set, flag) in [(late, LATE), (frame.more(), MORE), (header.fragment > 0, FRAGMENT)] {
            flags |= if set { flag } else { 0 };
        }
        let record = Record {
            ring,
            slot,
            flags,
            pid: header.pid,
            ticket: header.ticket,
            time: i64::try_from(header.time).unwrap_or(0),
            lost_records: 0,
            lost_bytes: 0,
            payload: &frame.payload,
        };
        Operation::Record(record).write(&mut chunk.bytes);
    }

    /// The ring at this place, told where it is new.
    fn ring(&mut self, place: usize, next_ring: &mut RingId, chunk: &mut Chunk) -> RingId {
        if let Some(&ring) = self.rings.get(place) {
            return ring;
        }
        let ring = *next_ring;
        *next_ring += 1;
        self.rings.push(ring);
        chunk.adoptions.push(Adoption { ring, ..Adoption::default() });
        let name = logtap_wire::SOCKET_FILE.as_bytes();
        let (executable, source) = (&b""[..], &b"preload"[..]);
        Operation::Ring { ring, pid: 0, namespace: 0, name, executable, source }
            .write(&mut chunk.bytes);
        ring
    }

    /// Tells that no more frames come.
    pub(crate) fn end(&mut self, chunk: &mut Chunk) {
        self.slots.clear();
        for ring in std::mem::take(&mut self.rings) {
            Operation::RingEnd { ring, coverage: 0, how: RingEnd::Left }.write(&mut chunk.bytes);
            chunk.releases.push(Release::Forget { ring });
        }
    }
}
