//! Everything that was written comes out once, in order, or is counted.

use std::os::unix::fs::FileExt as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use logtap_collector::{Collector, TapDirectory};
use logtap_wire::ring::{self, Geometry, SLOT_STDERR, SLOT_STDOUT, STARTER};

use crate::memory_sink::{MemorySink, config, memory, wait_quiet, wait_until};
use crate::writer::Writer;

const STOP: Duration = Duration::from_secs(60);

#[test]
fn lines_of_streams_files_and_processes_arrive_once_in_order() {
    let parent = memory();
    let sink = MemorySink::default();
    let mut config = config(&parent);
    config.labels = vec![("app".to_owned(), "x".to_owned())];
    config.remove_directory = true;
    let collector = Collector::start(config, Box::new(sink.clone())).unwrap();
    let tap = parent.path().join("tap");
    let (one, two) = (Writer::new(&tap, STARTER), Writer::new(&tap, STARTER));
    let file = one.ring.file_slot(b"/var/log/app.log").unwrap();
    for number in 0..500 {
        one.write_waiting(7, SLOT_STDOUT, format!("{number} one\n").as_bytes());
        two.write_waiting(8, SLOT_STDERR, format!("{number} ERROR two\n").as_bytes());
        one.write_waiting(9, file, format!("{number} file\n").as_bytes());
    }
    drop((one, two));
    wait_quiet(&collector);
    let summary = collector.stop(STOP);
    let lines = sink.lines();
    let expected: Vec<String> = (0..500)
        .flat_map(|number| ["one", "ERROR two", "file"].map(|text| format!("{number} {text}")))
        .collect();
    assert_eq!(sink.texts(), expected);
    assert!(lines.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp));
    assert!(lines.iter().zip(1..).all(|(line, number)| line.number == number));
    let file = &lines[2];
    assert_eq!(
        ["app", "file", "source", "stream"].map(|name| file.label(name)),
        [Some("x"), Some("/var/log/app.log"), Some("preload"), Some("file")]
    );
    assert_eq!(file.metadata("pid"), Some("9"));
    assert_eq!(file.metadata("exe"), Some("/bin/test"));
    assert_eq!(lines[1].metadata("detected_level"), Some("error"));
    assert_eq!(summary.counts.totals.records, 1500);
    assert_eq!(summary.counts.delivered_lines, 1500);
    assert_eq!(summary.counts.late_records, 0);
    assert_eq!(summary.streams.len(), 3);
    assert_eq!(summary.rings.len(), 2);
    assert_eq!(summary.rings[0].coverage, ring::COVERAGE_PLT | ring::COVERAGE_STDIO);
    assert!(!summary.directory_kept && !tap.exists());
}

#[test]
fn what_was_written_before_the_collector_came_is_there() {
    let parent = memory();
    let tap = parent.path().join("tap");
    drop(TapDirectory::create(&tap, 0o700, 1 << 20).unwrap());
    let writer = Writer::new(&tap, STARTER);
    assert!(writer.write(7, SLOT_STDOUT, b"early\nno end"));
    drop(writer);
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    wait_quiet(&collector);
    collector.stop(STOP);
    assert_eq!(sink.texts(), ["early", "no end"]);
    assert!(sink.lines().iter().all(|line| line.metadata("partial").is_none()));
    let left: Vec<_> = std::fs::read_dir(&tap).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".ring")), "{left:?}");
}

#[test]
fn threads_and_long_writes_are_whole_and_nothing_is_missing() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let writer = Writer::new(&parent.path().join("tap"), Geometry::of_size(1 << 20));
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let writer = &writer;
            scope.spawn(move || {
                for number in 0..5_000_u32 {
                    let long = if number.is_multiple_of(500) { 200_000 } else { 20 };
                    let text = format!("{thread} {number} {}\n", "x".repeat(long));
                    writer.write_waiting(16 + thread, SLOT_STDOUT, text.as_bytes());
                }
            });
        }
    });
    drop(writer);
    wait_quiet(&collector);
    let summary = collector.stop(STOP);
    let mut next = [0; 4];
    let lines = sink.texts();
    assert_eq!(lines.len(), 20_000);
    for line in lines {
        let mut words = line.split(' ');
        let thread: usize = words.next().unwrap().parse().unwrap();
        let number: u32 = words.next().unwrap().parse().unwrap();
        assert_eq!(number, next[thread], "of thread {thread}");
        let long = if number.is_multiple_of(500) { 200_000 } else { 20 };
        assert_eq!(words.next().unwrap().len(), long);
        next[thread] += 1;
    }
    assert_eq!(summary.counts.totals.records, 20_000);
    assert_eq!(summary.counts.totals.lost_records, 0);
}

