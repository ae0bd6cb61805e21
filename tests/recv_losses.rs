//! Every loss is told in three places, the metrics, the audit trail and the metadata, with the same
//! numbers, by stream, also of a receiver that was killed and started again; and what is lost and what is
//! stored is what was acknowledged.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::thread;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::capture;
use crate::support::faulty_disk::FaultyDisk;
use crate::support::pushing::{metric, request};
use crate::support::receiving::{lines, metadata, objects, receiver, receiver_on, said};
use crate::support::running::free_port;
use crate::support::workspace::Workspace;

/// Lines by stream.
type Streams = BTreeMap<String, u64>;

/// Pushes ten lines of a stream; the status.
fn push(port: u16, app: &str, first: u64) -> u16 {
    let values: Vec<_> =
        (first + 1..).zip(lines(first)).map(|(time, line)| [time.to_string(), line]).collect();
    let body = serde_json::json!({"streams": [{"stream": {"app": app}, "values": values}]});
    request(port, "POST", "/loki/api/v1/push", body.to_string().as_bytes()).status
}

/// The samples of a metric by the stream that they are of.
fn samples(port: u16, name: &str) -> Streams {
    let text = request(port, "GET", "/metrics", b"").body;
    text.lines()
        .filter_map(|line| {
            let (stream, count) =
                line.strip_prefix(name)?.strip_prefix("{stream=\"")?.rsplit_once("\"} ")?;
            Some((plain(&stream.replace('\\', "")), count.parse().expect("a number")))
        })
        .collect()
}

/// What the trail says was lost in a way, `removed` or `dropped`: lines, and lines by stream.
fn audited(directory: &Path, loss: &str) -> (u64, Streams) {
    let records = objects(directory, "audit.jsonl");
    let mut sum = (0, Streams::new());
    for record in records.iter().filter(|record| record["event"] == "lines_dropped") {
        if record["loss"] == loss {
            sum.0 += record["lines"].as_u64().expect("a number");
            for (name, lines) in record["streams"].as_object().into_iter().flatten() {
                *sum.1.entry(plain(name)).or_default() += lines.as_u64().expect("a number");
            }
        }
    }
    sum
}

/// A stream's name without its braces.
fn plain(name: &str) -> String {
    name.trim_matches(['{', '}']).to_owned()
}

fn streams(value: &Value) -> Streams {
    let streams = value.as_object().into_iter().flatten();
    streams.map(|(name, lines)| (plain(name), lines.as_u64().expect("a number"))).collect()
}

#[test]
fn every_policy_tells_the_same_loss_everywhere() {
    for (mode, max_disk) in [
        ("reject", "150KB"),
        ("drop-oldest", "150KB"),
        ("drop-newest", "150KB"),
        // Not even one push has room here: everything is dropped.
        ("drop-oldest", "3KB"),
    ] {
        let workspace = Workspace::new();
        let (directory, port) = (workspace.join("capture"), free_port());
        let options = ["--max-disk", max_disk, "--on-full", mode, "--min-free", "0"];
        let service = receiver(port, &directory, &[&options[..], &["--compress=false"]].concat());
        for round in 0..50 {
            assert_eq!(push(port, "a", round * 20), 204, "{mode}");
            assert_eq!(push(port, "b", round * 20 + 10), 204, "{mode}");
        }
        let dropped = metric(port, "logtap_logs_dropped_total");
        let no_room = metric(port, "logtap_logs_dropped_by_reason_total{reason=\"no_room\"}");
        let by_stream = samples(port, "logtap_logs_dropped_by_stream_total");
        let removed = metric(port, "logtap_logs_removed_total");
        let removed_files = metric(port, "logtap_files_removed_total");
        let removed_bytes = metric(port, "logtap_bytes_removed_total");
        let removed_by_stream = samples(port, "logtap_logs_removed_by_stream_total");
        let said = said(service);
        let about = metadata(&directory);

        let lines = |of: &str| about[of]["lines"].as_u64().unwrap_or(0);
        assert_eq!(lines("dropped"), dropped, "{mode}: {about}");
        assert_eq!(no_room, dropped, "{mode}");
        assert_eq!(streams(&about["dropped"]["streams"]), by_stream, "{mode}");
        assert_eq!(by_stream.values().sum::<u64>(), dropped, "{mode}: {by_stream:?}");
        assert_eq!(audited(&directory, "dropped"), (dropped, by_stream), "{mode}");

        assert_eq!(lines("removed"), removed, "{mode}: {about}");
        assert_eq!(about["removed"]["segments"].as_u64().unwrap_or(0), removed_files);
        assert_eq!(about["removed"]["bytes"].as_u64().unwrap_or(0), removed_bytes);
        assert_eq!(streams(&about["removed_streams"]), removed_by_stream, "{mode}");
        let sum = removed_by_stream.values().sum::<u64>();
        assert_eq!(sum, removed, "{mode}: {removed_by_stream:?}");
        assert_eq!(audited(&directory, "removed"), (removed, removed_by_stream), "{mode}");

        assert!(dropped + removed > 0, "{mode} {max_disk}");
        assert_eq!(dropped > 0, mode == "drop-newest" || max_disk == "3KB", "{mode}");
        let stored = if removed + dropped == 1_000 { 0 } else { capture::read(&directory).len() };
        assert_eq!(stored as u64 + dropped + removed, 1_000, "{mode}: {about}");
        assert!(said.contains("warning: disk limit reached: deleted "), "{said}");
        let warned =
            if dropped > 0 { "disk limit reached: dropped" } else { "disk limit reached: deleted" };
        assert!(said.contains(warned), "{mode}: {said}");
    }
}

