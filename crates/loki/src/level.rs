//! The level of a line, by the rules that Grafana's colours follow: a `level=` or `"level":` field,
//! else the first level word. Only the beginning of a line is looked at, and colours are looked through. Guesses nothing
//! else.

use memchr::memchr2;

/// How much of a line is looked at.
const WINDOW: usize = 100;
/// And with the colours that are in it.
const COLOURED_WINDOW: usize = 400;

/// A level that was found in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    Trace = 1,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
    Fatal,
}

/// Number of levels, with "none" as 0.
pub const LEVELS: usize = 8;

impl Level {
    /// Its name, as Grafana knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Fatal => "fatal",
        }
    }
}

/// Finds the level of a line.
pub fn detect(line: &[u8]) -> Option<Level> {
    let window = line.get(..WINDOW).unwrap_or(line);
    if memchr2(b'\x1b', b'\\', window).is_some() {
        let (text, length) = without_colours(line);
        return detect_plain(text.get(..length).unwrap_or_default());
    }
    detect_plain(line)
}

/// The beginning of a line without the sequences that colour it, as they are or as JSON writes them. One byte more than
/// is looked at, so that a word which goes on is known to.
fn without_colours(line: &[u8]) -> ([u8; WINDOW + 1], usize) {
    let (mut text, mut length) = ([0; WINDOW + 1], 0);
    let mut rest = line.get(..COLOURED_WINDOW).unwrap_or(line);
    while let Some((first, behind)) = rest.split_first() {
        if let Some(sequence) = colour_length(rest) {
            rest = rest.get(sequence..).unwrap_or_default();
            continue;
        }
        let Some(place) = text.get_mut(length) else { break };
        *place = *first;
        length += 1;
        rest = behind;
    }
    (text, length)
}

/// The length of a sequence that colours, if a text begins with one.
fn colour_length(text: &[u8]) -> Option<usize> {
    if !matches!(text.first(), Some(b'\x1b' | b'\\')) {
        return None;
    }
    let introducers: [&[u8]; 4] = [b"\x1b[", b"\\u001b[", b"\\u001B[", b"\\x1b["];
    let introducer = introducers.iter().find(|introducer| text.starts_with(introducer))?.len();
    let parameters = text.get(introducer..)?;
    let end = parameters.iter().position(|byte| !byte.is_ascii_digit() && !b";:".contains(byte))?;
    matches!(parameters.get(end), Some(b'm' | b'K')).then_some(introducer + end + 1)
}

fn detect_plain(line: &[u8]) -> Option<Level> {
    let window = line.get(..WINDOW).unwrap_or(line);
    let mut first = None;
    // The value of a level field counts wherever it stands; a word counts if no such field follows.
    let mut field = false;
    let mut at = 0;
    while at < window.len() {
        if IS_BOUNDARY[usize::from(window[at])] {
            at += 1;
            continue;
        }
        let start = at;
        while at < window.len() && !IS_BOUNDARY[usize::from(window[at])] {
            at += 1;
        }
        let word = &window[start..at];
        let cut = at == window.len() && at < line.len();
        if !(3..=13).contains(&word.len()) || cut || !IS_INITIAL[usize::from(word[0])] {
            field = false;
            continue;
        }
        if field && let Some(level) = value(word) {
            return Some(level);
        }
        field = is_key(word) && assigns(&window[at..]);
        if first.is_none() {
            first = keyword(word);
        }
    }
    first
}

/// Whether what follows a key makes it a field: `=`, `:` or `":`.
fn assigns(after: &[u8]) -> bool {
    matches!(after, [b'=' | b':', ..] | [b'"', b':', ..] | [b'\'', b':', ..])
}

/// The names of level fields.
const KEYS: [&str; 6] = ["level", "lvl", "severity", "log.level", "severitytext", "severity_text"];

fn is_key(word: &[u8]) -> bool {
    KEYS.iter().any(|key| word.eq_ignore_ascii_case(key.as_bytes()))
}

/// A free-standing word that tells a level.
fn keyword(word: &[u8]) -> Option<Level> {
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let level = match word[0] | 0x20 {
        b't' if is("trace") => Level::Trace,
        b'd' if is("debug") => Level::Debug,
        b'i' if is("info") => Level::Info,
        b'w' if is("warn") || is("warning") => Level::Warn,
        b'e' if is("error") || is("err") => Level::Error,
        b'c' if is("critical") => Level::Critical,
        b'f' if is("fatal") => Level::Fatal,
        _ => return None,
    };
    Some(level)
}

