//! The variables where they are not given, or given badly: a program is never disturbed, and debug mode says why.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::puppet::tapped;
use crate::support::compile::compile;
use crate::support::workspace::Workspace;

/// Runs a shell that writes "out" and "err", preloaded with these variables alone.
fn run(variables: &[(&str, &str)]) -> Output {
    let mut shell = tapped(Path::new("sh"), &[]);
    shell.env_remove("LLT_TAP_INTO").envs(variables.iter().copied());
    shell.args(["-c", "echo out; echo err >&2"]).output().expect("sh")
}

/// The same with a file target of its own. What the file holds, if it is there.
fn run_into_a_file(variables: &[(&str, &str)]) -> (Output, Option<String>) {
    let workspace = Workspace::new();
    let log: PathBuf = workspace.join("log");
    let target = format!("file:{}", log.display());
    let mut all = vec![("LLT_TARGET", target.as_str())];
    all.extend_from_slice(variables);
    let output = run(&all);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::metadata(&log).is_ok(), log.exists());
    (output, fs::read_to_string(&log).ok())
}

#[test]
fn nothing_is_tapped_unless_it_is_asked_for() {
    let (output, log) = run_into_a_file(&[]);
    assert_eq!((output.stdout, output.stderr, log), (b"out\n".into(), b"err\n".into(), None));
    let (_, log) = run_into_a_file(&[("LLT_TAP_INTO", "0")]);
    assert_eq!(log, None);
}

#[test]
fn the_streams_are_chosen_by_their_bits() {
    for (value, expected) in [("1", "out\n"), ("2", "err\n"), ("3", "out\nerr\n")] {
        let (output, log) = run_into_a_file(&[("LLT_TAP_INTO", value)]);
        assert_eq!(log.as_deref(), Some(expected));
        assert_eq!((output.stdout, output.stderr), (b"out\n".into(), b"err\n".into()));
    }
}

#[test]
fn suppression_is_off_until_it_is_asked_for_and_then_of_both_streams() {
    let (output, log) = run_into_a_file(&[("LLT_TAP_INTO", "3"), ("LLT_SUPPRESS_STDOUT", "true")]);
    assert_eq!((output.stdout, output.stderr), (Vec::new(), Vec::new()));
    assert_eq!(log.as_deref(), Some("out\nerr\n"));
    let (output, _) = run_into_a_file(&[("LLT_TAP_INTO", "1"), ("LLT_SUPPRESS_STDOUT", "true")]);
    assert_eq!(
        (output.stdout, output.stderr),
        (Vec::new(), b"err\n".into()),
        "only what is tapped"
    );
}

#[test]
fn without_a_target_the_file_of_liblogtap_is_appended_to() {
    // Other tests and other people may write there too: only our own line counts.
    let mark = format!("line of process {}", std::process::id());
    let mut shell = tapped(Path::new("sh"), &[]);
    let output = shell.args(["-c", "echo \"$0\"", &mark]).output().expect("sh");
    assert_eq!(output.stdout, format!("{mark}\n").as_bytes());
    let log = fs::read_to_string("/tmp/liblogtap.log").expect("the default target");
    assert!(log.lines().any(|line| line == mark));
}

#[test]
fn a_bad_value_leaves_the_program_alone_and_debug_mode_names_it() {
    for (name, value) in [
        ("LLT_TARGET", "tcp:somewhere"),
        ("LLT_TARGET", "socket:"),
        ("LLT_TAP_INTO", "4"),
        ("LLT_TARGET_1STCONNECT", "soon"),
        ("LLT_TARGET_RECONNECT", "-1"),
        ("LLT_EXIT_WAIT", "x"),
        ("LLT_LINE_BUFFERED", "maybe"),
    ] {
        let (output, log) =
            run_into_a_file(&[("LLT_TAP_INTO", "3"), ("LLT_DEBUG_MODE", "true"), (name, value)]);
        assert_eq!((output.stdout.as_slice(), log), (b"out\n".as_slice(), None), "{name}");
        let said = String::from_utf8(output.stderr).expect("text");
        assert!(said.contains(&format!("the value of {name} cannot be read")), "{said}");
    }
}

#[test]
fn an_empty_value_is_as_good_as_none() {
    for name in
        ["LLT_TARGET_1STCONNECT", "LLT_EXIT_WAIT", "LLT_ON_FULL", "LLT_RING_SIZE", "LLT_STREAMS"]
    {
        let variables = [("LLT_TAP_INTO", "1"), ("LLT_DEBUG_MODE", "true"), (name, "")];
        let (output, log) = run_into_a_file(&variables);
        assert_eq!(log.as_deref(), Some("out\n"), "{name}: {output:?}");
    }
}

#[test]
fn a_pattern_that_can_match_nothing_is_named_in_debug_mode() {
    let variables = [
        ("LLT_TAP_INTO", "1"),
        ("LLT_DEBUG_MODE", "true"),
        ("LLT_TAP_FILE", "/a:app.log:**/b.log"),
    ];
    let (output, log) = run_into_a_file(&variables);
    assert_eq!(log.as_deref(), Some("out\n"));
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(
        said.contains("`app.log` in LLT_TAP_FILE never matches: paths are absolute\n"),
        "{said}"
    );
    assert!(!said.contains("`/a`") && !said.contains("b.log"), "{said}");
}

#[test]
fn what_debug_mode_says_last_has_what_libc_flushes_last() {
    let Some(program) = compile("gcc", "stdio.c", &["-O1"]) else { return };
    let workspace = Workspace::new();
    let log = workspace.join("log");
    let target = format!("file:{}", log.display());
    let variables = [("LLT_TARGET", target.as_str()), ("LLT_DEBUG_MODE", "true")];
    let mut tapped = tapped(&program, &variables);
    // What is in stdio's buffers of a pipe is written when the program has ended.
    let output = tapped.env("LLT_TAP_INTO", "1").output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.lines().rfind(|line| line.starts_with("[liblogtap ")).expect("a last line");
    let length = output.stdout.len();
    assert_eq!(fs::read(&log).expect("the copy"), output.stdout);
    let counts = format!("({length} bytes), delivered {length} bytes, lost 0 bytes");
    assert!(last.ends_with(&counts), "{last}");
}

#[test]
fn nothing_is_said_without_debug_mode() {
    let (output, _) = run_into_a_file(&[("LLT_TAP_INTO", "4")]);
    assert_eq!(output.stderr, b"err\n");
}

#[test]
fn the_environment_of_the_program_stays_as_it_is() {
    let mut env = tapped(Path::new("env"), &[("LLT_TARGET", "file:/dev/null")]);
    let output = env.output().expect("env");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("PYTHONUNBUFFERED"));
}
