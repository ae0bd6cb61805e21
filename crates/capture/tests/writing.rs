//! What a writer leaves on disk, in every situation that it can be left in.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its functions too")]

use std::fs::{self, OpenOptions};
use std::path::Path;

use logtap_capture::decode::Line;
use logtap_capture::{
    Appended, CaptureError, Metadata, OTHERS, OnFull, Redactor, Timestamp, Writer, WriterOptions,
    read_index,
};
use logtap_loki::{Batch, Origin};
use tempfile::{TempDir, tempdir};

const SOURCE: &str = "00112233445566778899aabbccddeeff";

fn clock() -> Timestamp {
    Timestamp(1_705_313_999_000_000_000)
}

fn options() -> WriterOptions {
    WriterOptions { clock, ..WriterOptions::default() }
}

/// Lines `first..=last` of the source, of two streams in turn.
fn batch(first: u64, last: u64) -> Batch {
    let mut batch = Batch::new();
    batch.streams.push(vec![("app".into(), "web".into()), ("stream".into(), "stdout".into())]);
    batch.streams.push(vec![("app".into(), "db".into())]);
    for number in first..=last {
        let line = format!("line {number} \"quoted\" \u{e4}");
        batch.push((number % 2) as u32, number as i64 * 1_000, 0, line.as_bytes());
    }
    batch.origin = Some(Origin { source: SOURCE.into(), first, last });
    batch
}

fn unnumbered(first: u64, last: u64) -> Batch {
    Batch { origin: None, ..batch(first, last) }
}

fn append(writer: &mut Writer, batch: &Batch) -> Result<Appended, CaptureError> {
    writer.append(&Redactor::none().redact(batch))
}

fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// All data, as text.
fn text(directory: &Path) -> String {
    let mut text = Vec::new();
    for file in files(directory) {
        let bytes = fs::read(directory.join(&file)).unwrap();
        if file.ends_with(".jsonl.zst") {
            zstd::stream::copy_decode(&bytes[..], &mut text).unwrap();
        } else if file.ends_with(".jsonl") && file != "index.jsonl" {
            text.extend_from_slice(&bytes);
        }
    }
    String::from_utf8(text).unwrap()
}

fn numbers(directory: &Path) -> Vec<u64> {
    text(directory)
        .lines()
        .map(|line| {
            let line = Line::parse(line.as_bytes()).unwrap();
            line.message.split(' ').nth(1).unwrap().parse().unwrap()
        })
        .collect()
}

fn copy(from: &Path) -> TempDir {
    let to = tempdir().unwrap();
    for file in files(from) {
        fs::copy(from.join(&file), to.path().join(&file)).unwrap();
    }
    to
}

#[test]
fn a_capture_is_live_until_it_is_closed() {
    let directory = tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), options()).unwrap();
    append(&mut writer, &batch(1, 10)).unwrap();
    let live = Metadata::read(directory.path()).unwrap();
    assert!(live.is_live());
    assert_eq!(files(directory.path()), [".lock", "2024-01-15T101959-000.jsonl", "metadata.json"]);
    assert_eq!(numbers(directory.path()), (1..=10).collect::<Vec<_>>());

    let totals = writer.close().unwrap();
    assert_eq!((totals.lines, totals.segments, totals.compressed), (10, 1, 1));
    assert!(totals.compression_failure.is_none());
    assert_eq!(
        files(directory.path()),
        [".lock", "2024-01-15T101959-000.jsonl.zst", "index.jsonl", "metadata.json"]
    );
    assert_eq!(numbers(directory.path()), (1..=10).collect::<Vec<_>>());
    let metadata = Metadata::read(directory.path()).unwrap();
    assert_eq!(metadata.stopped, Some(clock()));
    assert_eq!((metadata.total_lines, metadata.total_bytes), (10, totals.bytes));
    assert_eq!(metadata.labels_seen.unwrap(), ["app", "stream"]);
    let index = read_index(directory.path()).unwrap();
    assert_eq!(index.len(), 1);
    assert_eq!((index[0].from, index[0].to), (Timestamp(1_000), Timestamp(10_000)));
    assert_eq!(index[0].labels["app"]["web"], 5);
    assert_eq!(index[0].sources[SOURCE], 10);
    assert_eq!(index[0].bytes, text(directory.path()).len() as u64);
}

