//! Bytes to lines, for one writer of one stream.
//!
//! A line ends at a line feed, which is not part of it; all other bytes stay as they are. What has
//! no end yet is kept, up to a limit; longer lines are given out in pieces that say so.

use memchr::memchr;

use crate::config::LineRules;

mod redrawn;

pub(crate) use redrawn::LeftOut;

/// How a line came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// At a line feed, or with its writer.
    Whole,
    /// It was longer than the limit: this is one of its pieces.
    Split,
    /// Its end did not come in time: more of it may follow as a further line.
    Partial,
}

/// The line that one writer has begun and not ended.
#[derive(Debug, Default)]
pub(crate) struct LineBuffer {
    pending: Vec<u8>,
    /// Time of the record that began it.
    began: i64,
    /// Pieces of it were given out already.
    split: bool,
    /// Where the carriage return stands behind which nothing was seen yet, where states are looked for.
    returned: Option<usize>,
    /// States were looked for in `pending`.
    is_watched: bool,
    left_out: LeftOut,
}

/// Largest buffer that is kept for the next line.
const KEPT_CAPACITY: usize = 4096;

impl LineBuffer {
    /// A buffer as it was.
    pub(crate) fn restored(bytes: &[u8], began: i64, split: bool) -> Self {
        Self { pending: bytes.to_vec(), began, split, ..Self::default() }
    }

    /// Takes what was written at `time` by these rules.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        time: i64,
        rules: &LineRules,
        emit: impl FnMut(&[u8], i64, Mark),
    ) {
        if rules.collapse_progress {
            self.feed_redrawn(bytes, time, rules.longest, emit);
        } else {
            self.feed(bytes, time, rules.longest, emit);
        }
    }

    /// Takes what was written at `time` and hands every line that it completes, with the time at
    /// which the line began, to `emit`.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        time: i64,
        longest: usize,
        mut emit: impl FnMut(&[u8], i64, Mark),
    ) {
        let mut rest = bytes;
        if !self.is_empty() {
            let Some(end) = memchr(b'\n', rest) else {
                self.keep(rest, longest, &mut emit);
                return;
            };
            self.keep(&rest[..end], longest, &mut emit);
            self.flush(Mark::Whole, &mut emit);
            rest = &rest[end + 1..];
        }
        while let Some(end) = memchr(b'\n', rest) {
            if end <= longest {
                emit(&rest[..end], time, Mark::Whole);
            } else {
                self.began = time;
                self.keep(&rest[..end], longest, &mut emit);
                self.flush(Mark::Whole, &mut emit);
            }
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() {
            self.began = time;
            self.keep(rest, longest, &mut emit);
        }
    }

    /// Gives out what there is, if anything.
    pub(crate) fn flush(&mut self, mark: Mark, mut emit: impl FnMut(&[u8], i64, Mark)) {
        if self.is_empty() {
            return;
        }
        if let Some(at) = self.returned.take() {
            self.pending.truncate(at);
        }
        let mark = if self.split { Mark::Split } else { mark };
        emit(&self.pending, self.began, mark);
        self.split = false;
        if self.pending.capacity() > KEPT_CAPACITY {
            self.pending = Vec::new();
        } else {
            self.pending.clear();
        }
    }

    /// Whether no line is begun.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty() && !self.split
    }

    /// Bytes that are kept.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// The bytes, when the line began, and whether pieces of it are out already.
    pub(crate) fn state(&self) -> (&[u8], i64, bool) {
        (&self.pending, if self.is_empty() { 0 } else { self.began }, self.split)
    }

    /// Appends bytes without a line feed, giving out pieces where the limit is passed.
    fn keep(&mut self, mut bytes: &[u8], longest: usize, emit: &mut impl FnMut(&[u8], i64, Mark)) {
        while self.pending.len() + bytes.len() > longest {
            let (piece, rest) = bytes.split_at(longest - self.pending.len());
            self.pending.extend_from_slice(piece);
            emit(&self.pending, self.began, Mark::Split);
            self.pending.clear();
            self.split = true;
            bytes = rest;
        }
        self.pending.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(writes: &[&str], longest: usize) -> (Vec<(String, i64, Mark)>, LineBuffer) {
        let mut buffer = LineBuffer::default();
        let mut out = Vec::new();
        for (time, write) in writes.iter().enumerate() {
            buffer.feed(write.as_bytes(), time as i64, longest, |line, time, mark| {
                out.push((String::from_utf8_lossy(line).into_owned(), time, mark));
            });
        }
        (out, buffer)
    }

    fn whole(line: &str, time: i64) -> (String, i64, Mark) {
        (line.to_owned(), time, Mark::Whole)
    }

    #[test]
    fn lines_carry_the_time_at_which_they_began() {
        let (out, buffer) = lines(&["a\nb", "c", "d\n\ne\r\n"], 100);
        assert_eq!(out, [whole("a", 0), whole("bcd", 0), whole("", 2), whole("e\r", 2)]);
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_line_of_the_longest_length_stays_whole() {
        assert_eq!(lines(&["12345\n"], 5).0, [whole("12345", 0)]);
        assert_eq!(lines(&["123", "45", "\n"], 5).0, [whole("12345", 0)]);
    }

    #[test]
    fn longer_lines_are_split_and_say_so() {
        for writes in [&["123456789012\nx\n"][..], &["1234", "56789", "012\nx\n"]] {
            let (out, buffer) = lines(writes, 5);
            let pieces: Vec<_> = out.iter().map(|(line, _, mark)| (line.as_str(), *mark)).collect();
            let split = Mark::Split;
            assert_eq!(
                pieces,
                [("12345", split), ("67890", split), ("12", split), ("x", Mark::Whole)]
            );
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn a_flush_gives_out_what_there_is_once() {
        let (_, mut buffer) = lines(&["half"], 100);
        let mut out = Vec::new();
        for _ in 0..2 {
            buffer.flush(Mark::Partial, |line, _, mark| out.push((line.to_vec(), mark)));
        }
        assert_eq!(out, [(b"half".to_vec(), Mark::Partial)]);
    }

    proptest::proptest! {
        #[test]
        fn no_byte_is_lost_or_made(text in "[ab\n]{0,60}", cuts in proptest::collection::vec(1_usize..9, 1..9), longest in 1_usize..8) {
            let mut writes = Vec::new();
            let mut rest = text.as_str();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (write, after) = rest.split_at((*cut).min(rest.len()));
                writes.push(write);
                rest = after;
            }
            let (mut out, mut buffer) = lines(&writes, longest);
            buffer.flush(Mark::Partial, |line, time, mark| {
                out.push((String::from_utf8_lossy(line).into_owned(), time, mark));
            });
            proptest::prop_assert!(out.iter().all(|(line, ..)| line.len() <= longest));
            let joined: String = out.iter().map(|(line, ..)| line.as_str()).collect();
            proptest::prop_assert_eq!(joined, text.replace('\n', ""));
        }
    }
}
