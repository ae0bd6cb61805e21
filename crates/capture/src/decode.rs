//! Reads one line of a segment, ours or the predecessor's.
//!
//! Tolerant where the predecessor's readers are: unknown keys, other case of keys, repeated keys (the
//! last counts), `null` for labels, a missing time. What is not such an object is no entry.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::timestamp::Timestamp;

/// Name and value pairs as they stand in a line.
pub type BorrowedPairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// One line of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// When; the earliest time there is where the line has none.
    pub timestamp: Timestamp,
    /// The labels in the order of the line.
    pub labels: BorrowedPairs<'a>,
    /// The text, with U+FFFD for what is not UTF-8.
    pub message: Cow<'a, str>,
    /// Structured metadata.
    pub metadata: BorrowedPairs<'a>,
    /// The exact bytes in base64, if the line is not UTF-8.
    pub raw: Option<Cow<'a, str>>,
    /// The batch that begins with this line.
    pub batch: Option<BatchMark>,
}

/// Says that the lines `first..=last` of a source, or of a batch without one, begin here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchMark {
    /// The source; empty where the sender has named none.
    pub source: String,
    /// Number of the line with the mark.
    pub first: u64,
    /// Number of the batch's last line.
    pub last: u64,
}

impl<'a> Line<'a> {
    /// Reads a line without its end; `None` if it is no entry.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        match std::str::from_utf8(line) {
            Ok(text) => serde_json::from_str(text).ok(),
            Err(_) => {
                let text = String::from_utf8_lossy(line);
                serde_json::from_str::<Line<'_>>(&text).ok().map(Line::into_owned)
            }
        }
    }

    /// The exact bytes of the text.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self.raw.as_ref().and_then(|raw| STANDARD.decode(raw.as_bytes()).ok()) {
            Some(bytes) => Cow::Owned(bytes),
            None => Cow::Borrowed(self.message.as_bytes()),
        }
    }

    /// Whether it is one of the empty lines of the year 1 that the predecessor's derived captures
    /// hold where an audit log was taken for data.
    pub fn is_phantom(&self) -> bool {
        self.timestamp.0 == i64::MIN && self.message.is_empty() && self.labels.is_empty()
    }

    /// The same without borrowing.
    pub fn into_owned(self) -> Line<'static> {
        let own = |pairs: BorrowedPairs<'a>| {
            pairs
                .into_iter()
                .map(|(name, value)| {
                    (Cow::Owned(name.into_owned()), Cow::Owned(value.into_owned()))
                })
                .collect()
        };
        Line {
            timestamp: self.timestamp,
            labels: own(self.labels),
            message: Cow::Owned(self.message.into_owned()),
            metadata: own(self.metadata),
            raw: self.raw.map(|raw| Cow::Owned(raw.into_owned())),
            batch: self.batch,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Line<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Line<'de>, M::Error> {
        let mut line = Line {
            timestamp: Timestamp(i64::MIN),
            labels: Vec::new(),
            message: Cow::Borrowed(""),
            metadata: Vec::new(),
            raw: None,
            batch: None,
        };
        while let Some(Text(key)) = map.next_key()? {
            match Key::of(&key) {
                Key::Time => {
                    if let Some(Text(text)) = map.next_value()? {
                        line.timestamp = Timestamp::parse(&text)
                            .ok_or_else(|| M::Error::custom("not an RFC 3339 time"))?;
                    }
                }
                Key::Labels => line.labels = map.next_value::<PairsOf<'de>>()?.0,
                Key::Message => {
                    line.message =
                        map.next_value::<Option<Text<'de>>>()?.map_or(Cow::Borrowed(""), |t| t.0);
                }
                Key::Metadata => line.metadata = map.next_value::<Lenient<PairsOf<'de>>>()?.get().0,
                Key::Raw => {
                    line.raw = map.next_value::<Lenient<Option<Text<'de>>>>()?.get().map(|t| t.0);
                }
                Key::Batch => line.batch = map.next_value::<Lenient<Option<BatchMark>>>()?.get(),
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(line)
    }
}

/// Reads an object of texts.
pub fn parse_pairs(object: &[u8]) -> Option<BorrowedPairs<'_>> {
    serde_json::from_slice::<PairsOf<'_>>(object).ok().map(|pairs| pairs.0)
}

