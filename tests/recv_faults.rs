//! The receiver on a disk that reports errors or is stuck, and with a clock that is set: what senders
//! see, what is told, and that every acknowledged line is there, and nothing twice.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc;

use rustix::process::Signal;

use crate::support::PATIENCE;
use crate::support::capture;
use crate::support::faulty_disk::FaultyDisk;
use crate::support::pushing::{Answer, metric, push, request};
use crate::support::receiving::{
    lines, metadata, number, objects, push_many, receiver, receiver_on, said, stored,
};
use crate::support::running::free_port;
use crate::support::workspace::{Workspace, command, logtap};

/// Pushes ten lines that begin with a number.
fn push_from(port: u16, first: u64) -> Answer {
    let lines = lines(first);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    push(port, 1 + first, &lines)
}

fn data_files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a capture");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string());
    let mut names: Vec<_> = names.map(|name| name.expect("a plain name")).collect();
    names.retain(|name| name.starts_with("20"));
    names.sort();
    names
}

#[test]
fn a_disk_that_reports_errors_costs_no_acknowledged_line() {
    for (faults, options, cause) in [
        ("write only=capture/20", &[][..], "failed to write"),
        ("half only=capture/20", &[], "failed to write"),
        // What is half written cannot even be taken back while it lasts.
        ("half truncate only=capture/20", &[], "failed to"),
        ("sync only=capture/20", &["--fsync", "always"], "failed to sync"),
    ] {
        let workspace = Workspace::new();
        let (directory, port) = (workspace.join("capture"), free_port());
        let Some(disk) = FaultyDisk::new(&workspace, &directory) else { return };
        let service = receiver_on(&disk, port, &directory, options);
        assert_eq!(push_from(port, 0).status, 204, "{faults}");
        disk.fail(faults);
        for first in [10, 20, 30] {
            let answer = push_from(port, first);
            assert_eq!(answer.status, 503, "{faults}: {answer:?}");
            assert!(answer.head.contains("retry-after: "), "{answer:?}");
            let body = &answer.body;
            assert!(body.contains(cause) && body.contains("Input/output error"), "{body}");
            assert!(body.contains("see the system's log"), "{body}");
        }
        assert_eq!(metric(port, "logtap_write_failures_total"), 3, "{faults}");
        assert_eq!(metric(port, "logtap_logs_received_total"), 10, "{faults}");
        let syncs = if faults.starts_with("sync") { 3 } else { 0 };
        assert_eq!(metric(port, "logtap_sync_failures_total"), syncs, "{faults}");
        disk.fail("");
        // The same lines again, as a sender does that was told to.
        for first in [10, 20, 30, 40] {
            assert_eq!(push_from(port, first).status, 204, "{faults}");
        }
        let said = said(service);
        assert!(said.contains("warning: pushes cannot be stored: failed to"), "{said}");
        assert!(said.contains("batches could not be stored, "), "{said}");
        assert_eq!(stored(&directory), (0..50).collect::<Vec<_>>(), "{faults}");
        let audit = objects(&directory, "audit.jsonl");
        let refused = audit.iter().filter(|record| record["event"] == "push_refused");
        assert_eq!(refused.filter(|record| record["status"] == 503).count(), 3, "{faults}");
        assert!(audit.iter().any(|record| record["event"] == "error"), "{faults}");
    }
}

#[test]
fn a_file_that_cannot_be_begun_leaves_no_others_behind() {
    for (faults, options) in
        [("create only=capture/20", &[][..]), ("sync", &["--fsync", "always"][..])]
    {
        let workspace = Workspace::new();
        let (directory, port) = (workspace.join("capture"), free_port());
        let Some(disk) = FaultyDisk::new(&workspace, &directory) else { return };
        let service = receiver_on(&disk, port, &directory, options);
        disk.fail(faults);
        for _ in 0..3 {
            assert_eq!(push_from(port, 0).status, 503, "{faults}");
        }
        assert_eq!(data_files(&directory), [""; 0], "{faults}");
        disk.fail("");
        assert_eq!(push_from(port, 0).status, 204, "{faults}");
        said(service);
        assert_eq!(stored(&directory), (0..10).collect::<Vec<_>>(), "{faults}");
    }
}

