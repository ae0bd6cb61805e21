//! Who sends datagrams, or asks for the health, as nobody should.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use logtap_collector::Collector;
use logtap_wire::frame::MAX_PAYLOAD;
use logtap_wire::record::{FLAG_NOTE, Note, RecordHeader};
use logtap_wire::ring::{SLOT_STDOUT, STARTER};

use crate::frames::frame;
use crate::memory_sink::{MemorySink, config, memory, wait_until};
use crate::raw_ring::{RawRing, SMALL};
use crate::running::Running;
use crate::writer::Writer;

#[test]
fn nonsense_between_frames_is_counted_and_costs_no_frame() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(parent.path().join("tap/tap.sock")).unwrap();
    let whole = frame(1, 0, 0, "", b"cut\n");
    for number in 0..500_u64 {
        // A send waits where the queue is full.
        socket.send(format!("nonsense {number}").as_bytes()).unwrap();
        socket.send(&whole[..number as usize % whole.len()]).unwrap();
        socket.send(&frame(number, 0, 0, "", format!("{number}\n").as_bytes())).unwrap();
    }
    wait_until(|| sink.lines().len() == 500 && collector.counts().foreign_datagrams == 1_000);
    let mut numbers: Vec<u64> = sink.texts().iter().map(|text| text.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..500));
    let summary = collector.stop(Duration::from_secs(60));
    assert_eq!(summary.counts.totals.records, 500);
}

#[test]
fn thousands_of_clients_and_silent_ones_are_all_heard() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let path = parent.path().join("tap/tap.sock");
    let silent: Vec<UnixDatagram> = (0..100)
        .map(|_| {
            let socket = UnixDatagram::unbound().unwrap();
            socket.connect(&path).unwrap();
            socket
        })
        .collect();
    for number in 0..3_000_u64 {
        let socket = UnixDatagram::unbound().unwrap();
        let text = format!("{number}\n");
        socket.send_to(&frame(number, 0, 0, "", text.as_bytes()), &path).unwrap();
    }
    wait_until(|| sink.lines().len() == 3_000);
    drop(silent);
    let summary = collector.stop(Duration::from_secs(60));
    assert_eq!(summary.counts.totals.records, 3_000);
}

/// 64 MiB, or 4 GiB where tests may take long.
pub(super) fn endless() -> u64 {
    if std::env::var_os("LOGTAP_LONG_TESTS").is_some() { 4 << 30 } else { 64 << 20 }
}

#[test]
fn a_line_without_an_end_is_split_and_takes_no_memory() {
    let parent = memory();
    let tap = parent.path().join("tap");
    let running = Running::start(&tap, "", &[]);
    let good = Writer::new(&tap, STARTER);
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(tap.join("tap.sock")).unwrap();
    let payload = vec![b'x'; MAX_PAYLOAD];
    let count = endless() / MAX_PAYLOAD as u64;
    for number in 0..count {
        socket.send(&frame(number, 0, 0, "", &payload)).unwrap();
        if number % (count / 8) == 0 {
            good.write_waiting(7, SLOT_STDOUT, b"good\n");
        }
    }
    // The last piece waits for more.
    let bytes = endless() + 8 * "good".len() as u64;
    for _ in 0..u64::from(u8::MAX) {
        if running.taken().1 >= bytes - (1 << 20) {
            break;
        }
        std::thread::park_timeout(Duration::from_secs(1));
    }
    wait_until(|| running.texts().len() == 8);
    wait_until(|| running.taken().1 == bytes);
    // One more for each time that this machine kept its writer waiting for longer than a line waits.
    assert_eq!(running.longest(), 1 << 20, "pieces of 1 MiB");
    assert!(running.taken().0 >= 8 + endless() / (1 << 20), "{:?}", running.taken());
    assert!(running.peak() < 96 << 10, "{} KiB", running.peak());
    running.stop();
}

#[test]
fn a_client_of_one_byte_now_and_then_keeps_no_other_from_the_health() {
    let parent = memory();
    let running = Running::start(&parent.path().join("tap"), "", &[]);
    let mut slow = TcpStream::connect(running.address()).unwrap();
    let silent = TcpStream::connect(running.address()).unwrap();
    let (stop_tx, stop_rx) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        // Until it is shut out, or nobody needs it any more.
        while slow.write_all(b"x").is_ok() {
            if stop_rx.recv_timeout(Duration::from_millis(200))
                == Err(RecvTimeoutError::Disconnected)
            {
                return;
            }
        }
    });
    let mut client = TcpStream::connect(running.address()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    client.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // It may be gone already.
    drop(stop_tx);
    writer.join().unwrap();
    drop(silent);
    running.stop();
}

#[test]
fn a_ticket_from_the_future_makes_no_other_line_late() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let tap = parent.path().join("tap");
    let good = Writer::new(&tap, STARTER);
    let mut ring = RawRing::new(SMALL);
    ring.record(RecordHeader { ticket: u64::MAX, ..RecordHeader::default() }, b"future\n");
    ring.record(RecordHeader { ticket: 1 << 40, ..RecordHeader::default() }, b"future\n");
    ring.write(&tap, "future");
    let socket = UnixDatagram::unbound().unwrap();
    socket.send_to(&frame(u64::MAX - 1, 0, 0, "", b"future\n"), tap.join("tap.sock")).unwrap();
    wait_until(|| sink.lines().len() == 3);
    for number in 0..100 {
        good.write_waiting(7, SLOT_STDOUT, format!("{number}\n").as_bytes());
    }
    wait_until(|| sink.lines().len() == 103);
    let lines = sink.lines();
    let late = |line: &&crate::memory_sink::Line| line.metadata("late").is_some();
    assert!(lines.iter().filter(late).all(|line| line.text == "future"));
    assert!(lines[3..].iter().map(|line| line.text.parse()).eq((0..100).map(Ok::<u32, _>)));
    drop(good);
    let summary = collector.stop(Duration::from_secs(60));
    assert_eq!(summary.counts.late_records, 3);
}

#[test]
fn the_name_of_a_program_is_kept_no_longer_than_a_path() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink)).unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    let note = [&[Note::ExecWithoutPreload as u8][..], &vec![b'x'; 30_000]].concat();
    let datagram = frame(1, 0, FLAG_NOTE, "", &note);
    socket.send_to(&datagram, parent.path().join("tap/tap.sock")).unwrap();
    wait_until(|| collector.programs().unreached.len() == 1);
    assert!(collector.programs().unreached.keys().all(|program| program.len() == 4096));
    collector.stop(Duration::from_secs(60));
}
