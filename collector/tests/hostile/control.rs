//! The control page, which every application may write to.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use logtap_collector::Collector;
use logtap_wire::control;
use logtap_wire::ring::{SLOT_STDOUT, STARTER};

use crate::memory_sink::{MemorySink, config, memory, wait_quiet, wait_until};
use crate::writer::Writer;

fn page(tap: &Path) -> Vec<u8> {
    std::fs::read(tap.join(logtap_wire::CONTROL_FILE)).unwrap_or_default()
}

fn lease(tap: &Path) -> u64 {
    let page = page(tap);
    let at = control::LEASE_OFFSET;
    page.get(at..at + 8).map_or(0, |word| u64::from_ne_bytes(word.try_into().unwrap()))
}

/// Spoils the page under a collector and two writers: one that was there, one that comes later. All lines come.
fn spoil(how: impl FnOnce(&Path)) {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let tap = parent.path().join("tap");
    let early = Writer::new(&tap, STARTER);
    early.write_waiting(7, SLOT_STDOUT, b"before\n");
    wait_until(|| sink.texts() == ["before"]);
    let before = page(&tap);
    how(&tap);
    wait_until(|| collector.counts().control_repairs > 0);
    wait_until(|| page(&tap).len() == before.len() && lease(&tap) > 0);
    assert!(control::is_valid(&page(&tap)));
    assert_eq!(page(&tap)[..32], before[..32], "mode, cap and time are as they were");
    let late = Writer::new(&tap, STARTER);
    let mut expected = vec!["before".to_owned()];
    for number in 0..50 {
        for (name, writer) in [("early", &early), ("late", &late)] {
            writer.write_waiting(7, SLOT_STDOUT, format!("{name} {number}\n").as_bytes());
            expected.push(format!("{name} {number}"));
        }
    }
    drop((early, late));
    wait_quiet(&collector);
    let summary = collector.stop(Duration::from_secs(60));
    let mut texts = sink.texts();
    for name in ["early", "late"] {
        let own: Vec<&String> = texts.iter().filter(|text| text.starts_with(name)).collect();
        let numbered = own.iter().enumerate().all(|(at, text)| **text == format!("{name} {at}"));
        assert!(numbered, "each in its own order: {own:?}");
    }
    texts.sort_unstable();
    expected.sort_unstable();
    assert_eq!(texts, expected);
    assert_eq!(summary.counts.totals.lost_records, 0);
}

#[test]
fn a_damaged_page_is_put_back() {
    spoil(|tap| {
        let path = tap.join(logtap_wire::CONTROL_FILE);
        let file = File::options().write(true).open(path).unwrap();
        file.write_all_at(&[0xff; 64], 0).unwrap();
    });
}

#[test]
fn a_page_that_was_cut_off_is_put_back() {
    // Nobody touches the mapping meanwhile: that would be the end of the process.
    spoil(|tap| {
        let path = tap.join(logtap_wire::CONTROL_FILE);
        File::options().write(true).open(path).unwrap().set_len(100).unwrap();
    });
}

#[test]
fn a_page_that_was_removed_is_made_again() {
    spoil(|tap| std::fs::remove_file(tap.join(logtap_wire::CONTROL_FILE)).unwrap());
}

#[test]
fn a_page_that_was_replaced_is_replaced() {
    spoil(|tap| {
        let other = tap.join("other");
        std::fs::write(&other, vec![0x55; 9_000]).unwrap();
        std::fs::rename(other, tap.join(logtap_wire::CONTROL_FILE)).unwrap();
    });
    spoil(|tap| {
        let other = tap.join("other");
        std::os::unix::fs::symlink("/etc/passwd", &other).unwrap();
        std::fs::rename(other, tap.join(logtap_wire::CONTROL_FILE)).unwrap();
    });
}

#[test]
fn counters_that_cannot_be_true_are_corrupt_and_added_to_nothing() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let tap = parent.path().join("tap");
    let writer = Writer::new(&tap, STARTER);
    writer.write_waiting(7, SLOT_STDOUT, b"before\n");
    wait_until(|| sink.texts() == ["before"]);
    let scribble = u64::from_ne_bytes(*b"scribble");
    writer.page.totals.lost_records.store(scribble, Ordering::Relaxed);
    writer.ring.slot(SLOT_STDOUT).lost_bytes.store(scribble, Ordering::Relaxed);
    wait_until(|| collector.counts().corrupt_counters == 2);
    writer.write_waiting(7, SLOT_STDOUT, b"after\n");
    drop(writer);
    wait_quiet(&collector);
    let counts = collector.stop(Duration::from_secs(60)).counts;
    assert_eq!(sink.texts(), ["before", "after"], "no entry tells of a loss that was none");
    assert_eq!((counts.totals.lost_records, counts.totals.lost_bytes), (0, 0));
    assert_eq!((counts.unringed_lost_records, counts.corrupt_counters), (0, 2));
}

#[test]
fn losses_are_shown_while_the_sink_is_away() {
    let parent = memory();
    let sink = MemorySink::default();
    sink.fail(u32::MAX);
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let writer = Writer::new(&parent.path().join("tap"), STARTER);
    let line = [b'x'; 1000];
    let lost = (0..100_000).filter(|_| !writer.write(7, SLOT_STDOUT, &line)).count() as u64;
    assert!(lost > 0);
    wait_until(|| collector.counts().totals.lost_records == lost);
    sink.fail(0);
    drop(writer);
    wait_quiet(&collector);
    let counts = collector.stop(Duration::from_secs(60)).counts;
    assert_eq!(counts.totals.lost_records, lost, "counted once");
    assert_eq!(counts.totals.lost_bytes, lost * 1000);
}
