//! The parts alone: library, collector and receiver as three programs that know each other only by a
//! directory and an address; each is killed, started late or missing, and the capture is whole.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use logtap_wire::CONTROL_FILE;
use logtap_wire::control::LEASE_OFFSET;
use rustix::process::Signal;

use crate::support::PATIENCE;
use crate::support::capture::{self, Line};
use crate::support::difference::{Order, difference};
use crate::support::machine::skip;
use crate::support::running::{Service, free_port};
use crate::support::workspace::{Workspace, command, lean, library, logtap};

/// A directory in memory, where alone a tap can be.
pub(crate) fn tap_directory() -> Option<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if !memory.is_dir() {
        skip("there is no /dev/shm");
        return None;
    }
    Some(
        tempfile::Builder::new()
            .prefix("lt-")
            .tempdir_in(memory)
            .expect("memory takes a directory"),
    )
}

/// Waits until a collector has taken a tap directory over: writers that wait for room count on it from then on.
pub(crate) fn wait_for_first_sign_of_life(collector: &Service, tap: &Path) {
    collector.wait_until("took the directory over", || {
        std::fs::read(tap.join(CONTROL_FILE))
            .is_ok_and(|page| page.iter().skip(LEASE_OFFSET).take(8).any(|byte| *byte != 0))
    });
}

/// Collector and receiver of one test.
pub(crate) struct Parts {
    tap: tempfile::TempDir,
    capture: PathBuf,
    port: u16,
    receiver: Option<Service>,
    collector: Option<Service>,
}

impl Parts {
    /// Both run; the capture is made in the workspace.
    pub(crate) fn start(workspace: &Workspace) -> Option<Self> {
        Some(Self::without_any(workspace)?.with_receiver().with_collector())
    }

    /// Neither runs yet.
    pub(crate) fn without_any(workspace: &Workspace) -> Option<Self> {
        let capture = workspace.join("parts-capture");
        let tap = tap_directory()?;
        Some(Self { tap, capture, port: free_port(), receiver: None, collector: None })
    }

    /// Starts the receiver, on the same port and capture each time.
    pub(crate) fn with_receiver(mut self) -> Self {
        let mut receiver = command(logtap());
        receiver.args(["recv", "--listen", &format!("127.0.0.1:{}", self.port), "--dir"]);
        receiver.arg(&self.capture);
        let receiver = Service::start(receiver, Path::new("/"));
        receiver.wait_for_port(self.port);
        self.receiver = Some(receiver);
        self
    }

    /// Kills the receiver.
    pub(crate) fn without_receiver(mut self) -> Self {
        self.receiver.take().expect("it runs").stop(Signal::KILL, &[]);
        self
    }

    /// Starts the collector.
    pub(crate) fn with_collector(mut self) -> Self {
        let mut collector = command(lean("logtap-collector"));
        collector.arg("--tap").arg(self.tap.path());
        collector.args([
            "--to",
            &format!("http://127.0.0.1:{}", self.port),
            "--label",
            "app=parts",
        ]);
        let health = free_port();
        collector.args(["--listen", &format!("127.0.0.1:{health}")]);
        let collector = Service::start(collector, Path::new("/"));
        collector.wait_for_port(health);
        wait_for_first_sign_of_life(&collector, self.tap.path());
        self.collector = Some(collector);
        self
    }

    /// Kills the collector.
    pub(crate) fn without_collector(mut self) -> Self {
        self.collector.take().expect("it runs").stop(Signal::KILL, &[]);
        self
    }

    /// The tap directory.
    pub(crate) fn tap(&self) -> &Path {
        self.tap.path()
    }

    /// A program with the library in front and the two variables that it needs.
    pub(crate) fn app(&self, program: &str) -> Command {
        let mut app = command(program);
        app.env("LD_PRELOAD", library());
        app.env("LLT_TARGET", format!("tap:{}", self.tap.path().display()));
        app.env("LLT_TAP_INTO", "3");
        app
    }

    /// Waits for so many lines in the capture, lets the collector and then the receiver finish, and reads what is there.
    pub(crate) fn stop(mut self, lines: usize) -> Vec<Line> {
        // A stop leaves the last lines two seconds, which a busy machine may need for something else. What never
        // arrives is missed by whoever reads the capture.
        let deadline = Instant::now() + PATIENCE;
        while capture::written_so_far(&self.capture) < lines && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let collector = self.collector.take().expect("it runs");
        let collector = collector.stop(Signal::TERM, &[]);
        assert!(collector.status.success(), "the collector: {collector:?}");
        let receiver = self.receiver.take().expect("it runs").stop(Signal::TERM, &[]);
        assert!(receiver.status.success(), "the receiver: {receiver:?}");
        capture::read(&self.capture)
    }
}

/// A shell that writes so many lines, slowly enough to be interrupted, and says when it is half way.
fn writer(parts: &Parts, lines: usize) -> Command {
    let mut app = parts.app("sh");
    let script = "i=0; while [ $i -lt $1 ]; do echo line $i; i=$((i+1)); \
                  [ $((i % 10)) -ne 0 ] || sleep 0.02; [ $((i * 2)) -ne $1 ] || echo x >half; done";
    app.args(["-c", script, "sh", &lines.to_string()]);
    app
}

fn expected(lines: usize) -> Vec<Vec<u8>> {
    (0..lines).map(|line| format!("line {line}").into_bytes()).collect()
}

fn all_there(captured: &[Line], lines: usize) {
    let caught = capture::of_stream(captured, "stdout");
    assert_eq!(difference(&expected(lines), &caught, Order::Total), None);
    assert!(captured.iter().all(|line| line.label("app") == "parts"));
}

