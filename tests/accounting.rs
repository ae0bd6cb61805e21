//! Nothing is lost in silence: what was written is delivered, or counted as lost at its place.

use std::path::Path;

use crate::run_command::{number, summary, tapped};
use crate::support::capture::{self, Line};
use crate::support::compile::compile;
use crate::support::difference::{Order, difference};
use crate::support::running::{Streams, lines, run};
use crate::support::small_disk::on_small_disk;
use crate::support::workspace::{Workspace, logtap};

const FLAGS: [&str; 2] = ["-O1", "-pthread"];

fn text(path: &Path) -> &str {
    path.to_str().expect("tests use plain paths")
}

fn is_gap(line: &Line) -> bool {
    line.text.starts_with(b"[logtap: ") && line.text.ends_with(b" lost here]")
}

#[test]
fn four_threads_at_full_speed_lose_nothing_when_they_may_wait() {
    let Some(program) = compile("gcc", "threads.c", &FLAGS) else { return };
    let workspace = Workspace::new();
    let (each, all) = if std::env::var_os("LOGTAP_LONG_TESTS").is_some() {
        ("200000", 800_000)
    } else {
        ("50000", 200_000)
    };
    let words = ["-q", "--summary", "s.json", "--", text(&program), "4", each];
    let outcome = tapped(workspace.path(), &words);
    let captured = capture::read(&workspace.join("capture"));
    let shown = lines(&outcome.stdout);
    assert!(shown.len() >= all, "only {} lines shown", shown.len());
    let caught = capture::of_stream(&captured, "stdout");
    assert_eq!(difference(&shown, &caught, Order::PerWriter), None);
    assert_eq!(number(&summary(&workspace.join("s.json")), "/total/lost_records"), 0);
}

#[test]
fn what_finds_no_room_is_counted_and_marked_at_its_place() {
    let Some(program) = compile("gcc", "threads.c", &FLAGS) else { return };
    let workspace = Workspace::new();
    // The collector is in the parent, which stands still while the threads write.
    let script = format!("kill -STOP $PPID; {} 4 50000; kill -CONT $PPID", text(&program));
    let words = ["-q", "--summary", "s.json", "--on-full", "drop", "--", "sh", "-c", &script];
    let outcome = tapped(workspace.path(), &words);
    let summary = summary(&workspace.join("s.json"));

    let shown = [lines(&outcome.stdout), lines(&outcome.stderr)].concat();
    let written: u64 = (outcome.stdout.len() + outcome.stderr.len()) as u64;
    let lost = number(&summary, "/total/lost_records");
    assert!(lost > 0, "the ring was never full, so this test shows nothing");
    let captured = capture::read(&workspace.join("capture"));
    let delivered = captured.iter().filter(|line| !is_gap(line)).count();
    assert_eq!(delivered as u64 + lost, shown.len() as u64, "records; {summary:#}");
    let bytes = number(&summary, "/total/bytes") + number(&summary, "/total/lost_bytes");
    assert_eq!(bytes, written, "bytes; {summary:#}");
    assert!(captured.iter().any(is_gap), "no gap entry marks the place");
}

#[test]
fn a_full_disk_holds_a_program_up_once_and_all_is_there_or_counted() {
    let workspace = Workspace::new();
    let (disk, copy) = (workspace.directory("disk"), workspace.join("copy"));
    // More than the disk and the ring take, in a thousand writes. If each of those that find no room waited, it would
    // take a quarter of an hour. Then there is room again.
    let program = format!(
        "LLT_ON_FULL=wait:3000 seq -f %0199.0f 20000; rm '{}/other'; echo there is room again",
        disk.display()
    );
    let script = format!(
        "head -c 6000000 /dev/zero >'{disk}/other'; '{}' run --summary s.json --dir '{disk}/capture' \
         -- sh -c \"{program}\"; code=$?; cp -r '{disk}/capture' '{}'; exit $code",
        logtap().display(),
        copy.display(),
        disk = disk.display(),
    );
    let Some(small) = on_small_disk(&disk, "8m", &script) else { return };
    let outcome = run(small, Streams::Pipes, workspace.path(), &[]);
    assert!(outcome.status.success(), "{outcome:?}");
    let shown = lines(&outcome.stdout);
    assert_eq!(shown.len(), 20_001);
    let said = String::from_utf8(outcome.stderr).expect("text");
    assert!(said.contains("logtap: warning: lines wait to be stored: failed to write"), "{said}");
    assert!(said.contains("No space left on device") && said.contains("free some space"), "{said}");

    let summary = summary(&workspace.join("s.json"));
    assert!(number(&summary, "/total/lost_records") > 0, "{summary:#}");
    let bytes = number(&summary, "/total/bytes") + number(&summary, "/total/lost_bytes");
    assert_eq!(bytes, outcome.stdout.len() as u64, "{summary:#}");
    assert_eq!(number(&summary, "/undelivered_lines"), 0, "{summary:#}");
    let captured = capture::read(&copy);
    assert_eq!(captured.len() as u64, number(&summary, "/total/lines"));
    assert!(captured.iter().any(is_gap), "no gap entry marks the place");
    assert!(captured.iter().any(|line| line.text == b"there is room again"));
}

#[test]
fn a_write_larger_than_the_ring_passes_through_it() {
    let Some(program) = compile("gcc", "lines.c", &FLAGS) else { return };
    let workspace = Workspace::new();
    // The smallest ring that the settings take.
    let script = format!("LLT_RING_SIZE=64k {}", text(&program));
    let outcome =
        tapped(workspace.path(), &["-q", "--summary", "s.json", "--", "sh", "-c", &script]);
    let caught = capture::of_stream(&capture::read(&workspace.join("capture")), "stdout");
    assert_eq!(difference(&lines(&outcome.stdout), &caught, Order::Total), None);
    assert_eq!(number(&summary(&workspace.join("s.json")), "/total/lost_records"), 0);
}

#[test]
fn what_was_written_just_before_a_kill_is_delivered() {
    let workspace = Workspace::new();
    let script = "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; kill -9 $$";
    for round in 0..10 {
        let name = format!("capture-{round}");
        let outcome = tapped(workspace.path(), &["-q", "--dir", &name, "--", "sh", "-c", script]);
        let caught = capture::of_stream(&capture::read(&workspace.join(&name)), "stdout");
        assert_eq!(lines(&outcome.stdout).len(), 500);
        assert_eq!(difference(&lines(&outcome.stdout), &caught, Order::Total), None, "{round}");
    }
}

#[test]
fn what_is_spliced_is_counted_and_marked_at_its_place() {
    let Some(program) = compile("gcc", "splice.c", &[]) else { return };
    let workspace = Workspace::new();
    let words = ["-q", "--summary", "s.json", "--", text(&program)];
    let outcome = tapped(workspace.path(), &words);
    assert_eq!(outcome.stdout, b"before\nspliced line\nafter\n");
    let summary = summary(&workspace.join("s.json"));
    assert_eq!(number(&summary, "/total/lost_records"), 1, "{summary}");
    assert_eq!(number(&summary, "/total/lost_bytes"), 13, "{summary}");
    let captured = capture::read(&workspace.join("capture"));
    let [before, gap, after] = &captured[..] else { panic!("{captured:?}") };
    assert_eq!((&before.text[..], &after.text[..]), (&b"before"[..], &b"after"[..]));
    assert!(is_gap(gap), "{gap:?}");
}
