//! A frame: one record in one datagram, from a writer that could not make a ring.
//!
//! ```text
//!  0       8         12     13      14         16                24      72
//!  ┌───────┬─────────┬──────┬───────┬──────────┬─────────────────┬───────┬──────┬─────────┐
//!  │ magic │ version │ kind │ zero  │ path len │ pid namespace   │ record header │ path │ payload │
//!  └───────┴─────────┴──────┴───────┴──────────┴─────────────────┴───────┴──────┴─────────┘
//! ```
//! The record's slot means nothing here; `kind` and `path` name the stream.

use crate::record::{HEADER_SIZE, RecordHeader};
use crate::ring::StreamKind;

/// First eight bytes of a frame.
pub const FRAME_MAGIC: u64 = 0x3146706174676f6c;
const _: () = assert!(FRAME_MAGIC == u64::from_le_bytes(*b"logtapF1"));

/// Bytes before the path.
pub const FRAME_HEADER_SIZE: usize = 24 + HEADER_SIZE;
/// Largest payload of one frame. Longer writes become several frames of one ticket.
pub const MAX_PAYLOAD: usize = 32 << 10;
/// Longest path in a frame.
pub const MAX_PATH: usize = 4096;

/// A frame's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What kind of stream it is.
    pub kind: StreamKind,
    /// Inode of the writer's pid namespace, 0 where it could not be read.
    pub pid_namespace: u64,
    /// The record's header.
    pub record: RecordHeader,
    /// The file's path; empty for the standard streams.
    pub path: &'a [u8],
    /// What was written.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The bytes that stand before path and payload.
    pub fn header(&self) -> [u8; FRAME_HEADER_SIZE] {
        let mut bytes = [0; FRAME_HEADER_SIZE];
        bytes[..8].copy_from_slice(&FRAME_MAGIC.to_ne_bytes());
        bytes[8..12].copy_from_slice(&crate::VERSION.to_ne_bytes());
        bytes[12] = self.kind as u8;
        bytes[14..16].copy_from_slice(&(self.path.len() as u16).to_ne_bytes());
        bytes[16..24].copy_from_slice(&self.pid_namespace.to_ne_bytes());
        for (index, word) in self.record.to_words().iter().enumerate() {
            bytes[24 + index * 8..32 + index * 8].copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// Reads a datagram. `None` where it is no frame of this version.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.get(..FRAME_HEADER_SIZE)?;
        let magic = u64::from_ne_bytes(header[..8].try_into().ok()?);
        let version = u32::from_ne_bytes(header[8..12].try_into().ok()?);
        if magic != FRAME_MAGIC || version != crate::VERSION {
            return None;
        }
        let kind = StreamKind::from_number(u32::from(header[12]))?;
        let path_length = usize::from(u16::from_ne_bytes(header[14..16].try_into().ok()?));
        let record = RecordHeader::from_bytes(&header[24..])?;
        let path_end = FRAME_HEADER_SIZE + path_length;
        let payload = bytes.get(path_end..)?;
        if path_length > MAX_PATH || payload.len() != record.length as usize {
            return None;
        }
        let pid_namespace = u64::from_ne_bytes(header[16..24].try_into().ok()?);
        Some(Self {
            kind,
            pid_namespace,
            record,
            path: &bytes[FRAME_HEADER_SIZE..path_end],
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives_its_bytes_and_a_cut_one_is_refused() {
        let record = RecordHeader { length: 3, ticket: 9, pid: 4, ..RecordHeader::default() };
        let frame = Frame {
            kind: StreamKind::File,
            pid_namespace: 77,
            record,
            path: b"/var/log/x",
            payload: b"abc",
        };
        let mut bytes = frame.header().to_vec();
        bytes.extend_from_slice(frame.path);
        bytes.extend_from_slice(frame.payload);
        assert_eq!(Frame::parse(&bytes), Some(frame));
        assert!((0..bytes.len()).all(|cut| Frame::parse(&bytes[..cut]).is_none()));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(0_u8.., 0..200)) {
            let _ = Frame::parse(&bytes);
        }
    }
}