#[test]
fn files_that_cannot_be_finished_stay_readable_and_are_finished_later() {
    for faults in ["sync only=.zst.partial", "write only=.zst.partial"] {
        let workspace = Workspace::new();
        let (directory, port) = (workspace.join("capture"), free_port());
        let Some(disk) = FaultyDisk::new(&workspace, &directory) else { return };
        let service = receiver_on(&disk, port, &directory, &["--max-file", "5KB"]);
        assert_eq!(push_from(port, 0).status, 204);
        disk.fail(faults);
        for push in 1..6 {
            assert_eq!(push_from(port, push * 10).status, 204, "{faults}: none waits for it");
        }
        service.wait_until("failed to finish a file", || {
            metric(port, "logtap_rotation_errors_total") >= 5
        });
        assert_eq!(stored(&directory), (0..60).collect::<Vec<_>>(), "{faults}");
        disk.fail("");
        // The next file that is closed takes the others with it.
        for push in 6..8 {
            assert_eq!(push_from(port, push * 10).status, 204, "{faults}");
        }
        service.wait_until("finished its files", || {
            data_files(&directory).iter().filter(|name| name.ends_with(".zst")).count() == 7
        });
        let said = said(service);
        assert!(said.contains("files could not be closed, indexed or compressed"), "{said}");
        assert!(said.contains("nothing is lost and it is tried again"), "{said}");
        assert!(data_files(&directory).iter().all(|name| name.ends_with(".jsonl.zst")), "{faults}");
        assert_eq!(stored(&directory), (0..80).collect::<Vec<_>>(), "{faults}");
        assert_eq!(metadata(&directory)["total_lines"], 80);
        assert_eq!(objects(&directory, "index.jsonl").len(), 8);
    }
}

#[test]
fn a_kill_while_the_disk_is_broken_costs_no_acknowledged_line() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let Some(disk) = FaultyDisk::new(&workspace, &directory) else { return };
    let service = receiver_on(&disk, port, &directory, &[]);
    assert_eq!(push_from(port, 0).status, 204);
    disk.fail("half truncate only=capture/20");
    assert_eq!(push_from(port, 10).status, 503);
    service.stop(Signal::KILL, &[]);
    disk.fail("");
    let port = free_port();
    let service = receiver_on(&disk, port, &directory, &[]);
    assert_eq!(push_from(port, 20).status, 204);
    said(service);
    // Of the push that was refused, whole lines may be there; its sender sends them again.
    let mut stored = stored(&directory);
    stored.retain(|number| !(10..20).contains(number));
    assert_eq!(stored, (0..10).chain(20..30).collect::<Vec<_>>());
}

#[test]
fn old_files_that_cannot_be_removed_stop_the_pushes_and_not_the_cap() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let Some(disk) = FaultyDisk::new(&workspace, &directory) else { return };
    let options = ["--max-disk", "100KB", "--compress=false", "--min-free", "0"];
    let service = receiver_on(&disk, port, &directory, &options);
    disk.fail("unlink only=capture/20");
    let answers: Vec<Answer> = (0..40).map(|push| push_from(port, push * 10)).collect();
    let refused = answers.iter().find(|answer| answer.status != 204).expect("no room");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.body.contains("failed to remove"), "{refused:?}");
    assert!(metric(port, "logtap_disk_usage_bytes") <= 100 << 10);
    disk.fail("");
    assert_eq!(push_from(port, 400).status, 204);
    said(service);
    let acknowledged = answers.iter().filter(|answer| answer.status == 204).count() as u64 * 10;
    let removed = metadata(&directory)["removed"]["lines"].as_u64().expect("some went");
    assert_eq!(stored(&directory).len() as u64 + removed, acknowledged + 10);
}