enum Key {
    Time,
    Labels,
    Message,
    Metadata,
    Raw,
    Batch,
    Other,
}

impl Key {
    fn of(name: &str) -> Self {
        // Ours are spelled exactly so; only the predecessor's three are taken in any case.
        match name {
            "ts" => Self::Time,
            "labels" => Self::Labels,
            "msg" => Self::Message,
            "meta" => Self::Metadata,
            "raw" => Self::Raw,
            "batch" => Self::Batch,
            _ if name.eq_ignore_ascii_case("ts") => Self::Time,
            _ if name.eq_ignore_ascii_case("labels") => Self::Labels,
            _ if name.eq_ignore_ascii_case("msg") => Self::Message,
            _ => Self::Other,
        }
    }
}

/// Text that borrows from the line where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// So many names are looked through one by one.
const FEW: usize = 32;

/// An object of texts, or null.
#[derive(Default)]
struct PairsOf<'a>(BorrowedPairs<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for PairsOf<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = PairsOf<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names and values")
            }

            fn visit_unit<E: Error>(self) -> Result<PairsOf<'de>, E> {
                Ok(PairsOf::default())
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<PairsOf<'de>, M::Error> {
                let mut pairs: BorrowedPairs<'de> = Vec::new();
                // Where the names are among many; few are looked through faster.
                let mut places: HashMap<Cow<'de, str>, usize> = HashMap::new();
                while let Some((Text(name), value)) =
                    map.next_entry::<Text<'de>, Option<Text<'de>>>()?
                {
                    let value = value.map_or(Cow::Borrowed(""), |text| text.0);
                    if pairs.len() == FEW {
                        let known = pairs.iter().enumerate();
                        places = known.map(|(place, (name, _))| (name.clone(), place)).collect();
                    }
                    let place = if pairs.len() < FEW {
                        pairs.iter().position(|(known, _)| *known == name)
                    } else {
                        places.get(&name).copied()
                    };
                    match place.and_then(|place| pairs.get_mut(place)) {
                        Some(pair) => pair.1 = value,
                        None => {
                            if pairs.len() >= FEW {
                                places.insert(name.clone(), pairs.len());
                            }
                            pairs.push((name, value));
                        }
                    }
                }
                Ok(PairsOf(pairs))
            }
        }
        deserializer.deserialize_any(PairsVisitor)
    }
}

/// A value of one of our extra keys, or nothing where somebody else uses the key for his own.
enum Lenient<T> {
    Ours(T),
    Foreign,
}

