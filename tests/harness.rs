//! The machinery of these tests, tried on programs that are not tapped: a comparison that cannot
//! fail would prove nothing.

use crate::support::comparison::Program;
use crate::support::difference::{Order, difference};
use crate::support::running::{Streams, lines};
use crate::support::workspace::Workspace;

const BOTH: &str = "echo out; echo err >&2; printf rest; test -t 1 && echo terminal; exit 3";

fn shown(streams: Streams) -> (String, String, Option<i32>) {
    let workspace = Workspace::new();
    let outcome = Program::new(["sh", "-c", BOTH]).run_plain(streams, workspace.path());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the shell writes text");
    (text(outcome.stdout), text(outcome.stderr), outcome.status.code())
}

#[test]
fn each_way_shows_what_a_user_would_see() {
    assert_eq!(shown(Streams::Pipes), ("out\nrest".into(), "err\n".into(), Some(3)));
    assert_eq!(shown(Streams::OnePipe), ("out\nerr\nrest".into(), String::new(), Some(3)));
    assert_eq!(shown(Streams::NullStdout), (String::new(), "err\n".into(), Some(3)));
    let terminal = ("out\nerr\nrestterminal\n".into(), String::new(), Some(3));
    assert_eq!(shown(Streams::Terminal), terminal);
}

#[test]
fn files_are_read_when_the_program_has_ended() {
    let workspace = Workspace::new();
    let program = Program::new(["sh", "-c", "echo one >a.log"]).file("a.log").file("b.log");
    let outcome = program.run_plain(Streams::Pipes, workspace.path());
    assert_eq!(outcome.files.get("a.log").map(Vec::as_slice), Some(b"one\n".as_slice()));
    assert_eq!(outcome.files.get("b.log"), None);
}

#[test]
fn a_last_line_without_an_end_is_a_line_and_an_end_is_not() {
    assert_eq!(lines(b"a\n\nb"), [b"a".to_vec(), Vec::new(), b"b".to_vec()]);
    assert_eq!(lines(b"a\n"), [b"a".to_vec()]);
    assert!(lines(b"").is_empty());
}

#[test]
fn a_difference_is_found_whatever_it_is() {
    let text =
        |lines: &[&str]| lines.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>();
    let expected = text(&["1 a", "2 a", "1 b"]);
    let differs = |got: &[&str], order| difference(&expected, &text(got), order).is_some();
    assert!(!differs(&["1 a", "2 a", "1 b"], Order::Total));
    assert!(differs(&["2 a", "1 a", "1 b"], Order::Total), "swapped");
    assert!(!differs(&["2 a", "1 a", "1 b"], Order::PerWriter), "two writers may swap");
    assert!(differs(&["2 a", "1 b", "1 a"], Order::PerWriter), "one writer may not");
    assert!(differs(&["1 a", "2 a"], Order::PerWriter), "missing");
    assert!(differs(&["1 a", "2 a", "1 b", "1 b"], Order::PerWriter), "twice");
    assert!(differs(&["1 a", "2 a", "1 b", "3 x"], Order::PerWriter), "nobody's");
}
