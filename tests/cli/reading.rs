//! Inspect and grep: what they print of a capture that was written by hand, so that every figure is
//! known.

use std::path::Path;

use serde_json::Value;

use crate::support::workspace::{Workspace, command, logtap};

const SEGMENT: &str = "2026-01-15T101959-000.jsonl";
const LINES: [&str; 4] = [
    r#"{"ts":"2026-01-15T10:19:59.001Z","labels":{"app":"web","stream":"stdout"},"msg":"GET /cart"}"#,
    r#"{"ts":"2026-01-15T10:20:00.5Z","labels":{"app":"web","stream":"stderr"},"msg":"Timeout at db"}"#,
    r#"{"ts":"2026-01-15T10:21:30Z","labels":{"app":"db","stream":"stdout"},"msg":"checkpoint"}"#,
    r#"{"ts":"2026-01-15T10:24:00Z","labels":{"app":"db","stream":"stdout"},"msg":"timeout, again"}"#,
];

fn write_capture(directory: &Path, started: &str) {
    std::fs::create_dir_all(directory).expect("a fresh directory");
    let metadata = format!(
        r#"{{"version":1,"format":"jsonl","started":"{started}","stopped":"2026-01-15T10:25:00Z"}}"#
    );
    std::fs::write(directory.join("metadata.json"), metadata).expect("a fresh directory");
    let lines = LINES.map(|line| [line, "\n"].concat()).concat();
    std::fs::write(directory.join(SEGMENT), lines).expect("a fresh directory");
}

fn answer(directory: &Path, words: &[&str]) -> String {
    let mut asked = command(logtap());
    let output = asked.args(words).current_dir(directory).output().expect("logtap starts");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("reports are text")
}

#[test]
fn inspect_shows_period_size_labels_and_time() {
    let workspace = Workspace::new();
    write_capture(&workspace.join("cap"), "2026-01-15T10:19:00Z");
    insta::assert_snapshot!(answer(workspace.path(), &["inspect", "cap"]), @r"
    capture  cap
    period   2026-01-15T10:19:59.001Z to 2026-01-15T10:24:00Z (4 min)
    lines    4 lines
    size     370 B in 1 file

    app:
      db            2 lines       185 B   50.0 %
      web           2 lines       185 B   50.0 %

    stream:
      stdout           3 lines       277 B   75.0 %
      stderr            1 line        92 B   25.0 %

    timeline, 1-min buckets:
      2026-01-15 10:19  ███  █
    ");
}

#[test]
fn a_line_that_is_no_entry_is_found_and_counted_as_the_screen_does() {
    let workspace = Workspace::new();
    write_capture(&workspace.join("cap"), "2026-01-15T10:19:00Z");
    let path = workspace.join("cap").join(SEGMENT);
    let mut lines = std::fs::read(&path).expect("just written");
    lines.extend_from_slice(b"timeout, not JSON\n  \ntimeout that is unfin");
    std::fs::write(path, lines).expect("just written");
    let answer = |words: &[&str]| {
        let output = command(logtap()).args(words).current_dir(workspace.path()).output();
        String::from_utf8(output.expect("logtap starts").stdout).expect("reports are text")
    };
    assert_eq!(answer(&["grep", "(?i)timeout", "--count", "cap"]), format!("{SEGMENT}\t3\n"));
    let found = answer(&["grep", "not JSON", "--format", "text", "cap"]);
    assert_eq!(found, "timeout, not JSON\n");
    assert_eq!(answer(&["grep", "not JSON", "--label", "app=web", "cap"]), "");
    assert_eq!(answer(&["grep", "not JSON", "--from", "2026-01-15T10:00:00Z", "cap"]), "");
    let report = answer(&["inspect", "cap"]);
    assert!(
        report.contains("lines    5 lines, of them 1 line without labels and time (no entry)\n"),
        "{report}"
    );
}

#[test]
fn without_a_name_the_newest_capture_is_meant() {
    let workspace = Workspace::new();
    write_capture(&workspace.join("first"), "2026-01-15T10:19:00Z");
    write_capture(&workspace.join("second"), "2026-01-15T10:19:01Z");
    std::fs::create_dir(workspace.join("third")).expect("a fresh directory");
    let report = answer(workspace.path(), &["inspect", "--json"]);
    let report: Value = serde_json::from_str(&report).expect("it is JSON");
    assert_eq!((&report["dir"], &report["total_lines"]), (&"./second".into(), &4.into()));
    // Inside a capture that one is meant.
    let inside = answer(&workspace.join("first"), &["inspect", "--json"]);
    let inside: Value = serde_json::from_str(&inside).expect("it is JSON");
    assert_eq!(inside["dir"], ".");
}

#[test]
fn grep_prints_lines_as_they_stand_or_as_text() {
    let workspace = Workspace::new();
    write_capture(&workspace.join("cap"), "2026-01-15T10:19:00Z");
    let found = |words: &[&str]| answer(workspace.path(), &[&["grep"], words].concat());
    assert_eq!(found(&["Timeout"]), [LINES[1], "\n"].concat());
    insta::assert_snapshot!(found(&["-i", "timeout", "cap", "--format", "text"]), @r"
    10:20:00.500 [web stderr] Timeout at db
    10:24:00.000 [db stdout] timeout, again
    ");
    assert_eq!(found(&["--count", "."]), [SEGMENT, "\t4\n"].concat());
    assert_eq!(found(&["nothing like that"]), "");
}

#[test]
fn grep_looks_at_time_and_labels_too() {
    let workspace = Workspace::new();
    write_capture(&workspace.join("cap"), "2026-01-15T10:19:00Z");
    let lines = |words: &[&str]| {
        let words = [&["grep", "."], words].concat();
        answer(workspace.path(), &words).lines().count()
    };
    assert_eq!(lines(&["--label", "app=db"]), 2);
    assert_eq!(lines(&["--label", "app=web,stream=stderr"]), 1);
    assert_eq!(lines(&["--from", "2026-01-15T10:20:00Z", "--to", "2026-01-15T10:21:30Z"]), 2);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let workspace = Workspace::new();
    let capture = workspace.join("cap");
    write_capture(&capture, "2026-01-15T10:19:00Z");
    let many = LINES.map(|line| [line, "\n"].concat()).concat().repeat(20_000);
    std::fs::write(capture.join(SEGMENT), many).expect("a fresh directory");
    let script = format!("{} grep . cap | head -1; echo ${{PIPESTATUS[0]}}", logtap().display());
    let Some(bash) = crate::support::machine::require("bash") else { return };
    let output = command(bash).args(["-c", &script]).current_dir(workspace.path()).output();
    let output = output.expect("bash starts");
    assert!(output.stderr.is_empty(), "{output:?}");
    assert_eq!(output.stdout, [LINES[0], "\n0\n"].concat().as_bytes());
}
