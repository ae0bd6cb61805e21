//! A write's bytes as they lie in the application's buffers, and pieces of it that end where a line does.
//!
//! # Safety
//!
//! This file may use `unsafe`: it reads what the application has just written, or asks to write.
#![expect(unsafe_code, reason = "reads raw application buffers")]

use logtap_wire::ring::writer::Part;

use super::lines::Bytes;

/// Longer writes are taken in pieces, cut at a line's end where there is one.
const LONGEST_PIECE: usize = 256 << 10;

/// A part of a write.
pub(super) struct Piece<'a> {
    pub(super) parts: &'a [Part],
    pub(super) skip: usize,
    pub(super) length: usize,
}

impl Piece<'_> {
    /// The slices of a range of the piece.
    pub(super) fn slices(&self, from: usize) -> impl Iterator<Item = &[u8]> {
        let (mut skip, mut left) = (self.skip + from, self.length - from.min(self.length));
        self.parts.iter().map(move |part| {
            let passed = skip.min(part.length);
            skip -= passed;
            let count = (part.length - passed).min(left);
            left -= count;
            if count == 0 {
                return &[][..];
            }
            // SAFETY: what the application has just written, or asks to write.
            unsafe { core::slice::from_raw_parts(part.base.wrapping_add(passed), count) }
        })
    }
}

impl Bytes for Piece<'_> {
    fn length(&self) -> usize {
        self.length
    }

    fn line_end(&self, from: usize) -> Option<usize> {
        let mut at = from;
        for slice in self.slices(from) {
            if let Some(found) = slice.iter().position(|&byte| byte == b'\n') {
                return Some(at + found);
            }
            at += slice.len();
        }
        None
    }

    fn ends_line(&self) -> bool {
        self.slices(self.length.saturating_sub(1)).any(|slice| slice.first() == Some(&b'\n'))
    }
}

/// What of a write is taken next: all, or as much as is taken at once, up to a line's end if there is one.
pub(super) fn piece(parts: &[Part], from: usize, length: usize) -> Piece<'_> {
    let mut piece = Piece { parts, skip: from, length: (length - from).min(LONGEST_PIECE) };
    if from + piece.length < length {
        let mut at = 0;
        let mut end = 0;
        for slice in piece.slices(0) {
            if let Some(last) = slice.iter().rposition(|&byte| byte == b'\n') {
                end = at + last + 1;
            }
            at += slice.len();
        }
        if end > 0 {
            piece.length = end;
        }
    }
    piece
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_at_lines_and_know_their_line_ends() {
        let text = [vec![b'x'; LONGEST_PIECE - 10], b"\nabc\n".to_vec(), vec![b'y'; 100]];
        let parts = text.each_ref().map(|part| Part { base: part.as_ptr(), length: part.len() });
        let length = text.iter().map(Vec::len).sum();
        let first = piece(&parts, 0, length);
        assert_eq!(first.length, LONGEST_PIECE - 5);
        assert!(first.ends_line());
        assert_eq!(first.line_end(0), Some(LONGEST_PIECE - 10));
        assert_eq!(first.line_end(LONGEST_PIECE - 9), Some(LONGEST_PIECE - 6));
        let second = piece(&parts, first.length, length);
        assert_eq!((second.length, second.ends_line(), second.line_end(0)), (100, false, None));
    }
}
