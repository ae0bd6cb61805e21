//! The demos do what their comments and the README say, on this machine and on a Docker engine.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::capture;
use crate::support::comparison::Program;
use crate::support::difference::{Order, difference};
use crate::support::machine::{require, skip};
use crate::support::running::{Streams, lines};
use crate::support::workspace::{Workspace, lean, logtap, repository};

fn demo(name: &str) -> PathBuf {
    repository("demo").join(name)
}

/// Runs it tapped and compares the capture with what it showed.
fn captured_as_shown(program: &Program, order: Order) {
    let workspace = Workspace::new();
    let directory = workspace.directory("here");
    let capture = workspace.join("capture");
    let outcome = program.run_tapped(Streams::Pipes, &directory, &capture);
    assert!(outcome.status.success(), "{}", outcome.status);
    let captured = capture::read(&capture);
    for (stream, shown) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
        let (mut shown, mut caught) = (lines(shown), capture::of_stream(&captured, stream));
        if order == Order::PerWriter {
            shown.sort();
            caught.sort();
        }
        assert_eq!(difference(&shown, &caught, Order::Total), None, "{stream}");
        assert!(!shown.is_empty(), "the demo shows nothing on {stream}");
    }
}

#[test]
fn the_clock_ends_by_itself_and_is_captured() {
    let clock = Program::new(["sh".into(), demo("clock.sh")]).environment("TICKS", "3");
    captured_as_shown(&clock, Order::Total);
}

#[test]
fn the_legacy_application_says_everything_in_its_file() {
    let Some(python) = require("python3") else { return };
    Program::new([python, demo("legacy.py")])
        .environment("LEGACY_LOG", "legacy.log")
        .environment("LEGACY_PAUSE", "0")
        .environment("LEGACY_LINES", "50")
        .times_vary()
        .file("legacy.log")
        .only(&[Streams::Pipes])
        .compare();
}

#[test]
fn the_noisy_service_is_captured_whole() {
    let Some(python) = require("python3") else { return };
    let noisy = Program::new([python, demo("noisy.py")])
        .environment("NOISY_PAUSE", "0")
        .environment("NOISY_LINES", "300");
    captured_as_shown(&noisy, Order::PerWriter);
}

/// The containers of one test, which go when it ends.
struct Composition {
    compose: PathBuf,
    directory: PathBuf,
    name: String,
}

impl Composition {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.compose);
        command.current_dir(&self.directory).env("TICKS", "6");
        command.env("BUILD_IMAGE", "debian:bookworm-slim").env("DOCKER_BUILDKIT", "0");
        command.args(["--project-name", &self.name]).args(arguments);
        command
    }

    fn container(&self, docker: &Path, service: &str) -> String {
        let output = succeed(&mut self.command(&["ps", "--all", "-q", service]));
        let identifier = String::from_utf8(output.stdout).expect("plain text").trim().to_owned();
        assert!(!identifier.is_empty(), "no container of {service}; {}", docker.display());
        identifier
    }
}

impl Drop for Composition {
    fn drop(&mut self) {
        // A test that failed before has its own message.
        self.command(&["down", "--volumes", "--timeout", "5"]).output().ok();
    }
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (shown, error) = (&output.stdout, &output.stderr);
    assert!(
        output.status.success(),
        "{command:?} ended with {}:\n{}\n{}",
        output.status,
        String::from_utf8_lossy(shown),
        String::from_utf8_lossy(error)
    );
    output
}

/// A build context with the demo's files and binaries that were built outside.
fn context(directory: &Path) {
    succeed(Command::new("cp").args(["-r"]).arg(repository("demo")).arg(directory));
    for file in ["docker-compose.yaml", ".dockerignore"] {
        std::fs::copy(repository(file), directory.join(file)).expect("a fresh directory");
    }
    let binaries = directory.join("target/binaries");
    std::fs::create_dir_all(&binaries).expect("a fresh directory");
    for name in ["logtap", "logtap-collector", "logtap-injector"] {
        let built = if name == "logtap" { logtap() } else { lean(name) };
        std::fs::copy(built, binaries.join(name)).expect("it was built just now");
    }
}

#[test]
fn the_composition_captures_the_clock_on_a_docker_engine() {
    let (Some(docker), Some(compose)) = (require("docker"), require("docker-compose")) else {
        return;
    };
    let engine = Command::new(&docker).arg("info").output().expect("docker runs");
    if !engine.status.success() {
        return skip("no Docker engine answers");
    }
    let base = ["image", "inspect", "debian:bookworm-slim"];
    let base = Command::new(&docker).args(base).output().expect("docker runs");
    if !base.status.success() {
        return skip("the Docker engine has no debian:bookworm-slim");
    }
    let workspace = Workspace::new();
    context(workspace.path());
    let composition = Composition {
        compose,
        directory: workspace.path().to_owned(),
        name: format!("logtap-test-{}", std::process::id()),
    };
    succeed(&mut composition.command(&["up", "--build", "--detach"]));
    let app = composition.container(&docker, "app");
    let receiver = composition.container(&docker, "receiver");
    // The clock ends by itself; what it showed is in the engine's own log.
    let status = succeed(Command::new(&docker).args(["wait", &app]));
    assert_eq!(String::from_utf8_lossy(&status.stdout).trim(), "0", "the clock failed");
    let shown = succeed(Command::new(&docker).args(["logs", &app]));
    // A collector that is stopped delivers first.
    succeed(&mut composition.command(&["stop", "--timeout", "10", "collector"]));
    let said = succeed(&mut composition.command(&[
        "logs",
        "--no-color",
        "library",
        "collector",
        "receiver",
    ]));
    let inside = format!("{receiver}:/capture");
    succeed(Command::new(&docker).args(["cp", &inside]).arg(workspace.join("capture")));

    let captured = capture::read(&workspace.join("capture"));
    let said = String::from_utf8_lossy(&said.stdout);
    let stream = |name: &str| capture::of_stream(&captured, name);
    assert_eq!(lines(&shown.stdout).len(), 6);
    assert_eq!(difference(&lines(&shown.stdout), &stream("stdout"), Order::Total), None, "{said}");
    assert_eq!(difference(&lines(&shown.stderr), &stream("stderr"), Order::Total), None, "{said}");
    assert!(captured.iter().all(|line| line.label("app") == "clock"), "{captured:?}");
}
