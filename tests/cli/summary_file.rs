//! The file of a run's summary: what cannot take one is refused before the program starts, and nothing that is there
//! is lost.

use std::path::Path;

use rustix::process::geteuid;
use serde_json::Value;

use crate::run_command::{summary, tapped};
use crate::support::machine::require;
use crate::support::running::{Streams, run};
use crate::support::workspace::{Workspace, command, copy_program, logtap};

#[test]
fn what_cannot_be_written_is_refused_before_the_program_starts() {
    let workspace = Workspace::new();
    workspace.directory("folder");
    std::fs::write(workspace.join("plain"), "kept").expect("a fresh directory");
    for (file, why) in [
        ("folder", "Is a directory"),
        ("not/there", "No such file"),
        ("plain/below", "Not a directory"),
        ("/proc/version", "ermission denied"),
    ] {
        // Root may open what nobody can write.
        if geteuid().is_root() && file == "/proc/version" {
            continue;
        }
        let outcome = tapped(workspace.path(), &["--summary", file, "--", "touch", "started"]);
        let text = String::from_utf8(outcome.stderr).expect("messages are text");
        assert_eq!(outcome.status.code(), Some(125), "{text}");
        let cause = format!("error: failed to write the summary to `{file}`: {why}");
        assert!(text.contains(&cause) && text.contains("\nhint: name a file"), "{text}");
        assert!(!workspace.join("started").exists(), "the program had started");
        assert!(!workspace.join("capture").exists(), "a capture was left behind");
    }
}

#[test]
fn another_user_s_directory_is_refused_and_an_own_file_in_it_is_not() {
    let Some(setpriv) = require("setpriv") else { return };
    if !geteuid().is_root() {
        return;
    }
    let workspace = Workspace::new();
    let owned = workspace.join("owned.json");
    std::fs::write(&owned, "old").expect("a fresh directory");
    std::os::unix::fs::chown(&owned, Some(65534), Some(65534)).expect("root may");
    // The build may be where only root gets to.
    let program = workspace.join("logtap");
    if std::fs::hard_link(logtap(), &program).is_err() {
        copy_program(&logtap(), &program);
    }
    // Not a directory that it could use for a capture either: so the program is not started.
    let as_nobody = |file: &Path| {
        let mut nobody = command(&setpriv);
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        nobody
            .arg(&program)
            .args(["run", "-q", "--dir"])
            .arg(workspace.join("capture"))
            .arg("--summary");
        nobody.arg(file).args(["--", "true"]);
        run(nobody, Streams::Pipes, Path::new("/"), &[])
    };
    let refused = as_nobody(&workspace.join("new.json"));
    let text = String::from_utf8(refused.stderr).expect("messages are text");
    assert_eq!(refused.status.code(), Some(125), "{text}");
    assert!(text.contains("new.json`: Permission denied"), "{text}");
    // The directory of the capture is looked at next; the file was good, and is as it was.
    let outcome = as_nobody(&owned);
    let text = String::from_utf8(outcome.stderr).expect("messages are text");
    assert!(!text.contains("summary"), "{text}");
    assert_eq!(std::fs::read(&owned).expect("it is there"), b"old");
}

#[test]
fn a_file_is_there_until_a_new_summary_is() {
    let workspace = Workspace::new();
    std::fs::write(workspace.join("s.json"), "old").expect("a fresh directory");
    let outcome = tapped(workspace.path(), &["--summary", "s.json", "--", "no-such-program"]);
    assert_eq!(outcome.status.code(), Some(127), "{outcome:?}");
    assert_eq!(std::fs::read(workspace.join("s.json")).expect("it is there"), b"old");
    let seen = ["-q", "--summary", "s.json", "--", "cat", "s.json"];
    let outcome = tapped(workspace.path(), &seen);
    assert_eq!(outcome.stdout, b"old", "{outcome:?}");
    assert_eq!(summary(&workspace.join("s.json"))["total"]["lines"], 1);
    // One that is not there is not there before its time: who waits for it would read half of it.
    let seen = ["-q", "--summary", "new.json", "--", "test", "!", "-e", "new.json"];
    let outcome = tapped(workspace.path(), &seen);
    assert!(outcome.status.success(), "{outcome:?}");
    assert_eq!(summary(&workspace.join("new.json"))["exit_code"], 0);
}

#[test]
fn a_descriptor_is_written_to_behind_what_is_there() {
    let workspace = Workspace::new();
    let log = workspace.join("log");
    let mut shell = command("sh");
    shell.args([
        "-c",
        "echo before >log; \"$0\" run -q --summary /dev/stderr -- sh -c 'echo program >&2' 2>>log",
    ]);
    shell.arg(logtap());
    let outcome = run(shell, Streams::Pipes, workspace.path(), &[]);
    assert!(outcome.status.success(), "{outcome:?}");
    let text = std::fs::read_to_string(&log).expect("it is there");
    let rest = text.strip_prefix("before\nprogram\n").unwrap_or_else(|| panic!("{text}"));
    let story: Value = serde_json::from_str(rest).expect("a summary");
    assert_eq!(story["total"]["lines"], 1, "{story}");
}

#[test]
fn a_named_pipe_gets_the_summary_too() {
    let workspace = Workspace::new();
    let script = "mkfifo pipe; cat pipe >read & \"$0\" run -q --summary pipe -- echo hello; \
                  code=$?; wait; exit $code";
    let mut shell = command("sh");
    shell.args(["-c", script]);
    shell.arg(logtap());
    let outcome = run(shell, Streams::Pipes, workspace.path(), &[]);
    assert!(outcome.status.success(), "{outcome:?}");
    assert_eq!(summary(&workspace.join("read"))["total"]["lines"], 1);
}
