//! One data file as readers see it, in pieces that can be read apart from each other.
//!
//! A piece gives whole lines. A finished segment of ours has one piece for each frame, a raw file one
//! for each few megabytes, and a compressed file of others is one piece that is read as a stream.

use std::fs::{File, Metadata};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use memchr::{memchr, memrchr};

use crate::error::CaptureError;
use crate::index::IndexEntry;
use crate::layout::{SegmentName, finished_file};
use crate::long_line::MAX_FOREIGN_LINE;
use crate::open::open_to_read;
use crate::seekable::{FOOTER, FRAME_TEXT, parse_table, table_size};

/// Windows of other writers' compressed files are read up to this size, as a power of two.
const MAX_WINDOW_LOG: u32 = 30;
/// Text of a frame that is kept back until its checksum is known.
const HELD_BACK: usize = 4 * FRAME_TEXT;
/// What some editors put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A data file of a capture.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    directory: PathBuf,
    name: SegmentName,
    index: Option<IndexEntry>,
    disk_bytes: u64,
}

/// A segment that was opened for reading.
#[derive(Debug)]
pub struct OpenSegment {
    path: PathBuf,
    file: File,
}

/// A part of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A frame of whole lines.
    Frame {
        /// Where it is.
        offset: u64,
        /// Its size in the file.
        compressed: u32,
        /// The size of its text.
        content: u32,
    },
    /// The lines of a raw file that begin between two places.
    Raw {
        /// The first of them.
        start: u64,
        /// Behind the last.
        end: u64,
    },
    /// All of a compressed file.
    Stream,
}

/// Memory that is used again from piece to piece.
#[derive(Default)]
pub struct PieceReader {
    packed: Vec<u8>,
    text: Vec<u8>,
    decompressor: Option<zstd::bulk::Decompressor<'static>>,
}

impl Segment {
    pub(crate) fn new(
        directory: &Path,
        name: SegmentName,
        index: Option<IndexEntry>,
        disk_bytes: u64,
    ) -> Self {
        Self { directory: directory.to_owned(), name, index, disk_bytes }
    }

    /// The file's name.
    pub fn file(&self) -> String {
        self.name.file()
    }

    /// What the index says about it; nothing about one that is being written.
    pub fn index(&self) -> Option<&IndexEntry> {
        self.index.as_ref()
    }

    /// The size of the file.
    pub fn disk_bytes(&self) -> u64 {
        self.disk_bytes
    }

    /// Opens the file, under its new name if it was compressed since it was found. `None` if it is
    /// gone.
    pub fn open(&self) -> Result<Option<OpenSegment>, CaptureError> {
        let names = [self.name.file(), finished_file(&self.name.stem)];
        for name in names {
            let path = self.directory.join(name);
            match open_to_read(&path) {
                Ok(file) => return Ok(Some(OpenSegment { path, file })),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(CaptureError::io("open", &path)(error)),
            }
        }
        Ok(None)
    }
}

impl OpenSegment {
    /// Opens a data file by its path.
    pub(crate) fn of(path: PathBuf) -> Result<Self, CaptureError> {
        let file = open_to_read(&path).map_err(CaptureError::io("open", &path))?;
        Ok(Self { path, file })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The pieces of the file in order.
    pub fn pieces(&self) -> Result<Vec<Piece>, CaptureError> {
        let size = self.metadata()?.len();
        let finished = self.path.extension().is_some_and(|end| end == "zst");
        if !finished {
            let starts = (0..size).step_by(FRAME_TEXT);
            let piece = |start| Piece::Raw { start, end: size.min(start + FRAME_TEXT as u64) };
            return Ok(starts.map(piece).collect());
        }
        let Some(frames) = self.table(size).map_err(CaptureError::io("read", &self.path))? else {
            return Ok(vec![Piece::Stream]);
        };
        let mut offset = 0;
        let mut pieces = Vec::with_capacity(frames.len());
        for frame in frames {
            let (compressed, content) = (frame.compressed, frame.content);
            pieces.push(Piece::Frame { offset, compressed, content });
            offset += u64::from(compressed);
        }
        Ok(pieces)
    }

    /// The size of the file now.
    pub fn size(&self) -> Result<u64, CaptureError> {
        Ok(self.metadata()?.len())
    }

    /// The lines of a raw file that begin in a range, and where the first of them begins.
    pub fn raw_lines<'b>(
        &self,
        start: u64,
        end: u64,
        reader: &'b mut PieceReader,
    ) -> Result<(u64, &'b [u8]), CaptureError> {
        self.read_raw(start, end, &mut reader.text).map_err(CaptureError::io("read", &self.path))
    }

