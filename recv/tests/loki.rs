//! The table of what a real Loki takes and refuses: each row as it is here, and as `--strict-loki` is.
//!
//! A number is the status; "stored" counts lines. Where the columns differ, ours takes more than Loki
//! and says so in the capture. Sizes and ages are tested where they are decided, in `src/strict.rs`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its functions too")]

#[path = "support/receiver.rs"]
mod receiver;

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use logtap_capture::Timestamp;
use logtap_loki::{compress_gzip, compress_snappy};
use logtap_recv::{Config, StoreOptions};

use receiver::{JSON, Receiver};

/// The two receivers, and what each has stored.
struct Table {
    receivers: [Receiver; 2],
    failures: Vec<String>,
}

impl Table {
    fn new() -> Self {
        let start = |strict| {
            let config = Config { strict, ..Config::default() };
            Receiver::start(config, StoreOptions::default())
        };
        Self { receivers: [start(false), start(true)], failures: Vec::new() }
    }

    /// Sends one request to both; what is expected is a status and a number of lines for each.
    fn row(&mut self, name: &str, head: &str, body: &[u8], expected: [(u16, u64); 2]) {
        for ((receiver, expected), mode) in
            self.receivers.iter().zip(expected).zip(["ours", "strict"])
        {
            let before = receiver.store.counts().lines;
            let length = body.len();
            let (status, _, text) =
                receiver.ask(&format!("{head}\r\nContent-Length: {length}"), body);
            let got = (status, receiver.store.counts().lines - before);
            if got != expected {
                self.failures.push(format!("{name}, {mode}: {got:?}, not {expected:?}: {text}"));
            }
        }
    }

    fn json(&mut self, name: &str, body: &str, expected: [(u16, u64); 2]) {
        let head = "POST /loki/api/v1/push HTTP/1.1\r\nContent-Type: application/json";
        self.row(name, head, body.as_bytes(), expected);
    }

    /// A push of one stream with this label set and these values.
    fn stream(&mut self, name: &str, labels: &str, values: &str, expected: [(u16, u64); 2]) {
        let body = format!("{{\"streams\":[{{\"stream\":{labels},\"values\":[{values}]}}]}}");
        self.json(name, &body, expected);
    }

    fn end(self) {
        assert!(self.failures.is_empty(), "{}", self.failures.join("\n"));
    }
}

fn now() -> String {
    Timestamp::now().0.to_string()
}

fn good() -> String {
    format!("{{\"streams\":[{{\"stream\":{{\"a\":\"b\"}},\"values\":[[\"{}\",\"x\"]]}}]}}", now())
}

/// A protobuf push of one line under these labels, as bytes written by hand.
fn protobuf(labels: &str) -> Vec<u8> {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        assert!(bytes.len() < 128);
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }
    let seconds = Timestamp::now().0 / 1_000_000_000;
    let mut time = vec![1 << 3];
    let mut rest = seconds as u64;
    while rest > 127 {
        time.push(rest as u8 | 128);
        rest >>= 7;
    }
    time.push(rest as u8);
    let entry = [field(1, &time), field(2, b"line \xff")].concat();
    field(1, &[field(1, labels.as_bytes()), field(2, &entry)].concat())
}

const BOTH: [(u16, u64); 2] = [(204, 1), (204, 1)];
const NOTHING_STORED: [(u16, u64); 2] = [(204, 0), (204, 0)];
const REFUSED: [(u16, u64); 2] = [(400, 0), (400, 0)];
/// Ours keeps it, marked or not; Loki refuses all of it.
const KEPT: [(u16, u64); 2] = [(204, 1), (400, 0)];

