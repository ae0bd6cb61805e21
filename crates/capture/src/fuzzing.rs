//! What the fuzz targets of this crate do. Compiled for `cfg(fuzzing)` and for the crate's own tests, which
//! replay the corpora.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use logtap_loki::{Batch, Pairs};

use crate::capture::Capture;
use crate::decode::{BorrowedPairs, Line};
use crate::encode::LineEncoder;
use crate::filter::Filter;
use crate::redact::{CustomPatterns, Pattern, Patterns, Redactor};
use crate::seekable::{parse_table, render_table, table_size};
use crate::segment::Piece;
use crate::writer::{Writer, WriterOptions};
use crate::{damage, read_index};

/// A line of a segment: what is read can be written and read again, with the same bytes.
pub fn line(data: &[u8]) {
    let Some(line) = Line::parse(data) else { return };
    let text = line.bytes();
    // Lossy reading makes up to three bytes of one.
    assert!(text.len() <= 3 * data.len(), "{} bytes of {}", text.len(), data.len());
    let pairs = |pairs: &BorrowedPairs<'_>| -> Pairs {
        let unique: BTreeMap<_, _> = pairs.iter().cloned().collect();
        unique.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    };
    let (labels, metadata) = (pairs(&line.labels), pairs(&line.metadata));
    let mut batch = Batch::new();
    batch.streams.push(labels.clone());
    batch.metadata.push(metadata.clone());
    batch.push(0, line.timestamp.0, 1, &text);
    let mut encoder = LineEncoder::default();
    encoder.begin(&batch);
    let mut written = Vec::new();
    for entry in &batch.entries {
        encoder.line(&mut written, &batch, entry, None);
    }
    assert_eq!(written.pop(), Some(b'\n'));
    assert!(!written.contains(&b'\n'), "an entry is one line");
    let again = Line::parse(&written).expect("a line of ours");
    assert_eq!(again.bytes(), text);
    assert_eq!(pairs(&again.labels), labels);
    assert_eq!(pairs(&again.metadata), metadata);
    assert_eq!(again.timestamp, line.timestamp);
}

/// Redaction: two bytes choose patterns (the highest bit: the user's), one says how many bytes a pattern of the user's has; the rest is lines.
///
/// Nothing panics, a line that is text stays text, and one that is not changed was not counted. A batch comes
/// out with the same entries in the same order.
pub fn redaction(data: &[u8]) {
    let Some((&[low, high, length], rest)) = data.split_first_chunk::<3>() else { return };
    let (own, text) = rest.split_at(rest.len().min(usize::from(length)));
    let own = String::from_utf8_lossy(own);
    let bits = u16::from_le_bytes([low, high]);
    // Compiling is what takes time, so not every input does.
    let custom = (bits >> 15 == 1).then(|| {
        // As a file it is read or refused.
        drop(CustomPatterns::parse(&own, Path::new("fuzzed")));
        let quoted = serde_json::to_string(&own).expect("text is JSON");
        let file = format!("- {{name: own, pattern: {quoted}, replacement: \"<$0>\"}}");
        CustomPatterns::parse(&file, Path::new("fuzzed")).ok()
    });
    let custom = custom.flatten();
    let chosen = Pattern::ALL.iter().filter(|pattern| bits >> pattern.index() & 1 == 1);
    let chosen: Vec<_> = chosen.map(|pattern| pattern.name()).collect();
    let patterns = match chosen.is_empty() {
        true => Patterns::NONE,
        false => Patterns::parse(&chosen.join(",")).expect("names of patterns"),
    };
    let has_own = custom.is_some();
    let redactor = Redactor::new(patterns, custom);
    let names = redactor.names().len();
    let mut batch = Batch::new();
    batch.streams.push(vec![("app".to_owned(), own.into_owned())]);
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let mut hits = 0;
        let redacted = redactor.redact_line(line, |place| {
            assert!(place < names, "a pattern that is not there");
            hits += 1;
        });
        assert_eq!(redacted.is_some(), hits > 0);
        if let Some(redacted) = &redacted {
            let stays = has_own || std::str::from_utf8(line).is_err();
            assert!(stays || std::str::from_utf8(redacted).is_ok(), "text stays text");
        }
        batch.push(0, number as i64, 0, line);
    }
    let redacted = redactor.redact(&batch);
    let after: &Batch = redacted.get();
    assert_eq!(after.entries.len(), batch.entries.len());
    for (before, after) in batch.entries.iter().zip(&after.entries) {
        assert_eq!((before.stream, before.timestamp), (after.stream, after.timestamp));
    }
    assert!(redacted.hits_from(0).all(|place| place < names));
}

