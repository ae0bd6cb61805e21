//! The bytes of a segment: a header, then frames, each of them one chunk.
//!
//! ```text
//!  header   "logtapS1"  version u32  zero u32
//!  frame    body length u32  mark u32  checksum u64   body
//!  body     now i64  next ring u32  adoptions u32  releases u32
//!           { ring u32  created u64  ended u8  name  lanes u32 { position u64 } }*
//!           { kind u8  ring u32  lane u32  position u64 }*       operations
//! ```
//! A frame is written by one call: a killed collector leaves a prefix of it, which the length tells.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::ring_table::MAX_LANES;
use crate::chunk::{Adoption, Chunk, Release};
use crate::operation::{Cursor, RingId};

/// Bytes before the first frame.
pub(super) const SEGMENT_HEADER: u64 = 16;
/// Bytes before a frame's body.
const FRAME_HEADER: usize = 16;
/// Largest body that is believed: some chunks may exceed their usual size by one lane.
const MAX_BODY: u32 = 64 << 20;
const MAGIC: &[u8; 8] = b"logtapS1";
const VERSION: u32 = 1;
const MARK: u32 = 0x6c74_6672;

/// One frame, as read.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) now: i64,
    pub(super) next_ring: RingId,
    pub(super) adoptions: Vec<Adoption>,
    pub(super) releases: Vec<Release>,
    /// The operations.
    pub(super) bytes: Vec<u8>,
}

/// The header of a segment.
pub(super) fn segment_header() -> [u8; SEGMENT_HEADER as usize] {
    let mut header = [0; SEGMENT_HEADER as usize];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header
}

/// Appends a chunk as a frame.
pub(super) fn write_frame(out: &mut Vec<u8>, chunk: &Chunk, next_ring: RingId) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER]);
    out.extend_from_slice(&chunk.now.to_le_bytes());
    out.extend_from_slice(&next_ring.to_le_bytes());
    out.extend_from_slice(&(chunk.adoptions.len() as u32).to_le_bytes());
    out.extend_from_slice(&(chunk.releases.len() as u32).to_le_bytes());
    for adoption in &chunk.adoptions {
        write_adoption(out, adoption);
    }
    for release in &chunk.releases {
        let (kind, ring, lane, position) = match *release {
            Release::Tail { ring, lane, position } => (0, ring, lane, position),
            Release::Ring { ring } => (1, ring, 0, 0),
            Release::Forget { ring } => (2, ring, 0, 0),
        };
        out.push(kind);
        out.extend_from_slice(&ring.to_le_bytes());
        out.extend_from_slice(&lane.to_le_bytes());
        out.extend_from_slice(&position.to_le_bytes());
    }
    out.extend_from_slice(&chunk.bytes);
    let body = start + FRAME_HEADER;
    let length = (out.len() - body) as u32;
    let sum = checksum(&out[body..]);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&MARK.to_le_bytes());
    out[start + 8..body].copy_from_slice(&sum.to_le_bytes());
}

/// Reads the frames of a segment one after the other.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    file: &'a File,
    /// Behind the last frame that was read.
    offset: u64,
    /// Nothing is read from here on.
    end: u64,
    body: Vec<u8>,
}

impl<'a> Walk<'a> {
    /// From the beginning.
    pub(super) const fn new(file: &'a File, end: u64) -> Self {
        Self { file, offset: 0, end, body: Vec::new() }
    }

    /// From a frame's start, with a buffer to use.
    pub(super) const fn from(file: &'a File, offset: u64, end: u64, body: Vec<u8>) -> Self {
        Self { file, offset, end, body }
    }

    /// Behind the last frame that was read whole.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Gives the buffer back.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.body
    }

    /// The next frame. `None` at the end and where no whole frame is.
    pub(super) fn next(&mut self) -> io::Result<Option<Frame>> {
        if self.offset == 0 {
            let mut header = [0; SEGMENT_HEADER as usize];
            if self.end < SEGMENT_HEADER {
                return Ok(None);
            }
            self.file.read_exact_at(&mut header, 0)?;
            if header != segment_header() {
                return Ok(None);
            }
            self.offset = SEGMENT_HEADER;
        }
        let mut header = [0; FRAME_HEADER];
        let body = self.offset + FRAME_HEADER as u64;
        if body > self.end {
            return Ok(None);
        }
        self.file.read_exact_at(&mut header, self.offset)?;
        let mut fields = Cursor { rest: &header };
        let (Some(length), Some(MARK), Some(sum)) = (fields.u32(), fields.u32(), fields.u64())
        else {
            return Ok(None);
        };
        if length > MAX_BODY || body + u64::from(length) > self.end {
            return Ok(None);
        }
        self.body.resize(length as usize, 0);
        self.file.read_exact_at(&mut self.body, body)?;
        if checksum(&self.body) != sum {
            return Ok(None);
        }
        let Some(frame) = parse(&self.body) else { return Ok(None) };
        self.offset = body + u64::from(length);
        Ok(Some(frame))
    }
}

fn parse(body: &[u8]) -> Option<Frame> {
    let mut from = Cursor { rest: body };
    let mut frame = Frame { now: from.i64()?, next_ring: from.u32()?, ..Frame::default() };
    let (adoptions, releases) = (from.u32()?, from.u32()?);
    for _ in 0..adoptions {
        frame.adoptions.push(read_adoption(&mut from)?);
    }
    for _ in 0..releases {
        let kind = from.u8()?;
        let (ring, lane, position) = (from.u32()?, from.u32()?, from.u64()?);
        frame.releases.push(match kind {
            0 => Release::Tail { ring, lane, position },
            1 => Release::Ring { ring },
            2 => Release::Forget { ring },
            _ => return None,
        });
    }
    frame.bytes = from.rest.to_vec();
    Some(frame)
}

fn write_adoption(out: &mut Vec<u8>, adoption: &Adoption) {
    let Adoption { ring, created, ended, name, tails } = adoption;
    out.extend_from_slice(&ring.to_le_bytes());
    out.extend_from_slice(&created.to_le_bytes());
    out.push(u8::from(*ended));
    out.extend_from_slice(&(name.len() as u32).to_le_bytes());
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&(tails.len() as u32).to_le_bytes());
    for tail in tails {
        out.extend_from_slice(&tail.to_le_bytes());
    }
}

fn read_adoption(from: &mut Cursor<'_>) -> Option<Adoption> {
    let (ring, created, ended) = (from.u32()?, from.u64()?, from.u8()? != 0);
    let name = String::from_utf8_lossy(from.bytes()?).into_owned();
    let lanes = from.u32().filter(|&lanes| lanes <= MAX_LANES)?;
    let tails = (0..lanes).map(|_| from.u64()).collect::<Option<_>>()?;
    Some(Adoption { ring, created, ended, name, tails })
}

/// Tells whole bytes from cut-off, zeroed or exchanged ones. Not meant against anybody's intent.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum = bytes.len() as u64 ^ FACTOR;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR).rotate_left(29);
    }
    for &byte in rest {
        sum = (sum ^ u64::from(byte)).wrapping_mul(FACTOR).rotate_left(29);
    }
    sum
}
