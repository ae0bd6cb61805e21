//! Which lines of a batch are still to be pushed, where a sink finds the whole too large: halves, and halves of these, in
//! order, down to single lines.

use std::ops::Range;

/// The parts of a batch that are left, the next one last.
#[derive(Debug)]
pub struct Parts(Vec<Range<usize>>);

impl Parts {
    /// All lines of a batch at once.
    pub fn new(lines: usize) -> Self {
        let all = 0..lines;
        Self(std::iter::once(all).filter(|all| !all.is_empty()).collect())
    }

    /// The part to push next; nothing where none is left.
    pub fn next(&self) -> Option<Range<usize>> {
        self.0.last().cloned()
    }

    /// The next part is done with.
    pub fn advance(&mut self) {
        self.0.pop();
    }

    /// The next part is too large. False where it is a single line, of which there is no half.
    pub fn halve(&mut self) -> bool {
        match self.0.last().cloned() {
            Some(part) if part.len() > 1 => {
                let middle = part.start + part.len() / 2;
                self.0.pop();
                self.0.extend([middle..part.end, part.start..middle]);
                true
            }
            _ => false,
        }
    }

    /// Lines that are left.
    pub fn lines(&self) -> usize {
        self.0.iter().map(ExactSizeIterator::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_comes_once_and_in_order_however_small_the_parts_must_be() {
        for lines in 0..40 {
            for fits in 1..9 {
                let (mut parts, mut taken) = (Parts::new(lines), Vec::new());
                while let Some(part) = parts.next() {
                    assert_eq!(taken.len() + parts.lines(), lines);
                    if part.len() > fits {
                        assert!(parts.halve());
                    } else {
                        taken.extend(part);
                        parts.advance();
                    }
                }
                assert_eq!(taken, (0..lines).collect::<Vec<_>>());
            }
        }
        assert!(!Parts::new(1).halve() && !Parts::new(0).halve());
    }
}
