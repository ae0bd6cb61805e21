//! What a receiver takes: `cargo bench --bench recv`.
//!
//! Starts `logtap recv` for each row, replays encoded pushes of mixed lines over two connections and prints lines per
//! second until the last one is acknowledged, the receiver's processor time per line and its largest memory. Beside it
//! `zstd -1` alone over the same lines as they stand in the capture. A row that lost a line fails.
//!
//! `cargo bench --bench recv -- LINES` sets how many lines of about 200 bytes a row pushes (default 3000000).
#![expect(clippy::print_stdout, reason = "the table is the product of a bench")]

mod pushes;

use std::env;
use std::fs;
use std::io::{BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use logtap_loki::{Batch, compress_snappy, encode_push, encode_push_json};

use self::pushes::{LINES_PER_PUSH, Sender, batch};

const CONNECTIONS: usize = 2;
/// Different bodies, sent in turns.
const BODIES: usize = 24;

fn main() {
    let mut arguments = env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let lines: usize = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(3_000_000);
    let pushes = lines.div_ceil(LINES_PER_PUSH).next_multiple_of(CONNECTIONS);
    let batches: Vec<Batch> = (0..BODIES).map(batch).collect();
    let protobuf: Vec<Vec<u8>> = batches
        .iter()
        .map(|batch| {
            let mut body = Vec::new();
            encode_push(batch, &mut body);
            compress_snappy(&body)
        })
        .collect();
    let json: Vec<Vec<u8>> = batches
        .iter()
        .map(|batch| {
            let mut body = Vec::new();
            encode_push_json(batch, &mut body);
            body
        })
        .collect();
    println!(
        "{:<28} {:>12} {:>14} {:>12} {:>10}",
        "", "lines/s", "processor ns", "largest MiB", "MB on disk"
    );
    let mut stored = Vec::new();
    for (name, kind, bodies, redact) in [
        ("protobuf", "application/x-protobuf", &protobuf, false),
        ("protobuf, redacted", "application/x-protobuf", &protobuf, true),
        ("JSON", "application/json", &json, false),
        ("JSON, redacted", "application/json", &json, true),
    ] {
        let figures = row(kind, bodies, pushes, redact, &mut stored);
        println!(
            "{name:<28} {:>12.0} {:>14.0} {:>12.0} {:>10.1}",
            figures.rate, figures.processor, figures.memory, figures.disk
        );
    }
    let begun = Instant::now();
    let mut compressor = zstd::bulk::Compressor::new(1).expect("a compressor");
    let mut packed = 0;
    let mut repeated = 0;
    while repeated < pushes * LINES_PER_PUSH {
        for piece in stored.chunks(4 << 20) {
            packed += compressor.compress(piece).expect("it fits").len();
        }
        repeated += memchr::memchr_iter(b'\n', &stored).count();
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{:<28} {:>12.0} {:>14.0} {:>12} {:>10.1}",
        "zstd -1 alone, one core",
        repeated as f64 / seconds,
        seconds * 1e9 / repeated as f64,
        "",
        packed as f64 / 1e6
    );
}

struct Figures {
    rate: f64,
    /// Nanoseconds per line, of all threads.
    processor: f64,
    /// MiB.
    memory: f64,
    /// Megabytes.
    disk: f64,
}

/// Ends with its row, also where the row fails: who waits for the bench's output must not wait for a receiver left behind.
struct Receiver(Child);

impl Drop for Receiver {
    fn drop(&mut self) {
        // It has ended already where the row is whole.
        if self.0.kill().is_ok() {
            self.0.wait().ok();
        }
    }
}

fn row(
    kind: &str,
    bodies: &[Vec<u8>],
    pushes: usize,
    redact: bool,
    stored: &mut Vec<u8>,
) -> Figures {
    let directory = tempfile::tempdir().expect("a directory");
    let capture = directory.path().join("capture");
    let mut command = Command::new(env!("CARGO_BIN_EXE_logtap"));
    command.args(["recv", "--headless", "--listen", "127.0.0.1:0", "--dir"]).arg(&capture);
    if redact {
        command.arg("--redact");
    }
    let mut receiver = Receiver(command.stderr(Stdio::piped()).spawn().expect("the receiver"));
    let mut said = BufReader::new(receiver.0.stderr.take().expect("a pipe"));
    let address = address(&mut said);
    let begun = Instant::now();
    thread::scope(|scope| {
        for first in 0..CONNECTIONS {
            scope.spawn(move || {
                send(address, kind, bodies, first, pushes / CONNECTIONS);
            });
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let lines = (pushes * LINES_PER_PUSH) as f64;
    let (processor, memory) = usage(&receiver.0);
    stop(&mut receiver.0, &mut said);
    if stored.is_empty() {
        *stored = first_lines(&capture);
    }
    let metadata = fs::read(capture.join("metadata.json")).expect("metadata");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).expect("JSON");
    assert_eq!(metadata["total_lines"], pushes * LINES_PER_PUSH, "lines were lost");
    let files = fs::read_dir(&capture).expect("a capture");
    let disk: u64 = files.flatten().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
    Figures {
        rate: lines / seconds,
        processor: processor * 1e9 / lines,
        memory,
        disk: disk as f64 / 1e6,
    }
}

/// Sends bodies over one connection, each when the one before is acknowledged.
fn send(address: SocketAddr, kind: &str, bodies: &[Vec<u8>], first: usize, count: usize) {
    let mut sender = Sender::connect(address);
    for number in 0..count {
        sender.push(kind, &bodies[(first + number * CONNECTIONS) % bodies.len()]);
    }
}

fn address(said: &mut impl std::io::BufRead) -> SocketAddr {
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    let address = line.split(' ').find_map(|word| word.strip_prefix("http://")?.parse().ok());
    address.unwrap_or_else(|| panic!("the receiver says no address: {line}"))
}

/// Processor seconds so far and the largest memory in MiB.
fn usage(receiver: &Child) -> (f64, f64) {
    let process = Path::new("/proc").join(receiver.id().to_string());
    let stat = fs::read_to_string(process.join("stat")).expect("a running process");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks: f64 =
        [12, 13].iter().filter_map(|&field| fields.get(field)?.parse::<f64>().ok()).sum();
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    let status = fs::read_to_string(process.join("status")).expect("a running process");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: f64 =
        peak.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default();
    (ticks / per_second, peak / 1024.0)
}

fn stop(receiver: &mut Child, said: &mut impl std::io::BufRead) {
    let process = rustix::process::Pid::from_child(receiver);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("it runs");
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("its last words");
    assert!(receiver.wait().expect("it ends").success(), "{rest}");
}

/// Some of the lines as they stand in the capture.
fn first_lines(capture: &Path) -> Vec<u8> {
    let mut files: Vec<_> = fs::read_dir(capture)
        .expect("a capture")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "zst"))
        .collect();
    files.sort();
    let file = fs::File::open(&files[0]).expect("a segment");
    let mut text = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(file).expect("a segment");
    decoder.take(64 << 20).read_to_end(&mut text).expect("a segment");
    text
}
