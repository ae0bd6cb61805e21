//! The program that is measured: this bench, started again under one of the ways.

use std::ffi::CString;
use std::fs;
use std::hint::black_box;
use std::time::Duration;

/// Bytes that are written in one burst. They fit into a lane of a ring together with their headers, so that
/// no burst meets a full one.
const BURST: u64 = 24 << 10;

/// Writes to descriptor 2, which is never tapped here, past the hooks of whoever is loaded.
fn say(text: &str) {
    // SAFETY: the buffer is as long as is said.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

fn line(length: usize) -> Vec<u8> {
    vec![b'x'; length - 1].into_iter().chain([b'\n']).collect()
}

fn write(descriptor: i32, line: &[u8]) {
    // SAFETY: the buffer is as long as is said.
    unsafe { libc::write(descriptor, line.as_ptr().cast(), line.len()) };
}

/// Runs what the words ask for; false where they are not for a child.
pub(crate) fn run(words: &[String]) -> bool {
    let Some((first, rest)) = words.split_first() else { return false };
    let numbers: Vec<u64> = rest.iter().filter_map(|word| word.parse().ok()).collect();
    match (first.as_str(), &numbers[..]) {
        ("child-steady", &[descriptor, threads, length, writes, pause]) => {
            steady(descriptor as i32, threads as usize, length as usize, writes, pause);
        }
        ("child-count", &[descriptor, length, writes]) => {
            count(descriptor as i32, length as usize, writes);
        }
        ("child-first", &[length]) => first_lap(length as usize),
        ("child-memory", &[]) => memory(),
        ("child-load", &[]) => load(rest.first().map_or("", String::as_str)),
        _ => return false,
    }
    true
}

/// How long a call takes once everything is warm: a thread's processor time in bursts of calls and nothing else, so that
/// nothing is subtracted. Between the bursts, outside the time that counts, the thread works for as long as the collector
/// needs to keep up. That pause is a fixed amount of work, not a time by the clock: more threads than processors would
/// count each other's turns.
fn steady(descriptor: i32, threads: usize, length: usize, writes: u64, pause: u64) {
    let in_burst = (BURST / (length as u64 + 48)).max(4);
    let pause = turns_in(pause) * in_burst;
    let burst = move |line: &[u8], count: u64| {
        for _ in 0..count {
            write(descriptor, line);
        }
    };
    // The full ring is made and its pages are touched before the clock runs.
    burst(&line(length), 20_000);
    std::thread::sleep(Duration::from_millis(100));
    let worker = move || -> f64 {
        let line = line(length);
        let mut spent = 0;
        let bursts = writes / in_burst;
        for number in 0..=bursts {
            let from = time_of(libc::CLOCK_THREAD_CPUTIME_ID);
            burst(&line, in_burst);
            let took = time_of(libc::CLOCK_THREAD_CPUTIME_ID) - from;
            turn(pause);
            // The first burst wakes the collector.
            spent += if number == 0 { 0 } else { took };
        }
        spent as f64 / (bursts * in_burst) as f64
    };
    let workers: Vec<_> = (0..threads).map(|_| std::thread::spawn(worker)).collect();
    let spent: f64 = workers.into_iter().map(|worker| worker.join().expect("a writer")).sum();
    say(&format!("{}\n", spent / threads as f64));
}

/// So many calls and nothing else, for a tool that counts instructions.
fn count(descriptor: i32, length: usize, writes: u64) {
    let line = line(length);
    for _ in 0..writes {
        write(descriptor, &line);
    }
}

/// Does nothing, so many times.
fn turn(times: u64) {
    for time in 0..times {
        black_box(time);
    }
}

/// How many turns take so many nanoseconds on this processor.
fn turns_in(nanoseconds: u64) -> u64 {
    const TIMES: u64 = 20_000_000;
    turn(TIMES);
    let from = processor_time();
    turn(TIMES);
    nanoseconds * TIMES / (processor_time() - from).max(1)
}

/// How long a call takes in the first lap of a lane of the full ring, which these writes have it make.
fn first_lap(length: usize) {
    let line = line(length);
    let making = (24 << 10) / length;
    let lap = (60 << 10) / (length + 48);
    for _ in 0..making {
        write(1, &line);
    }
    let from = processor_time();
    for _ in 0..lap {
        write(1, &line);
    }
    say(&format!("{}\n", (processor_time() - from) as f64 / lap as f64));
}

/// Kilobytes that are resident after some work: the program's own, and shared memory (the rings).
fn memory() {
    let line = line(200);
    for _ in 0..20_000 {
        write(1, &line);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| -> u64 {
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        let words = value.and_then(|text| text.split_whitespace().next());
        words.and_then(|word| word.parse().ok()).unwrap_or(0)
    };
    say(&format!("{} {}\n", field("RssAnon:") + field("RssFile:"), field("RssShmem:")));
}

/// How long it takes to load a library and to let it start, in microseconds of processor time.
fn load(library: &str) {
    let path = CString::new(library).expect("a path");
    let from = processor_time();
    // SAFETY: the path ends with a zero byte.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    let spent = processor_time() - from;
    assert!(!handle.is_null(), "`{library}` cannot be loaded");
    say(&format!("{}\n", spent as f64 / 1000.0));
}

/// Nanoseconds that this process has spent on processors.
fn processor_time() -> u64 {
    time_of(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn time_of(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is a local variable.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
