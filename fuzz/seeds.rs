//! Writes the first inputs of the corpora of formats: valid examples, made by our own encoders.
//!
//! `cargo run --bin seeds` in this directory writes `corpus/TARGET/seed-NAME`. Targets whose inputs are scripts need
//! none: for them libFuzzer finds out what the bytes mean.

use std::path::Path;

use logtap_loki::{Batch, compress_gzip, compress_snappy, encode_push, encode_push_json};
use logtap_wire::frame::Frame;
use logtap_wire::record::{FLAG_MORE, FLAG_NOTE, RecordHeader};
use logtap_wire::ring::StreamKind;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let put = |target: &str, name: &str, bytes: &[u8]| {
        let directory = corpus.join(target);
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join(format!("seed-{name}")), bytes)
    };
    put("frame", "stdout", &frame("", 0, b"hello\n"))?;
    put("frame", "file", &frame("/var/log/app.log", FLAG_MORE, b"half of a line"))?;
    put("frame", "note", &frame("", FLAG_NOTE, b"\x01/bin/true"))?;
    let page: Vec<u8> = [
        logtap_wire::raw::RAW_MAGIC,
        u64::from(logtap_wire::VERSION) | u64::from(logtap_wire::raw::KIND_SOCKET) << 32,
        10,
        1000,
        1,
        100,
        800,
        2,
    ]
    .iter()
    .flat_map(|word| word.to_ne_bytes())
    .collect();
    put("raw_page", "socket", &page)?;
    let batch = batch();
    let (mut json, mut message) = (Vec::new(), Vec::new());
    encode_push_json(&batch, &mut json);
    encode_push(&batch, &mut message);
    put("loki_json", "ours", &json)?;
    put(
        "loki_json",
        "others",
        br#"{"streams":[{"stream":{"a":"b"},"values":[["1","x"],["2","y",{"k":"v"}],[3,null]]}]}"#,
    )?;
    put("loki_protobuf", "ours", &message)?;
    put("loki_protobuf", "snappy", &compress_snappy(&message))?;
    put("loki_protobuf", "gzip", &compress_gzip(&message))?;
    put("labels", "ours", br#"{app="shop", file="/var/log/a \"b\".log", job="x\ny\\z"}"#)?;
    put("labels", "empty", b"{}")?;
    put(
        "capture_line",
        "ours",
        br#"{"ts":"2024-01-15T10:19:59.001Z","labels":{"app":"web"},"msg":"text","meta":{"pid":"12"},"raw":"/w==","batch":["0123456789abcdef0123456789abcdef",1,2]}"#,
    )?;
    put(
        "capture_line",
        "others",
        br#"{"TS":"2024-01-15T10:19:59+01:00","extra":[1,{}],"labels":null,"msg":"a\u00e9\ud83d\ude00"}"#,
    )?;
    let lines = concat!(
        r#"{"ts":"2024-01-15T10:19:59.001Z","labels":{"app":"web"},"msg":"text","batch":["s",1,2]}"#,
        "\n",
        r#"{"ts":"2024-01-15T10:19:59.002Z","labels":{"app":"web"},"msg":"more"}"#,
        "\n"
    );
    let mut packed = Vec::new();
    logtap_capture::seekable::compress(lines.as_bytes(), &mut packed, 1, |_| Ok(()))?;
    put(
        "capture_directory",
        "raw",
        &directory(0, "2026-11-21T001108-000.jsonl", lines.as_bytes()),
    )?;
    let torn = &lines.as_bytes()[..lines.len() - 9];
    put("capture_directory", "torn", &directory(0, "another.jsonl", torn))?;
    put(
        "capture_directory",
        "finished",
        &directory(1, "2026-11-21T001108-000.jsonl.zst", &packed),
    )?;
    put("capture_directory", "foreign", &directory(2, "export.jsonl.zst", &packed))?;
    for (name, own, text) in [
        (
            "personal",
            r"ORD-(\d{4})\d+",
            "bob@example.com 4111 1111 1111 1111 from 10.0.0.1 ORD-12345\n::1",
        ),
        (
            "secrets",
            "(?i)x+",
            "Bearer abcdefghijklmnop password=hunter2hunter2 postgres://u:secret@h/\n",
        ),
        (
            "key",
            "[",
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\nx",
        ),
        ("numbers", "a|b", "DE89370400440532013000 123-45-6789 +1 555 123 4567 +49 30 123456"),
    ] {
        put(
            "redaction",
            name,
            &[&[0xff, 0xff, own.len() as u8], own.as_bytes(), text.as_bytes()].concat(),
        )?;
    }
    Ok(())
}

/// A capture as the target takes it.
fn directory(kind: u8, file: &str, data: &[u8]) -> Vec<u8> {
    let metadata =
        r#"{"version":1,"format":"jsonl","started":"2024-01-15T10:19:59Z","labels_seen":["app"]}"#;
    let index = format!(
        "{{\"file\":\"{file}\",\"from\":\"2024-01-15T10:19:59.001Z\",\"to\":\"2024-01-15T10:19:59.002Z\",\
         \"lines\":2,\"bytes\":161,\"labels\":{{\"app\":{{\"web\":2}}}}}}\n"
    );
    let [a, b] = (metadata.len() as u16).to_le_bytes();
    let [c, d] = (index.len() as u16).to_le_bytes();
    [&[kind, a, b, c, d], metadata.as_bytes(), index.as_bytes(), data].concat()
}

fn frame(path: &str, flags: u8, payload: &[u8]) -> Vec<u8> {
    let record = RecordHeader {
        length: payload.len() as u32,
        flags,
        ticket: 7,
        time: 1_700_000_000_000_000_000,
        pid: 42,
        ..RecordHeader::default()
    };
    let kind = if path.is_empty() { StreamKind::Stdout } else { StreamKind::File };
    let frame = Frame { kind, pid_namespace: 1, record, path: path.as_bytes(), payload };
    [&frame.header()[..], frame.path, frame.payload].concat()
}

fn batch() -> Batch {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut batch = Batch::new();
    batch.streams.push(vec![pair("app", "shop"), pair("stream", "stdout")]);
    batch.streams.push(vec![pair("app", "shop"), pair("file", "/x"), pair("stream", "file")]);
    batch.metadata.push(vec![pair("detected_level", "error"), pair("pid", "12")]);
    batch.push(0, 1_700_000_000_000_000_000, 0, b"started");
    batch.push(1, 1_700_000_000_000_000_001, 1, "error: nötig \"x\"\t\\".as_bytes());
    batch.push(0, 1_700_000_000_000_000_002, 0, b"");
    batch
}
