//! The collector's side of the control page: made or taken over, kept in order, never believed.
//!
//! Every writer maps the page and may spoil it. What only the collector writes is looked at once a second and put back;
//! where another file has taken the page's name, programs that start later get a new page, and those that run keep the
//! old one: both are looked after.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use logtap_wire::CONTROL_FILE;
use logtap_wire::control::{self, CONTROL_SIZE, RING_MODE_OFFSET, TICKET_OFFSET};
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::clock::now;
use crate::error::CollectorError;

/// What stands before the first word that writers change.
const FIXED: usize = TICKET_OFFSET;
/// Pages that lost their name and are still looked after; older ones are given up.
const MAX_OLD: usize = 4;
/// A new page begins so many tickets after the last one that was seen: writers of the old page go on there.
const GAP: u64 = 1 << 20;

/// The control page of a directory.
#[derive(Debug)]
pub(crate) struct Control {
    page: File,
    /// Its first bytes, as they must be.
    fixed: [u8; FIXED],
    mode: u32,
    /// Pages that running programs may still have.
    old: Vec<File>,
}

/// What had happened to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// It was shorter, or other bytes stood at its beginning.
    Spoilt,
    /// Its name was gone, or another file had it.
    Replaced,
}

impl Control {
    /// Opens the page, or makes one under another name first, so that nobody sees half of it. With the ticket of the
    /// first record, where it was made. The page has one mode, rings that are made from now on have the other.
    pub(crate) fn open(
        directory: &OwnedFd,
        path: &Path,
        mode: u32,
        ring_mode: u32,
        ring_cap: u64,
    ) -> Result<(Self, Option<u64>), CollectorError> {
        let place = path.join(CONTROL_FILE);
        let failed =
            |error: io::Error| CollectorError::directory("open the control page", &place)(error);
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let (page, fixed, first) =
            match rustix::fs::openat(directory, CONTROL_FILE, flags, Mode::empty()) {
                Ok(page) => {
                    let page = File::from(page);
                    let metadata = page.metadata().map_err(failed)?;
                    let mut bytes = [0; CONTROL_SIZE];
                    let whole = metadata.is_file() && metadata.len() == CONTROL_SIZE as u64;
                    let read = whole && page.read_exact_at(&mut bytes, 0).is_ok();
                    if !read || !control::is_valid(&bytes) {
                        return Err(CollectorError::Version { path: place });
                    }
                    let mut fixed = fixed_of(&bytes);
                    // Whoever made it, an earlier collector or a program that came first, may not have known who reads.
                    fixed[RING_MODE_OFFSET..RING_MODE_OFFSET + 4]
                        .copy_from_slice(&ring_mode.to_ne_bytes());
                    page.write_all_at(&fixed, 0).map_err(failed)?;
                    (page, fixed, None)
                }
                Err(rustix::io::Errno::NOENT) => {
                    let created = u64::try_from(now()).unwrap_or(0);
                    let bytes = control::page(ring_mode, ring_cap, created);
                    let page = make(directory, mode, &bytes)
                        .map_err(CollectorError::directory("make the control page", &place))?;
                    (page, fixed_of(&bytes), Some(1))
                }
                Err(error) => return Err(failed(error.into())),
            };
        Ok((Self { page, fixed, mode, old: Vec::new() }, first))
    }

    /// Writes into the page, and into those that lost their name.
    pub(crate) fn put(&self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        for old in &self.old {
            // Nobody but its writers misses it.
            put(old, offset, bytes).unwrap_or_default();
        }
        put(&self.page, offset, bytes)
    }

    /// What writers without a ring lost: records and bytes.
    pub(crate) fn losses(&self) -> io::Result<(u64, u64)> {
        let mut lost = (
            word(&self.page, control::LOST_RECORDS_OFFSET)?,
            word(&self.page, control::LOST_BYTES_OFFSET)?,
        );
        for old in &self.old {
            let records = word(old, control::LOST_RECORDS_OFFSET).unwrap_or(0);
            let bytes = word(old, control::LOST_BYTES_OFFSET).unwrap_or(0);
            lost = (lost.0.saturating_add(records), lost.1.saturating_add(bytes));
        }
        Ok(lost)
    }

    /// A number that no ticket given out so far reaches; the largest there is where the page cannot be read.
    pub(crate) fn next_ticket(&self) -> u64 {
        let pages = self.old.iter().chain([&self.page]);
        pages.map(|page| word(page, TICKET_OFFSET).unwrap_or(u64::MAX)).max().unwrap_or(u64::MAX)
    }

    /// Puts back what only the collector writes, and the page under its name.
    pub(crate) fn repair(&mut self, directory: &OwnedFd) -> io::Result<Option<Repair>> {
        let named = rustix::fs::statat(directory, CONTROL_FILE, AtFlags::SYMLINK_NOFOLLOW);
        let ours = self.page.metadata()?;
        let in_place = named.is_ok_and(|named| named.st_ino == ours.ino());
        let short = ours.len() < CONTROL_SIZE as u64;
        let mut fixed = [0; FIXED];
        let whole = !short && self.page.read_exact_at(&mut fixed, 0).is_ok() && fixed == self.fixed;
        if !whole {
            if short {
                // Its writers touch memory that is not there until this is done.
                self.page.set_len(CONTROL_SIZE as u64)?;
            }
            self.page.write_all_at(&self.fixed, 0)?;
        }
        if in_place {
            return Ok((!whole).then_some(Repair::Spoilt));
        }
        let mut bytes = [0; CONTROL_SIZE];
        bytes[..FIXED].copy_from_slice(&self.fixed);
        let next = self.next_ticket().saturating_add(GAP);
        bytes[TICKET_OFFSET..TICKET_OFFSET + 8].copy_from_slice(&next.to_ne_bytes());
        let page = make(directory, self.mode, &bytes)?;
        self.old.push(std::mem::replace(&mut self.page, page));
        if self.old.len() > MAX_OLD {
            self.old.remove(0);
        }
        Ok(Some(Repair::Replaced))
    }
}

fn fixed_of(bytes: &[u8; CONTROL_SIZE]) -> [u8; FIXED] {
    let mut fixed = [0; FIXED];
    fixed.copy_from_slice(&bytes[..FIXED]);
    fixed
}

fn put(page: &File, offset: usize, bytes: &[u8]) -> io::Result<()> {
    // A page that somebody cut off must not grow back by our writing.
    if page.metadata()?.len() < CONTROL_SIZE as u64 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the control page was cut off"));
    }
    page.write_all_at(bytes, offset as u64)
}

fn word(page: &File, offset: usize) -> io::Result<u64> {
    let mut word = [0; 8];
    page.read_exact_at(&mut word, offset as u64)?;
    Ok(u64::from_ne_bytes(word))
}

/// Makes a page with these bytes and gives it its name.
fn make(directory: &OwnedFd, mode: u32, bytes: &[u8; CONTROL_SIZE]) -> io::Result<File> {
    let temporary = format!("{CONTROL_FILE}.{}.tmp", std::process::id());
    match rustix::fs::unlinkat(directory, &temporary, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::CREATE | OFlags::EXCL;
    let mode = Mode::from_raw_mode(mode);
    let page = rustix::fs::openat(directory, &temporary, flags, mode)?;
    rustix::fs::fchmod(&page, mode)?;
    let page = File::from(page);
    // Written whole: every page of a tmpfs file that was written is there, none can be missing.
    page.write_all_at(bytes, 0)?;
    rustix::fs::renameat(directory, &temporary, directory, CONTROL_FILE)?;
    Ok(page)
}
