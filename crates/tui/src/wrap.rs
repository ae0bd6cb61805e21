//! Text in cells of a terminal: how wide it is, and where long lines are cut. The text has to be one that can be
//! shown ([`crate::visible`]).

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
        assert_eq!((width("a\u{65e5}"), skip("a\u{65e5}b", 1)), (3, 1));
        assert_eq!((skip("e\u{301}b", 1), behind_marks("e\u{301}b", 1)), (3, 3));
    }
}
