//! Captures as they come: the predecessor's, live, crashed, damaged, and with foreign files in them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its functions too")]

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use logtap_capture::scan::scan;
use logtap_capture::{
    Capture, CaptureError, Filter, IndexEntry, Line, Redactor, StreamCounts, Timestamp, Writer,
    WriterOptions, read_index,
};
use logtap_loki::Batch;
use tempfile::{TempDir, tempdir};

fn peer(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures/peer").join(name)
}

fn copy(from: &Path) -> TempDir {
    let to = tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

fn read_all(directory: &Path, filter: &Filter) -> (Vec<Line<'static>>, Vec<CaptureError>) {
    let (mut lines, mut errors) = (Vec::new(), Vec::new());
    Capture::open(directory).unwrap().read(filter, |outcome| {
        match outcome {
            Ok(line) => lines.push(line.clone().into_owned()),
            Err(error) => errors.push(error),
        }
        ControlFlow::Continue(())
    });
    (lines, errors)
}

fn entries(directory: &Path) -> Vec<Line<'static>> {
    let (lines, errors) = read_all(directory, &Filter::default());
    assert!(errors.is_empty(), "{errors:?}");
    lines
}

fn messages(directory: &Path) -> Vec<String> {
    entries(directory).into_iter().map(|line| line.message.into_owned()).collect()
}

/// A capture of these raw segments, without index and metadata.
fn raw_capture(segments: &[(&str, &str)]) -> TempDir {
    let directory = tempdir().unwrap();
    for (name, messages) in segments {
        let lines: String =
            messages.split(' ').map(|message| format!("{{\"msg\":\"{message}\"}}\n")).collect();
        fs::write(directory.path().join(name), lines).unwrap();
    }
    directory
}

#[test]
fn the_predecessors_capture_is_read_as_its_index_describes_it() {
    let directory = peer("finished");
    let lines = entries(&directory);
    assert_eq!(lines.len(), 2502);
    let mut counted: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (name, value) in lines.iter().flat_map(|line| &line.labels) {
        *counted.entry((name.to_string(), value.to_string())).or_default() += 1;
    }
    let mut indexed: BTreeMap<(String, String), u64> = BTreeMap::new();
    for entry in read_index(&directory).unwrap() {
        for (name, values) in entry.labels {
            for (value, lines) in values {
                *indexed.entry((name.clone(), value)).or_default() += lines;
            }
        }
    }
    assert_eq!(counted, indexed);
    let odd = lines.iter().find(|line| line.labels.is_empty()).unwrap();
    assert!(odd.message.starts_with("no labels, unicode \u{3a9}"), "{}", odd.message);
    assert!(odd.message.contains("<html> & ctrl \u{1}"), "{}", odd.message);
    let capture = Capture::open(&directory).unwrap();
    assert_eq!(capture.metadata().unwrap().total_lines, 2502);
    assert_eq!(capture.segments().len(), 3);
}

#[test]
fn a_live_capture_of_the_predecessor_has_the_same_lines() {
    let live = Capture::open(&peer("live")).unwrap();
    assert!(live.metadata().unwrap().is_live());
    assert!(live.segments()[2].index().is_none());
    assert_eq!(entries(&peer("live")), entries(&peer("finished")));
}

#[test]
fn a_crashed_capture_of_the_predecessor_is_taken_over() {
    let directory = copy(&peer("live"));
    let before = entries(directory.path());
    let audit = fs::read(directory.path().join("audit.jsonl")).unwrap();
    let writer = Writer::open(directory.path(), WriterOptions::default()).unwrap();
    let totals = writer.close().unwrap();
    assert_eq!((totals.lines, totals.segments, totals.compressed), (2502, 3, 3));
    assert_eq!(entries(directory.path()), before);
    let entry = |index: Vec<IndexEntry>| index.into_iter().nth(2).unwrap();
    let ours = entry(read_index(directory.path()).unwrap());
    let theirs = entry(read_index(&peer("finished")).unwrap());
    // What is not in theirs is learned from the lines.
    assert_eq!(ours.streams.lines(), ours.lines);
    let (streams, times) = (StreamCounts::default(), theirs.times.clone());
    assert_eq!(IndexEntry { streams, times, ..ours }, theirs);
    assert_eq!(fs::read(directory.path().join("audit.jsonl")).unwrap(), audit);
}

