//! Compressed segments: independent zstd frames and a table that says where each one is.
//!
//! ```text
//! frame, frame, ...        each holds whole lines, about 4 MiB of them, with a checksum
//! 5E 2A 4D 18 | size u32   a skippable frame, which every zstd reader passes over:
//!   compressed size u32 | content size u32      for each frame
//!   number of frames u32 | 01 | B1 EA 92 8F     the end of the file
//! ```
//! All numbers are little-endian. This is zstd's own "seekable format", so its tools read it too. The
//! lowest bit before the end is one that it leaves to the writer: ours says that no line crosses from
//! one frame into the next. Without it a reader goes through the file from the start.

use std::io::{self, Read, Write};

use memchr::memrchr;

/// How much text a frame gets, up to the end of a line.
pub const FRAME_TEXT: usize = 4 * 1024 * 1024;

const SKIPPABLE_MAGIC: u32 = 0x184D_2A5E;
const TABLE_MAGIC: u32 = 0x8F92_EAB1;
/// How many bytes at the end of a file say how large the table is.
pub const FOOTER: usize = 9;
const HEADER: usize = 8;
const ROW: usize = 8;
/// A table with more frames than this is not believed.
const MAX_FRAMES: usize = 1 << 20;
/// A frame with more text than this is not written, and not believed: whoever reads needs so much memory for each thread. A
/// receiver with default limits writes no longer line (`--max-unpacked`, four times that as it is written).
pub const MAX_FRAME_TEXT: usize = 256 << 20;
const WHOLE_LINES: u8 = 1;
const UNUSED_BITS: u8 = 3;
const RESERVED_BITS: u8 = 0x7c;
const WITH_CHECKSUMS: u8 = 0x80;

/// Sizes of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// In the file.
    pub compressed: u32,
    /// Of its text.
    pub content: u32,
}

/// Compresses text that ends with its last line. Calls `claim` with the bytes that will be written by
/// then before it writes more; an error of it ends the work.
pub fn compress(
    from: impl Read,
    to: impl Write,
    level: i32,
    claim: impl FnMut(u64) -> io::Result<()>,
) -> io::Result<u64> {
    compress_within(MAX_FRAME_TEXT, from, to, level, claim)
}

/// The same with at most so much text in a frame.
fn compress_within(
    most: usize,
    mut from: impl Read,
    mut to: impl Write,
    level: i32,
    mut claim: impl FnMut(u64) -> io::Result<()>,
) -> io::Result<u64> {
    let mut compressor = zstd::bulk::Compressor::new(level)?;
    compressor.include_checksum(true)?;
    compressor.include_contentsize(true)?;
    let mut text = Vec::with_capacity(FRAME_TEXT);
    let mut packed = Vec::new();
    let mut frames = Vec::new();
    let mut written = 0;
    let mut wanted = FRAME_TEXT;
    let mut whole_lines = true;
    loop {
        let missing = wanted.saturating_sub(text.len()) as u64;
        let ended = from.by_ref().take(missing).read_to_end(&mut text)? as u64 != missing;
        let cut = match memrchr(b'\n', &text) {
            _ if ended => text.len(),
            Some(line_end) => line_end + 1,
            None if wanted < most => {
                wanted *= 2;
                continue;
            }
            None => {
                whole_lines = false;
                text.len()
            }
        };
        if cut > 0 {
            let content = text.get(..cut).unwrap_or_default();
            packed.clear();
            packed.reserve(zstd::zstd_safe::compress_bound(content.len()));
            compressor.compress_to_buffer(content, &mut packed)?;
            written += packed.len() as u64;
            claim(written)?;
            to.write_all(&packed)?;
            let too_large = |_| io::Error::other("frame of more than 4 GiB");
            frames.push(Frame {
                compressed: u32::try_from(packed.len()).map_err(too_large)?,
                content: u32::try_from(cut).map_err(too_large)?,
            });
            text.drain(..cut);
        }
        wanted = FRAME_TEXT;
        if ended {
            break;
        }
    }
    let table = render_table(&frames, whole_lines);
    written += table.len() as u64;
    claim(written)?;
    to.write_all(&table)?;
    Ok(written)
}

/// The skippable frame with the table. Without whole lines in each frame readers go through the file from the start.
pub fn render_table(frames: &[Frame], whole_lines: bool) -> Vec<u8> {
    let size = frames.len() * ROW + FOOTER;
    let mut table = Vec::with_capacity(HEADER + size);
    table.extend_from_slice(&SKIPPABLE_MAGIC.to_le_bytes());
    table.extend_from_slice(&(size as u32).to_le_bytes());
    for frame in frames {
        table.extend_from_slice(&frame.compressed.to_le_bytes());
        table.extend_from_slice(&frame.content.to_le_bytes());
    }
    table.extend_from_slice(&(frames.len() as u32).to_le_bytes());
    table.push(if whole_lines { WHOLE_LINES } else { 0 });
    table.extend_from_slice(&TABLE_MAGIC.to_le_bytes());
    table
}

