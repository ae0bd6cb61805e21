//! The server as its clients see it, byte for byte.
//!
//! The machinery is in `support/`, the table of what Loki takes in `loki.rs`, limits in `limits.rs`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its functions too")]

#[path = "support/receiver.rs"]
mod receiver;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use logtap_loki::{Batch, Origin, compress_snappy, encode_push};
use logtap_recv::{Config, StoreOptions, WriterOptions, serve};

use receiver::{JSON, PROTOBUF, Receiver, json, raw_text};

#[test]
fn a_push_is_in_the_capture_when_it_is_answered() {
    let receiver = Receiver::plain();
    let (status, head, body) = receiver.push(JSON, json("hello").as_bytes());
    assert_eq!((status, body.as_str()), (204, ""));
    assert!(!head.contains("content-type"), "{head}");
    let expected =
        "{\"ts\":\"1970-01-01T00:00:01Z\",\"labels\":{\"app\":\"web\"},\"msg\":\"hello\"}\n";
    assert_eq!(raw_text(receiver.directory.path()), expected);
    assert_eq!(receiver.store.counts().lines, 1);
    receiver.server.stop().unwrap();
    assert_eq!(receiver.store.close().unwrap().lines, 1);
}

#[test]
fn numbered_pushes_are_stored_once_and_in_their_order() {
    let receiver = Receiver::plain();
    let mut batch = Batch::new();
    batch.streams.push(vec![("stream".into(), "stdout".into())]);
    batch.streams.push(vec![("stream".into(), "stderr".into())]);
    for number in 0..4 {
        batch.push(number % 2, i64::from(number) + 1, 0, format!("line {number}\u{0}").as_bytes());
    }
    batch.push(0, 9, 0, b"not \xff text");
    let source = "00112233445566778899aabbccddeeff".to_owned();
    let origin = Origin { source, first: 1, last: 5 };
    let (source, lines) = origin.headers();
    let headers = format!("{PROTOBUF}\r\nX-Logtap-Source: {source}\r\nX-Logtap-Lines: {lines}");
    let mut body = Vec::new();
    encode_push(&batch, &mut body);
    let body = compress_snappy(&body);
    for _ in 0..2 {
        assert_eq!(receiver.push(&headers, &body).0, 204);
    }
    let wrong = format!("{PROTOBUF}\r\nX-Logtap-Source: {source}\r\nX-Logtap-Lines: 6-9");
    assert_eq!(receiver.push(&wrong, &body).0, 400);
    let counts = receiver.store.counts();
    assert_eq!((counts.lines, counts.skipped, counts.failures), (5, 5, 1));
    let text = receiver.text();
    let order: Vec<_> = text.match_indices("line ").map(|(at, _)| &text[at + 5..at + 6]).collect();
    assert_eq!(order, ["0", "1", "2", "3"]);
    assert!(text.contains("\"raw\":\"bm90IP8gdGV4dA==\""), "{text}");
}

#[test]
fn bodies_in_chunks_and_with_expectations_are_taken() {
    let receiver = Receiver::plain();
    let body = json("chunk");
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let head = format!("POST /loki/api/v1/push HTTP/1.1\r\nTransfer-Encoding: chunked{JSON}");
    assert_eq!(receiver.ask(&head, chunked.as_bytes()).0, 204);
    let expect = format!("{JSON}\r\nExpect: 100-continue");
    let (status, _, rest) = receiver.push(&expect, json("asked").as_bytes());
    assert!(status == 204 || rest.contains("204 No Content"), "{status} {rest}");
    assert_eq!(receiver.text().lines().count(), 2);
}

