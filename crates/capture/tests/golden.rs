//! The bytes of a capture are a promise: what is written is what is in `tests/captures/ours`, and what is
//! there can be read. To change the format on purpose, run this with `LOGTAP_UPDATE_GOLDEN=1` and say in
//! the commit what older readers make of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its functions too")]

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use logtap_capture::{Capture, Filter, Line, Redactor, Timestamp, Writer, WriterOptions};
use logtap_loki::{Batch, Origin};

const RAW: &str = "2024-01-15T101959-000.jsonl";
const FINISHED: &str = "2024-01-15T101959-000.jsonl.zst";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures/ours").join(name)
}

fn clock() -> Timestamp {
    Timestamp(1_705_313_999_123_456_789)
}

/// Everything that a line can have.
fn batches() -> [Batch; 2] {
    let mut first = Batch::new();
    first.streams.push(vec![("app".into(), "web".into()), ("stream".into(), "stdout".into())]);
    first.streams.push(vec![("quote\"d".into(), "back\\slash\n".into())]);
    first.streams.push(Vec::new());
    first.metadata.push(vec![("exe".into(), "/bin/sh".into()), ("pid".into(), "12".into())]);
    let base = 1_705_313_999_000_000_000;
    first.push(0, base, 0, b"plain");
    first.push(0, base + 1, 1, b"{\"json\": \"in \\\"it\\\"\"}\twith a tab");
    first.push(1, base + 1_000, 0, "text: \u{e4} \u{1f600} \u{2028} <html> & \u{7f}".as_bytes());
    first.push(2, base + 1_000_000_000, 1, b"latin-1: \xe4, control: \x01\x1b[0m");
    first.push(2, -1, 0, b"");
    let source = "00112233445566778899aabbccddeeff".to_owned();
    first.origin = Some(Origin { source, first: 1, last: 5 });
    let mut second = Batch::new();
    second.streams.push(vec![("app".into(), "db".into())]);
    second.push(0, base + 2_000_000_000, 0, b"without an origin");
    [first, second]
}

fn check(name: &str, written: &[u8]) {
    let path = golden(name);
    if std::env::var_os("LOGTAP_UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, written).unwrap();
    }
    let expected = fs::read(&path).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(written), text(&expected), "{name}");
}

fn entries(directory: &Path) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    Capture::open(directory).unwrap().read(&Filter::default(), |line| {
        lines.push(line.unwrap().clone().into_owned());
        ControlFlow::Continue(())
    });
    lines
}

#[test]
fn a_capture_is_written_byte_for_byte_and_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let written = |file: &str| fs::read(directory.path().join(file)).unwrap();
    let options = WriterOptions { clock, ..WriterOptions::default() };
    let mut writer = Writer::open(directory.path(), options).unwrap();
    for batch in batches() {
        writer.append(&Redactor::none().redact(&batch)).unwrap();
    }
    check(&format!("live/{RAW}"), &written(RAW));
    check("live/metadata.json", &written("metadata.json"));
    writer.close().unwrap();
    check("finished/index.jsonl", &written("index.jsonl"));
    check("finished/metadata.json", &written("metadata.json"));
    if std::env::var_os("LOGTAP_UPDATE_GOLDEN").is_some() {
        fs::write(golden("finished").join(FINISHED), written(FINISHED)).unwrap();
    }

    let lines = entries(directory.path());
    assert_eq!(entries(&golden("live")), lines);
    assert_eq!(entries(&golden("finished")), lines);
    let batches = batches();
    let sent = batches.iter().flat_map(|batch| batch.entries.iter().map(move |e| (batch, e)));
    assert_eq!(lines.len(), 6);
    for ((batch, entry), line) in sent.zip(&lines) {
        assert_eq!(line.timestamp, Timestamp(entry.timestamp));
        assert_eq!(line.bytes(), batch.line(entry));
        let labels = line.labels.iter().map(|(n, v)| (n.to_string(), v.to_string()));
        assert!(labels.eq(batch.streams[entry.stream as usize].iter().cloned()));
        let metadata = line.metadata.iter().map(|(n, v)| (n.to_string(), v.to_string()));
        assert!(metadata.eq(batch.metadata[entry.metadata as usize].iter().cloned()));
    }
}
