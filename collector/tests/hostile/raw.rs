//! Raw clients that send nothing, a byte now and then, or gigabytes without a line end, all at once: each stream comes out whole,
//! nobody waits for another, and the collector stays small.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::clients::endless;
use crate::memory_sink::{memory, wait_until};
use crate::running::Running;

/// What a collector may take, whatever it is given, in KiB.
const MEMORY: u64 = 96 << 10;
/// Clients that behave, and lines of each.
const GOOD: usize = 40;
const LINES: usize = 250;
/// The collector splits lines here.
const LONGEST_LINE: u64 = 1 << 20;

fn connect(path: &Path) -> UnixStream {
    UnixStream::connect(path).unwrap()
}

/// A byte, a second, another: until the sender has gone.
fn now_and_then(mut client: UnixStream, text: &[u8]) {
    for byte in text {
        client.write_all(&[*byte]).unwrap();
        std::thread::park_timeout(Duration::from_secs(1));
    }
}

#[test]
fn good_clients_among_silent_slow_and_endless_ones_are_served_whole() {
    let parent = memory();
    let path = parent.path().join("raw");
    let more = ["--socket", path.to_str().unwrap()];
    let running = Running::start(&parent.path().join("tap"), "", &more);
    wait_until(|| path.exists());
    let silent: Vec<UnixStream> = (0..100).map(|_| connect(&path)).collect();
    let bytes = endless();
    std::thread::scope(|scope| {
        scope.spawn(|| now_and_then(connect(&path), b"SLOW\n"));
        scope.spawn(|| {
            let mut client = connect(&path);
            let block = vec![b'x'; 1 << 20];
            for _ in 0..bytes / block.len() as u64 {
                client.write_all(&block).unwrap();
            }
        });
        for number in 0..GOOD {
            let path = &path;
            scope.spawn(move || {
                let mut client = connect(path);
                for line in 0..LINES {
                    // In two pieces, as they may come.
                    client.write_all(format!("good {number} ").as_bytes()).unwrap();
                    client.write_all(format!("{line}\n").as_bytes()).unwrap();
                }
            });
        }
    });
    let taken = || running.taken().1;
    let good = || running.texts().iter().filter(|text| text.starts_with("good")).count();
    wait_until(|| good() >= GOOD * LINES);
    // The endless line moves on as long as it is not all there.
    let (mut last, mut texts) = (0, Vec::new());
    while last != taken() {
        last = taken();
        texts = running.texts();
        let slow: String =
            texts.iter().filter(|text| "SLOW".contains(text.as_str())).cloned().collect();
        let short: usize = texts.iter().map(String::len).sum();
        if slow == "SLOW" && last == bytes + short as u64 {
            break;
        }
        wait_until(|| taken() != last);
    }
    let slow: String =
        texts.iter().filter(|text| "SLOW".contains(text.as_str())).cloned().collect();
    assert_eq!(slow, "SLOW", "whole, in whatever pieces");
    for number in 0..GOOD {
        let begin = format!("good {number} ");
        let own: Vec<usize> =
            texts.iter().filter_map(|text| text.strip_prefix(&begin)?.parse().ok()).collect();
        assert!(own.iter().copied().eq(0..LINES), "{number}: {own:?}");
    }
    let pieces = running.taken().0 - texts.len() as u64;
    assert!(pieces >= bytes / LONGEST_LINE, "{pieces} pieces");
    assert!(running.peak() < MEMORY, "{} KiB", running.peak());
    drop(silent);
    running.stop();
}
