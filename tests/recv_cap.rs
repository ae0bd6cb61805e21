//! The disk cap: at no moment does a capture take a byte more, whatever is pushed and whatever the receiver
//! is doing.
//!
//! The receiver is stopped again and again wherever it happens to be, and what its directory holds is
//! summed up while nothing moves.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::support::senders::{Receiver, Sender};
use crate::support::workspace::{Workspace, command, logtap};

/// Lines that each sender gets rid of: several times what the cap leaves room for.
const LINES: u64 = 15_000;
/// How often the directory is looked at, at least.
const LOOKS: u64 = 50;
/// A sender that is put off so often gives up.
const PATIENCE: u64 = 100_000;

/// All bytes in a directory but those of the audit trail, which has a cap of its own.
fn size(directory: &Path) -> (u64, Vec<(String, u64)>) {
    let files: Vec<(String, u64)> = std::fs::read_dir(directory)
        .expect("a capture")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("a plain name");
            (name, entry.metadata().expect("nothing moves").len())
        })
        .filter(|(name, _)| !name.starts_with("audit."))
        .collect();
    (files.iter().map(|(_, size)| size).sum(), files)
}

/// Calls `look` while no thread of a child runs.
fn while_stopped<T>(process: Pid, look: impl FnOnce() -> T) -> T {
    kill_process(process, Signal::STOP).expect("it runs");
    let status = waitpid(Some(process), WaitOptions::UNTRACED).expect("it is a child");
    assert!(status.is_some_and(|(_, status)| status.stopped()), "it has ended");
    let seen = look();
    kill_process(process, Signal::CONT).expect("it is stopped");
    seen
}

fn the_cap_holds(cap: u64, options: &[&str]) {
    let workspace = Workspace::new();
    let directory = workspace.join("capture");
    let cap_option = cap.to_string();
    let mut receiver = command(logtap());
    receiver.args(["recv", "--headless", "--listen", "127.0.0.1:0", "--min-free", "0", "--dir"]);
    receiver.arg(&directory).args(["--max-disk", &cap_option]).args(options);
    let receiver = Receiver::start(receiver);
    let mut senders: Vec<Sender> = (0..4).map(|number| Sender::new(number, cap)).collect();
    let (at_work, port) = (AtomicUsize::new(senders.len()), receiver.port);
    let (looks, mut largest) = (AtomicU64::new(0), 0);
    let enough = |sender: &Sender| {
        let all = sender.acknowledged >= LINES && looks.load(Ordering::Relaxed) >= LOOKS;
        all || sender.refused >= PATIENCE
    };
    thread::scope(|scope| {
        for sender in &mut senders {
            scope.spawn(|| {
                sender.push_until(port, enough, || ());
                at_work.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while at_work.load(Ordering::Relaxed) > 0 {
            let (total, files) = while_stopped(receiver.process(), || size(&directory));
            assert!(total <= cap, "{total} of {cap} bytes: {files:?}");
            looks.fetch_add(1, Ordering::Relaxed);
            largest = largest.max(total);
            thread::yield_now();
        }
    });
    for sender in &senders {
        assert!(sender.acknowledged >= LINES, "{} of {}", sender.acknowledged, sender.number);
    }
    receiver.stop();
    let (total, files) = size(&directory);
    assert!(total <= cap, "{total} of {cap} bytes: {files:?}");
    assert!(largest > cap / 2, "{largest} of {cap} bytes at most in {looks:?} looks");
}

#[test]
fn no_moment_is_above_the_cap() {
    the_cap_holds(500_000, &["--max-file", "60KB"]);
    the_cap_holds(500_000, &["--compress=false"]);
}

#[test]
fn no_moment_is_above_the_cap_where_the_newest_or_the_oldest_are_dropped() {
    the_cap_holds(500_000, &["--on-full", "drop-newest"]);
    the_cap_holds(400_000, &["--on-full", "drop-oldest", "--fsync", "always"]);
}
