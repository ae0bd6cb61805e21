//! `socket:` targets: what arrives, what does not, and what it costs the program.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use super::puppet::{Puppet, program, tapped};
use super::sink::Sink;
use crate::support::PATIENCE;
use crate::support::compile::compile;
use crate::support::difference::{Order, difference};
use crate::support::machine::require;
use crate::support::running::{Service, lines};
use crate::support::workspace::{Workspace, app, command};

/// Starts the puppet with a socket target in the workspace.
fn start(workspace: &Workspace, program: &Path, more: &[(&str, &str)]) -> Puppet {
    let target = format!("socket:{}", workspace.join("sink").display());
    let mut variables = vec![("LLT_TARGET", target.as_str()), ("LLT_TARGET_RECONNECT", "0")];
    variables.extend_from_slice(more);
    Puppet::start(workspace, program, &variables)
}

/// A workspace, the puppet's program, and the sink's path.
macro_rules! stage {
    () => {{
        let Some(program) = program() else { return };
        let workspace = Workspace::new();
        let path = workspace.join("sink");
        (workspace, program, path)
    }};
}

/// The lines of bursts that are there, each whole.
fn burst_lines(lines: &[String]) -> usize {
    for line in lines {
        assert!(line.starts_with("b line ") && line.ends_with(" of a burst"), "cut: {line:?}");
    }
    lines.len()
}

/// Writes until nothing waits any more: what the sink does not take at once goes with later writes. What arrived then.
fn end(puppet: &mut Puppet, sink: &Sink) -> Vec<String> {
    sink.wait_for("all that was taken", |_| {
        let counts = puppet.counts();
        let received: usize = sink.received().iter().map(Vec::len).sum();
        let is_over = counts.delivered_bytes + counts.lost_bytes == counts.taken_bytes
            && counts.delivered_bytes == received as u64;
        if !is_over {
            puppet.tell("w the end");
        }
        is_over
    })
}

#[test]
fn what_is_written_arrives_at_once_and_stays_where_it_was() {
    let (workspace, program, path) = stage!();
    let sink = Sink::start(&path);
    let mut puppet = start(&workspace, &program, &[]);
    puppet.tell("w one");
    sink.expect(&["one"]);
    puppet.tell("w two");
    sink.expect(&["one", "two"]);
    assert_eq!(puppet.shown(), "one\ntwo\n");
    assert!(puppet.end().0.success());
    assert_eq!(sink.connections(), 1);
}

