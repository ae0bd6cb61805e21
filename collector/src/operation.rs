//! Operations: all that happened to the tapped streams, in order, as bytes.
//!
//! The drain thread turns rings, frames and feeders into operations; the assembler turns operations
//! into lines. Between the two they travel in chunks, through memory or through the spool. The same
//! operations always give the same lines with the same numbers: whatever depends on time is in them.
//!
//! ```text
//!  ┌──────┬──────────────────────┬──────────────────────────┐
//!  │ kind │ fixed fields (LE)    │ u32 length + bytes, 0..n │   one after another
//!  └──────┴──────────────────────┴──────────────────────────┘
//! ```

use logtap_wire::ring::StreamKind;

/// The record was passed by others with later tickets.
pub(crate) const LATE: u8 = 1;
/// The write goes on in a further record with the same ticket.
pub(crate) const MORE: u8 = 2;
/// Not the first record of its write.
pub(crate) const FRAGMENT: u8 = 4;

/// Number of a source of streams, never used twice in the life of a spool.
pub(crate) type RingId = u32;

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    /// A ring (or another source of streams) appeared.
    Ring {
        ring: RingId,
        pid: u32,
        /// Inode of its pid namespace, 0 where unknown.
        namespace: u64,
        name: &'a [u8],
        executable: &'a [u8],
        source: &'a [u8],
    },
    /// A stream of a ring, before its first record.
    Stream { ring: RingId, slot: u8, kind: StreamKind, path: &'a [u8] },
    /// Bytes were written.
    Record(Record<'a>),
    /// What a stream had lost in all when its ring ended.
    Loss { ring: RingId, slot: u8, records: u64, bytes: u64 },
    /// A writer died in the middle of a record. Of unknown length where `bytes` is `None`.
    Torn { ring: RingId, slot: Option<u8>, bytes: Option<u64> },
    /// What a stream's writers had torn in all when its ring ended, where siblings have taken the lanes back since.
    TakenBack { ring: RingId, slot: u8, records: u64, bytes: u64 },
    /// A process ended while its ring lives on.
    ProcessEnd { ring: RingId, pid: u32 },
    /// Nothing more comes from this ring.
    RingEnd { ring: RingId, coverage: u32, how: RingEnd },
    /// The collector stops for a while: what is begun is given out as it is.
    Flush,
    /// State carried over: the next line's number and the last time stamp given out.
    Numbering { next: u64, last_timestamp: i64 },
    /// State carried over: what a stream had lost in all, told already.
    Known { ring: RingId, slot: u8, records: u64, bytes: u64 },
    /// State carried over: a line that is not complete yet.
    Partial(Partial<'a>),
}

/// A line that one writer has begun and not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partial<'a> {
    /// The ring that it wrote to last.
    pub(crate) ring: RingId,
    pub(crate) pid: u32,
    /// The stream.
    pub(crate) kind: StreamKind,
    pub(crate) path: &'a [u8],
    /// Kept apart, because a long write of the same writer is under way.
    pub(crate) aside: bool,
    /// Pieces of the line were given out already.
    pub(crate) split: bool,
    /// Ticket of the write that is not complete yet; 0 if there is none.
    pub(crate) open: u64,
    /// When it began.
    pub(crate) began: i64,
    /// When it last grew, by the collector's clock.
    pub(crate) active: i64,
    pub(crate) bytes: &'a [u8],
}

/// Bytes that a process wrote to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) ring: RingId,
    pub(crate) slot: u8,
    /// [`LATE`], [`MORE`], [`FRAGMENT`].
    pub(crate) flags: u8,
    pub(crate) pid: u32,
    pub(crate) ticket: u64,
    /// Nanoseconds since 1970, as the writer says.
    pub(crate) time: i64,
    /// What the stream had lost before, modulo 2^32 records.
    pub(crate) lost_records: u32,
    pub(crate) lost_bytes: u64,
    pub(crate) payload: &'a [u8],
}

/// How a ring ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RingEnd {
    /// All its processes are gone.
    Released,
    /// The collector stops while processes hold it.
    Left,
    /// It broke the rules.
    Hostile,
}

/// Bytes that are no operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes that are no operation")]
pub(crate) struct NotAnOperation;

const RING: u8 = 1;
const STREAM: u8 = 2;
const RECORD: u8 = 3;
const LOSS: u8 = 4;
const TORN: u8 = 5;
const PROCESS_END: u8 = 6;
const RING_END: u8 = 7;
const NUMBERING: u8 = 8;
const PARTIAL: u8 = 9;
const KNOWN: u8 = 10;
const FLUSH: u8 = 11;
const TAKEN_BACK: u8 = 12;
/// Stands for "not known" in a slot.
const NO_SLOT: u8 = u8::MAX;
/// Stands for "not known" in a length.
const NO_LENGTH: u64 = u64::MAX;