#[test]
fn an_empty_capture_has_no_segment() {
    let directory = tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), options()).unwrap();
    assert_eq!(append(&mut writer, &Batch::new()).unwrap(), Appended::default());
    assert_eq!(writer.close().unwrap().lines, 0);
    assert_eq!(files(directory.path()), [".lock", "metadata.json"]);
}

#[test]
fn restarts_in_the_same_second_never_reuse_a_name() {
    let directory = tempdir().unwrap();
    for round in 0..3 {
        let mut writer = Writer::open(directory.path(), options()).unwrap();
        append(&mut writer, &unnumbered(round * 2 + 1, round * 2 + 2)).unwrap();
        // The second one is left as a crash leaves it.
        if round != 1 {
            writer.close().unwrap();
        }
    }
    assert_eq!(numbers(directory.path()), [1, 2, 3, 4, 5, 6]);
    let files: Vec<String> =
        read_index(directory.path()).unwrap().into_iter().map(|e| e.file).collect();
    let expected = ["000", "001", "002"].map(|n| format!("2024-01-15T101959-{n}.jsonl.zst"));
    assert_eq!(files, expected);
}

#[test]
fn a_capture_that_has_ended_is_touched_by_the_first_line_only() {
    let later = || WriterOptions { clock: || Timestamp(clock().0 + 60_000_000_000), ..options() };
    let directory = tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), options()).unwrap();
    append(&mut writer, &batch(1, 2)).unwrap();
    writer.close().unwrap();
    let ended = fs::read(directory.path().join("metadata.json")).unwrap();
    drop(Writer::open(directory.path(), later()).unwrap());
    assert_eq!(Writer::open(directory.path(), later()).unwrap().close().unwrap().lines, 2);
    assert_eq!(fs::read(directory.path().join("metadata.json")).unwrap(), ended);

    let mut writer = Writer::open(directory.path(), later()).unwrap();
    append(&mut writer, &batch(1, 3)).unwrap();
    let live = Metadata::read(directory.path()).unwrap();
    assert!(live.is_live() && live.total_lines == 0);
    writer.close().unwrap();
    let again = Metadata::read(directory.path()).unwrap();
    assert_eq!((again.started, again.stopped), (Some(clock()), Some((later().clock)())));
    assert_eq!(again.total_lines, 3);
}

#[test]
fn a_writer_alone_has_the_directory() {
    let directory = tempdir().unwrap();
    let _writer = Writer::open(directory.path(), options()).unwrap();
    let error = Writer::open(directory.path(), options()).unwrap_err();
    assert!(matches!(error, CaptureError::Locked { .. }));
}

#[test]
fn lines_of_a_source_are_stored_once() {
    let directory = tempdir().unwrap();
    let small = || WriterOptions { max_segment_bytes: 1_500, ..options() };
    let mut writer = Writer::open(directory.path(), small()).unwrap();
    assert_eq!(
        append(&mut writer, &batch(1, 20)).unwrap(),
        Appended { stored: 20, skipped: 0, dropped: 0 }
    );
    assert_eq!(
        append(&mut writer, &batch(1, 20)).unwrap(),
        Appended { stored: 0, skipped: 20, dropped: 0 }
    );
    assert_eq!(
        append(&mut writer, &batch(11, 30)).unwrap(),
        Appended { stored: 10, skipped: 10, dropped: 0 }
    );
    drop(writer);
    let mut writer = Writer::open(directory.path(), small()).unwrap();
    assert_eq!(
        append(&mut writer, &batch(21, 40)).unwrap(),
        Appended { stored: 10, skipped: 10, dropped: 0 }
    );
    writer.close().unwrap();
    let mut writer = Writer::open(directory.path(), small()).unwrap();
    assert_eq!(
        append(&mut writer, &batch(40, 41)).unwrap(),
        Appended { stored: 1, skipped: 1, dropped: 0 }
    );
    writer.close().unwrap();
    assert_eq!(numbers(directory.path()), (1..=41).collect::<Vec<_>>());
}

