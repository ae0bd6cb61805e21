//! Mistakes: the exit code says what kind, the text says what and what to do, and with `--json` a
//! program can read it.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::workspace::{Workspace, command, logtap};

fn said(directory: &Path, words: &[&str]) -> Output {
    let mut refused = command(logtap());
    refused.args(words).current_dir(directory);
    refused.output().expect("logtap starts")
}

/// The exit code and what stands on stderr.
fn refused(words: &[&str]) -> (Option<i32>, String) {
    let workspace = Workspace::new();
    let output = said(workspace.path(), words);
    assert!(output.stdout.is_empty(), "an error is no answer: {output:?}");
    (output.status.code(), String::from_utf8(output.stderr).expect("messages are text"))
}

#[test]
fn the_kind_of_a_mistake_is_its_exit_code() {
    for (code, words) in [
        (2, &["no-such-command"][..]),
        (2, &["grep", "(", "capture"]),
        (2, &["grep", "x", "--from", "yesterday"]),
        (2, &["recv", "--dir", "x", "--listen", "nowhere"]),
        (2, &["recv", "--dir", "x", "--max-disk", "plenty"]),
        (2, &["collector", "--tap", "/dev/shm/x", "--to", "nonsense"]),
        (3, &["inspect"]),
        (3, &["grep", "x", "no-such-capture"]),
        (3, &["library", "--install", "no-such-directory"]),
        (125, &["run", "--no-such-flag", "true"]),
        (125, &["run", "--suppress=file", "--", "true"]),
        (125, &["run", "--label", "stream=mine", "--", "true"]),
        (125, &["run", "--to", "nonsense", "--", "true"]),
        (125, &["run"]),
    ] {
        // The pattern is looked at before the capture, which is not there.
        assert_eq!(refused(words).0, Some(code), "{words:?}: {}", refused(words).1);
    }
}

#[test]
fn a_message_is_one_fragment_and_a_hint() {
    let (_, text) = refused(&["inspect"]);
    insta::assert_snapshot!(text, @r"
    error: there is no capture in this directory
    hint: name one, or make one: logtap run -- CMD
    ");
    let (_, text) = refused(&["run", "--suppress=stderr", "--stdout", "--", "true"]);
    insta::assert_snapshot!(text, @r"
    error: `stderr` is not tapped, so it cannot be suppressed
    hint: add --stderr
    ");
    let (_, text) = refused(&["run", "--", "no-such-program"]);
    insta::assert_snapshot!(text, @"error: command `no-such-program` not found");
}

#[test]
fn a_program_that_is_here_and_not_in_the_path_is_pointed_at() {
    let workspace = Workspace::new();
    std::fs::write(workspace.join("start"), "#!/bin/sh\n").expect("a fresh directory");
    let output = said(workspace.path(), &["run", "--", "start"]);
    assert_eq!(output.status.code(), Some(127));
    let text = String::from_utf8(output.stderr).expect("messages are text");
    assert!(text.contains("hint: a file of that name is here: `./start`"), "{text}");
}

#[test]
fn a_program_can_read_the_mistake() {
    let (code, text) = refused(&["inspect", "--json"]);
    let mistake: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(mistake["exit_code"].as_i64(), code.map(Into::into));
    assert_eq!(mistake["error"], "not_found");
    assert_eq!(mistake["recoverable"], false);
}

#[test]
fn a_command_that_cannot_be_started_leaves_no_capture() {
    let workspace = Workspace::new();
    std::fs::write(workspace.join("script"), "#!/no/such/interpreter\n")
        .expect("a fresh directory");
    std::os::unix::fs::symlink("/dev/null", workspace.join("null")).expect("a fresh directory");
    let chmod = command("chmod").arg("755").arg(workspace.join("script")).status();
    assert!(chmod.is_ok_and(|status| status.success()));
    let output = said(workspace.path(), &["run", "--", "./script"]);
    assert_eq!(output.status.code(), Some(127), "{output:?}");
    assert!(!workspace.join("capture").exists());
}