/// The value of a level field: short forms count too.
fn value(word: &[u8]) -> Option<Level> {
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    keyword(word).or_else(|| {
        Some(match word[0] | 0x20 {
            b't' if is("trc") => Level::Trace,
            b'd' if is("dbg") => Level::Debug,
            b'i' if is("inf") || is("information") => Level::Info,
            b'w' if is("wrn") => Level::Warn,
            _ => return None,
        })
    })
}

/// What stands between words.
const IS_BOUNDARY: [bool; 256] = among(b" \t\r[](){}:,!\"'=|<>;");

/// What the names of level fields and of levels begin with. Most words need no second look.
const IS_INITIAL: [bool; 256] = among(b"cdefilstwCDEFILSTW");

const fn among(bytes: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut index = 0;
    while index < bytes.len() {
        table[bytes[index] as usize] = true;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_where_grafana_finds_them() {
        for (line, expected) in [
            ("2026-01-01 10:00:00,123 WARNING root: disk", Some(Level::Warn)),
            (r#"{"ts":1,"level":"error","msg":"info"}"#, Some(Level::Error)),
            (r#"{"msg":"an error in debug","severity":"INFO"}"#, Some(Level::Info)),
            ("ts=1 lvl=dbg msg=\"fatal\"", Some(Level::Debug)),
            ("[error] 12#12: open() failed", Some(Level::Error)),
            ("level=wrn", Some(Level::Warn)),
            ("information about errors", None),
            ("inf nan", None),
            ("the level: high", None),
            ("CRITICAL|x", Some(Level::Critical)),
            ("2026-01-01T00:00:00Z INFO error while", Some(Level::Info)),
            ("", None),
        ] {
            assert_eq!(detect(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn colours_hide_no_level_and_make_none() {
        for (line, expected) in [
            ("\x1b[31mERROR\x1b[0m refused", Some(Level::Error)),
            ("\x1b[90m10:00:01\x1b[0m \x1b[1;33mWARN\x1b[0m: slow", Some(Level::Warn)),
            ("\x1b[38;2;255;0;0mlevel\x1b[0m=\x1b[31merror\x1b[0m", Some(Level::Error)),
            ("{\"level\":\"\\u001b[31merror\\u001b[0m\"}", Some(Level::Error)),
            ("\x1b[2K\x1b[35mdebug\x1b[K", Some(Level::Debug)),
            ("C:\\error no colour", None),
            ("\x1b[31m31mERRORS", None),
            ("\x1b[31", None),
            ("\x1b", None),
        ] {
            assert_eq!(detect(line.as_bytes()), expected, "{line:?}");
        }
        let line = format!("{}\x1b[31merror\x1b[0m", "\x1b[32mx\x1b[0m ".repeat(20));
        assert_eq!(detect(line.as_bytes()), Some(Level::Error), "colours take none of the window");
        let line = format!("\x1b[0m{}error", "x ".repeat(48));
        assert_eq!(detect(line.as_bytes()), None, "`erro` is cut at the window's end");
    }

    #[test]
    fn only_the_beginning_counts_and_no_half_word() {
        let line = format!("{}error", "x ".repeat(48));
        assert_eq!(detect(line.as_bytes()), None, "`erro` is cut at the window's end");
        let line = format!("{} error", "x ".repeat(40));
        assert_eq!(detect(line.as_bytes()), Some(Level::Error));
    }

    #[test]
    fn every_level_is_found_by_its_own_name() {
        use Level::{Critical, Debug, Error, Fatal, Info, Trace, Warn};
        for level in [Trace, Debug, Info, Warn, Error, Critical, Fatal] {
            assert_eq!(detect(level.name().as_bytes()), Some(level));
            assert_eq!(detect(level.name().to_uppercase().as_bytes()), Some(level));
        }
    }

    #[test]
    fn every_field_that_names_a_level_is_known() {
        for key in KEYS {
            for key in [key.to_owned(), key.to_uppercase()] {
                let line = format!("info {key}=error");
                assert_eq!(detect(line.as_bytes()), Some(Level::Error), "{line}");
            }
        }
    }
}
