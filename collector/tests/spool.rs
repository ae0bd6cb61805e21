//! A collector that is killed loses nothing and repeats nothing.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use logtap_wire::ring::{Geometry, SLOT_STDERR, SLOT_STDOUT, STARTER};

use crate::memory_sink::{memory, wait_until};
use crate::server::OnceReceiver;
use crate::writer::Writer;

fn start(tap: &Path, url: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logtap-collector"));
    command.arg("--tap").arg(tap).args(["--to", url, "--batch-age", "2", "--spool-size", "4M"]);
    command.args(["--line-timeout", "3600000"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until(|| tap.join("control").exists() && tap.join("spool/acknowledged").exists());
    child
}

fn stop(mut collector: Child) {
    let pid = rustix::process::Pid::from_child(&collector);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(collector.wait().unwrap().success());
}

/// The texts behind the time stamps.
fn texts(receiver: &OnceReceiver) -> Vec<String> {
    let text = |line: String| line.split_once(' ').unwrap().1.to_owned();
    receiver.lines().into_iter().map(text).collect()
}

#[test]
fn a_collector_killed_again_and_again_delivers_each_line_once() {
    let parent = memory();
    let tap = parent.path().join("tap");
    let receiver = OnceReceiver::default();
    let url = receiver.serve();
    let mut collector = start(&tap, &url);
    let (one, two) = (Writer::new(&tap, Geometry::of_size(256 << 10)), Writer::new(&tap, STARTER));
    let mut expected = Vec::new();
    let mut number = 0;
    for round in 0..12 {
        let write = 200 + round * 150;
        for _ in 0..write {
            // Halves of lines, so that a kill finds lines begun.
            let (left, right) = (format!("{number} on"), "e\n".to_owned());
            one.write_waiting(7, SLOT_STDOUT, left.as_bytes());
            two.write_waiting(8, SLOT_STDERR, format!("{number} two\n").as_bytes());
            one.write_waiting(7, SLOT_STDOUT, right.as_bytes());
            expected.push(format!("{number} two"));
            expected.push(format!("{number} one"));
            number += 1;
        }
        collector.kill().unwrap();
        collector.wait().unwrap();
        one.write_waiting(7, SLOT_STDOUT, format!("meanwhile {round}\n").as_bytes());
        expected.push(format!("meanwhile {round}"));
        collector = start(&tap, &url);
    }
    wait_until(|| texts(&receiver).len() == expected.len());
    drop((one, two));
    stop(collector);
    assert_eq!(texts(&receiver), expected);
    let rings = std::fs::read_dir(&tap)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "ring"));
    assert!(rings.count() <= 2);
}

#[test]
fn lines_wait_in_the_spool_for_a_receiver_that_comes_later() {
    let parent = memory();
    let tap = parent.path().join("tap");
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut collector = start(&tap, &format!("http://{nowhere}"));
    let writer = Writer::new(&tap, STARTER);
    // Far more than the ring holds: the tails move although nobody takes the lines.
    for number in 0..5_000 {
        writer.write_waiting(7, SLOT_STDOUT, format!("line {number}\n").as_bytes());
    }
    drop(writer);
    wait_until(|| std::fs::read_dir(&tap).unwrap().count() <= 4);
    collector.kill().unwrap();
    collector.wait().unwrap();
    let receiver = OnceReceiver::default();
    let collector = start(&tap, &receiver.serve());
    wait_until(|| texts(&receiver).len() == 5_000);
    stop(collector);
    assert!(texts(&receiver).iter().zip(0..).all(|(text, n)| *text == format!("line {n}")));
}

#[test]
fn what_is_begun_at_a_stop_is_given_out_and_goes_on_later() {
    let parent = memory();
    let tap = parent.path().join("tap");
    let receiver = OnceReceiver::default();
    let url = receiver.serve();
    let collector = start(&tap, &url);
    let writer = Writer::new(&tap, STARTER);
    writer.write_waiting(7, SLOT_STDOUT, b"whole\nbegun");
    wait_until(|| texts(&receiver) == ["whole"]);
    stop(collector);
    assert_eq!(texts(&receiver), ["whole", "begun"]);
    let collector = start(&tap, &url);
    writer.write_waiting(7, SLOT_STDOUT, b" and ended\n");
    wait_until(|| texts(&receiver) == ["whole", "begun", " and ended"]);
    drop(writer);
    stop(collector);
}

