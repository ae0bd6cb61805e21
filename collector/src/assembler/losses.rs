//! What is missing in a stream: told at its place where that is known, else when its ring ends, and counted once.

use logtap_wire::counters;

use super::{Assembler, Route};
use crate::lines::Mark;
use crate::operation::{Record, RingId};

impl Assembler {
    /// A long write of which no more comes: bytes of it were lost, and no whole record. What there is of it is given out,
    /// and an entry says what is missing.
    #[inline]
    pub(super) fn end_cut_write(&mut self, record: &Record<'_>, at: usize, time: i64) {
        let Some(assembly) = self.writers.get(at) else { return };
        if assembly.open == 0 || assembly.open == record.ticket {
            return;
        }
        if let Some((0, bytes)) = self.lost_before(record, at).filter(|(_, bytes)| *bytes > 0) {
            self.gap(at, 0, bytes, time);
            self.close(at);
        }
    }

    /// What of a writer's stream was lost since it was last told: records and bytes.
    fn lost_before(&self, record: &Record<'_>, at: usize) -> Option<(u64, u64)> {
        let stream = self.streams.get(self.writers.get(at)?.stream?)?;
        // The snapshot counts modulo 2^32; one that is behind belongs to a concurrent writer.
        let records = record.lost_records.wrapping_sub(stream.totals.lost_records as u32);
        let bytes = record.lost_bytes.saturating_sub(stream.totals.lost_bytes);
        let can_be_true = records <= i32::MAX as u32
            && counters::can_be_true(u64::from(records), record.lost_bytes);
        can_be_true.then_some((u64::from(records), bytes))
    }

    /// Where a record tells of a loss before it, an entry says so at that place.
    #[inline]
    pub(super) fn gap_before(&mut self, record: &Record<'_>, at: usize, time: i64) {
        match self.lost_before(record, at) {
            // Of a record that another thread is just counting the bytes may come first.
            None | Some((0, _)) => {}
            Some((records, bytes)) => self.gap(at, records, bytes, time),
        }
    }

    /// Tells what is missing at this place of a writer's stream.
    #[cold]
    fn gap(&mut self, at: usize, records: u64, bytes: u64, time: i64) {
        self.flush_writer(at, Mark::Partial);
        self.change(at, |assembly, totals, output| {
            totals.lost_records = totals.lost_records.saturating_add(records);
            totals.lost_bytes = totals.lost_bytes.saturating_add(bytes);
            output.gap(&mut assembly.writer, records, bytes, time);
        });
    }

    /// What a stream lost after its last record.
    pub(super) fn loss(&mut self, ring: RingId, slot: u8, records: u64, bytes: u64) {
        let Some(stream) = self.stream_of(ring, slot) else { return };
        let more_records = records.saturating_sub(stream.totals.lost_records);
        let more_bytes = bytes.saturating_sub(stream.totals.lost_bytes);
        if more_records == 0 && more_bytes == 0 {
            return;
        }
        let pid = self.rings.get(&ring).map_or(0, |ring| ring.facts.pid);
        let Some(at) = self.writer(Route { ring, pid, slot, aside: false }) else { return };
        let Some(identity) = self.writers.get(at).map(|writer| writer.identity.clone()) else {
            return;
        };
        // By what it is, not by where its books are: a line that was taken over has none yet.
        self.flush_where(Mark::Whole, |writer| {
            let known = &writer.identity;
            writer.ring == ring && known.kind == identity.kind && known.path == identity.path
        });
        let now = self.now;
        self.change(at, |assembly, totals, output| {
            totals.lost_records = totals.lost_records.saturating_add(more_records);
            totals.lost_bytes = totals.lost_bytes.saturating_add(more_bytes);
            output.gap(&mut assembly.writer, more_records, more_bytes, now);
        });
    }

    pub(super) fn torn(&mut self, ring: RingId, slot: Option<u8>, records: u64, bytes: u64) {
        self.account.counts.totals.add_torn(records, bytes);
        match slot.and_then(|slot| self.stream_of(ring, slot)) {
            Some(stream) => stream.totals.add_torn(records, bytes),
            None => {
                if let Some(ring) = self.rings.get_mut(&ring) {
                    let unknown = &mut ring.facts.torn_unknown;
                    *unknown = unknown.saturating_add(records);
                }
            }
        }
    }
}
