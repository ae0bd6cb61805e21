//! Chunks: operations on their way from the drain thread to the push thread, and back when their
//! lines are safe.

use crate::operation::RingId;

/// A chunk is sent on when it has so many bytes.
pub(crate) const CHUNK_SIZE: usize = 256 << 10;

/// Operations that were taken together.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// When they were taken, nanoseconds since 1970.
    pub(crate) now: i64,
    /// The operations.
    pub(crate) bytes: Vec<u8>,
    /// Rings whose operations begin here.
    pub(crate) adoptions: Vec<Adoption>,
    /// What may be let go of once they are safe.
    pub(crate) releases: Vec<Release>,
}

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

/// Something in a ring that is not needed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// The bytes of a lane before this position.
    Tail { ring: RingId, lane: u32, position: u64 },
    /// The ring's file.
    Ring { ring: RingId },
    /// Whatever is known of a ring: it is not read any more, and its file stays as it is.
    Forget { ring: RingId },
}

impl Chunk {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.releases.is_empty() && self.adoptions.is_empty()
    }

    /// Forgets everything and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.adoptions.clear();
        self.releases.clear();
    }
}