#[test]
fn a_spool_that_is_full_lets_the_writer_wait() {
    let parent = memory();
    let tap = parent.path().join("tap");
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut collector = start(&tap, &format!("http://{nowhere}"));
    let writer = Writer::new(&tap, STARTER);
    let line = "x".repeat(999) + "\n";
    let mut written = 0_u32;
    // Until the ring stays full: the spool takes no more.
    let mut idle = 0;
    while idle < 100 {
        if writer.try_write(7, SLOT_STDOUT, line.as_bytes()).is_ok() {
            written += 1;
            idle = 0;
        } else {
            idle += 1;
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
    assert!((3_500..4_500).contains(&written), "{written} lines in ring and spool");
    collector.kill().unwrap();
    collector.wait().unwrap();
    let receiver = OnceReceiver::default();
    let collector = start(&tap, &receiver.serve());
    wait_until(|| texts(&receiver).len() == written as usize);
    drop(writer);
    stop(collector);
}

#[test]
fn what_is_in_the_spool_is_not_read_from_the_ring_again() {
    use std::os::unix::fs::FileExt as _;
    let parent = memory();
    let tap = parent.path().join("tap");
    let receiver = OnceReceiver::default();
    let url = receiver.serve();
    let mut collector = start(&tap, &url);
    let writer = Writer::new(&tap, STARTER);
    for number in 0..10 {
        writer.write_waiting(number, SLOT_STDOUT, format!("{number}\n").as_bytes());
    }
    wait_until(|| texts(&receiver).len() == 10);
    collector.kill().unwrap();
    collector.wait().unwrap();
    // As if it had been killed after the write to the spool and before the tails were stored.
    let ring = std::fs::File::options().write(true).open(&writer.path).unwrap();
    for lane in 0..STARTER.lanes {
        let tail = Geometry::lane_offset(lane) + logtap_wire::ring::TAIL_OFFSET;
        ring.write_all_at(&[0; 8], tail as u64).unwrap();
    }
    let collector = start(&tap, &url);
    writer.write_waiting(0, SLOT_STDOUT, b"10\n");
    wait_until(|| texts(&receiver).last().is_some_and(|last| last == "10"));
    stop(collector);
    let expected: Vec<String> = (0..=10).map(|number| number.to_string()).collect();
    assert_eq!(texts(&receiver), expected);
    drop(writer);
}

/// Ten lines are delivered, the collector is killed and its spool spoilt: what is written afterwards comes, each line once.
/// The ten come `again` where nobody can know any more which lines the spool holds.
fn after_damage(again: bool, spoil: impl FnOnce(&Path)) {
    let parent = memory();
    let tap = parent.path().join("tap");
    let receiver = OnceReceiver::default();
    let url = receiver.serve();
    let mut collector = start(&tap, &url);
    let writer = Writer::new(&tap, STARTER);
    let mut expected = Vec::new();
    for number in 0..10 {
        writer.write_waiting(7, SLOT_STDOUT, format!("{number}\n").as_bytes());
        expected.push(number.to_string());
    }
    wait_until(|| texts(&receiver) == expected);
    let acknowledged = tap.join("spool/acknowledged");
    wait_until(|| std::fs::read(&acknowledged).unwrap().first() == Some(&10));
    collector.kill().unwrap();
    collector.wait().unwrap();
    spoil(&tap.join("spool"));
    expected.extend(if again { expected.clone() } else { Vec::new() });
    for round in 0..2 {
        let mut collector = start(&tap, &url);
        for number in 0..5 {
            let text = format!("after {round} {number}");
            writer.write_waiting(7, SLOT_STDOUT, format!("{text}\n").as_bytes());
            expected.push(text);
        }
        wait_until(|| texts(&receiver).len() >= expected.len());
        assert_eq!(texts(&receiver), expected);
        // The next one counts in the same way.
        collector.kill().unwrap();
        collector.wait().unwrap();
    }
    drop(writer);
}

#[test]
fn lines_after_a_spool_that_was_cut_off_are_not_taken_for_delivered_ones() {
    after_damage(false, |spool| {
        let file = std::fs::File::options().write(true).open(spool.join("00000001.spool")).unwrap();
        file.set_len(16).unwrap();
    });
}

#[test]
fn lines_of_a_spool_whose_state_is_lost_are_not_taken_for_delivered_ones() {
    after_damage(true, |spool| {
        std::fs::rename(spool.join("00000001.spool"), spool.join("00000005.spool")).unwrap();
        std::fs::write(spool.join("00000005.state"), b"nonsense").unwrap();
    });
}

#[test]
fn a_spool_of_zeros_is_begun_again() {
    after_damage(false, |spool| {
        let file = std::fs::File::options().write(true).open(spool.join("00000001.spool")).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(0).unwrap();
        file.set_len(length).unwrap();
    });
}
