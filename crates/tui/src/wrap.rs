//! Text in cells of a terminal: what cannot be shown is replaced by what can, and long lines are cut.

use std::ops::Range;

use unicode_width::UnicodeWidthChar as _;

/// A message as it can be shown on one line: colours that it brings are left out, line ends and control
/// characters are made visible. At most about `limit` bytes of it.
pub(crate) fn clean(message: &str, limit: usize) -> String {
    let mut text = String::with_capacity(message.len().min(limit + 8));
    let mut rest = message.chars();
    while let Some(character) = rest.next() {
        if text.len() >= limit {
            text.push('\u{2026}');
            break;
        }
        match character {
            '\x1b' => match colour_length(rest.as_str()) {
                Some(length) => {
                    rest = rest.as_str().get(length..).unwrap_or_default().chars();
                }
                None => text.push('\u{241b}'),
            },
            '\t' => text.push_str("    "),
            '\n' => text.push('\u{23ce}'),
            '\r' => text.push('\u{240d}'),
            '\x7f' => text.push('\u{2421}'),
            control if control < ' ' => {
                text.push(char::from_u32(0x2400 + control as u32).unwrap_or('\u{fffd}'));
            }
            // Others that move things about on the screen.
            '\u{80}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}' => text.push('\u{fffd}'),
            other => text.push(other),
        }
    }
    text
}

/// The length of what follows an escape if together they only set colours.
fn colour_length(rest: &str) -> Option<usize> {
    let parameters = rest.strip_prefix('[')?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
    parameters.get(end..)?.starts_with('m').then_some(end + 2)
}

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
        if used >= columns {
            return at;
        }
        used += character.width().unwrap_or(0);
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_message_brings_can_move_the_screen() {
        assert_eq!(
            clean("\x1b[1;31mred\x1b[0m\tx\ny\x1b[2Jz\x07\u{202e}", 99),
            "red    x\u{23ce}y\u{241b}[2Jz\u{2407}\u{fffd}"
        );
        assert_eq!(clean("abcdef", 3), "abc\u{2026}");
    }

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
    }
}
