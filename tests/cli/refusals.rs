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
        (3, &["library", "--install", "/proc/no-such-directory"]),
        (3, &["inject", "--install", "no-such-directory"]),
        (2, &["grep", "x", "--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"]),
        (2, &["collector", "--tap", "/dev/shm/x", "--to", "tcp://nowhere"]),
        (2, &["redact", "/"]),
        (2, &["collector", "--tap", "/dev/shm/x", "--to", "http://x", "--ca", "/etc/passwd"]),
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
    insta::assert_snapshot!(text, @r"
    error: command `no-such-program` not found
    hint: name a program in PATH; what only a shell knows runs as `logtap run -- sh -c '...'`
    ");
    let (_, text) = refused(&["redact", "/"]);
    insta::assert_snapshot!(text, @r"
    error: failed to read `/`: Is a directory (os error 21)
    hint: name files of text, or none to read standard input
    ");
    let (_, text) = refused(&["grep", "a(", "."]);
    insta::assert_snapshot!(text, @r"
    error: `a(` is no regular expression: unclosed group
    hint: a backslash takes a character as it is: `\(`, `\.`, `\[`
    ");
}

#[test]
fn a_mistake_in_the_arguments_names_the_value_and_where_it_comes_from() {
    let workspace = Workspace::new();
    let (code, text) = refused(&["recv", "--dir", "c", "--max-disk", "lots"]);
    assert_eq!(code, Some(2));
    insta::assert_snapshot!(text, @r"
    error: --max-disk: `lots` is no size, such as 512KB, 256MB or 50GB
    hint: `logtap recv --help` explains every argument
    ");
    let mut receiver = command(logtap());
    receiver.args(["recv", "--dir", "c"]).env("LOGTAP_RECV_DISK_CAP", "lots");
    let output = receiver.current_dir(workspace.path()).output().expect("logtap starts");
    let text = String::from_utf8(output.stderr).expect("messages are text");
    assert!(text.contains("the environment variable `LOGTAP_RECV_DISK_CAP`"), "{text}");
    std::fs::write(workspace.join(".logtap.yaml"), "recv: {disk_cap: lots}\n").expect("a file");
    let output = said(workspace.path(), &["recv", "--dir", "c"]);
    let text = String::from_utf8(output.stderr).expect("messages are text");
    assert!(text.contains("the value of `--max-disk` comes from `recv.disk_cap` in"), "{text}");
    let output = said(workspace.path(), &["inspect", "--json", "--nonsense"]);
    let mistake: Value = serde_json::from_slice(&output.stderr).expect("it is JSON");
    assert_eq!(mistake["error"], "invalid_args");
}

#[test]
fn an_answer_that_cannot_be_written_is_named() {
    for words in [&["--help"][..], &["completion", "bash"]] {
        let mut full = command(logtap());
        let device = std::fs::File::options().write(true).open("/dev/full").expect("a device");
        let output = full.args(words).stdout(device).output().expect("logtap starts");
        let text = String::from_utf8(output.stderr).expect("messages are text");
        assert_eq!(output.status.code(), Some(1), "{words:?}: {text}");
        assert!(text.contains("failed to write standard output: No space"), "{words:?}: {text}");
    }
}

#[test]
fn a_library_is_installed_where_every_program_finds_it() {
    let workspace = Workspace::new();
    let output = said(workspace.path(), &["library", "--install", "a/b"]);
    let path = String::from_utf8(output.stdout).expect("a path");
    let whole = workspace.join("a/b/liblogtap.so").canonicalize().expect("it is there");
    assert_eq!(Path::new(path.trim_end()).canonicalize().ok(), Some(whole), "{path}");
    assert!(path.starts_with('/'), "{path}");
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
fn a_value_that_was_taken_for_the_command_is_pointed_at() {
    for (flag, value) in [("--suppress", "stdout"), ("--redact", "email,phone")] {
        let (code, text) = refused(&["run", flag, value, "true"]);
        assert_eq!(code, Some(127), "{text}");
        let hint = format!("stands behind a `=`: `={value}`");
        assert!(text.contains(&hint), "{text}");
    }
}

#[test]
fn a_program_can_read_the_mistake() {
    let (code, text) = refused(&["inspect", "--json"]);
    let mistake: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(mistake["exit_code"].as_i64(), code.map(Into::into));
    assert_eq!(mistake["error"], "not_found");
    assert_eq!(mistake["recoverable"], false);
    assert_eq!(mistake["hints"][0], "name one, or make one: logtap run -- CMD");
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
