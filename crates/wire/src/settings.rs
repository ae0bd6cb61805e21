//! The environment variables that steer the library, and the forms of their values.
//!
//! `docs/environment.md` is the page for people. A value that cannot be read never disturbs the
//! application: the library stays inert and says why where it is asked.

use crate::identity::number;

/// Where the copies go: `tap:DIR`, `socket:PATH` or `file:PATH` (see [`Target`]).
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
/// Bytes of a full ring, or of what waits for a `socket:` target, 64K to 64M: a number with an optional K or M.
pub const RING_SIZE: &str = "LLT_RING_SIZE";
/// `fine`: time stamps from the exact clock instead of the coarse one.
pub const CLOCK: &str = "LLT_CLOCK";
/// `true`: the library says on descriptor 2 what it does at start and at the end, and why not.
pub const DEBUG_MODE: &str = "LLT_DEBUG_MODE";
/// Accepted for liblogtap's sake; needs no wait here.
pub const PASSIV_ON_START: &str = "LLT_PASSIV_ON_START";
/// Seconds after the program's start in which a `socket:` target that is not there yet is tried often.
pub const TARGET_FIRST_CONNECT: &str = "LLT_TARGET_1STCONNECT";
/// Longest time in seconds between two attempts to connect to a `socket:` target.
pub const TARGET_RECONNECT: &str = "LLT_TARGET_RECONNECT";
/// Longest time in milliseconds that a program's end waits for a `socket:` target that is slow.
pub const EXIT_WAIT: &str = "LLT_EXIT_WAIT";
/// `true`: C's standard output and tapped C streams are written line by line.
pub const LINE_BUFFERED: &str = "LLT_LINE_BUFFERED";

/// Bytes of a full ring where [`RING_SIZE`] does not say.
pub const DEFAULT_RING_SIZE: u32 = 1 << 20;
/// Longest wait that `wait:` takes, in milliseconds.
pub const MAX_WAIT: u32 = 600_000;
/// The target where somebody asks for a stream or file and names none, as in liblogtap.
pub const DEFAULT_TARGET_FILE: &[u8] = b"/tmp/liblogtap.log";
/// Bytes that may wait for a `socket:` target where [`RING_SIZE`] does not say. Memory is used as far as they do.
pub const DEFAULT_QUEUE_SIZE: u32 = 16 << 20;
/// [`TARGET_FIRST_CONNECT`] where nobody says, in seconds.
pub const DEFAULT_FIRST_CONNECT: u32 = 5;
/// [`TARGET_RECONNECT`] where nobody says, in seconds.
pub const DEFAULT_RECONNECT: u32 = 30;
/// [`EXIT_WAIT`] where nobody says, in milliseconds.
pub const DEFAULT_EXIT_WAIT: u32 = 1000;
/// Longest path of a `socket:` target: what `struct sockaddr_un` takes beside its ending zero.
pub const MAX_SOCKET_PATH: usize = 107;
/// Longest path of a `file:` target.
pub const MAX_FILE_PATH: usize = 1000;
/// Longest path of a tap directory: a socket's path must fit beside it.
pub const MAX_DIRECTORY: usize = 96;

/// Where the copies go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// Rings in a tap directory.
    Tap(&'a [u8]),
    /// Raw bytes into a Unix stream socket.
    Socket(&'a [u8]),
    /// Raw bytes, appended to a file.
    File(&'a [u8]),
}

impl<'a> Target<'a> {
    /// Parses [`TARGET`]. An empty value is as none: the default file. `None` for an unknown form, and for a path
    /// that is empty, too long, or (of a directory) not absolute.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let within = |path: &'a [u8], most: usize| {
            (!path.is_empty() && path.len() <= most && !path.contains(&0)).then_some(path)
        };
        if value.is_empty() {
            Some(Self::File(DEFAULT_TARGET_FILE))
        } else if let Some(path) = value.strip_prefix(b"socket:") {
            within(path, MAX_SOCKET_PATH).map(Self::Socket)
        } else if let Some(path) = value.strip_prefix(b"file:") {
            within(path, MAX_FILE_PATH).map(Self::File)
        } else {
            within(tap_directory(value)?, MAX_DIRECTORY).map(Self::Tap)
        }
    }

    /// The path of the directory, socket or file.
    pub const fn path(&self) -> &'a [u8] {
        match self {
            Self::Tap(path) | Self::Socket(path) | Self::File(path) => path,
        }
    }
}

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

/// Parses [`RING_SIZE`]: bytes (`65536`, `64K`, `64KB`, `1M`, `1MB`), rounded down to a multiple of the lanes' alignment.
pub fn ring_size(value: &[u8]) -> Option<u32> {
    let with_unit = value.strip_suffix(b"B").unwrap_or(value);
    let (digits, shift) = match with_unit.split_last()? {
        (b'K' | b'k', digits) => (digits, 10),
        (b'M' | b'm', digits) => (digits, 20),
        _ => (with_unit, 0),
    };
    let bytes = number(digits)?.checked_mul(1 << shift)?;
    let bytes = u32::try_from(bytes).ok()?;
    (64 << 10..=64 << 20).contains(&bytes).then_some(bytes & !0xffff)
}

/// Parses a number of seconds or milliseconds that is at most `most`, as liblogtap's variables are given.
pub fn time(value: &[u8], most: u32) -> Option<u32> {
    u32::try_from(number(value)?).ok().filter(|&time| time <= most)
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
        assert_eq!(ring_size(b"1MB"), Some(1 << 20));
        assert_eq!(ring_size(b"128KB"), Some(1 << 17));
        for bad in ["63K", "63KB", "65536BB", "MB", "B", ""] {
            assert_eq!(ring_size(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(tap_into(b"3"), Some((true, true)));
        assert_eq!(tap_into(b"4"), None);
        assert_eq!(truth(b"maybe"), None);
        assert_eq!(time(b"30", 86_400), Some(30));
        for bad in ["", "5s", "-1", "86401"] {
            assert_eq!(time(bad.as_bytes(), 86_400), None, "{bad}");
        }
        assert_eq!(tap_directory(b"tap:/dev/shm/x"), Some(&b"/dev/shm/x"[..]));
        assert_eq!(tap_directory(b"tap:x"), None);
        assert_eq!(tap_directory(b"file:/x"), None);
    }

    #[test]
    fn targets_are_told_apart_and_none_is_cut() {
        assert_eq!(Target::parse(b"tap:/dev/shm/x"), Some(Target::Tap(b"/dev/shm/x")));
        assert_eq!(Target::parse(b"socket:/run/x"), Some(Target::Socket(b"/run/x")));
        assert_eq!(Target::parse(b"file:x.log"), Some(Target::File(b"x.log")));
        assert_eq!(Target::parse(b""), Some(Target::File(b"/tmp/liblogtap.log")));
        for bad in ["/tmp/x", "tcp:x", "socket:", "file:", "tap:x", "file:a\0b"] {
            assert_eq!(Target::parse(bad.as_bytes()), None, "{bad:?}");
        }
        let long = |form: &str, length: usize| {
            let value = format!("{form}/{}", "x".repeat(length - 1));
            Target::parse(value.as_bytes()).map(|target| target.path().len())
        };
        assert_eq!(long("socket:", 107), Some(107));
        assert_eq!(long("socket:", 108), None);
        assert_eq!(long("tap:", 97), None);
        assert_eq!(long("file:", 1001), None);
    }
}
