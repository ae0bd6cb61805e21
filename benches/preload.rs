//! What the preload library costs, against the plain call, in one run: `cargo bench --bench preload`.
//!
//! The program starts itself as the tapped program. Each figure is the median over rounds in which the ways take
//! turns, so that a machine whose speed drifts does not favour one; what counts is processor time. Where the kernel's own call is noise, `write` is
//! replaced by a stub that a second preload brings (needs `cc`; left out where that is missing).
//!
//! `cargo bench --bench preload -- ROUNDS` sets the number of rounds (default 7).
#![expect(unsafe_code, reason = "calls write directly, as the programs do whose cost is measured")]
#![expect(clippy::print_stdout, reason = "the table is the product of a bench")]

use std::collections::BTreeMap;
use std::env;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use logtap_collector::sink::{PushError, Sink};
use logtap_collector::{Collector, Config};
use logtap_loki::Batch;

/// A line of 200 bytes.
const LINE: usize = 200;

/// Takes everything and keeps nothing.
struct Null(Arc<AtomicU64>);

impl Sink for Null {
    fn push(&mut self, batch: &Batch) -> Result<(), PushError> {
        self.0.fetch_add(batch.entries.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// How a round is run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Way {
    /// Without the library.
    Plain,
    /// With the library, the stream tapped.
    Tapped,
    /// With the library, the stream tapped and suppressed.
    Suppressed,
    /// With the library, on a descriptor that is not tapped.
    Untapped,
}

/// What is measured.
struct Case {
    name: &'static str,
    ways: &'static [Way],
    threads: usize,
    length: usize,
    writes: u64,
    /// Nanoseconds of pause between writes: a program that does not only write.
    pause: u64,
    stub: bool,
    /// Appends to a file instead of writing to /dev/null.
    file: bool,
}

const CASES: &[Case] = &[
    Case {
        name: "write 200 B, stub, paced",
        ways: &[Way::Plain, Way::Tapped],
        threads: 1,
        length: LINE,
        writes: 400_000,
        pause: 500,
        stub: true,
        file: false,
    },
    Case {
        name: "write 200 B, stub, flat out",
        ways: &[Way::Plain, Way::Tapped, Way::Untapped],
        threads: 1,
        length: LINE,
        writes: 2_000_000,
        pause: 0,
        stub: true,
        file: false,
    },
    Case {
        name: "write 20 B, stub, paced",
        ways: &[Way::Plain, Way::Tapped],
        threads: 1,
        length: 20,
        writes: 400_000,
        pause: 500,
        stub: true,
        file: false,
    },
    Case {
        name: "write 4000 B, stub, paced",
        ways: &[Way::Plain, Way::Tapped],
        threads: 1,
        length: 4000,
        writes: 100_000,
        pause: 4000,
        stub: true,
        file: false,
    },
    Case {
        name: "write 200 B, /dev/null",
        ways: &[Way::Plain, Way::Tapped],
        threads: 1,
        length: LINE,
        writes: 500_000,
        pause: 0,
        stub: false,
        file: false,
    },
    Case {
        name: "write 200 B, 4 threads, paced",
        ways: &[Way::Plain, Way::Tapped],
        threads: 4,
        length: LINE,
        writes: 100_000,
        pause: 2000,
        stub: true,
        file: false,
    },
    Case {
        name: "append 200 B to a file, paced",
        ways: &[Way::Plain, Way::Tapped, Way::Suppressed],
        threads: 1,
        length: LINE,
        writes: 200_000,
        pause: 2000,
        stub: false,
        file: true,
    },
];

fn main() {
    let mut arguments = env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let first = arguments.next();
    if first.as_deref() == Some("child") {
        let numbers: Vec<u64> = arguments.filter_map(|argument| argument.parse().ok()).collect();
        let [descriptor, threads, length, writes, pause] = numbers[..] else { return };
        return child(descriptor as i32, threads as usize, length as usize, writes, pause);
    }
    let rounds = first.and_then(|rounds| rounds.parse().ok()).unwrap_or(7);
    let scratch = tempfile::tempdir().expect("a directory for what the bench needs");
    let stub = build_stub(scratch.path());
    let bench = Bench { stub, scratch: scratch.path().to_path_buf() };
    println!(
        "{:<32} {:>10} {:>10} {:>10} {:>8}",
        "nanoseconds per call (median)", "plain", "way", "added", "ratio"
    );
    for case in CASES {
        if case.stub && bench.stub.is_none() {
            println!("{:<32} left out: `cc` is not on this machine", case.name);
            continue;
        }
        bench.measure(case, rounds);
    }
    bench.start_up(rounds);
}

/// The tapped program: writes and says on stderr how long one call took.
fn child(descriptor: i32, threads: usize, length: usize, writes: u64, pause: u64) {
    let work = move |count: u64, pause: u64, write: bool| {
        let line = vec![b'x'; length - 1].into_iter().chain([b'\n']).collect::<Vec<u8>>();
        for _ in 0..count {
            if write {
                // SAFETY: the buffer is as long as is said.
                unsafe { libc::write(descriptor, line.as_ptr().cast(), length) };
            }
            let from = Instant::now();
            while pause > 0 && (from.elapsed().as_nanos() as u64) < pause {
                std::hint::spin_loop();
            }
        }
    };
    // The full ring is made and its pages are touched before the clock runs.
    work(20_000, 0, true);
    std::thread::sleep(Duration::from_millis(100));
    let mut spent = [0; 2];
    for (spent, write) in spent.iter_mut().zip([false, true]) {
        *spent = measured(threads, move || work(writes, pause, write));
    }
    let nanoseconds = spent[1].saturating_sub(spent[0]) as f64 / (writes * threads as u64) as f64;
    // To descriptor 2, which is never tapped here.
    let text = format!("{nanoseconds}\n");
    // SAFETY: the buffer is as long as is said.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

/// What the processors spend on so many threads of a kind: not what the clock says, since the machine has other work.
fn measured(threads: usize, work: impl Fn() + Copy + Send + 'static) -> u64 {
    let from = processor_time();
    let workers: Vec<_> = (0..threads).map(|_| std::thread::spawn(work)).collect();
    for worker in workers {
        worker.join().expect("a writer");
    }
    processor_time() - from
}

/// Nanoseconds that this process has spent on processors.
fn processor_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is a local variable.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

struct Bench {
    stub: Option<PathBuf>,
    scratch: PathBuf,
}

impl Bench {
    fn measure(&self, case: &Case, rounds: usize) {
        let mut figures: BTreeMap<Way, Vec<f64>> = BTreeMap::new();
        for _ in 0..rounds {
            for &way in case.ways {
                figures.entry(way).or_default().push(self.round(case, way));
            }
        }
        let plain = median(&mut figures.remove(&Way::Plain).unwrap_or_default());
        for (way, mut values) in figures {
            let value = median(&mut values);
            let name = format!("{}: {way:?}", case.name).to_lowercase();
            println!(
                "{name:<42} {plain:>8.1} {value:>8.1} {:>8.1} {:>8.2}",
                value - plain,
                value / plain
            );
        }
    }

    fn round(&self, case: &Case, way: Way) -> f64 {
        let tap = tempfile::tempdir_in("/dev/shm").expect("a directory in /dev/shm");
        let library = logtap_embedded::install(tap.path()).expect("the library installed");
        let count = Arc::new(AtomicU64::new(0));
        let directory = tap.path().join("tap");
        let collector =
            Collector::start(Config::new(&directory), Box::new(Null(Arc::clone(&count))))
                .expect("a collector");
        let mut command = Command::new(env::current_exe().expect("this program"));
        let log = self.scratch.join("append.log");
        // Descriptor 1 is the stream that is tapped; the untapped one is a duplicate of something else.
        let output: Stdio = if case.file {
            OpenOptions::new().create(true).append(true).open(&log).expect("a file").into()
        } else {
            OpenOptions::new().write(true).open("/dev/null").expect("/dev/null").into()
        };
        let descriptor = if way == Way::Untapped { 0 } else { 1 };
        command
            .args(["child".to_owned(), descriptor.to_string(), case.threads.to_string()])
            .args([case.length.to_string(), case.writes.to_string(), case.pause.to_string()])
            .stdin(OpenOptions::new().write(true).open("/dev/zero").expect("/dev/zero"))
            .stdout(output)
            .stderr(Stdio::piped());
        let mut preloads: Vec<&Path> = Vec::new();
        if way != Way::Plain {
            preloads.push(&library);
            command.env("LLT_TARGET", format!("tap:{}", directory.display()));
            if case.file {
                command.env("LLT_TAP_FILE", &log);
            } else {
                command.env("LLT_TAP_INTO", "1").env("LLT_STREAMS", "stdout=number");
            }
            if way == Way::Suppressed {
                command.env("LLT_SUPPRESS_TAP_FILE", "true");
            }
        }
        if let (true, Some(stub)) = (case.stub, &self.stub) {
            preloads.push(stub);
        }
        let joined: Vec<String> = preloads.iter().map(|path| path.display().to_string()).collect();
        if !joined.is_empty() {
            command.env("LD_PRELOAD", joined.join(":"));
        }
        let mut process = command.spawn().expect("this program again");
        let mut text = String::new();
        process.stderr.take().expect("stderr").read_to_string(&mut text).expect("a figure");
        process.wait().expect("the end");
        collector.stop(Duration::from_secs(2));
        File::create(&log).expect("an empty file");
        let tapped = matches!(way, Way::Tapped | Way::Suppressed);
        assert_eq!(count.load(Ordering::Relaxed) > 0, tapped, "{} {way:?}: {text}", case.name);
        text.trim().parse().unwrap_or_else(|error| panic!("`{text}`: {error}"))
    }

    /// What a short program's life takes with and without the library.
    fn start_up(&self, rounds: usize) {
        const STARTS: u32 = 200;
        let tap = tempfile::tempdir_in("/dev/shm").expect("a directory in /dev/shm");
        let library = logtap_embedded::install(tap.path()).expect("the library installed");
        let directory = tap.path().join("tap");
        let count = Arc::new(AtomicU64::new(0));
        let collector =
            Collector::start(Config::new(&directory), Box::new(Null(count))).expect("a collector");
        let run = |tapped: bool| {
            let from = Instant::now();
            for _ in 0..STARTS {
                let mut command = Command::new("/bin/true");
                command.stdout(Stdio::null());
                if tapped {
                    command
                        .env("LD_PRELOAD", &library)
                        .env("LLT_TARGET", format!("tap:{}", directory.display()))
                        .env("LLT_TAP_INTO", "1")
                        .env("LLT_STREAMS", "stdout=number");
                }
                command.status().expect("/bin/true");
            }
            from.elapsed().as_secs_f64() * 1e6 / f64::from(STARTS)
        };
        let (mut plain, mut tapped) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            plain.push(run(false));
            tapped.push(run(true));
        }
        collector.stop(Duration::from_secs(2));
        let (plain, tapped) = (median(&mut plain), median(&mut tapped));
        println!(
            "{:<42} {plain:>8.1} {tapped:>8.1} {:>8.1} {:>8.2}",
            "life of /bin/true, microseconds: tapped",
            tapped - plain,
            tapped / plain
        );
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A library whose `write` does nothing.
fn build_stub(directory: &Path) -> Option<PathBuf> {
    let source = directory.join("stub.c");
    let library = directory.join("libstub.so");
    let code = "#include <unistd.h>\n#include <sys/syscall.h>\n\
        ssize_t write(int d, const void *b, size_t n) { return d == 2 ? syscall(SYS_write, d, b, n) : (ssize_t)n; }\n";
    std::fs::write(&source, code).expect("the stub's source");
    let status = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    status.is_ok_and(|status| status.success()).then_some(library)
}
