//! Up to where the records of each ring are in the spool, whatever the ring itself says.

use std::collections::BTreeMap;

use super::segment::Frame;
use crate::chunk::Release;
use crate::operation::{Cursor, RingId};

/// Most lanes of a ring that are believed.
const MAX_LANES: u32 = 64;

/// A ring whose operations begin, or go on in this segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Adoption {
    pub(crate) ring: RingId,
    /// When the ring was made, as its maker says; with the name it tells rings apart.
    pub(crate) created: u64,
    /// Its end was told; only its file may still be there.
    pub(crate) ended: bool,
    /// Its file's name; empty for a source that is no file.
    pub(crate) name: String,
    /// Positions of its lanes.
    pub(crate) tails: Vec<u64>,
}

impl Adoption {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ring.to_le_bytes());
        out.extend_from_slice(&self.created.to_le_bytes());
        out.push(u8::from(self.ended));
        out.extend_from_slice(&(self.name.len() as u32).to_le_bytes());
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(&(self.tails.len() as u32).to_le_bytes());
        for tail in &self.tails {
            out.extend_from_slice(&tail.to_le_bytes());
        }
    }

    pub(super) fn read(from: &mut Cursor<'_>) -> Option<Self> {
        let (ring, created, ended) = (from.u32()?, from.u64()?, from.u8()? != 0);
        let name = String::from_utf8_lossy(from.bytes()?).into_owned();
        let lanes = from.u32().filter(|&lanes| lanes <= MAX_LANES)?;
        let tails = (0..lanes).map(|_| from.u64()).collect::<Option<_>>()?;
        Some(Self { ring, created, ended, name, tails })
    }
}

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

    /// Learns what a frame tells.
    pub(super) fn apply(&mut self, frame: &Frame) {
        self.note(&frame.adoptions, &frame.releases, frame.next_ring);
    }

    /// Learns what a chunk tells.
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
