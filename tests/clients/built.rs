//! Clients that are compiled: of Loki's own people promtail's, its canary and loki-client-go, and
//! tracing-loki. Everything that they say of a line is compared: its time to the nanosecond, its
//! labels, its metadata, its bytes. Refuses to build them: `.ci/install` does that.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{LINES, Receiver, ask, metric, sent, time};
use crate::support::capture::Line;
use crate::support::difference::{Order, difference};
use crate::support::machine::{clients, skip};
use crate::support::running::{Service, free_port};
use crate::support::workspace::command;

/// Every fifth push is put off, every fifth fails.
const TROUBLE: [&str; 2] = ["--fault", "429:20%,500:20%"];

/// What labels and metadata hold that nobody should put there.
const ODD: &str = "\"quoted\" back\\slash \u{e4} \u{1f600} \u{7}\u{8}\u{c}\n\r\t\u{b} \u{1}\u{7f} \
    \u{200b} \u{e0001} {a=\"b\"}, c";

/// A program that `.ci/install` has built, or `None` after saying that the test is skipped.
fn built(name: &str) -> Option<PathBuf> {
    let program = clients(name);
    if program.exists() {
        return Some(program);
    }
    skip(&format!("the client `{name}` is not built"));
    None
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// All that is known of a line, as one line; the first word is its stream, whose order must be kept.
fn record(stream: &str, time: i128, labels: Pairs, metadata: Pairs, text: &[u8]) -> Vec<u8> {
    let mut record = format!("{stream} {time} {labels:?} {metadata:?} ").into_bytes();
    record.extend_from_slice(text);
    record
}

/// The same of the lines of a capture; the stream is the values of these labels.
fn records(lines: &[Line], stream: &[&str]) -> Vec<Vec<u8>> {
    let of_line = |line: &Line| {
        let stream: Vec<&str> = stream.iter().map(|name| line.label(name)).collect();
        let (labels, metadata) = (pairs(&line.labels), pairs(&line.metadata));
        record(&stream.join("-"), line.timestamp, &labels, &metadata, &line.text)
    };
    lines.iter().map(of_line).collect()
}

fn pairs(map: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    map.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// The line of promtail's client: some hold bytes that are no text, some are long, some empty.
fn promtail_line(number: usize) -> Vec<u8> {
    let mut line = sent(number).into_bytes();
    match number % 100 {
        50 => line.extend_from_slice(b" \xff\xfe\x00 \xf0\x9f"),
        51 => line.extend_from_slice(" long".repeat(60_000).as_bytes()),
        52 => line.clear(),
        _ => {}
    }
    line
}

/// Runs promtail's client and gives how many pushes it tried again.
fn promtail(arguments: &[&str]) -> Option<usize> {
    let program = built("promtail/promtail")?;
    let receiver = Receiver::start(&[arguments, &["--tenant-label", "tenant"]].concat());
    let mut client = command(program);
    client.args([&receiver.address(), &LINES.to_string()]);
    let (lines, outcome) = receiver.receive_and_hear(client);
    let expected: Vec<Vec<u8>> = (0..LINES)
        .map(|number| {
            let (part, tenant) = ((number % 3).to_string(), ["left", "right"][number % 2]);
            let labels = [("app", "promtail"), ("odd", ODD), ("part", &*part), ("tenant", tenant)];
            let text = number.to_string();
            let metadata = [("number", &*text), ("odd", ODD)];
            let metadata = if number % 10 == 0 { &[][..] } else { &metadata[..] };
            let stream = format!("{part}-{tenant}");
            record(&stream, time(number), &labels, metadata, &promtail_line(number))
        })
        .collect();
    let received = records(&lines, &["part", "tenant"]);
    assert_eq!(difference(&expected, &received, Order::PerWriter), None);
    let said = String::from_utf8(outcome.stdout).expect("text");
    Some(said.trim().parse().expect("a number"))
}

#[test]
fn promtail_to_a_receiver_that_takes_all() {
    assert!(matches!(promtail(&[]), None | Some(0)));
}

#[test]
fn promtail_to_a_receiver_that_often_refuses() {
    assert!(promtail(&TROUBLE).is_none_or(|retries| retries > 0));
}

fn loki_client_go(form: &str) {
    let Some(program) = built("loki_client_go/loki_client_go") else { return };
    let receiver = Receiver::start(&TROUBLE);
    let mut client = command(program);
    client.args([&receiver.address(), form, &LINES.to_string()]);
    let lines = receiver.receive(client);
    let expected: Vec<Vec<u8>> = (0..LINES)
        .map(|number| {
            let (part, text) = ((number % 2).to_string(), number.to_string());
            let (labels, metadata) = ([("app", "client"), ("part", &*part)], [("number", &*text)]);
            // In JSON the library sends the older form of a push, to the address of the newer one, and
            // leaves the metadata out.
            let metadata = if form == "json" { &[][..] } else { &metadata[..] };
            record(&part, time(number), &labels, metadata, sent(number).as_bytes())
        })
        .collect();
    assert_eq!(difference(&expected, &records(&lines, &["part"]), Order::PerWriter), None);
}

#[test]
fn loki_client_go_in_protobuf() {
    loki_client_go("protobuf");
}

#[test]
fn loki_client_go_in_json() {
    loki_client_go("json");
}

/// Lets the canary push for a while, in batches of this size. It also asks for what it pushed, by a
/// tail and by queries, which a receiver refuses; so it names every line that it sent as missing there.
fn canary(batch: usize) {
    const SIZE: usize = 120;
    let Some(program) = built("promtail/loki-canary") else { return };
    let receiver = Receiver::start(&[&TROUBLE[..], &["--tenant-label", "tenant"]].concat());
    let port = free_port();
    let mut client = command(program);
    client.args(["-push=true", "-tenant-id=yellow", "-interval=5ms"]);
    client.args(["-wait=0s", "-pruneinterval=20ms", "-out-of-order-percentage=20"]);
    client.args(["-write-min-backoff=1ms", "-write-max-backoff=5ms", "-write-max-retries=1000"]);
    client.arg(format!("-addr=127.0.0.1:{}", receiver.port));
    client.args([format!("-port={port}"), format!("-size={SIZE}")]);
    client.arg(format!("-logs-batch-size={batch}"));
    let client = Service::start(client, receiver.workspace.path());
    client.wait_for_port(port);
    let sent = || metric(port, "loki_canary_entries_total");
    client.wait_until("sent enough", || sent() >= LINES);
    // It stops writing; the answer would come when its tail has ended, which never began.
    let _suspended = ask(port, "/suspend");
    // An incomplete batch stays with it. What has stopped stays as it is however often one looks.
    let (mut last, mut looks) = (0, 0);
    client.wait_until("pushed all", || {
        let named = metric(port, "loki_canary_websocket_missing_entries_total");
        let now = sent();
        let settled = named == now && now == last && receiver.stored() + batch > now;
        looks = if settled { looks + 1 } else { 0 };
        last = now;
        looks == 20
    });
    let stored = receiver.stored();
    let said = client.stop(Signal::KILL, &[]).stderr;
    let said = String::from_utf8(said).expect("text");
    assert!(said.contains("429 Too Many Requests") && said.contains("retrying"), "{said}");
    let mut expected: Vec<Vec<u8>> = said
        .lines()
        .filter_map(|line| line.strip_prefix("websocket failed to receive entry "))
        .map(|rest| {
            let time = rest.split(' ').next().expect("a word");
            let mut text = format!("{time} ");
            text.extend(std::iter::repeat_n('p', SIZE - text.len() - 1));
            text.push('\n');
            let labels = [("name", "loki-canary"), ("stream", "stdout"), ("tenant", "yellow")];
            let time = time.parse().expect("nanoseconds");
            record("stdout", time, &labels, &[], text.as_bytes())
        })
        .collect();
    let mut received = records(&receiver.end(), &["stream"]);
    let both = expected.len().min(received.len());
    assert!(both >= stored && stored + batch > LINES, "{both} lines, {stored} stored: {said}");
    expected.truncate(both);
    received.truncate(both);
    assert_eq!(difference(&expected, &received, Order::Total), None);
}

#[test]
fn loki_canary_line_by_line() {
    canary(1);
}

#[test]
fn loki_canary_in_batches() {
    canary(10);
}

#[test]
fn tracing_loki() {
    let Some(program) = built("tracing_loki/debug/numbers") else { return };
    let receiver = Receiver::start(&[]);
    let mut client = command(program);
    client.args([&receiver.address(), &LINES.to_string()]);
    let (lines, outcome) = receiver.receive_and_hear(client);
    let said = String::from_utf8(outcome.stdout).expect("text");
    let spans: Vec<(i128, i128)> = said
        .lines()
        .map(|line| {
            let (before, after) = line.split_once(' ').expect("two times");
            (before.parse().expect("nanoseconds"), after.parse().expect("nanoseconds"))
        })
        .collect();
    let odd = "\"quoted\" back\\slash \u{e4} \u{1f600}\n\t{a=\"b\"}, c";
    for (level, first) in [("warn", 0), ("info", 1)] {
        let of_level: Vec<&Line> =
            lines.iter().filter(|line| line.label("level") == level).collect();
        let numbers = || (first..LINES).step_by(2);
        let expected: Vec<Vec<u8>> = numbers()
            .map(|number| {
                let mut object = json!({
                    "message": sent(number), "number": number, "place": "here", "_spans": [],
                    "_target": "numbers", "_module_path": "numbers", "_file": "main.rs",
                });
                if level == "warn" {
                    object["group"] = json!(number / 100);
                    object["_spans"] = json!(["outer"]);
                }
                object.to_string().into_bytes()
            })
            .collect();
        let received: Vec<Vec<u8>> = of_level
            .iter()
            .map(|line| {
                let mut object: Value = serde_json::from_slice(&line.text).expect("JSON");
                let place = object.as_object_mut().and_then(|object| object.remove("_line"));
                assert!(place.is_some_and(|place| place.is_u64()), "{line:?}");
                object.to_string().into_bytes()
            })
            .collect();
        assert_eq!(difference(&expected, &received, Order::Total), None, "{level}");
        for (number, line) in numbers().zip(of_level) {
            let (before, after) = spans[number];
            assert!((before..=after).contains(&line.timestamp), "{before} {line:?} {after}");
            assert_eq!(pairs(&line.labels), [("app", "tracing"), ("level", level), ("odd", odd)]);
            assert!(line.metadata.is_empty(), "{line:?}");
        }
    }
    assert_eq!(lines.len(), LINES, "and no others");
}