#[test]
fn a_full_ring_loses_and_every_byte_is_accounted_for() {
    let parent = memory();
    let sink = MemorySink::default();
    sink.fail(u32::MAX);
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let writer = Writer::new(&parent.path().join("tap"), STARTER);
    let (mut records, mut bytes) = (0, 0);
    for number in 0..3_000 {
        let text = format!("line {number}\n");
        writer.write(7, SLOT_STDOUT, text.as_bytes());
        records += 1;
        bytes += text.len() as u64;
    }
    wait_until(|| collector.counts().retries > 0);
    sink.fail(0);
    wait_until(|| writer.try_write(7, SLOT_STDOUT, b"after\n").is_ok());
    wait_until(|| sink.texts().last().is_some_and(|last| last == "after"));
    writer.ring.count_lost(SLOT_STDOUT, 2, 100);
    drop(writer);
    wait_quiet(&collector);
    let summary = collector.stop(STOP);
    let totals = summary.streams[0].totals;
    assert!(totals.lost_records > 2);
    assert_eq!(totals.records + totals.lost_records, records + 1 + 2);
    assert_eq!(totals.bytes + totals.lost_bytes, bytes + 6 + 100);
    let texts = sink.texts();
    let gap = texts.len() - 3;
    assert!(texts[gap].starts_with("[logtap: "), "{:?}", &texts[gap..]);
    assert_eq!(texts[gap + 1..], ["after", "[logtap: 2 records, 100 bytes lost here]"]);
    let numbered = texts[..gap].iter().zip(0..).all(|(text, n)| *text == format!("line {n}"));
    assert!(numbered, "what came before the gap is there without a hole");
}

#[test]
fn losses_of_a_ring_that_lives_on_are_told_once_by_collectors_without_a_spool() {
    let parent = memory();
    let start = || {
        let sink = MemorySink::default();
        (Collector::start(config(&parent), Box::new(sink.clone())).unwrap(), sink)
    };
    let (collector, sink) = start();
    let writer = Writer::new(&parent.path().join("tap"), STARTER);
    let file = writer.ring.file_slot(b"/var/log/app.log").unwrap();
    assert!(writer.write(7, SLOT_STDOUT, b"before\n"));
    wait_until(|| sink.texts() == ["before"]);
    writer.ring.count_lost(SLOT_STDOUT, 2, 100);
    writer.ring.count_lost(file, 4, 50);
    collector.stop(STOP);
    let told =
        ["[logtap: 2 records, 100 bytes lost here]", "[logtap: 4 records, 50 bytes lost here]"];
    assert_eq!(sink.texts()[1..], told);
    // One that only comes and goes, and one that finds more.
    let (collector, sink) = start();
    wait_until(|| collector.counts().rings == 1);
    collector.stop(STOP);
    assert_eq!(sink.texts(), [""; 0]);
    let (collector, sink) = start();
    writer.ring.count_lost(SLOT_STDOUT, 1, 7);
    assert!(writer.write(7, SLOT_STDOUT, b"after\n"));
    wait_until(|| sink.texts() == ["[logtap: 1 records, 7 bytes lost here]", "after"]);
    writer.ring.count_lost(file, 1, 1);
    drop(writer);
    wait_quiet(&collector);
    collector.stop(STOP);
    assert_eq!(sink.texts()[2..], ["[logtap: 1 records, 1 bytes lost here]"]);
}

#[test]
fn a_missing_ticket_delays_and_stops_nothing() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let writer = Writer::new(&parent.path().join("tap"), STARTER);
    writer.write_waiting(7, SLOT_STDOUT, b"a\n");
    writer.waste_ticket();
    writer.write_waiting(7, SLOT_STDOUT, b"b\n");
    wait_until(|| sink.texts() == ["a", "b"]);
    drop(writer);
    let summary = collector.stop(STOP);
    assert_eq!(summary.counts.late_records, 0);
}

