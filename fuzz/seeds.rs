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
    )
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
