//! Every loss is told in three places, the metrics, the audit trail and the metadata, with the same
//! numbers, by stream; and what is lost and what is stored is what was acknowledged.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;

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

/// The samples of a metric by the value of their last label.
fn samples(port: u16, name: &str) -> Streams {
    let text = request(port, "GET", "/metrics", b"").body;
    text.lines()
        .filter_map(|line| {
            let (labels, count) = line.strip_prefix(name)?.strip_prefix('{')?.split_once("} ")?;
            let (_, value) = labels
                .rsplit_once("=\"{")
                .map_or_else(|| labels.rsplit_once("=\""), |(_, value)| Some(("", value)))?;
            let value = value.trim_end_matches('"').trim_end_matches('}').replace('\\', "");
            Some((value, count.parse().expect("a number")))
        })
        .collect()
}

/// What the trail says was lost with a detail: lines, and lines by stream.
fn audited(directory: &Path, detail: &str) -> (u64, Streams) {
    let records = objects(directory, "audit.jsonl");
    let mut sum = (0, Streams::new());
    for record in records.iter().filter(|record| record["event"] == "lines_dropped") {
        if record["detail"].as_str().is_some_and(|text| text.contains(detail)) {
            sum.0 += record["lines"].as_u64().expect("a number");
            for (name, lines) in record["streams"].as_object().into_iter().flatten() {
                *sum.1.entry(plain(name)).or_default() += lines.as_u64().expect("a number");
            }
        }
    }
    sum
}

/// A stream's name as the metrics' one is cut above.
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
        let by_label = samples(port, "logtap_logs_removed_by_label_total");
        let said = said(service);
        let about = metadata(&directory);

        let lines = |of: &str| about[of]["lines"].as_u64().unwrap_or(0);
        assert_eq!(lines("dropped"), dropped, "{mode}: {about}");
        assert_eq!(no_room, dropped, "{mode}");
        assert_eq!(streams(&about["dropped"]["streams"]), by_stream, "{mode}");
        assert_eq!(by_stream.values().sum::<u64>(), dropped, "{mode}: {by_stream:?}");
        let told = audited(&directory, "there was no room for them");
        assert_eq!(told, (dropped, by_stream), "{mode}");

        assert_eq!(lines("removed"), removed, "{mode}: {about}");
        assert_eq!(about["removed"]["segments"].as_u64().unwrap_or(0), removed_files);
        assert_eq!(about["removed"]["bytes"].as_u64().unwrap_or(0), removed_bytes);
        assert_eq!(streams(&about["removed_labels"]["app"]), by_label, "{mode}");
        assert_eq!(by_label.values().sum::<u64>(), removed, "{mode}: {by_label:?}");
        assert_eq!(audited(&directory, "the oldest segments went").0, removed, "{mode}");

        assert!(dropped + removed > 0, "{mode} {max_disk}");
        assert_eq!(dropped > 0, mode == "drop-newest" || max_disk == "3KB", "{mode}");
        let stored = if removed + dropped == 1_000 { 0 } else { capture::read(&directory).len() };
        assert_eq!(stored as u64 + dropped + removed, 1_000, "{mode}: {about}");
        assert!(said.contains("warning: for want of room"), "{said}");
        let warned =
            if dropped > 0 { "were dropped for want of room" } else { "files go for want" };
        assert!(said.contains(warned), "{mode}: {said}");
    }
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
    let told = audited(&directory, "nobody can be asked");
    assert_eq!(told.0, 5);
    assert_eq!(told.1.values().sum::<u64>(), 5);
}