impl<'a> Operation<'a> {
    /// Appends its bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Ring { ring, pid, namespace, name, executable, source } => {
                out.push(RING);
                out.extend_from_slice(&ring.to_le_bytes());
                out.extend_from_slice(&pid.to_le_bytes());
                out.extend_from_slice(&namespace.to_le_bytes());
                for bytes in [name, executable, source] {
                    put_bytes(out, bytes);
                }
            }
            Self::Stream { ring, slot, kind, path } => {
                out.push(STREAM);
                out.extend_from_slice(&ring.to_le_bytes());
                out.extend_from_slice(&[slot, kind as u8]);
                put_bytes(out, path);
            }
            Self::Record(record) => {
                let mut head = [0; 39];
                head[0] = RECORD;
                head[1..5].copy_from_slice(&record.ring.to_le_bytes());
                head[5] = record.slot;
                head[6] = record.flags;
                head[7..11].copy_from_slice(&record.pid.to_le_bytes());
                head[11..19].copy_from_slice(&record.ticket.to_le_bytes());
                head[19..27].copy_from_slice(&record.time.to_le_bytes());
                head[27..31].copy_from_slice(&record.lost_records.to_le_bytes());
                head[31..39].copy_from_slice(&record.lost_bytes.to_le_bytes());
                out.extend_from_slice(&head);
                put_bytes(out, record.payload);
            }
            Self::Loss { ring, slot, records, bytes }
            | Self::TakenBack { ring, slot, records, bytes }
            | Self::Known { ring, slot, records, bytes } => {
                out.push(match self {
                    Self::Loss { .. } => LOSS,
                    Self::TakenBack { .. } => TAKEN_BACK,
                    _ => KNOWN,
                });
                out.extend_from_slice(&ring.to_le_bytes());
                out.push(slot);
                out.extend_from_slice(&records.to_le_bytes());
                out.extend_from_slice(&bytes.to_le_bytes());
            }
            Self::Torn { ring, slot, bytes } => {
                out.push(TORN);
                out.extend_from_slice(&ring.to_le_bytes());
                out.push(slot.unwrap_or(NO_SLOT));
                out.extend_from_slice(&bytes.unwrap_or(NO_LENGTH).to_le_bytes());
            }
            Self::ProcessEnd { ring, pid } => {
                out.push(PROCESS_END);
                out.extend_from_slice(&ring.to_le_bytes());
                out.extend_from_slice(&pid.to_le_bytes());
            }
            Self::RingEnd { ring, coverage, how } => {
                out.push(RING_END);
                out.extend_from_slice(&ring.to_le_bytes());
                out.extend_from_slice(&coverage.to_le_bytes());
                out.push(how as u8);
            }
            Self::Flush => out.push(FLUSH),
            Self::Numbering { next, last_timestamp } => {
                out.push(NUMBERING);
                out.extend_from_slice(&next.to_le_bytes());
                out.extend_from_slice(&last_timestamp.to_le_bytes());
            }
            Self::Partial(partial) => {
                out.push(PARTIAL);
                out.extend_from_slice(&partial.ring.to_le_bytes());
                out.extend_from_slice(&partial.pid.to_le_bytes());
                out.push(partial.kind as u8);
                put_bytes(out, partial.path);
                out.extend_from_slice(&[u8::from(partial.aside), u8::from(partial.split)]);
                out.extend_from_slice(&partial.open.to_le_bytes());
                out.extend_from_slice(&partial.began.to_le_bytes());
                out.extend_from_slice(&partial.active.to_le_bytes());
                put_bytes(out, partial.bytes);
            }
        }
    }

    /// Reads the first operation of `bytes` and what follows it.
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&kind, rest) = bytes.split_first()?;
        let mut from = Cursor { rest };
        let operation = match kind {
            RING => Self::Ring {
                ring: from.u32()?,
                pid: from.u32()?,
                namespace: from.u64()?,
                name: from.bytes()?,
                executable: from.bytes()?,
                source: from.bytes()?,
            },
            STREAM => Self::Stream {
                ring: from.u32()?,
                slot: from.u8()?,
                kind: StreamKind::from_number(u32::from(from.u8()?))?,
                path: from.bytes()?,
            },
            RECORD => Self::Record(Record {
                ring: from.u32()?,
                slot: from.u8()?,
                flags: from.u8()?,
                pid: from.u32()?,
                ticket: from.u64()?,
                time: from.i64()?,
                lost_records: from.u32()?,
                lost_bytes: from.u64()?,
                payload: from.bytes()?,
            }),
            LOSS => Self::Loss {
                ring: from.u32()?,
                slot: from.u8()?,
                records: from.u64()?,
                bytes: from.u64()?,
            },
            TAKEN_BACK => Self::TakenBack {
                ring: from.u32()?,
                slot: from.u8()?,
                records: from.u64()?,
                bytes: from.u64()?,
            },
            KNOWN => Self::Known {
                ring: from.u32()?,
                slot: from.u8()?,
                records: from.u64()?,
                bytes: from.u64()?,
            },
            TORN => Self::Torn {
                ring: from.u32()?,
                slot: Some(from.u8()?).filter(|&slot| slot != NO_SLOT),
                bytes: Some(from.u64()?).filter(|&bytes| bytes != NO_LENGTH),
            },
            PROCESS_END => Self::ProcessEnd { ring: from.u32()?, pid: from.u32()? },
            RING_END => Self::RingEnd {
                ring: from.u32()?,
                coverage: from.u32()?,
                how: match from.u8()? {
                    0 => RingEnd::Released,
                    1 => RingEnd::Left,
                    2 => RingEnd::Hostile,
                    _ => return None,
                },
            },
            FLUSH => Self::Flush,
            NUMBERING => Self::Numbering { next: from.u64()?, last_timestamp: from.i64()? },
            PARTIAL => Self::Partial(Partial {
                ring: from.u32()?,
                pid: from.u32()?,
                kind: StreamKind::from_number(u32::from(from.u8()?))?,
                path: from.bytes()?,
                aside: from.u8()? != 0,
                split: from.u8()? != 0,
                open: from.u64()?,
                began: from.i64()?,
                active: from.i64()?,
                bytes: from.bytes()?,
            }),
            _ => return None,
        };
        Some((operation, from.rest))
    }
}

