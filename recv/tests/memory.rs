//! What large pushes take of memory: the peak of a process that does nothing else.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its functions too")]

#[path = "support/receiver.rs"]
mod receiver;

use std::io::Write as _;
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use logtap_recv::{Config, StoreOptions};

use receiver::{JSON, Receiver, json};

/// The length of the one line of a push.
const LINE: usize = 32 << 20;

/// The most memory that this process ever had, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// A push of one long line, made without having it.
fn packed() -> Vec<u8> {
    let text = json("|");
    let (before, after) = text.split_once('|').unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(before.as_bytes()).unwrap();
    let piece = [b'x'; 1 << 16];
    for _ in 0..LINE / piece.len() {
        encoder.write_all(&piece).unwrap();
    }
    encoder.write_all(after.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn large_pushes_are_held_twice_and_one_at_a_time() {
    let config = Config { max_unpacked: LINE + (1 << 20), ..Config::default() };
    let receiver = Receiver::start(config, StoreOptions::default());
    let body = packed();
    let headers = format!("{JSON}\r\nContent-Encoding: gzip");
    assert_eq!(receiver.push(JSON, json("small").as_bytes()).0, 204);
    let before = peak();
    assert_eq!(receiver.push(&headers, &body).0, 204);
    let one = peak() - before;
    assert!(one < LINE * 4, "{} MB for a line of {} MB", one >> 20, LINE >> 20);

    let stored: usize = thread::scope(|scope| {
        let push = || {
            let (status, head, _) = receiver.push(&headers, &body);
            assert!(status == 204 || (status == 429 && head.contains("retry-after: 1")), "{head}");
            usize::from(status == 204)
        };
        let pushes: Vec<_> = (0..4).map(|_| scope.spawn(push)).collect();
        pushes.into_iter().map(|push| push.join().unwrap()).sum()
    });
    // The other worker tries with little memory, and gives up.
    let all = peak() - before;
    assert!(all < LINE * 9 / 2, "{} MB for lines of {} MB", all >> 20, LINE >> 20);
    assert!(stored > 0);
    let counts = receiver.store.counts();
    assert_eq!(counts.lines, 2 + stored as u64);
    assert_eq!(counts.bytes, ((1 + stored) * LINE + "small".len()) as u64);
    assert_eq!(receiver.push(JSON, json("still here").as_bytes()).0, 204);
}
