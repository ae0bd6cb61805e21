//! What the fuzz target of this crate does. Compiled for `cfg(fuzzing)` and for the crate's own tests, which
//! replay the corpus.

use std::collections::BTreeMap;

use logtap_loki::{Batch, Pairs};

use crate::decode::{BorrowedPairs, Line};
use crate::encode::LineEncoder;

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

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_is_harmless() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/capture_line");
        let inputs = std::fs::read_dir(corpus).expect("a corpus");
        let run = |entry: std::io::Result<std::fs::DirEntry>| {
            super::line(&std::fs::read(entry.expect("an entry").path()).expect("an input"));
        };
        assert!(inputs.map(run).count() > 0);
    }
}