#[test]
fn an_origin_that_does_not_fit_is_refused() {
    let directory = tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), options()).unwrap();
    for (first, last) in
        [(0, 1), (1, 1), (1, 3), (5, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX)]
    {
        let mut wrong = batch(1, 2);
        wrong.origin = Some(Origin { source: SOURCE.into(), first, last });
        let error = append(&mut writer, &wrong).unwrap_err();
        assert!(matches!(error, CaptureError::BadOrigin { .. }), "{error}");
    }
}

/// Killed at any moment, started again, sent again: every line is there once.
#[test]
fn a_segment_cut_at_any_byte_is_repaired_and_the_batch_stored_once() {
    let whole = tempdir().unwrap();
    let mut writer = Writer::open(whole.path(), options()).unwrap();
    append(&mut writer, &batch(1, 3)).unwrap();
    append(&mut writer, &unnumbered(4, 5)).unwrap();
    let before = text(whole.path()).len() as u64;
    append(&mut writer, &batch(4, 6)).unwrap();
    drop(writer);
    let expected = text(whole.path());
    let uncompressed = || WriterOptions { compress: false, ..options() };
    for length in before..=expected.len() as u64 {
        let killed = copy(whole.path());
        let segment = killed.path().join("2024-01-15T101959-000.jsonl");
        OpenOptions::new().write(true).open(&segment).unwrap().set_len(length).unwrap();
        let mut writer = Writer::open(killed.path(), uncompressed()).unwrap();
        let appended = append(&mut writer, &batch(4, 6)).unwrap();
        let complete = length == expected.len() as u64;
        assert_eq!(appended.skipped, if complete { 3 } else { 0 }, "cut at {length}");
        writer.close().unwrap();
        assert_eq!(text(killed.path()), expected, "cut at {length}");
        let index = read_index(killed.path()).unwrap();
        assert_eq!(index.iter().map(|entry| entry.lines).sum::<u64>(), 8);
        assert_eq!(index.iter().filter_map(|entry| entry.sources.get(SOURCE)).max(), Some(&6));
    }
}

#[test]
fn a_batch_without_origin_that_is_torn_is_not_there_at_all() {
    let directory = tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), options()).unwrap();
    append(&mut writer, &unnumbered(1, 3)).unwrap();
    drop(writer);
    let segment = directory.path().join("2024-01-15T101959-000.jsonl");
    let length = fs::metadata(&segment).unwrap().len();
    OpenOptions::new().write(true).open(&segment).unwrap().set_len(length - 1).unwrap();
    Writer::open(directory.path(), options()).unwrap().close().unwrap();
    assert_eq!(numbers(directory.path()), [0; 0]);
}

/// Killed between any two steps of finishing a segment.
#[test]
fn a_crash_while_finishing_a_segment_loses_and_repeats_nothing() {
    let raw = tempdir().unwrap();
    let mut writer = Writer::open(raw.path(), options()).unwrap();
    append(&mut writer, &batch(1, 3)).unwrap();
    drop(writer);
    let done = copy(raw.path());
    Writer::open(done.path(), options()).unwrap().close().unwrap();
    let indexed_raw = fs::read_to_string(done.path().join("index.jsonl")).unwrap();
    let indexed_raw = indexed_raw.replace(".jsonl.zst", ".jsonl");
    let finished = "2024-01-15T101959-000.jsonl.zst";

    let after_index = copy(raw.path());
    fs::write(after_index.path().join("index.jsonl"), &indexed_raw).unwrap();
    let while_compressing = copy(after_index.path());
    fs::write(while_compressing.path().join(format!("{finished}.partial")), "half").unwrap();
    let after_rename = copy(after_index.path());
    fs::copy(done.path().join(finished), after_rename.path().join(finished)).unwrap();
    let before_removal = copy(after_rename.path());
    fs::copy(done.path().join("index.jsonl"), before_removal.path().join("index.jsonl")).unwrap();
    let unindexed = copy(after_rename.path());
    fs::remove_file(unindexed.path().join("index.jsonl")).unwrap();

    for crashed in [after_index, while_compressing, after_rename, before_removal, unindexed] {
        let mut writer = Writer::open(crashed.path(), options()).unwrap();
        assert_eq!(
            append(&mut writer, &batch(1, 4)).unwrap(),
            Appended { stored: 1, skipped: 3, dropped: 0 }
        );
        assert_eq!(writer.close().unwrap().lines, 4);
        assert_eq!(numbers(crashed.path()), [1, 2, 3, 4]);
        assert_eq!(
            files(crashed.path()),
            [".lock", finished, "2024-01-15T101959-001.jsonl.zst", "index.jsonl", "metadata.json"]
        );
    }
}

