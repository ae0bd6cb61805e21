//! What writers say that they have lost: looked at once a second, so that it is known before its place in the stream is.
//!
//! Others than the writers may have written there. A counter that cannot be true is counted as corrupt, told once, and
//! added to nothing.

use logtap_wire::counters;

use super::Drain;
use crate::events::is_worth_telling;
use crate::operation::RingId;
use crate::ring_reader::RingReader;

/// What a ring's writers have counted as lost, and how much of it is corrupt.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    records: u64,
    bytes: u64,
    /// Slots with corrupt counters, one bit each.
    corrupt: u64,
}

impl Counted {
    /// Of a ring now; nothing of one that cannot be read, which is found out when its records are.
    pub(super) fn of(reader: &mut RingReader) -> Self {
        let mut counted = Self::default();
        for (_, slot) in reader.losses().unwrap_or_default() {
            counted.add(slot.lost_records, slot.lost_bytes);
        }
        Self { corrupt: reader.corrupt_slots(), ..counted }
    }

    pub(super) fn add(&mut self, records: u64, bytes: u64) {
        self.records = self.records.saturating_add(records);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Drain {
    /// Takes over what the control page says of writers without a ring. What was known of them stays where it cannot be
    /// read, or cannot be true.
    pub(super) fn count_unringed(&mut self) {
        let (records, bytes) = match self.directory.unringed_losses() {
            Ok(lost) => lost,
            Err(error) => return self.say_of_control(&error),
        };
        let has_grown = records >= self.unringed.0 && bytes >= self.unringed.1;
        if has_grown && counters::can_be_true(records, bytes) {
            self.unringed = (records, bytes);
            self.unringed_is_corrupt = false;
            self.shared.lost_without_ring(records, bytes);
        } else if !std::mem::replace(&mut self.unringed_is_corrupt, true) {
            self.shared.saw_corrupt_counters(1);
            tracing::warn!(
                records,
                bytes,
                "the control page's counters of losses are corrupt; not added up"
            );
        }
    }

    /// Takes over what the writers of all rings have counted.
    pub(super) fn count_losses(&mut self) {
        let rings: Vec<RingId> = self.rings.keys().copied().collect();
        for ring in rings {
            self.count_losses_of(ring);
        }
    }

    /// The same of one ring.
    pub(super) fn count_losses_of(&mut self, ring: RingId) {
        let Some(reading) = self.rings.get_mut(&ring) else { return };
        let (now, before) = (Counted::of(&mut reading.reader), reading.losses);
        let more = |now: u64, before: u64| now.saturating_sub(before);
        self.shared.lost_in_rings(more(now.records, before.records), more(now.bytes, before.bytes));
        reading.losses = Counted {
            records: now.records.max(before.records),
            bytes: now.bytes.max(before.bytes),
            corrupt: now.corrupt,
        };
        let corrupt = u64::from((now.corrupt & !before.corrupt).count_ones());
        if corrupt > 0 {
            self.shared.saw_corrupt_counters(corrupt);
            if is_worth_telling(self.shared.counts().corrupt_counters) {
                let name = &reading.reader.name;
                tracing::warn!(
                    ring = name,
                    "a ring's counters of losses are corrupt; not added up"
                );
            }
        }
    }
}
