//! The control page: one page a tap directory, made by the collector, mapped by every writer.
//!
//! Writers are other people's processes: the collector takes nothing on this page as true.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

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
    /// The [`Collector::made_room`] during which writes have waited for room and found none. As long as that has not
    /// moved, nobody waits again.
    pub waited_in_vain: AtomicU64,
}

/// Words kept by the collector.
#[repr(C, align(128))]
pub struct Collector {
    /// Moves about ten times a second while a collector runs: writers look their classes up again.
    pub epoch: AtomicU32,
    reserved: u32,
    /// `CLOCK_MONOTONIC` nanoseconds of the collector's last sign of life.
    pub lease: AtomicU64,
    /// `CLOCK_MONOTONIC` nanoseconds at which the collector last let go of something that was read, so that there is
    /// room. 0 by a collector that does not say.
    pub made_room: AtomicU64,
}

impl ControlPage {
    /// Whether waiting for room is known to be pointless: writes have waited since the collector made some.
    pub fn is_waiting_in_vain(&self) -> bool {
        let room = self.collector.made_room.load(Ordering::Relaxed);
        room != 0 && self.totals.waited_in_vain.load(Ordering::Relaxed) == room
    }

    /// Says that writes have waited long enough since the collector's word was `room`. Nothing, if it has moved.
    pub fn say_in_vain(&self, room: u64) {
        if self.collector.made_room.load(Ordering::Relaxed) == room {
            self.totals.waited_in_vain.store(room, Ordering::Relaxed);
        }
    }
}

/// Offset of [`ControlPage::ring_mode`] in the page.
pub const RING_MODE_OFFSET: usize = offset_of!(ControlPage, ring_mode);
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
/// Offset of [`Collector::made_room`].
pub const MADE_ROOM_OFFSET: usize = EPOCH_OFFSET + offset_of!(Collector, made_room);

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
    fn waiting_is_in_vain_until_there_was_room_once_more() {
        let page = ControlPage {
            magic: CONTROL_MAGIC,
            version: crate::VERSION,
            ring_mode: 0o600,
            ring_cap: DEFAULT_RING_CAP,
            created: 0,
            reserved: [0; 96],
            ticket: Ticket { next: AtomicU64::new(1) },
            totals: Totals {
                ring_bytes: AtomicU64::new(0),
                lost_records: AtomicU64::new(0),
                lost_bytes: AtomicU64::new(0),
                waited_in_vain: AtomicU64::new(0),
            },
            collector: Collector {
                epoch: AtomicU32::new(0),
                reserved: 0,
                lease: AtomicU64::new(0),
                made_room: AtomicU64::new(0),
            },
        };
        assert!(!page.is_waiting_in_vain());
        page.say_in_vain(0);
        assert!(!page.is_waiting_in_vain(), "a collector that does not say is always waited for");
        page.collector.made_room.store(7, Ordering::Relaxed);
        assert!(!page.is_waiting_in_vain());
        page.say_in_vain(7);
        assert!(page.is_waiting_in_vain());
        page.collector.made_room.store(8, Ordering::Relaxed);
        assert!(!page.is_waiting_in_vain());
        page.say_in_vain(7);
        assert!(!page.is_waiting_in_vain(), "a wait that began before");
    }

    #[test]
    fn a_fresh_page_is_valid_and_another_version_is_not() {
        let mut fresh = page(0o600, DEFAULT_RING_CAP, 5);
        assert!(is_valid(&fresh));
        assert!(!is_valid(&fresh[..10]));
        fresh[8] ^= 1;
        assert!(!is_valid(&fresh));
    }
}
