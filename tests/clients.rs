//! Log libraries of other people push to `logtap recv`; what they sent and what the capture holds is
//! compared line by line. Refuses to install them: `.ci/install` does that, into `target/clients`.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::support::capture::{self, Line};
use crate::support::difference::{Order, difference};
use crate::support::machine::{clients, require, skip};
use crate::support::running::{Outcome, Service, free_port};
use crate::support::workspace::{Workspace, app, command, logtap};

/// Clients in Go and Rust, which are compiled.
mod built;

/// How many lines each of them sends.
const LINES: usize = 250;

/// What they send: quotes, backslashes, characters of two and four bytes, HTML, a tab.
fn sent(number: usize) -> String {
    format!("line {number}: \"quoted\" back\\slash \u{e4} \u{1f600} <tag> & tab\there")
}

/// The time that some of them give a line, in nanoseconds.
fn time(number: usize) -> i128 {
    1_700_000_000_123_456_000 + number as i128 * 1_000_000_001
}

/// A receiver that clients push to.
struct Receiver {
    workspace: Workspace,
    service: Service,
    port: u16,
}

impl Receiver {
    fn start(arguments: &[&str]) -> Self {
        let workspace = Workspace::new();
        let port = free_port();
        let mut receiver = command(logtap());
        receiver.args(["recv", "--headless", "--listen", &format!("127.0.0.1:{port}"), "--dir"]);
        receiver.arg(workspace.join("capture")).args(arguments);
        let service = Service::start(receiver, Path::new("/"));
        service.wait_for_port(port);
        Self { workspace, service, port }
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Runs a client to its end, ends the receiver, and reads the capture.
    fn receive(self, client: Command) -> Vec<Line> {
        self.receive_and_hear(client).0
    }

    /// The same, and what the client said.
    fn receive_and_hear(self, client: Command) -> (Vec<Line>, Outcome) {
        let outcome = Service::start(client, self.workspace.path()).finish(&[]);
        assert!(outcome.status.success(), "the client: {outcome:?}");
        (self.end(), outcome)
    }

    /// Ends the receiver and reads the capture.
    fn end(self) -> Vec<Line> {
        let receiver = self.service.stop(Signal::TERM, &[]);
        assert!(receiver.status.success(), "the receiver: {receiver:?}");
        capture::read_as_sent(&self.workspace.join("capture"))
    }

    /// How many lines it says that it has stored.
    fn stored(&self) -> usize {
        metric(self.port, "logtap_logs_received_total")
    }
}

/// Asks a server of this machine for something, and leaves the answer to whoever reads.
fn ask(port: u16, path: &str) -> TcpStream {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    // In the older version, which knows no chunks.
    let request = format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n");
    connection.write_all(request.as_bytes()).expect("it reads");
    connection
}

/// A counter without labels among the metrics of a server.
fn metric(port: u16, name: &str) -> usize {
    let mut text = String::new();
    ask(port, "/metrics").read_to_string(&mut text).expect("it answers");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = value.unwrap_or_else(|| panic!("no `{name}` in {text}"));
    value.parse().expect("a number")
}

/// All lines are there, once, in order, under these labels and no others.
fn compare(lines: &[Line], text: impl Fn(&Line) -> Vec<u8>, labels: &[(&str, &str)]) {
    let expected: Vec<Vec<u8>> = (0..LINES).map(|number| sent(number).into_bytes()).collect();
    let received: Vec<Vec<u8>> = lines.iter().map(text).collect();
    assert_eq!(difference(&expected, &received, Order::Total), None);
    for line in lines {
        for (name, value) in labels {
            assert_eq!(line.label(name), *value, "{name} of {line:?}");
        }
        assert_eq!(line.label("logtap_invalid"), "", "{line:?}");
        assert!(line.timestamp > 1_600_000_000_000_000_000, "a time of these years: {line:?}");
    }
}

fn as_it_is(line: &Line) -> Vec<u8> {
    line.text.clone()
}

/// A script of Python with the clients' packages.
fn python(script: &str) -> Option<Command> {
    let (interpreter, packages) = (clients("python3"), clients("python"));
    if !interpreter.exists() || !packages.is_dir() {
        skip("clients in Python are not installed");
        return None;
    }
    let mut command = command(interpreter);
    command.env("PYTHONPATH", packages).arg(app("clients").join(script));
    Some(command)
}

/// A script of Node.js in a directory where the clients' packages are found.
fn node(receiver: &Receiver, script: &str) -> Option<Command> {
    let node = require("node")?;
    let packages: PathBuf = clients("node").join("node_modules");
    if !packages.is_dir() {
        skip("clients in JavaScript are not installed");
        return None;
    }
    let packages = packages.canonicalize().expect("it is there");
    std::os::unix::fs::symlink(packages, receiver.workspace.join("node_modules")).expect("a link");
    let here = receiver.workspace.join(script);
    std::fs::copy(app("clients").join(script), &here).expect("a script can be copied");
    let mut command = command(node);
    command.arg(here);
    Some(command)
}

fn python_logging_loki(version: &str) {
    let receiver = Receiver::start(&[]);
    let Some(mut client) = python("python_logging_loki.py") else { return };
    client.args([&receiver.address(), version, &LINES.to_string()]);
    let labels = [("app", "python"), ("logger", "numbers"), ("severity", "warning")];
    compare(&receiver.receive(client), as_it_is, &labels);
}

#[test]
fn python_logging_loki_with_the_older_push() {
    python_logging_loki("0");
}

#[test]
fn python_logging_loki_with_the_newer_push() {
    python_logging_loki("1");
}

/// What exporters of OpenTelemetry send: times to the nanosecond, attributes of three kinds, severity.
fn compare_exported(lines: &[Line], service: &str) {
    compare(lines, as_it_is, &[("service_name", service)]);
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line.timestamp, time(number), "{line:?}");
        let number = number.to_string();
        let known = [
            ("number", &*number),
            ("host_arch", "amd64"),
            ("scope_name", "numbers"),
            ("severity_number", "13"),
            ("severity_text", "WARN"),
        ];
        for (name, value) in known {
            let kept = line.metadata.get(name).map(String::as_str);
            assert_eq!(kept, Some(value), "{name} of {line:?}");
        }
    }
}

