//! Whatever a decoder does not read is kept as a line, or the push is refused as a whole.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its functions too")]

use logtap_loki::{
    Batch, DecodeError, DecodeOptions, Decoded, INVALID, Mapping, decode_otlp, decode_otlp_json,
    decode_push, decode_push_json, decode_raw, decode_records, encode_push,
};

fn options(strict: bool) -> DecodeOptions {
    DecodeOptions { now: 99, strict, ..DecodeOptions::default() }
}

/// Lines, those that are marked with a star in front.
fn lines(decoded: Result<Decoded, DecodeError>) -> Vec<String> {
    let decoded = decoded.unwrap();
    let batch = &decoded.batch;
    let text = |entry: &logtap_loki::Entry| {
        let marked = batch.streams[entry.stream as usize].iter().any(|(name, _)| name == INVALID);
        let text = String::from_utf8_lossy(batch.line(entry)).into_owned();
        if marked { format!("*{text}") } else { text }
    };
    let lines: Vec<String> = batch.entries.iter().map(text).collect();
    let marked = lines.iter().filter(|line| line.starts_with('*')).count();
    assert_eq!(decoded.invalid, marked as u64, "each is counted");
    lines
}

fn json(text: &str) -> Result<Decoded, DecodeError> {
    decode_push_json(text.as_bytes(), &options(false))
}

/// A push of one line.
fn push(line: &str) -> String {
    format!("{{\"streams\":[{{\"stream\":{{\"a\":\"b\"}},\"values\":[[\"7\",\"{line}\"]]}}]}}")
}

#[test]
fn documents_that_follow_each_other_are_all_taken() {
    let (one, two) = (push("one"), push("two"));
    for between in ["", "\n", " \r\n\t", "\u{feff}", "\n\u{feff}\n"] {
        assert_eq!(lines(json(&format!("{one}{between}{two}\n"))), ["one", "two"], "{between:?}");
    }
    let many: Vec<String> = (0..300).map(|number| push(&number.to_string())).collect();
    assert_eq!(lines(json(&many.concat())).len(), 300);
    // Loki reads the first one.
    let both = format!("{one}{two}");
    assert_eq!(lines(decode_push_json(both.as_bytes(), &options(true))), ["one"]);
}

#[test]
fn what_is_no_document_at_the_end_is_kept_or_sinks_the_push() {
    let one = push("one");
    for rest in ["behind", ",", "null", "]", "[1]", "\0", "\"x\" {}"] {
        assert_eq!(lines(json(&format!("{one} {rest}\n"))), ["one", &format!("*{rest}")]);
    }
    for rest in ["{", "{\"streams\":[{\"stream\":", "{streams}", "{\"streams\":[7]}"] {
        assert!(json(&format!("{one}{rest}")).is_err(), "{rest}");
    }
    let other = r#"{"msg":"x"}"#;
    assert_eq!(lines(json(&format!("{one}{other}{{}}"))), ["one", &format!("*{other}")]);
    assert_eq!(json(other).unwrap().streams, 0, "a push without streams is refused for that");
}

#[test]
fn streams_whose_lines_have_another_name_are_kept() {
    for stream in [
        r#"{"stream":{"a":"b"},"vals":[["7","x"]]}"#,
        r#"{"vals":[["7","x"]],"stream":{"a":"b"}}"#,
        r#"{"stream":{"a":"b"},"values":[],"vals":[["7","x"]]}"#,
        r#"{"log":"x"}"#,
    ] {
        let text = format!("{{\"streams\":[{stream}]}}");
        let decoded = json(&text).unwrap();
        let labelled = decoded.batch.streams[decoded.batch.entries[0].stream as usize].len() == 2;
        assert_eq!(labelled, stream.contains("stream"), "its labels are kept: {stream}");
        assert_eq!(lines(Ok(decoded)), [format!("*{stream}")]);
        assert_eq!(
            lines(decode_push_json(text.as_bytes(), &options(true))),
            [""; 0],
            "Loki drops it"
        );
    }
    for stream in [r#"{"stream":{"a":"b"}}"#, r#"{"stream":{},"values":[]}"#, "null"] {
        let decoded = json(&format!("{{\"streams\":[{stream}]}}")).unwrap();
        assert_eq!((decoded.streams, decoded.empty_streams), (1, 1), "it is counted: {stream}");
    }
}

