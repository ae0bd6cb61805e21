//! Records that come as datagrams, from writers that have no ring.

use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use logtap_collector::Collector;
use logtap_wire::frame::Frame;
use logtap_wire::record::{FLAG_MORE, FLAG_NOTE, Note, RecordHeader};
use logtap_wire::ring::{SLOT_STDOUT, STARTER, StreamKind};

use crate::memory_sink::{MemorySink, config, memory, wait_until};
use crate::writer::Writer;

pub(crate) fn frame(ticket: u64, fragment: u16, flags: u8, path: &str, payload: &[u8]) -> Vec<u8> {
    let record = RecordHeader {
        length: payload.len() as u32,
        ticket,
        fragment,
        flags,
        pid: 9,
        ..RecordHeader::default()
    };
    let kind = if path.is_empty() { StreamKind::Stdout } else { StreamKind::File };
    let frame = Frame { kind, pid_namespace: 0, record, path: path.as_bytes(), payload };
    let mut bytes = frame.header().to_vec();
    bytes.extend_from_slice(frame.path);
    bytes.extend_from_slice(frame.payload);
    bytes
}

#[test]
fn frames_are_lines_like_any_other_in_their_place() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let tap = parent.path().join("tap");
    let socket = UnixDatagram::unbound().unwrap();
    let send = |bytes: &[u8]| {
        assert_eq!(socket.send_to(bytes, tap.join("tap.sock")).unwrap(), bytes.len());
    };
    let writer = Writer::new(&tap, STARTER);
    // The ring's record has ticket 1.
    writer.write_waiting(7, SLOT_STDOUT, b"ring\n");
    // Those who send frames take theirs from the same page.
    (2..=5).for_each(|_| writer.waste_ticket());
    send(b"nonsense");
    send(&frame(2, 0, FLAG_MORE, "", b"two pie"));
    send(&frame(2, 1, 0, "", b"ces\n"));
    send(&frame(3, 0, 0, "/var/log/a", b"file\n"));
    send(&frame(
        4,
        0,
        FLAG_NOTE,
        "",
        &[&[Note::ExecWithoutPreload as u8], &b"/bin/x"[..]].concat(),
    ));
    send(&frame(5, 0, 0, "", b"end\n"));
    wait_until(|| sink.texts() == ["ring", "two pieces", "file", "end"]);
    let lines = sink.lines();
    assert_eq!(lines[1].metadata("pid"), Some("9"));
    assert_eq!(lines[2].label("file"), Some("/var/log/a"));
    assert!(lines.iter().all(|line| line.metadata("late").is_none()));
    drop(writer);
    let summary = collector.stop(Duration::from_secs(60));
    assert_eq!(summary.programs.unreached.len(), 1);
    assert_eq!(summary.programs.unreached["/bin/x"].times, 1);
    assert_eq!(summary.counts.totals.records, 4);
    assert_eq!(summary.counts.foreign_datagrams, 1);
}

#[test]
fn what_writers_without_a_ring_lose_is_counted_while_it_works() {
    let parent = memory();
    let collector = Collector::start(config(&parent), Box::new(MemorySink::default())).unwrap();
    let page = parent.path().join("tap").join(logtap_wire::CONTROL_FILE);
    let page = std::fs::File::options().write(true).open(page).unwrap();
    let put = |at: usize, value: u64| page.write_all_at(&value.to_ne_bytes(), at as u64).unwrap();
    put(logtap_wire::control::LOST_BYTES_OFFSET, 400);
    put(logtap_wire::control::LOST_RECORDS_OFFSET, 3);
    wait_until(|| collector.counts().unringed_lost_records == 3);
    assert_eq!(collector.counts().unringed_lost_bytes, 400);
    put(logtap_wire::control::LOST_RECORDS_OFFSET, 4);
    let summary = collector.stop(Duration::from_secs(5));
    assert_eq!(summary.counts.unringed_lost_records, 4);
}

#[test]
fn thousands_of_files_without_a_ring_keep_their_names() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    let to = parent.path().join("tap").join("tap.sock");
    let files: u64 = 9000;
    for number in 0..files {
        let path = format!("/var/log/{number}.log");
        socket.send_to(&frame(number + 1, 0, 0, &path, b"line\n"), &to).unwrap();
    }
    wait_until(|| sink.lines().len() as u64 == files);
    let summary = collector.stop(Duration::from_secs(60));
    let names: std::collections::BTreeSet<_> =
        summary.streams.iter().filter_map(|stream| stream.file.as_deref()).collect();
    assert_eq!(names.len() as u64, files);
    assert!(!names.contains("(other files)"));
}