#[test]
fn the_disk_cap_holds_at_every_moment_and_forgets_no_source() {
    let directory = tempdir().unwrap();
    const CAP: u64 = 300_000;
    let capped = || WriterOptions { disk_cap: Some(CAP), compress: false, ..options() };
    let mut writer = Writer::open(directory.path(), capped()).unwrap();
    append(&mut writer, &batch(1, 10)).unwrap();
    let mut next = 1;
    while next < 10_000 {
        append(&mut writer, &unnumbered(next, next + 99)).unwrap();
        next += 100;
        assert!(writer.disk_bytes() <= CAP);
        let on_disk: u64 = files(directory.path())
            .iter()
            .map(|file| fs::metadata(directory.path().join(file)).unwrap().len())
            .sum();
        assert_eq!(on_disk, writer.disk_bytes());
    }
    let totals = writer.close().unwrap();
    assert!(totals.losses.removed.segments > 0);
    assert_eq!(totals.lines + totals.losses.removed.lines, 10_010);
    assert_eq!(numbers(directory.path()).last(), Some(&10_000));
    assert!(!text(directory.path()).contains(SOURCE));
    let mut writer = Writer::open(directory.path(), capped()).unwrap();
    assert_eq!(
        append(&mut writer, &batch(1, 10)).unwrap(),
        Appended { stored: 0, skipped: 10, dropped: 0 }
    );
}

/// Killed between any two steps of removing a segment, and started twice.
#[test]
fn a_segment_that_is_removed_is_counted_once() {
    let before = tempdir().unwrap();
    let small = || WriterOptions { max_segment_bytes: 1_000, compress: false, ..options() };
    let mut writer = Writer::open(before.path(), small()).unwrap();
    for first in [1, 11, 21] {
        append(&mut writer, &batch(first, first + 9)).unwrap();
    }
    drop(writer);
    drop(Writer::open(before.path(), small()).unwrap());
    let oldest = "2024-01-15T101959-000.jsonl";
    let unlinked = copy(before.path());
    fs::remove_file(unlinked.path().join(oldest)).unwrap();
    let counted = copy(unlinked.path());
    let metadata = fs::read_to_string(counted.path().join("metadata.json")).unwrap();
    let removed = format!(
        ",\"removed\":{{\"segments\":1,\"lines\":10,\"bytes\":9}},\"removed_files\":[\"{oldest}\"],\
         \"sources\":{{\"{SOURCE}\":10}}}}"
    );
    let metadata = format!("{}{removed}", metadata.trim_end().strip_suffix('}').unwrap());
    fs::write(counted.path().join("metadata.json"), metadata).unwrap();
    let forgotten = copy(counted.path());
    let index = fs::read_to_string(forgotten.path().join("index.jsonl")).unwrap();
    let index = index.split_once('\n').unwrap().1;
    fs::write(forgotten.path().join("index.jsonl"), index).unwrap();
    for (killed, is_told) in [(unlinked, false), (counted, true), (forgotten, true)] {
        for _ in 0..2 {
            let mut writer = Writer::open(killed.path(), small()).unwrap();
            assert_eq!(writer.status().removed.lines, 10);
            assert_eq!(append(&mut writer, &batch(1, 30)).unwrap().skipped, 30);
        }
        assert_eq!(losses(killed.path()).0, 10);
        let streams = Metadata::read(killed.path()).unwrap().removed_streams;
        let whose: Vec<_> = streams.iter().collect();
        if is_told {
            // Somebody has counted them who did not know the streams.
            assert_eq!(whose, [(OTHERS, 10)]);
        } else {
            let web = "{app=\"web\", stream=\"stdout\"}";
            assert_eq!(whose, [("{app=\"db\"}", 5), (web, 5)]);
        }
        assert_eq!(numbers(killed.path()), (11..=30).collect::<Vec<_>>());
        let index = read_index(killed.path()).unwrap();
        assert_eq!(index.iter().map(|entry| entry.lines).sum::<u64>(), 20);
    }
}