#[test]
fn filters_take_what_they_say_and_skip_segments_that_cannot_have_it() {
    let directory = copy(&peer("finished"));
    let time = |text: &str| Some(Timestamp::parse(text).unwrap());
    let filter = Filter {
        from: time("2024-01-15T10:15:00Z"),
        to: time("2024-01-15T10:16:00Z"),
        labels: vec![logtap_capture::LabelMatcher::equal("app", "db")],
    };
    let (lines, _) = read_all(directory.path(), &filter);
    let all = entries(directory.path());
    let expected: Vec<_> = all.into_iter().filter(|line| filter.takes(line)).collect();
    assert!(!expected.is_empty());
    assert_eq!(lines, expected);
    // The first segment ends before; it is not even looked at.
    fs::write(directory.path().join("2026-11-21T001108-000.jsonl.zst"), "damaged").unwrap();
    let (lines, errors) = read_all(directory.path(), &filter);
    assert_eq!((lines, errors.len()), (expected, 0));
}

#[test]
fn damage_is_told_and_the_other_segments_are_read() {
    let directory = copy(&peer("finished"));
    let second = directory.path().join("2026-11-21T001109-000.jsonl.zst");
    let bytes = fs::read(&second).unwrap();
    fs::write(&second, &bytes[..bytes.len() / 2]).unwrap();
    let (lines, errors) = read_all(directory.path(), &Filter::default());
    assert!(lines.len() >= 907 + 729 && lines.len() < 2502, "{}", lines.len());
    assert!(matches!(&errors[..], [CaptureError::Damaged { path, .. }] if *path == second));
}

const RAW: &str = "2024-01-15T101959-000.jsonl";
const FINISHED: &str = "2024-01-15T101959-000.jsonl.zst";

/// What two files of one name hold, by what each reader and a writer that continues make of it.
fn messages_before_and_after(directory: &Path) -> [Vec<String>; 2] {
    let before = messages(directory);
    Writer::open(directory, WriterOptions::default()).unwrap().close().unwrap();
    [before, messages(directory)]
}

#[test]
fn a_segment_that_is_there_twice_is_read_once() {
    let directory = raw_capture(&[(RAW, "a b")]);
    let raw = fs::read(directory.path().join(RAW)).unwrap();
    let packed = zstd::bulk::compress(&raw, 1).unwrap();
    fs::write(directory.path().join(FINISHED), &packed).unwrap();
    assert_eq!(messages_before_and_after(directory.path()), [["a", "b"], ["a", "b"]]);
    assert!(!directory.path().join(RAW).exists());
    // Now the index knows the compressed one.
    fs::write(directory.path().join(RAW), &raw).unwrap();
    assert_eq!(messages_before_and_after(directory.path()), [["a", "b"], ["a", "b"]]);
    assert!(!directory.path().join(RAW).exists());
}

#[test]
fn a_half_compressed_segment_of_the_predecessor_costs_no_line() {
    let directory = raw_capture(&[(RAW, "a b")]);
    let raw = fs::read(directory.path().join(RAW)).unwrap();
    let packed = zstd::bulk::compress(&raw, 1).unwrap();
    for length in 0..packed.len() {
        let killed = copy(directory.path());
        fs::write(killed.path().join(FINISHED), &packed[..length]).unwrap();
        assert_eq!(messages_before_and_after(killed.path()), [["a", "b"], ["a", "b"]]);
    }
}

#[test]
fn a_name_that_the_predecessor_used_twice_stands_for_both() {
    let directory = raw_capture(&[(RAW, "new and longer")]);
    let packed = zstd::bulk::compress(b"{\"msg\":\"old\"}\n", 1).unwrap();
    fs::write(directory.path().join(FINISHED), packed).unwrap();
    let index = format!("{{\"file\":\"{FINISHED}\",\"lines\":1,\"bytes\":14}}\n");
    fs::write(directory.path().join("index.jsonl"), index).unwrap();
    let both = ["old", "new", "and", "longer"];
    assert_eq!(messages_before_and_after(directory.path()), [both, both]);
}

#[test]
fn foreign_files_are_no_data_and_names_give_the_order() {
    let directory = raw_capture(&[
        ("b.jsonl", "3"),
        ("a.jsonl", "1 2"),
        ("audit.jsonl", "x"),
        (".x.jsonl", "x"),
    ]);
    fs::create_dir(directory.path().join("c.jsonl")).unwrap();
    std::os::unix::fs::symlink("b.jsonl", directory.path().join("d.jsonl")).unwrap();
    fs::write(directory.path().join("e.txt"), "{\"msg\":\"x\"}\n").unwrap();
    assert_eq!(messages(directory.path()), ["1", "2", "3"]);
}