#[test]
fn refusals_are_one_line_of_text() {
    let receiver = Receiver::plain();
    let (status, head, body) = receiver.push(JSON, b"");
    assert_eq!((status, body.as_str()), (400, "EOF\n"));
    assert!(head.contains("content-type: text/plain; charset=utf-8"), "{head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    assert_eq!(receiver.push(JSON, b"{}").0, 422);
    assert_eq!(receiver.push(PROTOBUF, b"junk").0, 400);
    assert_eq!(receiver.get("/loki/api/v1/push").0, 405);
    assert_eq!(receiver.get("/loki/api/v1/push/").0, 405);
    assert_eq!(receiver.get("/nowhere").0, 404);
    assert_eq!(receiver.text(), "");
}

#[test]
fn a_bad_entry_does_not_sink_its_push() {
    let receiver = Receiver::plain();
    let body = "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[\"soon\",\"bad\"],[\"1\",\"good\"]]}]}";
    assert_eq!(receiver.push(JSON, body.as_bytes()).0, 204);
    assert!(receiver.get("/metrics").2.contains("\nlogtap_logs_invalid_total 1\n"));
    let text = receiver.text();
    assert!(text.contains("\"msg\":\"good\""), "{text}");
    assert!(text.contains("\"logtap_invalid\":\"timestamp\"},\"msg\":\"bad\""), "{text}");
}

#[test]
fn http_2_is_refused_in_words() {
    let receiver = Receiver::plain();
    let mut stream = TcpStream::connect(receiver.server.address()).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 505 "), "{answer}");
    assert!(answer.ends_with("this port speaks HTTP/1.1, not HTTP/2\n"), "{answer}");
    let metrics = receiver.get("/metrics").2;
    assert!(metrics.contains("logtap_connections_malformed_total 1\n"), "{metrics}");
}

#[test]
fn what_is_too_large_or_too_much_is_not_taken() {
    let config = Config { max_body: 100, max_in_flight: 100, ..Config::default() };
    let receiver = Receiver::start(config, StoreOptions::default());
    let large = json(&"x".repeat(100));
    let (status, _, text) = receiver.push(JSON, large.as_bytes());
    assert_eq!(status, 413);
    assert!(text.contains("too large than max"), "{text}");
    let chunked = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let head = format!("POST /loki/api/v1/push HTTP/1.1\r\nTransfer-Encoding: chunked{JSON}");
    assert_eq!(receiver.ask(&head, chunked.as_bytes()).0, 413);

    // What a sender has sent of its body is held; what it has only announced is not.
    let mut slow = TcpStream::connect(receiver.server.address()).unwrap();
    let head =
        format!("POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Length: 99{JSON}\r\n\r\n");
    slow.write_all(head.as_bytes()).unwrap();
    assert_eq!(receiver.push(JSON, json("x").as_bytes()).0, 204);
    slow.write_all(&[b' '; 98]).unwrap();
    while receiver.get("/readyz").0 != 503 {}
    let (status, head, _) = receiver.push(JSON, json("x").as_bytes());
    assert_eq!(status, 429);
    assert!(head.contains("retry-after: 1"), "{head}");
    drop(slow);
    while receiver.get("/readyz").0 != 200 {}
    assert_eq!(receiver.push(JSON, json("x").as_bytes()).0, 204);
    assert!(receiver.get("/metrics").2.contains("outcome=\"put_off\"} 1\n"));
}

#[test]
fn a_capture_without_room_puts_senders_off() {
    let writer = WriterOptions { disk_cap: Some(20_000), ..WriterOptions::default() };
    let receiver = Receiver::start(Config::default(), StoreOptions { writer });
    assert_eq!(receiver.push(JSON, json("fits").as_bytes()).0, 204);
    // What never fits is not put off for ever.
    let (status, _, text) = receiver.push(JSON, json(&"x".repeat(20_000)).as_bytes());
    assert_eq!(status, 413);
    assert!(text.contains("(20000 bytes); send less at a time, or raise --max-disk"), "{text}");
    let answers = (0..10).map(|_| receiver.push(JSON, json(&"x".repeat(5_000)).as_bytes()));
    let (_, head, text) = answers.into_iter().find(|answer| answer.0 == 429).unwrap();
    assert!(head.contains("retry-after: 5"), "{head}");
    assert!(text.contains("disk cap of 20000 bytes is reached"), "{text}");
}

#[test]
fn a_closed_store_is_never_answered_with_success() {
    let receiver = Receiver::plain();
    receiver.store.close().unwrap();
    assert_eq!(receiver.push(JSON, json("late").as_bytes()).0, 503);
    assert!(receiver.get("/metrics").2.contains("outcome=\"failed\"} 1\n"));
}

#[test]
fn status_routes_answer() {
    let receiver = Receiver::plain();
    assert_eq!(receiver.get("/ready").2, "ready\n");
    assert_eq!(receiver.get("/healthz").2, "{\"status\":\"ok\"}");
    let (status, head, text) = receiver.get("/api/version");
    assert!(status == 200 && head.contains("content-type: application/json"), "{head}");
    assert!(text.contains("\"api\":1"), "{text}");
    assert!(receiver.get("/loki/api/v1/status/buildinfo").2.contains("\"version\""));
    receiver.push(JSON, json("x").as_bytes());
    let metrics = receiver.get("/metrics").2;
    for line in ["logtap_logs_received_total 1\n", "logtap_pushes_total{outcome=\"accepted\"} 1\n"]
    {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(!metrics.contains("logtap_disk_usage_bytes 0\n"), "{metrics}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let receiver = Receiver::plain();
    let listen = receiver.server.address();
    let error = serve(Config { listen, ..Config::default() }, Arc::clone(&receiver.store));
    let error = error.err().unwrap().to_string();
    assert_eq!(error, format!("failed to listen on {listen}"));
}
