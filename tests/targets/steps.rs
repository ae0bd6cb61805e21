//! Out of the hook of a raw target after every so many of its instructions: what is written afterwards arrives, once and
//! whole, and nothing waits for what was left.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::sink::Sink;
use crate::hostile::steps::{PLACES, can_step, first_places};
use crate::support::compile::compile;
use crate::support::running::lines;
use crate::support::workspace::{Workspace, command, library};

/// Instructions from one place to the next.
const DISTANCE: u32 = 17;

/// Where the copies go.
#[derive(Clone, Copy)]
enum Kind {
    Socket,
    File,
    /// Moved away before each write.
    MovedFile,
}

fn left(kind: Kind, way: &str, place: &str) {
    let Some(program) = compile("cc", "hostile/steps.c", &["-O1"]).filter(|_| can_step()) else {
        return;
    };
    for first in first_places(DISTANCE) {
        left_from(&program, kind, way, place, &first);
    }
}

fn left_from(program: &Path, kind: Kind, way: &str, place: &str, first: &str) {
    let workspace = Workspace::new();
    let path = workspace.join("target");
    let sink = matches!(kind, Kind::Socket).then(|| Sink::start(&path));
    let target = match kind {
        Kind::Socket => format!("socket:{}", path.display()),
        Kind::File | Kind::MovedFile => format!("file:{}", path.display()),
    };
    let mut tapped = command(program);
    tapped.env("LD_PRELOAD", library()).env("LLT_TAP_INTO", "3").env("LLT_TARGET", target);
    // The program's end waits for as long as a busy machine may need.
    tapped.env("LLT_EXIT_WAIT", "60000").args([way, "write", place, &DISTANCE.to_string(), first]);
    if matches!(kind, Kind::MovedFile) {
        tapped.arg(&path);
    }
    let files = ["stdout", "stderr"].map(|name| workspace.join(name));
    let create = |path| fs::File::create(path).expect("a file");
    tapped.stdin(Stdio::null()).stdout(create(&files[0])).stderr(create(&files[1]));
    let status = tapped.status().expect("the program");
    let [stdout, stderr] = files.map(|path| fs::read(path).expect("what it showed"));
    assert!(status.success(), "{status} {}", String::from_utf8_lossy(&stderr));

    let mut expected: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for line in lines(&stdout) {
        *expected.entry(line).or_default() += 1;
    }
    // A write has at least five system calls, and three lines follow each.
    assert!(expected.len() > 15, "{expected:?}");
    let count = |arrived: Vec<Vec<u8>>| {
        let mut interrupted = 0;
        let mut found: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for line in arrived {
            if line == b"t" {
                interrupted += 1;
            } else {
                *found.entry(line).or_default() += 1;
            }
        }
        (found, interrupted)
    };
    let (found, interrupted) = match sink {
        Some(sink) => {
            let all = |lines: &[String]| {
                let lines = lines.iter().map(|line| line.clone().into_bytes()).collect();
                count(lines).0.len() >= expected.len()
            };
            let arrived = sink.wait_for("all lines", all);
            count(arrived.into_iter().map(String::into_bytes).collect())
        }
        None => count(lines(&files_of(&workspace, "target"))),
    };
    assert!(found == expected, "{found:?} {expected:?}");
    // Thrown out while it is sent, one goes to a new connection once more.
    assert!(interrupted <= 2 * PLACES, "{interrupted}");
}

/// The content of all files whose names begin so.
fn files_of(workspace: &Workspace, name: &str) -> Vec<u8> {
    let entries = fs::read_dir(workspace.path()).expect("the workspace");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let ours = paths.filter(|path| {
        path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
    });
    ours.flat_map(|path| fs::read(path).expect("a file")).collect()
}

#[test]
fn a_socket_left_by_a_handler() {
    left(Kind::Socket, "signal", "inside");
}

#[test]
fn a_socket_left_where_a_filter_refuses_a_call() {
    left(Kind::Socket, "refused", "inside");
}

#[test]
fn a_connection_left_by_a_handler() {
    left(Kind::Socket, "signal", "child");
}

#[test]
fn a_file_left_by_a_handler() {
    left(Kind::File, "signal", "inside");
}

#[test]
fn a_file_left_by_a_fault() {
    left(Kind::File, "fault", "inside");
}

#[test]
fn the_opening_of_a_file_left_by_a_handler() {
    left(Kind::MovedFile, "signal", "inside");
}

#[test]
fn the_opening_of_a_file_left_by_a_fault() {
    left(Kind::MovedFile, "fault", "inside");
}