#[test]
fn a_segment_that_is_removed_while_it_is_compressed_leaves_no_file() {
    let directory = tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), options()).unwrap();
    append(&mut writer, &batch(1, 3)).unwrap();
    drop(writer);
    let oldest = "2024-01-15T101959-000.jsonl";
    // As between the new file's name and the old one's end.
    let raw = fs::read(directory.path().join(oldest)).unwrap();
    let packed = zstd::bulk::compress(&raw, 1).unwrap();
    let capped = WriterOptions { disk_cap: Some(100_000), compress: false, ..options() };
    let mut writer = Writer::open(directory.path(), capped).unwrap();
    fs::write(directory.path().join(format!("{oldest}.zst")), packed).unwrap();
    for first in (4..2_000).step_by(100) {
        append(&mut writer, &unnumbered(first, first + 99)).unwrap();
    }
    writer.close().unwrap();
    assert!(losses(directory.path()).0 > 0);
    assert!(!files(directory.path()).iter().any(|file| file.starts_with(oldest)));
}

#[test]
fn a_cap_that_is_lowered_holds_from_the_first_line_on() {
    let directory = tempdir().unwrap();
    let small = |disk_cap, on_full| WriterOptions {
        max_segment_bytes: 20_000,
        compress: false,
        disk_cap: Some(disk_cap),
        on_full,
        ..options()
    };
    let mut writer = Writer::open(directory.path(), small(1 << 30, OnFull::Reject)).unwrap();
    for first in (1..3_000).step_by(100) {
        append(&mut writer, &unnumbered(first, first + 99)).unwrap();
    }
    writer.close().unwrap();
    let lowered = Writer::open(directory.path(), small(100_000, OnFull::Reject)).unwrap();
    drop(lowered);
    assert_eq!(numbers(directory.path()).len(), 3_000, "a look takes nothing away");
    // Where nothing may go, there is no room, and the lines are told as dropped at the end.
    let mut writer = Writer::open(directory.path(), small(100_000, OnFull::DropNewest)).unwrap();
    assert_eq!(append(&mut writer, &unnumbered(3_001, 3_010)).unwrap().dropped, 10);
    drop(writer);
    let mut writer = Writer::open(directory.path(), small(100_000, OnFull::Reject)).unwrap();
    append(&mut writer, &unnumbered(3_001, 3_100)).unwrap();
    assert!(writer.disk_bytes() <= 100_000);
    let totals = writer.close().unwrap();
    assert_eq!(totals.lines + totals.losses.removed.lines, 3_100);
    assert!(totals.disk_bytes <= 100_000);
}

/// Each line has a label value of its own, so that what is told of removed lines would soon be larger than
/// what there is room for.
#[test]
fn what_is_told_of_losses_leaves_room_for_lines() {
    const CAP: u64 = 300_000;
    let directory = tempdir().unwrap();
    let capped = WriterOptions { disk_cap: Some(CAP), compress: false, ..options() };
    let mut writer = Writer::open(directory.path(), capped).unwrap();
    for first in (1..6_000).step_by(50) {
        let mut batch = Batch::new();
        for number in first..first + 50 {
            batch.streams.push(vec![("pod".into(), format!("a-rather-long-name-{number}"))]);
            batch.push((number - first) as u32, number, 0, b"line");
        }
        assert_eq!(append(&mut writer, &batch).unwrap().stored, 50);
        assert!(writer.disk_bytes() <= CAP);
    }
    let totals = writer.close().unwrap();
    assert_eq!(totals.lines + totals.losses.removed.lines, 6_000);
    assert!(totals.lines > 500, "{}", totals.lines);
    let metadata = Metadata::read(directory.path()).unwrap();
    let told = &metadata.removed_streams;
    assert_eq!((told.lines(), told), (totals.losses.removed.lines, &totals.losses.removed_streams));
    assert!(told.get(OTHERS) > 0 && told.get("{pod=\"a-rather-long-name-1\"}") == 1, "{told:?}");
}

