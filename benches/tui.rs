//! What the screen of `logtap recv` costs: `cargo bench --bench tui`.
//!
//! Starts `logtap recv` on a pseudo-terminal of 120x40, types keys, pushes mixed lines over two connections at a set
//! rate, and prints for each row how much of one core the screen's threads have used, beside the receiver's own. A row
//! whose lines came slower than they should says so by its rate. The last rows are searches over the whole capture, and
//! their rate is that of the lines that were looked at.
//!
//! `cargo bench --bench tui -- LINES SECONDS` sets lines a second and the seconds of a row (default 500000, 8).
#![expect(clippy::print_stdout, reason = "the table is the product of a bench")]

mod pushes;

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use logtap_loki::{compress_snappy, encode_push};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use self::pushes::{LINES_PER_PUSH, Sender, batch};

const CONNECTIONS: usize = 2;
/// Different bodies, sent in turns.
const BODIES: usize = 24;
const COLUMNS: u16 = 120;
const ROWS: u16 = 40;
/// Bytes of the terminal's output that are kept to look at.
const MAX_SEEN: usize = 1 << 20;
/// How long anything may take that should come at once.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let mut arguments = env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let mut number = |usual: u64| {
        arguments.next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(usual).max(1)
    };
    let (rate, seconds) = (number(500_000), number(8));
    let bodies: Vec<Vec<u8>> = (0..BODIES)
        .map(|seed| {
            let mut body = Vec::new();
            encode_push(&batch(seed), &mut body);
            compress_snappy(&body)
        })
        .collect();
    let directory = tempfile::tempdir().expect("a directory");
    let capture = directory.path().join("capture");
    let screen = Screen::start(&capture);
    println!(
        "{:<34} {:>10} {:>9} {:>9} {:>10} {:>10}",
        "% of a core", "lines/s", "screen", "counting", "receiver", "memory MiB"
    );
    let feed = Feed { rate, ..Feed::default() };
    let sent = thread::scope(|scope| {
        for first in 0..CONNECTIONS {
            let (feed, bodies, address) = (&feed, &bodies, screen.address);
            scope.spawn(move || feed.send(address, bodies, first));
        }
        // Ends the senders also where a row fails.
        let _end = End(&feed.ended);
        let row = |name: &str, keys: &str, runs: bool| {
            feed.runs.store(runs, Ordering::Relaxed);
            screen.keys(keys);
            thread::sleep(Duration::from_secs(1));
            let (before, sent, begun) = (screen.usage(), feed.sent(), Instant::now());
            thread::sleep(Duration::from_secs(seconds));
            let (after, elapsed) = (screen.usage(), begun.elapsed().as_secs_f64());
            let lines = (feed.sent() - sent) as f64 / elapsed;
            print_row(name, lines, &before, &after, elapsed, screen.memory());
        };
        row("nothing comes, following", "", false);
        row("following", "", true);
        row("standing still", "k", true);
        row("following, levels counted", "GL\x1b", true);
        row("following, a hide filter", "/!status=500\r", true);
        row("following, a search", "\x1b\x1b/request_id=0000\r", true);
        row("nothing comes, searched", "", false);
        feed.sent()
    });
    // Over everything, with nothing else to do: so many lines were looked at in a second.
    for (name, pattern) in
        [("search for a text", "no such text"), ("search for a regex", "took|latency_ms\":9{3}")]
    {
        screen.keys("\x1b\x1b");
        thread::sleep(Duration::from_secs(1));
        let (before, begun) = (screen.usage(), Instant::now());
        screen.keys(&format!("/{pattern}\r"));
        let (after, elapsed) = screen.wait_for_the_end(&before, begun);
        print_row(name, sent as f64 / elapsed, &before, &after, elapsed, screen.memory());
    }
    screen.quit();
    let metadata = fs::read(capture.join("metadata.json")).expect("metadata");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).expect("JSON");
    assert_eq!(metadata["total_lines"], sent, "lines were lost");
}

fn print_row(name: &str, lines: f64, before: &Usage, after: &Usage, elapsed: f64, memory: f64) {
    let percent = |names: &[&str], but: bool| {
        let used = |usage: &Usage| -> f64 {
            let wanted = |thread: &str| names.contains(&thread) != but;
            usage.iter().filter(|(thread, _)| wanted(thread)).map(|(_, seconds)| seconds).sum()
        };
        (used(after) - used(before)).max(0.0) * 100.0 / elapsed
    };
    println!(
        "{name:<34} {lines:>10.0} {:>9.1} {:>9.1} {:>10.1} {memory:>10.0}",
        percent(&["screen", "input"], false),
        percent(&["survey"], false),
        percent(&["screen", "input", "survey"], true),
    );
}

/// Processor seconds by name of the thread; the first thread of the process is the screen.
type Usage = BTreeMap<String, f64>;

