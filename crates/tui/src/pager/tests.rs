//! Pages of real captures, compared with all of their lines.

use std::time::{Duration, Instant};

use logtap_capture::{Redactor, Timestamp, Totals, Writer, WriterOptions};
use logtap_loki::Batch;

use super::*;
use crate::page::{Goal, Sought};
use crate::place::SegmentKey;
use crate::shown::ShownLine;
use crate::spec::{LevelSet, Pattern, Rule};

const START: i64 = 1_705_313_999_000_000_000;

fn options() -> WriterOptions {
    WriterOptions { max_segment_bytes: 768 << 10, ..WriterOptions::default() }
}

fn message(number: usize) -> String {
    let level = if number.is_multiple_of(100) { "ERROR" } else { "INFO" };
    format!("{level} line-{number:06} {}", "\u{e4}\"x ".repeat(number % 30))
}

fn append(writer: &mut Writer, numbers: std::ops::Range<usize>) {
    let mut batch = Batch::new();
    batch.streams.push(vec![("app".into(), "web".into())]);
    batch.streams.push(vec![("app".into(), "db".into())]);
    for number in numbers {
        let time = START + number as i64 * 1_000_000;
        batch.push(u32::from(number.is_multiple_of(3)), time, 0, message(number).as_bytes());
    }
    writer.append(&Redactor::none().redact(&batch)).unwrap();
}

/// Lines of a capture; several chunks of several segments.
const LINES: usize = 16_000;

/// A capture of so many lines in several segments, compressed if it is closed.
fn capture(close: bool) -> (tempfile::TempDir, Option<Writer>) {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), options()).unwrap();
    for first in (0..LINES).step_by(1000) {
        append(&mut writer, first..first + 1000);
    }
    if close {
        let Totals { compressed, segments, .. } = writer.close().unwrap();
        assert!(segments > 2 && segments == compressed);
        return (directory, None);
    }
    (directory, Some(writer))
}

fn number(row: &Row) -> usize {
    let at = row.line.message.find("line-").unwrap() + "line-".len();
    row.line.message[at..at + 6].parse().unwrap()
}

fn numbers(page: &Page) -> Vec<usize> {
    page.rows.iter().map(number).collect()
}

