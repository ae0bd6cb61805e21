//! Senders that do not speak Loki's language: OTLP, JSON objects by HTTP, TCP and UDP, lines of captures.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its functions too")]

#[path = "support/receiver.rs"]
mod receiver;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use logtap_loki::{compress_gzip, compress_snappy};
use logtap_recv::{Config, LineSource, StoreOptions, WriterOptions};

use receiver::{JSON, PROTOBUF, Receiver};

impl Receiver {
    fn post(&self, path: &str, headers: &str, body: &[u8]) -> (u16, String, String) {
        let length = body.len();
        self.ask(&format!("POST {path} HTTP/1.1\r\nContent-Length: {length}{headers}"), body)
    }
}

const OTLP: &str = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":
    {"stringValue":"shop"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1000000000","body":
    {"stringValue":"hello"},"traceId":"ab"}]}]}]}"#;

#[test]
fn otlp_is_answered_in_its_own_form() {
    let receiver = Receiver::plain();
    for path in ["/otlp/v1/logs", "/v1/logs"] {
        let (status, head, body) = receiver.post(path, JSON, OTLP.as_bytes());
        assert_eq!((status, body.as_str()), (200, "{}"));
        assert!(head.contains("content-type: application/json"), "{head}");
    }
    let packed = |how: &str| format!("{JSON}\r\nContent-Encoding: {how}");
    let gzip = compress_gzip(OTLP.as_bytes());
    assert_eq!(receiver.post("/v1/logs", &packed("GZip"), &gzip).0, 200);
    let snappy = compress_snappy(OTLP.as_bytes());
    assert_eq!(receiver.post("/v1/logs", &packed("snappy"), &snappy).0, 200);
    let (status, head, body) = receiver.post("/v1/logs", PROTOBUF, b"");
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");

    let odd = r#"{"resourceLogs":[7]}"#;
    let (status, _, body) = receiver.post("/v1/logs", JSON, odd.as_bytes());
    assert_eq!(status, 200);
    assert!(body.starts_with(r#"{"partialSuccess":{"rejectedLogRecords":"0","errorMessage":"1 "#));

    let (status, _, body) = receiver.post("/v1/logs", JSON, b"[]");
    assert_eq!(status, 400);
    assert!(body.starts_with(r#"{"message":"json: expected an object"#), "{body}");
    let (status, _, body) = receiver.post("/v1/logs", PROTOBUF, b"\x0a\x05");
    assert_eq!((status, &body[..1]), (400, "\x12"));
    assert_eq!(receiver.post("/v1/logs", "\r\nContent-Type: text/plain", b"{}").0, 400);
    let text = receiver.text();
    let line = concat!(
        r#"{"ts":"1970-01-01T00:00:01Z","labels":{"service_name":"shop"},"msg":"hello","#,
        r#""meta":{"trace_id":"ab"}}"#
    );
    assert_eq!(text.lines().filter(|known| *known == line).count(), 4, "{text}");
    assert_eq!(text.lines().count(), 5);
}

#[test]
fn overload_is_told_to_senders_of_otlp_too() {
    let writer = WriterOptions { disk_cap: Some(20_000), ..WriterOptions::default() };
    let options = StoreOptions { writer };
    let receiver = Receiver::start(Config::default(), options);
    let large = OTLP.replace("hello", &"x".repeat(30_000));
    let (status, _, body) = receiver.post("/v1/logs", JSON, large.as_bytes());
    assert_eq!(status, 413, "{body}");
    let many = OTLP.replace("hello", &"x".repeat(5_000));
    let answers = (0..10).map(|_| receiver.post("/v1/logs", JSON, many.as_bytes()));
    let (_, head, body) = answers.into_iter().find(|answer| answer.0 == 429).unwrap();
    assert!(head.contains("retry-after: 5") && body.contains("disk cap"), "{head}{body}");
}

#[test]
fn objects_of_any_shape_are_taken() {
    let receiver = Receiver::plain();
    let text =
        "{\"message\":\"one\",\"time\":1,\"app\":\"a\"}\n{\"what\":\"two\",\"when\":2}\nthree\n";
    let path = "/logtap/lines?message=what&time=when";
    assert_eq!(receiver.post(path, JSON, text.as_bytes()).0, 204);
    let array = r#"[{"date":3.5,"log":"four"},{"date":4,"log":"five"}]"#;
    assert_eq!(receiver.post("/logtap/lines", "", array.as_bytes()).0, 204);
    let (status, _, answer) = receiver.post("/logtap/lines?colour=red", "", b"{}");
    assert_eq!(status, 400);
    assert!(answer.contains("`colour=red` is no mapping of keys"), "{answer}");
    assert!(receiver.get("/metrics").2.contains("\nlogtap_logs_invalid_total 1\n"));
    let stored = receiver.text();
    for line in [
        "{\"ts\":\"1970-01-01T00:00:01Z\",\"labels\":{\"app\":\"a\"},\"msg\":\"one\"}",
        "{\"ts\":\"1970-01-01T00:00:02Z\",\"msg\":\"two\"}",
        "\"labels\":{\"logtap_invalid\":\"entry\"},\"msg\":\"three\"}",
        "{\"ts\":\"1970-01-01T00:00:03.5Z\",\"msg\":\"four\"}",
        "{\"ts\":\"1970-01-01T00:00:04Z\",\"msg\":\"five\"}",
    ] {
        assert!(stored.contains(line), "{line}: {stored}");
    }
}

#[test]
fn lines_of_a_capture_go_into_another() {
    let receiver = Receiver::plain();
    let line = "{\"ts\":\"1970-01-01T00:00:01Z\",\"labels\":{\"a\":\"b\"},\"msg\":\"\u{fffd}\",\
                \"meta\":{\"p\":\"1\"},\"raw\":\"/w==\"}\n";
    assert_eq!(receiver.post("/logtap/raw", "", line.as_bytes()).0, 204);
    assert_eq!(receiver.post("/logtap/raw", "", b"").0, 204);
    assert_eq!(receiver.text(), line);
}

fn talos(number: usize) -> String {
    format!(
        "{{\"msg\":\"line {number}\",\"talos-level\":\"info\",\"talos-service\":\"etcd\",\
         \"talos-time\":\"2024-01-15T10:19:59.{number:09}Z\"}}"
    )
}

fn with_lines() -> (Receiver, SocketAddr, SocketAddr) {
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    let json_lines = vec![LineSource::Tcp(local), LineSource::Udp(local)];
    let receiver =
        Receiver::start(Config { json_lines, ..Config::default() }, StoreOptions::default());
    let addresses: Vec<SocketAddr> = receiver
        .server
        .line_sources()
        .iter()
        .map(|source| match source {
            LineSource::Tcp(address) | LineSource::Udp(address) => *address,
        })
        .collect();
    let (tcp, udp) = (addresses[0], addresses[1]);
    (receiver, tcp, udp)
}

#[test]
fn talos_sends_by_tcp() {
    let (receiver, tcp, _) = with_lines();
    let mut streams: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(tcp).unwrap()).collect();
    for number in 0..2000 {
        let text = talos(number) + "\n";
        let (first, second) = text.split_at(number % text.len());
        for part in [first, second] {
            streams[number % 4].write_all(part.as_bytes()).unwrap();
        }
    }
    // The last line has no end, and a line of three megabytes is kept in pieces.
    streams[0].write_all(b"{\"msg\":\"cut").unwrap();
    streams[1].write_all(&vec![b'x'; 3 << 20]).unwrap();
    drop(streams);
    while receiver.store.counts().bytes < 3 << 20 || receiver.store.counts().lines < 2002 {}
    let text = receiver.text();
    let lines: std::collections::BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_once("\"labels\""))
        .map(|(_, rest)| rest)
        .collect();
    for number in 0..2000 {
        let line = format!(
            ":{{\"service\":\"etcd\"}},\"msg\":\"line {number}\",\"meta\":{{\"level\":\"info\"}}}}"
        );
        assert!(lines.contains(line.as_str()), "{line}");
    }
    assert_eq!(text.matches("\"msg\":\"line ").count(), 2000);
    assert!(text.contains("\"msg\":\"{\\\"msg\\\":\\\"cut\"}"), "what was cut is there");
    assert_eq!(text.matches('x').count(), 3 << 20, "so are all bytes of the long line");
}

#[test]
fn lines_that_never_end_do_not_pile_up() {
    const LENGTH: usize = 900 << 10;
    let (receiver, tcp, _) = with_lines();
    // Each of them might be held by itself; all together are more than is held.
    let mut streams: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(tcp).unwrap()).collect();
    for stream in &mut streams {
        stream.write_all(&vec![b'x'; LENGTH]).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(120);
    while receiver.store.counts().lines == 0 {
        assert!(Instant::now() < deadline, "nothing was stored before a line has ended");
    }
    let count = streams.len();
    drop(streams);
    while receiver.store.counts().bytes < (count * LENGTH) as u64 {
        assert!(Instant::now() < deadline, "not all was stored");
    }
}

#[test]
fn talos_sends_by_udp() {
    let (receiver, _, udp) = with_lines();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    // One packet is waited for before the next: a local socket does not lose one packet.
    for number in 0..200 {
        socket.send_to(talos(number).as_bytes(), udp).unwrap();
        while receiver.store.counts().lines < number as u64 + 1 {}
    }
    let text = receiver.text();
    for number in 0..200 {
        assert_eq!(text.matches(&format!("\"msg\":\"line {number}\"")).count(), 1);
    }
}

#[test]
fn lines_that_cannot_be_stored_yet_are_held() {
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    let (notices_tx, notices_rx) = std::sync::mpsc::channel();
    let config = Config {
        json_lines: vec![LineSource::Tcp(local)],
        notices: Some(notices_tx),
        ..Config::default()
    };
    let receiver = Receiver::start(config, StoreOptions::default());
    receiver.store.close().unwrap();
    let LineSource::Tcp(tcp) = receiver.server.line_sources()[0] else { panic!() };
    TcpStream::connect(tcp).unwrap().write_all(b"{\"msg\":\"one\"}\n").unwrap();
    let next = || notices_rx.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    assert!(next().starts_with("lines wait to be stored: capture"));
    receiver.server.stop().unwrap();
    assert!(next().starts_with("1 lines were lost at the end: capture"));
}