#[test]
fn three_programs_make_one_capture() {
    let workspace = Workspace::new();
    let Some(parts) = Parts::start(&workspace) else { return };
    let mut app = parts.app("sh");
    app.args(["-c", "echo out; echo err >&2; echo log >>a.log"]);
    app.env("LLT_TAP_FILE", workspace.join("a.log"));
    let outcome = Service::start(app, workspace.path()).finish(&[]);
    assert_eq!((outcome.stdout, outcome.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
    let captured = parts.stop(3);
    assert_eq!(captured.len(), 3, "{captured:?}");
    assert_eq!(capture::of_stream(&captured, "stdout"), [b"out".to_vec()]);
    assert_eq!(capture::of_stream(&captured, "stderr"), [b"err".to_vec()]);
    assert_eq!(capture::of_file(&captured, &workspace.join("a.log")), [b"log".to_vec()]);
}

/// `logtap run --to` the receiver's address.
fn run_to(parts: &Parts, script: &str) -> Command {
    let mut run = command(logtap());
    let address = format!("http://127.0.0.1:{}", parts.port);
    run.args(["run", "--json", "--to", &address, "--label", "app=parts", "--", "sh", "-c", script]);
    run
}

#[test]
fn a_run_pushes_to_a_receiver_instead_of_keeping_a_capture() {
    let workspace = Workspace::new();
    let Some(mut parts) = Parts::without_any(&workspace) else { return };
    parts = parts.with_receiver();
    let script =
        "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done; echo wrong >&2; exit 3";
    let outcome = Service::start(run_to(&parts, script), workspace.path()).finish(&[]);
    assert_eq!(outcome.status.code(), Some(3), "{outcome:?}");
    let stderr = String::from_utf8(outcome.stderr).expect("text");
    let summary: serde_json::Value =
        serde_json::from_str(stderr.lines().last().expect("a summary")).expect("JSON");
    assert_eq!(summary["total"]["lines"], 301, "{summary}");
    assert_eq!(summary["undelivered_lines"], 0, "{summary}");
    assert!(summary["capture"].is_null() && !workspace.join("capture").exists(), "{summary}");
    let receiver = parts.receiver.take().expect("it runs").stop(Signal::TERM, &[]);
    assert!(receiver.status.success(), "{receiver:?}");
    let captured = capture::read(&parts.capture);
    all_there(&captured, 300);
    assert_eq!(capture::of_stream(&captured, "stderr"), [b"wrong".to_vec()]);
}

#[test]
fn a_run_says_what_it_could_not_deliver() {
    let workspace = Workspace::new();
    let Some(parts) = Parts::without_any(&workspace) else { return };
    let outcome =
        Service::start(run_to(&parts, "echo one; echo two"), workspace.path()).finish(&[]);
    assert_eq!(outcome.stdout, b"one\ntwo\n", "the program is not touched: {outcome:?}");
    let stderr = String::from_utf8(outcome.stderr).expect("text");
    let summary: serde_json::Value =
        serde_json::from_str(stderr.lines().last().expect("a summary")).expect("JSON");
    assert_eq!(summary["undelivered_lines"], 2, "{summary}");
    assert!(summary["last_error"].is_string(), "{summary}");
}

#[test]
fn what_was_written_before_the_collector_starts_is_delivered() {
    let workspace = Workspace::new();
    let Some(parts) = Parts::without_any(&workspace) else { return };
    let app = Service::start(writer(&parts, 200), workspace.path());
    app.wait_for_file(&workspace.join("half"));
    let parts = parts.with_receiver().with_collector();
    assert!(app.finish(&[]).status.success());
    all_there(&parts.stop(200), 200);
}

#[test]
fn a_program_that_ended_before_the_collector_starts_is_delivered() {
    let workspace = Workspace::new();
    let Some(parts) = Parts::without_any(&workspace) else { return };
    assert!(Service::start(writer(&parts, 50), workspace.path()).finish(&[]).status.success());
    all_there(&parts.with_receiver().with_collector().stop(50), 50);
}

#[test]
fn a_collector_that_is_killed_and_started_again_loses_and_repeats_nothing() {
    let workspace = Workspace::new();
    let Some(parts) = Parts::start(&workspace) else { return };
    let app = Service::start(writer(&parts, 1000), workspace.path());
    app.wait_for_file(&workspace.join("half"));
    let parts = parts.without_collector().with_collector();
    assert!(app.finish(&[]).status.success());
    all_there(&parts.stop(1000), 1000);
}

#[test]
fn a_receiver_that_is_killed_and_started_again_loses_and_repeats_nothing() {
    let workspace = Workspace::new();
    let Some(parts) = Parts::start(&workspace) else { return };
    let app = Service::start(writer(&parts, 1000), workspace.path());
    app.wait_for_file(&workspace.join("half"));
    let parts = parts.without_receiver().with_receiver();
    assert!(app.finish(&[]).status.success());
    all_there(&parts.stop(1000), 1000);
}

#[test]
fn a_receiver_that_comes_late_gets_everything() {
    let workspace = Workspace::new();
    let Some(parts) = Parts::without_any(&workspace) else { return };
    let parts = parts.with_collector();
    assert!(Service::start(writer(&parts, 300), workspace.path()).finish(&[]).status.success());
    all_there(&parts.with_receiver().stop(300), 300);
}

#[test]
fn an_unknown_target_leaves_the_program_alone() {
    let workspace = Workspace::new();
    let mut app = command("sh");
    app.args(["-c", "echo out; echo err >&2; exit 4"]);
    app.env("LD_PRELOAD", library())
        .env("LLT_TAP_INTO", "3")
        .env("LLT_TARGET", "carrier-pigeon:coop");
    let outcome = Service::start(app, workspace.path()).finish(&[]);
    assert_eq!((outcome.stdout, outcome.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
    assert_eq!(outcome.status.code(), Some(4));
}