/// A page that is whole.
fn whole(pager: &mut Pager, request: &Request, height: usize) -> Page {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        pager.refresh();
        let page = pager.page(request, height);
        if !page.waiting {
            assert_eq!(pager.take_failure(), None);
            return page;
        }
        assert!(Instant::now() < deadline, "{:?}", pager.progress());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn surveyed(pager: &mut Pager) -> Progress {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        pager.refresh();
        let progress = pager.progress();
        if progress.is_complete() && progress.total > 0 {
            return progress;
        }
        assert!(Instant::now() < deadline, "{progress:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn walk(pager: &mut Pager, expected: &[usize]) {
    let mut seen = Vec::new();
    let mut page = whole(pager, &Request::Head, 400);
    assert!(page.at_start);
    loop {
        seen.extend(numbers(&page));
        if page.at_end {
            break;
        }
        let place = page.rows.last().unwrap().place.clone();
        page = whole(pager, &Request::Around { place, moved: 1, row: 0 }, 400);
        let before = numbers(&page).iter().take_while(|n| seen.last() >= Some(n)).count();
        page.rows.drain(..before);
    }
    assert!(seen == expected, "forwards: {} of {}", seen.len(), expected.len());
    let mut seen = Vec::new();
    let mut page = whole(pager, &Request::Tail, 400);
    assert!(page.at_end);
    loop {
        seen.extend(numbers(&page).into_iter().rev());
        if page.at_start {
            break;
        }
        let place = page.rows.first().unwrap().place.clone();
        page = whole(pager, &Request::Around { place, moved: -1, row: 399 }, 400);
        let first = *seen.last().unwrap();
        page.rows.retain(|row| number(row) < first);
    }
    seen.reverse();
    assert!(seen == expected, "backwards: {} of {}", seen.len(), expected.len());
}

fn rule(hide: bool, pattern: &str) -> Rule {
    Rule { hide, pattern: Pattern::exact(pattern).unwrap() }
}

#[test]
fn every_line_is_on_some_page_raw_and_compressed() {
    for close in [false, true] {
        let (directory, writer) = capture(close);
        let mut pager = Pager::open(directory.path()).unwrap();
        let all: Vec<usize> = (0..LINES).collect();
        walk(&mut pager, &all);
        drop(writer);
    }
}

#[test]
fn filtered_pages_have_all_lines_that_pass_and_counts_are_exact() {
    let (directory, _writer) = capture(false);
    let mut pager = Pager::open(directory.path()).unwrap();
    let spec = Spec {
        labels: vec![logtap_capture::LabelMatcher::equal("app", "db")],
        rules: vec![rule(false, "line-00[4-9]"), rule(true, "7")],
        search: Some(Pattern::smart("line-00[56].*9 ").unwrap()),
        ..Spec::default()
    };
    pager.set_spec(&spec);
    let passes = |n: &usize| {
        let text = message(*n);
        n.is_multiple_of(3) && (4_000..10_000).contains(n) && !text.contains('7')
    };
    let expected: Vec<usize> = (0..LINES).filter(passes).collect();
    walk(&mut pager, &expected);
    let tally = surveyed(&mut pager).tally;
    let found: Vec<usize> = expected
        .iter()
        .copied()
        .filter(|n| spec.search.as_ref().unwrap().is_in(message(*n).as_bytes()))
        .collect();
    assert_eq!((tally.kept, tally.found), (expected.len() as u64, found.len() as u64));
    let keep = (0..LINES).filter(|n| n % 3 == 0 && (4_000..10_000).contains(n));
    assert_eq!(tally.hits[0], keep.clone().count() as u64);
    assert_eq!(tally.hits[1], keep.filter(|n| message(*n).contains('7')).count() as u64);

    // From match to match, both ways, each with its number.
    let mut at = whole(&mut pager, &Request::Head, 1).rows[0].place.clone();
    let mut seen = Vec::new();
    loop {
        match pager.seek(Goal::Match, &at, true) {
            Sought::Found(place, rank) => {
                seen.push(place.clone());
                assert_eq!(rank, Some(seen.len() as u64));
                at = place;
            }
            Sought::Nothing => break,
            Sought::Waiting => panic!("all was surveyed"),
        }
    }
    assert_eq!(seen.len(), found.len());
    for place in seen.iter().rev().skip(1) {
        let Sought::Found(before, _) = pager.seek(Goal::Match, &at, false) else { panic!() };
        assert_eq!(before, *place);
        at = before;
    }
}

#[test]
fn errors_and_levels_are_found_and_counted() {
    let (directory, _) = capture(true);
    let mut pager = Pager::open(directory.path()).unwrap();
    pager.set_spec(&Spec { counting: true, ..Spec::default() });
    let progress = surveyed(&mut pager);
    assert_eq!(
        (progress.tally.errors, progress.tally.levels[5], progress.tally.levels[3]),
        (160, 160, 15_840)
    );
    let last = whole(&mut pager, &Request::Tail, 1).rows[0].place.clone();
    let Sought::Found(place, _) = pager.seek(Goal::Error, &last, false) else { panic!() };
    let page = whole(&mut pager, &Request::Around { place, moved: 0, row: 5 }, 11);
    assert_eq!((page.anchor, number(&page.rows[5])), (5, 15_900));
    let levels = LevelSet::ALL.toggled(3);
    pager.set_spec(&Spec { levels, ..Spec::default() });
    let page = whole(&mut pager, &Request::Tail, 4);
    assert_eq!(numbers(&page), [15_600, 15_700, 15_800, 15_900]);
}

#[test]
fn a_line_longer_than_many_chunks_is_read_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(directory.path(), WriterOptions::default()).unwrap();
    append(&mut writer, 0..3);
    let mut batch = Batch::new();
    batch.streams.push(vec![("app".into(), "web".into())]);
    let long = format!("line-000003 {}", "x".repeat(9 * CHUNK as usize));
    batch.push(0, START + 3, 0, long.as_bytes());
    writer.append(&Redactor::none().redact(&batch)).unwrap();
    append(&mut writer, 4..6);
    let mut pager = Pager::open(directory.path()).unwrap();
    let page = whole(&mut pager, &Request::Tail, 6);
    assert_eq!(numbers(&page), [0, 1, 2, 3, 4, 5]);
    assert_eq!(page.rows[3].line.message.len() + page.rows[3].line.left_out, long.len());
    // All but the first chunk and the last one have nothing to be read for again.
    assert_eq!(pager.hollow.len(), 8);
    assert_eq!(whole(&mut pager, &Request::Head, 6).rows, page.rows);
    let lines: Vec<Rc<ShownLine>> = page.rows.iter().map(|row| Rc::clone(&row.line)).collect();
    let again = whole(&mut pager, &Request::Tail, 6);
    assert!(again.rows.iter().zip(&lines).all(|(row, line)| Rc::ptr_eq(&row.line, line)));
    let place = page.rows[4].place.clone();
    let Step::To(cursor) = pager.at(&Arc::clone(pager.catalogue.volumes()), &place) else {
        panic!("it is there");
    };
    assert_eq!(cursor.chunk, 9);
}

#[test]
fn a_filter_that_nothing_passes_comes_to_its_end() {
    let (directory, _) = capture(true);
    let mut pager = Pager::open(directory.path()).unwrap();
    pager.set_spec(&Spec { rules: vec![rule(false, "no such text")], ..Spec::default() });
    let page = whole(&mut pager, &Request::Tail, 10);
    assert!(page.rows.is_empty() && page.at_start && page.at_end);
}

#[test]
fn what_is_written_is_seen_and_places_stay_true_while_segments_are_compressed() {
    let (directory, writer) = capture(false);
    let mut writer = writer.unwrap();
    let mut pager = Pager::open(directory.path()).unwrap();
    pager.set_spec(&Spec { rules: vec![rule(false, "ERROR")], ..Spec::default() });
    let middle = Request::Around {
        place: whole(&mut pager, &Request::Head, 200).rows[150].place.clone(),
        moved: 0,
        row: 3,
    };
    assert_eq!(numbers(&whole(&mut pager, &middle, 5)), [14_700, 14_800, 14_900, 15_000, 15_100]);
    for first in (LINES..20_000).step_by(500) {
        append(&mut writer, first..first + 500);
        let page = whole(&mut pager, &Request::Tail, 2);
        assert_eq!(numbers(&page), [first + 300, first + 400], "with {first} lines");
    }
    assert_eq!(surveyed(&mut pager).tally.kept, 200);
    writer.close().unwrap();
    let page = whole(&mut pager, &middle, 5);
    assert_eq!(numbers(&page), [14_700, 14_800, 14_900, 15_000, 15_100]);
    let progress = surveyed(&mut pager);
    assert_eq!((progress.tally.kept, progress.tally.lines), (200, 20_000));
}

#[test]
fn the_disk_cap_moves_the_view_to_what_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let options = WriterOptions { disk_cap: Some(1 << 20), compress: false, ..options() };
    let mut writer = Writer::open(directory.path(), options).unwrap();
    append(&mut writer, 0..1000);
    let mut pager = Pager::open(directory.path()).unwrap();
    pager.set_spec(&Spec { rules: vec![rule(true, "nothing")], ..Spec::default() });
    let first = whole(&mut pager, &Request::Head, 10).rows[5].place.clone();
    for from in (1000..LINES).step_by(1000) {
        append(&mut writer, from..from + 1000);
        pager.refresh();
    }
    assert!(pager.removed() > 0);
    let page = whole(&mut pager, &Request::Around { place: first, moved: 0, row: 0 }, 10);
    assert!(page.at_start && number(&page.rows[0]) > 1000);
    let lines: usize = whole(&mut pager, &Request::Tail, 100_000).rows.len();
    assert_eq!(surveyed(&mut pager).tally.kept, lines as u64);
}

