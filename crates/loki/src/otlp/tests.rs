//! Both forms give the same lines, and nothing that is wrong is lost.

use proptest::prelude::*;

use super::*;

type Line = (Pairs, i64, Pairs, Vec<u8>);

fn lines(decoded: &Decoded) -> Vec<Line> {
    let batch = &decoded.batch;
    let line = |entry: &crate::batch::Entry| {
        let labels = batch.streams[entry.stream as usize].clone();
        let metadata = batch.metadata[entry.metadata as usize].clone();
        (labels, entry.timestamp, metadata, batch.line(entry).to_vec())
    };
    batch.entries.iter().map(line).collect()
}

fn options() -> DecodeOptions {
    DecodeOptions { now: 99, ..DecodeOptions::default() }
}

fn pairs(pairs: &[(&str, &str)]) -> Pairs {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let (low, high) = (bytes.len() as u8 & 127, (bytes.len() >> 7) as u8);
    let head: &[u8] =
        if high == 0 { &[number << 3 | 2, low] } else { &[number << 3 | 2, low | 128, high] };
    [head, bytes].concat()
}

fn pair(name: &str, value: &[u8]) -> Vec<u8> {
    [field(1, name.as_bytes()), field(2, value)].concat()
}

fn request() -> Vec<u8> {
    let string = |text: &str| field(1, text.as_bytes());
    let map = field(6, &field(1, &pair("in.ner", &[3 << 3, 7])));
    let list = field(5, &[field(1, &string("a")), field(1, &[2 << 3, 1])].concat());
    let resource = [
        field(1, &pair("service.name", &string("shop"))),
        field(1, &pair("k8s.pod.name", &string("shop-0"))),
        field(1, &pair("host.arch", &string("amd64"))),
    ]
    .concat();
    let record = [
        [&[1 << 3 | 1][..], &5_u64.to_le_bytes()].concat(),
        vec![2 << 3, 9],
        field(3, b"INFO"),
        field(5, &string("hello \"you\"")),
        field(6, &pair("http.request", &map)),
        field(6, &pair("tags", &list)),
        field(6, &pair("ratio", &[&[4 << 3 | 1][..], &0.5_f64.to_le_bytes()].concat())),
        field(6, &pair("blob", &field(7, b"\xff"))),
        vec![7 << 3, 2],
        [&[8 << 3 | 5][..], &1_u32.to_le_bytes()].concat(),
        field(9, &[0xab; 16]),
        field(10, &[0xcd; 8]),
        [&[11 << 3 | 1][..], &6_u64.to_le_bytes()].concat(),
        field(12, b"greeting"),
    ]
    .concat();
    let bare = field(5, &list);
    let scope = [
        field(1, &[field(1, b"lib"), field(2, b"1.0")].concat()),
        field(2, &record),
        field(2, &bare),
    ]
    .concat();
    field(1, &[field(1, &resource), field(2, &scope)].concat())
}

const JSON: &str = r#"{"resourceLogs":[{"resource":{"attributes":[
    {"key":"service.name","value":{"stringValue":"shop"}},
    {"key":"k8s.pod.name","value":{"stringValue":"shop-0"}},
    {"key":"host.arch","value":{"stringValue":"amd64"}}]},
  "scopeLogs":[{"scope":{"name":"lib","version":"1.0"},"logRecords":[
    {"timeUnixNano":"5","observedTimeUnixNano":"6","severityNumber":9,"severityText":"INFO",
     "body":{"stringValue":"hello \"you\""},"flags":1,"droppedAttributesCount":2,
     "traceId":"abababababababababababababababab","spanId":"cdcdcdcdcdcdcdcd","eventName":"greeting",
     "attributes":[
       {"key":"http.request","value":{"kvlistValue":{"values":[{"key":"in.ner","value":{"intValue":"7"}}]}}},
       {"key":"tags","value":{"arrayValue":{"values":[{"stringValue":"a"},{"boolValue":true}]}}},
       {"key":"ratio","value":{"doubleValue":0.5}},
       {"key":"blob","value":{"bytesValue":"/w=="}}]},
    {"body":{"arrayValue":{"values":[{"stringValue":"a"},{"boolValue":true}]}}}]}]}]}"#;

#[test]
fn both_forms_give_the_same_lines() {
    let read = decode_otlp(&request(), &options()).unwrap();
    let labels = || pairs(&[("k8s_pod_name", "shop-0"), ("service_name", "shop")]);
    let common = [("host_arch", "amd64"), ("scope_name", "lib"), ("scope_version", "1.0")];
    let full = [
        ("blob", "/w=="),
        ("dropped_attributes_count", "2"),
        ("event_name", "greeting"),
        ("flags", "1"),
        ("host_arch", "amd64"),
        ("http_request_in_ner", "7"),
        ("observed_timestamp", "6"),
        ("ratio", "0.5"),
        ("scope_name", "lib"),
        ("scope_version", "1.0"),
        ("severity_number", "9"),
        ("severity_text", "INFO"),
        ("span_id", "cdcdcdcdcdcdcdcd"),
        ("tags", "[\"a\",true]"),
        ("trace_id", "abababababababababababababababab"),
    ];
    let expected = [
        (labels(), 5, pairs(&full), b"hello \"you\"".to_vec()),
        (labels(), 99, pairs(&common), b"[\"a\",true]".to_vec()),
    ];
    assert_eq!(lines(&read), expected);
    assert_eq!((read.invalid, read.streams), (0, 1));
    let json = decode_otlp_json(JSON.as_bytes(), &options()).unwrap();
    assert_eq!(lines(&json), expected);
}