#[test]
fn a_batch_that_cannot_fit_leaves_nothing_behind() {
    let directory = tempdir().unwrap();
    let capped = WriterOptions { disk_cap: Some(400_000), ..options() };
    let mut writer = Writer::open(directory.path(), capped).unwrap();
    append(&mut writer, &batch(1, 2)).unwrap();
    let before = text(directory.path());
    let error = append(&mut writer, &batch(3, 10_000)).unwrap_err();
    assert!(matches!(error, CaptureError::LargerThanCap { .. }), "{error}");
    append(&mut writer, &batch(3, 4)).unwrap();
    writer.close().unwrap();
    assert_eq!(numbers(directory.path()), [1, 2, 3, 4]);
    assert!(text(directory.path()).starts_with(&before));
}

/// Control characters take six bytes each, which nobody can know before they are encoded.
#[test]
fn a_batch_that_outgrows_the_cap_while_it_is_written_is_taken_back() {
    let directory = tempdir().unwrap();
    let capped = WriterOptions { disk_cap: Some(400_000), compress: false, ..options() };
    let mut writer = Writer::open(directory.path(), capped).unwrap();
    append(&mut writer, &batch(1, 2)).unwrap();
    let before = text(directory.path());
    let mut growing = unnumbered(3, 3);
    for _ in 0..200 {
        growing.push(0, 1, 0, &[1; 500]);
    }
    let error = append(&mut writer, &growing).unwrap_err();
    assert!(matches!(error, CaptureError::CapReached { .. }), "{error}");
    assert_eq!(text(directory.path()), before);
    append(&mut writer, &batch(3, 4)).unwrap();
    writer.close().unwrap();
    assert_eq!(numbers(directory.path()), [1, 2, 3, 4]);
}

#[test]
fn what_others_left_in_the_directory_stays() {
    let directory = tempdir().unwrap();
    for file in ["export-000.jsonl", "notes.txt", "audit.jsonl", "x.partial"] {
        fs::write(directory.path().join(file), "{\"msg\":\"line 7\"}\n").unwrap();
    }
    fs::write(directory.path().join("metadata.json"), "{\"started\":\"2020-01-01T00:00:00Z\"}")
        .unwrap();
    let mut writer = Writer::open(directory.path(), options()).unwrap();
    append(&mut writer, &batch(1, 2)).unwrap();
    writer.close().unwrap();
    let names = files(directory.path());
    for file in ["export-000.jsonl", "notes.txt", "audit.jsonl", "x.partial"] {
        assert!(names.iter().any(|name| name == file), "{file}");
    }
    let metadata = Metadata::read(directory.path()).unwrap();
    assert_eq!(metadata.started.unwrap().to_string(), "2020-01-01T00:00:00Z");
}

/// What the metadata says of losses.
fn losses(directory: &Path) -> (u64, u64, std::collections::BTreeMap<String, u64>) {
    let metadata = Metadata::read(directory).unwrap();
    let streams = metadata.dropped.streams.iter().map(|(name, lines)| (name.to_owned(), lines));
    (metadata.removed.lines, metadata.dropped.lines, streams.collect())
}

#[test]
fn a_segment_is_closed_when_it_is_old_with_lines_or_without() {
    static NOW: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);
    let wait = |seconds: i64| {
        NOW.fetch_add(seconds * 1_000_000_000, std::sync::atomic::Ordering::Relaxed);
    };
    let directory = tempdir().unwrap();
    let options = WriterOptions {
        clock: || Timestamp(NOW.load(std::sync::atomic::Ordering::Relaxed)),
        max_segment_age: Some(std::time::Duration::from_secs(60)),
        compress: false,
        ..WriterOptions::default()
    };
    let mut writer = Writer::open(directory.path(), options).unwrap();
    writer.tick().unwrap();
    append(&mut writer, &batch(1, 2)).unwrap();
    wait(59);
    writer.tick().unwrap();
    append(&mut writer, &batch(3, 4)).unwrap();
    assert_eq!(read_index(directory.path()).unwrap().len(), 0);
    wait(1);
    writer.tick().unwrap();
    assert_eq!(read_index(directory.path()).unwrap()[0].lines, 4);
    append(&mut writer, &batch(5, 5)).unwrap();
    wait(60);
    append(&mut writer, &batch(6, 6)).unwrap();
    assert_eq!(read_index(directory.path()).unwrap().len(), 2);
    let status = writer.status();
    assert_eq!((status.rotations_by_age, status.rotations_by_size), (2, 0));
    writer.close().unwrap();
    assert_eq!(numbers(directory.path()), (1..=6).collect::<Vec<_>>());
}