impl<T: Default> Lenient<T> {
    fn get(self) -> T {
        match self {
            Self::Ours(value) => value,
            Self::Foreign => T::default(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: &'de serde_json::value::RawValue = Deserialize::deserialize(deserializer)?;
        Ok(serde_json::from_str(raw.get()).map_or(Self::Foreign, Self::Ours))
    }
}

impl<'de> Deserialize<'de> for BatchMark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MarkVisitor;
        impl<'de> Visitor<'de> for MarkVisitor {
            type Value = BatchMark;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{source, first, last}, or as an array")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<BatchMark, M::Error> {
                let (mut source, mut first, mut last) = (String::new(), None, None);
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "source" => source = map.next_value()?,
                        "first" => first = Some(map.next_value()?),
                        "last" => last = Some(map.next_value()?),
                        _ => drop(map.next_value::<serde::de::IgnoredAny>()?),
                    }
                }
                let missing = || M::Error::custom("a number is missing");
                let (first, last) = (first.ok_or_else(missing)?, last.ok_or_else(missing)?);
                Ok(BatchMark { source, first, last })
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<BatchMark, S::Error> {
                let missing = || S::Error::custom("too short");
                let source = seq.next_element::<String>()?.ok_or_else(missing)?;
                let first = seq.next_element::<u64>()?.ok_or_else(missing)?;
                let last = seq.next_element::<u64>()?.ok_or_else(missing)?;
                Ok(BatchMark { source, first, last })
            }
        }
        deserializer.deserialize_any(MarkVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_encoder_writes() {
        let text = "{\"ts\":\"2024-01-15T10:19:59.001Z\",\"labels\":{\"app\":\"w\\\"eb\"},\
             \"msg\":\"\u{fffd}\",\"meta\":{\"pid\":\"12\"},\"raw\":\"/w==\",\"batch\":[\"ab\",3,4]}";
        let line = Line::parse(text.as_bytes()).unwrap();
        assert_eq!(line.timestamp, Timestamp(1_705_313_999_001_000_000));
        assert_eq!(line.labels, [("app".into(), "w\"eb".into())]);
        assert_eq!(line.message, "\u{fffd}");
        assert_eq!(&*line.bytes(), b"\xff");
        assert_eq!(line.metadata, [("pid".into(), "12".into())]);
        let mark = BatchMark { source: "ab".into(), first: 3, last: 4 };
        assert_eq!(line.batch, Some(mark.clone()));
        let as_object = |text| Line::parse(text).and_then(|line| line.batch);
        let text = br#"{"msg":"m","batch":{"source":"ab","first":3,"last":4}}"#;
        assert_eq!(as_object(text), Some(mark.clone()));
        let text = br#"{"msg":"m","batch":{"first":3,"last":4,"more":{}}}"#;
        assert_eq!(as_object(text), Some(BatchMark { source: String::new(), ..mark }));
        assert_eq!(as_object(br#"{"msg":"m","batch":{"first":3}}"#), None);
        assert_eq!(line.clone().into_owned(), line);
    }

    #[test]
    fn is_as_tolerant_as_the_predecessor() {
        let accepted: [(&str, &str, usize); 9] = [
            (r#"{"ts":"2024-01-15T10:19:59Z","msg":"m"}"#, "m", 0),
            (r#" {"TS":"2024-01-15T10:19:59Z","MSG":"m","x":[1,{}]} "#, "m", 0),
            (r#"{"msg":"a","msg":"m","labels":{"a":"1","a":"2"}}"#, "m", 1),
            (r#"{"msg":"m","labels":null}"#, "m", 0),
            (r#"{"msg":"m","labels":{"a":null}}"#, "m", 1),
            (r#"{"ts":null,"msg":null}"#, "", 0),
            (r#"{"msg":"m","batch":7,"raw":{},"meta":"x"}"#, "m", 0),
            (r#"{"msg":"\u003chtml\u003e"}"#, "<html>", 0),
            ("{\"msg\":\"m\"}\r", "m", 0),
        ];
        for (text, message, labels) in accepted {
            let line = Line::parse(text.as_bytes()).expect(text);
            assert_eq!((&*line.message, line.labels.len()), (message, labels), "{text}");
        }
        for text in [
            "",
            "{",
            "[]",
            r#"{"msg":1}"#,
            r#"{"msg":"m","labels":{"a":1}}"#,
            r#"{"ts":"yesterday","msg":"m"}"#,
            r#"{"msg":"m"} x"#,
        ] {
            assert_eq!(Line::parse(text.as_bytes()), None, "{text}");
        }
        let bad = Line::parse(b"{\"msg\":\"a\xffb\"}").unwrap();
        assert_eq!(bad.message, "a\u{fffd}b");
    }

    #[test]
    fn knows_phantoms() {
        assert!(Line::parse(br#"{"ts":"0001-01-01T00:00:00Z","msg":""}"#).unwrap().is_phantom());
        assert!(!Line::parse(br#"{"ts":"2024-01-15T10:19:59Z","msg":""}"#).unwrap().is_phantom());
    }
}
