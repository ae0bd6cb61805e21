//! `file:` targets: whole writes, one after the other, in the file that has the name.

use std::fs;
use std::path::Path;

use super::puppet::{Puppet, program, tapped};
use crate::support::difference::{Order, difference};
use crate::support::running::lines;
use crate::support::workspace::Workspace;

fn start(workspace: &Workspace, program: &Path, more: &[(&str, &str)]) -> Puppet {
    let target = format!("file:{}", workspace.join("log").display());
    let mut variables = vec![("LLT_TARGET", target.as_str())];
    variables.extend_from_slice(more);
    Puppet::start(workspace, program, &variables)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("the file")
}

macro_rules! stage {
    () => {{
        let Some(program) = program() else { return };
        let workspace = Workspace::new();
        let log = workspace.join("log");
        (workspace, program, log)
    }};
}

#[test]
fn writes_are_appended_to_what_is_there() {
    let (workspace, program, log) = stage!();
    fs::write(&log, "kept\n").expect("a file");
    let mut puppet = start(&workspace, &program, &[]);
    puppet.tell("w one");
    assert_eq!(read(&log), "kept\none\n");
    puppet.tell("l two, at the end");
    assert!(puppet.end().0.success());
    assert_eq!(read(&log), "kept\none\ntwo, at the end\n");
}

#[test]
fn four_busy_threads_and_a_child_lose_nothing() {
    let (workspace, program, log) = stage!();
    let mut puppet = start(&workspace, &program, &[]);
    puppet.tell("t");
    puppet.tell("f child line");
    let shown = puppet.shown();
    let counts = puppet.counts();
    assert_eq!((counts.taken_records, counts.lost_records), (80_000, 0));
    assert!(puppet.end().0.success());
    let received = fs::read(&log).expect("the file");
    assert_eq!(difference(&lines(shown.as_bytes()), &lines(&received), Order::PerWriter), None);
}

#[test]
fn the_file_may_be_renamed_removed_and_truncated() {
    let (workspace, program, log) = stage!();
    let mut puppet = start(&workspace, &program, &[]);
    puppet.tell("w one");
    fs::rename(&log, workspace.join("log.1")).expect("a rename");
    puppet.tell("w two");
    assert_eq!(read(&workspace.join("log.1")), "one\n");
    assert_eq!(read(&log), "two\n");
    fs::remove_file(&log).expect("a removal");
    puppet.tell("w three");
    assert_eq!(read(&log), "three\n");
    // copytruncate: no hole of zeros where the old text was.
    fs::File::options().write(true).open(&log).expect("the file").set_len(0).expect("a cut");
    puppet.tell("w four");
    assert_eq!(read(&log), "four\n");
    assert!(puppet.end().0.success());
}

#[test]
fn nothing_is_lost_while_the_file_is_rotated_under_busy_threads() {
    let (workspace, program, log) = stage!();
    let mut puppet = start(&workspace, &program, &[]);
    puppet.say("t");
    let mut parts = Vec::new();
    while puppet.shown().len() < 1_500_000 {
        let part = workspace.join(format!("log.{}", parts.len()));
        if fs::rename(&log, &part).is_ok() {
            parts.push(part);
        }
    }
    // The answer to the first word comes first.
    puppet.tell("w t0 the end");
    puppet.tell("w t0 and over");
    let counts = puppet.counts();
    assert_eq!(counts.lost_bytes, 0, "{counts:?}");
    let stdout = workspace.join("stdout");
    assert!(puppet.end().0.success());
    parts.push(log);
    let mut received: Vec<Vec<u8>> =
        parts.iter().flat_map(|part| lines(&fs::read(part).unwrap_or_default())).collect();
    let mut expected = lines(&fs::read(stdout).expect("its stdout"));
    received.sort();
    expected.sort();
    assert_eq!(difference(&expected, &received, Order::Total), None);
}

#[test]
fn a_program_that_closes_all_and_reuses_every_number_finds_no_log_in_its_file() {
    let (workspace, program, log) = stage!();
    let mut puppet = start(&workspace, &program, &[]);
    puppet.tell("w before");
    puppet.tell("c");
    puppet.tell("w after");
    assert_eq!(read(&log), "before\nafter\n");
    assert_eq!(read(&workspace.join("data.db")), "");
    assert!(!puppet.tell("x").contains(log.to_str().expect("text")));
    assert!(puppet.end().0.success());
}

#[test]
fn a_file_that_cannot_be_written_costs_the_program_nothing_and_is_counted() {
    let (workspace, program, log) = stage!();
    fs::create_dir(&log).expect("a directory where the file should be");
    let mut puppet = start(&workspace, &program, &[("LLT_SUPPRESS_STDOUT", "true")]);
    puppet.tell("w one");
    assert_eq!(puppet.shown(), "one\n", "not suppressed: it went nowhere else");
    let counts = puppet.counts();
    assert_eq!((counts.lost_records, counts.lost_bytes, counts.delivered_bytes), (1, 4, 0));
    assert!(puppet.end().0.success());
}

#[test]
fn a_limit_on_file_sizes_does_not_kill_the_program() {
    let (_workspace, _, log) = stage!();
    let target = format!("file:{}", log.display());
    let mut shell = tapped(Path::new("bash"), &[("LLT_TARGET", target.as_str())]);
    // 1024 bytes; the pipe that is stdout has no limit.
    let script = "ulimit -f 1; for i in {1..400}; do echo line $i; done; echo the end";
    let output = shell.args(["-c", script]).output().expect("bash");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.ends_with(b"the end\n"));
    let length = fs::metadata(&log).expect("the file").len();
    assert!((900..=1024).contains(&length), "{length}");
}

#[test]
fn suppressed_writes_are_in_the_target_alone() {
    let (workspace, program, log) = stage!();
    let tapped_file = workspace.join("app.log");
    let variables = [
        ("LLT_TAP_INTO", "0"),
        ("LLT_TAP_FILE", tapped_file.to_str().expect("text")),
        ("LLT_SUPPRESS_TAP_FILE", "true"),
    ];
    let target = format!("file:{}", log.display());
    let mut shell = tapped(Path::new("sh"), &variables);
    shell.env("LLT_TARGET", target);
    let script = format!("echo shown; echo kept from the disk >>{}", tapped_file.display());
    let output = shell.args(["-c", &script]).output().expect("sh");
    assert_eq!(output.stdout, b"shown\n");
    assert_eq!(read(&tapped_file), "");
    assert_eq!(read(&log), "kept from the disk\n");
    drop(program);
}
