//! What is new in the rings, as operations in the order of their tickets.

use std::sync::atomic::Ordering;
use std::time::Instant;

use logtap_wire::frame::MAX_PATH;
use logtap_wire::record::{FLAG_NOTE, Note};
use logtap_wire::ring::StreamKind;

use super::rings::tell_known;
use super::{Drain, Item, MAX_PATH_BYTES, MAX_WAITING, SCAN_EVERY};
use crate::account::OTHER_FILES;
use crate::chunk::{CHUNK_SIZE, Chunk};
use crate::counts::MAX_LISTED;
use crate::merge::Next;
use crate::operation::{FRAGMENT, LATE, MORE, Operation, Record, RingId};
use crate::ring_reader::{Hostility, Parsed};
use crate::shared::Shared;

impl Drain {
    /// Reads what is new in all rings.
    pub(super) fn read_rings(&mut self, at: Instant) -> u64 {
        let mut bytes = 0;
        let ids: Vec<RingId> = self.rings.keys().copied().collect();
        let mut buffered: usize = self.rings.values().map(|ring| ring.reader.buffered()).sum();
        for ring in ids {
            if buffered > MAX_WAITING || self.outlet.is_full() {
                break;
            }
            match self.read_ring(ring, at) {
                Ok(read) => bytes += read,
                Err(reason) => {
                    self.drop_hostile(ring, &reason);
                    continue;
                }
            }
            buffered += self.rings.get(&ring).map_or(0, |reading| reading.reader.buffered());
            if self.chunk.bytes.len() >= CHUNK_SIZE {
                self.seal();
            }
        }
        bytes
    }

    pub(super) fn read_ring(&mut self, ring: RingId, at: Instant) -> Result<u64, Hostility> {
        let mut bytes = 0;
        let Some(reading) = self.rings.get_mut(&ring) else { return Ok(0) };
        // A ring that is asked twice is read once more after the answer: then nothing can be left.
        if reading.idle && reading.asked.is_none_or(|asked| at - asked >= SCAN_EVERY / 2) {
            reading.asked = Some(at);
            reading.free = reading.reader.is_free();
        }
        reading.reader.look()?;
        reading.idle = true;
        for lane in 0..reading.reader.lanes() {
            let Some(reading) = self.rings.get_mut(&ring) else { return Ok(bytes) };
            if !reading.reader.has_news(lane) {
                continue;
            }
            reading.idle = false;
            let (merge, chunk, processes) =
                (&mut self.merge, &mut self.chunk, &mut reading.processes);
            let mut waiting: Vec<Parsed> = Vec::new();
            let known = reading.reader.known_slots();
            let mut last_pid = 0;
            bytes += reading.reader.read_lane(lane, |parsed, payload| {
                // A record of a stream that is new waits until its stream was told.
                let passes = waiting.is_empty()
                    && known & (1 << parsed.header.slot) != 0
                    && parsed.header.flags & FLAG_NOTE == 0
                    && merge.pass(parsed.place(), parsed.more());
                if passes {
                    if parsed.header.pid != last_pid && processes.len() < MAX_LISTED {
                        last_pid = parsed.header.pid;
                        processes.insert(last_pid);
                    }
                    write_record(chunk, ring, parsed, false, payload);
                } else {
                    waiting.push(*parsed);
                }
                passes
            })?;
            for parsed in waiting {
                let item = Item::Ring { ring, parsed };
                self.merge.add(parsed.place(), parsed.more(), item);
            }
            if self.chunk.bytes.len() >= CHUNK_SIZE {
                self.merge_records(at);
                self.seal();
            }
        }
        if let Some(reading) = self.rings.get(&ring)
            && reading.reader.is_pressed()
            && !self.shared.hurry.swap(true, Ordering::Relaxed)
        {
            self.wake_push = true;
        }
        Ok(bytes)
    }

    /// Writes the records whose turn it is. Whether one is missing that others wait for.
    pub(super) fn merge_records(&mut self, at: Instant) -> bool {
        let now = (at - self.timers.started).as_nanos() as u64;
        // Asked after the records were read: the ticket of each of them was given out before.
        self.merge.limit(self.directory.next_ticket());
        loop {
            match self.merge.next(now) {
                Next::Nothing => return false,
                Next::Wait { .. } => return true,
                Next::Record { item: Item::Frame(frame), late } => {
                    self.waiting_frames -= frame.len();
                    if let Some((pid, payload)) = frame.note() {
                        note(&self.shared, pid, payload);
                        continue;
                    }
                    if let Some(path) = frame.file() {
                        self.shared.saw_file(path);
                    }
                    self.frames.write(&frame, late, &mut self.next_ring, &mut self.chunk);
                }
                Next::Record { item: Item::Ring { ring, parsed }, late } => {
                    if let Err(reason) = self.write_waiting(ring, &parsed, late) {
                        self.drop_hostile(ring, &reason);
                    }
                }
            }
            if self.chunk.bytes.len() >= CHUNK_SIZE {
                self.seal();
            }
        }
    }

    pub(super) fn write_waiting(
        &mut self,
        ring: RingId,
        parsed: &Parsed,
        late: bool,
    ) -> Result<(), Hostility> {
        // What waited of a ring that turned hostile is gone with it.
        let Some(reading) = self.rings.get_mut(&ring) else { return Ok(()) };
        let slot = parsed.header.slot;
        if let Some((kind, path)) = reading.reader.new_stream(slot)? {
            if kind == StreamKind::File {
                self.shared.saw_file(path);
            }
            let room = MAX_PATH_BYTES.saturating_sub(self.path_bytes);
            let path = if path.len() > room { OTHER_FILES } else { path };
            Operation::Stream { ring, slot, kind, path }.write(&mut self.chunk.bytes);
            let length = path.len();
            self.path_bytes += length;
            reading.path_bytes += length;
            tell_known(&mut self.chunk, ring, slot, &reading.reader);
        }
        let payload = reading.reader.take(parsed);
        if parsed.header.flags & FLAG_NOTE != 0 {
            note(&self.shared, parsed.header.pid, payload);
            return Ok(());
        }
        if reading.processes.len() < MAX_LISTED {
            reading.processes.insert(parsed.header.pid);
        }
        write_record(&mut self.chunk, ring, parsed, late, payload);
        Ok(())
    }
}

pub(super) fn write_record(
    chunk: &mut Chunk,
    ring: RingId,
    parsed: &Parsed,
    late: bool,
    payload: &[u8],
) {
    let header = &parsed.header;
    let mut flags = 0;
    for (set, flag) in [(late, LATE), (parsed.more(), MORE), (header.fragment > 0, FRAGMENT)] {
        flags |= if set { flag } else { 0 };
    }
    let record = Record {
        ring,
        slot: header.slot,
        flags,
        pid: header.pid,
        ticket: header.ticket,
        time: i64::try_from(header.time).unwrap_or(0),
        lost_records: header.lost_records,
        lost_bytes: header.lost_bytes,
        payload,
    };
    Operation::Record(record).write(&mut chunk.bytes);
}

/// Remembers a program that was started.
pub(super) fn note(shared: &Shared, pid: u32, payload: &[u8]) {
    let Some((&kind, program)) = payload.split_first() else { return };
    // No path is longer; a note that is would only be kept in memory.
    let program = program.get(..MAX_PATH).unwrap_or(program);
    if [Note::Exec as u8, Note::ExecWithoutPreload as u8].contains(&kind) {
        shared.saw_program(pid, program, kind == Note::Exec as u8);
    }
}
