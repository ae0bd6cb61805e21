//! Programs below the command that the tap does not reach are named in the summary, with the reason.

use std::path::Path;

use serde_json::Value;

use crate::run_command::{summary, tapped};
use crate::support::capture;
use crate::support::compile::{compile, compile_go};
use crate::support::machine::{require, skip};
use crate::support::workspace::{Workspace, command, copy_program, logtap};

/// Runs a shell script and returns what was named: program and reason.
fn named(workspace: &Workspace, options: &[&str], script: &str) -> Vec<(String, String)> {
    let words = [&["-q", "--summary", "s.json"], options, &["--", "sh", "-c", script]].concat();
    tapped(workspace.path(), &words);
    unreached(&summary(&workspace.join("s.json")))
}

/// The programs that a summary names.
fn unreached(summary: &Value) -> Vec<(String, String)> {
    let found = summary["unreached"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    found.map(|found| (text(&found["program"]), text(&found["reason"]))).collect()
}

fn is_named(found: &[(String, String)], program: &Path, reason: &str) {
    let program = program.canonicalize().expect("it is there");
    let name = program.to_str().expect("tests use plain paths");
    let ours = found.iter().find(|(program, _)| program == name);
    assert!(ours.is_some_and(|(_, why)| why.contains(reason)), "{name} {reason}: {found:?}");
}

#[test]
fn a_static_child_of_a_shell() {
    let Some(program) = compile("gcc", "static.c", &["-O1", "-static"]) else { return };
    let workspace = Workspace::new();
    let found = named(&workspace, &[], &format!("{}; echo after", program.display()));
    is_named(&found, &program, "static executable");
}

#[test]
fn a_static_child_in_another_directory_is_named_once() {
    let Some(program) = compile("gcc", "echo.c", &["-O1", "-static"]) else { return };
    let workspace = Workspace::new();
    let place = workspace.directory("elsewhere");
    copy_program(&program, &place.join("program"));
    // Alive when it is looked for, so that both ways of noticing see it: looks are tenths of a second apart, on a busy
    // machine more.
    let script = "cd elsewhere; (sleep 2; echo enough) | ./program; echo after";
    let found = named(&workspace, &[], script);
    is_named(&found, &place.join("program"), "static executable");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_go_child_of_a_shell() {
    let Some(program) = compile_go("writer.go") else { return };
    let workspace = Workspace::new();
    let found = named(&workspace, &[], &format!("{}; echo after", program.display()));
    is_named(&found, &program, "Go program");
}

#[test]
fn a_child_without_the_environment() {
    let Some(sleep) = require("sleep") else { return };
    let workspace = Workspace::new();
    let found = named(&workspace, &[], &format!("env -i {} 0.2; echo after", sleep.display()));
    is_named(&found, &sleep, "without LD_PRELOAD");
}

#[test]
fn children_that_are_reached_are_not_named() {
    let workspace = Workspace::new();
    let found = named(&workspace, &[], "ls / | cat >/dev/null; (echo sub); /bin/echo done");
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_setuid_child_of_another_user() {
    let (Some(setpriv), Some(id)) = (require("setpriv"), require("id")) else { return };
    if !rustix::process::geteuid().is_root() {
        return skip("only root can make a program setuid for another");
    }
    let workspace = Workspace::new();
    let program = workspace.join("setuid-id");
    copy_program(&id, &program);
    let permit = |path: &Path, mode: u32| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("it is ours");
    };
    permit(workspace.path(), 0o777);
    let user = ["--reuid=12345", "--regid=12345", "--clear-groups"];
    let as_user = |words: &[&str]| {
        let mut somebody = command(&setpriv);
        somebody.args(user).arg(logtap()).args(words).current_dir(workspace.path());
        somebody.output().expect("setpriv starts")
    };
    if !as_user(&["--version"]).status.success() {
        return skip("another user cannot reach the command");
    }
    let program = program.to_str().expect("tests use plain paths");
    let shell = format!("for i in 1 2 3 4 5 6 7 8 9 10; do {program} -u; done; echo after");
    let spawning = format!(
        "import os\nfor i in range(10): \
         os.waitpid(os.posix_spawn({program:?}, [{program:?}, '-u'], os.environ), 0)\nprint('after')"
    );
    // Whoever may run it may not always read it.
    for mode in [0o4755, 0o4711] {
        permit(Path::new(program), mode);
        for words in [["sh", "-c", &shell], ["python3", "-c", &spawning]] {
            drop(std::fs::remove_dir_all(workspace.join("capture")));
            let output =
                as_user(&[&["run", "-q", "--summary", "s.json", "--"][..], &words].concat());
            assert_eq!(output.stdout, ["0\n".repeat(10), "after\n".into()].concat().as_bytes());
            let summary = summary(&workspace.join("s.json"));
            is_named(&unreached(&summary), Path::new(program), "setuid");
            assert_eq!(summary["unreached"][0]["processes"], 10, "{words:?}: {summary}");
        }
    }
}

#[test]
fn children_that_are_spawned_by_a_tapped_program_that_lives_on_are_named() {
    let Some(program) = compile("gcc", "static.c", &["-O1", "-static"]) else { return };
    let Some(python) = require("python3") else { return };
    let workspace = Workspace::new();
    let script = format!(
        "import os\nfor i in range(3): os.waitpid(os.posix_spawn({program:?}, ['x'], os.environ), 0)"
    );
    let words =
        ["-q", "--summary", "s.json", "--", python.to_str().expect("a path"), "-c", &script];
    tapped(workspace.path(), &words);
    is_named(&unreached(&summary(&workspace.join("s.json"))), &program, "static executable");
}

#[test]
fn what_they_write_to_files_is_followed() {
    let Some(program) = compile("gcc", "static.c", &["-O1", "-static"]) else { return };
    let workspace = Workspace::new();
    std::fs::write(workspace.join("static.log"), "this was there before\n").expect("it is ours");
    let script = format!("{}; echo tapped >>own.log", program.display());
    named(&workspace, &["--file", "static.log", "--file", "own.log"], &script);
    let captured = capture::read(&workspace.join("capture"));
    let written = std::fs::read(workspace.join("static.log")).expect("it is there");
    let new = written.strip_prefix(b"this was there before\n").unwrap_or(&written);
    let of = |name: &str| capture::of_file(&captured, &workspace.join(name));
    assert!(of("static.log") == crate::support::running::lines(new), "not what was written");
    assert_eq!(of("own.log"), [b"tapped".to_vec()]);
    let sources: Vec<_> = captured
        .iter()
        .filter(|line| line.label("stream") == "file")
        .map(|line| line.label("source"))
        .collect();
    assert!(sources.contains(&"tail") && sources.contains(&"preload"), "{sources:?}");
}

/// Nothing reads what is cut off between two looks at a file, so nobody says that nothing is lost; and what was never
/// written is not stored.
#[test]
fn a_followed_file_that_is_cut_has_no_zeros_and_the_summary_says_that_lines_may_be_missing() {
    let Some(program) = compile("gcc", "cut.c", &["-O1", "-static"]) else { return };
    let workspace = Workspace::new();
    let words = ["--file", "cut.log", "--summary", "s.json", "--"];
    let outcome = tapped(workspace.path(), &[&words[..], &[program.to_str().unwrap()]].concat());
    let told = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert!(outcome.status.success(), "{told}");
    let of =
        capture::of_file(&capture::read(&workspace.join("capture")), &workspace.join("cut.log"));
    let expected: Vec<_> = (0..200).map(|line| format!("line {line}").into_bytes()).collect();
    assert!(of == expected, "{} lines", of.len());
    assert!(summary(&workspace.join("s.json"))["truncations"].as_u64() >= Some(1));
    assert!(!told.contains("nothing lost"), "{told}");
    for part in [", lines may be missing", "cut.log` was truncated 1 time while", " of holes"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}