#[test]
fn a_writer_that_died_in_a_hook_is_counted_as_torn() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let writer = Writer::new(&parent.path().join("tap"), STARTER);
    writer.write_waiting(7, SLOT_STDOUT, b"whole\n");
    let file = std::fs::File::options().write(true).read(true).open(&writer.path).unwrap();
    for (lane, pending) in [(1, Some(33)), (2, None)] {
        let at = Geometry::lane_offset(lane) as u64;
        let mut word = [0; 8];
        file.read_exact_at(&mut word, at).unwrap();
        let word = u64::from_ne_bytes(word);
        if let Some(length) = pending {
            let pending = ring::Pending { head: (word >> 1) as u32, slot: SLOT_STDERR, length };
            let pending = pending.to_word().to_ne_bytes();
            file.write_all_at(&pending, at + ring::PENDING_OFFSET as u64).unwrap();
        } else {
            let nonsense = ring::Pending { head: 12345, slot: 0, length: 1 }.to_word();
            file.write_all_at(&nonsense.to_ne_bytes(), at + ring::PENDING_OFFSET as u64).unwrap();
        }
        let owner = 100 + lane;
        file.write_all_at(&owner.to_ne_bytes(), at + ring::OWNER_OFFSET as u64).unwrap();
        file.write_all_at(&(word | 1).to_ne_bytes(), at).unwrap();
    }
    drop(writer);
    wait_quiet(&collector);
    let summary = collector.stop(STOP);
    assert_eq!(sink.texts(), ["whole"]);
    assert_eq!(summary.counts.totals.torn_records, 2);
    assert_eq!(summary.rings[0].torn_unknown, 1);
    let stderr = summary.streams.iter().find(|stream| stream.stream == "stderr").unwrap();
    assert_eq!((stderr.totals.torn_records, stderr.totals.torn_bytes), (1, 33));
}

/// Its lane was taken back by a sibling, which counted it: nothing else tells of it.
#[test]
fn a_torn_write_whose_lane_a_sibling_took_back_is_counted() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let writer = Writer::new(&parent.path().join("tap"), STARTER);
    writer.write_waiting(7, SLOT_STDOUT, b"whole\n");
    let slot = writer.ring.slot(SLOT_STDERR);
    slot.torn_records.fetch_add(2, Ordering::Relaxed);
    slot.torn_bytes.fetch_add(33, Ordering::Relaxed);
    drop(writer);
    wait_quiet(&collector);
    let summary = collector.stop(STOP);
    assert_eq!(sink.texts(), ["whole"], "no gap: whether it was written at all nobody knows");
    let torn = |totals: &logtap_collector::Totals| (totals.torn_records, totals.torn_bytes);
    assert_eq!(torn(&summary.counts.totals), (2, 33));
    let stderr = summary.streams.iter().find(|stream| stream.stream == "stderr").unwrap();
    assert_eq!(torn(&stderr.totals), (2, 33));
}

#[test]
fn a_refused_batch_is_dropped_and_counted() {
    let parent = memory();
    let sink = MemorySink::default();
    sink.refuse(1);
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let writer = Writer::new(&parent.path().join("tap"), STARTER);
    writer.write_waiting(7, SLOT_STDOUT, b"bad\n");
    wait_until(|| collector.counts().refused_lines == 1);
    writer.write_waiting(7, SLOT_STDOUT, b"good\n");
    wait_until(|| sink.texts() == ["good"]);
    assert_eq!(sink.lines()[0].number, 2);
    drop(writer);
    collector.stop(STOP);
}

#[test]
fn a_sink_that_refuses_ends_the_lease_and_one_that_takes_lines_again_renews_it() {
    let parent = memory();
    let sink = MemorySink::default();
    sink.refuse(u32::MAX);
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let writer = Writer::new(&parent.path().join("tap"), STARTER);
    let leases = || {
        let mut lease = [0; 8];
        let file = std::fs::File::open(&writer.path).unwrap();
        file.read_exact_at(&mut lease, logtap_wire::ring::LEASE_OFFSET as u64).unwrap();
        (u64::from_ne_bytes(lease), writer.page.collector.lease.load(Ordering::Relaxed))
    };
    wait_until(|| leases().0 > 1);
    writer.write_waiting(7, SLOT_STDOUT, b"one bad line\n");
    wait_until(|| collector.counts().refused_lines == 1);
    wait_until(|| leases().1 > 0);
    writer.write_waiting(7, SLOT_STDOUT, b"another\n");
    wait_until(|| leases() == (1, 0));
    sink.refuse(0);
    writer.write_waiting(7, SLOT_STDOUT, b"good\n");
    wait_until(|| leases().0 > 1 && leases().1 > 0);
    drop(writer);
    collector.stop(STOP);
}