#[test]
fn opentelemetry_of_python() {
    let receiver = Receiver::start(&[]);
    let Some(mut client) = python("opentelemetry_python.py") else { return };
    client.args([&receiver.address(), &LINES.to_string()]);
    compare_exported(&receiver.receive(client), "python");
}

fn opentelemetry(form: &str) {
    let receiver = Receiver::start(&[]);
    let Some(mut client) = node(&receiver, "opentelemetry.mjs") else { return };
    client.args([&receiver.address(), form, &LINES.to_string()]);
    compare_exported(&receiver.receive(client), "node");
}

#[test]
fn opentelemetry_of_node_in_json() {
    opentelemetry("json");
}

#[test]
fn opentelemetry_of_node_in_protobuf() {
    opentelemetry("protobuf");
}

fn winston(form: &str) {
    let receiver = Receiver::start(&[]);
    let Some(mut client) = node(&receiver, "winston_loki.cjs") else { return };
    client.args([&receiver.address(), form, &LINES.to_string()]);
    compare(&receiver.receive(client), as_it_is, &[("app", "winston"), ("level", "warn")]);
}

#[test]
fn winston_loki_in_json() {
    winston("json");
}

#[test]
fn winston_loki_in_protobuf() {
    winston("protobuf");
}

#[test]
fn pino_loki() {
    let receiver = Receiver::start(&[]);
    let Some(mut client) = node(&receiver, "pino_loki.mjs") else { return };
    client.args([&receiver.address(), &LINES.to_string()]);
    // Its line is an object with the text and the time in it.
    let object =
        |line: &Line| -> serde_json::Value { serde_json::from_slice(&line.text).expect("JSON") };
    let text = |line: &Line| object(line)["msg"].as_str().expect("a text").as_bytes().to_vec();
    let lines = receiver.receive(client);
    compare(&lines, text, &[("app", "pino"), ("level", "warning")]);
    for (number, line) in lines.iter().enumerate() {
        let object = object(line);
        assert_eq!(object["number"], number, "{line:?}");
        let milliseconds = object["time"].as_i64().expect("a time");
        assert_eq!(line.timestamp, i128::from(milliseconds) * 1_000_000, "{line:?}");
    }
}