#[test]
fn json_bodies() {
    let mut table = Table::new();
    let ns = now();
    let unprocessable = [(422, 0), (422, 0)];
    table.json("an empty object", "{}", unprocessable);
    table.json("no streams", "{\"streams\":[]}", unprocessable);
    table.json("other keys", "{\"x\":{\"streams\":1}}", unprocessable);
    table.json("an empty body", "", REFUSED);
    table.json("an array", "[]", REFUSED);
    table.json("cut short", "{\"streams\":[{\"stream\":{},\"values\":[[\"1\",\"x\"]", REFUSED);
    let behind = [(204, 2), (204, 1)];
    table.json("text behind the object", &format!("{} behind", good()), behind);
    table.json("two documents", &format!("{}\n{}", good(), good()), behind);
    table.json("a document cut short", &format!("{}{{\"streams\":[", good()), [(400, 0), (204, 1)]);
    table.json("a byte order mark", &format!("\u{feff}{}", good()), KEPT);
    let elsewhere = "{\"streams\":[{\"stream\":{},\"vals\":[[\"1\",\"x\"]]}]}";
    table.json("entries under another key", elsewhere, [(204, 1), (204, 0)]);
    for values in ["", ",\"values\":[]", ",\"values\":null", ",\"values\":[null]"] {
        let body = format!("{{\"streams\":[{{\"stream\":{{\"a\":\"b\"}}{values}}}]}}");
        table.json(values, &body, NOTHING_STORED);
    }
    let labels = "{\"a\":\"b\"}";
    let values = [
        ("no line", format!("[\"{ns}\"]"), BOTH),
        ("an empty line", format!("[\"{ns}\",\"\"]"), BOTH),
        ("a fourth element", format!("[\"{ns}\",\"x\",{{}},7]"), BOTH),
        ("empty metadata", format!("[\"{ns}\",\"x\",{{}}]"), BOTH),
        ("metadata", format!("[\"{ns}\",\"x\",{{\"t\":\"1\"}}]"), BOTH),
        ("no UTF-8 is a later test", format!("[\"{ns}\",\"\u{e4}\"]"), BOTH),
        ("an escape", format!("[\"{ns}\",\"\\ud83d\\ude00\"]"), BOTH),
        ("a number as time", format!("[{ns},\"x\"]"), KEPT),
        ("an empty time", "[\"\",\"x\"]".to_owned(), KEPT),
        ("a fraction as time", "[\"1.5\",\"x\"]".to_owned(), KEPT),
        ("a number as line", format!("[\"{ns}\",7]"), KEPT),
        ("nothing at all", "[]".to_owned(), KEPT),
        ("numbers in metadata", format!("[\"{ns}\",\"x\",{{\"a\":1}}]"), KEPT),
        ("truth in metadata", format!("[\"{ns}\",\"x\",{{\"a\":true}}]"), KEPT),
        ("objects in metadata", format!("[\"{ns}\",\"x\",{{\"a\":{{}}}}]"), KEPT),
        ("null for metadata", format!("[\"{ns}\",\"x\",null]"), KEPT),
        ("text for metadata", format!("[\"{ns}\",\"x\",\"y\"]"), KEPT),
        ("a control character", format!("[\"{ns}\",\"a\u{1}b\"]"), KEPT),
        ("half a pair", format!("[\"{ns}\",\"\\ud800\"]"), KEPT),
    ];
    for (name, value, expected) in values {
        table.stream(name, labels, &value, expected);
    }
    let value = format!("[\"{ns}\",\"x\"]");
    for (labels, expected) in [
        ("{\"a\":1}", BOTH),
        ("{\"a\":true}", BOTH),
        ("{\"a\":null}", BOTH),
        ("{\"a\":{\"b\":[1]}}", BOTH),
        ("{\"a\":\"1\",\"a\":\"2\"}", BOTH),
        ("{\"a\":\"\"}", BOTH),
        ("{}", BOTH),
        ("{\"a.b\":\"c\"}", KEPT),
        ("{\"a-b\":\"c\"}", KEPT),
    ] {
        table.stream(labels, labels, &value, expected);
    }
    table.end();
}

#[test]
fn bytes_that_are_no_text() {
    let mut table = Table::new();
    let body = good().replace("\"x\"", "\"@\"").into_bytes();
    let body: Vec<u8> =
        body.into_iter().map(|byte| if byte == b'@' { 0xff } else { byte }).collect();
    let head = "POST /loki/api/v1/push HTTP/1.1\r\nContent-Type: application/json";
    table.row("a line that is no UTF-8", head, &body, BOTH);
    table.end();
}

