//! Files in the tap directory that are not what they should be harm nobody else.

mod clients;
mod control;
mod limits;
mod many;
mod raw;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use logtap_collector::{Collector, Summary};
use logtap_wire::ring::{self, Geometry, SLOT_STDOUT, STARTER};

use crate::memory_sink::{MemorySink, config, memory, wait_quiet, wait_until};
use crate::writer::Writer;

/// Lets `spoil` act on a ring beside a good one, and returns what the good one delivered.
fn beside_a_good_ring(spoil: impl FnOnce(&Path, &Writer)) -> (Vec<String>, Summary) {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let tap = parent.path().join("tap");
    let (good, bad) = (Writer::new(&tap, STARTER), Writer::new(&tap, STARTER));
    bad.write_waiting(7, SLOT_STDOUT, b"before\n");
    wait_until(|| sink.texts() == ["before"]);
    spoil(&tap, &bad);
    wait_until(|| collector.counts().hostile > 0);
    good.write_waiting(8, SLOT_STDOUT, b"good\n");
    wait_until(|| sink.texts().last().is_some_and(|last| last == "good"));
    drop(good);
    let summary = collector.stop(Duration::from_secs(60));
    // A mapping of a file that was cut off must not be touched any more; unmapping it is safe.
    drop(bad);
    (sink.texts(), summary)
}

fn open(writer: &Writer) -> File {
    File::options().read(true).write(true).open(&writer.path).unwrap()
}

#[test]
fn an_impossible_head() {
    let (texts, summary) = beside_a_good_ring(|_, bad| {
        let word = ((1_u64 << 40) << 1).to_ne_bytes();
        open(bad).write_all_at(&word, Geometry::lane_offset(3) as u64).unwrap();
    });
    assert_eq!(texts, ["before", "good"]);
    assert_eq!(summary.hostile.len(), 1);
    assert!(summary.hostile[0].reason.contains("impossible head"), "{:?}", summary.hostile);
    assert!(summary.rings.iter().any(|ring| ring.state == "hostile"));
}

#[test]
fn bytes_that_are_no_record() {
    let (_, summary) = beside_a_good_ring(|_, bad| {
        let file = open(bad);
        file.write_all_at(&[0xff; 128], STARTER.data_offset(2)).unwrap();
        let word = (128_u64 << 1).to_ne_bytes();
        file.write_all_at(&word, Geometry::lane_offset(2) as u64).unwrap();
    });
    assert!(summary.hostile[0].reason.contains("no record"), "{:?}", summary.hostile);
}

#[test]
fn a_slot_that_is_not_in_use() {
    let (_, summary) = beside_a_good_ring(|_, bad| {
        bad.write_waiting(7, 40, b"to nobody\n");
    });
    assert!(summary.hostile[0].reason.contains("slot 40"), "{:?}", summary.hostile);
}

#[test]
fn absurd_paths_are_taken_as_they_are_and_absurd_counters_are_corrupt() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let bad = Writer::new(&parent.path().join("tap"), STARTER);
    let at = (ring::STREAMS_OFFSET + 5 * size_of::<ring::StreamSlot>()) as u64;
    let slot: Vec<u8> = [3_u32, u32::MAX].iter().flat_map(|word| word.to_ne_bytes()).collect();
    open(&bad).write_all_at(&slot, at).unwrap();
    open(&bad).write_all_at(&[0xff; 24], at + 8).unwrap();
    bad.write_waiting(7, 5, b"x\n");
    wait_until(|| sink.texts() == ["x"]);
    drop(bad);
    wait_quiet(&collector);
    let summary = collector.stop(Duration::from_secs(60));
    assert_eq!(summary.counts.hostile, 0);
    assert_eq!(summary.counts.corrupt_counters, 1);
    assert_eq!(summary.streams[0].totals.lost_bytes, 0);
    assert_eq!(sink.lines()[0].label("file"), Some(""));
}

#[test]
fn a_file_that_was_cut_off() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let bad = Writer::new(&parent.path().join("tap"), STARTER);
    bad.write_waiting(7, SLOT_STDOUT, b"before\n");
    wait_until(|| sink.texts() == ["before"]);
    open(&bad).set_len(5000).unwrap();
    wait_until(|| collector.counts().hostile == 1);
    let summary = collector.stop(Duration::from_secs(60));
    assert!(summary.hostile[0].reason.contains("shorter"), "{:?}", summary.hostile);
}

#[test]
fn files_that_never_were_rings() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let tap = parent.path().join("tap");
    let real = Writer::new(&tap, STARTER);
    let header = std::fs::read(&real.path).unwrap();
    let sparse = File::create(tap.join("sparse.ring")).unwrap();
    sparse.write_all_at(&header[..4096], 0).unwrap();
    sparse.set_len(header.len() as u64).unwrap();
    let grown = File::create(tap.join("grown.ring")).unwrap();
    grown.write_all_at(&header, 0).unwrap();
    grown.write_all_at(&[0; 4096], header.len() as u64).unwrap();
    std::fs::write(tap.join("garbage.ring"), vec![0xaa; 20_000]).unwrap();
    std::fs::write(tap.join("empty.ring"), b"").unwrap();
    std::fs::create_dir(tap.join("directory.ring")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", tap.join("link.ring")).unwrap();
    let fifo = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tap.join("fifo.ring"),
        rustix::fs::FileType::Fifo,
        fifo,
        0,
    )
    .unwrap();
    wait_until(|| collector.counts().hostile == 6);
    real.write_waiting(7, SLOT_STDOUT, b"good\n");
    wait_until(|| sink.texts() == ["good"]);
    drop(real);
    let summary = collector.stop(Duration::from_secs(60));
    assert_eq!(summary.counts.hostile, 6, "each is looked at once: {:?}", summary.hostile);
    assert!(tap.join("garbage.ring").exists(), "what is not ours stays");
}

#[test]
fn a_second_name_of_a_ring_is_not_read_again() {
    let (texts, summary) = beside_a_good_ring(|tap, bad| {
        std::fs::hard_link(&bad.path, tap.join("second.ring")).unwrap();
    });
    assert_eq!(texts, ["before", "good"]);
    assert_eq!(summary.counts.totals.records, 2);
    assert!(summary.hostile[0].reason.contains("under another name"), "{:?}", summary.hostile);
}
