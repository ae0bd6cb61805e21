//! A process whose target is `socket:` or `file:`: what it counts of itself is told in numbers and in words.

use std::fs;
use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::process::Command;

use serde_json::Value;

use super::{Running, found, preloaded};
use crate::support::machine::require;
use crate::support::workspace::{Workspace, command, logtap};

/// A program that writes to a tapped file as its stdout.
fn app(workspace: &Workspace, target: &str, script: &str) -> Option<Command> {
    let perl = require("perl")?;
    let settings = [
        ("LLT_TARGET", target),
        ("LLT_TAP_INTO", "1"),
        ("LLT_RING_SIZE", "64K"),
        ("LLT_TARGET_RECONNECT", "0"),
    ];
    let mut app = preloaded(perl.to_str().expect("plain"), &settings);
    app.stdout(fs::File::create(workspace.join("stdout")).expect("a file"));
    app.args(["-e", script]);
    Some(app)
}

fn count(report: &Value, name: &str) -> u64 {
    report["process"]["raw"][name].as_u64().unwrap_or(0)
}

/// What a person is told.
fn told(app: &Running) -> String {
    let output = command(logtap()).args(["doctor", "--pid", &app.0.id().to_string()]).output();
    String::from_utf8(output.expect("it runs").stdout).expect("text")
}

const TEN_LINES: &str = "$| = 1; print 'x' x 99, \"\\n\" for 1..10; sleep 600";

#[test]
fn a_file_that_takes_all_is_healthy() {
    let workspace = Workspace::new();
    let target = format!("file:{}", workspace.join("target").display());
    let Some(app) = app(&workspace, &target, TEN_LINES) else { return };
    let app = Running::start(app);
    let (code, report) = app.doctor_until(|report| count(report, "delivered_bytes") == 1000);
    assert_eq!((code, found(&report)), (Some(0), vec![]), "{report:#}");
    assert_eq!(report["process"]["state"], "raw");
    for (name, value) in [
        ("taken_records", 10),
        ("taken_bytes", 1000),
        ("waiting_bytes", 0),
        ("lost_records", 0),
        ("opened", 1),
    ] {
        assert_eq!(count(&report, name), value, "{name} of {report:#}");
    }
    let told = told(&app);
    assert!(told.contains("10 writes") && told.contains("opened once"), "{told}");
    assert!(told.contains("waiting, nothing lost"), "{told}");
}

#[test]
fn a_file_that_takes_nothing_is_a_problem() {
    let workspace = Workspace::new();
    let Some(app) = app(&workspace, "file:/dev/full", TEN_LINES) else { return };
    let app = Running::start(app);
    let (code, report) = app.doctor_until(|report| count(report, "lost_bytes") == 1000);
    assert_eq!((code, found(&report)), (Some(6), vec!["lost"]), "{report:#}");
    assert_eq!(count(&report, "lost_records"), 10);
    let told = told(&app);
    assert!(told.contains("of 10 writes LOST") && told.contains("`file:/dev/full`"), "{told}");
}

#[test]
fn what_waits_for_a_sink_that_never_was_is_a_problem() {
    let workspace = Workspace::new();
    let target = format!("socket:{}", workspace.join("sink").display());
    let Some(app) = app(&workspace, &target, TEN_LINES) else { return };
    let app = Running::start(app);
    let (code, report) = app.doctor_until(|report| count(report, "waiting_bytes") == 1000);
    assert_eq!((code, found(&report)), (Some(6), vec!["no_sink"]), "{report:#}");
    assert!(told(&app).contains("never opened"), "{}", told(&app));
}

#[test]
fn a_sink_that_reads_nothing_costs_lines_and_a_new_one_is_counted() {
    let workspace = Workspace::new();
    let path = workspace.join("sink");
    let listener = UnixListener::bind(&path).expect("a socket");
    let script = "$| = 1; for (;;) { print 'x' x 99, \"\\n\" for 1..5000; \
                  select undef, undef, undef, 0.05 }";
    let target = format!("socket:{}", path.display());
    let Some(app) = app(&workspace, &target, script) else { return };
    let app = Running::start(app);
    let (stuck, _) = listener.accept().expect("the program");
    let (code, report) = app.doctor_until(|report| count(report, "lost_records") > 0);
    assert_eq!((code, found(&report)), (Some(6), vec!["lost"]), "{report:#}");
    assert_eq!(count(&report, "reconnects"), 0);
    drop(stuck);
    let (mut again, _) = listener.accept().expect("the program, again");
    let reader = std::thread::spawn(move || {
        let mut block = vec![0; 1 << 16];
        // Until the program is gone.
        while again.read(&mut block).is_ok_and(|length| length > 0) {}
    });
    app.doctor_until(|report| count(report, "reconnects") == 1);
    assert!(told(&app).contains("opened, and 1 time again"), "{}", told(&app));
    drop(app);
    reader.join().expect("the reader");
}

#[test]
fn a_process_that_has_written_nothing_is_told_to_be_ready() {
    let workspace = Workspace::new();
    let target = format!("file:{}", workspace.join("target").display());
    let Some(app) = app(&workspace, &target, "sleep 600") else { return };
    let app = Running::start(app);
    let (code, report) = app.doctor_until(|report| report["process"]["state"] == "raw");
    assert_eq!((code, found(&report)), (Some(0), vec!["nothing_written"]), "{report:#}");
}
