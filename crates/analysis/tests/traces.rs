//! Stack traces under `grep`: every line of one comes with its head, wherever the blocks end that threads search.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;

use logtap_analysis::{GrepOptions, grep};

const TRACES: usize = 6_000;

/// Heads of stream `a`, each with three lines that continue it, between lines of `b` with a trace of its own.
fn write(directory: &Path) -> usize {
    let mut text = String::new();
    let mut line = |app: &str, message: &str| {
        let written = writeln!(
            text,
            "{{\"ts\":\"2024-01-15T10:19:59.123456Z\",\"labels\":{{\"app\":\"{app}\"}},\"msg\":\"{message}\"}}"
        );
        written.expect("memory takes it");
    };
    for number in 0..TRACES {
        line("a", &format!("ERROR needle {number} refused"));
        line("b", "  indented, of another stream");
        line("a", &format!("\\tat com.acme.Shop.buy(Shop.java:{number})"));
        line("b", "ERROR other failed");
        line("b", "\\tat other.Thing.go(Thing.java:1)");
        line("a", "Caused by: x.Y: z");
        for _ in 0..number % 40 {
            line("c", "filler that stands between");
        }
        line("a", "\\t... 3 more");
        line("a", "INFO goes on");
        line("a", "  details of what goes on");
    }
    std::fs::write(directory.join("2024-01-15T101959-000.jsonl"), &text).expect("a directory");
    text.len()
}

#[test]
fn every_line_of_a_trace_comes_with_its_head_though_blocks_and_streams_part_them() {
    let directory = tempfile::tempdir().expect("a directory");
    assert!(write(directory.path()) > 8 << 20, "several blocks");
    let search = |pattern: &str, without_continuation: bool, count_only: bool| {
        let options = GrepOptions {
            pattern: pattern.to_owned(),
            without_continuation,
            count_only,
            ..GrepOptions::default()
        };
        let mut lines = Vec::new();
        let report = grep(directory.path(), &options, |found| {
            lines.push(String::from_utf8_lossy(found.line).into_owned());
            ControlFlow::Continue(())
        });
        (report.expect("a search").matches as usize, lines)
    };
    for pattern in ["needle", "needle \\d+", "n..dle"] {
        let (matches, lines) = search(pattern, false, false);
        assert_eq!((matches, lines.len()), (4 * TRACES, 4 * TRACES), "{pattern}");
        for (number, trace) in lines.chunks(4).enumerate() {
            let parts =
                [&format!("needle {number} "), &format!("java:{number})"), "Caused", "3 more"];
            for (line, part) in trace.iter().zip(parts) {
                assert!(line.contains("\"app\":\"a\"") && line.contains(part), "{number}: {line}");
            }
        }
        assert_eq!(search(pattern, false, true), (4 * TRACES, Vec::new()), "{pattern}");
        assert_eq!(search(pattern, true, true).0, TRACES, "{pattern}");
    }
    let (matches, lines) = search("Caused by", false, false);
    assert_eq!(matches, TRACES, "a line of a trace is found alone");
    assert!(lines.iter().all(|line| line.contains("Caused by")));
    assert_eq!(search("goes on$", false, true).0, 2 * TRACES);
}
