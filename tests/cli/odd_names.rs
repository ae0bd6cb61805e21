//! Paths with blanks, line ends and bytes that are no text, wherever a command takes or tells a path.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::running::{Streams, run};
use crate::support::workspace::{Workspace, command, copy_program, logtap};

const ODD: &[u8] = b"a b\n\xff'\"";

#[test]
fn a_capture_of_any_name_is_told_as_json_and_read_again() {
    let workspace = Workspace::new();
    let odd = OsStr::from_bytes(ODD);
    let mut tapped = command(logtap());
    tapped
        .args(["run", "--json", "--summary", "s.json", "--dir"])
        .arg(odd)
        .args(["--", "echo", "hi"]);
    let outcome = run(tapped, Streams::Pipes, workspace.path(), &["s.json"]);
    assert!(outcome.status.success(), "{outcome:?}");
    let summary: Value = serde_json::from_slice(&outcome.stderr).expect("one object");
    let told = summary["capture"].as_str().expect("a path");
    assert!(told.ends_with("a b\n\u{fffd}'\""), "{summary}");
    let file: Value = serde_json::from_slice(&outcome.files["s.json"]).expect("one object");
    assert_eq!(file["capture"], summary["capture"]);
    for words in [&["inspect", "--json"][..], &["grep", "--format", "json", "hi"]] {
        let mut reader = command(logtap());
        reader.args(words).arg(odd);
        let outcome = run(reader, Streams::Pipes, workspace.path(), &[]);
        assert!(outcome.status.success(), "{words:?}: {outcome:?}");
        let _answer: Value = serde_json::from_slice(&outcome.stdout).expect("JSON");
    }
}

#[test]
fn a_program_and_a_file_of_any_name_are_tapped_and_looked_at() {
    let workspace = Workspace::new();
    let odd = OsStr::from_bytes(ODD);
    let program = workspace.join(odd);
    copy_program(Path::new("/bin/echo"), &program);
    let mut doctor = command(logtap());
    doctor.args(["doctor", "--json"]).arg(&program);
    let outcome = run(doctor, Streams::Pipes, workspace.path(), &[]);
    let report: Value = serde_json::from_slice(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    assert_eq!(report["kind"], "program", "{report}");
    let mut doctor = command(logtap());
    doctor.args(["doctor", "--json"]).arg(workspace.path());
    let outcome = run(doctor, Streams::Pipes, workspace.path(), &[]);
    let report: Value = serde_json::from_slice(&outcome.stdout).expect("JSON");
    assert_eq!(report["kind"], "application", "{report}");
    let mut tapped = command(logtap());
    tapped.args(["run", "--json", "--file", "log *", "--"]).arg(&program).arg("hi");
    let outcome = run(tapped, Streams::Pipes, workspace.path(), &[]);
    assert_eq!(outcome.stdout, b"hi\n");
    let summary: Value = serde_json::from_slice(&outcome.stderr).expect("one object");
    assert_eq!(summary["total"]["lines"], 1, "{summary}");
}

#[test]
fn a_library_or_its_copy_is_told_by_its_bytes() {
    let workspace = Workspace::new();
    let directory = workspace.directory(OsStr::from_bytes(b"x\xff"));
    let mut inject = command(logtap());
    inject.args(["inject", "--install"]).arg(&directory);
    let outcome = run(inject, Streams::Pipes, workspace.path(), &[]);
    let expected = [directory.as_os_str().as_bytes(), b"/liblogtap.so\n"].concat();
    assert_eq!(outcome.stdout, expected, "{outcome:?}");
}

#[test]
fn what_would_match_no_file_is_refused() {
    let workspace = Workspace::new();
    workspace.directory("logs");
    for (file, text, hint) in [
        ("", "error: `--file` needs a path", "hint: name a file"),
        ("logs", "error: `logs` is a directory, and no file to tap", "--file 'logs/*'"),
    ] {
        let mut refused = command(logtap());
        refused.args(["run", "--file", file, "--", "touch", "started"]);
        let outcome = run(refused, Streams::Pipes, workspace.path(), &[]);
        let told = String::from_utf8(outcome.stderr).expect("messages are text");
        assert_eq!(outcome.status.code(), Some(125), "{told}");
        assert!(told.contains(text) && told.contains(hint), "{told}");
        assert!(!workspace.join("started").exists() && !workspace.join("capture").exists());
    }
}
