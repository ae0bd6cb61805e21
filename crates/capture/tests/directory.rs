//! What somebody else, a clock or a power cut has put into a capture directory: nothing stored is overwritten, nothing
//! elsewhere is touched, and the next start works.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its functions too")]

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::Path;

use logtap_capture::{
    Capture, CaptureError, Filter, Metadata, Redactor, Timestamp, Writer, WriterOptions, read_index,
};
use logtap_loki::Batch;
use tempfile::tempdir;

const SEGMENT: &str = "2024-01-15T101959-000.jsonl";

fn options() -> WriterOptions {
    WriterOptions { clock: || Timestamp(1_705_313_999_000_000_000), ..WriterOptions::default() }
}

fn batch(lines: impl IntoIterator<Item = u64>) -> Batch {
    let mut batch = Batch::new();
    batch.streams.push(vec![("app".into(), "web".into())]);
    for number in lines {
        batch.push(0, number as i64, 0, format!("line {number}").as_bytes());
    }
    batch
}

fn write(directory: &Path, lines: impl IntoIterator<Item = u64>) {
    let mut writer = Writer::open(directory, options()).unwrap();
    writer.append(&Redactor::none().redact(&batch(lines))).unwrap();
    writer.close().unwrap();
}

/// The numbers of all lines, sorted.
fn lines(directory: &Path) -> Vec<i64> {
    let mut lines = Vec::new();
    Capture::open(directory).unwrap().read(&Filter::default(), |line| {
        lines.push(line.unwrap().timestamp.0);
        ControlFlow::Continue(())
    });
    lines.sort_unstable();
    lines
}

#[test]
fn names_with_times_beyond_all_clocks_let_no_run_overwrite_another() {
    for name in [
        "9999-12-31T235959-999.jsonl",
        "2262-04-11T234716-999.jsonl.zst",
        "9999-99-99T999999-999.jsonl",
    ] {
        let directory = tempdir().unwrap();
        let whole = br#"{"ts":"1970-01-01T00:00:00Z","labels":{},"msg":"m"}
"#;
        let content = if name.ends_with("zst") {
            zstd::bulk::compress(whole, 1).unwrap()
        } else {
            whole.to_vec()
        };
        fs::write(directory.path().join(name), &content).unwrap();
        for run in 0..4_u64 {
            write(directory.path(), run * 3 + 1..run * 3 + 4);
        }
        assert_eq!(lines(directory.path()), (0..13).collect::<Vec<_>>(), "{name}");
        let kept = fs::read(directory.path().join(name)).ok();
        let compressed = directory.path().join(format!("{name}.zst"));
        assert!(kept == Some(content) || compressed.exists(), "{name}");
    }
}

#[test]
fn a_finished_file_that_came_meanwhile_is_not_replaced() {
    let directory = tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), options()).unwrap();
    writer.append(&Redactor::none().redact(&batch(1..4))).unwrap();
    let finished = directory.path().join(format!("{SEGMENT}.zst"));
    fs::write(&finished, "somebody's").unwrap();
    let totals = writer.close().unwrap();
    assert!(totals.compression_failure.is_some(), "{totals:?}");
    assert_eq!(fs::read(&finished).unwrap(), b"somebody's");
    assert!(directory.path().join(SEGMENT).exists(), "the lines stay as they are");
}

#[test]
fn links_and_other_things_are_neither_followed_nor_waited_for() {
    let outside = tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, "not a line\nnot ended").unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    for name in [
        SEGMENT,
        "index.jsonl.partial",
        "metadata.json.partial",
        "2024-01-15T101959-000.jsonl.zst.partial",
        "2024-01-15T101959-000.jsonl.zst",
    ] {
        for kind in ["link", "pipe", "directory"] {
            let directory = tempdir().unwrap();
            let path = directory.path().join(name);
            match kind {
                "link" => symlink(&secret, &path).unwrap(),
                "pipe" => rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap(),
                _ => fs::create_dir(&path).unwrap(),
            }
            let opened = Writer::open(directory.path(), options());
            let mut writer = opened.unwrap_or_else(|error| panic!("{name} {kind}: {error}"));
            let appended = writer.append(&Redactor::none().redact(&batch(1..4)));
            appended.unwrap_or_else(|error| panic!("{name} {kind}: {error}"));
            drop(writer.close());
            assert_eq!(lines(directory.path()), [1, 2, 3], "{name} {kind}");
        }
    }
    for name in [".lock", "metadata.json", "index.jsonl"] {
        let directory = tempdir().unwrap();
        symlink(&secret, directory.path().join(name)).unwrap();
        let error = Writer::open(directory.path(), options()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("symbolic link"), "{error}");
    }
    assert_eq!(fs::read(&secret).unwrap(), b"not a line\nnot ended");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn a_batch_without_a_source_is_there_as_a_whole_or_not_at_all() {
    let directory = tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), options()).unwrap();
    for first in [1, 2] {
        writer.append(&Redactor::none().redact(&batch([first]))).unwrap();
    }
    writer.append(&Redactor::none().redact(&batch(3..10))).unwrap();
    writer.append(&Redactor::none().redact(&batch(10..20))).unwrap();
    let text = fs::read(directory.path().join(SEGMENT)).unwrap();
    drop(writer);
    for end in 0..=text.len() {
        let copy = tempdir().unwrap();
        fs::write(copy.path().join(SEGMENT), &text[..end]).unwrap();
        Writer::open(copy.path(), options()).unwrap().close().unwrap();
        let found =
            if copy.path().join("index.jsonl").exists() { lines(copy.path()).len() } else { 0 };
        assert!([0, 1, 2, 9, 19].contains(&found), "{found} lines of {end} bytes");
    }
    let whole = tempdir().unwrap();
    fs::write(whole.path().join(SEGMENT), &text).unwrap();
    Writer::open(whole.path(), options()).unwrap().close().unwrap();
    assert_eq!(lines(whole.path()), (1..20).collect::<Vec<_>>());
}

