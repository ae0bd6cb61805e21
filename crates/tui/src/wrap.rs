//! Text in cells of a terminal: how wide it is, and where long lines are cut. The text has to be one that can be
//! shown ([`logtap_units::visible`]).

use std::ops::Range;

use unicode_width::UnicodeWidthChar as _;

/// Where to cut a text so that each piece is no wider than `width` cells; at least one piece.
pub(crate) fn cut(text: &str, width: usize) -> Vec<Range<usize>> {
    let width = width.max(1);
    let mut pieces = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (at, character) in text.char_indices() {
        let wide = character.width().unwrap_or(0);
        if used + wide > width && at > start {
            pieces.push(start..at);
            (start, used) = (at, 0);
        }
        used += wide;
    }
    pieces.push(start..text.len());
    pieces
}

/// The words of a text in pieces that are no wider than `width` cells, as far as words are; at least one piece.
pub(crate) fn cut_at_blanks(text: &str, width: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        let front = cut(rest, width).into_iter().next().unwrap_or_default();
        let whole = front.end >= rest.len();
        let blank = rest.get(..=front.end).and_then(|front| front.rfind(' ')).filter(|at| *at > 0);
        let end = if whole { rest.len() } else { blank.unwrap_or(front.end) };
        let (piece, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        pieces.push(piece.trim_end());
        rest = behind.trim_start();
        if rest.is_empty() {
            return pieces;
        }
    }
}

/// How many cells a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

/// The byte behind the first `columns` cells.
pub(crate) fn skip(text: &str, columns: usize) -> usize {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        let wide = character.width().unwrap_or(0);
        // Marks go with what they stand on.
        if used >= columns && wide > 0 {
            return at;
        }
        used += wide;
    }
    text.len()
}

/// A place in a text, moved behind the marks on the character before it.
pub(crate) fn behind_marks(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let next = rest.char_indices().find(|(_, character)| character.width() != Some(0));
    next.map_or(text.len(), |(marks, _)| at + marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_as_wide_as_they_may_be() {
        let pieces = |text: &str, width| -> Vec<String> {
            cut(text, width).into_iter().map(|range| text[range].to_owned()).collect()
        };
        assert_eq!(pieces("abcde", 2), ["ab", "cd", "e"]);
        assert_eq!(pieces("a\u{65e5}\u{672c}b", 3), ["a\u{65e5}", "\u{672c}b"]);
        assert_eq!(pieces("\u{65e5}\u{672c}", 1), ["\u{65e5}", "\u{672c}"]);
        assert_eq!(pieces("", 5), [""]);
        assert_eq!(cut_at_blanks("one two three", 7), ["one two", "three"]);
        assert_eq!(cut_at_blanks("one two", 5), ["one", "two"]);
        assert_eq!(
            cut_at_blanks("longword \u{65e5}\u{672c}\u{8a9e}", 4),
            ["long", "word", "\u{65e5}\u{672c}", "\u{8a9e}"]
        );
        assert_eq!(cut_at_blanks("", 4), [""]);
        assert_eq!((width("a\u{65e5}"), skip("a\u{65e5}b", 1)), (3, 1));
        assert_eq!((skip("e\u{301}b", 1), behind_marks("e\u{301}b", 1)), (3, 3));
    }
}
