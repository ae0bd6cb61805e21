//! A real process that writes is killed with SIGKILL again and again, started again, and sends again
//! what it was not told to be stored: every line is there once, in order.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its functions too")]
#![expect(clippy::print_stdout, reason = "the killed process answers on its standard output")]

use std::env;
use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

use logtap_capture::{Capture, Filter, Redactor, Writer, WriterOptions, read_index};
use logtap_loki::{Batch, Origin};

const CHILD: &str = "LOGTAP_TEST_WRITER";
const KILLS: u64 = 30;

fn main() {
    match env::var_os(CHILD) {
        Some(directory) => {
            let first = env::args().nth(1).unwrap().parse().unwrap();
            write(Path::new(&directory), first);
        }
        None => check(),
    }
}

fn options() -> WriterOptions {
    WriterOptions { max_segment_bytes: 100_000, ..WriterOptions::default() }
}

/// Writes batches of growing numbers and says after each up to where it is stored.
fn write(directory: &Path, mut first: u64) {
    let mut writer = Writer::open(directory, options()).unwrap();
    loop {
        let last = first + first * 7919 % 997;
        let mut batch = Batch::new();
        batch.streams.push(vec![("app".into(), "web".into())]);
        for number in first..=last {
            let line = format!("line {number} {}", "x".repeat((number % 150) as usize));
            batch.push(0, number as i64, 0, line.as_bytes());
        }
        batch.origin = Some(Origin { source: "0".repeat(32), first, last });
        writer.append(&Redactor::none().redact(&batch)).unwrap();
        println!("{last}");
        first = last + 1;
    }
}

fn check() {
    let directory = tempfile::tempdir().unwrap();
    let mut stored = 0;
    for round in 0..KILLS {
        let mut child = Command::new(env::current_exe().unwrap())
            .arg((stored + 1).to_string())
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..=round % 7 * 3 {
            stored = answers.next().unwrap().unwrap().parse().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said after the last answer that was waited for is stored too.
        if let Some(answer) = answers.map_while(Result::ok).last() {
            stored = answer.parse().unwrap();
        }
    }
    Writer::open(directory.path(), options()).unwrap().close().unwrap();
    let mut expected = 1;
    Capture::open(directory.path()).unwrap().read(&Filter::default(), |line| {
        let line = line.unwrap();
        assert_eq!(line.timestamp.0, expected, "{}", line.message);
        expected += 1;
        ControlFlow::Continue(())
    });
    let found = expected as u64 - 1;
    assert!(found >= stored && stored > 10_000, "{found} of {stored}");
    let index = read_index(directory.path()).unwrap();
    assert_eq!(index.iter().map(|entry| entry.lines).sum::<u64>(), found);
    assert!(index.iter().all(|entry| entry.file.ends_with(".zst")));
    println!("{KILLS} kills, {found} lines, each once");
}
