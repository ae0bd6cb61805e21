//! Ways past the tap that cannot be copied: the program does what it does without, and the summary names it.

use std::path::Path;

use serde_json::Value;

use super::Situation;
use crate::run_command::summary;
use crate::support::capture;
use crate::support::machine::skip;
use crate::support::running::{Outcome, lines};
use crate::support::workspace::Workspace;

/// What the program did tapped, its captured lines, and the notes of the summary.
fn tapped(
    one: &Situation,
    expected: &Outcome,
    workspace: &Workspace,
) -> (Vec<String>, Vec<String>) {
    let (seen, capture) = one.run_tapped(workspace, &[]);
    one.assert_same(expected, &seen);
    let text = |line: &capture::Line| String::from_utf8(line.text.clone()).expect("text");
    let captured = capture::read(&capture).iter().map(text).collect();
    (captured, notes(&capture))
}

fn notes(capture: &Path) -> Vec<String> {
    let summary = summary(&capture.with_extension("json"));
    let notes = summary.pointer("/notes").and_then(Value::as_array).expect("notes");
    notes.iter().map(|note| note.as_str().expect("text").to_owned()).collect()
}

#[test]
fn what_goes_through_an_io_uring_is_reported() {
    for compiler in ["gcc", "musl-gcc"] {
        let Some(one) = Situation::new(compiler, "uring", "line_through_a_ring") else { continue };
        let workspace = Workspace::new();
        let expected = one.run_plain(&workspace);
        if expected.status.code() == Some(77) {
            skip("the kernel gives no io_uring to this user");
            continue;
        }
        let shown: Vec<Vec<u8>> = lines(&expected.stdout);
        assert!(shown.contains(&b"by io_uring".to_vec()), "{expected:?}");
        let (captured, notes) = tapped(&one, &expected, &workspace);
        assert_eq!(captured, ["by write", "by write again"]);
        let [note] = &notes[..] else { panic!("{notes:?}") };
        assert!(note.contains("io_uring: what it wrote that way is not captured"), "{note}");
        assert!(note.contains("uring-"), "the program is not named: {note}");
    }
}

#[test]
fn a_log_that_is_written_through_a_map_is_reported() {
    for compiler in ["gcc", "musl-gcc"] {
        let Some(one) = Situation::new(compiler, "files", "written_through_a_map") else {
            continue;
        };
        let workspace = Workspace::new();
        let expected = one.run_plain(&workspace);
        let (captured, notes) = tapped(&one, &expected, &workspace);
        assert_eq!(captured, ["by write", "mapped"]);
        let [note] = &notes[..] else { panic!("{notes:?}") };
        assert!(note.contains("mapped a log to write to it"), "{note}");
    }
}

#[test]
fn a_map_of_something_else_is_not() {
    let Some(one) = Situation::new("gcc", "files", "mapped_without_being_a_log") else { return };
    let workspace = Workspace::new();
    let expected = one.run_plain(&workspace);
    assert_eq!(tapped(&one, &expected, &workspace).1, [""; 0]);
}
