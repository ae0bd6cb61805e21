//! A record: what one call (or one fragment of it) wrote to one stream.
//!
//! ```text
//!  0        4     5     6        8         16        24    28        32           40         48
//!  ┌────────┬─────┬─────┬────────┬─────────┬─────────┬─────┬─────────┬────────────┬──────────┬─────
//!  │ length │slot │flags│fragment│ ticket  │ time ns │ pid │ lost rec│ lost bytes │ reserved │ payload, padded to 8
//!  └────────┴─────┴─────┴────────┴─────────┴─────────┴─────┴─────────┴────────────┴──────────┴─────
//! ```
//! All in the byte order of the machine. `lost` is what the stream had lost in this ring when the
//! record was written: where it grows from one record to the next, lines are missing in between.

/// Bytes of a record's header.
pub const HEADER_SIZE: usize = 48;
/// Records begin at multiples of this.
pub const ALIGNMENT: usize = 8;

/// The call goes on in a further fragment with the same ticket.
pub const FLAG_MORE: u8 = 1;
/// The original write was suppressed: these bytes are nowhere else.
pub const FLAG_SUPPRESSED: u8 = 2;
/// The payload is a note of the library, not of the application (see [`Note`]).
pub const FLAG_NOTE: u8 = 4;

/// What a record with [`FLAG_NOTE`] tells. The first byte of its payload is the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Note {
    /// A program is about to be started: the rest of the payload is its path or name.
    Exec = 1,
    /// The same, and its environment does not preload the library.
    ExecWithoutPreload = 2,
}

/// The header of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RecordHeader {
    /// Bytes of payload.
    pub length: u32,
    /// Slot of the stream in the ring's stream table.
    pub slot: u8,
    /// `FLAG_*`.
    pub flags: u8,
    /// Number of this fragment of the call, from 0.
    pub fragment: u16,
    /// Order of the call among all calls of the tap directory. Fragments of a call share it.
    pub ticket: u64,
    /// `CLOCK_REALTIME` nanoseconds (coarse unless asked otherwise); 0 where no clock could be read.
    pub time: u64,
    /// The writer, in its own pid namespace.
    pub pid: u32,
    /// Records that the stream had lost in this ring before, modulo 2^32.
    pub lost_records: u32,
    /// Bytes that the stream had lost in this ring before.
    pub lost_bytes: u64,
}

/// Bytes that a record with so much payload takes in a lane.
pub const fn size_of_record(payload: usize) -> usize {
    (HEADER_SIZE + payload + (ALIGNMENT - 1)) & !(ALIGNMENT - 1)
}

impl RecordHeader {
    /// The header as it lies in memory.
    #[inline(always)]
    pub const fn to_words(self) -> [u64; 6] {
        [
            self.length as u64
                | (self.slot as u64) << 32
                | (self.flags as u64) << 40
                | (self.fragment as u64) << 48,
            self.ticket,
            self.time,
            self.pid as u64 | (self.lost_records as u64) << 32,
            self.lost_bytes,
            0,
        ]
    }

    /// Reads a header from at least [`HEADER_SIZE`] bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_SIZE] = bytes.get(..HEADER_SIZE)?.try_into().ok()?;
        let word = |index: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[index * 8..index * 8 + 8]);
            u64::from_ne_bytes(word)
        };
        let (first, fourth) = (word(0), word(3));
        Some(Self {
            length: first as u32,
            slot: (first >> 32) as u8,
            flags: (first >> 40) as u8,
            fragment: (first >> 48) as u16,
            ticket: word(1),
            time: word(2),
            pid: fourth as u32,
            lost_records: (fourth >> 32) as u32,
            lost_bytes: word(4),
        })
    }
}

/// Walks the records in a private copy of `[tail, head)` of a lane. The bytes are not trusted: the
/// walk ends with an error at the first record that does not fit.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

/// A lane held bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotARecord;

impl<'a> Records<'a> {
    /// Walks `bytes`, which begin with a record.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(RecordHeader, &'a [u8]), NotARecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = RecordHeader::from_bytes(self.rest).and_then(|header| {
            let size = size_of_record(header.length as usize);
            let payload = self.rest.get(HEADER_SIZE..HEADER_SIZE + header.length as usize)?;
            let rest = self.rest.get(size..)?;
            Some((header, payload, rest))
        });
        match record {
            Some((header, payload, rest)) => {
                self.rest = rest;
                Some(Ok((header, payload)))
            }
            None => {
                self.rest = &[];
                Some(Err(NotARecord))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_its_bytes() {
        let header = RecordHeader {
            length: 5,
            slot: 63,
            flags: FLAG_MORE | FLAG_SUPPRESSED,
            fragment: 513,
            ticket: u64::MAX - 1,
            time: 1_763_700_000_123_456_789,
            pid: 4_194_303,
            lost_records: 7,
            lost_bytes: 1 << 40,
        };
        let bytes: Vec<u8> = header.to_words().iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(RecordHeader::from_bytes(&bytes), Some(header));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end_the_walk(bytes in proptest::collection::vec(0_u8.., 0..400)) {
            let walked = Records::new(&bytes).count();
            proptest::prop_assert!(walked <= bytes.len() / HEADER_SIZE + 1);
        }
    }
}
