//! What a writer does when there is no room: what may go, what is dropped and counted.

use logtap_loki::{Batch, Entry};

use super::Writer;
use crate::compactor::lock_catalog;
use crate::error::CaptureError;
use crate::fullness::{OnFull, free_bytes};
use crate::losses::name_of;

/// What may be given up for new lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expendable {
    Nothing,
    /// The oldest closed segment.
    Closed,
    /// The same, and where there is none, the segment that is being written.
    AlsoActive,
}

/// What may go for a batch that failed like this; `ours` is what all data files take together.
fn expendable(on_full: OnFull, failure: &CaptureError, ours: u64) -> Expendable {
    match (on_full, failure) {
        // Somebody else has taken the room, and nothing that we have would be enough.
        (_, CaptureError::LowSpace { free, wanted, .. }) if free.saturating_add(ours) < *wanted => {
            Expendable::Nothing
        }
        (OnFull::DropNewest, _) => Expendable::Nothing,
        // What is closed went already when the cap was found to be reached.
        (OnFull::Reject, CaptureError::CapReached { .. }) => Expendable::Nothing,
        (OnFull::Reject, _) => Expendable::Closed,
        (OnFull::DropOldest, _) => Expendable::AlsoActive,
    }
}

impl Writer {
    /// Fails where the file system has less room than is to stay free.
    pub(super) fn check_free_space(&self) -> Result<(), CaptureError> {
        let wanted = self.options.min_free;
        if wanted == 0 {
            return Ok(());
        }
        let free = free_bytes(&self.directory)
            .map_err(CaptureError::io("look for room in", &self.directory))?;
        if free >= wanted {
            return Ok(());
        }
        Err(CaptureError::LowSpace { directory: self.directory.clone(), free, wanted })
    }

    /// Removes the oldest segment; false if there is none that may go.
    pub(super) fn give_up_oldest(&mut self, failure: &CaptureError) -> Result<bool, CaptureError> {
        let what = expendable(self.options.on_full, failure, self.disk_bytes());
        if what == Expendable::Nothing {
            return Ok(false);
        }
        if lock_catalog(&self.catalog).remove_one()? {
            return Ok(true);
        }
        let has_lines = self.active.as_ref().is_some_and(|active| active.length > 0);
        if what != Expendable::AlsoActive || !has_lines {
            return Ok(false);
        }
        self.rotate()?;
        self.rotations_by_size += 1;
        lock_catalog(&self.catalog).remove_one()
    }

    /// Counts the lines of entries that are dropped, by stream.
    pub(super) fn count_dropped(&mut self, batch: &Batch, entries: &[Entry]) {
        let mut per_stream = vec![(0, 0); batch.streams.len()];
        for entry in entries {
            if let Some((lines, bytes)) = per_stream.get_mut(entry.stream as usize) {
                *lines += 1;
                *bytes += u64::from(entry.length);
            }
        }
        let mut catalog = lock_catalog(&self.catalog);
        for (labels, (lines, bytes)) in batch.streams.iter().zip(per_stream) {
            if lines > 0 {
                catalog.add_dropped(&name_of(labels), lines, bytes);
            }
        }
    }

    /// Tells the metadata on disk of what was dropped. Where even that has no room it is tried again with
    /// every tick, and at the end.
    pub(super) fn tell_losses(&mut self) {
        self.untold_losses = lock_catalog(&self.catalog).save_metadata().is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_go_is_as_the_user_chose_and_nothing_goes_in_vain() {
        let cap = CaptureError::CapReached { directory: "d".into(), cap: 1 };
        let low = CaptureError::LowSpace { directory: "d".into(), free: 10, wanted: 100 };
        for (on_full, of_cap, of_space) in [
            (OnFull::DropNewest, Expendable::Nothing, Expendable::Nothing),
            (OnFull::Reject, Expendable::Nothing, Expendable::Closed),
            (OnFull::DropOldest, Expendable::AlsoActive, Expendable::AlsoActive),
        ] {
            assert_eq!(expendable(on_full, &cap, 1_000), of_cap, "{on_full:?}");
            assert_eq!(expendable(on_full, &low, 90), of_space, "{on_full:?}");
            assert_eq!(expendable(on_full, &low, 89), Expendable::Nothing, "{on_full:?}");
        }
    }
}
