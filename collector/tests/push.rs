//! The Loki sink against a server that answers what the test says.

use std::net::TcpListener;
use std::time::Duration;

use logtap_collector::sink::{PushError, Sink};
use logtap_collector::sinks::{Auth, LokiConfig, LokiSink, PushFormat};
use logtap_loki::{Batch, DecodeOptions, Origin, decode_push, decode_push_json, decompress_snappy};

use crate::server::{OK, server};

fn batch() -> Batch {
    let mut batch = Batch::new();
    batch.streams.push(vec![("app".to_owned(), "x".to_owned())]);
    batch.push(0, 1_000, 0, b"one");
    batch.push(0, 1_001, 0, b"two \xff");
    let source = "0123456789abcdef0123456789abcdef".to_owned();
    batch.origin = Some(Origin { source, first: 5, last: 6 });
    batch
}

fn options() -> DecodeOptions {
    DecodeOptions::default()
}

#[test]
fn a_batch_arrives_as_protobuf_with_its_origin() {
    let (url, requests) = server(vec![OK]);
    let mut config = LokiConfig::new(url);
    config.tenant = Some("team".to_owned());
    config.auth = Auth::Bearer("token".to_owned());
    LokiSink::new(config).unwrap().push(&batch()).unwrap();
    let request = requests.recv().unwrap();
    assert_eq!(request.head[0], "POST /loki/api/v1/push HTTP/1.1");
    for (name, value) in [
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "snappy"),
        ("x-scope-orgid", "team"),
        ("authorization", "Bearer token"),
        ("x-logtap-source", "0123456789abcdef0123456789abcdef"),
        ("x-logtap-lines", "5-6"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    let body = decompress_snappy(&request.body, 1 << 20).unwrap();
    let decoded = decode_push(&body, &options()).unwrap().batch;
    let lines: Vec<_> = decoded.entries.iter().map(|entry| decoded.line(entry)).collect();
    assert_eq!(lines, [&b"one"[..], b"two \xff"]);
}

#[test]
fn json_is_sent_by_choice() {
    let (url, requests) = server(vec![OK]);
    let mut config = LokiConfig::new(url);
    config.format = PushFormat::Json;
    config.auth = Auth::Basic { user: "me".to_owned(), password: "pass".to_owned() };
    LokiSink::new(config).unwrap().push(&batch()).unwrap();
    let request = requests.recv().unwrap();
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), Some("Basic bWU6cGFzcw=="));
    let decoded = decode_push_json(&request.body, &options()).unwrap().batch;
    assert_eq!(decoded.line(&decoded.entries[1]), "two \u{fffd}".as_bytes());
}

#[test]
fn answers_mean_what_they_mean() {
    let (url, _requests) = server(vec![
        "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nslow",
        "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 400 Bad\r\nContent-Length: 9\r\n\r\nbad\nlabel",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ]);
    let mut sink = LokiSink::new(LokiConfig::new(url)).unwrap();
    let mut push = || sink.push(&batch());
    let retry = |result| match result {
        Err(PushError::Retry { reason, after }) => {
            (reason, after.map(|after: Duration| after.as_secs()))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(retry(push()), ("429 Too Many Requests: slow".to_owned(), Some(7)));
    assert_eq!(retry(push()).1, None);
    assert_eq!(retry(push()).0, "302 Found");
    let (reason, _) = retry(push());
    assert!(reason.starts_with("401 Unauthorized; --token-file, or --user"), "{reason}");
    match push() {
        Err(PushError::Refused { reason }) => assert_eq!(reason, "400 Bad Request: bad label"),
        other => panic!("{other:?}"),
    }
    push().unwrap();
}

#[test]
fn a_server_that_is_not_there_is_asked_again() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut sink = LokiSink::new(LokiConfig::new(format!("http://{gone}"))).unwrap();
    assert!(matches!(sink.push(&batch()), Err(PushError::Retry { .. })));
}
