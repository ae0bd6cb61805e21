//! What comes from elsewhere than rings: feeders and the datagram socket.

use super::{Drain, Item, MAX_WAITING_FRAMES};
use crate::assembler::join_source;
use crate::chunk::{Adoption, Release};
use crate::feeder::FeederMessage;
use crate::operation::{Operation, Record, RingEnd};

impl Drain {
    /// Takes what feeders have.
    pub(super) fn take_feeds(&mut self) -> u64 {
        let mut taken = 0;
        for message in self.feeders.try_iter().take(crate::feeder::QUEUE) {
            match message {
                FeederMessage::Open { feeder, stream } => {
                    let ring = self.next_ring;
                    self.next_ring += 1;
                    self.fed.insert(feeder, (ring, stream.pid));
                    self.chunk.adoptions.push(Adoption { ring, ..Adoption::default() });
                    let source = join_source(&stream.source, &stream.labels);
                    Operation::Ring {
                        ring,
                        pid: stream.pid,
                        namespace: 0,
                        name: stream.source.as_bytes(),
                        executable: stream.executable.as_bytes(),
                        source: &source,
                    }
                    .write(&mut self.chunk.bytes);
                    Operation::Stream { ring, slot: 0, kind: stream.kind, path: &stream.path }
                        .write(&mut self.chunk.bytes);
                }
                FeederMessage::Bytes { feeder, bytes, time } => {
                    taken += bytes.len() as u64;
                    let Some(&(ring, pid)) = self.fed.get(&feeder) else { continue };
                    let record = Record {
                        ring,
                        slot: 0,
                        flags: 0,
                        pid,
                        ticket: 0,
                        time,
                        lost_records: 0,
                        lost_bytes: 0,
                        payload: &bytes,
                    };
                    Operation::Record(record).write(&mut self.chunk.bytes);
                }
                FeederMessage::Close { feeder } => {
                    let Some((ring, _)) = self.fed.remove(&feeder) else { continue };
                    Operation::RingEnd { ring, coverage: 0, how: RingEnd::Released }
                        .write(&mut self.chunk.bytes);
                    self.chunk.releases.push(Release::Forget { ring });
                }
            }
        }
        taken
    }

    /// Takes frames from the socket.
    pub(super) fn take_frames(&mut self) -> u64 {
        let Some(socket) = self.directory.socket() else { return 0 };
        let (merge, waiting) = (&mut self.merge, &mut self.waiting_frames);
        if *waiting > MAX_WAITING_FRAMES {
            return 0;
        }
        self.frames.take(socket, &self.shared, |frame| {
            *waiting += frame.len();
            merge.add(frame.place(), frame.more(), Item::Frame(Box::new(frame)));
        })
    }
}
