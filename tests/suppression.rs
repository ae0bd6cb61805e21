//! What is suppressed is in the capture; what is not in the capture was written where it belongs.

use std::path::Path;

use crate::parts::{Parts, tap_directory};
use crate::run_command::tapped;
use crate::support::capture;
use crate::support::compile::compile;
use crate::support::difference::{Order, difference};
use crate::support::running::{Service, Streams, lines, run};
use crate::support::workspace::{Workspace, command, library};

/// A collector that is kept from running for two seconds suppresses nothing until it runs again: where something was
/// shown, that was the reason, unless it is so each time.
fn at_last_suppressed(run: impl Fn() -> bool) {
    assert!((0..5).any(|_| run()), "five runs of five have shown something");
}

/// Whether nothing was shown of what was written; it may not be all of it.
fn is_silent(shown: &[u8], written: usize) -> bool {
    assert!(shown.len() < written, "nothing was suppressed");
    shown.is_empty()
}

#[test]
fn a_suppressed_file_stays_empty_and_the_capture_has_all() {
    at_last_suppressed(suppresses_a_file);
}

fn suppresses_a_file() -> bool {
    let workspace = Workspace::new();
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        i128::try_from(since.expect("after 1970").as_nanos()).expect("a small number")
    };
    let from = now();
    let script = "i=0; while [ $i -lt 300 ]; do echo line $i >>a.log; i=$((i+1)); done; echo done";
    let words = ["-q", "--file", "a.log", "--suppress=file", "--", "sh", "-c", script];
    let outcome = tapped(workspace.path(), &words);
    assert_eq!(outcome.stdout, b"done\n");
    let left = std::fs::read(workspace.join("a.log")).expect("the shell made it");
    let captured = capture::read(&workspace.join("capture"));
    // The time is that of the write, to a tick of the coarse clock; equal ones are moved apart by nanoseconds.
    let tick = 1_000_000_000;
    let times = from - tick..now() + tick;
    assert!(captured.iter().all(|line| times.contains(&line.timestamp)), "{times:?}: {captured:?}");
    let caught = capture::of_file(&captured, &workspace.join("a.log"));
    let expected: Vec<Vec<u8>> = (0..300).map(|line| format!("line {line}").into_bytes()).collect();
    assert_eq!(difference(&expected, &caught, Order::Total), None);
    is_silent(&left, expected.concat().len())
}

#[test]
fn suppressed_streams_show_nothing_and_the_capture_has_all() {
    if let Some(program) = compile("gcc", "stdio.c", &["-O1", "-pthread"]) {
        at_last_suppressed(|| suppresses_streams(&program));
    }
}

fn suppresses_streams(program: &Path) -> bool {
    let workspace = Workspace::new();
    let plain = run(command(program), Streams::Pipes, workspace.path(), &[]);
    let program = program.to_str().expect("tests use plain paths");
    let outcome = tapped(workspace.path(), &["-q", "--suppress", "--", program]);
    assert_eq!(outcome.status.code(), plain.status.code());
    let captured = capture::read(&workspace.join("capture"));
    let mut all_silent = true;
    for (stream, written, shown) in
        [("stdout", plain.stdout, outcome.stdout), ("stderr", plain.stderr, outcome.stderr)]
    {
        let caught = capture::of_stream(&captured, stream);
        assert_eq!(difference(&lines(&written), &caught, Order::Total), None, "{stream}");
        all_silent &= is_silent(&shown, written.len());
    }
    all_silent
}

#[test]
fn without_a_collector_nothing_is_suppressed() {
    let workspace = Workspace::new();
    let Some(tap) = tap_directory() else { return };
    let mut alone = command("sh");
    alone.args(["-c", "echo shown; echo err >&2; echo kept >>a.log"]);
    alone.env("LD_PRELOAD", library()).env("LLT_TARGET", format!("tap:{}", tap.path().display()));
    alone.env("LLT_TAP_INTO", "3").env("LLT_TAP_FILE", workspace.join("a.log"));
    alone.env("LLT_SUPPRESS_STDOUT", "true").env("LLT_SUPPRESS_TAP_FILE", "true");
    let outcome = run(alone, Streams::Pipes, workspace.path(), &["a.log"]);
    assert_eq!(outcome.stdout, b"shown\n");
    assert_eq!(outcome.stderr, b"err\n");
    assert_eq!(outcome.files.get("a.log").map(Vec::as_slice), Some(b"kept\n".as_slice()));
}

#[test]
fn a_collector_that_dies_leaves_every_line_in_one_of_both() {
    let workspace = Workspace::new();
    let Some(parts) = Parts::start(&workspace) else { return };
    let log = workspace.join("a.log");
    let mut app = parts.app("sh");
    let script = "i=0; while [ $i -lt 400 ]; do echo line $i >>a.log; sleep 0.01; i=$((i+1)); \
                  [ $i -ne 200 ] || echo half >half; done";
    app.args(["-c", script]).env("LLT_TAP_FILE", &log).env("LLT_SUPPRESS_TAP_FILE", "true");
    let app = Service::start(app, workspace.path());
    app.wait_for_file(&workspace.join("half"));
    let parts = parts.without_collector();
    let outcome = app.finish(&["a.log"]);
    assert!(outcome.status.success());
    // What was in the rings is delivered by the next collector.
    let mut all = lines(outcome.files.get("a.log").map_or(&[], Vec::as_slice));
    let captured = parts.with_collector().stop(400 - all.len().min(400));
    all.extend(capture::of_file(&captured, &log));
    for line in 0..400 {
        let line = format!("line {line}").into_bytes();
        assert!(all.contains(&line), "`{}` is nowhere", String::from_utf8_lossy(&line));
    }
}