#[test]
fn kills_take_nothing_from_what_is_told() {
    for mode in ["drop-oldest", "drop-newest"] {
        let workspace = Workspace::new();
        let (directory, port) = (workspace.join("capture"), free_port());
        let options = ["--max-disk", "150KB", "--on-full", mode, "--min-free", "0"];
        let options = [&options[..], &["--compress=false"]].concat();
        let mut sent = 0;
        for pushes in [30, 3, 25] {
            let service = receiver(port, &directory, &options);
            for _ in 0..pushes {
                assert_eq!(push(port, "a", sent), 204, "{mode}");
                assert_eq!(push(port, "b", sent + 10), 204, "{mode}");
                sent += 20;
            }
            // At once: the trail is written by somebody who looks once a second.
            service.stop(Signal::KILL, &[]);
        }
        let service = receiver(port, &directory, &options);
        let dropped = metric(port, "logtap_logs_dropped_total");
        let removed = metric(port, "logtap_logs_removed_total");
        let dropped_by_stream = samples(port, "logtap_logs_dropped_by_stream_total");
        let removed_by_stream = samples(port, "logtap_logs_removed_by_stream_total");
        let no_room = metric(port, "logtap_logs_dropped_by_reason_total{reason=\"no_room\"}");
        said(service);
        let about = metadata(&directory);
        assert_eq!(no_room, dropped, "{mode}");
        assert_eq!(about["dropped"]["lines"].as_u64().unwrap_or(0), dropped, "{mode}: {about}");
        assert_eq!(about["removed"]["lines"].as_u64().unwrap_or(0), removed, "{mode}: {about}");
        assert_eq!(streams(&about["dropped"]["streams"]), dropped_by_stream, "{mode}");
        assert_eq!(streams(&about["removed_streams"]), removed_by_stream, "{mode}");
        assert_eq!(audited(&directory, "dropped"), (dropped, dropped_by_stream.clone()), "{mode}");
        assert_eq!(audited(&directory, "removed"), (removed, removed_by_stream.clone()), "{mode}");
        // Nothing was under way when it was killed, so every line is accounted for, and whose it was.
        let stored = capture::read(&directory);
        assert_eq!(stored.len() as u64 + dropped + removed, sent, "{mode}: {about}");
        for app in ["a", "b"] {
            let stored = stored.iter().filter(|line| line.label("app") == app).count() as u64;
            let name = format!("app=\"{app}\"");
            let lost = [&dropped_by_stream, &removed_by_stream]
                .map(|streams| streams.get(&name).copied().unwrap_or(0));
            assert_eq!(stored + lost.iter().sum::<u64>(), sent / 2, "{mode} {app}: {about}");
        }
        assert!(dropped + removed > 0, "{mode}");
    }
}

