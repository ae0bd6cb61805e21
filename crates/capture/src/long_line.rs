//! Lines of files that others made, in bounded memory.
//!
//! A few kilobytes of zstd can be one line of many gigabytes. What is longer than the limit is passed over by
//! all readers alike: by those who give lines, who tell of it, and by those who count them for the index.

use std::io::{self, BufRead, Read as _};

/// The longest line of a compressed file that has no table of frames, in bytes without its end.
pub(crate) const MAX_FOREIGN_LINE: usize = 64 << 20;

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// A line of so many bytes, its end included.
    Line(u64),
    /// A line that is too long, of so many bytes.
    TooLong(u64),
    /// Nothing: there is no more.
    End,
}

/// Reads a line with its end into `line`, unless it has more than `limit` bytes without its end.
pub(crate) fn read_line(
    mut from: impl BufRead,
    line: &mut Vec<u8>,
    limit: usize,
) -> io::Result<Taken> {
    line.clear();
    let most = (limit as u64).saturating_add(1);
    let length = (&mut from).take(most).read_until(b'\n', line)? as u64;
    if length == 0 {
        return Ok(Taken::End);
    }
    if length < most || line.last() == Some(&b'\n') {
        return Ok(Taken::Line(length));
    }
    line.clear();
    // The memory of one long line is not kept for all others.
    line.shrink_to(1 << 20);
    Ok(Taken::TooLong(length + from.skip_until(b'\n')? as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_up_to_the_limit_are_read_and_longer_ones_passed_over() {
        let mut from = &b"12345\n123456\n\n1234567890\n12345"[..];
        let mut line = Vec::new();
        let mut next = || {
            let taken = read_line(&mut from, &mut line, 5).unwrap();
            (taken, String::from_utf8(line.clone()).unwrap())
        };
        assert_eq!(next(), (Taken::Line(6), "12345\n".to_owned()));
        assert_eq!(next(), (Taken::TooLong(7), String::new()));
        assert_eq!(next(), (Taken::Line(1), "\n".to_owned()));
        assert_eq!(next(), (Taken::TooLong(11), String::new()));
        assert_eq!(next(), (Taken::Line(5), "12345".to_owned()));
        assert_eq!(next().0, Taken::End);
        let torn = read_line(&b"123456"[..], &mut Vec::new(), 5).unwrap();
        assert_eq!(torn, Taken::TooLong(6));
    }
}