#[test]
fn torn_empty_and_very_long_lines_are_read_as_far_as_they_are_whole() {
    let long = "x".repeat(9 << 20);
    let directory = raw_capture(&[("a.jsonl", &long)]);
    let path = directory.path().join("a.jsonl");
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("\r\n\n  {\"msg\":\"indented\"}\r\n[1]\n{\"msg\":\"no line end\"}");
    fs::write(&path, &text).unwrap();
    assert_eq!(messages(directory.path()), [&long, "indented", "no line end"]);
    fs::write(&path, &text[..text.len() - 1]).unwrap();
    assert_eq!(messages(directory.path()), [&long, "indented"]);
}

#[test]
fn phantoms_of_derived_captures_are_passed_over() {
    let directory = tempdir().unwrap();
    let text = "{\"ts\":\"0001-01-01T00:00:00Z\",\"msg\":\"\"}\n{\"msg\":\"real\"}\n";
    fs::write(directory.path().join("injected-000.jsonl"), text).unwrap();
    assert_eq!(messages(directory.path()), ["real"]);
}

#[test]
fn what_is_no_capture_is_refused() {
    let directory = tempdir().unwrap();
    let open = |path: &Path| Capture::open(path).unwrap_err().to_string();
    assert!(open(directory.path()).contains("is not a capture"));
    assert!(open(&directory.path().join("nowhere")).contains("No such file or directory"));
    let hostile = raw_capture(&[("a.jsonl", "1")]);
    fs::write(hostile.path().join("index.jsonl"), "{\"file\":\"../../etc/passwd\"}\n").unwrap();
    assert!(open(hostile.path()).contains("is not a plain file name"));
}

#[test]
fn a_capture_that_is_being_written_is_read_while_segments_change_their_form() {
    let directory = tempdir().unwrap();
    let options = WriterOptions { max_segment_bytes: 20_000, ..WriterOptions::default() };
    let mut writer = Writer::open(directory.path(), options).unwrap();
    let mut batch = Batch::new();
    batch.streams.push(Vec::new());
    for round in 0..100_u64 {
        batch.entries.clear();
        batch.text.clear();
        for number in 0..50 {
            batch.push(0, 1, 0, (round * 50 + number).to_string().as_bytes());
        }
        writer.append(&Redactor::none().redact(&batch)).unwrap();
        let expected: Vec<String> = (0..(round + 1) * 50).map(|n| n.to_string()).collect();
        assert_eq!(messages(directory.path()), expected);
    }
    writer.close().unwrap();
    assert_eq!(messages(directory.path()).len(), 5000);
}

#[test]
fn threads_give_the_same_lines_in_the_same_order() {
    let directory = copy(&peer("live"));
    fs::write(directory.path().join("2026-11-21T001108-500.jsonl.zst"), "damaged").unwrap();
    let capture = Capture::open(directory.path()).unwrap();
    let segments: Vec<_> = capture.segments().iter().collect();
    for threads in [1, 2, 5] {
        let (mut lines, mut errors) = (Vec::new(), Vec::new());
        let count = |calls: &mut u32, text: &[u8]| {
            *calls += 1;
            text.split(|&byte| byte == b'\n')
                .filter_map(Line::parse)
                .map(Line::into_owned)
                .collect()
        };
        let threads = NonZero::new(threads).unwrap();
        scan(
            &segments,
            threads,
            || 0,
            count,
            |segment, result: Result<Vec<_>, _>| {
                match result {
                    Ok(more) => lines.extend(more),
                    Err(_) => errors.push((segment.file(), lines.len())),
                }
                ControlFlow::Continue(())
            },
        );
        assert_eq!(lines, entries(&peer("finished")));
        assert_eq!(errors, [("2026-11-21T001108-500.jsonl.zst".to_owned(), 907)]);
    }
    let mut taken = 0;
    let threads = NonZero::new(3).unwrap();
    scan(
        &segments,
        threads,
        || (),
        |(), _| (),
        |_, _| {
            taken += 1;
            ControlFlow::Break(())
        },
    );
    assert_eq!(taken, 1);
}