/// What the receiver has read can be known from outside by what it says that it has taken.
#[test]
fn a_sender_that_never_pauses_at_the_stop_finds_all_that_was_read() {
    let workspace = Workspace::new();
    let (directory, port, lines_port) = (workspace.join("capture"), free_port(), free_port());
    let source = format!("tcp://127.0.0.1:{lines_port}");
    let service = receiver(port, &directory, &["--json-lines", &source]);
    let line = |number: u64| format!("{{\"msg\":\"{number}\",\"app\":\"flood\"}}\n");
    let mut stream = TcpStream::connect(("127.0.0.1", lines_port)).expect("it listens");
    let sender = thread::spawn(move || {
        for first in (1..).step_by(100) {
            let lines: String = (first..first + 100).map(line).collect();
            if stream.write_all(lines.as_bytes()).is_err() {
                return first + 99;
            }
        }
        0
    });
    service.wait_until("lines come", || metric(port, "logtap_logs_received_total") > 1_000);
    let said = said(service);
    let sent = sender.join().expect("the sender ends");
    assert!(!said.contains("lost"), "{said}");

    let stored = capture::read_as_sent(&directory);
    let whole = stored.iter().take_while(|line| line.label("app") == "flood").count();
    for (number, line) in (1_u64..).zip(&stored[..whole]) {
        assert_eq!(line.text, number.to_string().into_bytes());
    }
    // Where it was cut off, there is the front of one more line at most.
    let next = line(whole as u64 + 1);
    let torn = match &stored[whole..] {
        [] => 0,
        [torn] => {
            assert!(next.as_bytes().starts_with(&torn.text), "{torn:?}");
            torn.text.len()
        }
        more => panic!("{more:?}"),
    };
    assert!(whole as u64 <= sent, "{whole} {sent}");
    let about = metadata(&directory);
    assert_eq!(about["total_lines"], stored.len(), "{about}");
    assert_eq!(about["dropped"], Value::Null, "{about}");
    let records = objects(&directory, "audit.jsonl");
    let read = |key: &str| -> u64 {
        let pushes = records.iter().filter(|record| record["event"] == "raw_push_received");
        pushes.map(|record| record[key].as_u64().expect("a number")).sum()
    };
    assert_eq!(read("lines"), stored.len() as u64);
    let bytes: usize = (1..=whole as u64).map(|number| line(number).len()).sum();
    let (read, stored) = (read("bytes"), (bytes + torn) as u64);
    // A line is also whole if nothing but its end was not read.
    assert!(read == stored || (torn == 0 && read + 1 == stored), "{read} {stored}");
}

#[test]
fn lines_that_nobody_can_send_again_are_told_when_they_are_lost() {
    let workspace = Workspace::new();
    let (directory, port, lines_port) = (workspace.join("capture"), free_port(), free_port());
    let Some(disk) = FaultyDisk::new(&workspace, &directory) else { return };
    let source = format!("tcp://127.0.0.1:{lines_port}");
    let service = receiver_on(&disk, port, &directory, &["--json-lines", &source]);
    disk.fail("write only=capture/20");
    let mut sender = TcpStream::connect(("127.0.0.1", lines_port)).expect("it listens");
    sender.write_all(&b"{\"msg\":\"gone\",\"app\":\"web\"}\n".repeat(5)).expect("it reads");
    service.wait_until("tried to store them", || metric(port, "logtap_write_failures_total") > 0);
    let said = said(service);
    assert!(said.contains("warning: 5 lines came where nobody is asked to send again"), "{said}");
    let about = metadata(&directory);
    assert_eq!(about["dropped"]["lines"], 5, "{about}");
    assert_eq!(about["dropped"]["streams"], serde_json::json!({"{app=\"web\"}": 5}));
    assert_eq!(about["dropped"]["unanswered"], 5, "{about}");
    assert_eq!(audited(&directory, "dropped"), (5, [("app=\"web\"".to_owned(), 5)].into()));
    let records = objects(&directory, "audit.jsonl");
    let told = records.iter().find(|record| record["event"] == "lines_dropped").expect("told");
    assert_eq!(told["detail"], "they came where nobody can be asked to send again");
}
