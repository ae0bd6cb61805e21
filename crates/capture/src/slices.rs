//! A quick look at a line in the form that writers give it, without parsing it.
//!
//! ```text
//! {"ts":"<timestamp>","labels":<labels>,"msg":"<message>"<anything>}
//!                    └── may be missing ──┘
//! ```
//! A line in any other form is no error: the look fails, and the line has to be parsed.

use logtap_loki::push_unescaped;
use memchr::{memchr, memchr2};

use crate::decode::{BorrowedPairs, parse_pairs};
use crate::timestamp::Timestamp;

/// The parts of a line, as they stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineSlices<'a> {
    /// The time.
    pub timestamp: &'a [u8],
    /// The labels with their braces, or nothing.
    pub labels: &'a [u8],
    /// The inside of the message's quotes.
    pub message: &'a [u8],
    /// Whether the message has escapes.
    pub escaped: bool,
}

impl<'a> LineSlices<'a> {
    /// Looks at a line without its end.
    #[inline]
    pub fn of(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"{\"ts\":\"")?;
        let (timestamp, rest) = rest.split_at_checked(memchr(b'"', rest)?)?;
        let rest = rest.strip_prefix(b"\",\"")?;
        let (labels, rest) = match rest.strip_prefix(b"labels\":") {
            None => (&b""[..], rest),
            Some(rest) => {
                let (labels, rest) = rest.split_at_checked(object_length(rest)?)?;
                (labels, rest.strip_prefix(b",\"")?)
            }
        };
        let rest = rest.strip_prefix(b"msg\":\"")?;
        let (length, escaped) = string_length(rest)?;
        let (message, rest) = rest.split_at_checked(length)?;
        rest.ends_with(b"}").then_some(Self { timestamp, labels, message, escaped })
    }

    /// The time, if it is one.
    pub fn time(&self) -> Option<Timestamp> {
        Timestamp::parse(std::str::from_utf8(self.timestamp).ok()?)
    }

    /// The labels, if they are such.
    pub fn label_pairs(&self) -> Option<BorrowedPairs<'a>> {
        if self.labels.is_empty() { Some(Vec::new()) } else { parse_pairs(self.labels) }
    }

    /// The message without escapes, in `room` if there are any.
    pub fn text<'b>(&self, room: &'b mut Vec<u8>) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        if !self.escaped {
            return Some(self.message);
        }
        room.clear();
        push_unescaped(room, self.message)?;
        Some(room)
    }
}

/// The length of the inside of a string, and whether there are escapes in it.
#[inline]
fn string_length(text: &[u8]) -> Option<(usize, bool)> {
    let mut at = 0;
    let mut escaped = false;
    loop {
        let rest = text.get(at..)?;
        let place = memchr2(b'"', b'\\', rest)?;
        at += place;
        if rest.get(place) == Some(&b'"') {
            return Some((at, escaped));
        }
        escaped = true;
        at += 2;
    }
}

/// The length of an object that has only strings in it.
#[inline]
fn object_length(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'{') {
        return None;
    }
    let mut at = 1;
    while text.get(at) == Some(&b'"') {
        at += 1 + string_length(text.get(at + 1..)?)?.0 + 1;
        if text.get(at..at + 2) != Some(b":\"") {
            return None;
        }
        at += 2 + string_length(text.get(at + 2..)?)?.0 + 1;
        match text.get(at) {
            Some(b',') => at += 1,
            _ => break,
        }
    }
    (text.get(at) == Some(&b'}')).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Line;
    use proptest::prelude::*;

    #[test]
    fn finds_the_parts_of_a_line() {
        let line = br#"{"ts":"T","labels":{"a":"}\"","b":""},"msg":"x\"y","meta":{"p":"1"}}"#;
        let expected = LineSlices {
            timestamp: b"T",
            labels: br#"{"a":"}\"","b":""}"#,
            message: br#"x\"y"#,
            escaped: true,
        };
        assert_eq!(LineSlices::of(line), Some(expected));
        let bare = LineSlices::of(br#"{"ts":"T","msg":""}"#).unwrap();
        assert_eq!((bare.labels, bare.message, bare.escaped), (&b""[..], &b""[..], false));
        assert_eq!(LineSlices::of(br#"{"ts":"T","labels":{},"msg":""}"#).unwrap().labels, b"{}");
        for line in [
            "",
            r#"{"msg":"m"}"#,
            r#"{"ts":"T","msg":"m""#,
            r#"{"ts":"T","msg":"m"#,
            r#"{"ts":"T","labels":null,"msg":"m"}"#,
            r#"{"ts":"T","labels":{"a":1},"msg":"m"}"#,
            r#"{"ts":"T","labels":{"a":"b""#,
            r#"{"ts": "T","msg":"m"}"#,
        ] {
            assert_eq!(LineSlices::of(line.as_bytes()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_parser(message: String, value: String, with_labels: bool) {
            let labels = serde_json::json!({ "app": value });
            let labels = if with_labels { format!("\"labels\":{labels},") } else { String::new() };
            let message_text = serde_json::to_string(&message).unwrap();
            let line = format!("{{\"ts\":\"2024-01-15T10:19:59Z\",{labels}\"msg\":{message_text}}}");
            let slices = LineSlices::of(line.as_bytes()).unwrap();
            let parsed = Line::parse(line.as_bytes()).unwrap();
            prop_assert_eq!(&parsed.message, &message);
            prop_assert_eq!(slices.message, &message_text.as_bytes()[1..message_text.len() - 1]);
            prop_assert_eq!(slices.escaped, slices.message != message.as_bytes());
            let mut room = Vec::new();
            prop_assert_eq!(slices.text(&mut room).unwrap(), message.as_bytes());
            prop_assert_eq!(slices.time().unwrap(), parsed.timestamp);
            prop_assert_eq!(slices.label_pairs().unwrap(), parsed.labels);
            prop_assert_eq!(!slices.labels.is_empty(), with_labels);
        }

        #[test]
        fn any_bytes_are_looked_at_without_a_panic(line: Vec<u8>) {
            let started = [b"{\"ts\":\"\",\"labels\":{\"".as_slice(), &line].concat();
            for text in [&line, &started] {
                let length = LineSlices::of(text).map_or(0, |slices| slices.message.len());
                prop_assert!(length <= text.len());
            }
        }
    }
}
