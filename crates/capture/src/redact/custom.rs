//! Patterns of the user's own, from a YAML file in the predecessor's form.
//!
//! ```text
//! - name: order_id
//!   pattern: 'ORD-(\d{4})\d+'
//!   replacement: 'ORD-$1...'
//! ```
//! A list of names, regular expressions and replacements (`$1` and `${name}` stand for groups; missing,
//! nothing is put in the place). As there, `\b`, `\d`, `\s` and `\w` are about ASCII, and a pattern
//! named `credit_card` also wants Luhn's check digit.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use regex::bytes::{Captures, Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::Deserialize;

/// More patterns than this are not taken.
const MAX_PATTERNS: usize = 500;
/// How large a compiled pattern may be.
const MAX_COMPILED: usize = 4 << 20;

/// A file of patterns that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CustomError {
    /// It cannot be read.
    #[error("failed to read redaction patterns `{}`: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is no list of patterns.
    #[error("redaction patterns `{}` are no YAML list of `name`, `pattern` and `replacement`: {reason}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A pattern is wrong.
    #[error("redaction pattern `{name}` in `{}`: {reason}", .path.display())]
    Pattern {
        /// The file.
        path: PathBuf,
        /// The pattern's name.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// Patterns of the user's own, compiled.
#[derive(Debug)]
pub struct CustomPatterns {
    patterns: Vec<Custom>,
    /// Which of them match at all.
    any: RegexSet,
}

#[derive(Debug)]
struct Custom {
    name: String,
    regex: Regex,
    replacement: Vec<u8>,
    with_check_digit: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    pattern: String,
    #[serde(default)]
    replacement: String,
}

impl CustomPatterns {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, CustomError> {
        let text = fs::read_to_string(path)
            .map_err(|source| CustomError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Compiles the text of a file.
    pub fn parse(text: &str, path: &Path) -> Result<Self, CustomError> {
        let form = |reason: String| CustomError::Form { path: path.to_owned(), reason };
        let written: Vec<Written> =
            serde_saphyr::from_str(text).map_err(|error| form(error.to_string()))?;
        if written.is_empty() {
            return Err(form("there is no pattern in it".to_owned()));
        }
        if written.len() > MAX_PATTERNS {
            return Err(form(format!("there are more than {MAX_PATTERNS} patterns in it")));
        }
        let mut patterns: Vec<Custom> = Vec::with_capacity(written.len());
        let mut unicode = false;
        for Written { name, pattern, replacement } in &written {
            let wrong = |reason: String| CustomError::Pattern {
                path: path.to_owned(),
                name: name.clone(),
                reason,
            };
            if name.trim().is_empty() {
                return Err(wrong("it has no name".to_owned()));
            }
            if patterns.iter().any(|known| known.name == *name) {
                return Err(wrong("the name is there twice".to_owned()));
            }
            let build = |unicode| {
                RegexBuilder::new(pattern).unicode(unicode).size_limit(MAX_COMPILED).build()
            };
            // What ASCII alone cannot say, such as `\p{Greek}`, is taken with all of Unicode.
            let regex = match build(false) {
                Ok(regex) => regex,
                Err(_) => {
                    unicode = true;
                    build(true).map_err(|error| wrong(error.to_string()))?
                }
            };
            if regex.is_match(b"") {
                return Err(wrong("it matches nothing at all, and so everywhere".to_owned()));
            }
            patterns.push(Custom {
                name: name.clone(),
                regex,
                replacement: replacement.clone().into_bytes(),
                with_check_digit: name == "credit_card",
            });
        }
        // With all of Unicode a set matches more than its patterns alone, never less.
        let any = RegexSetBuilder::new(written.iter().map(|written| &written.pattern))
            .unicode(unicode)
            .size_limit(MAX_COMPILED * MAX_PATTERNS)
            .build()
            .map_err(|error| form(error.to_string()))?;
        Ok(Self { patterns, any })
    }

    /// The names in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|pattern| pattern.name.as_str())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Whether there are none; never so for a file that was read.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Applies them in order, each to what the one before has left, and counts each replacement under
    /// the pattern's place. `None` if none matches.
    pub(super) fn apply(&self, line: &[u8], mut count: impl FnMut(usize)) -> Option<Vec<u8>> {
        if !self.any.is_match(line) {
            return None;
        }
        let mut text = Cow::Borrowed(line);
        for (place, custom) in self.patterns.iter().enumerate() {
            let mut replaced = 0;
            let next = custom.regex.replace_all(&text, |found: &Captures<'_>| {
                let whole = found.get(0).map_or(&b""[..], |whole| whole.as_bytes());
                if custom.with_check_digit && !super::numbers::is_card(whole) {
                    return whole.to_vec();
                }
                replaced += 1;
                let mut text = Vec::new();
                found.expand(&custom.replacement, &mut text);
                text
            });
            if replaced > 0 {
                let next = next.into_owned();
                (0..replaced).for_each(|_| count(place));
                text = Cow::Owned(next);
            }
        }
        match text {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CustomPatterns, String> {
        CustomPatterns::parse(text, Path::new("patterns.yaml")).map_err(|error| error.to_string())
    }

    fn apply(text: &str, line: &str) -> Option<String> {
        parse(text).unwrap().apply(line.as_bytes(), |_| {}).map(|t| String::from_utf8(t).unwrap())
    }

    #[test]
    fn the_predecessors_form_is_read_and_applied_in_order() {
        let text = "- name: order\n  pattern: 'ORD-(\\d{2})\\d+'\n  replacement: 'ORD-$1'\n\
            - name: tail\n  pattern: '(?P<head>ORD-\\d\\d) paid'\n  replacement: '${head} done'\n\
            - name: gone\n  pattern: 'secret '\n";
        assert_eq!(parse(text).unwrap().names().collect::<Vec<_>>(), ["order", "tail", "gone"]);
        assert_eq!(apply(text, "a secret ORD-123456 paid"), Some("a ORD-12 done".into()));
        assert_eq!(apply(text, "nothing"), None);
    }

    #[test]
    fn classes_are_about_ascii_and_scripts_work_too() {
        assert_eq!(
            apply("- {name: d, pattern: '\\d+', replacement: N}", "\u{661} 7"),
            Some("\u{661} N".into())
        );
        assert_eq!(
            apply("- {name: g, pattern: '\\p{Greek}+', replacement: G}", "a \u{3b1}\u{3b2}"),
            Some("a G".into())
        );
    }

    #[test]
    fn a_pattern_of_the_name_credit_card_wants_the_check_digit() {
        let text = "- {name: credit_card, pattern: '\\d{16}', replacement: CC}";
        assert_eq!(
            apply(text, "4111111111111111 1234567890123456"),
            Some("CC 1234567890123456".into())
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "no YAML list"),
            ("[]", "there is no pattern in it"),
            ("name: x", "no YAML list"),
            ("- {name: x, regex: y}", "regex"),
            ("- {name: x, pattern: '('}", "redaction pattern `x` in `patterns.yaml`"),
            ("- {name: x, pattern: 'a*'}", "everywhere"),
            ("- {name: x, pattern: a}\n- {name: x, pattern: b}", "twice"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
