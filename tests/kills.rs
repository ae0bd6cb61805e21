//! A receiver that is killed with SIGKILL at any moment, while it takes pushes, closes files, compresses,
//! removes what is too much, or puts in order what the kill before has left.
//!
//! Every acknowledged line is there afterwards, once, or is counted as gone. `LOGTAP_LONG_TESTS` makes
//! it two hundred kills instead of a dozen.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::capture;
use crate::support::machine::require;
use crate::support::senders::{Random, Receiver, Sender, text};
use crate::support::workspace::{Workspace, command, logtap};

const SENDERS: u64 = 4;

fn receiver(directory: &Path, options: &[&str]) -> Command {
    let mut receiver = command(logtap());
    receiver.args(["recv", "--headless", "--listen", "127.0.0.1:0", "--dir"]);
    receiver.arg(directory).args(options);
    receiver
}

/// Kills one receiver after the other on one directory, and then accounts for every line.
fn kill_again_and_again(seed: u64, options: &[&str], is_capped: bool) {
    let (kills, looks) =
        if std::env::var_os("LOGTAP_LONG_TESTS").is_some() { (50, 8) } else { (3, 2) };
    let workspace = Workspace::new();
    let directory = workspace.join("capture");
    let mut random = Random::new(seed);
    let mut senders: Vec<Sender> = (0..SENDERS).map(|number| Sender::new(number, seed)).collect();
    for _ in 0..kills {
        if random.below(3) == 0 {
            // While it starts, or before.
            let mut starting = receiver(&directory, options);
            let mut child = starting.stderr(Stdio::null()).spawn().expect("the receiver");
            thread::sleep(Duration::from_millis(random.below(60)));
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
        let service = Receiver::start(receiver(&directory, options));
        let (port, taken) = (service.port, AtomicU64::new(0));
        let at_work = AtomicUsize::new(senders.len());
        let deadline = Instant::now() + PATIENCE;
        let (pushes, pause) = (5 + random.below(60), random.below(3_000));
        thread::scope(|scope| {
            for sender in &mut senders {
                scope.spawn(|| {
                    sender.push_until(
                        port,
                        |_| false,
                        || {
                            taken.fetch_add(1, Ordering::Relaxed);
                        },
                    );
                    at_work.fetch_sub(1, Ordering::Relaxed);
                });
            }
            let go_on = || taken.load(Ordering::Relaxed) < pushes;
            while go_on() && at_work.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
                thread::yield_now();
            }
            thread::sleep(Duration::from_micros(pause));
            service.kill();
        });
        let taken = taken.into_inner();
        assert!(taken >= pushes, "{taken} of {pushes} pushes were taken");
        if random.below(looks) == 0 {
            Receiver::start(receiver(&directory, options)).stop();
            account(&directory, &senders, is_capped);
        }
    }
    // What was under way is sent again, so that nothing is left that may or may not be stored.
    let service = Receiver::start(receiver(&directory, options));
    for sender in &mut senders {
        sender.push_until(service.port, |sender| sender.sent == sender.acknowledged, || ());
        assert_eq!(sender.acknowledged, sender.sent);
    }
    service.stop();
    account(&directory, &senders, is_capped);
    other_tools_read_each_file(&directory);
}

/// What is there is what was acknowledged, without what is counted as removed, and at most what was under
/// way when a receiver was killed beside it.
fn account(directory: &Path, senders: &[Sender], is_capped: bool) {
    let mut found: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let lines = capture::read_as_sent(directory);
    for line in &lines {
        let source = line.label("app").parse().expect("a number");
        let number = u64::try_from(line.timestamp).expect("a number");
        assert_eq!(line.text, text(source, number).into_bytes(), "line {number} of {source}");
        found.entry(source).or_default().push(number);
    }
    let metadata = std::fs::read(directory.join("metadata.json")).expect("metadata");
    let metadata: Value = serde_json::from_slice(&metadata).expect("JSON");
    let removed = metadata["removed"]["lines"].as_u64().unwrap_or(0);
    assert_eq!(metadata["total_lines"], lines.len() as u64, "{metadata}");
    assert!(is_capped || removed == 0, "{metadata}");
    for sender in senders {
        let numbers = found.remove(&sender.number).unwrap_or_default();
        let gap = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]);
        assert_eq!(gap, None, "lines of {} are missing, twice or out of order", sender.number);
        match (numbers.first(), numbers.last()) {
            (Some(&first), Some(&last)) => {
                assert!(is_capped || first == 1, "{first} of {}", sender.number);
                assert!(last == sender.acknowledged || last == sender.sent, "{last}");
            }
            _ => assert!(is_capped || sender.acknowledged == 0, "nothing of {}", sender.number),
        }
    }
    assert!(found.is_empty(), "nobody sent {found:?}");
    let there = lines.len() as u64 + removed;
    let acknowledged: u64 = senders.iter().map(|sender| sender.acknowledged).sum();
    let sent: u64 = senders.iter().map(|sender| sender.sent).sum();
    assert!((acknowledged..=sent).contains(&there), "{acknowledged} {there} {sent}: {metadata}");
}

/// `zstdcat` and `jq` read each file by itself, raw ones too, and the directory has nothing half done in it.
fn other_tools_read_each_file(directory: &Path) {
    for entry in std::fs::read_dir(directory).expect("a capture") {
        let name = entry.expect("an entry").file_name().into_string().expect("a plain name");
        assert!(!name.ends_with(".partial"), "{name}");
        let size = std::fs::metadata(directory.join(&name)).expect("a file").len();
        assert!(size > 0 || name == ".lock", "`{name}` is empty");
    }
    let (Some(zstdcat), Some(jq)) = (require("zstdcat"), require("jq")) else { return };
    let script = format!(
        "set -e; for file in 20*; do '{}' -f \"$file\" | '{}' -e .msg >/dev/null; done",
        zstdcat.display(),
        jq.display()
    );
    let mut shell = command("bash");
    let outcome = shell.args(["-o", "pipefail", "-c", &script]).current_dir(directory).output();
    let outcome = outcome.expect("a shell");
    assert!(outcome.status.success(), "{outcome:?}");
}

const SMALL: [&str; 4] = ["--max-file", "200KB", "--min-free", "0"];

fn with(more: &[&'static str]) -> Vec<&'static str> {
    [&SMALL, more].concat()
}

#[test]
fn acknowledged_lines_survive_kills() {
    kill_again_and_again(1, &with(&["--fsync", "never"]), false);
}

#[test]
fn acknowledged_lines_survive_kills_or_are_counted_as_removed() {
    kill_again_and_again(2, &with(&["--max-disk", "600KB"]), true);
}

#[test]
fn acknowledged_lines_survive_kills_where_each_is_written_through() {
    kill_again_and_again(3, &with(&["--fsync", "always", "--max-disk", "1MB"]), true);
}

#[test]
fn acknowledged_lines_survive_kills_where_files_stay_raw() {
    let options = ["--fsync", "every:10ms", "--max-disk", "800KB", "--compress=false"];
    kill_again_and_again(4, &with(&options), true);
}