#[test]
fn a_python_sink_of_a_few_lines_gets_all_that_four_busy_threads_write() {
    let (workspace, program, path) = stage!();
    let Some(python) = require("python3") else { return };
    let received = workspace.join("received");
    let mut sink = command(python);
    sink.arg(app("sink.py")).arg(&path).arg(&received);
    let sink = Service::start(sink, workspace.path());
    sink.wait_for_file(&path);
    let mut puppet = start(&workspace, &program, &[("LLT_TARGET_1STCONNECT", "600")]);
    puppet.tell("t");
    let shown = puppet.shown();
    assert!(puppet.end().0.success());
    // The sink has all once its file is as long as what was shown.
    let deadline = std::time::Instant::now() + PATIENCE;
    while std::fs::metadata(&received).map_or(0, |file| file.len()) < shown.len() as u64 {
        assert!(std::time::Instant::now() < deadline, "the sink never has all");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let received = std::fs::read(&received).expect("the sink's file");
    sink.stop(rustix::process::Signal::KILL, &[]);
    assert_eq!(difference(&lines(shown.as_bytes()), &lines(&received), Order::PerWriter), None);
}

#[test]
fn a_sink_that_comes_late_gets_everything_from_the_first_line_on() {
    let (workspace, program, path) = stage!();
    let mut puppet = start(&workspace, &program, &[]);
    puppet.tell("w before");
    puppet.tell("b 5000");
    let sink = Sink::start(&path);
    puppet.tell("w after");
    assert!(puppet.end().0.success());
    let lines = sink.wait_for("all lines", |lines| lines.len() == 5002);
    assert_eq!((lines[0].as_str(), lines[5001].as_str()), ("before", "after"));
}

#[test]
fn a_program_that_ends_before_the_sink_is_asked_again_still_sends_what_waits() {
    let (workspace, program, path) = stage!();
    let mut puppet = start(
        &workspace,
        &program,
        &[("LLT_TARGET_RECONNECT", "600"), ("LLT_TARGET_1STCONNECT", "0")],
    );
    for turn in 0..20 {
        puppet.tell(&format!("w {turn}"));
    }
    let sink = Sink::start(&path);
    assert!(puppet.end().0.success());
    assert_eq!(sink.wait_for("all lines", |lines| lines.len() == 20)[0], "0");
}

#[test]
fn a_sink_that_never_comes_costs_the_program_nothing_and_is_counted() {
    let (workspace, program, _) = stage!();
    let variables = [("LLT_RING_SIZE", "64K"), ("LLT_DEBUG_MODE", "true")];
    let mut puppet = start(&workspace, &program, &variables);
    puppet.tell("b 20000");
    let counts = puppet.counts();
    assert_eq!(counts.taken_bytes, puppet.shown().len() as u64);
    assert_eq!((counts.taken_records, counts.delivered_bytes), (20_000, 0));
    assert!(counts.lost_bytes > counts.taken_bytes - (64 << 10), "{counts:?}");
    let (status, said) = puppet.end();
    assert!(status.success());
    let length = counts.taken_bytes;
    let all_lost =
        format!("20000 writes ({length} bytes), delivered 0 bytes, lost {length} bytes (");
    assert!(said.contains(&all_lost), "{said}");
}

#[test]
fn a_sink_that_dies_does_not_kill_the_program_and_its_successor_gets_the_rest() {
    let (workspace, program, path) = stage!();
    let sink = Sink::start(&path);
    let mut puppet = start(&workspace, &program, &[]);
    puppet.tell("w first");
    sink.expect(&["first"]);
    assert_eq!(sink.kill(), [b"first\n"]);
    puppet.tell("w second");
    puppet.tell("b 1000");
    let sink = Sink::start(&path);
    puppet.tell("w last");
    assert!(puppet.end().0.success(), "no SIGPIPE");
    let lines = sink.wait_for("the rest", |lines| lines.len() == 1002);
    assert_eq!((lines[0].as_str(), lines[1001].as_str()), ("second", "last"));
}

#[test]
fn a_slow_sink_gets_whole_lines_and_every_other_is_counted() {
    let (workspace, program, path) = stage!();
    let sink = Sink::stuck(&path);
    let mut puppet = start(&workspace, &program, &[("LLT_RING_SIZE", "128K")]);
    puppet.tell("b 60000");
    let lost = puppet.counts();
    assert!(lost.lost_records > 10_000, "the queue is not endless: {lost:?}");
    sink.read_on();
    let lines = end(&mut puppet, &sink);
    let shown = puppet.shown();
    let counts = puppet.counts();
    assert!(puppet.end().0.success());
    assert_eq!(counts.taken_records - counts.lost_records, lines.len() as u64);
    let bursts: Vec<String> = lines.into_iter().filter(|line| line != "the end").collect();
    assert!(burst_lines(&bursts) > 0);
    assert_eq!(counts.delivered_bytes + counts.lost_bytes, counts.taken_bytes);
    assert_eq!(counts.taken_bytes, shown.len() as u64);
}

#[test]
fn with_wait_a_sink_that_begins_to_read_gets_everything() {
    let (workspace, program, path) = stage!();
    let sink = Sink::stuck(&path);
    let variables = [("LLT_RING_SIZE", "64K"), ("LLT_ON_FULL", "wait:60000")];
    let mut puppet = start(&workspace, &program, &variables);
    puppet.say("b 60000");
    // More than fits has not been written before the sink reads.
    sink.wait_for("a connection", |_| sink.connections() == 1);
    sink.read_on();
    assert!(puppet.end().0.success());
    let lines = sink.wait_for("all lines", |lines| lines.len() == 60_000);
    burst_lines(&lines);
}

#[test]
fn a_line_in_two_writes_is_never_torn_by_a_full_queue() {
    let (workspace, program, path) = stage!();
    let sink = Sink::stuck(&path);
    let mut puppet = start(&workspace, &program, &[("LLT_RING_SIZE", "64K")]);
    puppet.tell("p the begin of a line,");
    puppet.tell("b 1");
    puppet.tell("b 20000");
    for turn in 0..50 {
        puppet.tell(&format!("p {turn} begins,"));
        puppet.tell(&format!("w and ends {turn}"));
    }
    sink.read_on();
    let lines = end(&mut puppet, &sink);
    assert_eq!(lines[0], "the begin of a line,b line 0 of a burst");
    for line in lines[1..].iter().filter(|line| *line != "the end") {
        let is_pair = line.split_once(" begins,and ends ").is_some_and(|(one, other)| one == other);
        assert!(is_pair || burst_lines(std::slice::from_ref(line)) == 1, "{line}");
    }
    assert!(puppet.end().0.success());
}

#[test]
fn what_waits_is_sent_when_the_program_ends_in_any_way() {
    for end in ["", "q 0", "e"] {
        let (workspace, program, path) = stage!();
        let sink = Sink::stuck(&path);
        let mut puppet = start(&workspace, &program, &[]);
        puppet.tell("b 20000");
        assert!(puppet.counts().delivered_bytes < puppet.counts().taken_bytes);
        puppet.tell("l left in the buffer of stdio");
        let left = usize::from(end.is_empty());
        if !end.is_empty() {
            puppet.say(end);
        }
        // It waits at its end for the sink.
        sink.read_on();
        assert!(puppet.end().0.success(), "{end}");
        sink.wait_for(end, |lines| lines.len() == 20_000 + left);
    }
}

#[test]
fn a_stuck_sink_holds_the_end_of_the_program_up_no_longer_than_it_may() {
    let (workspace, program, path) = stage!();
    let sink = Sink::stuck(&path);
    let mut puppet = start(&workspace, &program, &[("LLT_EXIT_WAIT", "100")]);
    puppet.tell("b 20000");
    assert!(puppet.end().0.success());
    drop(sink);
}

#[test]
fn a_program_that_is_started_does_not_see_the_descriptor() {
    let (workspace, program, path) = stage!();
    let sink = Sink::start(&path);
    let mut puppet = start(&workspace, &program, &[]);
    puppet.tell("w connected");
    sink.expect(&["connected"]);
    let shown = puppet.tell("x");
    assert!(shown.contains(" 2 -> ") && !shown.contains("socket:"), "{shown}");
    assert!(puppet.end().0.success());
}

#[test]
fn a_program_that_closes_all_and_reuses_every_number_finds_no_log_in_its_file() {
    let (workspace, program, path) = stage!();
    let sink = Sink::start(&path);
    let mut puppet = start(&workspace, &program, &[]);
    puppet.tell("w before");
    sink.expect(&["before"]);
    puppet.tell("c");
    puppet.tell("w after");
    puppet.tell("w and more");
    let lines = sink.wait_for("all lines", |lines| lines.len() == 3);
    assert_eq!(lines, ["before", "after", "and more"]);
    let data = std::fs::read(workspace.join("data.db")).expect("the file");
    assert_eq!(String::from_utf8_lossy(&data), "");
    assert!(puppet.end().0.success());
}

#[test]
fn forked_children_send_by_connections_of_their_own_and_nothing_twice() {
    let (workspace, program, path) = stage!();
    let sink = Sink::stuck(&path);
    let mut puppet = start(&workspace, &program, &[]);
    // More than the connection holds: the parent's bytes wait while it forks.
    puppet.tell("b 20000");
    puppet.tell("f from a forked child");
    puppet.tell("v from a child of vfork");
    puppet.tell("w from the parent");
    sink.read_on();
    assert!(puppet.end().0.success());
    let mut lines = sink.wait_for("all lines", |lines| lines.len() == 20_003);
    assert_eq!(sink.connections(), 3);
    lines.retain(|line| line.starts_with("from"));
    lines.sort();
    assert_eq!(lines, ["from a child of vfork", "from a forked child", "from the parent"]);
}

#[test]
fn a_signal_handler_may_write() {
    let (workspace, program, path) = stage!();
    let sink = Sink::start(&path);
    let mut puppet = start(&workspace, &program, &[]);
    puppet.tell("s");
    sink.expect(&["from a signal handler"]);
    assert!(puppet.end().0.success());
}

#[test]
fn in_a_sandbox_the_library_asks_the_kernel_for_nothing() {
    let (workspace, program, path) = stage!();
    let sink = Sink::start(&path);
    let mut puppet = start(&workspace, &program, &[("LLT_DEBUG_MODE", "true")]);
    puppet.tell("w before");
    sink.expect(&["before"]);
    puppet.say("k within");
    let (status, said) = puppet.end();
    assert_eq!(status.signal(), None, "the sandbox killed it: {said}");
    sink.expect(&["before"]);
}

#[test]
fn writes_are_suppressed_while_a_sink_is_there_and_no_longer() {
    let (workspace, program, path) = stage!();
    let mut puppet = start(&workspace, &program, &[("LLT_SUPPRESS_STDOUT", "true")]);
    puppet.tell("w without a sink");
    assert_eq!(puppet.shown(), "without a sink\n");
    let sink = Sink::start(&path);
    puppet.tell("w with a sink");
    sink.expect(&["without a sink", "with a sink"]);
    assert_eq!(puppet.shown(), "without a sink\n");
    sink.kill();
    puppet.tell("w without it again");
    assert_eq!(puppet.shown(), "without a sink\nwithout it again\n");
    assert!(puppet.end().0.success());
}

#[test]
fn a_program_against_musl_sends_all_that_it_writes_and_flushes() {
    let Some(program) = compile("musl-gcc", "puppet.c", &["-O1", "-pthread"]) else { return };
    let workspace = Workspace::new();
    let sink = Sink::start(&workspace.join("sink"));
    let mut puppet = start(&workspace, &program, &[]);
    puppet.tell("w by write");
    puppet.tell("f from a child");
    puppet.tell("l by printf, flushed at the end");
    assert!(puppet.end().0.success());
    let mut lines = sink.wait_for("all lines", |lines| lines.len() == 3);
    lines.sort();
    assert_eq!(lines, ["by printf, flushed at the end", "by write", "from a child"]);
}

#[test]
fn a_short_program_is_tapped_from_its_first_line_on() {
    let (workspace, _, path) = stage!();
    let sink = Sink::start(&path);
    let target = format!("socket:{}", path.display());
    // liblogtap passes its first second, or as long as this says.
    let variables = [("LLT_TARGET", target.as_str()), ("LLT_PASSIV_ON_START", "60000")];
    let mut echo = tapped(Path::new("sh"), &variables);
    let output = echo.args(["-c", "echo one; /bin/echo two; echo I | cat"]).output().expect("sh");
    assert_eq!(output.stdout, b"one\ntwo\nI\n", "{output:?}");
    // The pipe between echo and cat is not the container's stdout: nothing twice.
    sink.wait_for("all lines", |lines| {
        let mut lines = lines.to_vec();
        lines.sort();
        lines == ["I", "one", "two"]
    });
    drop(workspace);
}
