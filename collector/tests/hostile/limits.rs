//! Rings that change while they are read, and a spool that cannot be written.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use logtap_collector::Collector;
use logtap_wire::ring::{Geometry, SLOT_STDOUT, STARTER};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::memory_sink::{MemorySink, config, memory, wait_quiet, wait_until};
use crate::raw_ring::with_line;
use crate::running::Running;
use crate::writer::Writer;

#[test]
fn rings_that_change_under_it_take_nothing_from_a_good_one() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let tap = parent.path().join("tap");
    let good = Writer::new(&tap, STARTER);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0_u64;
            while !over.load(Ordering::Relaxed) {
                number += 1;
                let path = with_line(number, "spoilt").write(&tap, &format!("spoilt-{number}"));
                // It may be gone already.
                let Ok(file) = File::options().read(true).write(true).open(&path) else { continue };
                let size = file.metadata().map_or(0, |metadata| metadata.len());
                let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                match number % 6 {
                    0 => file.set_len(number * 997 % 30_000).unwrap_or_default(),
                    1 => file.set_len(size + 4096).unwrap_or_default(),
                    2 => fallocate(&file, hole, 0, 16_384).unwrap_or_default(),
                    3 => {
                        let word = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_ne_bytes();
                        let at = Geometry::lane_offset(0) as u64;
                        file.write_all_at(&word, at).unwrap_or_default();
                    }
                    4 => std::fs::remove_file(&path).unwrap_or_default(),
                    _ => {
                        std::fs::rename(&path, path.with_extension("again.ring"))
                            .unwrap_or_default();
                    }
                }
            }
        });
        for number in 0..3_000 {
            good.write_waiting(7, SLOT_STDOUT, format!("{number}\n").as_bytes());
        }
        over.store(true, Ordering::Relaxed);
    });
    drop(good);
    wait_quiet(&collector);
    let summary = collector.stop(Duration::from_secs(60));
    let texts = sink.texts();
    let own: Vec<&String> = texts.iter().filter(|text| *text != "spoilt").collect();
    let numbered = own.iter().zip(0..).all(|(text, number)| **text == number.to_string());
    assert!(own.len() == 3_000 && numbered, "{} lines", own.len());
    assert_eq!(summary.counts.totals.records, texts.len() as u64);
}

#[test]
fn a_spool_that_cannot_be_written_keeps_the_lines_in_their_rings() {
    let parent = memory();
    let tap = parent.path().join("tap");
    // Nothing beyond 64 blocks of a file can be written, as on a full disk.
    let running = Running::start(&tap, "trap '' XFSZ; ulimit -S -f 64", &["--spool-size", "4M"]);
    let writer = Writer::new(&tap, STARTER);
    let text = |number: u32| format!("{number} {}", "x".repeat(500));
    let mut expected = Vec::new();
    // Until the ring stays full.
    let mut idle = 0;
    while idle < 200 {
        let line = text(expected.len() as u32);
        if writer.try_write(7, SLOT_STDOUT, format!("{line}\n").as_bytes()).is_ok() {
            expected.push(line);
            idle = 0;
        } else {
            idle += 1;
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
    wait_until(|| running.log().iter().any(|line| line.contains("failed to write to the spool")));
    assert!(running.taken().0 < expected.len() as u64);
    let pid = Pid::from_raw(i32::try_from(running.id()).unwrap());
    let free = Rlimit { current: None, maximum: None };
    prlimit(pid, Resource::Fsize, free).unwrap();
    wait_until(|| running.taken().0 >= expected.len() as u64);
    assert_eq!(running.texts(), expected, "each once, in order");
    assert_eq!(running.metric("lost_records_total"), 0);
    drop(writer);
    running.stop();
}

#[test]
fn a_spool_that_cannot_be_made_is_an_error_that_names_it() {
    let parent = memory();
    let tap = parent.path().join("tap");
    std::fs::write(parent.path().join("file"), b"").unwrap();
    for spool in ["/proc/self/spool", &format!("{}/file", parent.path().display())] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_logtap-collector"))
            .arg("--tap")
            .arg(&tap)
            .args(["--to", "-", "--spool", spool])
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && log.contains(spool), "{log}");
    }
}
