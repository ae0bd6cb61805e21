//! Frames: records of writers that could not make a ring, as datagrams. All of them together are
//! read as one more ring.

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

/// The frames of a tap directory.
#[derive(Debug)]
pub(crate) struct Frames {
    ring: Option<RingId>,
    slots: HashMap<(StreamKind, Vec<u8>), u8>,
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
        Self { ring: None, slots: HashMap::new(), buffer: Vec::new() }
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
        let ring = *self.ring.get_or_insert_with(|| {
            let ring = *next_ring;
            *next_ring += 1;
            chunk.adoptions.push(Adoption { ring, ..Adoption::default() });
            let name = logtap_wire::SOCKET_FILE.as_bytes();
            Operation::Ring {
                ring,
                pid: 0,
                namespace: 0,
                name,
                executable: b"",
                source: b"preload",
            }
            .write(&mut chunk.bytes);
            ring
        });
        let key = (frame.kind, frame.path.clone());
        let taken = self.slots.len();
        let slot = match self.slots.get(&key) {
            Some(&slot) => slot,
            None => {
                // Where the table is full the last slot stands for all further files.
                let slot = taken.min(MAX_STREAMS - 1) as u8;
                let path = if taken < MAX_STREAMS - 1 { &key.1[..] } else { OTHER_FILES };
                Operation::Stream { ring, slot, kind: frame.kind, path }.write(&mut chunk.bytes);
                if taken < MAX_STREAMS - 1 {
                    self.slots.insert(key, slot);
                }
                slot
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

    /// Tells that no more frames come.
    pub(crate) fn end(&mut self, chunk: &mut Chunk) {
        if let Some(ring) = self.ring.take() {
            self.slots.clear();
            Operation::RingEnd { ring, coverage: 0, how: RingEnd::Left }.write(&mut chunk.bytes);
            chunk.releases.push(Release::Forget { ring });
        }
    }
}