#[test]
fn every_way_to_write_through_stores_the_same() {
    for fsync in ["never", "rotation", "every:1ms", "always"] {
        for compress in [true, false] {
            let directory = tempdir().unwrap();
            let fsync = fsync.parse().unwrap();
            let options = WriterOptions { fsync, compress, max_segment_bytes: 1_000, ..options() };
            let mut writer = Writer::open(directory.path(), options).unwrap();
            for first in (1..100).step_by(10) {
                append(&mut writer, &batch(first, first + 9)).unwrap();
                writer.tick().unwrap();
            }
            assert_eq!(writer.status().sync_failures, 0);
            assert_eq!(writer.close().unwrap().lines, 100);
            assert_eq!(numbers(directory.path()), (1..=100).collect::<Vec<_>>());
        }
    }
}

#[test]
fn where_little_is_free_nothing_is_written_and_the_error_says_so() {
    let directory = tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), options()).unwrap();
    append(&mut writer, &batch(1, 2)).unwrap();
    writer.close().unwrap();
    let guarded = |on_full| WriterOptions { min_free: u64::MAX, on_full, ..options() };
    let mut writer = Writer::open(directory.path(), guarded(OnFull::DropNewest)).unwrap();
    let appended = append(&mut writer, &batch(3, 5)).unwrap();
    assert_eq!(appended, Appended { stored: 0, skipped: 0, dropped: 3 });
    // They are not taken when they are sent again either: they were acknowledged.
    assert_eq!(append(&mut writer, &batch(3, 5)).unwrap().skipped, 3);
    // Told before anybody is answered: a kill now takes nothing of it.
    let streams =
        [("{app=\"db\"}".to_owned(), 2), ("{app=\"web\", stream=\"stdout\"}".to_owned(), 1)];
    assert_eq!(losses(directory.path()), (0, 3, streams.into()));
    drop(writer);
    let mut writer = Writer::open(directory.path(), guarded(OnFull::Reject)).unwrap();
    let error = append(&mut writer, &batch(6, 7)).unwrap_err();
    assert!(error.is_full() && error.remedy().unwrap().contains("--min-free"), "{error}");
    assert!(error.to_string().contains("are to stay free"), "{error}");
    // What is stored is not given up where that would not help.
    drop(writer);
    assert_eq!(numbers(directory.path()), [1, 2]);
}

#[test]
fn a_full_capture_drops_what_the_user_chose_and_counts_it() {
    const CAP: u64 = 300_000;
    for on_full in [OnFull::DropOldest, OnFull::DropNewest, OnFull::Reject] {
        let directory = tempdir().unwrap();
        let options = WriterOptions { disk_cap: Some(CAP), compress: false, on_full, ..options() };
        let mut writer = Writer::open(directory.path(), options).unwrap();
        let mut dropped = 0;
        for first in (1..8_000).step_by(100) {
            let appended = append(&mut writer, &unnumbered(first, first + 99)).unwrap();
            assert_eq!(appended.stored + appended.dropped, 100);
            dropped += appended.dropped;
            assert!(writer.disk_bytes() <= CAP);
        }
        assert_eq!(writer.status().dropped_lines, dropped);
        let lines = writer.close().unwrap().lines;
        let (removed, counted, _) = losses(directory.path());
        assert_eq!((lines + removed + counted, counted), (8_000, dropped), "{on_full:?}");
        let kept = numbers(directory.path());
        if on_full == OnFull::DropNewest {
            assert_eq!((removed, kept[0]), (0, 1));
            assert!(dropped > 0);
        } else {
            assert_eq!((dropped, kept.last()), (0, Some(&8_000)));
        }
        let index: u64 =
            read_index(directory.path()).unwrap().iter().map(|entry| entry.lines).sum();
        assert_eq!(index, lines);
    }
}