#[test]
fn packings_and_media() {
    let mut table = Table::new();
    let json = good().into_bytes();
    let snappy = compress_snappy(&protobuf("{a=\"b\"}"));
    let (mut raw, mut zlib) = (
        DeflateEncoder::new(Vec::new(), Compression::fast()),
        ZlibEncoder::new(Vec::new(), Compression::fast()),
    );
    raw.write_all(&json).unwrap();
    zlib.write_all(&json).unwrap();
    let (raw, zlib) = (raw.finish().unwrap(), zlib.finish().unwrap());
    let zstd = zstd::encode_all(&json[..], 3).unwrap();
    let (json_type, other_type) = ("application/json", "application/x-protobuf");
    type Row<'a> = (&'a str, &'a str, &'a str, &'a [u8], [(u16, u64); 2]);
    let rows: [Row<'_>; 23] = [
        ("plain JSON", json_type, "", &json, BOTH),
        ("JSON with a parameter", "application/json; charset=utf-8", "", &json, BOTH),
        ("JSON in capitals", "Application/JSON", "", &json, BOTH),
        ("JSON that says snappy", json_type, "snappy", &json, BOTH),
        ("gzip", json_type, "gzip", &compress_gzip(&json), BOTH),
        ("bare deflate", json_type, "deflate", &raw, BOTH),
        ("deflate with a header", json_type, "deflate", &zlib, KEPT),
        ("zstd", json_type, "zstd", &zstd, KEPT),
        ("identity", json_type, "identity", &json, KEPT),
        ("an unknown packing", json_type, "br", &json, REFUSED),
        ("a packing in capitals", json_type, "GZIP", &compress_gzip(&json), KEPT),
        ("two packings", json_type, "gzip, gzip", &compress_gzip(&json), REFUSED),
        ("no gzip", json_type, "gzip", &json, REFUSED),
        ("cut gzip", json_type, "gzip", &compress_gzip(&json)[..20], REFUSED),
        ("protobuf", other_type, "", &snappy, BOTH),
        ("protobuf that says snappy", other_type, "snappy", &snappy, BOTH),
        ("protobuf in gzip", other_type, "gzip", &compress_gzip(&snappy), BOTH),
        ("protobuf under another name", "text/plain", "", &snappy, BOTH),
        ("protobuf without snappy", other_type, "", &protobuf("{a=\"b\"}"), REFUSED),
        ("JSON under another name", "text/plain", "", &json, KEPT),
        ("JSON without a name", "", "", &json, KEPT),
        ("protobuf without a name", "", "", &snappy, REFUSED),
        ("a broken parameter", "application/json; charset", "", &json, KEPT),
    ];
    for (name, media, packing, body, expected) in rows {
        let mut head = "POST /loki/api/v1/push HTTP/1.1".to_owned();
        for (header, value) in [("Content-Type", media), ("Content-Encoding", packing)] {
            if !value.is_empty() {
                head = format!("{head}\r\n{header}: {value}");
            }
        }
        table.row(name, &head, body, expected);
    }
    table.end();
}

#[test]
fn labels_of_protobuf() {
    let mut table = Table::new();
    let head = "POST /loki/api/v1/push HTTP/1.1\r\nContent-Type: application/x-protobuf";
    for (labels, expected) in [
        ("{a=\"b\", c=\"d\"}", BOTH),
        ("{a=\"b\",c=\"d\"}", BOTH),
        (" { a = \"b\" , } ", BOTH),
        ("{\"k8s.pod\"=\"b\"}", BOTH),
        ("foo{a=\"b\"}", BOTH),
        ("{a=\"\\\\ \\\" \\n \\x41 \\u00e4\"}", BOTH),
        ("{a=\"\"}", BOTH),
        ("{a=", KEPT),
        ("{a=b}", KEPT),
        ("{a=\"b\",a=\"c\"}", KEPT),
        ("", KEPT),
    ] {
        table.row(labels, head, &compress_snappy(&protobuf(labels)), expected);
    }
    table.end();
}

