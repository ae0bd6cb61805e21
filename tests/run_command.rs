//! `logtap run` as a command: how it ends, what it keeps of its caller, where the capture goes, what
//! it says. What it captures of real programs is compared elsewhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::capture;
use crate::support::compile::compile;
use crate::support::machine::require;
use crate::support::running::{Outcome, Service, Streams, lines, run};
use crate::support::workspace::{Workspace, command, logtap};

/// `logtap run` with these words after it, in `directory`.
pub(crate) fn tapped(directory: &Path, words: &[&str]) -> Outcome {
    let mut tapped = command(logtap());
    tapped.arg("run").args(words);
    run(tapped, Streams::Pipes, directory, &[])
}

/// The object of a `--summary` file.
pub(crate) fn summary(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
    serde_json::from_slice(&text).expect("a summary is JSON")
}

/// A number of a summary by its path in the object.
pub(crate) fn number(summary: &Value, pointer: &str) -> u64 {
    let value = summary.pointer(pointer).and_then(Value::as_u64);
    value.unwrap_or_else(|| panic!("no `{pointer}` in {summary:#}"))
}

fn texts(capture: &Path, stream: &str) -> Vec<String> {
    capture::of_stream(&capture::read(capture), stream)
        .into_iter()
        .map(|line| String::from_utf8(line).expect("the test writes text"))
        .collect()
}

#[test]
fn its_own_failures_have_codes_of_their_own() {
    let workspace = Workspace::new();
    let code = |words: &[&str]| tapped(workspace.path(), words).status.code();
    assert_eq!(code(&["--", "no-such-program-anywhere"]), Some(127));
    std::fs::write(workspace.join("plain.txt"), "no program").expect("a fresh directory");
    assert_eq!(code(&["--", "./plain.txt"]), Some(126));
    assert_eq!(code(&["--dir", "plain.txt", "--", "true"]), Some(125));
    assert_eq!(code(&["--label", "no value", "--", "true"]), Some(125));
}

#[test]
fn a_refused_directory_is_refused_before_the_program_starts() {
    let workspace = Workspace::new();
    std::fs::write(workspace.join("file"), "").expect("a fresh directory");
    let outcome = tapped(workspace.path(), &["--dir", "file", "--", "touch", "started"]);
    assert!(!outcome.status.success());
    assert!(!workspace.join("started").exists(), "the program had started");
}

#[test]
fn it_ends_as_the_program_did() {
    use std::os::unix::process::ExitStatusExt as _;
    let workspace = Workspace::new();
    let status = |script: &str| tapped(workspace.path(), &["-q", "--", "sh", "-c", script]).status;
    assert_eq!(status("exit 0").code(), Some(0));
    assert_eq!(status("exit 77").code(), Some(77));
    assert_eq!(status("kill -9 $$").signal(), Some(9));
    assert_eq!(status("kill -TERM $$").signal(), Some(15));
}

#[test]
fn the_default_directory_is_the_first_free_one() {
    let workspace = Workspace::new();
    for name in ["capture", "capture-2", "capture-3"] {
        tapped(workspace.path(), &["-q", "--", "echo", name]);
        assert_eq!(texts(&workspace.join(name), "stdout"), [name]);
    }
}

#[test]
fn one_stream_alone_is_one_stream_alone() {
    let workspace = Workspace::new();
    let script = "echo out; echo err >&2";
    tapped(workspace.path(), &["-q", "--stdout", "--dir", "o", "--", "sh", "-c", script]);
    tapped(workspace.path(), &["-q", "--stderr", "--dir", "e", "--", "sh", "-c", script]);
    assert_eq!(texts(&workspace.join("o"), "stdout"), ["out"]);
    assert!(texts(&workspace.join("o"), "stderr").is_empty());
    assert_eq!(texts(&workspace.join("e"), "stderr"), ["err"]);
    assert!(texts(&workspace.join("e"), "stdout").is_empty());
}

#[test]
fn files_are_found_by_patterns_and_by_relative_names() {
    let workspace = Workspace::new();
    let logs = workspace.directory("logs");
    let script = "for n in one two; do echo $n >>logs/$n.log; /bin/echo $n again >>logs/$n.log; done; \
                  echo no >logs/no.txt; echo three >>three.log";
    let words = ["-q", "--file", "logs/*.log", "--file", "three.log", "--", "sh", "-c", script];
    tapped(workspace.path(), &words);
    let captured = capture::read(&workspace.join("capture"));
    let of = |path: PathBuf| capture::of_file(&captured, &path);
    assert_eq!(of(logs.join("one.log")), [b"one".to_vec(), b"one again".to_vec()]);
    assert_eq!(of(logs.join("two.log")), [b"two".to_vec(), b"two again".to_vec()]);
    assert_eq!(of(workspace.join("three.log")), [b"three".to_vec()]);
    assert_eq!(captured.len(), 5, "{captured:?}");
}

