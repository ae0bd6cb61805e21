//! The lines of a capture directory, read from its files and nothing else.
//!
//! It shares no code with the product's reader on purpose: what it cannot read, other tools cannot
//! read either. Refuses lines and files that are not whole; passes over what is no data file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One line of a capture.
#[derive(Debug)]
pub(crate) struct Line {
    /// Nanoseconds since 1970.
    pub(crate) timestamp: i128,
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Its structured metadata.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Its bytes as the program wrote them.
    pub(crate) text: Vec<u8>,
}

impl Line {
    /// The value of a label, empty where it is absent.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// All lines of a capture in the order of its files.
pub(crate) fn read(directory: &Path) -> Vec<Line> {
    let lines = read_as_sent(directory);
    assert_strictly_growing(&lines);
    lines
}

/// The same for lines of other senders, whose times are what they are.
pub(crate) fn read_as_sent(directory: &Path) -> Vec<Line> {
    segments(directory).iter().flat_map(|path| read_segment(path)).collect()
}

/// How many whole lines are in a capture that is being written; a file that is being replaced may be missed.
pub(crate) fn written_so_far(directory: &Path) -> usize {
    let lines = |path: PathBuf| {
        let text = std::fs::read(&path).unwrap_or_default();
        let mut content: Box<dyn Read> = match path.extension() {
            Some(extension) if extension == "zst" => {
                Box::new(zstd::stream::read::Decoder::new(&text[..]).expect("memory for a decoder"))
            }
            _ => Box::new(&text[..]),
        };
        let mut plain = Vec::new();
        // What can be read of it is what counts now.
        drop(content.read_to_end(&mut plain));
        plain.iter().filter(|byte| **byte == b'\n').count()
    };
    segments(directory).into_iter().map(lines).sum()
}

/// The texts of the lines whose label `stream` has this value.
pub(crate) fn of_stream(lines: &[Line], stream: &str) -> Vec<Vec<u8>> {
    lines
        .iter()
        .filter(|line| line.label("stream") == stream)
        .map(|line| line.text.clone())
        .collect()
}

/// The texts of the lines of one file.
pub(crate) fn of_file(lines: &[Line], file: &Path) -> Vec<Vec<u8>> {
    let file = file.to_str().expect("tests use plain paths");
    lines.iter().filter(|line| line.label("file") == file).map(|line| line.text.clone()).collect()
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let listing = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("the capture `{}`: {error}", directory.display()));
    let mut names: Vec<String> = listing
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .filter(|name| !matches!(name.as_str(), "index.jsonl" | "audit.jsonl"))
        .filter(|name| name.ends_with(".jsonl") || name.ends_with(".jsonl.zst"))
        .collect();
    names.sort();
    let finished: Vec<String> = names.clone();
    names.retain(|name| name.ends_with(".zst") || !finished.contains(&format!("{name}.zst")));
    names.iter().map(|name| directory.join(name)).collect()
}

/// The lines of one data file.
pub(crate) fn read_segment(path: &Path) -> Vec<Line> {
    let file = File::open(path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
    let content: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "zst") {
        Box::new(zstd::stream::read::Decoder::new(file).expect("a zstd file"))
    } else {
        Box::new(file)
    };
    BufReader::new(content)
        .split(b'\n')
        .map(|line| {
            let line = line.unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
            parse(&line).unwrap_or_else(|| {
                panic!("`{}` holds `{}`", path.display(), String::from_utf8_lossy(&line))
            })
        })
        .collect()
}

fn parse(line: &[u8]) -> Option<Line> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let timestamp: jiff::Timestamp = value.get("ts")?.as_str()?.parse().ok()?;
    let labels = texts(value.get("labels")?)?;
    let metadata = value.get("meta").map_or_else(|| Some(BTreeMap::new()), texts)?;
    let readable = value.get("msg")?.as_str()?.as_bytes().to_vec();
    let text = match value.get("raw") {
        Some(exact) => decode_base64(exact.as_str()?)?,
        None => readable,
    };
    Some(Line { timestamp: timestamp.as_nanosecond(), labels, metadata, text })
}

/// An object whose values are texts.
fn texts(object: &Value) -> Option<BTreeMap<String, String>> {
    let members = object.as_object()?.iter();
    members.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for character in text.trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|known| *known == character)?;
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

/// Loki drops a second entry with the same time and text, so no two lines of a stream share a time.
fn assert_strictly_growing(lines: &[Line]) {
    let mut latest: BTreeMap<&BTreeMap<String, String>, i128> = BTreeMap::new();
    for line in lines {
        if let Some(before) = latest.insert(&line.labels, line.timestamp) {
            assert!(
                before < line.timestamp,
                "time stands still or runs back at `{}` of {:?}",
                String::from_utf8_lossy(&line.text),
                line.labels
            );
        }
    }
}
