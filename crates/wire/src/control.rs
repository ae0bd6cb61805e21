//! The control page: one page a tap directory, made by the collector, mapped by every writer.
//!
//! Writers are other people's processes: the collector takes nothing on this page as true.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// First eight bytes of a control page.
pub const CONTROL_MAGIC: u64 = 0x3143706174676f6c;
/// Size of the file and of the mapping in bytes.
pub const CONTROL_SIZE: usize = 4096;
/// Default of [`ControlPage::ring_cap`]: bytes that all rings of a directory may take together.
pub const DEFAULT_RING_CAP: u64 = 64 << 20;

/// The layout of the page.
#[repr(C, align(128))]
pub struct ControlPage {
    /// [`CONTROL_MAGIC`].
    pub magic: u64,
    /// [`crate::VERSION`].
    pub version: u32,
    /// File mode that writers give to their rings: 0600, 0660 or 0666.
    pub ring_mode: u32,
    /// Bytes that all rings of the directory may take together.
    pub ring_cap: u64,
    /// When the directory was made, nanoseconds since 1970.
    pub created: u64,
    reserved: [u8; 96],
    /// The next ticket. Orders records across threads, processes and rings.
    pub ticket: Ticket,
    /// What rings take and what was lost without one.
    pub totals: Totals,
    /// What the collector says of itself.
    pub collector: Collector,
}

/// The ticket counter, on a cache line of its own.
#[repr(C, align(128))]
pub struct Ticket {
    /// Taken with `fetch_add(1)` when the application's own call has returned.
    pub next: AtomicU64,
}

/// Totals kept by the writers.
#[repr(C, align(128))]
pub struct Totals {
    /// Bytes that ring files take now. A maker adds, the collector subtracts when it removes a file.
    pub ring_bytes: AtomicU64,
    /// Records lost by writers that have no ring.
    pub lost_records: AtomicU64,
    /// Bytes lost by writers that have no ring.
    pub lost_bytes: AtomicU64,
}

/// Words kept by the collector.
#[repr(C, align(128))]
pub struct Collector {
    /// Moves about ten times a second while a collector runs: writers look their classes up again.
    pub epoch: AtomicU32,
    reserved: u32,
    /// `CLOCK_MONOTONIC` nanoseconds of the collector's last sign of life.
    pub lease: AtomicU64,
}

/// Offset of [`Ticket::next`] in the page.
pub const TICKET_OFFSET: usize = offset_of!(ControlPage, ticket);
/// Offset of [`Totals::ring_bytes`].
pub const RING_BYTES_OFFSET: usize = offset_of!(ControlPage, totals);
/// Offset of [`Totals::lost_records`].
pub const LOST_RECORDS_OFFSET: usize = RING_BYTES_OFFSET + offset_of!(Totals, lost_records);
/// Offset of [`Totals::lost_bytes`].
pub const LOST_BYTES_OFFSET: usize = RING_BYTES_OFFSET + offset_of!(Totals, lost_bytes);
/// Offset of [`Collector::epoch`].
pub const EPOCH_OFFSET: usize = offset_of!(ControlPage, collector);
/// Offset of [`Collector::lease`].
pub const LEASE_OFFSET: usize = EPOCH_OFFSET + offset_of!(Collector, lease);

const _: () = assert!(CONTROL_MAGIC == u64::from_le_bytes(*b"logtapC1"));
const _: () = assert!(size_of::<ControlPage>() <= CONTROL_SIZE && LEASE_OFFSET == 392);

/// The bytes of a fresh control page.
pub fn page(ring_mode: u32, ring_cap: u64, created: u64) -> [u8; CONTROL_SIZE] {
    let mut page = [0; CONTROL_SIZE];
    let mut put = |offset: usize, bytes: &[u8]| {
        page[offset..offset + bytes.len()].copy_from_slice(bytes);
    };
    put(offset_of!(ControlPage, magic), &CONTROL_MAGIC.to_ne_bytes());
    put(offset_of!(ControlPage, version), &crate::VERSION.to_ne_bytes());
    put(offset_of!(ControlPage, ring_mode), &ring_mode.to_ne_bytes());
    put(offset_of!(ControlPage, ring_cap), &ring_cap.to_ne_bytes());
    put(offset_of!(ControlPage, created), &created.to_ne_bytes());
    put(TICKET_OFFSET, &1_u64.to_ne_bytes());
    page
}

/// Whether these are the first bytes of a control page that this version understands.
pub fn is_valid(page: &[u8]) -> bool {
    let word =
        |offset: usize| page.get(offset..offset + 8)?.try_into().ok().map(u64::from_ne_bytes);
    word(0) == Some(CONTROL_MAGIC) && word(8).map(|word| word as u32) == Some(crate::VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_page_is_valid_and_another_version_is_not() {
        let mut fresh = page(0o600, DEFAULT_RING_CAP, 5);
        assert!(is_valid(&fresh));
        assert!(!is_valid(&fresh[..10]));
        fresh[8] ^= 1;
        assert!(!is_valid(&fresh));
    }
}
