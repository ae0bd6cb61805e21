//! Text that others wrote, as it may be shown: nothing in it can move the cursor, change the screen, turn the
//! direction of writing, or stand there unseen.
//!
//! What only sets a look is left out: colours, the erasing of a line that is drawn again, and the selectors that choose
//! between an emoji and its plain sign. A line that was drawn again and again is shown as it stood last
//! ([`last_state`]). What goes to a file or a pipe is none of this module's business: that gets the bytes as they are.
//!
//! Everything else that has no place on a screen is replaced by a sign that has one. Terminals disagree about the width
//! of signs that are joined from several, so those are shown apart.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use unicode_width::UnicodeWidthChar as _;

/// Accents and the like on one character; terminals lose count of more.
const MAX_MARKS: usize = 4;
/// Stands for what cannot be shown.
const UNKNOWN: char = '\u{fffd}';
/// Carries a mark that has nothing to stand on.
const CARRIER: char = '\u{25cc}';

/// A message as it can be shown on one line. At most about `limit` bytes of it; that it goes on is shown by an
/// ellipsis.
pub fn clean(message: &str, limit: usize) -> String {
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
            '\x1b' => match look_length(rest.as_str()) {
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
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(clean(text, usize::MAX))
}

/// Several lines as they can be shown: their ends stay.
pub fn shown_lines(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<_> = text.split('\n').map(shown).collect();
    Cow::Owned(lines.join("\n"))
}

/// JSON as it can be shown, and still the same JSON: what acts on a terminal is escaped where it stands in a text. Bytes
/// that are no JSON are to be [`shown`] instead.
pub fn shown_json(json: &str) -> Cow<'_, str> {
    let acts = |c: char| (c.is_control() && c != '\n') || is_unseen(c);
    if !json.contains(acts) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 32);
    for character in json.chars() {
        if !acts(character) {
            text.push(character);
            continue;
        }
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            let _never_fails = write!(text, "\\u{unit:04x}");
        }
    }
    Cow::Owned(text)
}

/// What stands on a terminal after a text whose writer drew its line again with carriage returns: of each line what came
/// behind the last of them, as far as anything did. A carriage return at the end of a line is none of its text.
pub fn last_state(text: &str) -> Cow<'_, str> {
    fn of_line(line: &str) -> &str {
        line.split('\r').rev().find(|state| !is_blank(state)).unwrap_or_default()
    }
    if !text.contains('\r') {
        return Cow::Borrowed(text);
    }
    if !text.contains('\n') {
        return Cow::Borrowed(of_line(text));
    }
    let lines: Vec<_> = text.split('\n').map(of_line).collect();
    Cow::Owned(lines.join("\n"))
}

/// A text as it can be shown where it is written to a terminal, and as it is elsewhere; its lines stay.
pub fn written_to<'a>(output: &impl IsTerminal, text: &'a str) -> Cow<'a, str> {
    if output.is_terminal() { shown_lines(text) } else { Cow::Borrowed(text) }
}

/// Writes lines to a terminal as they can be shown.
///
/// A line is held until its end is there, so that no sequence can come through in two halves.
#[derive(Debug)]
pub struct VisibleWriter<W: Write> {
    output: W,
    active: bool,
    held: Vec<u8>,
}

/// More of a line without an end is not held.
const MAX_HELD: usize = 1 << 20;

impl<W: Write> VisibleWriter<W> {
    /// Lets bytes through as they are unless it is active.
    pub const fn new(output: W, active: bool) -> Self {
        Self { output, active, held: Vec::new() }
    }

    /// Whether text is made visible, and not let through as it is.
    pub const fn is_active(&self) -> bool {
        self.active
    }

    /// Lets everything through as it is from now on.
    pub fn let_through(&mut self) -> io::Result<()> {
        self.release()?;
        self.active = false;
        Ok(())
    }

    /// The output itself, for what can be shown already.
    pub fn direct(&mut self) -> io::Result<&mut W> {
        self.release()?;
        Ok(&mut self.output)
    }

    fn release(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        self.put(&held)
    }

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        self.output.write_all(shown(&String::from_utf8_lossy(line)).as_bytes())
    }
}