/// Lines that are pushed, at a rate.
#[derive(Default)]
struct Feed {
    rate: u64,
    runs: AtomicBool,
    ended: AtomicBool,
    pushes: AtomicU64,
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Feed {
    /// Lines that were acknowledged.
    fn sent(&self) -> u64 {
        self.pushes.load(Ordering::Relaxed) * LINES_PER_PUSH as u64
    }

    /// Sends bodies over one connection until the end, while it is to run.
    fn send(&self, address: SocketAddr, bodies: &[Vec<u8>], first: usize) {
        let mut sender = Sender::connect(address);
        let pause =
            Duration::from_secs_f64((LINES_PER_PUSH * CONNECTIONS) as f64 / self.rate as f64);
        let mut number = first;
        let mut due = Instant::now();
        while !self.ended.load(Ordering::Relaxed) {
            let now = Instant::now();
            if !self.runs.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(5));
                due = Instant::now();
                continue;
            }
            thread::sleep(due.saturating_duration_since(now));
            // What it is late by is caught up with, unless it is very late.
            due = due.max(now - 10 * pause) + pause;
            let body = &bodies[number % bodies.len()];
            number += CONNECTIONS;
            sender.push("application/x-protobuf", body);
            self.pushes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A receiver on a terminal. It ends with the bench.
struct Screen {
    receiver: Child,
    terminal: File,
    address: SocketAddr,
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It has ended already where the bench is whole.
        if self.receiver.kill().is_ok() {
            self.receiver.wait().ok();
        }
    }
}

impl Screen {
    fn start(capture: &Path) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).expect("a pseudo-terminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("a pseudo-terminal");
        let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).expect("a terminal has a size");
        let name = ptsname(&ours, Vec::new()).expect("it has a name").into_string();
        let name = PathBuf::from(name.expect("terminals have plain names"));
        let theirs = || {
            let mut options = File::options();
            options.read(true).write(true).custom_flags(libc::O_NOCTTY);
            Stdio::from(options.open(&name).expect("the terminal opens"))
        };
        // The terminal is to be the receiver's own, not the one that the bench was started on.
        let mut command = Command::new("setsid");
        command.args(["--ctty", env!("CARGO_BIN_EXE_logtap"), "recv", "--listen", "127.0.0.1:0"]);
        command.arg("--dir").arg(capture).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        let receiver = command.stdin(theirs()).stdout(theirs()).stderr(theirs()).spawn();
        let receiver = receiver.expect("setsid of util-linux starts the receiver");
        let terminal = File::from(ours);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (theirs, mut reading) = (Arc::clone(&seen), terminal.try_clone().expect("a file"));
        thread::spawn(move || {
            let mut room = vec![0; 64 << 10];
            // Reading fails when the receiver has let go of the terminal.
            while let Ok(read @ 1..) = reading.read(&mut room) {
                let mut seen = theirs.lock().expect("nobody panics with it");
                if seen.len() > MAX_SEEN {
                    seen.clear();
                }
                seen.extend_from_slice(&room[..read]);
            }
        });
        let deadline = Instant::now() + PATIENCE;
        let address = loop {
            let text = String::from_utf8_lossy(&seen.lock().expect("nobody panics")).into_owned();
            let known = text.split("http://").skip(1).find_map(|rest| {
                rest.split(|c: char| !c.is_ascii_digit() && c != '.' && c != ':')
                    .next()?
                    .parse()
                    .ok()
            });
            if let Some(address) = known.filter(|_| text.contains("no lines yet")) {
                break address;
            }
            assert!(Instant::now() < deadline, "the screen never came: {text}");
            thread::sleep(Duration::from_millis(20));
        };
        Self { receiver, terminal, address }
    }

    /// Types.
    fn keys(&self, keys: &str) {
        for key in keys.split_inclusive('\x1b') {
            (&self.terminal).write_all(key.as_bytes()).expect("a terminal takes keys");
            // An escape alone is a key, with more right behind it something else.
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Processor time so far.
    fn usage(&self) -> Usage {
        let process = Path::new("/proc").join(self.receiver.id().to_string()).join("task");
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        let mut usage = Usage::new();
        for thread in fs::read_dir(process).expect("a running process").flatten() {
            // A thread may have ended meanwhile.
            let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { continue };
            let (front, fields) = stat.rsplit_once(')').expect("a name in parentheses");
            let is_first = thread.file_name() == *self.receiver.id().to_string();
            let name = front.split_once('(').map_or("", |(_, name)| name);
            let name = if is_first { "screen" } else { name };
            let fields: Vec<&str> = fields.split(' ').collect();
            let ticks: f64 =
                [12, 13].iter().filter_map(|&field| fields.get(field)?.parse::<f64>().ok()).sum();
            *usage.entry(name.to_owned()).or_default() += ticks / per_second;
        }
        usage
    }

    /// The largest memory so far, in MiB.
    fn memory(&self) -> f64 {
        let status = Path::new("/proc").join(self.receiver.id().to_string()).join("status");
        let status = fs::read_to_string(status).expect("a running process");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse::<f64>().ok());
        peak.unwrap_or_default() / 1024.0
    }

    /// Waits until nothing is counted any more.
    fn wait_for_the_end(&self, before: &Usage, begun: Instant) -> (Usage, f64) {
        let counting = |usage: &Usage| usage.get("survey").copied().unwrap_or_default();
        let (mut last, mut elapsed, mut quiet) = (before.clone(), 0.0, 0);
        // A clock tick is 10 ms; a thread that had work has some in each of these steps.
        while quiet < 10 || counting(&last) <= counting(before) {
            thread::sleep(Duration::from_millis(50));
            let now = self.usage();
            quiet = if counting(&now) > counting(&last) { 0 } else { quiet + 1 };
            if quiet == 0 {
                elapsed = begun.elapsed().as_secs_f64();
            }
            last = now;
            assert!(begun.elapsed() < PATIENCE, "the search never ends");
        }
        (last, elapsed)
    }

    fn quit(mut self) {
        self.keys("\x1b\x1bq");
        let deadline = Instant::now() + PATIENCE;
        while self.receiver.try_wait().expect("a child").is_none() {
            assert!(Instant::now() < deadline, "it never ends");
            thread::sleep(Duration::from_millis(50));
        }
    }
}