    fn metadata(&self) -> Result<Metadata, CaptureError> {
        self.file.metadata().map_err(CaptureError::io("read", &self.path))
    }

    fn table(&self, size: u64) -> io::Result<Option<Vec<crate::seekable::Frame>>> {
        let mut footer = [0; FOOTER];
        let Some(at) = size.checked_sub(FOOTER as u64) else { return Ok(None) };
        self.file.read_exact_at(&mut footer, at)?;
        let Some(length) = table_size(&footer) else { return Ok(None) };
        let Some(at) = size.checked_sub(length as u64) else { return Ok(None) };
        let mut table = vec![0; length];
        self.file.read_exact_at(&mut table, at)?;
        Ok(parse_table(&table, size))
    }

    /// Reads a piece: calls `take` with whole lines, once or several times, each time ending with a
    /// line end, except for a last line that has none.
    pub fn read(
        &self,
        piece: &Piece,
        reader: &mut PieceReader,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), CaptureError> {
        match *piece {
            Piece::Frame { offset, compressed, content } => {
                reader.packed.resize(compressed as usize, 0);
                self.file
                    .read_exact_at(&mut reader.packed, offset)
                    .map_err(CaptureError::io("read", &self.path))?;
                let decompressor = match reader.decompressor.take() {
                    Some(decompressor) => decompressor,
                    None => zstd::bulk::Decompressor::new()
                        .map_err(CaptureError::io("read", &self.path))?,
                };
                let decompressor = reader.decompressor.insert(decompressor);
                reader.text.clear();
                reader.text.reserve(content as usize);
                decompressor
                    .decompress_to_buffer(&reader.packed, &mut reader.text)
                    .map_err(|error| self.damaged(&error))?;
                take(&reader.text);
                Ok(())
            }
            Piece::Raw { start, end } => {
                let (_, lines) = self.raw_lines(start, end, reader)?;
                if !lines.is_empty() {
                    take(lines);
                }
                Ok(())
            }
            Piece::Stream => self.read_stream(&mut reader.text, MAX_FOREIGN_LINE, take),
        }
    }

    /// The lines of a raw file that begin in a range, and where the first of them begins.
    fn read_raw<'b>(
        &self,
        start: u64,
        end: u64,
        text: &'b mut Vec<u8>,
    ) -> io::Result<(u64, &'b [u8])> {
        // The byte before tells whether a line begins at `start`.
        let from = start.saturating_sub(1);
        let length = usize::try_from(end - from).map_err(io::Error::other)?;
        text.clear();
        text.resize(length, 0);
        let mut filled = 0;
        let mut wanted_end = false;
        loop {
            let piece = text.get_mut(filled..).unwrap_or_default();
            let read = match self.file.read_at(piece, from + filled as u64) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let fresh = filled;
            filled += read;
            if wanted_end
                && let Some(place) = memchr(b'\n', text.get(fresh..filled).unwrap_or_default())
            {
                filled = fresh + place + 1;
                break;
            }
            if read == 0 {
                break;
            }
            if filled == text.len() {
                // A line that begins in the range may end far behind it.
                if !wanted_end && text.last() == Some(&b'\n') {
                    break;
                }
                wanted_end = true;
                text.resize(filled + (64 * 1024).max(filled / 2), 0);
            }
        }
        text.truncate(filled);
        if start == 0 {
            // Where lines begin stays as it is in the file.
            let mark = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
            return Ok((mark as u64, text.get(mark..).unwrap_or_default()));
        }
        let first = memchr(b'\n', text).map_or(text.len(), |place| place + 1);
        let place = first as u64 + from;
        // No line begins before `end` if the first line end is at its last byte or behind it.
        if place >= end {
            return Ok((place, &[]));
        }
        Ok((place, text.get(first..).unwrap_or_default()))
    }

    /// Goes through a file that somebody else has compressed, frame by frame. The text of a frame is given when its
    /// checksum is known to be right, as long as it is no more than [`HELD_BACK`]; what is given before is told of as
    /// damaged afterwards.
    fn read_stream(
        &self,
        text: &mut Vec<u8>,
        longest: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), CaptureError> {
        let failed = || CaptureError::io("read", &self.path);
        let file = self.file.try_clone().map_err(failed())?;
        let mut input = BufReader::with_capacity(256 * 1024, file);
        input.rewind().map_err(failed())?;
        text.clear();
        let mut lines = Lines { text, longest, passing_over: false, passed_over: 0 };
        let mut is_first = true;
        while !input.fill_buf().map_err(failed())?.is_empty() {
            let open = |input| {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?.single_frame();
                decoder.window_log_max(MAX_WINDOW_LOG)?;
                Ok(decoder)
            };
            let mut decoder = open(input).map_err(failed())?;
            loop {
                let before = lines.text.len();
                let outcome = decoder.by_ref().take(HELD_BACK as u64).read_to_end(lines.text);
                if std::mem::take(&mut is_first) && lines.text.starts_with(BYTE_ORDER_MARK) {
                    lines.text.drain(..BYTE_ORDER_MARK.len());
                }
                if let Err(error) = outcome {
                    if is_of_checksum(&error) {
                        lines.text.truncate(before);
                    }
                    // What was read before the damage is given.
                    lines.give(true, &mut take);
                    return Err(self.damaged(&error));
                }
                let ended = lines.text.len().saturating_sub(before) < HELD_BACK;
                lines.give(false, &mut take);
                if ended {
                    break;
                }
            }
            input = decoder.finish();
        }
        lines.give(true, &mut take);
        if lines.passed_over > 0 {
            let (lines, longest) = (lines.passed_over, longest);
            let reason = format!("{lines} lines of more than {longest} bytes are passed over");
            return Err(self.damaged(&io::Error::other(reason)));
        }
        Ok(())
    }

    fn damaged(&self, error: &io::Error) -> CaptureError {
        let mut reason = error.to_string();
        if reason.contains("too much memory") {
            reason = format!(
                "its window is larger than {} MiB; compress it again with a smaller one (zstd --long={MAX_WINDOW_LOG})",
                1_u64 << (MAX_WINDOW_LOG - 20)
            );
        } else if is_of_checksum(error) {
            reason = "its checksum is wrong, so some of its lines may be".to_owned();
        }
        CaptureError::Damaged { path: self.path.clone(), reason }
    }
}