/// How many bytes at the end of a file the table takes; from the file's last nine bytes.
pub fn table_size(footer: &[u8]) -> Option<usize> {
    let magic = u32_at(footer, footer.len().checked_sub(4)?)?;
    let count = u32_at(footer, footer.len().checked_sub(FOOTER)?)? as usize;
    let descriptor = *footer.get(footer.len().checked_sub(5)?)?;
    let fits = magic == TABLE_MAGIC && count <= MAX_FRAMES && descriptor & RESERVED_BITS == 0;
    fits.then(|| {
        let row = if descriptor & WITH_CHECKSUMS == 0 { ROW } else { ROW + 4 };
        HEADER + count * row + FOOTER
    })
}

/// Reads a table and checks it against the size of the file; `None` if there is none that can be used
/// to read lines.
pub fn parse_table(table: &[u8], file_size: u64) -> Option<Vec<Frame>> {
    let size = table_size(table)?;
    let header_fits = u32_at(table, 0)? == SKIPPABLE_MAGIC
        && u32_at(table, 4)? as usize == size - HEADER
        && table.len() == size;
    if !header_fits {
        return None;
    }
    let descriptor = *table.get(table.len() - 5)?;
    if descriptor & UNUSED_BITS != WHOLE_LINES {
        return None;
    }
    let row = if descriptor & WITH_CHECKSUMS == 0 { ROW } else { ROW + 4 };
    let rows = table.get(HEADER..size - FOOTER)?;
    let frames: Vec<Frame> = rows
        .chunks_exact(row)
        .map(|row| Some(Frame { compressed: u32_at(row, 0)?, content: u32_at(row, 4)? }))
        .collect::<Option<_>>()?;
    let total: u64 = frames.iter().map(|frame| u64::from(frame.compressed)).sum();
    let believable = frames.iter().all(|frame| frame.content as usize <= MAX_FRAME_TEXT);
    (believable && total + size as u64 == file_size).then_some(frames)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    bytes.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: usize, length: usize) -> Vec<u8> {
        let mut text = Vec::new();
        for number in 0..lines {
            text.extend_from_slice(format!("{number:0length$}\n").as_bytes());
        }
        text
    }

    #[test]
    fn frames_that_a_line_crosses_have_no_table_to_read_them_apart() {
        let mut long = vec![b'x'; 3 * FRAME_TEXT];
        long.push(b'\n');
        for (most, has_table) in [(4 * FRAME_TEXT, true), (FRAME_TEXT, false)] {
            let mut packed = Vec::new();
            compress_within(most, &long[..], &mut packed, 1, |_| Ok(())).unwrap();
            let table = table_size(&packed[packed.len() - FOOTER..]).unwrap();
            let frames = parse_table(&packed[packed.len() - table..], packed.len() as u64);
            assert_eq!(frames.is_some(), has_table);
            let mut unpacked = Vec::new();
            let mut decoder = zstd::stream::read::Decoder::new(&packed[..]).unwrap();
            decoder.read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == long);
        }
    }

    fn round_trip(text: &[u8]) -> Vec<Frame> {
        let mut packed = Vec::new();
        let mut last = 0;
        let claim = |bytes| {
            last = bytes;
            Ok(())
        };
        let size = compress(text, &mut packed, 1, claim).unwrap();
        assert_eq!((size, last), (packed.len() as u64, packed.len() as u64));
        let table = table_size(&packed[packed.len() - FOOTER..]).unwrap();
        let frames = parse_table(&packed[packed.len() - table..], size).unwrap();
        let mut unpacked = Vec::new();
        zstd::stream::read::Decoder::new(&packed[..]).unwrap().read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == text);
        let mut at = 0;
        let mut content = 0;
        for frame in &frames {
            let piece = &packed[at..at + frame.compressed as usize];
            let lines = zstd::bulk::decompress(piece, frame.content as usize).unwrap();
            assert!(lines == text[content..content + frame.content as usize]);
            at += frame.compressed as usize;
            content += lines.len();
        }
        assert_eq!(content, text.len());
        frames
    }

    #[test]
    fn frames_hold_whole_lines_and_stand_alone() {
        let text = text(100_000, 99);
        let frames = round_trip(&text);
        assert_eq!(frames.len(), 3);
        let mut end = 0;
        for frame in frames {
            end += frame.content as usize;
            assert_eq!(text[end - 1], b'\n');
        }
    }

    #[test]
    fn empty_text_long_lines_and_missing_line_ends_survive() {
        assert_eq!(round_trip(b"").len(), 0);
        assert_eq!(round_trip(b"no line end").len(), 1);
        let mut long = vec![b'x'; FRAME_TEXT * 2 + 7];
        long.extend_from_slice(b"\nshort\n");
        round_trip(&long);
    }

    #[test]
    fn what_is_no_table_is_not_taken_for_one() {
        let table = render_table(&[Frame { compressed: 10, content: 100 }], true);
        assert!(parse_table(&table, 10 + table.len() as u64).is_some());
        assert!(parse_table(&table, 11 + table.len() as u64).is_none());
        for at in [0, 4, table.len() - 9, table.len() - 5, table.len() - 1] {
            let mut broken = table.clone();
            broken[at] ^= 0x55;
            assert!(parse_table(&broken, 10 + table.len() as u64).is_none(), "{at}");
        }
        assert!(parse_table(b"", 0).is_none());
    }
}