#[test]
fn times_are_found_across_segments() {
    let (directory, _) = capture(true);
    let mut pager = Pager::open(directory.path()).unwrap();
    let (from, to) = pager.time_range().unwrap();
    assert_eq!((from.0, to.0), (START, START + 15_999 * 1_000_000));
    for wanted in [0, 1, 4_999, 5_000, 10_000, 15_998, 15_999] {
        for early in [0, 1] {
            let time = Timestamp(START + wanted * 1_000_000 - early);
            let place = pager.find_time(time).unwrap();
            let page = whole(&mut pager, &Request::Around { place, moved: 0, row: 0 }, 1);
            assert_eq!(numbers(&page), [wanted as usize]);
        }
    }
    assert_eq!(pager.find_time(Timestamp(to.0 + 1)), None);
}

#[test]
fn captures_of_the_predecessor_and_damaged_ones_are_shown() {
    let directory = tempfile::tempdir().unwrap();
    let line = |n: usize| {
        format!(
            "{{\"ts\":\"2024-01-15T10:19:59+01:00\",\"labels\":{{\"app\":\"a\"}},\"msg\":\"line-{n:06}\"}}\n"
        )
    };
    let text: String = (0..20_000).map(line).collect();
    std::fs::write(
        directory.path().join("2024-01-15T101959-000.jsonl.zst"),
        zstd_frame(text.as_bytes()),
    )
    .unwrap();
    let tail =
        "\nnot an entry line-020001\n{\"ts\":\"0001-01-01T00:00:00Z\",\"msg\":\"\"}\n".to_owned();
    std::fs::write(directory.path().join("2024-01-15T102000-000.jsonl"), line(20_000) + &tail)
        .unwrap();
    let mut pager = Pager::open(directory.path()).unwrap();
    walk(&mut pager, &(0..20_002).collect::<Vec<_>>());

    let packed = zstd_frame(text.as_bytes());
    std::fs::write(
        directory.path().join("2024-01-15T101959-000.jsonl.zst"),
        &packed[..packed.len() / 2],
    )
    .unwrap();
    let mut pager = Pager::open(directory.path()).unwrap();
    let page = pager.page(&Request::Head, 10);
    assert_eq!(numbers(&page), (0..10).collect::<Vec<_>>());
}

/// One frame without a table, as others write it.
fn zstd_frame(text: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    logtap_capture::seekable::compress(text, &mut packed, 1, |_| Ok(())).unwrap();
    let footer = &packed[packed.len() - logtap_capture::seekable::FOOTER..];
    let table = logtap_capture::seekable::table_size(footer).unwrap();
    packed.truncate(packed.len() - table);
    packed
}

#[test]
fn keys_of_segments_are_in_the_order_of_the_data() {
    let key = |stem: &str, second| SegmentKey { stem: stem.into(), second };
    assert!(key("a", false) < key("a", true) && key("a", true) < key("b", false));
}
