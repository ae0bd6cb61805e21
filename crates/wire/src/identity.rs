//! What a stream *is*: the object behind a descriptor, not the descriptor's number.
//!
//! Text form, in `LLT_STREAMS` and in the files that publish it:
//!
//! ```text
//!  stdout=MAJOR.MINOR.INODE.BIRTH,stderr=MAJOR.MINOR.INODE.BIRTH
//!  stdout=number                       /dev/null is nobody's: descriptor 1 is stdout while it is /dev/null
//! ```
//! Decimal numbers; BIRTH in nanoseconds since 1970, 0 where the object has none (pipes, terminals).
//! A stream that is not named is not tapped. Words that are not known are ignored.

use core::fmt;

/// Device, inode and birth time of an open file, pipe, socket or terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Major number of the device that holds the inode.
    pub major: u32,
    /// Minor number of that device.
    pub minor: u32,
    /// Inode number.
    pub inode: u64,
    /// Birth time in nanoseconds since 1970; 0 where unknown.
    pub birth: u64,
}

impl Identity {
    /// Whether both are the same object. An inode number that was given to a new file has another
    /// birth time; where one side has none, device and inode decide.
    #[inline]
    pub const fn is(&self, other: &Self) -> bool {
        self.inode == other.inode
            && self.major == other.major
            && self.minor == other.minor
            && (self.birth == other.birth || self.birth == 0 || other.birth == 0)
    }

    /// Parses `MAJOR.MINOR.INODE.BIRTH`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut numbers = text.split(|&byte| byte == b'.').map(number);
        let identity = Self {
            major: u32::try_from(numbers.next()??).ok()?,
            minor: u32::try_from(numbers.next()??).ok()?,
            inode: numbers.next()??,
            birth: numbers.next()??,
        };
        numbers.next().is_none().then_some(identity)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.major, self.minor, self.inode, self.birth)
    }
}

/// How one of the two standard streams is recognised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recognise {
    /// Not at all.
    #[default]
    Never,
    /// By what it is.
    Object(Identity),
    /// By its number, while that is /dev/null.
    Number,
}

/// How the two standard streams are recognised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// Standard output.
    pub stdout: Recognise,
    /// Standard error.
    pub stderr: Recognise,
}

impl Streams {
    /// Parses the text form. `None` where a known word has a value that cannot be read.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut streams = Self::default();
        for word in text.trim_ascii().split(|&byte| byte == b',') {
            let Some(equals) = word.iter().position(|&byte| byte == b'=') else { continue };
            let (name, value) = (&word[..equals], &word[equals + 1..]);
            let target = match name {
                b"stdout" => &mut streams.stdout,
                b"stderr" => &mut streams.stderr,
                _ => continue,
            };
            *target = match value {
                b"number" => Recognise::Number,
                value => Recognise::Object(Identity::parse(value)?),
            };
        }
        Some(streams)
    }

    /// Whether stdout and stderr are one object (a terminal, or `2>&1`): then descriptor 2 and its
    /// duplicates are stderr and all others stdout.
    pub const fn are_one(&self) -> bool {
        match (&self.stdout, &self.stderr) {
            (Recognise::Object(stdout), Recognise::Object(stderr)) => stdout.is(stderr),
            _ => false,
        }
    }
}

impl fmt::Display for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, recognise) in [("stdout", self.stdout), ("stderr", self.stderr)] {
            match recognise {
                Recognise::Never => continue,
                Recognise::Object(identity) => write!(f, "{separator}{name}={identity}")?,
                Recognise::Number => write!(f, "{separator}{name}=number")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

/// A decimal number, refusing signs, blanks and overflow.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &digit| {
        let digit = digit.checked_sub(b'0').filter(|&digit| digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_survive_their_text() {
        let pipe = Identity { major: 0, minor: 14, inode: 123_456, birth: 0 };
        let file =
            Identity { major: 259, minor: 1, inode: u64::MAX, birth: 1_763_700_000_000_000_001 };
        for streams in [
            Streams::default(),
            Streams { stdout: Recognise::Object(pipe), stderr: Recognise::Object(file) },
            Streams { stdout: Recognise::Number, stderr: Recognise::Never },
        ] {
            assert_eq!(Streams::parse(streams.to_string().as_bytes()), Some(streams));
        }
        assert_eq!(Streams::parse(b"stdout=1.2.3"), None);
        assert_eq!(Streams::parse(b"guessed=1,stderr=number\n").unwrap().stderr, Recognise::Number);
    }

    #[test]
    fn a_reused_inode_number_is_another_file() {
        let old = Identity { major: 8, minor: 1, inode: 7, birth: 100 };
        assert!(!old.is(&Identity { birth: 101, ..old }));
        assert!(old.is(&Identity { birth: 0, ..old }));
    }
}
