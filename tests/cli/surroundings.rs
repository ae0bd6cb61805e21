//! What a command sees of the world under `logtap run`: the same as without, but for the variables
//! of the library.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::compile::compile;
use crate::support::machine::require;
use crate::support::workspace::{Workspace, command, logtap};

/// Runs a script plain and tapped, in a shell that prepares the world.
fn both(prepare: &str, words: &str) -> (Output, Output) {
    let workspace = Workspace::new();
    let run = |prefix: &str| {
        let mut shell: Command = command("sh");
        shell.args(["-c", &format!("{prepare}\n{prefix}{words}")]).current_dir(workspace.path());
        shell.output().expect("sh starts")
    };
    let tapped = format!("{} run -q -- ", logtap().display());
    (run(""), run(&tapped))
}

fn same(prepare: &str, words: &str) {
    let (plain, tapped) = both(prepare, words);
    assert_eq!(plain, tapped, "{prepare} {words}");
}

#[test]
fn signals_are_ignored_blocked_and_caught_as_they_were() {
    let words = "grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status";
    same("", words);
    same("trap '' PIPE HUP CHLD USR1 INT", words);
}

#[test]
fn descriptors_are_those_that_were_open() {
    same("", "ls /proc/self/fd");
    same("exec 5</dev/null 7>&1", "ls /proc/self/fd");
    same("exec <&-", "ls /proc/self/fd");
    same("exec >&-", "ls /proc/self/fd");
    same("exec 2>&-", "ls /proc/self/fd");
}

#[test]
fn limits_session_and_directory_are_the_caller_s() {
    same("ulimit -n 100; ulimit -c 0", "cat /proc/self/limits");
    same("", "pwd");
    let Some(ps) = require("ps") else { return };
    let words = format!("{} -o pgid=,sid=,tpgid= $$", ps.display());
    let (plain, tapped) = both("", &format!("sh -c '{words} | wc -l'"));
    assert_eq!(plain, tapped);
}

#[test]
fn variables_keep_their_order_and_values() {
    let (plain, tapped) = both("export ZED=1 ALPHA='two words'", "env");
    let of = |output: &Output| -> Vec<String> {
        let text = String::from_utf8(output.stdout.clone()).expect("variables are text");
        // The last one lets programs with an address sanitizer start beside a preloaded library.
        let ours = |line: &&str| {
            line.starts_with("LLT_")
                || line.starts_with("LD_PRELOAD=")
                || *line == "ASAN_OPTIONS=verify_asan_link_order=0"
        };
        text.lines().filter(|line| !ours(line)).map(str::to_owned).collect()
    };
    assert_eq!(of(&plain), of(&tapped));
    assert!(of(&plain).contains(&"ALPHA=two words".to_owned()));
}

#[test]
fn a_program_that_is_not_preloaded_sees_the_same_world() {
    let Some(program) = compile("gcc", "echo.c", &["-O1", "-static"]) else { return };
    same("", &format!("{} </proc/self/limits", program.display()));
    same("exec 2>&-", &format!("{} </proc/self/limits", program.display()));
}

#[test]
fn what_a_daemon_writes_after_run_has_ended_arrives() {
    let Some(program) = compile("gcc", "daemon.c", &["-O1", "-static"]) else { return };
    let workspace = Workspace::new();
    let output = command(logtap())
        .args(["run", "--linger", "0", "--"])
        .arg(program)
        .current_dir(workspace.path())
        .output()
        .expect("logtap starts");
    // Both pipes are read until their last writer has gone.
    assert_eq!(output.stdout, b"parent\nchild\n");
    let said = String::from_utf8(output.stderr).expect("messages are text");
    assert!(said.contains("1 process still runs"), "{said}");
}

#[test]
fn a_broken_pipe_kills_the_command_as_it_would_without() {
    let workspace = Workspace::new();
    let Some(bash) = require("bash") else { return };
    for (name, flags) in [("pipes", &["-O1"][..]), ("static", &["-O1", "-static"])] {
        let Some(program) = compile("gcc", "echo.c", flags) else { return };
        let script = format!(
            "yes | {} run -q -- {} | head -1; echo ${{PIPESTATUS[@]:1:2}}",
            logtap().display(),
            program.display()
        );
        let output = command(&bash).args(["-c", &script]).current_dir(workspace.path()).output();
        assert_eq!(output.expect("bash starts").stdout, b"listening\n141 0\n", "{name}");
    }
}

#[test]
fn nothing_of_a_run_is_left_in_memory() {
    let workspace = Workspace::new();
    let outcome = command(logtap())
        .args(["run", "-q", "--", "sh", "-c", "echo $LLT_TARGET; echo $LD_PRELOAD"])
        .current_dir(workspace.path())
        .output()
        .expect("logtap starts");
    let text = String::from_utf8(outcome.stdout).expect("paths are text");
    let paths: Vec<&str> = text.lines().map(|line| line.trim_start_matches("tap:")).collect();
    assert_eq!(paths.len(), 2);
    for path in paths {
        assert!(path.starts_with('/') && !Path::new(path).exists(), "{path}");
    }
}
