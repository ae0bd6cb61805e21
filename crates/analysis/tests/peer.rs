//! The same numbers and the same matches as the predecessor finds in the same captures, and the right
//! ones where it is wrong: live captures and audit logs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its functions too")]

use std::fs;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use logtap_analysis::{Filter, GrepOptions, GrepReport, LabelMatcher, Timestamp, grep, inspect};
use logtap_capture::{Redactor, Writer, WriterOptions};
use logtap_loki::Batch;
use proptest::prelude::*;
use serde_json::Value;
use tempfile::tempdir;

fn peer(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures/peer").join(name)
}

fn inspect_json(directory: &Path) -> Value {
    serde_json::to_value(inspect(directory, None).unwrap()).unwrap()
}

/// Lists whose order the predecessor leaves to chance, in one order.
fn sorted(list: &Value) -> Vec<String> {
    let mut list: Vec<String> = list.as_array().unwrap().iter().map(Value::to_string).collect();
    list.sort();
    list
}

fn matches(directory: &Path, options: &GrepOptions) -> (Vec<String>, GrepReport) {
    let mut lines = Vec::new();
    let report = grep(directory, options, |found| {
        lines.push(String::from_utf8(found.line.to_vec()).unwrap());
        ControlFlow::Continue(())
    });
    (lines, report.unwrap())
}

fn options(pattern: &str) -> GrepOptions {
    GrepOptions { pattern: pattern.into(), ..GrepOptions::default() }
}

#[test]
fn inspect_says_what_the_predecessor_says() {
    let theirs = fs::read_to_string(peer("out/inspect.json")).unwrap();
    let theirs: Value = serde_json::from_str(&theirs).unwrap();
    let ours = inspect_json(&peer("finished"));
    for (key, value) in theirs.as_object().unwrap() {
        match key.as_str() {
            "dir" => {}
            "labels" => {
                let keys = |object: &Value| -> Vec<String> {
                    object.as_object().unwrap().keys().cloned().collect()
                };
                assert_eq!(keys(value), keys(&ours["labels"]));
                for (name, values) in value.as_object().unwrap() {
                    assert_eq!(sorted(&ours["labels"][name]), sorted(values), "{name}");
                }
            }
            "lines_per_sec" => {
                let difference = value.as_f64().unwrap() - ours[key].as_f64().unwrap();
                assert!(difference.abs() < 1e-6);
            }
            _ => assert_eq!(&ours[key], value, "{key}"),
        }
    }
    assert_eq!(ours["live"], false);
    assert!(ours.get("damaged").is_none());
}

#[test]
fn a_live_capture_has_the_same_lines_labels_and_times() {
    let finished = inspect_json(&peer("finished"));
    let live = inspect_json(&peer("live"));
    for key in ["files", "total_lines", "total_bytes", "data_from", "data_to", "labels"] {
        assert_eq!(live[key], finished[key], "{key}");
    }
    // What the index does not know is counted, not spread.
    let lines = |report: &Value| -> u64 {
        let buckets = report["timeline"].as_array().unwrap().iter();
        buckets.map(|bucket| bucket["lines"].as_u64().unwrap()).sum()
    };
    assert_eq!(lines(&live), lines(&finished));
    assert_eq!(finished["timeline_is_estimate"], true);
    assert_eq!(live["live"], true);
    assert!(live.get("lines_per_sec").is_none());
}

#[test]
fn values_come_most_frequent_first_then_by_name() {
    let report = inspect(&peer("finished"), NonZero::new(1)).unwrap();
    let order: Vec<&str> = report.labels["pod"].iter().map(|value| value.value.as_str()).collect();
    assert_eq!(order[..4], ["api-1", "db-0", "api-0", "api-2"]);
    assert_eq!(order[11], "worker-2");
}

#[test]
fn damaged_segments_are_named_and_the_rest_is_counted() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("a.jsonl"), "{\"msg\":\"x\"}\ntorn").unwrap();
    fs::write(directory.path().join("b.jsonl.zst"), "damaged").unwrap();
    let report = inspect(directory.path(), None).unwrap();
    assert_eq!((report.files, report.total_lines, report.total_bytes), (2, 1, 12));
    assert!(report.damaged[0].contains("b.jsonl.zst"), "{:?}", report.damaged);
    let (lines, report) = matches(directory.path(), &options("x"));
    assert_eq!((lines.len(), report.damaged.len()), (1, 1));
}