#[test]
fn routes_and_the_older_form() {
    let mut table = Table::new();
    let old = format!(
        "{{\"streams\":[{{\"labels\":\"{{a=\\\"b\\\"}}\",\"entries\":[{{\"ts\":\"{}\",\"line\":\"x\"}}]}}]}}",
        Timestamp::now()
    );
    let json = "\r\nContent-Type: application/json";
    let old_path = format!("POST /api/prom/push HTTP/1.1{json}");
    table.row("the older form", &old_path, old.as_bytes(), BOTH);
    // Loki answers 204 and stores nothing, which nobody can want.
    table.row("the newer form there", &old_path, good().as_bytes(), BOTH);
    let new_path = format!("POST /loki/api/v1/push HTTP/1.1{json}");
    table.row("the older form here", &new_path, old.as_bytes(), BOTH);
    let no = [(405, 0), (405, 0)];
    table.row("GET", &format!("GET /loki/api/v1/push HTTP/1.1{json}"), b"", no);
    let good = good();
    let stored = [(204, 1), (404, 0)];
    for path in ["/loki/api/v1/push/", "//loki/api/v1//push"] {
        table.row(path, &format!("POST {path} HTTP/1.1{json}"), good.as_bytes(), stored);
    }
    let missing = [(404, 0), (404, 0)];
    table.row("another route", &format!("POST /loki/push HTTP/1.1{json}"), b"{}", missing);
    let receiver = &table.receivers[0];
    let (status, head, body) = receiver.get("/ready");
    assert_eq!((status, body.as_str()), (200, "ready\n"));
    assert!(head.contains("content-type: text/plain"), "{head}");
    table.end();
}

#[test]
fn part_of_a_push_is_stored_when_loki_would_store_it() {
    let mut table = Table::new();
    let values = format!("[\"{0}\",\"good\"],[\"1\",\"too old\"],[\"{0}\",\"good\"]", now());
    table.stream("one line too old", "{\"a\":\"b\"}", &values, [(204, 3), (400, 2)]);
    assert!(table.receivers[1].get("/metrics").2.contains("logtap_logs_dropped_total 1\n"));
    table.end();
}

/// Strict, redacting everything, with a tenant label, and with notices and a trail to look into.
fn strict_and_redacting() -> (Receiver, std::sync::mpsc::Receiver<String>, tempfile::TempDir) {
    use logtap_recv::audit::{Audit, DEFAULT_AUDIT_CAP};
    use logtap_recv::redact::Patterns;
    let (notices_tx, notices_rx) = std::sync::mpsc::channel();
    let elsewhere = tempfile::tempdir().unwrap();
    let audit = Audit::open(elsewhere.path(), DEFAULT_AUDIT_CAP).unwrap();
    let redactor = logtap_recv::Redactor::new(Patterns::parse("all").unwrap(), None);
    let writer = logtap_recv::WriterOptions {
        redactor: std::sync::Arc::new(redactor),
        ..logtap_recv::WriterOptions::default()
    };
    let config = Config {
        strict: true,
        tenant_label: Some("tenant".to_owned()),
        notices: Some(notices_tx),
        audit: Some(std::sync::Arc::new(audit)),
        ..Config::default()
    };
    (Receiver::start(config, StoreOptions { writer }), notices_rx, elsewhere)
}