#[test]
fn every_line_has_the_labels_of_the_command_line() {
    let workspace = Workspace::new();
    let words = ["-q", "--label", "app=shop", "--label", "zone=a b", "--", "sh", "-c"];
    tapped(workspace.path(), &[&words[..], &["echo 1; echo 2 >&2"]].concat());
    let captured = capture::read(&workspace.join("capture"));
    assert_eq!(captured.len(), 2);
    for line in captured {
        assert_eq!((line.label("app"), line.label("zone")), ("shop", "a b"));
        assert_eq!(line.label("source"), "preload");
    }
}

#[test]
fn the_summary_counts_what_the_capture_holds() {
    let workspace = Workspace::new();
    let script = "echo one; echo two; echo bad >&2; echo log >>a.log";
    let words = ["-q", "--summary", "s.json", "--file", "a.log", "--", "sh", "-c", script];
    tapped(workspace.path(), &words);
    let summary = summary(&workspace.join("s.json"));
    assert_eq!(number(&summary, "/total/lines"), 4);
    assert_eq!(number(&summary, "/total/bytes"), 16);
    assert_eq!(number(&summary, "/total/lost_records"), 0);
    assert_eq!(capture::read(&workspace.join("capture")).len(), 4);
}

#[test]
fn the_json_summary_is_the_last_line_of_stderr() {
    let workspace = Workspace::new();
    let outcome = tapped(workspace.path(), &["--json", "--", "sh", "-c", "echo x >&2; exit 3"]);
    assert_eq!(outcome.status.code(), Some(3));
    let last = lines(&outcome.stderr).pop().expect("there is a summary");
    let summary: Value = serde_json::from_slice(&last).expect("it is JSON");
    assert_eq!(number(&summary, "/exit_code"), 3);
}

#[test]
fn a_person_is_told_where_the_capture_is_and_what_to_do_next() {
    let workspace = Workspace::new();
    let outcome = tapped(workspace.path(), &["--", "echo", "hello"]);
    assert_eq!(outcome.stdout, b"hello\n");
    let said = String::from_utf8(outcome.stderr).expect("messages are text");
    for part in ["1 line", "capture", "logtap inspect"] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
}

