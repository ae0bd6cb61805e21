//! What people write into flags and files of the receiver: whatever it is, it is taken or refused with an
//! error that says something, and what is taken keeps what it promises.

use logtap_recv::notify::alert::parse_rules;
use logtap_recv::{Credential, Faults, LineSource, LineSourceError, Mapping};
use proptest::prelude::*;

/// A text of the words of a small language in any order, with anything between them.
fn of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let word = prop_oneof![
        6 => prop::sample::select(words).prop_map(str::to_owned),
        1 => "[0-9.e+-]{0,12}",
        1 => ".{0,3}",
    ];
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn faults(text in of(&["429", "500", "199", "600", ":", "5%", "100%", ",", "delay", "200ms", "1s", "m", " ", "-", "NaN%", "inf%", "1e300s"])) {
        match text.parse::<Faults>() {
            Ok(_) => prop_assert!(text.split(',').all(|part| part.contains(':')), "{text}"),
            Err(error) => prop_assert!(error.to_string().starts_with('`'), "{error}"),
        }
    }

    #[test]
    fn line_sources(text in of(&["tcp://", "udp://", ":", "127.0.0.1", "[::1]", "5170", "65536", "/", "http"])) {
        // Without the names that this machine or its name servers may know.
        let numbers = |address: &str| address.parse().ok();
        match LineSource::parse(&text, numbers) {
            // What is printed is read again.
            Ok(source) => prop_assert_eq!(LineSource::parse(&source.to_string(), numbers), Ok(source)),
            Err(LineSourceError::Form(quoted)) => prop_assert_eq!(quoted, text),
            Err(LineSourceError::Host(quoted)) => {
                prop_assert_eq!(&quoted, &text);
                prop_assert!(text.starts_with("tcp://") || text.starts_with("udp://"), "{text}");
            }
        }
    }

    #[test]
    fn credentials(text in of(&["bearer", "basic", ":", "user", "password", " ", "\n", "\0", "é"])) {
        if let Err(error) = text.parse::<Credential>() {
            // It may be a password, so nothing of it is repeated.
            let quoted = text.split([':', ' ', '\n']).filter(|part| part.len() > 8).any(|part| error.to_string().contains(part));
            prop_assert!(!quoted, "{error}");
        }
    }

    #[test]
    fn keys(kind in of(&["message", "time", "level", "label"]), key in of(&["a", "=", ".", "b"])) {
        let known = Mapping::default().add(&kind, &key);
        prop_assert!(!known || ["message", "time", "level", "label"].contains(&kind.as_str()), "{kind}");
    }

    #[test]
    fn rules(text in of(&["rules:", "\n", "  ", "- ", "{", "}", "[", "]", "name: x", "metric: ", "drop_rate", "op: ", "gt", "threshold: ", "1", ".nan", ", ", "&a ", "*a", "!!str", "|", "'", "\""])) {
        if let Ok(rules) = parse_rules(&text) {
            prop_assert!(rules.iter().all(|rule| rule.threshold.is_finite() && !rule.name.trim().is_empty()));
        }
    }
}
