//! What a process whose target is `socket:` or `file:` counts, in a page of its own memory.
//!
//! Nobody else maps the page. Who wants to know reads it through `/proc/PID/mem`, at the start of the private
//! mapping that begins with [`RAW_MAGIC`] (named `[anon:liblogtap]` where the kernel has names for mappings). A forked
//! child counts for itself, from zero.
//!
//! For every write that was tapped: delivered + waiting + lost == taken, in bytes. *Delivered* is what the kernel took:
//! what it held when a sink died is neither known nor counted.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// First eight bytes of the page.
pub const RAW_MAGIC: u64 = 0x3153706174676f6c;
const _: () = assert!(RAW_MAGIC == u64::from_le_bytes(*b"logtapS1"));
/// Name of the mapping, where the kernel has names.
pub const RAW_NAME: &core::ffi::CStr = c"liblogtap";

/// The target is `socket:`.
pub const KIND_SOCKET: u32 = 1;
/// The target is `file:`.
pub const KIND_FILE: u32 = 2;

/// The page.
#[repr(C, align(128))]
pub struct RawPage {
    /// [`RAW_MAGIC`], from the first tapped write on.
    pub magic: AtomicU64,
    /// [`crate::VERSION`].
    pub version: AtomicU32,
    /// [`KIND_SOCKET`] or [`KIND_FILE`].
    pub kind: AtomicU32,
    /// Tapped writes and their bytes.
    pub taken_records: AtomicU64,
    /// Their bytes.
    pub taken_bytes: AtomicU64,
    /// Writes of which something was lost.
    pub lost_records: AtomicU64,
    /// The bytes that were lost.
    pub lost_bytes: AtomicU64,
    /// Bytes that the socket or the file took.
    pub delivered_bytes: AtomicU64,
    /// How often a connection or a file was opened.
    pub opened: AtomicU64,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawCounts {
    /// [`KIND_SOCKET`] or [`KIND_FILE`].
    pub kind: u32,
    /// Tapped writes.
    pub taken_records: u64,
    /// Their bytes.
    pub taken_bytes: u64,
    /// Writes of which something was lost.
    pub lost_records: u64,
    /// The bytes that were lost.
    pub lost_bytes: u64,
    /// Bytes that the socket or the file took.
    pub delivered_bytes: u64,
    /// How often a connection or a file was opened.
    pub opened: u64,
}

impl RawPage {
    /// Names the page, if nobody did.
    pub fn name(&self, kind: u32) {
        if self.magic.load(Ordering::Relaxed) != RAW_MAGIC {
            self.version.store(crate::VERSION, Ordering::Relaxed);
            self.kind.store(kind, Ordering::Relaxed);
            self.magic.store(RAW_MAGIC, Ordering::Release);
        }
    }

    /// Counts a write that was tapped.
    #[inline]
    pub fn take(&self, bytes: u64) {
        self.taken_records.fetch_add(1, Ordering::Relaxed);
        self.taken_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes of one write as lost.
    #[inline]
    pub fn lose(&self, records: u64, bytes: u64) {
        self.lost_records.fetch_add(records, Ordering::Relaxed);
        self.lost_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The counts now.
    pub fn counts(&self) -> RawCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        RawCounts {
            kind: self.kind.load(Ordering::Relaxed),
            taken_records: of(&self.taken_records),
            taken_bytes: of(&self.taken_bytes),
            lost_records: of(&self.lost_records),
            lost_bytes: of(&self.lost_bytes),
            delivered_bytes: of(&self.delivered_bytes),
            opened: of(&self.opened),
        }
    }
}

/// Reads a copy of the page. `None` where the bytes are no such page of this version.
pub fn parse(bytes: &[u8]) -> Option<RawCounts> {
    let word = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let (version, kind) = (word(8)? as u32, (word(8)? >> 32) as u32);
    if word(0)? != RAW_MAGIC || version != crate::VERSION {
        return None;
    }
    Some(RawCounts {
        kind,
        taken_records: word(16)?,
        taken_bytes: word(24)?,
        lost_records: word(32)?,
        lost_bytes: word(40)?,
        delivered_bytes: word(48)?,
        opened: word(56)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_page_says_what_the_page_says() {
        let page = RawPage {
            magic: AtomicU64::new(0),
            version: AtomicU32::new(0),
            kind: AtomicU32::new(0),
            taken_records: AtomicU64::new(0),
            taken_bytes: AtomicU64::new(0),
            lost_records: AtomicU64::new(0),
            lost_bytes: AtomicU64::new(0),
            delivered_bytes: AtomicU64::new(5),
            opened: AtomicU64::new(2),
        };
        page.take(10);
        page.lose(1, 3);
        let copy = |page: &RawPage| {
            let counts = page.counts();
            let mut bytes = page.magic.load(Ordering::Relaxed).to_ne_bytes().to_vec();
            bytes.extend(page.version.load(Ordering::Relaxed).to_ne_bytes());
            bytes.extend(counts.kind.to_ne_bytes());
            for count in [
                counts.taken_records,
                counts.taken_bytes,
                counts.lost_records,
                counts.lost_bytes,
                counts.delivered_bytes,
                counts.opened,
            ] {
                bytes.extend(count.to_ne_bytes());
            }
            bytes
        };
        assert_eq!(parse(&copy(&page)), None, "not named yet");
        page.name(KIND_FILE);
        let bytes = copy(&page);
        assert_eq!(parse(&bytes), Some(page.counts()));
        assert_eq!(bytes.len(), 64);
        assert!((0..bytes.len()).all(|cut| parse(&bytes[..cut]).is_none()));
    }
}
