//! What hostile, broken and slow clients can do, and that nobody else notices.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its functions too")]

#[path = "support/receiver.rs"]
mod receiver;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use logtap_loki::{compress_gzip, compress_snappy};
use logtap_recv::{Config, ConnectionLimits, StoreOptions};

use receiver::{JSON, PROTOBUF, Receiver, json};

fn with(config: Config) -> Receiver {
    Receiver::start(config, StoreOptions::default())
}

fn metric(receiver: &Receiver, name: &str) -> u64 {
    let text = receiver.get("/metrics").2;
    let line = text.lines().find(|line| line.split(' ').next() == Some(name));
    line.and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect(name)
}

/// What a connection gets until it is closed.
fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_thousand_connections_push_at_once() {
    // Both ends of each are files of this process.
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let receiver = Receiver::plain();
    let mut streams: Vec<TcpStream> =
        (0..1000).map(|_| TcpStream::connect(receiver.server.address()).unwrap()).collect();
    for round in 0..3 {
        for (number, stream) in streams.iter_mut().enumerate() {
            let body = json(&format!("round {round} of {number}"));
            let head = format!(
                "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Length: {}{JSON}\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
        for stream in &mut streams {
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 204");
            while !answer.ends_with(b"\r\n\r\n") {
                answer.rotate_left(1);
                stream.read_exact(&mut answer[11..]).unwrap();
            }
        }
    }
    assert!(metric(&receiver, "logtap_active_connections") >= 1000);
    drop(streams);
    assert_eq!(receiver.store.counts().lines, 3000);
    let text = receiver.text();
    for line in ["round 0 of 0\"", "round 2 of 999\""] {
        assert_eq!(text.matches(line).count(), 1, "{line}");
    }
}

#[test]
fn slow_heads_and_idle_connections_are_closed() {
    let limits = ConnectionLimits {
        idle: Duration::from_secs(3),
        head: Duration::from_secs(3),
        ..ConnectionLimits::default()
    };
    let receiver = with(Config { connections: limits, ..Config::default() });
    let idle = TcpStream::connect(receiver.server.address()).unwrap();
    let mut slow = TcpStream::connect(receiver.server.address()).unwrap();
    slow.write_all(b"POST /loki/api/v1/push HTTP/1.1\r\nX-Slow: ").unwrap();
    let mut after = TcpStream::connect(receiver.server.address()).unwrap();
    after.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(rest(idle), "");
    assert_eq!(rest(slow), "");
    assert!(rest(after).ends_with("ready\n"), "answered, kept for a while, closed");
    assert_eq!(metric(&receiver, "logtap_connections_timed_out_total"), 3);
}

#[test]
fn a_slow_body_is_cut_off_and_holds_nobody_up() {
    let receiver = with(Config { body_time: Duration::from_secs(2), ..Config::default() });
    let mut slow = TcpStream::connect(receiver.server.address()).unwrap();
    let head = format!(
        "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Length: 1000{JSON}\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).unwrap();
    assert_eq!(receiver.push(JSON, json("meanwhile").as_bytes()).0, 204);
    assert!(rest(slow).starts_with("HTTP/1.1 408"));
    assert_eq!(metric(&receiver, "logtap_push_bytes_in_flight"), 0);
    assert_eq!(receiver.text().lines().count(), 1);
}

#[test]
fn connections_beyond_the_limit_wait_for_a_place() {
    let limits = ConnectionLimits { connections: 2, ..ConnectionLimits::default() };
    let receiver = with(Config { connections: limits, ..Config::default() });
    let holders: Vec<TcpStream> =
        (0..2).map(|_| TcpStream::connect(receiver.server.address()).unwrap()).collect();
    let mut waiting = TcpStream::connect(receiver.server.address()).unwrap();
    waiting.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(waiting.read(&mut [0]).is_err(), "nobody answers yet");
    drop(holders);
    waiting.set_read_timeout(None).unwrap();
    assert!(rest(waiting).ends_with("ready\n"));
    assert!(metric(&receiver, "logtap_connections_limit_total") > 0);
}

#[test]
fn half_open_connections_are_answered_and_forgotten() {
    let receiver = Receiver::plain();
    // The sender has said all that it will say, and still wants its answer.
    let body = json("half");
    let mut half = TcpStream::connect(receiver.server.address()).unwrap();
    let head = format!(
        "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Length: {}{JSON}\r\n\r\n{body}",
        body.len()
    );
    half.write_all(head.as_bytes()).unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    assert!(rest(half).starts_with("HTTP/1.1 204"));
    // It goes away in the middle of its body: nothing of it is stored.
    let mut gone = TcpStream::connect(receiver.server.address()).unwrap();
    gone.write_all(head.get(..head.len() - 5).unwrap().as_bytes()).unwrap();
    gone.shutdown(Shutdown::Write).unwrap();
    let answer = rest(gone);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    while metric(&receiver, "logtap_active_connections") > 1 {}
    assert_eq!(receiver.text().lines().count(), 1);
}

#[test]
fn malformed_requests_are_refused_and_counted() {
    let receiver = Receiver::plain();
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(100_000));
    let heavy = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(1000));
    for bytes in [
        "\0\0\0\0",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "POST /loki/api/v1/push HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST /loki/api/v1/push HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST /loki/api/v1/push HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
        long.as_str(),
        heavy.as_str(),
        many.as_str(),
    ] {
        let mut stream = TcpStream::connect(receiver.server.address()).unwrap();
        drop(stream.write_all(bytes.as_bytes()));
        drop(stream.shutdown(Shutdown::Write));
        let answer = rest(stream);
        let status = answer.get(9..12).unwrap_or_default();
        let known = ["", "400", "414", "431", "505", "501", "411"];
        assert!(known.contains(&status), "{bytes:.40}: {answer}");
    }
    let chunks =
        "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    let mut stream = TcpStream::connect(receiver.server.address()).unwrap();
    stream.write_all(chunks.as_bytes()).unwrap();
    let answer = rest(stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    // Counted when the connection has ended, which its other end may see a moment earlier.
    while metric(&receiver, "logtap_connections_malformed_total") < 9 {}
    assert_eq!(metric(&receiver, "logtap_connections_malformed_total"), 9);
    // The head of the last one was right, and its body was not.
    assert_eq!(metric(&receiver, "logtap_pushes_total{outcome=\"undecodable\"}"), 1);
    assert_eq!(receiver.push(JSON, json("still here").as_bytes()).0, 204);
    assert_eq!(receiver.text().lines().count(), 1);
}

#[test]
fn bombs_do_not_go_off() {
    let config = Config { max_unpacked: 20 << 20, ..Config::default() };
    let receiver = with(config);
    let blanks = vec![b' '; 64 << 20];
    let gzip = compress_gzip(&blanks);
    let zstd = zstd::encode_all(&blanks[..], 1).unwrap();
    let snappy = compress_snappy(&blanks);
    let twice = compress_gzip(&snappy);
    // Large outside and larger inside.
    let size = [0x80, 0x80, 0x80, 0x0c]; // 24 MB
    let large_twice = compress_gzip(&[&size[..], &vec![0; 17 << 20]].concat());
    // A bomb that is all entries, and one that is all labels.
    let entries = format!("{{\"streams\":[{{\"values\":[{}[]]}}]}}", "[],".repeat(5_000_000));
    let entries = compress_gzip(entries.as_bytes());
    let label = "x".repeat(1 << 20);
    let lines = "[\"1\"],".repeat(10_000);
    let labels = format!(
        "{{\"streams\":[{{\"stream\":{{\"a\":\"{label}\"}},\"values\":[{}]}}]}}",
        lines.trim_end_matches(',')
    );
    let labels = compress_gzip(labels.as_bytes());
    for (name, media, packing, body) in [
        ("gzip", JSON, "gzip", &gzip),
        ("zstd", JSON, "zstd", &zstd),
        ("snappy", PROTOBUF, "snappy", &snappy),
        ("snappy in gzip", PROTOBUF, "gzip", &twice),
        ("large snappy in gzip", PROTOBUF, "gzip", &large_twice),
        ("entries", JSON, "gzip", &entries),
        ("labels", JSON, "gzip", &labels),
    ] {
        let headers = format!("{media}\r\nContent-Encoding: {packing}");
        let (status, _, text) = receiver.push(&headers, body);
        assert_eq!(status, 413, "{name}: {text}");
    }
    assert_eq!(metric(&receiver, "logtap_pushes_total{outcome=\"too_large\"}"), 7);
    assert_eq!(receiver.push(JSON, json("still here").as_bytes()).0, 204);
    assert_eq!(receiver.text().lines().count(), 1);
}

#[test]
fn lines_of_ten_megabytes_are_whole() {
    let receiver = Receiver::plain();
    let line: String = ('a'..='z').cycle().take(10 << 20).collect();
    for _ in 0..3 {
        assert_eq!(receiver.push(JSON, json(&line).as_bytes()).0, 204);
    }
    let counts = receiver.store.counts();
    assert_eq!((counts.lines, counts.bytes), (3, 3 * (10 << 20)));
    let text = receiver.text();
    assert_eq!(text.matches(&format!("\"msg\":\"{line}\"")).count(), 3);
}

#[test]
fn only_who_is_known_may_push() {
    let credentials = vec!["bearer:secret".parse().unwrap(), "basic:me:word".parse().unwrap()];
    let (notices_tx, notices_rx) = mpsc::channel();
    let config = Config { credentials, notices: Some(notices_tx), ..Config::default() };
    let receiver = with(config);
    let body = json("x");
    let (status, head, _) = receiver.push(JSON, body.as_bytes());
    assert_eq!(status, 401);
    assert!(head.contains("www-authenticate: bearer, basic"), "{head}");
    for (value, expected) in [
        ("Bearer secret", 204),
        ("Basic bWU6d29yZA==", 204),
        ("Bearer wrong", 401),
        ("Basic bWU6d3Jvbmc=", 401),
    ] {
        let headers = format!("{JSON}\r\nAuthorization: {value}");
        assert_eq!(receiver.push(&headers, body.as_bytes()).0, expected, "{value}");
    }
    for (path, expected) in
        [("/ready", 200), ("/healthz", 200), ("/readyz", 200), ("/metrics", 401)]
    {
        assert_eq!(receiver.get(path).0, expected, "{path}");
    }
    let notice = notices_rx.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(notice.starts_with("127.0.0.1 sends without") && notice.contains("--auth"), "{notice}");
    assert_eq!(receiver.text().lines().count(), 2);
}

#[test]
fn failures_on_purpose_are_not_stored() {
    let faults = "429:20%,500:10%,delay:1ms".parse().unwrap();
    let receiver = with(Config { faults, ..Config::default() });
    let mut seen = std::collections::BTreeMap::<u16, u64>::new();
    for number in 0..100 {
        let (status, head, _) = receiver.push(JSON, json(&number.to_string()).as_bytes());
        assert_eq!(status >= 400, head.contains("retry-after: 1"), "{head}");
        *seen.entry(status).or_default() += 1;
    }
    let stored = seen[&204];
    assert!((19..=21).contains(&seen[&429]) && (9..=11).contains(&seen[&500]), "{seen:?}");
    assert_eq!(metric(&receiver, "logtap_pushes_total{outcome=\"fault\"}"), 100 - stored);
    assert_eq!(receiver.text().lines().count() as u64, stored);
}

#[test]
fn who_sends_what_cannot_be_taken_is_told_to_the_person_here() {
    let (notices_tx, notices_rx) = mpsc::channel();
    let config = Config { max_body: 1000, notices: Some(notices_tx), ..Config::default() };
    let receiver = with(config);
    let next = || notices_rx.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(receiver.push(JSON, &[b' '; 2000]).0, 413);
    assert!(next().contains("raise --max-body"));
    assert_eq!(receiver.push(JSON, b"[]").0, 400);
    assert!(next().contains("refused with 400: json: expected an object"));
    let mut tls = TcpStream::connect(receiver.server.address()).unwrap();
    tls.write_all(b"\x16\x03\x01\x02\x00").unwrap();
    assert_eq!(rest(tls), "");
    let notice = next();
    assert!(notice.contains("speaks TLS") && notice.contains("--tls-cert"), "{notice}");
    receiver.store.close().unwrap();
    assert_eq!(receiver.push(JSON, json("x").as_bytes()).0, 503);
    let notice = next();
    assert!(notice.contains("pushes cannot be stored: capture"), "{notice}");
}

#[test]
fn a_server_that_stops_answers_what_it_has_begun() {
    let faults = "delay:1s".parse().unwrap();
    let receiver = with(Config { faults, ..Config::default() });
    let body = json("last");
    let mut stream = TcpStream::connect(receiver.server.address()).unwrap();
    let head = format!(
        "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Length: {}{JSON}\r\n\r\n{body}",
        body.len()
    );
    let idle = TcpStream::connect(receiver.server.address()).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    while metric(&receiver, "logtap_push_bytes_in_flight") == 0
        && metric(&receiver, "logtap_logs_received_total") == 0
    {}
    let Receiver { directory, server, .. } = receiver;
    server.stop().unwrap();
    assert!(rest(stream).starts_with("HTTP/1.1 204"));
    assert_eq!(rest(idle), "");
    assert_eq!(receiver::raw_text(directory.path()).lines().count(), 1);
}

#[test]
fn labels_beyond_the_limits_are_metadata_of_marked_lines() {
    let receiver = Receiver::plain();
    let labels: Vec<String> =
        (0..200_000).map(|number| format!("\"n{number:06}\":\"v\"")).collect();
    let body = format!(
        "{{\"streams\":[{{\"stream\":{{{}}},\"values\":[[\"1\",\"x\"]]}}]}}",
        labels.join(",")
    );
    assert_eq!(receiver.push(JSON, body.as_bytes()).0, 204);
    assert_eq!(metric(&receiver, "logtap_logs_invalid_total"), 1);
    let text = receiver.text();
    let (labels, rest) = text.split_once("},\"msg\"").unwrap();
    assert!(labels.contains("\"logtap_invalid\":\"labels\"") && labels.len() < 2_000);
    assert!(rest.contains("\"n199999\":\"v\""), "nothing is lost");
}

#[test]
fn keys_of_an_address_have_a_limit() {
    let receiver = Receiver::plain();
    let ask = |query: &str| {
        let head = format!("POST /logtap/lines?{query} HTTP/1.1\r\nContent-Length: 2");
        receiver.ask(&head, b"{}")
    };
    assert_eq!(ask(&["label=a"; 64].join("&")).0, 204);
    for query in [["label=a"; 2_600].join("&"), format!("label={}", ["a"; 2_600].join(","))] {
        let (status, _, text) = ask(&query);
        assert!(status == 400 && text.contains("2600 keys, more than 64"), "{status} {text}");
    }
}

#[test]
fn what_is_odd_about_a_push_is_told_to_the_person_here() {
    let (notices_tx, notices_rx) = std::sync::mpsc::channel();
    let receiver = with(Config { notices: Some(notices_tx), ..Config::default() });
    let body = json("x").replace("1000000000", "1700000000123");
    for _ in 0..2 {
        assert_eq!(receiver.push(JSON, body.as_bytes()).0, 204);
    }
    assert_eq!(receiver.push(JSON, br#"{"streams":[{"stream":{"a":"b"}}]}"#).0, 204);
    assert_eq!(receiver.push(JSON, format!("{body} behind").as_bytes()).0, 204);
    let (status, _, text) = receiver.get("/loki/push");
    assert!(
        status == 404 && text.contains("`POST /loki/api/v1/push` was probably meant"),
        "{text}"
    );
    let told: Vec<String> = notices_rx.try_iter().collect();
    for part in [
        "the times of stream {app=\"web\"} are milliseconds",
        "1 stream of a push of 127.0.0.1 came without a line",
        "1 entry of a push of 127.0.0.1 stored with the label logtap_invalid",
        "127.0.0.1 asks for `/loki/push`",
    ] {
        assert_eq!(told.iter().filter(|text| text.contains(part)).count(), 1, "{part}: {told:?}");
    }
    assert_eq!(metric(&receiver, "logtap_logs_odd_time_total"), 3);
    assert_eq!(metric(&receiver, "logtap_streams_empty_total"), 1);
}

#[test]
fn heads_that_do_not_end_hold_little_together() {
    let receiver = Receiver::plain();
    let head = format!("POST /loki/api/v1/push HTTP/1.1\r\nX-A: {}", "a".repeat(30_000));
    let mut cut_off = 0;
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(receiver.server.address()).unwrap();
        // Who is cut off meanwhile cannot write all of it.
        drop(stream.write_all(head.as_bytes()));
        held.push(stream);
    }
    // 9 MB came, 4 are held: the others are at their end, whatever was under way.
    for stream in &mut held[200..] {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        cut_off += u64::from(!matches!(stream.read(&mut [0; 1]), Ok(1..)));
    }
    assert_eq!(cut_off, 100);
    assert!(metric(&receiver, "logtap_connections_head_limit_total") >= 100);
    assert_eq!(receiver.push(JSON, json("good").as_bytes()).0, 204, "others are served");
}