#[test]
fn waiting_is_in_vain_while_the_sink_refuses_and_no_longer() {
    let parent = memory();
    let sink = MemorySink::default();
    sink.fail(u32::MAX);
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let writer = Writer::new(&parent.path().join("tap"), STARTER);
    let page = writer.page;
    writer.write_waiting(7, SLOT_STDOUT, b"one\n");
    wait_until(|| {
        // Until all is let go of that went before the line.
        page.say_in_vain(page.collector.made_room.load(Ordering::Relaxed));
        let retries = collector.counts().retries;
        wait_until(|| collector.counts().retries > retries);
        page.is_waiting_in_vain()
    });
    assert_eq!(sink.texts(), [""; 0]);
    sink.fail(0);
    wait_until(|| !page.is_waiting_in_vain());
    assert_eq!(sink.texts(), ["one"]);
    drop(writer);
    collector.stop(STOP);
}

#[test]
fn stopping_with_a_dead_sink_says_what_is_missing() {
    let parent = memory();
    let sink = MemorySink::default();
    sink.fail(u32::MAX);
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let writer = Writer::new(&parent.path().join("tap"), STARTER);
    writer.write_waiting(7, SLOT_STDOUT, b"one\ntwo\n");
    wait_until(|| collector.counts().retries > 0);
    writer.write_waiting(7, SLOT_STDOUT, b"three\n");
    let summary = collector.stop(Duration::from_millis(300));
    assert_eq!(summary.undelivered_lines, 3);
    assert_eq!(summary.last_error.as_deref(), Some("not now"));
    assert!(summary.directory_kept && writer.path.exists());
    assert_eq!(summary.rings[0].state, "held");
}

#[test]
fn a_line_without_an_end_is_given_out_after_a_silence() {
    let parent = memory();
    let sink = MemorySink::default();
    let mut config = config(&parent);
    config.lines.quiet = Duration::from_millis(20);
    let collector = Collector::start(config, Box::new(sink.clone())).unwrap();
    let writer = Writer::new(&parent.path().join("tap"), STARTER);
    writer.write_waiting(7, SLOT_STDOUT, b"a prompt> ");
    wait_until(|| sink.texts() == ["a prompt> "]);
    assert_eq!(sink.lines()[0].metadata("partial"), Some("true"));
    drop(writer);
    collector.stop(STOP);
}

#[test]
fn the_last_words_of_a_process_need_no_silence() {
    use std::os::unix::fs::MetadataExt as _;
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let namespace = std::fs::metadata("/proc/self/ns/pid").unwrap().ino();
    let writer = Writer::in_namespace(&parent.path().join("tap"), STARTER, namespace);
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    writer.write_waiting(child.id(), SLOT_STDOUT, b"last words");
    writer.write_waiting(std::process::id(), SLOT_STDOUT, b"not yet");
    wait_until(|| sink.texts() == ["last words"]);
    assert_eq!(sink.lines()[0].metadata("partial"), None);
    drop(writer);
    wait_quiet(&collector);
    collector.stop(STOP);
    assert_eq!(sink.texts(), ["last words", "not yet"]);
}

#[test]
fn writers_know_whether_a_collector_lives() {
    let parent = memory();
    let sink = MemorySink::default();
    let tap = parent.path().join("tap");
    let collector = Collector::start(config(&parent), Box::new(sink)).unwrap();
    let writer = Writer::new(&tap, STARTER);
    let word = |path: &std::path::Path, at: usize| {
        let mut word = [0; 8];
        std::fs::File::open(path).unwrap().read_exact_at(&mut word, at as u64).unwrap();
        u64::from_ne_bytes(word)
    };
    let control = tap.join(logtap_wire::CONTROL_FILE);
    let epoch = word(&control, logtap_wire::control::EPOCH_OFFSET);
    wait_until(|| word(&writer.path, ring::LEASE_OFFSET) != 0);
    wait_until(|| word(&control, logtap_wire::control::EPOCH_OFFSET) != epoch);
    let bytes = logtap_wire::control::RING_BYTES_OFFSET;
    wait_until(|| word(&control, bytes) == STARTER.file_size());
    collector.stop(STOP);
    assert_eq!(word(&writer.path, ring::LEASE_OFFSET), 0);
    assert_eq!(word(&control, logtap_wire::control::LEASE_OFFSET), 0);
}