#[test]
fn stdin_is_the_program_s_own() {
    use std::io::Write as _;
    use std::process::Stdio;
    let workspace = Workspace::new();
    let mut tapped = command(logtap());
    tapped.args(["run", "-q", "--", "cat"]).current_dir(workspace.path());
    let mut child = tapped.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("it was asked for").write_all(b"through stdin\n").expect("cat reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.stdout, b"through stdin\n");
    assert_eq!(texts(&workspace.join("capture"), "stdout"), ["through stdin"]);
}

#[test]
fn a_library_that_was_preloaded_before_stays() {
    let Some(library) = compile("gcc", "answer.c", &["-O1", "-shared", "-fPIC"]) else { return };
    let workspace = Workspace::new();
    let mut tapped = command(logtap());
    tapped.env("LD_PRELOAD", &library).args(["run", "-q", "--", "sh", "-c", "echo $PPID"]);
    let outcome = run(tapped, Streams::Pipes, workspace.path(), &[]);
    // The other library answers every getppid with 42.
    assert_eq!(outcome.stdout, b"42\n");
    assert_eq!(texts(&workspace.join("capture"), "stdout"), ["42"]);
}

#[test]
fn a_run_inside_a_run_works() {
    let workspace = Workspace::new();
    let logtap = logtap();
    let inner = logtap.to_str().expect("tests use plain paths");
    let words =
        ["-q", "--dir", "outer", "--", inner, "run", "-q", "--dir", "inner", "--", "echo", "deep"];
    let outcome = tapped(workspace.path(), &words);
    assert_eq!(outcome.stdout, b"deep\n");
    assert_eq!(texts(&workspace.join("inner"), "stdout"), ["deep"]);
}

#[test]
fn a_signal_that_asks_to_stop_reaches_the_program() {
    let workspace = Workspace::new();
    let script =
        "trap 'echo stopping; exit 5' TERM; echo ready >ready; while :; do sleep 0.05; done";
    let mut tapped = command(logtap());
    tapped.args(["run", "-q", "--", "sh", "-c", script]);
    let service = Service::start(tapped, workspace.path());
    service.wait_for_file(&workspace.join("ready"));
    let outcome = service.stop(rustix::process::Signal::TERM, &[]);
    assert_eq!(outcome.status.code(), Some(5));
    assert_eq!(texts(&workspace.join("capture"), "stdout"), ["stopping"]);
}

#[test]
fn it_does_not_wait_for_ever_for_what_the_program_leaves_behind() {
    let workspace = Workspace::new();
    // The child holds a ring, but none of the streams that this test reads to their end.
    let script =
        "echo parent; (trap '' HUP; sleep 1000) >/dev/null 2>&1 </dev/null & echo $! >child";
    let words = ["-q", "--linger", "0", "--summary", "s.json", "--", "sh", "-c", script];
    tapped(workspace.path(), &words);
    let child = std::fs::read_to_string(workspace.join("child")).expect("the shell wrote it");
    let child: i32 = child.trim().parse().expect("a process id");
    let child = rustix::process::Pid::from_raw(child).expect("a process id is not zero");
    rustix::process::kill_process(child, rustix::process::Signal::KILL).expect("it still runs");
    assert_eq!(texts(&workspace.join("capture"), "stdout"), ["parent"]);
    assert!(number(&summary(&workspace.join("s.json")), "/still_running") >= 1);
}

#[test]
fn programs_that_replace_each_other_at_once_are_all_captured() {
    let workspace = Workspace::new();
    // Each round is one process that becomes five programs within a few milliseconds.
    let script =
        "i=0; while [ $i -lt 50 ]; do (exec env env env env echo line $i); i=$((i+1)); done";
    tapped(workspace.path(), &["-q", "--", "sh", "-c", script]);
    let expected: Vec<String> = (0..50).map(|line| format!("line {line}")).collect();
    assert_eq!(texts(&workspace.join("capture"), "stdout"), expected);
}

#[test]
fn inspect_and_grep_read_what_it_wrote() {
    let workspace = Workspace::new();
    let script = "echo apple; echo banana; echo cherry >&2";
    tapped(workspace.path(), &["-q", "--", "sh", "-c", script]);
    let shown = |words: &[&str]| -> String {
        let mut reading: Command = command(logtap());
        let output = reading.args(words).current_dir(workspace.path()).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("reports are text")
    };
    assert!(shown(&["inspect"]).contains('3'), "{}", shown(&["inspect"]));
    let found = shown(&["grep", "an+a"]);
    assert!(found.contains("banana") && !found.contains("apple"), "{found}");
    assert_eq!(shown(&["grep", "an+a", "capture"]), found);
}

#[test]
fn a_program_that_changes_its_user_is_still_captured() {
    let Some(setpriv) = require("setpriv") else { return };
    if !rustix::process::geteuid().is_root() {
        return crate::support::machine::skip("only root can become somebody else");
    }
    let workspace = Workspace::new();
    let setpriv = setpriv.to_str().expect("tests use plain paths");
    let script = "echo as somebody else; echo and on stderr >&2";
    let words = ["-q", "--", setpriv, "--reuid=12345", "--regid=12345", "--clear-groups"];
    let outcome = tapped(workspace.path(), &[&words[..], &["sh", "-c", script]].concat());
    assert_eq!(outcome.stdout, b"as somebody else\n");
    assert_eq!(texts(&workspace.join("capture"), "stdout"), ["as somebody else"]);
    assert_eq!(texts(&workspace.join("capture"), "stderr"), ["and on stderr"]);
}

#[test]
fn of_progress_lines_the_last_state_is_kept_where_that_is_asked_for_and_all_bytes_elsewhere() {
    let Some(python) = require("python3") else { return };
    let script = "import os, sys, time\n\
        for n in range(101): os.write(1, b'\\r\\x1b[K%3d%% of it' % n)\n\
        os.write(1, b'\\nplain\\r\\nhalf')\n\
        os.write(2, b'no end 1\\rno end 2')";
    let python = python.to_str().expect("tests use plain paths");
    let words = ["--summary", "s.json", "--", python, "-c", script];
    let workspace = Workspace::new();
    let outcome = tapped(workspace.path(), &[&["--collapse-progress"], &words[..]].concat());
    let capture = workspace.join("capture");
    assert_eq!(texts(&capture, "stdout"), ["\x1b[K100% of it", "plain", "half"]);
    assert_eq!(texts(&capture, "stderr"), ["no end 2"]);
    assert_eq!(number(&summary(&workspace.join("s.json")), "/collapsed_states"), 101);
    let told = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert!(told.contains("101 states of progress lines left out (--collapse-progress)"), "{told}");

    let workspace = Workspace::new();
    tapped(workspace.path(), &words);
    let kept = texts(&workspace.join("capture"), "stdout");
    assert!(kept[0].starts_with("\r\x1b[K  0% of it\r") && kept[0].ends_with("100% of it"));
    assert_eq!(kept[1..], ["plain\r", "half"]);
    assert_eq!(number(&summary(&workspace.join("s.json")), "/collapsed_states"), 0);
}
