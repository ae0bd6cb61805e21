//! Operations in, lines out.

use std::time::Duration;

use super::*;

const QUIET: i64 = 1_000;

fn assembler() -> Assembler {
    let rules = LineRules {
        longest: 100,
        quiet: Duration::from_nanos(QUIET as u64),
        ..LineRules::default()
    };
    Assembler::new(rules, LabelRules::default(), Output::new("s".to_owned(), false))
}

fn start(assembler: &mut Assembler) {
    let mut bytes = Vec::new();
    Operation::Ring {
        ring: 1,
        pid: 7,
        namespace: 9,
        name: b"r",
        executable: b"/bin/x",
        source: b"preload",
    }
    .write(&mut bytes);
    for (slot, kind) in [(0, StreamKind::Stdout), (1, StreamKind::Stderr)] {
        Operation::Stream { ring: 1, slot, kind, path: b"" }.write(&mut bytes);
    }
    assembler.apply_chunk(1, &bytes).unwrap();
}

fn record(payload: &[u8]) -> Record<'_> {
    Record {
        ring: 1,
        slot: 0,
        flags: 0,
        pid: 7,
        ticket: 1,
        time: 5,
        lost_records: 0,
        lost_bytes: 0,
        payload,
    }
}

fn apply(assembler: &mut Assembler, now: i64, operations: &[Operation<'_>]) {
    let mut bytes = Vec::new();
    for operation in operations {
        operation.write(&mut bytes);
    }
    assembler.apply_chunk(now, &bytes).unwrap();
}

/// Lines with the names of their marks.
fn lines(assembler: &mut Assembler) -> Vec<String> {
    let batch = assembler.output.batch();
    let lines = batch.entries.iter().map(|entry| {
        let mut text = String::from_utf8_lossy(batch.line(entry)).into_owned();
        for (name, _) in &batch.metadata[entry.metadata as usize] {
            if ["late", "partial", "split"].contains(&name.as_str()) {
                text.push_str(" +");
                text.push_str(name);
            }
        }
        text
    });
    let lines = lines.collect();
    assembler.output.clear();
    lines
}

#[test]
fn processes_and_streams_do_not_mix() {
    let mut assembler = assembler();
    start(&mut assembler);
    apply(
        &mut assembler,
        10,
        &[
            Operation::Record(record(b"on")),
            Operation::Record(Record { pid: 8, ..record(b"tw") }),
            Operation::Record(Record { slot: 1, ..record(b"three\n") }),
            Operation::Record(Record { pid: 8, ..record(b"o\n") }),
            Operation::Record(record(b"e\n")),
        ],
    );
    assert_eq!(lines(&mut assembler), ["three", "two", "one"]);
}

#[test]
fn a_process_that_changes_its_ring_goes_on_with_its_line() {
    let mut assembler = assembler();
    start(&mut assembler);
    let mut second = Vec::new();
    for (ring, namespace, name) in [(2, 9, &b"second"[..]), (3, 10, b"elsewhere")] {
        Operation::Ring {
            ring,
            pid: 7,
            namespace,
            name,
            executable: b"/bin/x",
            source: b"preload",
        }
        .write(&mut second);
        Operation::Stream { ring, slot: 0, kind: StreamKind::Stdout, path: b"" }.write(&mut second);
    }
    assembler.apply_chunk(2, &second).unwrap();
    apply(
        &mut assembler,
        10,
        &[
            Operation::Record(record(b"begun in the first ring")),
            Operation::Record(Record { ring: 3, ..record(b"another namespace\n") }),
            Operation::Record(Record { ring: 2, pid: 8, ..record(b"another process\n") }),
            Operation::Record(Record { ring: 2, ..record(b", ended in the second\n") }),
            Operation::Record(record(b"once")),
            Operation::RingEnd { ring: 1, coverage: 0, how: RingEnd::Released },
            Operation::Record(Record { ring: 2, ..record(b" more\nlast") }),
        ],
    );
    assert_eq!(
        lines(&mut assembler),
        [
            "another namespace",
            "another process",
            "begun in the first ring, ended in the second",
            "once more"
        ]
    );
    apply(
        &mut assembler,
        11,
        &[Operation::RingEnd { ring: 2, coverage: 0, how: RingEnd::Released }],
    );
    assert_eq!(lines(&mut assembler), ["last"]);
    assert_eq!((assembler.unfinished, assembler.pending_bytes), (0, 0));
    let totals: Vec<_> = assembler.account_of_all().into_summary().streams;
    assert_eq!(totals[0].totals.lines, 5);
}

#[test]
fn a_partial_line_comes_after_a_silence_or_with_its_end() {
    let mut assembler = assembler();
    start(&mut assembler);
    apply(&mut assembler, 10, &[Operation::Record(record(b"a prompt"))]);
    assert!(lines(&mut assembler).is_empty());
    apply(&mut assembler, 9 + QUIET, &[]);
    assert!(lines(&mut assembler).is_empty());
    apply(&mut assembler, 10 + QUIET, &[Operation::Record(record(b" and more\nlast"))]);
    assert_eq!(lines(&mut assembler), ["a prompt +partial", " and more"]);
    apply(&mut assembler, 20 + QUIET, &[Operation::ProcessEnd { ring: 1, pid: 7 }]);
    assert_eq!(lines(&mut assembler), ["last"]);
    apply(
        &mut assembler,
        30 + QUIET,
        &[
            Operation::Record(record(b"x")),
            Operation::RingEnd { ring: 1, coverage: 3, how: RingEnd::Released },
        ],
    );
    assert_eq!(lines(&mut assembler), ["x"]);
}

#[test]
fn a_loss_is_told_at_its_place_and_once() {
    let mut assembler = assembler();
    start(&mut assembler);
    apply(
        &mut assembler,
        10,
        &[
            Operation::Record(record(b"one\n")),
            Operation::Record(Record { lost_records: 2, lost_bytes: 30, ..record(b"two\n") }),
            // Written at the same time by another thread, before the loss.
            Operation::Record(record(b"three\n")),
            Operation::Loss { ring: 1, slot: 0, records: 2, bytes: 30 },
            Operation::Loss { ring: 1, slot: 0, records: 3, bytes: 31 },
        ],
    );
    assert_eq!(
        lines(&mut assembler),
        [
            "one",
            "[logtap: 2 records, 30 bytes lost here]",
            "two",
            "three",
            "[logtap: 1 records, 1 bytes lost here]"
        ]
    );
    let totals = assembler.account.counts.totals;
    assert_eq!((totals.records, totals.bytes, totals.lines), (3, 14, 5));
    assert_eq!((totals.lost_records, totals.lost_bytes), (3, 31));
}

#[test]
fn a_long_write_is_not_interrupted_by_other_threads() {
    let mut assembler = assembler();
    start(&mut assembler);
    let piece = |flags, payload| Operation::Record(Record { flags, ticket: 9, ..record(payload) });
    apply(
        &mut assembler,
        10,
        &[
            piece(MORE, b"lo"),
            Operation::Record(Record { ticket: 10, ..record(b"other\nhalf") }),
            piece(MORE | FRAGMENT, b"ng"),
            piece(FRAGMENT, b"!\n"),
            Operation::Record(Record { ticket: 11, ..record(b" way\n") }),
        ],
    );
    assert_eq!(lines(&mut assembler), ["other", "long!", "half way"]);
    assert_eq!(assembler.account.counts.totals.records, 3);
    assert_eq!((assembler.unfinished, assembler.pending_bytes), (0, 0));
}

#[test]
fn torn_and_late_records_are_counted() {
    let mut assembler = assembler();
    start(&mut assembler);
    apply(
        &mut assembler,
        10,
        &[
            Operation::Record(Record { flags: LATE, ..record(b"x\n") }),
            Operation::Torn { ring: 1, slot: Some(1), bytes: Some(12) },
            Operation::Torn { ring: 1, slot: None, bytes: None },
            Operation::RingEnd { ring: 1, coverage: 3, how: RingEnd::Released },
        ],
    );
    assert_eq!(lines(&mut assembler), ["x +late"]);
    let summary = assembler.account_of_all().into_summary();
    assert_eq!(summary.counts.late_records, 1);
    assert_eq!(summary.streams.len(), 2);
    assert_eq!(summary.streams[1].totals.torn_bytes, 12);
    assert_eq!((summary.rings[0].torn_unknown, summary.rings[0].coverage), (1, 3));
    assert_eq!(summary.rings[0].processes, [7]);
}

#[test]
fn unfinished_lines_are_bounded() {
    let mut assembler = assembler();
    start(&mut assembler);
    for pid in 1..=MAX_UNFINISHED as u32 + 1 {
        apply(
            &mut assembler,
            i64::from(pid) / 100,
            &[Operation::Record(Record { pid, ..record(b"a") })],
        );
    }
    assert_eq!(assembler.unfinished, MAX_UNFINISHED / 2);
    let lines = lines(&mut assembler);
    assert_eq!(lines.len(), MAX_UNFINISHED / 2 + 1);
    assert!(lines.iter().all(|line| line == "a +partial"));
}

#[test]
fn times_that_cannot_be_are_replaced() {
    let mut assembler = assembler();
    start(&mut assembler);
    let late = TOLERATED_FUTURE + 100;
    for time in [0, -1, i64::MAX] {
        apply(&mut assembler, 50, &[Operation::Record(Record { time, ..record(b"x\n") })]);
    }
    apply(&mut assembler, 150, &[Operation::Record(Record { time: late, ..record(b"x\n") })]);
    let times: Vec<i64> =
        assembler.output.batch().entries.iter().map(|entry| entry.timestamp).collect();
    assert_eq!(times, [50, 51, 52, late]);
}

mod replay {
    use proptest::prelude::*;

    use super::*;

    /// Ring, slot, process, whether its write goes on, ticket, what was lost, and text.
    fn any_record() -> impl Strategy<Value = (u32, u8, u32, u8, u64, u32, String)> {
        (1_u32..4, 0_u8..2, 6_u32..9, 0_u8..2, 1_u64..4, 0_u32..3, "[ab\n]{0,12}")
    }

    /// Two more rings: of the same process, and of another one.
    fn start_all(assembler: &mut Assembler) {
        start(assembler);
        let mut bytes = Vec::new();
        for (ring, pid) in [(2, 7), (3, 8)] {
            let (name, executable, source) = (b"r", b"/bin/y", b"preload");
            Operation::Ring { ring, pid, namespace: 9, name, executable, source }.write(&mut bytes);
            for (slot, kind) in [(0, StreamKind::Stdout), (1, StreamKind::Stderr)] {
                Operation::Stream { ring, slot, kind, path: b"" }.write(&mut bytes);
            }
        }
        assembler.apply_chunk(1, &bytes).unwrap();
    }

    proptest! {
        /// What the spool relies on: from any state, the same operations give the same lines.
        #[test]
        fn a_restored_assembler_goes_on_the_same(
            records in proptest::collection::vec(any_record(), 1..40),
            cut in 0_usize..40,
        ) {
            let chunks: Vec<Vec<u8>> = records.iter().map(|(ring, slot, pid, more, ticket, lost, text)| {
                let mut bytes = Vec::new();
                if text.starts_with("bb") {
                    let (coverage, how) = (0, RingEnd::Released);
                    Operation::RingEnd { ring: *ring, coverage, how }.write(&mut bytes);
                }
                let flags = if *more == 1 { MORE } else { 0 };
                Operation::Record(Record {
                    ring: *ring, slot: *slot, pid: *pid, flags, ticket: *ticket, lost_records: *lost,
                    lost_bytes: u64::from(*lost) * 10, ..record(text.as_bytes())
                }).write(&mut bytes);
                bytes
            }).collect();
            let cut = cut.min(chunks.len());
            let mut whole = assembler();
            start_all(&mut whole);
            let time = |index: usize| index as i64 * 400 + 10;
            for (index, chunk) in chunks.iter().enumerate().take(cut) {
                whole.apply_chunk(time(index), chunk).unwrap();
            }
            whole.output.clear();
            let mut restored = assembler();
            restored.apply_chunk(0, &whole.state()).unwrap();
            for (index, chunk) in chunks.iter().enumerate().skip(cut) {
                whole.apply_chunk(time(index), chunk).unwrap();
                restored.apply_chunk(time(index), chunk).unwrap();
            }
            prop_assert_eq!(whole.output.batch(), restored.output.batch());
            prop_assert_eq!(whole.state(), restored.state());
        }
    }
}

/// A long write, and what another thread writes in the middle of it.
fn long_write_with_another(assembler: &mut Assembler, now: i64, lost_bytes: u64) -> Vec<String> {
    let plain = Record { lost_bytes, ..record(b"") };
    let operations = [
        Record { ticket: 10, flags: MORE, payload: b"lo", ..plain },
        Record { ticket: 11, payload: b"short\n", ..plain },
        Record { ticket: 10, flags: FRAGMENT, payload: b"ng\n", ..plain },
    ];
    apply(assembler, now, &operations.map(Operation::Record));
    lines(assembler)
}

#[test]
fn the_lost_rest_of_a_long_write_is_told_at_its_place_and_harms_no_later_one() {
    let mut assembler = assembler();
    start(&mut assembler);
    apply(
        &mut assembler,
        10,
        &[
            Operation::Record(Record { flags: MORE, ..record(b"cut") }),
            Operation::Record(Record { ticket: 2, ..record(b"me") }),
            Operation::Record(Record { ticket: 3, lost_bytes: 50, ..record(b"anwhile\n") }),
        ],
    );
    let gap = "[logtap: 0 records, 50 bytes lost here]";
    assert_eq!(lines(&mut assembler), ["cut +partial", gap, "meanwhile"]);
    assert_eq!(long_write_with_another(&mut assembler, 11, 50), ["short", "long"]);
    let totals = assembler.account_of_all().into_summary().streams[0].totals;
    assert_eq!((totals.lost_records, totals.lost_bytes), (0, 50));
}

#[test]
fn a_long_write_that_never_ends_harms_no_later_one() {
    let mut assembler = assembler();
    start(&mut assembler);
    for text in [&b"cut"[..], b"cut\n"] {
        apply(&mut assembler, 10, &[Operation::Record(Record { flags: MORE, ..record(text) })]);
        apply(&mut assembler, 10 + 2 * QUIET, &[]);
        lines(&mut assembler);
        let later = long_write_with_another(&mut assembler, 11 + 2 * QUIET, 0);
        assert_eq!(later, ["short", "long"]);
    }
}