#[test]
fn entries_keep_what_is_not_known_in_a_line_s_place() {
    let entries = |entries: &str| format!("{{\"streams\":[{{\"values\":[{entries}]}}]}}");
    let (known, other) = (r#"{"ts":"7","line":"x","y":1}"#, r#"{"ts":"7","msg":"x"}"#);
    assert_eq!(lines(json(&entries(known))), ["x"]);
    let read = json(&entries(other)).unwrap();
    assert_eq!(read.batch.entries[0].timestamp, 7);
    assert_eq!(lines(Ok(read)), [format!("*{other}")]);
    let read = json(&entries(r#"["7","x",{"p":"1"}, "more", 8 ]"#)).unwrap();
    let metadata = &read.batch.metadata[read.batch.entries[0].metadata as usize];
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(*metadata, [pair("p", "1"), pair("rest", "\"more\", 8")]);
    assert_eq!(lines(Ok(read)), ["*x"]);
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat()
}

#[test]
fn protobuf_keeps_what_is_in_other_fields_and_refuses_what_is_none() {
    let mut batch = Batch::new();
    batch.streams.push(vec![("a".into(), "b".into())]);
    batch.push(0, 7, 0, b"x");
    let mut body = Vec::new();
    encode_push(&batch, &mut body);
    let read = |body: &[u8]| decode_push(body, &options(false));
    assert_eq!(lines(read(&[&body[..], &body].concat())), ["x", "x"]);
    for rest in [&b"\0"[..], b"\n", b"{}", b"\xff", &body[..body.len() - 1]] {
        assert!(read(&[&body[..], rest].concat()).is_err(), "{rest:?}");
    }
    // Entries in field 4, and a line in field 5.
    let stream = [field(1, b"{a=\"b\"}"), field(4, b"entries")].concat();
    let kept = format!("*{}", String::from_utf8_lossy(&stream));
    assert_eq!(lines(read(&field(1, &stream))), [kept]);
    assert_eq!(lines(decode_push(&field(1, &stream), &options(true))), [""; 0]);
    let entry = [field(1, &[8, 7]), field(5, b"line")].concat();
    let kept = format!("*{}", String::from_utf8_lossy(&entry));
    assert_eq!(lines(read(&field(1, &field(2, &entry)))), [kept]);
    let empty = read(&field(1, &field(1, b"{}"))).unwrap();
    assert_eq!((empty.streams, empty.empty_streams), (1, 1));
    // Numbers where a stream, labels, an entry, a line and metadata should be.
    for body in [vec![8, 1], field(1, &[8, 1]), field(1, &[16, 1]), field(1, &field(2, &[16, 1]))] {
        assert!(read(&body).is_err(), "{body:?}");
    }
}

#[test]
fn otlp_in_json_keeps_what_is_not_known_in_a_line_s_place() {
    let read = |text: &str| decode_otlp_json(text.as_bytes(), &options(false));
    let resource = |text: &str| format!("{{\"resourceLogs\":[{text}]}}");
    let scope = |text: &str| resource(&format!("{{\"resource\":{{}},\"scopeLogs\":[{text}]}}"));
    let record = |text: &str| scope(&format!("{{\"scope\":{{}},\"logRecords\":[{text}]}}"));
    let one = record(r#"{"body":{"stringValue":"x"}}"#);
    assert_eq!(lines(read(&format!("{one}\n\u{feff}{one}"))), ["x", "x"]);
    assert_eq!(lines(read(&format!("{one} behind"))), ["x", "*behind"]);
    assert!(read(&format!("{one}{{\"resourceLogs\":")).is_err());
    assert_eq!(lines(read(&format!("\u{feff}{one}"))), ["x"]);
    let twice = one.replacen('{', r#"{"resource_logs":[{"text":1}],"#, 1);
    assert_eq!(lines(read(&twice)), ["*{\"text\":1}", "x"]);
    let other = r#"{"text":"x"}"#;
    for wrapped in [other.to_owned(), resource(other), scope(other), record(other)] {
        assert_eq!(lines(read(&wrapped)), [format!("*{other}")], "{wrapped}");
    }
    for nothing in ["{}", r#"{"resourceLogs":[]}"#, &resource("{}"), &scope("{}")] {
        assert_eq!(lines(read(nothing)), [""; 0], "{nothing}");
    }
    assert_eq!(lines(read(&record(r#"{"timeUnixNano":"7"}"#))), [""]);
}

#[test]
fn otlp_in_protobuf_keeps_what_is_not_known_in_a_line_s_place() {
    let read = |body: &[u8]| decode_otlp(body, &options(false));
    let wrap = |record: &[u8]| field(1, &field(2, &field(2, record)));
    let one = wrap(&field(5, &field(1, b"x")));
    assert_eq!(lines(read(&[&one[..], &one].concat())), ["x", "x"]);
    assert!(read(&[&one[..], b"\0"].concat()).is_err());
    assert!(read(&one[..one.len() - 1]).is_err());
    let other = field(15, b"x");
    let kept = format!("*{}", String::from_utf8_lossy(&other));
    for body in [other.clone(), field(1, &other), field(1, &field(2, &other)), wrap(&other)] {
        assert_eq!(lines(read(&body)), std::slice::from_ref(&kept), "{body:?}");
    }
    for number in [1, 2, 3, 5, 6] {
        assert!(read(&wrap(&[number << 3 | 5, 0, 0, 0, 0])).is_err() || number == 1, "{number}");
    }
    assert!(read(&[8, 1]).is_err());
}

#[test]
fn lines_and_records_keep_all_that_is_between_them() {
    let mapping = Mapping::default();
    let records = |text: &str| decode_records(text.as_bytes(), &mapping, &options(false));
    let raw = |text: &str| decode_raw(text.as_bytes(), &options(false));
    let two = "\u{feff}{\"msg\":\"a\"}{\"msg\":\"b\"} c\n\u{feff}{\"msg\":\"d\"}";
    for read in [records(two), raw(two)] {
        assert_eq!(lines(read), ["a", "b", "*c", "d"]);
    }
    assert_eq!(lines(records("[{\"msg\":\"a\"},7]\n8")), ["a", "*7]", "*8"]);
    let other = r#"{"ts":"1970-01-01T00:00:01Z","message":"x"}"#;
    assert_eq!(lines(raw(other)), [format!("*{other}")]);
    assert_eq!(lines(raw(r#"{"ts":"1970-01-01T00:00:01Z"}"#)), [""]);
}

#[test]
fn entries_that_are_marked_share_the_labels_of_their_stream() {
    let (time, line) = (r#"["noon","x"]"#, r#"["7",8]"#);
    let entries = vec![[time, line].join(","); 500].join(",");
    let read =
        json(&format!("{{\"streams\":[{{\"stream\":{{\"a\":\"b\"}},\"values\":[{entries}]}}]}}"));
    let batch = read.unwrap().batch;
    assert_eq!((batch.entries.len(), batch.streams.len()), (1_000, 3), "however they alternate");
    let resource = r#"{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]}"#;
    let records = vec![r#"{"timeUnixNano":"noon"},{}"#; 500].join(",");
    let text = format!(
        "{{\"resourceLogs\":[{{\"resource\":{resource},\"scopeLogs\":[{{\"logRecords\":[{records}]}}]}}]}}"
    );
    let batch = decode_otlp_json(text.as_bytes(), &options(false)).unwrap().batch;
    assert_eq!((batch.entries.len(), batch.streams.len()), (1_000, 2));
}