/// Whether zstd has found that a frame is not what it was.
fn is_of_checksum(error: &io::Error) -> bool {
    error.to_string().contains("checksum")
}

/// Text of which whole lines are given.
struct Lines<'a> {
    text: &'a mut Vec<u8>,
    /// A line of more bytes is passed over.
    longest: usize,
    passing_over: bool,
    passed_over: u64,
}

impl Lines<'_> {
    /// Gives the whole lines, or at the end also a last one without its end.
    fn give(&mut self, at_the_end: bool, take: &mut impl FnMut(&[u8])) {
        if self.passing_over {
            let rest = memchr(b'\n', self.text).map(|place| place + 1);
            self.passing_over = rest.is_none();
            self.text.drain(..rest.unwrap_or(self.text.len()));
        }
        // Only the first line can have grown over several pieces.
        let first = memchr(b'\n', self.text).map_or(self.text.len(), |place| place + 1);
        let ends = at_the_end || first < self.text.len() || self.text.last() == Some(&b'\n');
        if ends && first > self.longest + 1 {
            self.text.drain(..first);
            self.passed_over += 1;
        }
        let cut = match memrchr(b'\n', self.text) {
            _ if at_the_end => self.text.len(),
            Some(place) => place + 1,
            None => 0,
        };
        if cut > 0 {
            take(self.text.get(..cut).unwrap_or_default());
            self.text.drain(..cut);
        }
        if self.text.len() > self.longest {
            // Such a line is a bomb, and what is behind it may be sound.
            self.text.clear();
            self.text.shrink_to(FRAME_TEXT);
            (self.passing_over, self.passed_over) = (true, self.passed_over + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// All lines of a file, piece by piece, with small pieces for raw files.
    fn lines(path: &Path, raw_piece: u64) -> (Vec<u8>, Option<CaptureError>) {
        let open = OpenSegment { path: path.to_owned(), file: File::open(path).unwrap() };
        let mut pieces = open.pieces().unwrap();
        if let Some(Piece::Raw { .. }) = pieces.first() {
            let size = open.metadata().unwrap().len();
            let piece = |start: u64| Piece::Raw { start, end: size.min(start + raw_piece) };
            pieces = (0..size).step_by(raw_piece as usize).map(piece).collect();
        }
        let mut reader = PieceReader::default();
        let mut all = Vec::new();
        let mut failure = None;
        for piece in pieces {
            let take = |lines: &[u8]| all.extend_from_slice(lines);
            failure = open.read(&piece, &mut reader, take).err().or(failure);
        }
        (all, failure)
    }

    #[test]
    fn raw_pieces_of_any_size_give_each_line_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        for text in ["a\nbb\n\nccc\ndddddddddddddddddddd\ne\n", "one line", "\n\n\n", "a\ntorn"] {
            fs::write(&path, text).unwrap();
            for piece in 1..text.len() as u64 + 2 {
                assert_eq!(lines(&path, piece).0, text.as_bytes(), "{text:?} by {piece}");
            }
        }
        fs::write(&path, "a\nbb\nccc\n").unwrap();
        let open = OpenSegment { path: path.clone(), file: File::open(&path).unwrap() };
        let mut reader = PieceReader::default();
        let mut found = |start, end| {
            let (place, text) = open.raw_lines(start, end, &mut reader).unwrap();
            (place, text.to_vec())
        };
        assert_eq!(found(0, 2), (0, b"a\n".to_vec()));
        assert_eq!(found(1, 9), (2, b"bb\nccc\n".to_vec()));
        assert_eq!(found(2, 5), (2, b"bb\n".to_vec()));
        assert_eq!((found(3, 5).1, open.size().unwrap()), (Vec::new(), 9));
        let long = format!("{}\nshort\n", "x".repeat(300_000));
        fs::write(&path, &long).unwrap();
        for piece in [1000, 65_536, 299_999, 300_000, 300_001] {
            assert!(lines(&path, piece).0 == long.as_bytes(), "{piece}");
        }
    }

    #[test]
    fn compressed_files_of_any_make_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl.zst");
        let text = b"{\"msg\":\"line\"}\n".repeat(600_000);
        let mut ours = Vec::new();
        crate::seekable::compress(&text[..], &mut ours, 1, |_| Ok(())).unwrap();
        fs::write(&path, &ours).unwrap();
        let open = OpenSegment { path: path.clone(), file: File::open(&path).unwrap() };
        assert_eq!(open.pieces().unwrap().len(), 3);
        assert!(lines(&path, 1).0 == text);

        let (front, back) = text.split_at(1_000_003);
        let pack = |text: &[u8]| zstd::bulk::compress(text, 3).unwrap();
        let skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc";
        let frames = [skippable, &pack(front)[..], skippable, &pack(back), skippable].concat();
        fs::write(&path, &frames).unwrap();
        assert!(lines(&path, 1).0 == text);

        fs::write(&path, b"").unwrap();
        assert!(lines(&path, 1).0.is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_told() {
        const LONGEST: usize = HELD_BACK + 10;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl.zst");
        let read = |text: &[u8]| {
            fs::write(&path, zstd::bulk::compress(text, 1).unwrap()).unwrap();
            let open = OpenSegment::of(path.clone()).unwrap();
            let (mut all, mut memory) = (Vec::new(), Vec::new());
            let outcome =
                open.read_stream(&mut memory, LONGEST, |lines| all.extend_from_slice(lines));
            assert!(memory.capacity() <= 4 * LONGEST, "{}", memory.capacity());
            (all, outcome.err().map(|error| error.to_string()))
        };
        let line = |length| "x".repeat(length);
        let whole = format!("a\n{}\nb\n{}", line(LONGEST), line(LONGEST));
        assert!(read(whole.as_bytes()) == (whole.into_bytes(), None));
        for length in [LONGEST + 2, 2 * HELD_BACK, 5 * FRAME_TEXT + 3] {
            let long = line(length);
            let (all, failure) = read(format!("a\n{long}\nb\n{long}\n{long}").as_bytes());
            assert!(all == b"a\nb\n", "{length} {}", all.len());
            let failure = failure.unwrap();
            assert!(failure.contains(": 3 lines of more than"), "{failure}");
        }
    }

    #[test]
    fn lines_whose_checksum_is_wrong_are_not_given_as_sound() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl.zst");
        let frame = |text: &[u8]| {
            let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
            compressor.include_checksum(true).unwrap();
            compressor.compress(text).unwrap()
        };
        let mut bad = frame(b"two\n");
        *bad.last_mut().unwrap() ^= 1;
        fs::write(&path, [frame(b"\xef\xbb\xbfone\n"), bad].concat()).unwrap();
        let (read, failure) = lines(&path, 1);
        assert_eq!(read, b"one\n");
        assert!(failure.unwrap().to_string().contains("its checksum is wrong"));
    }

    #[test]
    fn damage_is_told_and_what_is_before_it_is_given() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl.zst");
        let text: Vec<u8> = (0..700_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        let whole = zstd::bulk::compress(&text, 1).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let (read, failure) = lines(&path, 1);
        assert!(!read.is_empty() && text.starts_with(&read));
        assert!(matches!(failure, Some(CaptureError::Damaged { .. })));

        let mut ours = Vec::new();
        crate::seekable::compress(&text[..], &mut ours, 1, |_| Ok(())).unwrap();
        ours[1000] ^= 1;
        fs::write(&path, &ours).unwrap();
        let (read, failure) = lines(&path, 1);
        assert!(!read.is_empty() && text.ends_with(&read));
        assert!(matches!(failure, Some(CaptureError::Damaged { .. })));
    }
}