impl<W: Write> Write for VisibleWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.active {
            return self.output.write(bytes);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) if self.held.is_empty() => {
                    self.put(end)?;
                    self.output.write_all(b"\n")?;
                }
                Some(end) => {
                    self.held.extend_from_slice(end);
                    self.release()?;
                    self.output.write_all(b"\n")?;
                }
                None => self.held.extend_from_slice(piece),
            }
            if self.held.len() > MAX_HELD {
                self.release()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.release()?;
        self.output.flush()
    }
}

/// Whether a text leaves a line empty: blanks, colours and erasing.
fn is_blank(text: &str) -> bool {
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let behind = rest.get(character.len_utf8()..).unwrap_or_default();
        rest = match (character, look_length(behind)) {
            ('\x1b', Some(length)) => behind.get(length..).unwrap_or_default(),
            (' ' | '\t', _) => behind,
            _ => return false,
        };
    }
    true
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

/// The length of what follows an escape if together they only set colours or erase in their line.
fn look_length(rest: &str) -> Option<usize> {
    let parameters = rest.strip_prefix('[')?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
    parameters.get(end..)?.starts_with(['m', 'K']).then_some(end + 2)
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

    #[test]
    fn lines_stay_lines_and_json_stays_the_same_json() {
        assert_eq!(shown_lines("a\x1b[2J\nb\r\n"), "a\u{241b}[2J\nb\u{240d}\n");
        assert!(matches!(shown_lines("a\nb"), Cow::Borrowed(_)));
        let json = "{\n\"a\":\"\u{9b}31m\u{202e}\u{e0041}\x7f\"}";
        let shown = shown_json(json);
        assert_eq!(shown, "{\n\"a\":\"\\u009b31m\\u202e\\udb40\\udc41\\u007f\"}");
        assert!(matches!(shown_json("{\"a\": \"\u{e4}\"}"), Cow::Borrowed(_)));
    }

    #[test]
    fn the_last_state_of_a_line_is_what_was_drawn_last() {
        for (line, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("1%\r50%\r100%", "100%"),
            ("windows\r", "windows"),
            ("windows\r\r", "windows"),
            ("10%\r\x1b[Kdone\r", "\x1b[Kdone"),
            ("100%\r      \r", "100%"),
            ("100%\r\x1b[2K\x1b[0m", "100%"),
            ("\r", ""),
            ("\r\r  ", ""),
            ("a\r\nb\rc\r\n", "a\nc\n"),
        ] {
            assert_eq!(last_state(line), expected, "{line:?}");
        }
        assert_eq!(clean(&last_state("10%\r\x1b[Kdone"), 99), "done");
    }

    #[test]
    fn a_writer_shows_lines_whole_and_lets_through_what_it_is_told_to() {
        let mut writer = VisibleWriter::new(Vec::new(), true);
        writer.write_all(b"a\x1b").unwrap();
        writer.write_all(b"[2Jb\nc\x9b\n\x1b]0;owned").unwrap();
        assert_eq!(writer.output, "a\u{241b}[2Jb\nc\u{fffd}\n".as_bytes());
        writer.let_through().unwrap();
        writer.write_all(b"\x1b[m\n").unwrap();
        assert!(writer.output.ends_with("\u{241b}]0;owned\x1b[m\n".as_bytes()));
        let mut writer = VisibleWriter::new(Vec::new(), false);
        writer.write_all(b"\x1b[2J").unwrap();
        assert_eq!(writer.direct().unwrap(), b"\x1b[2J");
    }

    proptest! {
        #[test]
        fn the_last_state_is_a_part_without_returns(line in "\r[ a\r\u{1b}\\[Km]{0,12}") {
            let state = last_state(&line);
            prop_assert!(line.contains(&*state) && !state.contains('\r'));
            prop_assert_eq!(state.is_empty(), line.split('\r').all(is_blank));
        }

        #[test]
        fn what_is_shown_can_be_shown(message in any::<String>()) {
            let once = clean(&message, usize::MAX);
            prop_assert!(!once.chars().any(|c| c.is_control() || is_unseen(c)));
            prop_assert_eq!(&clean(&once, usize::MAX), &once);
        }
    }
}