/// A push of one line of some megabytes, which is sent when the receiver asks for it; its status.
fn push_large(port: u16, number: u64) -> Answer {
    let line = format!("{number} {}", "x".repeat(4_000_000));
    let body = format!(
        "{{\"streams\":[{{\"stream\":{{\"app\":\"test\"}},\"values\":[[\"{}\",\"{line}\"]]}}]}}",
        number + 1
    );
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("the receiver listens");
    connection.set_read_timeout(Some(PATIENCE)).expect("a socket takes a limit");
    let head = format!(
        "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).expect("the receiver reads");
    let mut first = [0; 25];
    connection.read_exact(&mut first).expect("the receiver answers");
    let mut answer = Vec::new();
    if first.starts_with(b"HTTP/1.1 100") {
        connection.write_all(body.as_bytes()).expect("the receiver reads");
    } else {
        answer.extend_from_slice(&first);
    }
    connection.read_to_end(&mut answer).expect("the receiver answers");
    let text = String::from_utf8(answer).expect("answers are text");
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head: text.to_ascii_lowercase(), body: String::new() }
}

#[test]
fn a_disk_that_is_stuck_puts_senders_off_before_memory_grows() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let Some(disk) = FaultyDisk::new(&workspace, &directory) else { return };
    let service = receiver_on(&disk, port, &directory, &["--max-in-flight", "16MB"]);
    assert_eq!(push_large(port, 0).status, 204);
    let before = service.resident();
    disk.fail("stuck only=capture/20");
    // Four bodies of four megabytes are within the budget; they are held, and answered at the end.
    let (answers_tx, answers_rx) = mpsc::channel();
    for held in 1..=4 {
        let answers_tx = answers_tx.clone();
        std::thread::spawn(move || answers_tx.send(push_large(port, held)));
        service.wait_until("read a body", || {
            metric(port, "logtap_push_bytes_in_flight") >= held * 4_000_000
        });
    }
    for number in 5..40 {
        let answer = push_large(port, number);
        assert_eq!(answer.status, 429, "{answer:?}");
        assert!(answer.head.contains("retry-after: "), "{answer:?}");
    }
    assert_eq!(metric(port, "logtap_backpressure_events_total"), 35);
    assert_eq!(metric(port, "logtap_push_bytes_budget"), 16 << 20);
    assert!(metric(port, "logtap_push_bytes_in_flight") <= 16 << 20);
    assert_eq!(request(port, "GET", "/readyz", b"").status, 503);
    assert_eq!(request(port, "GET", "/healthz", b"").status, 200);
    // 140 megabytes were offered.
    let grown = service.resident().saturating_sub(before);
    assert!(grown < 100 << 20, "{grown} bytes more");
    assert!(answers_rx.try_recv().is_err(), "nothing is acknowledged that is not written");
    disk.fail("");
    for _ in 1..=4 {
        assert_eq!(answers_rx.recv_timeout(PATIENCE).expect("an answer").status, 204);
    }
    let said = said(service);
    assert!(said.contains("senders are throttled with 429: too many pushes in flight"), "{said}");
    let mut found: Vec<u64> =
        capture::read_as_sent(&directory).iter().map(|line| number(&line.text)).collect();
    found.sort_unstable();
    assert_eq!(found, [0, 1, 2, 3, 4]);
}

/// Compares what the index says of each file with what is in it.
fn check_index(directory: &Path) {
    for entry in objects(directory, "index.jsonl") {
        let name = entry["file"].as_str().expect("a name");
        let lines = capture::read_segment(&directory.join(name));
        let time = |key: &str| -> i128 {
            let text = entry[key].as_str().expect("a time");
            text.parse::<jiff::Timestamp>().expect("a time").as_nanosecond()
        };
        assert_eq!(entry["lines"], lines.len(), "{name}");
        assert_eq!(Some(time("from")), lines.iter().map(|line| line.timestamp).min(), "{name}");
        assert_eq!(Some(time("to")), lines.iter().map(|line| line.timestamp).max(), "{name}");
    }
}

