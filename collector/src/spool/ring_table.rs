//! Up to where the records of each ring are in the spool, whatever the ring itself says.

use std::collections::BTreeMap;

use crate::chunk::{Adoption, Release};
use crate::operation::RingId;

/// Most lanes of a ring that are believed.
pub(super) const MAX_LANES: u32 = 64;

/// All rings whose operations are in the spool.
#[derive(Clone, Debug, Default)]
pub(crate) struct RingTable {
    rings: BTreeMap<RingId, Adoption>,
    next_ring: RingId,
}

impl RingTable {
    /// The number for the next ring.
    pub(crate) fn next_ring(&self) -> RingId {
        self.next_ring.max(1)
    }

    /// Learns what a chunk tells, or a frame that was one.
    pub(super) fn note(&mut self, adoptions: &[Adoption], releases: &[Release], next_ring: RingId) {
        self.next_ring = self.next_ring.max(next_ring);
        for adoption in adoptions {
            self.rings.insert(adoption.ring, adoption.clone());
        }
        for release in releases {
            match *release {
                Release::Tail { ring, lane, position } => {
                    let Some(known) = self.rings.get_mut(&ring) else { continue };
                    let lane = lane as usize;
                    if lane < MAX_LANES as usize && known.tails.len() <= lane {
                        known.tails.resize(lane + 1, 0);
                    }
                    if let Some(tail) = known.tails.get_mut(lane) {
                        *tail = position.max(*tail);
                    }
                }
                Release::Ring { ring } => {
                    if let Some(known) = self.rings.get_mut(&ring) {
                        known.ended = true;
                    }
                }
                Release::Forget { ring } => self.forget(ring),
            }
        }
    }

    /// The ring's file is gone.
    pub(super) fn forget(&mut self, ring: RingId) {
        self.rings.remove(&ring);
    }

    /// A ring by what it is.
    pub(super) fn find(&self, name: &str, created: u64) -> Option<&Adoption> {
        self.rings.values().find(|known| known.name == name && known.created == created)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Adoption> {
        self.rings.values()
    }
}
