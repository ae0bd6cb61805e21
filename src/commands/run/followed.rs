//! One file that is read as it grows, whatever becomes of it meanwhile: cut back, written anew, sparse.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use logtap_wire::identity::Identity;
use rustix::fs::SeekFrom;

/// Bytes by which a file is known again.
const REMEMBERED: usize = 256;
/// Bytes read at once, beside those by which the file is known again.
const CHUNK: usize = 256 << 10;
/// Room for one read.
pub(crate) const BUFFER: usize = REMEMBERED + CHUNK;

/// A file, and how far it is read.
pub(crate) struct Followed {
    pub(crate) identity: Identity,
    /// Its name when it was first seen.
    pub(crate) path: PathBuf,
    /// Counts the files in the order in which they were seen.
    pub(crate) number: u64,
    file: File,
    offset: u64,
    /// The last bytes before the offset, as they were read.
    before: Vec<u8>,
    /// Only zeros have come since a hole began, or since the file was cut back.
    in_hole: bool,
    /// How far it was read when it was cut back, until something is there again.
    cut: Option<u64>,
    disturbed: Disturbed,
}

/// What makes a file more, or less, than the lines that were written to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disturbed {
    /// How often it was cut back or written anew. What was written after the look before is not known.
    pub(crate) truncations: u64,
    /// Bytes of holes that were passed over: nobody wrote them.
    pub(crate) holes: u64,
    /// Bytes that are known to have been written and cut off before they were read.
    pub(crate) missed: u64,
}

/// Where a file has no data.
enum Hole {
    /// Not in the bytes that were read.
    None,
    /// Behind so many of them.
    After(usize),
    /// From the first of them up to this offset.
    Until(u64),
    /// From the first of them to the end of the file. It may be filled.
    AtEnd,
}

/// What a look at a file hears, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// It grew by these bytes.
    Bytes(&'a [u8]),
    /// What comes now does not continue the last line.
    Break,
}

impl Followed {
    /// Follows a file from this offset on.
    pub(crate) fn new(
        identity: Identity,
        path: PathBuf,
        file: File,
        offset: u64,
        number: u64,
    ) -> io::Result<Self> {
        let (before, disturbed) = (Vec::new(), Disturbed::default());
        let (in_hole, cut) = (false, None);
        let mut new =
            Self { identity, path, number, file, offset, before, in_hole, cut, disturbed };
        new.remember()?;
        Ok(new)
    }

    pub(crate) const fn disturbed(&self) -> Disturbed {
        self.disturbed
    }

    /// Whether nothing more can come: it has no name any more, and its end was read.
    pub(crate) fn is_over(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|metadata| metadata.nlink() == 0 && metadata.len() == self.offset)
    }

    /// Counts as read what is there, without reading it.
    pub(crate) fn pass_over(&mut self) -> io::Result<()> {
        self.offset = self.file.metadata()?.len();
        (self.in_hole, self.cut) = (false, None);
        self.remember()
    }

    /// Hands over what is new.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        mut heard: impl FnMut(Heard<'_>),
    ) -> io::Result<()> {
        loop {
            let length = self.file.metadata()?.len();
            if length < self.offset {
                self.start_anew(&mut heard);
                continue;
            }
            // In one call with those before them, so that the new bytes are of the same text.
            let known = self.before.len();
            let read = self.file.read_at(buffer, self.offset - known as u64)?;
            let (again, new) = buffer[..read].split_at(known.min(read));
            if again != self.before {
                self.start_anew(&mut heard);
                continue;
            }
            let new = whole_pages(new, self.offset);
            if new.is_empty() {
                return Ok(());
            }
            match self.hole(new, length)? {
                Hole::None => self.take(new, &mut heard),
                Hole::After(text) => self.take(&new[..text], &mut heard),
                Hole::Until(data) => self.skip(data),
                Hole::AtEnd => return Ok(()),
            }
        }
    }

    /// The file has other contents than it had.
    fn start_anew(&mut self, heard: &mut impl FnMut(Heard<'_>)) {
        self.disturbed.truncations += 1;
        if self.before.last().is_some_and(|last| *last != b'\n') {
            heard(Heard::Break);
        }
        self.cut = Some(self.cut.unwrap_or(0).max(self.offset));
        self.offset = 0;
        self.before.clear();
        // Where a writer goes on at its old offset, zeros come first.
        self.in_hole = true;
    }

    /// Where a hole is in what was read at the offset of a file of this length. The zeros between a
    /// text and the end of its page belong to the hole that follows.
    fn hole(&self, new: &[u8], length: u64) -> io::Result<Hole> {
        if !new.contains(&0) {
            return Ok(Hole::None);
        }
        // An error: a file system that does not know of holes, or the file was cut back just now.
        let Ok(hole) = rustix::fs::seek(&self.file, SeekFrom::Hole(self.offset)) else {
            return Ok(Hole::None);
        };
        if hole >= length || hole > self.offset + new.len() as u64 {
            return Ok(Hole::None);
        }
        let data = &new[..usize::try_from(hole - self.offset).unwrap_or(new.len())];
        let text = data.len() - data.iter().rev().take_while(|byte| **byte == 0).count();
        if text > 0 {
            return Ok(Hole::After(text));
        }
        match rustix::fs::seek(&self.file, SeekFrom::Data(hole)) {
            Ok(data) => Ok(Hole::Until(data)),
            Err(rustix::io::Errno::NXIO) => Ok(Hole::AtEnd),
            Err(error) => Err(error.into()),
        }
    }

    fn skip(&mut self, data: u64) {
        self.disturbed.holes += data - self.offset;
        self.offset = data;
        self.before.clear();
        self.in_hole = true;
    }

    fn take(&mut self, new: &[u8], heard: &mut impl FnMut(Heard<'_>)) {
        let zeros = match self.in_hole {
            true => new.iter().take_while(|byte| **byte == 0).count(),
            false => 0,
        };
        self.disturbed.holes += zeros as u64;
        let text = &new[zeros..];
        let begin = self.offset + zeros as u64;
        self.offset += new.len() as u64;
        self.before.extend_from_slice(&new[new.len().saturating_sub(REMEMBERED)..]);
        self.before.drain(..self.before.len().saturating_sub(REMEMBERED));
        if !text.is_empty() {
            self.in_hole = false;
            if let Some(cut) = self.cut.take() {
                // Its writer went on where it was: so far it had come.
                self.disturbed.missed += begin.saturating_sub(cut);
            }
            heard(Heard::Bytes(text));
        }
    }

    /// Remembers what stands before the offset now.
    fn remember(&mut self) -> io::Result<()> {
        let length = self.offset.min(REMEMBERED as u64);
        self.before.resize(usize::try_from(length).unwrap_or(0), 0);
        let read = self.file.read_at(&mut self.before, self.offset - length)?;
        if read < self.before.len() {
            // Cut back between the two: the next look finds it shorter.
            self.before.clear();
        }
        Ok(())
    }
}

/// As much of what was read at an offset as ends with a page, if that is anything: what follows comes
/// with its page. A shorter read is all that there is.
fn whole_pages(new: &[u8], offset: u64) -> &[u8] {
    const PAGE: u64 = 4096;
    let beyond = (offset + new.len() as u64) % PAGE;
    match new.len() {
        ..CHUNK => new,
        length => &new[..length - usize::try_from(beyond).unwrap_or(0)],
    }
}
