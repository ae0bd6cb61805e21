//! Clients that send raw bytes over the collector's socket.

use std::io::Write as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use logtap_collector::{Collector, RawClients};

use crate::memory_sink::{MemorySink, config, memory, wait_until};

struct Stage {
    parent: tempfile::TempDir,
    sink: MemorySink,
    collector: Collector,
    raw: RawClients,
}

fn stage() -> Stage {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let raw = collector.listen_raw(&parent.path().join("raw"), 0o700).unwrap();
    Stage { parent, sink, collector, raw }
}

impl Stage {
    fn connect(&self) -> UnixStream {
        UnixStream::connect(self.parent.path().join("raw")).unwrap()
    }

    fn end(self) -> MemorySink {
        assert!(self.raw.stop(Duration::from_secs(60)).is_some());
        self.collector.stop(Duration::from_secs(60));
        assert!(!self.parent.path().join("raw").exists());
        self.sink
    }
}

#[test]
fn several_clients_at_once_are_lines_of_their_own_with_their_process() {
    let stage = stage();
    let (mut one, mut other) = (stage.connect(), stage.connect());
    one.write_all(b"one begins, ").unwrap();
    other.write_all(b"other\nrest of other").unwrap();
    one.write_all(b"one ends\n").unwrap();
    wait_until(|| stage.sink.texts().len() == 2);
    // The end of a client ends its line.
    drop(other);
    wait_until(|| stage.sink.texts().len() == 3);
    let sink = stage.end();
    let mut texts = sink.texts();
    texts.sort();
    assert_eq!(texts, ["one begins, one ends", "other", "rest of other"]);
    let own = std::process::id().to_string();
    for line in sink.lines() {
        assert_eq!((line.label("source"), line.label("stream")), (Some("socket"), None));
        assert_eq!(line.metadata("pid"), Some(own.as_str()));
        assert!(line.metadata("exe").is_some_and(|path| path.contains("collector")));
    }
}

#[test]
fn what_clients_have_sent_is_taken_before_the_end() {
    let stage = stage();
    let mut clients: Vec<UnixStream> = (0..20).map(|_| stage.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.write_all(format!("client {number}\n").as_bytes()).unwrap();
    }
    wait_until(|| !stage.sink.texts().is_empty());
    let sink = stage.end();
    assert_eq!(sink.texts().len(), 20);
}

#[test]
fn clients_that_are_silent_slow_or_endless_hold_nobody_up() {
    let stage = stage();
    // More silent ones than there are places would wait; these leave some.
    let _silent: Vec<UnixStream> = (0..200).map(|_| stage.connect()).collect();
    let mut slow = stage.connect();
    let endless = stage.connect();
    let size = 40 << 20;
    let writer = std::thread::spawn(move || {
        let mut endless = endless;
        let block = vec![b'x'; 1 << 20];
        for _ in 0..size / block.len() {
            endless.write_all(&block).unwrap();
        }
    });
    let mut good = stage.connect();
    for byte in b"slow\n" {
        slow.write_all(&[*byte]).unwrap();
        good.write_all(format!("good {byte}\n").as_bytes()).unwrap();
    }
    writer.join().unwrap();
    let texts = || stage.sink.texts();
    wait_until(|| texts().iter().filter(|text| !text.starts_with('x')).count() == 6);
    assert!(texts().contains(&"slow".to_owned()));
    let sink = stage.end();
    // Pieces of a line without an end are given out as they fill up: all of it is there.
    let long: usize =
        sink.texts().iter().filter(|text| text.starts_with('x')).map(String::len).sum();
    assert_eq!(long, size);
}

#[test]
fn a_dead_socket_is_taken_over_and_anything_else_is_left_alone() {
    let stage = stage();
    let path = stage.parent.path().join("other");
    drop(UnixListener::bind(&path).unwrap());
    let again = stage.collector.listen_raw(&path, 0o700).unwrap();
    let error = stage.collector.listen_raw(&path, 0o700).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert!(again.stop(Duration::from_secs(60)).is_some());
    std::fs::write(&path, "kept").unwrap();
    assert!(stage.collector.listen_raw(&path, 0o700).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
    stage.end();
}