#[test]
fn syslog_ng() {
    let Some(program) = require("syslog-ng") else { return };
    let receiver = Receiver::start(&["--json-key", "label=program"]);
    let workspace = receiver.workspace.path().to_owned();
    let input: String = (0..LINES).map(|number| sent(number) + "\n").collect();
    std::fs::write(workspace.join("input"), input).expect("a file");
    let template = std::fs::read_to_string(app("clients").join("syslog-ng.conf")).expect("a file");
    let configuration = template
        .replace("ADDRESS", &receiver.address())
        .replace("DIRECTORY", workspace.to_str().expect("a plain path"));
    std::fs::write(workspace.join("syslog-ng.conf"), configuration).expect("a file");
    let mut client = command(program);
    client.args(["--foreground", "--no-caps", "--cfgfile"]).arg(workspace.join("syslog-ng.conf"));
    for (option, name) in
        [("--persist-file", "persist"), ("--pidfile", "pid"), ("--control", "control")]
    {
        client.arg(option).arg(workspace.join(name));
    }
    let client = Service::start(client, &workspace);
    client.wait_until("sent all", || receiver.stored() >= LINES);
    let outcome = client.stop(Signal::TERM, &[]);
    assert!(outcome.status.success(), "{outcome:?}");
    compare(&receiver.end(), as_it_is, &[("program", "syslog-ng")]);
}

#[test]
fn rsyslog() {
    let root = clients("rsyslog");
    if !root.join("complete").exists() {
        skip("rsyslog is not unpacked");
        return;
    }
    let lines = free_port();
    let source = format!("tcp://127.0.0.1:{lines}");
    let receiver = Receiver::start(&["--json-lines", &source, "--json-key", "label=facility"]);
    let workspace = receiver.workspace.path().to_owned();
    let input: Vec<Vec<u8>> = (0..LINES)
        .map(|number| {
            // Some begin with blanks, some have bytes that are no text.
            let (blanks, end): (_, &[u8]) =
                if number % 10 == 5 { ("   ", b" \xff\xfe") } else { ("", b"") };
            [blanks.as_bytes(), sent(number).as_bytes(), end].concat()
        })
        .collect();
    let whole = [input.join(&b'\n'), b"\n".to_vec()].concat();
    std::fs::write(workspace.join("input"), whole).expect("a file");
    let template = std::fs::read_to_string(app("clients").join("rsyslog.conf")).expect("a file");
    let configuration = template
        .replace("PORT", &lines.to_string())
        .replace("DIRECTORY", workspace.to_str().expect("a plain path"));
    std::fs::write(workspace.join("rsyslog.conf"), configuration).expect("a file");
    let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let libraries = root.join(libraries).canonicalize().expect("Debian's place for libraries");
    let mut client = command(root.join("usr/sbin/rsyslogd").canonicalize().expect("it is there"));
    client.env("LD_LIBRARY_PATH", &libraries).arg("-n");
    client.arg("-f").arg(workspace.join("rsyslog.conf")).arg("-i").arg(workspace.join("pid"));
    client.arg("-M").arg(libraries.join("rsyslog"));
    let client = Service::start(client, &workspace);
    client.wait_until("sent all", || receiver.stored() >= LINES);
    let outcome = client.stop(Signal::TERM, &[]);
    assert!(outcome.status.success(), "{outcome:?}");
    // Its own times, to the microsecond, and where in the file the line was.
    let said = std::fs::read(workspace.join("sent")).expect("what it wrote beside");
    let said: Vec<serde_json::Value> = String::from_utf8_lossy(&said)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(said.len(), LINES, "{outcome:?}");
    let received = receiver.end();
    let texts: Vec<Vec<u8>> = received.iter().map(|line| line.text.clone()).collect();
    assert_eq!(difference(&input, &texts, Order::Total), None);
    for (line, said) in received.iter().zip(said) {
        let time: jiff::Timestamp =
            said["time"].as_str().and_then(|time| time.parse().ok()).expect("a time");
        assert_eq!(line.timestamp, time.as_nanosecond(), "{line:?}");
        let offset = said["offset"].as_str().expect("a text").to_owned();
        assert_eq!(line.labels, texts_of(&[("app", "numbers"), ("facility", "local3")]));
        assert_eq!(line.metadata, texts_of(&[("level", "warning"), ("offset", &offset)]));
    }
}

fn texts_of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
