//! A capture as the predecessor reads it: a strict reader of our own that does what is known of its files
//! and its habits, and nothing more lenient. It is not the predecessor, and cannot show what is not known
//! of it.
//!
//! Known: each file by itself, in the byte order of names, in the index or not; `audit.jsonl` like any
//! other; keys compared without case, the last of several counts; unknown keys passed over; a time of
//! at most nine digits and with `Z`; labels and text are texts; no line of 1 MiB or more.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// What it says of lines that have no time.
pub(crate) const ZERO_TIME: &str = "0001-01-01T00:00:00Z";
/// A line that is longer fails a whole file.
const LONGEST_LINE: usize = 1 << 20;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// As it stands there.
    pub(crate) time: String,
    /// By name.
    pub(crate) labels: BTreeMap<String, String>,
    /// Its text.
    pub(crate) message: String,
}

/// A line of the index.
#[derive(Debug)]
pub(crate) struct Indexed {
    /// The file that it is about.
    pub(crate) file: String,
    /// The earliest and latest time in it.
    pub(crate) range: (String, String),
    /// Lines in it, and bytes before compression.
    pub(crate) sizes: (u64, u64),
    /// Lines by label name and value.
    pub(crate) labels: BTreeMap<String, BTreeMap<String, u64>>,
}

/// A whole capture.
#[derive(Debug)]
pub(crate) struct Read {
    /// The last line about each file.
    pub(crate) index: Vec<Indexed>,
    /// Entries by file, in the order of the names.
    pub(crate) files: Vec<(String, Vec<Entry>)>,
    /// What it takes the audit trail for: entries without a time.
    pub(crate) phantoms: usize,
    /// Whether it takes the capture for one that is being written.
    pub(crate) live: bool,
    /// The totals of the metadata.
    pub(crate) totals: (u64, u64),
    /// The names of the redaction patterns.
    pub(crate) patterns: Vec<String>,
}

impl Read {
    /// All entries in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.files.iter().flat_map(|(_, entries)| entries)
    }
}

