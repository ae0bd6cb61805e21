//! From an application to a capture, in one run: `cargo bench --bench pipeline`.
//!
//! The program starts itself as the application, plain (into a file) and under `logtap run`, in turns, and prints the
//! median of lines per second, of the processors' time, and the largest memory. A run that lost a line fails.
//!
//! `cargo bench --bench pipeline -- ROUNDS LINES` sets how often and how many lines of 200 bytes (default 5, 2000000).
#![expect(clippy::print_stdout, reason = "the table is the product of a bench")]
#![expect(unsafe_code, reason = "asks the kernel what children have used")]

use std::env;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Bytes of a line with its end.
const LINE: usize = 200;

fn main() {
    let mut arguments = env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let first = arguments.next();
    let second: Option<u64> = arguments.next().and_then(|number| number.parse().ok());
    if first.as_deref() == Some("application") {
        return application(second.unwrap_or(0));
    }
    let rounds = first.and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    let lines = second.unwrap_or(2_000_000);
    let (mut plain, mut tapped) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        plain.push(run(lines, false));
        tapped.push(run(lines, true));
    }
    let (plain, tapped) = (median(plain), median(tapped));
    println!("{:<28} {:>14} {:>14} {:>8}", "median", "into a file", "logtap run", "ratio");
    let rate = |figures: &Figures| lines as f64 / figures.seconds;
    println!(
        "{:<28} {:>14.0} {:>14.0} {:>8.2}",
        "lines per second",
        rate(&plain),
        rate(&tapped),
        rate(&tapped) / rate(&plain)
    );
    println!(
        "{:<28} {:>14.0} {:>14.0} {:>8.2}",
        "processor ns per line",
        plain.processor / lines as f64,
        tapped.processor / lines as f64,
        tapped.processor / plain.processor
    );
    println!(
        "{:<28} {:>14} {:>14}",
        "largest process, MiB",
        plain.memory >> 10,
        tapped.memory >> 10
    );
}

/// Writes lines through a buffer of 8 KiB, as most programs do.
fn application(lines: u64) {
    let mut out = std::io::BufWriter::with_capacity(8192, std::io::stdout().lock());
    let padding = "x".repeat(LINE);
    for number in 0..lines {
        let head = format!("{number:>12} a line of the application ");
        let rest = padding.get(..LINE - 1 - head.len()).unwrap_or_default();
        writeln!(out, "{head}{rest}").expect("stdout");
    }
    out.flush().expect("stdout");
}

#[derive(Clone, Copy)]
struct Figures {
    seconds: f64,
    processor: f64,
    /// KiB.
    memory: i64,
}

fn run(lines: u64, tapped: bool) -> Figures {
    let directory = tempfile::tempdir().expect("a directory");
    let capture = directory.path().join("capture");
    let summary = directory.path().join("summary.json");
    let own = env::current_exe().expect("this program");
    let mut command = if tapped {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logtap"));
        command
            .args(["run", "-q", "--summary"])
            .arg(&summary)
            .arg("--dir")
            .arg(&capture)
            .arg("--")
            .arg(&own);
        command
    } else {
        Command::new(&own)
    };
    let output = File::create(directory.path().join("out")).expect("a file");
    command
        .args(["application".to_owned(), lines.to_string()])
        .stdout(output)
        .stderr(Stdio::inherit());
    let (before, from) = (children(), Instant::now());
    let status = command.status().expect("the application");
    let (seconds, after) = (from.elapsed().as_secs_f64(), children());
    assert!(status.success(), "{status}");
    if tapped {
        check(&summary, lines);
    }
    Figures { seconds, processor: after.0 - before.0, memory: after.1 }
}

fn check(summary: &Path, lines: u64) {
    let text = std::fs::read_to_string(summary).expect("a summary");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["total"]["lines"], lines, "{text}");
    assert_eq!(value["total"]["lost_records"], 0, "{text}");
}

/// Processor nanoseconds of all children so far, and the largest one's memory in KiB.
fn children() -> (f64, i64) {
    // SAFETY: all zeros is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the usage is a local variable.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    let seconds = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) as f64;
    let micros = (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) as f64;
    (seconds * 1e9 + micros * 1e3, usage.ru_maxrss)
}

fn median(mut figures: Vec<Figures>) -> Figures {
    figures.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    figures[figures.len() / 2]
}