#[test]
fn grep_finds_what_the_predecessor_finds() {
    let theirs = fs::read_to_string(peer("out/grep.jsonl")).unwrap();
    let theirs: Vec<&str> = theirs.lines().collect();
    const FILE: &str = "2026-11-21T001109-000.jsonl.zst";
    for directory in ["finished", "live"] {
        let (lines, report) = matches(&peer(directory), &options("timeout|refused"));
        assert_eq!(lines, theirs);
        assert_eq!(report.matches, 100);
        assert_eq!(report.files.len(), 1);
        assert_eq!((report.files[0].file.as_str(), report.files[0].matches), (FILE, 100));
    }
}

#[test]
fn grep_counts_filters_and_stops() {
    let counting = GrepOptions { count_only: true, ..options("timeout|refused") };
    let (lines, report) = matches(&peer("finished"), &counting);
    assert_eq!((lines.len(), report.matches), (0, 100));

    let time = |text: &str| Some(Timestamp::parse(text).unwrap());
    let filter = Filter {
        from: time("2024-01-15T10:10:00Z"),
        to: time("2024-01-15T10:11:00Z"),
        labels: vec![LabelMatcher::equal("pod", "db-0")],
    };
    let (lines, _) = matches(&peer("finished"), &GrepOptions { filter, ..options("refused") });
    assert!(!lines.is_empty());
    assert!(lines.iter().all(|line| line.contains("\"pod\":\"db-0\"") && line.contains("T10:1")));

    let by_label = matches(&peer("finished"), &options("^db-1$"));
    assert_eq!(by_label.1.matches, 200);

    let mut seen = 0;
    let stopping = |_: &logtap_analysis::Match<'_>| {
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    grep(&peer("finished"), &options("GET"), stopping).unwrap();
    assert_eq!(seen, 3);
    assert!(grep(&peer("finished"), &options("("), |_| ControlFlow::Continue(())).is_err());
}

proptest! {
    /// The quick ways lead to the same lines as taking every line apart.
    #[test]
    fn grep_agrees_with_parsing_every_line(
        lines in proptest::collection::vec("[ab\"\\\\\n<e]{0,6}|\\PC{0,5}", 1..40),
        pattern in prop::sample::select(vec![
            "ab", "a", "", "a+b", "^a", "b$", "\"a", "a\\\\", "(?s)a.b", "<", "e|ab", "[^a]b", "ea?b",
        ]),
        ignore_case: bool,
    ) {
        let directory = tempdir().unwrap();
        let options = WriterOptions { compress: false, ..WriterOptions::default() };
        let mut writer = Writer::open(directory.path(), options).unwrap();
        let mut batch = Batch::new();
        batch.streams.push(Vec::new());
        batch.streams.push(vec![("stream".into(), "stdout".into())]);
        for (number, line) in lines.iter().enumerate() {
            batch.push((number % 2) as u32, number as i64, 0, line.as_bytes());
        }
        writer.append(&Redactor::none().redact(&batch)).unwrap();
        drop(writer);
        let expression = regex::RegexBuilder::new(pattern)
            .case_insensitive(ignore_case)
            .build()
            .unwrap();
        let expected: Vec<usize> = (0..lines.len())
            .filter(|&number| {
                expression.is_match(&lines[number])
                    || (number % 2 == 1 && expression.is_match("stdout"))
            })
            .collect();
        let mut found = Vec::new();
        let grep_options = GrepOptions {
            pattern: pattern.into(),
            ignore_case,
            without_continuation: true,
            ..Default::default()
        };
        grep(directory.path(), &grep_options, |found_line| {
            found.push(found_line.entry().unwrap().timestamp.0 as usize);
            ControlFlow::Continue(())
        })
        .unwrap();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn the_timeline_of_ours_is_counted_and_not_spread() {
    let directory = tempdir().unwrap();
    let mut batch = Batch::new();
    batch.streams.push(vec![("app".into(), "web".into())]);
    let second = 1_000_000_000;
    for number in 0..1000 {
        batch.push(0, number * 10_000_000, 0, b"line");
    }
    for number in 0..10 {
        batch.push(0, 3600 * second + number, 0, b"line");
    }
    let mut writer = Writer::open(directory.path(), WriterOptions::default()).unwrap();
    writer.append(&Redactor::none().redact(&batch)).unwrap();
    let check = || {
        let report = inspect_json(directory.path());
        let buckets = report["timeline"].as_array().unwrap();
        let lines: Vec<u64> = buckets.iter().map(|one| one["lines"].as_u64().unwrap()).collect();
        assert_eq!((lines.len(), lines[0], lines[60]), (61, 1000, 10), "{lines:?}");
        assert!(lines[1..60].iter().all(|lines| *lines == 0), "{lines:?}");
        assert!(report.get("timeline_is_estimate").is_none());
    };
    check();
    writer.close().unwrap();
    check();
}
