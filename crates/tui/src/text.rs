//! Reads the text of segments in chunks of equal size, whatever their form on disk.
//!
//! A chunk is the lines that begin in its range of bytes, so chunks of raw and of compressed segments
//! are the same. Frames that were decoded last are kept, since chunks next to each other share them.

use std::collections::VecDeque;

use logtap_capture::CaptureError;
use logtap_capture::segment::{Piece, PieceReader};
use memchr::memchr;

use crate::catalogue::{Form, Volume};
use crate::place::{CHUNK, SegmentKey};

/// Decoded frames that are kept.
const MAX_BLOCKS: usize = 2;

/// Some lines of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChunkText {
    /// Where the first of them begins.
    pub(crate) base: u64,
    /// Whole lines.
    pub(crate) text: Vec<u8>,
}

/// Reads chunks.
#[derive(Default)]
pub(crate) struct TextReader {
    reader: PieceReader,
    blocks: VecDeque<Block>,
}

/// Decoded text.
struct Block {
    segment: SegmentKey,
    start: u64,
    text: Vec<u8>,
}

impl TextReader {
    /// The lines of a chunk, as far as the segment's text goes up to `length`.
    pub(crate) fn chunk(
        &mut self,
        volume: &Volume,
        number: u64,
        length: u64,
    ) -> Result<ChunkText, CaptureError> {
        let start = number * CHUNK;
        let end = length.min(start + CHUNK);
        if start >= end {
            return Ok(ChunkText { base: start, text: Vec::new() });
        }
        match &volume.form {
            Form::Raw => {
                let (base, lines) = volume.open.raw_lines(start, end, &mut self.reader)?;
                let mut text = lines.to_vec();
                if volume.grows() {
                    let whole = memchr::memrchr(b'\n', &text).map_or(0, |place| place + 1);
                    text.truncate(whole);
                }
                Ok(ChunkText { base, text })
            }
            Form::Frames(frames) => {
                let first = frames.partition_point(|(place, _)| *place <= start).saturating_sub(1);
                let mut found = ChunkText { base: start, text: Vec::new() };
                for (place, piece) in frames.iter().skip(first).take_while(|(at, _)| *at < end) {
                    let block = self.frame(volume, *place, piece)?;
                    add_lines(&mut found, block.start, &block.text, start, end);
                }
                Ok(found)
            }
            Form::Stream => self.stream(volume, start, end),
        }
    }

    fn frame(
        &mut self,
        volume: &Volume,
        start: u64,
        piece: &Piece,
    ) -> Result<&Block, CaptureError> {
        let known = |block: &Block| block.start == start && block.segment == volume.key;
        let mut block = match self.blocks.iter().position(known) {
            Some(at) => self.blocks.remove(at),
            None => None,
        };
        if block.is_none() {
            // The memory of the oldest is used again.
            let mut text = match self.blocks.len() {
                MAX_BLOCKS.. => self.blocks.pop_front().map(|block| block.text),
                _ => None,
            }
            .unwrap_or_default();
            text.clear();
            let take = |lines: &[u8]| text.extend_from_slice(lines);
            volume.open.read(piece, &mut self.reader, take)?;
            block = Some(Block { segment: volume.key.clone(), start, text });
        }
        self.blocks.extend(block);
        Ok(self.blocks.back().expect("it was just put there"))
    }

    /// Goes through a compressed file of others from its start, unless the block was read last.
    fn stream(&mut self, volume: &Volume, start: u64, end: u64) -> Result<ChunkText, CaptureError> {
        let mut found = ChunkText { base: start, text: Vec::new() };
        let kept = self.blocks.iter().find(|block| {
            let ends = block.start + block.text.len() as u64;
            block.segment == volume.key && block.start <= start && end <= ends
        });
        if let Some(block) = kept {
            add_lines(&mut found, block.start, &block.text, start, end);
            return Ok(found);
        }
        let mut at = 0;
        let mut block = Block { segment: volume.key.clone(), start: 0, text: Vec::new() };
        let outcome = volume.open.read(&Piece::Stream, &mut self.reader, |lines| {
            let ends = at + lines.len() as u64;
            if ends > start && at < end {
                if block.text.is_empty() {
                    block.start = at;
                }
                block.text.extend_from_slice(lines);
            }
            at = ends;
        });
        add_lines(&mut found, block.start, &block.text, start, end);
        if found.text.is_empty() {
            outcome?;
        }
        while self.blocks.len() >= MAX_BLOCKS {
            self.blocks.pop_front();
        }
        self.blocks.push_back(block);
        Ok(found)
    }
}

/// Adds the lines of a block that begin in a range.
fn add_lines(found: &mut ChunkText, block: u64, text: &[u8], start: u64, end: u64) {
    let first_at = |place: u64| {
        let Some(before) = place.checked_sub(block + 1) else { return 0 };
        let rest = text.get(before as usize..).unwrap_or_default();
        memchr(b'\n', rest).map_or(text.len(), |line_end| before as usize + line_end + 1)
    };
    let (from, to) = (first_at(start), first_at(end));
    let lines = text.get(from..to).unwrap_or_default();
    if found.text.is_empty() {
        found.base = block + from as u64;
    }
    found.text.extend_from_slice(lines);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_in_the_range_that_it_begins_in() {
        let text = b"a\nbb\n\nccc\n";
        for block in [0, 7] {
            let mut all = Vec::new();
            for start in block..block + text.len() as u64 {
                let mut found = ChunkText::default();
                add_lines(&mut found, block, text, start, start + 1);
                if !found.text.is_empty() {
                    assert_eq!(found.base, start);
                }
                all.extend_from_slice(&found.text);
            }
            assert_eq!(all, text);
            let mut found = ChunkText::default();
            add_lines(&mut found, block, text, block + 1, block + 5);
            assert_eq!((found.base, &found.text[..]), (block + 2, &b"bb\n"[..]));
        }
    }
}