/// An object's keys and values in its own order, twice the same key included.
struct Pairs(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl Pairs {
    fn parse(text: &[u8], place: &str) -> Self {
        serde_json::from_slice(text)
            .unwrap_or_else(|error| panic!("{place}: {error}: {}", String::from_utf8_lossy(text)))
    }

    /// What a key is taken to be: the last that is the same without case, if it is not null.
    fn get(&self, key: &str) -> Option<&Value> {
        let same = |(name, _): &&(String, Value)| name.eq_ignore_ascii_case(key);
        self.0.iter().rev().find(same).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    fn number(&self, key: &str) -> u64 {
        let number = self.get(key).map(|value| value.as_i64().expect("a whole number of 64 bits"));
        u64::try_from(number.unwrap_or(0)).expect("not negative")
    }

    fn text(&self, key: &str) -> String {
        self.get(key).map_or("", |value| value.as_str().expect("a text")).to_owned()
    }

    fn time(&self, key: &str) -> String {
        let Some(value) = self.get(key) else { return ZERO_TIME.to_owned() };
        let text = value.as_str().expect("a time is a text");
        assert!(is_time(text), "`{text}` is no time");
        text.to_owned()
    }
}

/// Reads a directory; what the predecessor would refuse, skip or misread fails the test.
pub(crate) fn read(directory: &Path) -> Read {
    let metadata = std::fs::read(directory.join("metadata.json")).expect("it asks for metadata");
    let metadata = Pairs::parse(&metadata, "metadata.json");
    assert_eq!((metadata.number("version"), metadata.text("format").as_str()), (1, "jsonl"));
    assert_ne!(metadata.time("started"), ZERO_TIME);
    for label in metadata.get("labels_seen").into_iter().flat_map(list) {
        assert!(label.is_string(), "labels_seen has {label}");
    }
    let redaction = metadata.get("redaction").cloned().unwrap_or_default();
    let patterns = redaction.get("patterns").into_iter().flat_map(list);
    let patterns: Vec<String> =
        patterns.map(|name| name.as_str().expect("a name").into()).collect();
    assert_eq!(redaction["enabled"].as_bool().unwrap_or(false), !patterns.is_empty());

    let index = read_index(directory);
    let (mut files, mut phantoms) = (Vec::new(), 0);
    for name in data_files(directory) {
        let mut entries = read_file(&directory.join(&name));
        let before = entries.len();
        entries.retain(|entry| entry.time != ZERO_TIME || !entry.message.is_empty());
        phantoms += before - entries.len();
        if !entries.is_empty() {
            files.push((name, entries));
        }
    }
    let live = metadata.time("stopped") == ZERO_TIME;
    let totals = (metadata.number("total_lines"), metadata.number("total_bytes"));
    Read { index, files, phantoms, live, totals, patterns }
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn read_index(directory: &Path) -> Vec<Indexed> {
    let text = std::fs::read_to_string(directory.join("index.jsonl")).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "it appends to this file");
    text.lines()
        .map(|line| {
            assert!(line.len() < 64 << 10, "slice fails at index lines of this length");
            let line = Pairs::parse(line.as_bytes(), "index.jsonl");
            let counts = |values: &Value| -> BTreeMap<String, u64> {
                serde_json::from_value(values.clone()).expect("counts by value")
            };
            let labels = line.get("labels").map(|labels| labels.as_object().expect("by name"));
            let labels = labels.into_iter().flatten();
            let file = line.text("file");
            assert!(directory.join(&file).is_file(), "it opens `{file}`, which is not there");
            Indexed {
                file,
                range: (line.time("from"), line.time("to")),
                sizes: (line.number("lines"), line.number("bytes")),
                labels: labels.map(|(name, values)| (name.clone(), counts(values))).collect(),
            }
        })
        .collect()
}

/// What it reads lines from, in its order.
fn data_files(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .filter(|name| name.ends_with(".jsonl") || name.ends_with(".jsonl.zst"))
        .filter(|name| name != "index.jsonl")
        .collect();
    names.sort();
    for name in &names {
        assert!(!names.contains(&format!("{name}.zst")), "it reads the lines of `{name}` twice");
    }
    names
}

/// What a data file holds before compression.
pub(crate) fn text(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).expect("a file");
    if path.extension().is_none_or(|end| end != "zst") {
        return bytes;
    }
    // Whole or not at all, skippable frames or not.
    let mut text = Vec::new();
    let mut decoder = zstd::stream::read::Decoder::new(&bytes[..]).expect("zstd");
    decoder.window_log_max(29).expect("windows of 512 MiB");
    decoder.read_to_end(&mut text).expect("a whole file");
    text
}

fn read_file(path: &Path) -> Vec<Entry> {
    let text = text(path);
    let place = path.display().to_string();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| read_line(line, &place)).collect()
}

fn read_line(line: &[u8], place: &str) -> Entry {
    assert!(line.len() < LONGEST_LINE, "{place}: it cannot read a line of {} bytes", line.len());
    let pairs = Pairs::parse(line, place);
    let labels = pairs.get("labels").map(|labels| labels.as_object().expect("labels by name"));
    let labels = labels.into_iter().flatten();
    let text = |value: &Value| value.as_str().expect("labels are texts").to_owned();
    Entry {
        time: pairs.time("ts"),
        labels: labels.map(|(name, value)| (name.clone(), text(value))).collect(),
        message: pairs.text("msg"),
    }
}

/// `2024-01-15T10:19:59.001Z`, and nothing that only some readers take.
fn is_time(text: &str) -> bool {
    let Some((date, rest)) = text.split_at_checked("2024-01-15T10:19:59".len()) else {
        return false;
    };
    let plain = date.bytes().zip("dddd-dd-ddTdd:dd:dd".bytes()).all(|(byte, form)| match form {
        b'd' => byte.is_ascii_digit(),
        mark => byte == mark,
    });
    let fraction = rest.strip_suffix('Z').map(|fraction| fraction.strip_prefix('.').unwrap_or(""));
    let digits = fraction.is_some_and(|digits| {
        digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    plain && digits && text.parse::<jiff::Timestamp>().is_ok()
}
