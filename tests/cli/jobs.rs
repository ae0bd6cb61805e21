//! Job control: under `logtap run` a command behaves in a terminal as without.

use super::typing::Terminal;
use crate::support::capture;
use crate::support::compile::compile;
use crate::support::workspace::{Workspace, logtap};

const INTERRUPT: &str = "\x03";
const STOP: &str = "\x1a";
const END: &str = "\x04";

fn tapped(options: &str, command: &str) -> String {
    format!("{} run {options} -- {command}", logtap().display())
}

/// Writes a script, so that what it prints does not stand in the line that is typed.
fn script(workspace: &Workspace, text: &str) -> &'static str {
    std::fs::write(workspace.join("script"), text).expect("a fresh directory");
    "sh script"
}

#[test]
fn ctrl_c_ends_the_command_and_run_says_what_it_caught() {
    let workspace = Workspace::new();
    // Not a shell: those look away from signals for moments.
    let Some(program) = compile("gcc", "echo.c", &["-O1"]) else { return };
    let Some(mut terminal) = Terminal::open(workspace.path()) else { return };
    terminal.run(&tapped("", &program.display().to_string()), "listening\r\n");
    // Who reads has written all before; the last write may be cut off by the signal.
    terminal.type_in("one\n");
    terminal.wait_for("one\r\none\r\n");
    terminal.type_in(INTERRUPT);
    let said = terminal.wait_for("ready$ ");
    assert!(said.contains("1 line") || said.contains("2 lines"), "{said}");
    assert!(said.contains("nothing lost"), "{said}");
    assert!(terminal.run("echo code $?", "ready$ ").contains("code 130"));
}

#[test]
fn a_command_that_handles_ctrl_c_decides_itself() {
    let workspace = Workspace::new();
    let Some(mut terminal) = Terminal::open(workspace.path()) else { return };
    let text = "trap 'echo caught; exit 7' INT; echo begun; while :; do sleep 0.05; done";
    terminal.run(&tapped("-q", script(&workspace, text)), "begun");
    terminal.type_in(INTERRUPT);
    terminal.wait_for("caught");
    terminal.wait_for("ready$ ");
    assert!(terminal.run("echo code $?", "ready$ ").contains("code 7"));
    let captured = capture::of_stream(&capture::read(&workspace.join("capture")), "stdout");
    assert_eq!(captured, [b"begun".to_vec(), b"caught".to_vec()]);
}

/// Stops a command that says again what it is told, looks at the jobs, and goes on with it.
fn stop_and_go_on(workspace: &Workspace, command: &str) {
    let Some(mut terminal) = Terminal::open(workspace.path()) else { return };
    terminal.run(&tapped("-q", command), "listening\r\n");
    terminal.type_in("one\n");
    terminal.wait_for("one\r\none\r\n");
    terminal.type_in(STOP);
    assert!(terminal.wait_for("ready$ ").contains("Stopped"));
    assert!(terminal.run("jobs", "ready$ ").contains("Stopped"));
    terminal.run("fg", "run -q");
    terminal.wait_for("\n");
    terminal.type_in("two\n");
    // As it is typed, and as it is said again.
    terminal.wait_for("two\r\n");
    terminal.wait_for("two\r\n");
    terminal.type_in(END);
    terminal.wait_for("ready$ ");
    assert!(terminal.run("echo code $?", "ready$ ").contains("code 0"));
    let captured = capture::of_stream(&capture::read(&workspace.join("capture")), "stdout");
    let expected = ["listening", "one", "two"].map(|line| line.as_bytes().to_vec());
    assert_eq!(captured, expected);
}

#[test]
fn ctrl_z_stops_the_job_and_fg_goes_on_with_it() {
    let workspace = Workspace::new();
    stop_and_go_on(&workspace, script(&workspace, "echo listening; exec cat"));
}

#[test]
fn a_command_that_is_not_preloaded_stops_and_goes_on_too() {
    let Some(program) = compile("gcc", "echo.c", &["-O1", "-static"]) else { return };
    stop_and_go_on(&Workspace::new(), &program.display().to_string());
}

#[test]
fn a_live_count_is_shown_only_where_the_terminal_is_free() {
    let workspace = Workspace::new();
    let Some(mut terminal) = Terminal::open(workspace.path()) else { return };
    let slow = script(&workspace, "echo hidden; while ! test -e enough; do sleep 0.05; done");
    terminal.run(&tapped("--suppress", slow), "logtap: 1 line (7 B)");
    std::fs::write(workspace.join("enough"), "").expect("a fresh directory");
    let said = terminal.wait_for("ready$ ");
    assert!(!said.contains("hidden") && said.contains("1 line (7 B) in "), "{said}");
    let shown = script(&workspace, "echo shown; sleep 0.6");
    let said = terminal.run(&tapped("", shown), "ready$ ");
    assert!(!said.contains("\x1b[K"), "{said}");
}