#[test]
fn what_redaction_would_take_is_in_no_refusal() {
    let (receiver, notices_rx, elsewhere) = strict_and_redacting();
    let (mail, word) = ("bob@example.com", "hunter2hunter2");
    let long = format!("{mail} {}", "x".repeat(3000));
    let now = now();
    let bodies = [
        // Too old, in a stream that is quoted.
        ("/loki/api/v1/push", format!("{{\"streams\":[{{\"stream\":{{\"a\":\"{mail}\",\"password\":\"{word}\"}},\"values\":[[\"1\",\"x\"]]}}]}}")),
        // A value that is quoted because it is too long.
        ("/loki/api/v1/push", format!("{{\"streams\":[{{\"stream\":{{\"a\":\"{long}\"}},\"values\":[[\"{now}\",\"x\"]]}}]}}")),
        ("/loki/api/v1/push", format!("{{\"streams\":[{{\"stream\":{{\"password\":\"{word}{}\"}},\"values\":[[\"{now}\",\"x\"]]}}]}}", "x".repeat(3000))),
        // Labels that are quoted as they came, plain and escaped.
        ("/api/prom/push", format!("{{\"streams\":[{{\"labels\":\"{{a=\\\"{mail}\\\",a=\\\"b\\\"}}\",\"entries\":[]}}]}}")),
        ("/api/prom/push", "{\"streams\":[{\"labels\":\"{a=\\\"bob\\\\x40example.com\\\",a=\\\"b\\\"}\",\"entries\":[]}]}".to_owned()),
        // A label name that is none.
        ("/loki/api/v1/push", format!("{{\"streams\":[{{\"stream\":{{\"{mail}\":\"a\"}},\"values\":[[\"{now}\",\"x\"]]}}]}}")),
    ];
    for (path, body) in &bodies {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nContent-Length: {length}{JSON}");
        let (status, _, text) = receiver.ask(&head, body.as_bytes());
        assert_eq!(status, 400, "{body}: {text}");
        let leaks = text.contains(mail) || text.contains(word) || text.contains("x40example");
        assert!(!leaks && text.len() < 4096, "{text}");
    }
    let head = format!(
        "POST /loki/api/v1/push HTTP/1.1\r\nContent-Length: 2\r\nContent-Encoding: {mail}{JSON}"
    );
    let (status, _, text) = receiver.ask(&head, b"{}");
    assert!(status == 400 && text.contains("[REDACTED:email]"), "{text}");
    let told: Vec<String> = notices_rx.try_iter().collect();
    assert!(!told.is_empty() && !told.concat().contains(mail), "{told:?}");
    let Receiver { server, directory, .. } = receiver;
    server.stop().unwrap();
    let trail = std::fs::read_to_string(elsewhere.path().join("audit.jsonl")).unwrap();
    assert_eq!(trail.matches("\"push_refused\"").count(), bodies.len() + 1, "{trail}");
    assert!(!trail.contains(mail) && !trail.contains(word), "{trail}");
    assert_eq!(receiver::raw_text(directory.path()), "");
}

#[test]
fn strictness_and_the_tenant_are_for_all_that_comes_by_http() {
    let (receiver, _notices_rx, _elsewhere) = strict_and_redacting();
    let now = now();
    let otlp = |time: &str| {
        format!(
            "{{\"resourceLogs\":[{{\"resource\":{{\"attributes\":[{{\"key\":\"service.name\",\"value\":{{\"stringValue\":\"web\"}}}}]}},\
             \"scopeLogs\":[{{\"logRecords\":[{{\"timeUnixNano\":\"{time}\",\"body\":{{\"stringValue\":\"of otlp\"}}}}]}}]}}]}}"
        )
    };
    let record = |time: &str| format!("{{\"msg\":\"of lines\",\"app\":\"web\",\"time\":{time}}}");
    let ask = |path: &str, body: &str| {
        let length = body.len();
        let tenant = "X-Scope-OrgID: team-a";
        receiver.ask(
            &format!("POST {path} HTTP/1.1\r\nContent-Length: {length}\r\n{tenant}{JSON}"),
            body.as_bytes(),
        )
    };
    let (status, _, text) = ask("/otlp/v1/logs", &otlp("1"));
    // OTLP has its own way to say it: a success of which a part was rejected.
    assert!(status == 200 && text.contains("\"rejectedLogRecords\":\"1\""), "{text}");
    assert!(text.contains("timestamp too old"), "{text}");
    let (status, _, text) = ask("/logtap/lines", &record("1"));
    assert!(status == 400 && text.contains("timestamp too old"), "{text}");
    assert_eq!(ask("/otlp/v1/logs", &otlp(&now)).0, 200);
    assert_eq!(ask("/logtap/lines", &record(&now)).0, 204);
    let metrics = receiver.get("/metrics").2;
    assert!(
        metrics.contains("logtap_logs_dropped_by_reason_total{reason=\"strict\"} 2\n"),
        "{metrics}"
    );
    let text = receiver.text();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert_eq!(text.matches("\"tenant\":\"team-a\"").count(), 2, "{text}");
}