#[test]
fn a_clock_that_is_set_confuses_neither_names_nor_the_index() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let Some(disk) = FaultyDisk::new(&workspace, &directory) else { return };
    let options = ["--max-file", "3KB", "--rotate-every", "10h"];
    let service = receiver_on(&disk, port, &directory, &options);
    let mut sent = Vec::new();
    for (epoch, clock) in
        ["", "clock=3600", "clock=-3600", "clock=0", "clock=-7200"].iter().enumerate()
    {
        disk.fail(clock);
        for push in 0..4 {
            let first = (epoch * 4 + push) as u64 * 10;
            let lines = lines(first);
            // Without a time they get the present one.
            let body: Vec<String> = lines
                .iter()
                .map(|line| format!("{{\"msg\":\"{line}\",\"app\":\"x\"}}\n"))
                .collect();
            let answer = request(port, "POST", "/logtap/lines", body.concat().as_bytes());
            assert_eq!(answer.status, 204, "{clock}: {answer:?}");
            sent.extend(first..first + 10);
        }
    }
    let by_age = metric(port, "logtap_rotation_total{reason=\"age\"}");
    assert_eq!(by_age, 0, "no hour that was only set closes a file");
    assert_eq!(metric(port, "logtap_rotation_total{reason=\"size\"}"), 19);
    said(service);
    let lines = capture::read_as_sent(&directory);
    let found: Vec<u64> = lines.iter().map(|line| number(&line.text)).collect();
    assert_eq!(found, sent, "in the order of the names");
    let hour = 3_600_000_000_000;
    assert!(lines[40].timestamp - lines[39].timestamp > hour / 2, "the clock was set");
    assert!(lines[80].timestamp - lines[79].timestamp < -hour, "and set back");
    assert_eq!(data_files(&directory).len(), 20);
    check_index(&directory);
    let mut inspect = command(logtap());
    let report = inspect.args(["inspect", "--json"]).arg(&directory).output().expect("it runs");
    assert!(report.status.success(), "{report:?}");
}

#[test]
fn files_are_closed_by_age_also_when_the_clock_is_set() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let Some(disk) = FaultyDisk::new(&workspace, &directory) else { return };
    let by_age = |port| metric(port, "logtap_rotation_total{reason=\"age\"}");
    // Forward: one file is closed early, and that is all.
    let service = receiver_on(&disk, port, &directory, &["--rotate-every", "1h"]);
    assert_eq!(push_from(port, 0).status, 204);
    disk.fail("clock=4000");
    service.wait_until("closed the file", || by_age(port) == 1);
    for push in 1..20 {
        assert_eq!(push_from(port, push * 10).status, 204);
    }
    assert_eq!(by_age(port), 1, "no storm");
    said(service);
    // Back: the file is closed after its time, not an hour after that.
    let port = free_port();
    let service = receiver_on(&disk, port, &directory, &["--rotate-every", "3s"]);
    assert_eq!(push_from(port, 200).status, 204);
    disk.fail("clock=-4000");
    service.wait_until("closed the file", || by_age(port) >= 1);
    said(service);
    assert_eq!(stored(&directory), (0..210).collect::<Vec<_>>());
    check_index(&directory);
}

#[test]
fn a_receiver_without_faults_is_not_disturbed_by_the_library_of_this_test() {
    let workspace = Workspace::new();
    let (directory, port) = (workspace.join("capture"), free_port());
    let elsewhere = workspace.directory("elsewhere");
    let Some(disk) = FaultyDisk::new(&workspace, &elsewhere) else { return };
    disk.fail("write sync rename truncate create unlink");
    let service = receiver_on(&disk, port, &directory, &["--max-file", "5KB"]);
    let (acknowledged, refused) = push_many(port, 10);
    assert_eq!((acknowledged.len(), refused), (100, 0));
    said(service);
    assert_eq!(stored(&directory), acknowledged);
    // And without the library it is the same receiver.
    let port = free_port();
    said(receiver(port, &directory, &[]));
    assert_eq!(stored(&directory), acknowledged);
}
