//! Finds what stands out in a message, without being told anything about it: levels, times, addresses,
//! identifiers, links, quoted texts, numbers.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// What a part of a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Link,
    Identifier,
    Time,
    Address,
    Level(usize),
    Quoted,
    Key,
    Number,
}

/// No more of a message than this is looked at; more is never on a screen.
const WINDOW: usize = 8 * 1024;

static PARTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?<link>\b[a-z][a-z0-9+.-]{1,15}://[^\s"'<>]+)"#,
        r"|(?<id>\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b)",
        r"|(?<time>\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)?\b|\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b)",
        r"|(?<address>\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}\b|\b(?:[0-9a-fA-F]{1,4}:)+(?::[0-9a-fA-F]{1,4})+\b)",
        r"|(?<level>(?i)\b(?:trace|debug|info|warn|warning|error|err|critical|fatal|panic)\b)",
        r#"|(?<quoted>"[^"]*")"#,
        r"|(?<key>\b[A-Za-z_][A-Za-z0-9_.-]*=)",
        r"|(?<number>\b\d+(?:\.\d+)?(?:[a-zA-Z%µ]{1,3}\b)?)",
    ))
    .expect("it is a regular expression")
});

/// The parts of a message that stand out, in order, none within another.
pub(crate) fn parts(message: &str) -> Vec<(Range<usize>, Kind)> {
    let end = message.floor_char_boundary(WINDOW);
    let Some(window) = message.get(..end) else { return Vec::new() };
    PARTS
        .captures_iter(window)
        .filter_map(|captures| {
            let whole = captures.get(0)?;
            let kinds = [
                ("link", Kind::Link),
                ("id", Kind::Identifier),
                ("time", Kind::Time),
                ("address", Kind::Address),
                ("quoted", Kind::Quoted),
                ("key", Kind::Key),
                ("number", Kind::Number),
            ];
            let kind = kinds.into_iter().find(|(name, _)| captures.name(name).is_some());
            let kind = kind.map_or_else(|| Kind::Level(level(whole.as_str())), |(_, kind)| kind);
            Some((whole.range(), kind))
        })
        .collect()
}

fn level(word: &str) -> usize {
    if word.eq_ignore_ascii_case("panic") {
        return logtap_loki::Level::Fatal as usize;
    }
    logtap_loki::detect_level(word.as_bytes()).map_or(0, |level| level as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_stands_out() {
        let message = "2024-01-15 10:19:59,123 ERROR 192.0.2.7:80 took=12ms \
            id 123e4567-e89b-12d3-a456-426614174000 at https://x.example/y?z=1 said \"no 5\" v2 fe80::1:2:3:4";
        let found: Vec<(&str, Kind)> =
            parts(message).into_iter().map(|(range, kind)| (&message[range], kind)).collect();
        assert_eq!(
            found,
            [
                ("2024-01-15 10:19:59,123", Kind::Time),
                ("ERROR", Kind::Level(5)),
                ("192.0.2.7:80", Kind::Address),
                ("took=", Kind::Key),
                ("12ms", Kind::Number),
                ("123e4567-e89b-12d3-a456-426614174000", Kind::Identifier),
                ("https://x.example/y?z=1", Kind::Link),
                ("\"no 5\"", Kind::Quoted),
                ("fe80::1:2:3:4", Kind::Address),
            ]
        );
    }

    #[test]
    fn long_messages_are_looked_at_up_to_a_limit() {
        let message = "\u{e4}".repeat(WINDOW);
        assert!(parts(&message).is_empty());
    }
}
