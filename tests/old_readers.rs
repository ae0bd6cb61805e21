//! What the predecessor makes of captures that ours has written: the same lines, labels, times and counts,
//! in every situation that a capture can be in. `support::predecessor` says what is known of it.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::process::Signal;
use serde_json::json;

use crate::support::predecessor::{self, Entry, Read};
use crate::support::pushing::request;
use crate::support::running::{Service, free_port};
use crate::support::workspace::{Workspace, command, logtap};

/// One line as it is pushed, and as it is expected to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    time: i64,
    labels: BTreeMap<String, String>,
    message: String,
}

struct Receiver {
    service: Service,
    port: u16,
}

impl Receiver {
    fn start(directory: &Path, options: &[&str]) -> Self {
        let port = free_port();
        let mut receiver = command(logtap());
        receiver.args(["recv", "--headless", "--min-free", "0", "--dir"]).arg(directory);
        receiver.args(["--listen", &format!("127.0.0.1:{port}")]).args(options);
        let service = Service::start(receiver, Path::new("/"));
        service.wait_for_port(port);
        Self { service, port }
    }

    /// Pushes lines one stream after the other, every second one with structured metadata.
    fn push(&self, lines: &[Line]) {
        let streams: Vec<_> = lines
            .chunk_by(|one, next| one.labels == next.labels)
            .map(|lines| {
                let value = |line: &Line| match line.time % 2 {
                    0 => json!([line.time.to_string(), line.message]),
                    _ => json!([line.time.to_string(), line.message, {"pid": "12", "TS": "no"}]),
                };
                let values: Vec<_> = lines.iter().map(value).collect();
                json!({"stream": lines[0].labels, "values": values})
            })
            .collect();
        let body = json!({ "streams": streams }).to_string();
        let answer = request(self.port, "POST", "/loki/api/v1/push", body.as_bytes());
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    fn stop(self) {
        let outcome = self.service.stop(Signal::TERM, &[]);
        assert!(outcome.status.success(), "{outcome:?}");
    }
}

/// Lines of three streams with all that is hard to write in JSON.
fn lines(numbers: std::ops::Range<i64>) -> Vec<Line> {
    const HARD: [&str; 6] = [
        "plain",
        "<html> & \"quotes\" \\ and \u{2028} \u{2029}",
        "control \u{1}\u{8}\u{c}\u{1b}[0m \t \r\n of two lines",
        "\u{e4}\u{1f600}\u{7f}\u{0}",
        "{\"msg\":\"not this\",\"ts\":\"nor this\"}",
        "",
    ];
    let base = 1_705_313_999_000_000_000;
    let line = |number: i64| {
        let app = ["web", "db", "quote\"d \u{e4}\\"][number as usize / 10 % 3];
        let labels = [("app", app), ("namespace", "shop")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let hard = HARD[number as usize % HARD.len()];
        let message = if hard.is_empty() { String::new() } else { format!("{number} {hard}") };
        Line { time: base + number * 100_000_007, labels: labels.into(), message }
    };
    numbers.map(line).collect()
}

fn as_pushed(entry: &Entry) -> Line {
    let time: jiff::Timestamp = entry.time.parse().expect("a time");
    let time = i64::try_from(time.as_nanosecond()).expect("of this time");
    Line { time, labels: entry.labels.clone(), message: entry.message.clone() }
}

fn assert_reads(read: &Read, expected: &[Line]) {
    let found: Vec<Line> = read.entries().map(as_pushed).collect();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
}

/// What index and metadata say is what the files hold.
fn assert_adds_up(directory: &Path, read: &Read) {
    let files: BTreeMap<&str, &[Entry]> =
        read.files.iter().map(|(name, entries)| (name.as_str(), &entries[..])).collect();
    for indexed in &read.index {
        let entries = files[indexed.file.as_str()];
        let times = entries.iter().map(|entry| as_pushed(entry).time);
        let instant = |text: &str| {
            let time: jiff::Timestamp = text.parse().expect("a time");
            time.as_nanosecond() as i64
        };
        assert_eq!(Some(instant(&indexed.range.0)), times.clone().min(), "{indexed:?}");
        assert_eq!(Some(instant(&indexed.range.1)), times.max(), "{indexed:?}");
        let mut counts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for (name, value) in entries.iter().flat_map(|entry| &entry.labels) {
            *counts.entry(name.clone()).or_default().entry(value.clone()).or_default() += 1;
        }
        assert_eq!(indexed.labels, counts, "{}", indexed.file);
        let size = predecessor::text(&directory.join(&indexed.file)).len() as u64;
        assert_eq!(indexed.sizes, (entries.len() as u64, size), "{}", indexed.file);
    }
    if read.live {
        assert_eq!(read.totals, (0, 0));
    } else {
        let sum = |of: fn(&predecessor::Indexed) -> u64| read.index.iter().map(of).sum::<u64>();
        assert_eq!(read.totals, (sum(|one| one.sizes.0), sum(|one| one.sizes.1)));
        assert_eq!(read.index.len(), read.files.len());
    }
    // What it takes for lines without a time is the audit trail, record by record.
    let audit = std::fs::read_to_string(directory.join("audit.jsonl")).unwrap_or_default();
    assert_eq!(read.phantoms, audit.lines().count());
}

fn assert_finished(directory: &Path, expected: &[Line]) -> Read {
    let read = predecessor::read(directory);
    assert!(!read.live);
    assert_reads(&read, expected);
    assert_adds_up(directory, &read);
    read
}

/// Waits until nothing but the active file is raw.
fn wait_until_compressed(directory: &Path, receiver: &Receiver) {
    receiver.service.wait_until("compressed", || {
        let files = std::fs::read_dir(directory).expect("a capture");
        let names: Vec<String> = files
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
            .collect();
        let index = std::fs::read_to_string(directory.join("index.jsonl")).unwrap_or_default();
        !index.contains(".jsonl\"") && !names.iter().any(|name| name.ends_with(".partial"))
    });
}

#[test]
fn a_capture_is_the_same_while_it_is_written_and_afterwards() {
    let workspace = Workspace::new();
    let directory = workspace.join("capture");
    let receiver = Receiver::start(&directory, &["--max-file", "20KB"]);
    let expected = lines(0..1_000);
    for lines in expected.chunks(50) {
        receiver.push(lines);
    }
    wait_until_compressed(&directory, &receiver);
    let read = predecessor::read(&directory);
    assert!(read.live && read.index.len() > 3, "{}", read.index.len());
    assert_reads(&read, &expected);
    assert_adds_up(&directory, &read);
    receiver.stop();
    assert_finished(&directory, &expected);
}

#[test]
fn a_capture_that_was_killed_and_continued_is_one() {
    let workspace = Workspace::new();
    let directory = workspace.join("capture");
    let expected = lines(0..600);
    for lines in expected.chunks(200) {
        let receiver = Receiver::start(&directory, &["--max-file", "10KB", "--compress=false"]);
        receiver.push(lines);
        receiver.service.stop(Signal::KILL, &[]);
    }
    let read = predecessor::read(&directory);
    assert!(read.live);
    assert_reads(&read, &expected);
    Receiver::start(&directory, &[]).stop();
    assert_finished(&directory, &expected);
}

#[test]
fn a_redacted_capture_says_by_what() {
    let workspace = Workspace::new();
    let directory = workspace.join("capture");
    let receiver = Receiver::start(&directory, &["--redact=email,ip_v4"]);
    let mut expected = lines(0..10);
    for line in &mut expected {
        line.message.push_str(" from bob@example.com at 10.0.0.7");
    }
    receiver.push(&expected);
    receiver.stop();
    for line in &mut expected {
        line.message = line.message.replace("bob@example.com", "[REDACTED:email]");
        line.message = line.message.replace("10.0.0.7", "[REDACTED:ip]");
    }
    let read = assert_finished(&directory, &expected);
    assert_eq!(read.patterns, ["email", "ip_v4"]);
}

#[test]
fn a_capture_at_its_cap_names_no_file_that_is_gone() {
    let workspace = Workspace::new();
    let directory = workspace.join("capture");
    let receiver = Receiver::start(&directory, &["--max-disk", "400KB", "--compress=false"]);
    let sent = lines(0..6_000);
    for lines in sent.chunks(100) {
        receiver.push(lines);
    }
    receiver.stop();
    let read = predecessor::read(&directory);
    let kept = read.entries().count();
    assert!(kept < sent.len(), "nothing had to go");
    assert_finished(&directory, &sent[sent.len() - kept..]);
}
