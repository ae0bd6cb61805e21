//! Which lines are shown, and what is looked for, as it was asked for.

use logtap_capture::LabelMatcher;
use regex::bytes::{Regex, RegexBuilder};

/// Patterns that can be stacked.
pub const MAX_RULES: usize = 32;

/// A regular expression and how it was written.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// For a filter: as it is written.
    pub fn exact(text: &str) -> Result<Self, String> {
        Self::compile(text, false)
    }

    /// For a search: case counts only if there is an upper-case letter in it.
    pub fn smart(text: &str) -> Result<Self, String> {
        Self::compile(text, !text.chars().any(char::is_uppercase))
    }

    fn compile(text: &str, ignore_case: bool) -> Result<Self, String> {
        let regex = RegexBuilder::new(text).case_insensitive(ignore_case).build();
        let regex = regex.map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim().to_owned();
            format!("bad pattern `{text}`: {reason}  hint: write \\( for a plain (")
        })?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is in a text.
    pub fn is_in(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// Where it is in a text.
    pub fn places<'a>(
        &'a self,
        text: &'a str,
    ) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
        self.regex.find_iter(text.as_bytes()).map(|found| found.range()).filter(|r| !r.is_empty())
    }
}

/// One of the stacked filters.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Whether what matches goes, or what does not.
    pub hide: bool,
    /// In a message or a label's value.
    pub pattern: Pattern,
}

/// Levels, with "none" as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelSet(u8);

impl LevelSet {
    /// All of them.
    pub const ALL: Self = Self(u8::MAX);

    /// Whether a level, as a number, is in it.
    pub fn has(self, level: usize) -> bool {
        self.0 & (1 << level) != 0
    }

    /// With a level taken in or out.
    pub fn toggled(self, level: usize) -> Self {
        Self(self.0 ^ (1 << level))
    }
}

/// What is shown, and what is looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// What labels have to be; a missing one has the empty value.
    pub labels: Vec<LabelMatcher>,
    /// Patterns, in the order in which they were stacked.
    pub rules: Vec<Rule>,
    /// Levels that are shown.
    pub levels: LevelSet,
    /// What is highlighted and jumped to.
    pub search: Option<Pattern>,
    /// Whether levels are to be counted though nothing is hidden.
    pub counting: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            labels: Vec::new(),
            rules: Vec::new(),
            levels: LevelSet::ALL,
            search: None,
            counting: false,
        }
    }
}

impl Spec {
    /// Whether every line is shown.
    pub fn shows_all(&self) -> bool {
        self.labels.is_empty() && self.rules.is_empty() && self.levels == LevelSet::ALL
    }

    /// Whether all lines have to be looked at.
    pub fn needs_survey(&self) -> bool {
        !self.shows_all() || self.search.is_some() || self.counting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_pattern_says_what_is_wrong() {
        let error = Pattern::exact("a(b").unwrap_err();
        assert!(error.contains("`a(b`") && error.contains("hint:"), "{error}");
    }
}
