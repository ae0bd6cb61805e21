//! The level of a line, by the rules that Grafana's colours follow: a `level=` or `"level":` field,
//! else the first level word. Only the beginning of a line is looked at. Guesses nothing else.

/// How much of a line is looked at.
const WINDOW: usize = 100;

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
