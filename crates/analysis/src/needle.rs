//! What a pattern needs to be in a line at all, to be looked for in whole blocks of lines.
//!
//! Lines are JSON, so only bytes that no writer escapes can be looked for. Where a pattern needs no
//! such text, there is no needle and every line is tried.

use aho_corasick::AhoCorasick;
use memchr::memmem;
use regex_syntax::hir::literal::{ExtractKind, Extractor};

/// Shorter text is in too many lines to be worth looking for.
const SHORTEST: usize = 2;
/// More texts than this are slower to look for than the pattern.
const MOST: usize = 64;

/// Text that a line has if it matches.
#[derive(Debug)]
pub(crate) enum Needle {
    One(Box<memmem::Finder<'static>>),
    Several(AhoCorasick),
}

impl Needle {
    /// The needle of a pattern.
    pub(crate) fn of(pattern: &str, ignore_case: bool) -> Option<Self> {
        let parsed = regex_syntax::ParserBuilder::new()
            .utf8(false)
            .case_insensitive(ignore_case)
            .build()
            .parse(pattern)
            .ok()?;
        let texts = [ExtractKind::Prefix, ExtractKind::Suffix]
            .into_iter()
            .filter_map(|kind| {
                let extracted = Extractor::new().kind(kind.clone()).extract(&parsed);
                let texts = extracted.literals()?.iter().map(|text| plain(text.as_bytes(), &kind));
                let mut texts: Vec<Vec<u8>> = texts.collect();
                texts.sort();
                texts.dedup();
                let shortest = texts.iter().map(Vec::len).min()?;
                (shortest >= SHORTEST && texts.len() <= MOST).then_some((shortest, texts))
            })
            .max_by_key(|(shortest, texts)| (*shortest, usize::MAX - texts.len()))?
            .1;
        match &texts[..] {
            [text] => Some(Self::One(Box::new(memmem::Finder::new(text).into_owned()))),
            texts => AhoCorasick::new(texts).ok().map(Self::Several),
        }
    }

    /// Where it is found first.
    pub(crate) fn find(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::One(finder) => finder.find(text),
            Self::Several(finder) => finder.find(text).map(|found| found.start()),
        }
    }
}

/// The part of a text that stands in JSON as it is: the front of what a match begins with, the back of
/// what it ends with.
fn plain(text: &[u8], kind: &ExtractKind) -> Vec<u8> {
    let is_plain = |byte: &u8| (b' '..=b'~').contains(byte) && !b"\"\\<>&/'".contains(byte);
    match kind {
        ExtractKind::Suffix => {
            let from = text.iter().rposition(|byte| !is_plain(byte)).map_or(0, |place| place + 1);
            text.get(from..).unwrap_or_default().to_vec()
        }
        _ => text.iter().copied().take_while(is_plain).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_needle_is_what_every_match_has() {
        let at =
            |pattern: &str, text: &str| Needle::of(pattern, false).unwrap().find(text.as_bytes());
        assert_eq!(at("timeout|refused", "x refused"), Some(2));
        assert_eq!(at("error: .*", "an error: y"), Some(3));
        assert_eq!(at(r"\d+ms$", "took ms"), Some(5));
        assert_eq!(at("say \"hi", "he says say \\\"hi"), Some(8));
        assert_eq!(at("^abc", "\"abc"), Some(1));
        let ignoring = Needle::of("ab1", true).unwrap();
        assert_eq!(ignoring.find(b"..aB1"), Some(2));
    }

    #[test]
    fn without_plain_text_there_is_none() {
        for pattern in ["", ".*", r"\d+", "a|.", "<b>", "\u{e4}\u{f6}", "[a-z]+", "x", "("] {
            assert!(Needle::of(pattern, false).is_none(), "{pattern}");
        }
    }
}