#[test]
fn what_is_wrong_is_kept() {
    let text = r#"{"resourceLogs":[7,{"scopeLogs":[8,{"logRecords":[9,
        {"timeUnixNano":"18446744073709551615","body":{"stringValue":"late"}},
        {"body":"odd"},{"body":{"intValue":"many"}}]}]}]}"#;
    let read = decode_otlp_json(text.as_bytes(), &options()).unwrap();
    let texts: Vec<_> =
        lines(&read).into_iter().map(|line| String::from_utf8(line.3).unwrap()).collect();
    assert_eq!(texts, ["7", "8", "9", "late", "\"odd\"", "many"]);
    assert_eq!(read.invalid, 4);
    for text in ["", "[]", "{", "{\"resourceLogs\":{}}"] {
        assert!(decode_otlp_json(text.as_bytes(), &options()).is_err(), "{text}");
    }
    assert_eq!(decode_otlp_json(b"{}", &options()).unwrap().streams, 0);
    assert_eq!(decode_otlp(b"", &options()).unwrap().streams, 0);
    assert!(decode_otlp(b"\x0a\x05", &options()).is_err());
}

#[test]
fn times_and_severities_are_read_in_every_form_and_nothing_of_them_is_lost() {
    let record = |members: &str| {
        let text = format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{{"stringValue":"x"}},{members}}}]}}]}}]}}"#
        );
        let read = decode_otlp_json(text.as_bytes(), &options()).unwrap();
        let (labels, time, metadata, _) = lines(&read).remove(0);
        (time, metadata, !labels.is_empty())
    };
    for (time, expected) in
        [("\"5\"", 5), ("5", 5), ("5e3", 5_000), ("0", 99), ("null", 99), ("\"\"", 99)]
    {
        assert_eq!(
            record(&format!("\"timeUnixNano\":{time}")),
            (expected, vec![], false),
            "{time}"
        );
    }
    for (time, told) in [("\"noon\"", "noon"), ("-5", "-5"), ("1.5", "1.5"), ("1e30", "1e30")] {
        let read = record(&format!("\"timeUnixNano\":{time}"));
        assert_eq!(read, (99, pairs(&[("timestamp", told)]), true), "{time}");
    }
    for (severity, expected) in
        [("9", "9"), ("\"9\"", "9"), ("9.0", "9"), ("\"SEVERITY_NUMBER_WARN3\"", "15")]
    {
        let read = record(&format!("\"severityNumber\":{severity}"));
        assert_eq!(read, (99, pairs(&[("severity_number", expected)]), false), "{severity}");
    }
}

#[test]
fn what_records_share_does_not_multiply() {
    let resource = field(1, &pair("big", &field(1, &[b'x'; 10_000])));
    let scope: Vec<u8> = (0..100).flat_map(|_| field(2, b"")).collect();
    let body = field(1, &[field(1, &resource), field(2, &scope)].concat());
    assert_eq!(decode_otlp(&body, &options()).unwrap().batch.entries.len(), 100);
    let few = DecodeOptions { max_weight: Some(100_000), ..options() };
    assert!(matches!(decode_otlp(&body, &few), Err(DecodeError::TooLarge { .. })));
}

#[test]
fn deep_values_do_not_exhaust_the_stack() {
    let mut value = field(1, b"x");
    for _ in 0..3000 {
        value = field(5, &field(1, &value));
        if value.len() > 16_000 {
            break;
        }
    }
    let record = field(5, &value);
    let body = field(1, &field(2, &field(2, &record)));
    assert_eq!(decode_otlp(&body, &options()).unwrap().batch.entries.len(), 1);
    let deep = format!("{}1{}", "{\"arrayValue\":{\"values\":[".repeat(100), "]}}".repeat(100));
    let text = format!(
        "{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{{\"body\":{deep}}}]}}]}}]}}"
    );
    match decode_otlp_json(text.as_bytes(), &options()) {
        Ok(read) => assert_eq!(read.batch.entries.len(), 1),
        Err(error) => assert!(matches!(error, DecodeError::Json { .. })),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body: Vec<u8>, text: String) {
        drop((decode_otlp(&body, &options()), decode_otlp_json(&body, &options())));
        drop(decode_otlp_json(text.as_bytes(), &options()));
    }

    #[test]
    fn a_damaged_request_is_read_without_a_panic(place in 0_usize..100, byte: u8) {
        let mut body = request();
        let place = place % body.len();
        body[place] = byte;
        drop(decode_otlp(&body, &options()));
        let mut text = JSON.as_bytes().to_vec();
        text[place] = byte;
        drop(decode_otlp_json(&text, &options()));
    }
}
