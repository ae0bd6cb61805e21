//! The environment variables that steer the library, and the forms of their values.
//!
//! `docs/environment.md` is the page for people. A value that cannot be read never disturbs the
//! application: the library stays inert and says why where it is asked.

use crate::identity::number;

/// Where the copies go: `tap:DIR`.
pub const TARGET: &str = "LLT_TARGET";
/// Which standard streams to tap: 0 none, 1 stdout, 2 stderr, 3 both.
pub const TAP_INTO: &str = "LLT_TAP_INTO";
/// Which files to tap: a `:` list of absolute paths and globs (see [`crate::pattern`]).
pub const TAP_FILE: &str = "LLT_TAP_FILE";
/// `true`: do not write tapped standard output (and standard error) to its original too.
pub const SUPPRESS_STDOUT: &str = "LLT_SUPPRESS_STDOUT";
/// `true` or `false`: the same for standard error alone; unset, it follows `LLT_SUPPRESS_STDOUT`.
pub const SUPPRESS_STDERR: &str = "LLT_SUPPRESS_STDERR";
/// `true`: the same for tapped files.
pub const SUPPRESS_TAP_FILE: &str = "LLT_SUPPRESS_TAP_FILE";
/// What stdout and stderr are (see [`crate::identity`]).
pub const STREAMS: &str = "LLT_STREAMS";
/// What to do when the ring is full: `drop` or `wait:MILLISECONDS`.
pub const ON_FULL: &str = "LLT_ON_FULL";
/// Bytes of a full ring, 64K to 64M: a number with an optional K or M.
pub const RING_SIZE: &str = "LLT_RING_SIZE";
/// `fine`: time stamps from the exact clock instead of the coarse one.
pub const CLOCK: &str = "LLT_CLOCK";
/// `true`: the library says on descriptor 2 what it does at start, and why not.
pub const DEBUG_MODE: &str = "LLT_DEBUG_MODE";
/// Accepted for liblogtap's sake; needs no wait here.
pub const PASSIV_ON_START: &str = "LLT_PASSIV_ON_START";

/// Bytes of a full ring where [`RING_SIZE`] does not say.
pub const DEFAULT_RING_SIZE: u32 = 1 << 20;
/// Longest wait that `wait:` takes, in milliseconds.
pub const MAX_WAIT: u32 = 600_000;

/// What a writer does when the ring is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// Count the record as lost.
    Drop,
    /// Wait so many milliseconds for the collector to make room, then count the record as lost.
    Wait(u32),
}

impl OnFull {
    /// Parses `drop` or `wait:MS`.
    pub fn parse(value: &[u8]) -> Option<Self> {
        match value {
            b"drop" => Some(Self::Drop),
            value => {
                let milliseconds = number(value.strip_prefix(b"wait:")?)?;
                let milliseconds = u32::try_from(milliseconds).ok()?;
                (milliseconds <= MAX_WAIT).then_some(Self::Wait(milliseconds))
            }
        }
    }
}

/// Parses a truth value as liblogtap does (`true`), and its usual spellings.
pub fn truth(value: &[u8]) -> Option<bool> {
    match value {
        b"true" | b"TRUE" | b"True" | b"1" | b"yes" | b"on" => Some(true),
        b"false" | b"FALSE" | b"False" | b"0" | b"no" | b"off" | b"" => Some(false),
        _ => None,
    }
}

/// Parses [`TAP_INTO`]: whether stdout and stderr are tapped.
pub fn tap_into(value: &[u8]) -> Option<(bool, bool)> {
    match number(value)? {
        bits @ 0..=3 => Some((bits & 1 != 0, bits & 2 != 0)),
        _ => None,
    }
}

/// Parses [`RING_SIZE`]: bytes, a multiple of the lanes' alignment.
pub fn ring_size(value: &[u8]) -> Option<u32> {
    let (digits, shift) = match value.split_last()? {
        (b'K' | b'k', digits) => (digits, 10),
        (b'M' | b'm', digits) => (digits, 20),
        _ => (value, 0),
    };
    let bytes = number(digits)?.checked_mul(1 << shift)?;
    let bytes = u32::try_from(bytes).ok()?;
    (64 << 10..=64 << 20).contains(&bytes).then_some(bytes & !0xffff)
}

/// The directory of a `tap:DIR` target.
pub fn tap_directory(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"tap:").filter(|directory| directory.first() == Some(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_refused() {
        assert_eq!(OnFull::parse(b"drop"), Some(OnFull::Drop));
        assert_eq!(OnFull::parse(b"wait:250"), Some(OnFull::Wait(250)));
        for bad in ["wait", "wait:", "wait:-1", "wait:600001", "block", ""] {
            assert_eq!(OnFull::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(ring_size(b"1M"), Some(1 << 20));
        assert_eq!(ring_size(b"65537"), Some(1 << 16));
        assert_eq!(ring_size(b"63K"), None);
        assert_eq!(tap_into(b"3"), Some((true, true)));
        assert_eq!(tap_into(b"4"), None);
        assert_eq!(truth(b"maybe"), None);
        assert_eq!(tap_directory(b"tap:/dev/shm/x"), Some(&b"/dev/shm/x"[..]));
        assert_eq!(tap_directory(b"tap:x"), None);
        assert_eq!(tap_directory(b"file:/x"), None);
    }
}