/// The operations of a chunk, in order.
pub(crate) fn operations(
    bytes: &[u8],
) -> impl Iterator<Item = Result<Operation<'_>, NotAnOperation>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        Some(match Operation::read(rest) {
            Some((operation, after)) => {
                rest = after;
                Ok(operation)
            }
            None => {
                rest = &[];
                Err(NotAnOperation)
            }
        })
    })
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // No operation is longer than a ring, and no ring than 64 MiB.
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Reads fields off the front of a byte slice. `None` where it is too short.
pub(crate) struct Cursor<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Operation<'static>> {
        vec![
            Operation::Ring {
                ring: 1,
                pid: 2,
                namespace: 3,
                name: b"a.ring",
                executable: b"sh",
                source: b"preload",
            },
            Operation::Stream { ring: 1, slot: 3, kind: StreamKind::File, path: b"/var/log/x" },
            Operation::Record(Record {
                ring: 1,
                slot: 3,
                flags: LATE | MORE,
                pid: 77,
                ticket: 1 << 40,
                time: -5,
                lost_records: 9,
                lost_bytes: 10,
                payload: b"hello\n",
            }),
            Operation::Loss { ring: 1, slot: 3, records: 4, bytes: 5 },
            Operation::TakenBack { ring: 1, slot: 3, records: 4, bytes: 5 },
            Operation::Known { ring: 1, slot: 3, records: 4, bytes: 5 },
            Operation::Torn { ring: 1, slot: None, bytes: None },
            Operation::Torn { ring: 1, slot: Some(3), bytes: Some(12) },
            Operation::ProcessEnd { ring: 1, pid: 77 },
            Operation::RingEnd { ring: 1, coverage: 15, how: RingEnd::Hostile },
            Operation::Flush,
            Operation::Numbering { next: 100, last_timestamp: 1 << 60 },
            Operation::Partial(Partial {
                ring: 1,
                pid: 7,
                kind: StreamKind::File,
                path: b"/x",
                aside: true,
                split: false,
                open: 99,
                began: 1,
                active: 2,
                bytes: b"half",
            }),
        ]
    }

    #[test]
    fn operations_survive_their_bytes() {
        let mut bytes = Vec::new();
        for operation in samples() {
            operation.write(&mut bytes);
        }
        let read: Vec<_> = operations(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!(read, samples());
    }

    #[test]
    fn a_cut_operation_is_an_error() {
        for operation in samples() {
            let mut bytes = Vec::new();
            operation.write(&mut bytes);
            for cut in 1..bytes.len() {
                assert_eq!(operations(&bytes[..cut]).last(), Some(Err(NotAnOperation)), "{cut}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(0_u8.., 0..300)) {
            proptest::prop_assert!(operations(&bytes).count() <= bytes.len());
        }
    }
}
