//! Text that others wrote, as it may be shown: nothing in it can move the cursor, change the screen, turn the
//! direction of writing, or stand there unseen.
//!
//! What only sets a look is left out: colours, and the selectors that choose between an emoji and its plain sign.
//! Everything else that has no place on a screen is replaced by a sign that has one. Terminals disagree about the width
//! of signs that are joined from several, so those are shown apart.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar as _;

/// Accents and the like on one character; terminals lose count of more.
const MAX_MARKS: usize = 4;
/// Stands for what cannot be shown.
const UNKNOWN: char = '\u{fffd}';
/// Carries a mark that has nothing to stand on.
const CARRIER: char = '\u{25cc}';

/// A message as it can be shown on one line. At most about `limit` bytes of it; that it goes on is shown by an
/// ellipsis.
pub(crate) fn clean(message: &str, limit: usize) -> String {
    let mut text = String::with_capacity(message.len().min(limit.saturating_add(8)));
    // Cells of the last character that takes any, and the marks on it.
    let (mut base, mut marks) = (0, 0);
    let mut rest = message.chars();
    while let Some(character) = rest.next() {
        if text.len() >= limit {
            text.push('\u{2026}');
            break;
        }
        let shown = match character {
            '\x1b' => match colour_length(rest.as_str()) {
                Some(length) => {
                    rest = rest.as_str().get(length..).unwrap_or_default().chars();
                    continue;
                }
                None => '\u{241b}',
            },
            '\t' => {
                text.push_str("   ");
                ' '
            }
            '\n' => '\u{23ce}',
            '\x7f' => '\u{2421}',
            control if control < ' ' => char::from_u32(0x2400 + control as u32).unwrap_or(UNKNOWN),
            '\u{fe0e}' | '\u{fe0f}' => continue,
            // The tone of a hand or a face.
            '\u{1f3fb}'..='\u{1f3ff}' if base == 2 => continue,
            // Two of them make a flag; apart they are letters.
            '\u{1f1e6}'..='\u{1f1ff}' => {
                char::from_u32(character as u32 - 0x1f1e6 + 0x24b6).unwrap_or(UNKNOWN)
            }
            other if is_unseen(other) => UNKNOWN,
            other => other,
        };
        match shown.width().unwrap_or(0) {
            0 if marks >= MAX_MARKS => {
                text.push(UNKNOWN);
                (base, marks) = (1, 0);
                continue;
            }
            0 => {
                if base == 0 {
                    text.push(CARRIER);
                    base = 1;
                }
                marks += 1;
            }
            cells => (base, marks) = (cells, 0),
        }
        text.push(shown);
    }
    text
}

/// A short text as it can be shown, mostly as it is.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(clean(text, usize::MAX))
}

/// Whether a character acts on others, or takes no place though it is no mark on another one.
///
/// The second half of the control characters, and what Unicode calls default ignorable, but for the selectors.
fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0d}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{1f3fb}'..='\u{1f3ff}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The length of what follows an escape if together they only set colours.
fn colour_length(rest: &str) -> Option<usize> {
    let parameters = rest.strip_prefix('[')?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
    parameters.get(end..)?.starts_with('m').then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_that_a_message_brings_can_move_the_screen() {
        for (message, expected) in [
            ("\x1b[1;31mred\x1b[0m\tx\ny", "red    x\u{23ce}y"),
            ("\x1b[2Jz\x07\u{9b}31m\x7f", "\u{241b}[2Jz\u{2407}\u{fffd}31m\u{2421}"),
            ("\u{202e}txt.exe\u{2069}\u{61c}", "\u{fffd}txt.exe\u{fffd}\u{fffd}"),
            ("a\u{200b}b\u{ad}c\u{e0041}d\u{3164}", "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}"),
        ] {
            assert_eq!(clean(message, 99), expected, "{message:?}");
            assert_eq!(shown(message), expected, "{message:?}");
        }
        assert_eq!(clean("abcdef", 3), "abc\u{2026}");
        assert!(matches!(shown("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn signs_that_are_joined_are_shown_apart() {
        for (message, expected) in [
            ("\u{1f1e9}\u{1f1ea}", "\u{24b9}\u{24ba}"),
            ("\u{2764}\u{fe0f} \u{1f44d}\u{1f3fd}", "\u{2764} \u{1f44d}"),
            ("\u{1f3fd}", "\u{fffd}"),
            ("\u{1f468}\u{200d}\u{1f469}", "\u{1f468}\u{fffd}\u{1f469}"),
            ("e\u{301}", "e\u{301}"),
            ("\u{301}e", "\u{25cc}\u{301}e"),
            (
                "z\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}",
                "z\u{300}\u{301}\u{302}\u{303}\u{fffd}\u{305}",
            ),
        ] {
            assert_eq!(clean(message, 99), expected, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_shown(message in any::<String>()) {
            let once = clean(&message, usize::MAX);
            prop_assert!(!once.chars().any(|c| c.is_control() || is_unseen(c)));
            prop_assert_eq!(&clean(&once, usize::MAX), &once);
        }
    }
}