#[test]
fn metadata_that_a_power_cut_has_spoilt_is_set_aside_and_made_anew() {
    for (content, is_kept) in [(&[0_u8; 300][..], false), (b"", false), (b"{\"version\":1,", true)]
    {
        let directory = tempdir().unwrap();
        write(directory.path(), 1..4);
        let path = directory.path().join("metadata.json");
        fs::write(&path, content).unwrap();
        write(directory.path(), 4..7);
        assert_eq!(lines(directory.path()), [1, 2, 3, 4, 5, 6]);
        assert_eq!(Metadata::read(directory.path()).unwrap().total_lines, 6);
        let aside = fs::read(directory.path().join("metadata.json.damaged-1")).ok();
        assert_eq!(aside.as_deref(), is_kept.then_some(content));
    }
}

#[test]
fn what_an_index_cannot_mean_is_read_from_the_file() {
    let directory = tempdir().unwrap();
    write(directory.path(), 1..4);
    let path = directory.path().join("index.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    for wrong in ["\"lines\":18446744073709551615", "\"lines\":4000000000"] {
        fs::write(&path, text.replace("\"lines\":3", wrong)).unwrap();
        assert!(read_index(directory.path()).unwrap().is_empty(), "{wrong}");
        Writer::open(directory.path(), options()).unwrap().close().unwrap();
        assert_eq!(read_index(directory.path()).unwrap()[0].lines, 3);
    }
    // Of a file that is gone, nobody can tell.
    for file in ["a", "b"] {
        let line = format!(
            "{{\"file\":\"{file}.jsonl\",\"lines\":900000000000000000,\"bytes\":900000000000000000}}\n"
        );
        let known = fs::read_to_string(&path).unwrap();
        fs::write(&path, known + &line).unwrap();
    }
    for _ in 0..30 {
        let known = fs::read_to_string(&path).unwrap();
        let line =
            "{\"file\":\"c.jsonl\",\"lines\":900000000000000000,\"bytes\":900000000000000000}\n";
        fs::write(&path, known + line).unwrap();
        Writer::open(directory.path(), options()).unwrap().close().unwrap();
    }
    let removed = Metadata::read(directory.path()).unwrap().removed;
    assert_eq!((removed.lines, removed.bytes), (u64::MAX, u64::MAX), "no less than there was");
}

#[test]
fn a_batch_larger_than_the_capture_may_be_is_told_from_a_full_one() {
    let directory = tempdir().unwrap();
    let options = WriterOptions { disk_cap: Some(64 << 10), ..options() };
    let mut writer = Writer::open(directory.path(), options).unwrap();
    let mut large = Batch::new();
    large.streams.push(vec![("app".into(), "web".into())]);
    large.push(0, 1, 0, &vec![b'x'; 100 << 10]);
    let error = writer.append(&Redactor::none().redact(&large)).unwrap_err();
    assert!(matches!(error, CaptureError::LargerThanCap { .. }) && !error.is_full(), "{error}");
}

#[test]
fn label_values_that_senders_make_up_do_not_fill_the_index_and_are_found_all_the_same() {
    let directory = tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), options()).unwrap();
    for round in 0..10_u64 {
        let mut many = Batch::new();
        for number in 0..500_u32 {
            let value = format!("{}-{round}-{number}", "x".repeat(1000));
            many.streams.push(vec![("app".into(), "web".into()), ("id".into(), value)]);
            many.push(number, i64::from(number), 0, b"line");
        }
        writer.append(&Redactor::none().redact(&many)).unwrap();
    }
    writer.close().unwrap();
    let size = fs::metadata(directory.path().join("index.jsonl")).unwrap().len();
    assert!(size < 300 << 10, "{size} bytes");
    let entry = &read_index(directory.path()).unwrap()[0];
    assert_eq!((entry.labels.get("id"), entry.labels["app"]["web"]), (None, 5000));
    let wanted = format!("id={}-7-3", "x".repeat(1000));
    let labels = vec![logtap_capture::LabelMatcher::parse(&wanted).unwrap()];
    let (filter, mut found) = (Filter { labels, ..Filter::default() }, 0);
    Capture::open(directory.path()).unwrap().read(&filter, |line| {
        found += u32::from(line.is_ok());
        ControlFlow::Continue(())
    });
    assert_eq!(found, 1);
}

#[test]
fn captures_of_before_are_read_with_their_marks() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures/older");
    let directory = tempdir().unwrap();
    fs::copy(golden.join(SEGMENT), directory.path().join(SEGMENT)).unwrap();
    let writer = Writer::open(directory.path(), options()).unwrap();
    assert_eq!(writer.last_line("00112233445566778899aabbccddeeff"), 5);
}