/// A capture as somebody else left it: metadata, index and one data file, each with its length in two bytes;
/// one byte says which data file. `directory` is the caller's, and empty afterwards.
///
/// It is read or refused, what is wrong is told, and a writer that takes it over leaves one that says the same
/// when it is taken over again.
pub fn directory(data: &[u8], directory: &Path) {
    let Some((&[kind, a, b, c, d], rest)) = data.split_first_chunk::<5>() else { return };
    let (metadata, rest) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes([a, b]))));
    let (index, data) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes([c, d]))));
    let table = table_size(data).and_then(|size| data.len().checked_sub(size));
    if let Some(frames) = table.and_then(|at| parse_table(&data[at..], data.len() as u64)) {
        let again = render_table(&frames, true);
        let size = (data.len() as u64).min(frames.iter().map(|f| u64::from(f.compressed)).sum());
        assert_eq!(parse_table(&again, size + again.len() as u64), Some(frames));
    }
    let name =
        ["2026-11-21T001108-000.jsonl", "2026-11-21T001108-000.jsonl.zst", "export.jsonl.zst"];
    fs::create_dir_all(directory).expect("a directory");
    for (name, content) in [
        ("metadata.json", metadata),
        ("index.jsonl", index),
        (name[usize::from(kind) % name.len()], data),
    ] {
        fs::write(directory.join(name), content).expect("a file");
    }
    drop((damage(directory), read_index(directory)));
    if count(directory).is_some() {
        let totals = || {
            let writer = Writer::open(directory, WriterOptions::default()).ok()?;
            writer.close().ok().map(|totals| (totals.lines, totals.bytes, totals.segments))
        };
        if let Some(first) = totals() {
            let lines = count(directory).expect("what was written can be read");
            assert_eq!(totals(), Some(first), "taken over twice");
            assert_eq!(count(directory), Some(lines));
        }
    }
    fs::remove_dir_all(directory).expect("it is there");
}

/// The lines of a capture; none if it cannot be opened or would take more memory than a target has.
fn count(directory: &Path) -> Option<u64> {
    const ROOM: u32 = 4 << 20;
    let capture = Capture::open(directory).ok()?;
    for segment in capture.segments() {
        let pieces = segment.open().ok()??.pieces().ok()?;
        let is_large = |piece: &Piece| match piece {
            Piece::Frame { content, .. } => *content > ROOM,
            Piece::Raw { .. } => false,
            // Its size is known when it is unpacked.
            Piece::Stream => true,
        };
        if pieces.iter().any(is_large) {
            return None;
        }
    }
    let mut lines = 0;
    capture.read(&Filter::default(), |line| {
        lines += u64::from(line.is_ok());
        ControlFlow::Continue(())
    });
    Some(lines)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn replay(name: &str, run: impl Fn(&[u8])) {
        let corpora = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");
        let inputs = std::fs::read_dir(Path::new(corpora).join(name)).expect("a corpus");
        let mut count = 0;
        for entry in inputs {
            run(&std::fs::read(entry.expect("an entry").path()).expect("an input"));
            count += 1;
        }
        assert!(count > 0);
    }

    #[test]
    fn the_corpora_are_harmless() {
        replay("capture_line", super::line);
        replay("redaction", super::redaction);
        let parent = tempfile::tempdir().expect("a directory");
        replay("capture_directory", |data| super::directory(data, &parent.path().join("c")));
    }
}
