//! Clients that are compiled: loki-client-go, which is promtail's client as a library, and
//! tracing-loki. Everything that they say of a line is compared: its time to the nanosecond, its
//! labels, its metadata, its bytes. Refuses to build them: `.ci/install` does that.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{LINES, Receiver, sent, time};
use crate::support::capture::Line;
use crate::support::difference::{Order, difference};
use crate::support::machine::{clients, skip};
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

/// The line of loki-client-go: some are long, some empty, and in protobuf some hold bytes that are not text.
fn loki_client_go_line(number: usize, form: &str) -> Vec<u8> {
    let mut line = sent(number).into_bytes();
    match number % 100 {
        50 if form != "json" => line.extend_from_slice(b" \xff\xfe\x00 \xf0\x9f"),
        51 => line.extend_from_slice(" long".repeat(60_000).as_bytes()),
        52 => line.clear(),
        _ => {}
    }
    line
}

/// Runs loki-client-go and gives how many pushes it tried again.
fn loki_client_go(form: &str, arguments: &[&str]) -> Option<usize> {
    let program = built("loki_client_go/loki_client_go")?;
    let receiver = Receiver::start(&[arguments, &["--tenant-label", "tenant"]].concat());
    let mut client = command(program);
    client.args([&receiver.address(), form, &LINES.to_string()]);
    let (lines, outcome) = receiver.receive_and_hear(client);
    let expected: Vec<Vec<u8>> = (0..LINES)
        .map(|number| {
            let (part, tenant) = ((number % 3).to_string(), ["left", "right"][number % 2]);
            let labels = [("app", "client"), ("odd", ODD), ("part", &*part), ("tenant", tenant)];
            let text = number.to_string();
            let metadata = [("number", &*text), ("odd", ODD)];
            // In JSON the library sends the older form of a push, to the address of the newer one, and
            // leaves the metadata out.
            let without = form == "json" || number % 10 == 0;
            let metadata = if without { &[][..] } else { &metadata[..] };
            let stream = format!("{part}-{tenant}");
            let line = loki_client_go_line(number, form);
            record(&stream, time(number), &labels, metadata, &line)
        })
        .collect();
    let received = records(&lines, &["part", "tenant"]);
    assert_eq!(difference(&expected, &received, Order::PerWriter), None);
    let said = String::from_utf8(outcome.stdout).expect("text");
    Some(said.trim().parse().expect("a number"))
}

#[test]
fn loki_client_go_to_a_receiver_that_takes_all() {
    assert!(matches!(loki_client_go("protobuf", &[]), None | Some(0)));
}

#[test]
fn loki_client_go_in_protobuf_to_a_receiver_that_often_refuses() {
    assert!(loki_client_go("protobuf", &TROUBLE).is_none_or(|retries| retries > 0));
}

#[test]
fn loki_client_go_in_json_to_a_receiver_that_often_refuses() {
    assert!(loki_client_go("json", &TROUBLE).is_none_or(|retries| retries > 0));
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
