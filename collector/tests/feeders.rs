//! Streams that are fed from elsewhere go the same way.

use std::time::Duration;

use logtap_collector::{Collector, FeederStream};
use logtap_wire::ring::StreamKind;

use crate::memory_sink::{MemorySink, config, memory};

#[test]
fn fed_bytes_become_lines_with_their_own_source() {
    let parent = memory();
    let sink = MemorySink::default();
    let collector = Collector::start(config(&parent), Box::new(sink.clone())).unwrap();
    let stream = FeederStream {
        source: "pipe".to_owned(),
        kind: StreamKind::Stderr,
        path: Vec::new(),
        pid: 5,
        executable: "/bin/static".to_owned(),
        labels: vec![("part".to_owned(), "a".to_owned())],
    };
    let feeder = collector.feeder(stream).unwrap();
    feeder.write(b"one\ntw", 1_000).unwrap();
    assert!(!collector.is_quiet(), "a feeder is open");
    feeder.write(b"o\nrest", 2_000).unwrap();
    drop(feeder);
    assert!(collector.is_quiet());
    let summary = collector.stop(Duration::from_secs(60));
    assert_eq!(sink.texts(), ["one", "two", "rest"]);
    let line = &sink.lines()[1];
    assert_eq!((line.label("source"), line.label("part")), (Some("pipe"), Some("a")));
    assert_eq!((line.label("stream"), line.metadata("pid")), (Some("stderr"), Some("5")));
    assert_eq!(line.timestamp, 1_001, "its record began at 1000, one line before");
    assert_eq!(summary.streams[0].source, "pipe");
    assert_eq!(summary.streams[0].totals.bytes, 12);
}
