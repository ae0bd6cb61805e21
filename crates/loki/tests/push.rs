//! What is encoded is decoded again, by us and by others, and bad entries sink nobody.

use logtap_loki::{
    Batch, DecodeError, DecodeOptions, INVALID, Labels, Origin, Pairs, decode_push,
    decode_push_json, encode_push, encode_push_json,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use prost::Message;

/// The push as Loki's own description has it, but for `line`, which is bytes in fact.
#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
struct Stream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<WireEntry>,
    #[prost(uint64, tag = "3")]
    hash: u64,
}

#[derive(Clone, PartialEq, Message)]
struct WireEntry {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Time>,
    #[prost(bytes = "vec", tag = "2")]
    line: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Pair>,
}

#[derive(Clone, PartialEq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

fn time(timestamp: i64) -> Option<Time> {
    Some(Time {
        seconds: timestamp.div_euclid(1_000_000_000),
        nanos: timestamp.rem_euclid(1_000_000_000) as i32,
    })
}

/// One line with everything that belongs to it.
type Line = (Labels, i64, Pairs, Vec<u8>);

fn lines(batch: &Batch) -> Vec<Line> {
    batch
        .entries
        .iter()
        .map(|entry| {
            let labels = batch.streams[entry.stream as usize].clone();
            let metadata = batch.metadata[entry.metadata as usize].clone();
            (labels, entry.timestamp, metadata, batch.line(entry).to_vec())
        })
        .collect()
}

fn lines_by_stream(batch: &Batch) -> Vec<Line> {
    let mut sorted = batch.clone();
    sorted.entries.sort_by_key(|entry| entry.stream);
    lines(&sorted)
}

/// A batch of ours: times grow, no two streams have the same labels.
fn batches() -> impl Strategy<Value = Batch> {
    let pairs =
        || btree_map("[a-z_.]{1,3}|\\PC{1,3}", "[a-z]{1,4}|\\PC{1,4}|[\\x00-\\x20]{1,2}", 0..4);
    let entries = vec((any::<u8>(), 1_u32.., any::<u8>(), vec(any::<u8>(), 0..80)), 0..30);
    (vec(pairs(), 1..4), vec(pairs(), 0..3), entries, any::<i32>()).prop_map(
        |(streams, metadata, entries, start)| {
            let mut batch = Batch::new();
            batch.streams =
                streams.into_iter().map(|labels| labels.into_iter().collect()).collect();
            batch.streams.dedup();
            let sets = metadata.into_iter().map(|pairs| pairs.into_iter().collect());
            batch.metadata.extend(sets);
            let mut timestamp = i64::from(start) * 1_000_000_000;
            for (stream, later, set, line) in entries {
                timestamp += i64::from(later);
                let stream = usize::from(stream) % batch.streams.len();
                let set = usize::from(set) % batch.metadata.len();
                batch.push(stream as u32, timestamp, set as u32, &line);
            }
            batch
        },
    )
}

fn origin(batch: &Batch) -> Option<Origin> {
    let last = batch.entries.len() as u64;
    Some(Origin { source: "0".repeat(32), first: 1, last })
}

proptest! {
    #[test]
    fn protobuf_keeps_every_byte(batch in batches()) {
        let mut body = Vec::new();
        encode_push(&batch, &mut body);
        let plain = decode_push(&body, &DecodeOptions::default()).unwrap();
        prop_assert_eq!(lines(&plain.batch), lines_by_stream(&batch));
        prop_assert_eq!(plain.invalid, 0);
        let ours = DecodeOptions { origin: origin(&batch), now: 0, ..DecodeOptions::default() };
        let merged = decode_push(&body, &ours).unwrap().batch;
        prop_assert_eq!(lines(&merged), lines(&batch));
        prop_assert_eq!(merged.origin, ours.origin);
    }

    #[test]
    fn prost_reads_what_we_write_and_writes_what_we_read(batch in batches()) {
        let mut body = Vec::new();
        encode_push(&batch, &mut body);
        let request = PushRequest::decode(&body[..]).unwrap();
        let entries = |stream: &Stream| stream.entries.len();
        prop_assert_eq!(request.streams.iter().map(entries).sum::<usize>(), batch.entries.len());
        prop_assert_eq!(&request.encode_to_vec(), &body);
        let with_hash = PushRequest {
            streams: request.streams.into_iter().map(|s| Stream { hash: 7, ..s }).collect(),
        };
        let read = decode_push(&with_hash.encode_to_vec(), &DecodeOptions::default()).unwrap();
        prop_assert_eq!(lines(&read.batch), lines_by_stream(&batch));
    }

    #[test]
    fn json_keeps_all_but_bytes_that_are_no_text(batch in batches()) {
        let mut body = Vec::new();
        encode_push_json(&batch, &mut body);
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        prop_assert!(value["streams"].is_array());
        let read = decode_push_json(&body, &DecodeOptions::default()).unwrap();
        let mut expected = lines_by_stream(&batch);
        for line in &mut expected {
            line.3 = String::from_utf8_lossy(&line.3).into_owned().into_bytes();
        }
        prop_assert_eq!(lines(&read.batch), expected);
        prop_assert_eq!(read.invalid, 0);
        let ours = DecodeOptions { origin: origin(&batch), now: 0, ..DecodeOptions::default() };
        let merged = lines(&decode_push_json(&body, &ours).unwrap().batch);
        let times: Vec<i64> = merged.iter().map(|line| line.1).collect();
        prop_assert_eq!(times, lines(&batch).iter().map(|line| line.1).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(body: Vec<u8>, text: String) {
        let options = DecodeOptions::default();
        drop((decode_push(&body, &options), decode_push_json(&body, &options)));
        drop(decode_push_json(text.as_bytes(), &options));
    }

    #[test]
    fn a_push_cut_anywhere_is_an_error_or_fewer_lines(batch in batches(), cut: prop::sample::Index) {
        let mut body = Vec::new();
        encode_push(&batch, &mut body);
        let cut = cut.index(body.len() + 1);
        if let Ok(read) = decode_push(&body[..cut], &DecodeOptions::default()) {
            let whole = lines_by_stream(&batch);
            prop_assert_eq!(&lines(&read.batch)[..], &whole[..read.batch.entries.len()]);
        }
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn bad_entries_of_a_protobuf_push_are_kept_and_marked() {
    let entry = |timestamp, line: &str| WireEntry {
        timestamp,
        line: line.into(),
        metadata: vec![Pair { name: "pid".into(), value: "1".into() }],
    };
    let stream = |labels: &str, entries| Stream { labels: labels.into(), entries, hash: 0 };
    let request = PushRequest {
        streams: vec![
            stream("{a=", vec![entry(time(5), "under bad labels")]),
            stream(
                "{a=\"b\"}",
                vec![
                    entry(None, "no time"),
                    entry(Some(Time { seconds: i64::MAX, nanos: 0 }), "no such time"),
                    entry(Some(Time { seconds: 1, nanos: -1 }), "nor this"),
                    entry(time(7), "good"),
                ],
            ),
        ],
    };
    let options = DecodeOptions { origin: None, now: 99, ..DecodeOptions::default() };
    let read = decode_push(&request.encode_to_vec(), &options).unwrap();
    let pid = || pair("pid", "1");
    let invalid_time = || vec![pair("a", "b"), pair(INVALID, "timestamp")];
    let expected: Vec<Line> = vec![
        (
            vec![pair(INVALID, "labels")],
            5,
            vec![pair("labels", "{a="), pid()],
            b"under bad labels".to_vec(),
        ),
        (invalid_time(), 99, vec![pid()], b"no time".to_vec()),
        (invalid_time(), 99, vec![pid()], b"no such time".to_vec()),
        (invalid_time(), 99, vec![pid()], b"nor this".to_vec()),
        (vec![pair("a", "b")], 7, vec![pid()], b"good".to_vec()),
    ];
    assert_eq!(lines(&read.batch), expected);
    assert_eq!((read.invalid, read.streams), (4, 2));
}

fn read_json(text: &[u8]) -> Result<(Vec<Line>, u64), DecodeError> {
    let options = DecodeOptions { origin: None, now: 99, ..DecodeOptions::default() };
    decode_push_json(text, &options).map(|read| (lines(&read.batch), read.invalid))
}

/// The one stream of these labels and values.
fn json_line(stream: &str, value: &str) -> (Line, u64) {
    let text = format!("{{\"streams\":[{{\"stream\":{stream},\"values\":[{value}]}}]}}");
    let (mut lines, invalid) = read_json(text.as_bytes()).expect(&text);
    assert_eq!(lines.len(), 1, "{text}");
    (lines.remove(0), invalid)
}

#[test]
fn json_is_taken_as_loki_takes_it() {
    for empty in [
        "{}",
        "{\"streams\":[]}",
        "{\"streams\":null}",
        "{\"x\":[1,{\"y\":null}],\"streams\":[{\"stream\":{\"a\":\"b\"}}]}",
        "{\"streams\":[{\"values\":[null],\"stream\":{}}]}",
    ] {
        assert_eq!(read_json(empty.as_bytes()), Ok((Vec::new(), 0)), "{empty}");
    }
    let labels = r#"{"n":123,"t":true,"z":null,"o":{"x": 1},"e":"","s":"\u00e4","s":"2"}"#;
    let expected = [("n", "123"), ("o", "{\"x\": 1}"), ("s", "2"), ("t", "true"), ("z", "null")];
    let expected: Labels = expected.map(|(name, value)| pair(name, value)).to_vec();
    assert_eq!(json_line(labels, r#"["7","x"]"#), ((expected, 7, vec![], b"x".to_vec()), 0));

    let with = |value: &str| json_line("{}", value).0;
    assert_eq!(with(r#"["7"]"#), (vec![], 7, vec![], vec![]));
    assert_eq!(with(r#"["7","x",{}]"#).2, []);
    assert_eq!(with(r#"["7","x",{"p":"1","n":2}]"#).2, [pair("n", "2"), pair("p", "1")]);
    assert_eq!(with(r#"["7","x",null]"#).2, []);
    assert_eq!(with(r#"[ " 7 " , "\ud83d\ude00\n" ]"#).3, "\u{1f600}\n".as_bytes());

    let (lines, _) = read_json(b"{\"streams\":[{\"values\":[[\"1\",\"a\xff\"]]}]}").unwrap();
    assert_eq!(lines[0].3, b"a\xff");
}

#[test]
fn bad_entries_of_a_json_push_are_kept_and_marked() {
    let invalid = |what: &str| vec![pair(INVALID, what)];
    for (value, time, line) in [
        (r#"["","x"]"#, "", "x"),
        (r#"["1.5","x"]"#, "1.5", "x"),
        (r#"["99999999999999999999","x"]"#, "99999999999999999999", "x"),
        ("[]", "", ""),
    ] {
        let expected = (invalid("timestamp"), 99, vec![pair("timestamp", time)], line.into());
        assert_eq!(json_line("{}", value), (expected, 1), "{value}");
    }
    for (value, time, line) in
        [("[7,12]", 7, "12"), ("[\"7\",{}]", 7, "{}"), ("{\"a\":1}", 99, "{\"a\":1}")]
    {
        assert_eq!(json_line("{}", value), ((invalid("entry"), time, vec![], line.into()), 1));
    }
    let half = json_line("{}", r#"["7","half \ud800 of a pair"]"#);
    let expected = (invalid("entry"), 7, vec![], br"half \ud800 of a pair".to_vec());
    assert_eq!(half, (expected, 1));
    let odd = json_line("{}", r#"["7","x","odd"]"#);
    assert_eq!(odd, ((invalid("metadata"), 7, vec![pair("metadata", "odd")], b"x".to_vec()), 1));
    let labels = json_line(r#"{"a":"\q","b":"c"}"#, r#"["7","x"]"#);
    let kept = vec![pair("labels", r#"{"a":"\q","b":"c"}"#)];
    let expected = vec![pair("a", r"\q"), pair("b", "c"), pair(INVALID, "labels")];
    assert_eq!(labels, ((expected, 7, kept, b"x".to_vec()), 1));
}

#[test]
fn what_is_no_push_is_refused_as_a_whole() {
    let options = DecodeOptions::default();
    assert_eq!(read_json(b" "), Err(DecodeError::Empty));
    for text in [
        "[]",
        "{",
        "x",
        "{\"streams\":{}}",
        "{\"streams\":[{\"stream\":[]}]}",
        "{\"streams\":[{\"values\":7}]}",
        "{\"streams\":[{\"values\":[[\"1\",\"x\"]",
    ] {
        assert!(matches!(read_json(text.as_bytes()), Err(DecodeError::Json { .. })), "{text}");
    }
    for body in [
        &b"\x0a"[..],
        b"\x0a\x05\x0a",
        b"\x0b",
        b"\x02\x00",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ] {
        let error = decode_push(body, &options).unwrap_err();
        assert!(matches!(error, DecodeError::Protobuf { position: 0, .. }), "{body:?}: {error}");
    }
}

#[test]
fn the_older_form_is_read_too() {
    let text = r#"{"streams":[{"entries":[{"ts":"1970-01-01T01:00:00.5+01:00","line":"one"},
        {"ts":"12","line":"two","structuredMetadata":[{"name":"p","value":"1"}]},
        {"ts":"never","line":"three"},{"other":1}],"labels":"{b=\"c\", a=\"\"}"},
        {"labels":"{b=","entries":[{"ts":"1970-01-01T00:00:01Z","line":"four"}]}]}"#;
    let (lines, invalid) = read_json(text.as_bytes()).unwrap();
    let labels = |what: Option<&str>| {
        let invalid = what.map(|what| pair(INVALID, what));
        [pair("b", "c")].into_iter().chain(invalid).collect::<Labels>()
    };
    let expected: Vec<Line> = vec![
        (labels(None), 500_000_000, vec![], b"one".to_vec()),
        (labels(None), 12, vec![pair("p", "1")], b"two".to_vec()),
        (labels(Some("timestamp")), 99, vec![pair("timestamp", "never")], b"three".to_vec()),
        (labels(Some("entry")), 99, vec![], b"{\"other\":1}".to_vec()),
        (
            vec![pair(INVALID, "labels")],
            1_000_000_000,
            vec![pair("labels", "\"{b=\"")],
            b"four".to_vec(),
        ),
    ];
    assert_eq!((lines, invalid), (expected, 3));
}

#[test]
fn what_loki_refuses_is_refused_on_request() {
    let options = DecodeOptions { strict: true, ..DecodeOptions::default() };
    let stream = |stream: &str, value: &str| {
        let text = format!("{{\"streams\":[{{\"stream\":{stream},\"values\":[{value}]}}]}}");
        decode_push_json(text.as_bytes(), &options).map(|read| read.batch.entries.len())
    };
    for (labels, value) in [
        ("{}", r#"[7,"x"]"#),
        ("{}", r#"["","x"]"#),
        ("{}", r#"["1.5","x"]"#),
        ("{}", r#"["7",7]"#),
        ("{}", r#"["7","x",{"a":1}]"#),
        ("{}", r#"["7","x",null]"#),
        ("{}", r#"["7","x","y"]"#),
        ("{}", r#"["7","\ud800"]"#),
        ("{}", "[\"7\",\"\t\"]"),
        (r#"{"a.b":"c"}"#, r#"["7","x"]"#),
        (r#"{"a-b":"c"}"#, r#"["7","x"]"#),
    ] {
        assert!(stream(labels, value).is_err(), "{labels} {value}");
    }
    for (labels, value) in [
        (r#"{"a":1,"b":true,"c":null,"d":{"e":1}}"#, r#"["7","x"]"#),
        ("{}", r#"["7"]"#),
        ("{}", r#"["7","x",{},{}]"#),
        ("{}", "[\"7\",\"\u{e4}\"]"),
    ] {
        assert_eq!(stream(labels, value), Ok(1), "{labels} {value}");
    }
    let bad = PushRequest { streams: vec![Stream { labels: "{a=".into(), ..Stream::default() }] };
    let error = decode_push(&bad.encode_to_vec(), &options).unwrap_err().to_string();
    assert!(error.starts_with("couldn't parse labels: 1:4: parse error"), "{error}");
}

#[test]
fn many_small_things_are_not_many_large_ones() {
    let options = DecodeOptions { max_weight: Some(100_000), ..DecodeOptions::default() };
    let too_large = |error| matches!(error, DecodeError::TooLarge { limit: 100_000, .. });
    let entries = format!("{{\"streams\":[{{\"values\":[{}[]]}}]}}", "[],".repeat(10_000));
    assert!(too_large(decode_push_json(entries.as_bytes(), &options).unwrap_err()));
    let entries = vec![WireEntry::default(); 10_000];
    let stream = Stream { labels: "{}".into(), entries, hash: 0 };
    let body = PushRequest { streams: vec![stream] }.encode_to_vec();
    assert!(too_large(decode_push(&body, &options).unwrap_err()));
    let streams = (0..1000).map(|n| Stream {
        labels: format!("{{a=\"{n}\"}}"),
        entries: vec![WireEntry::default()],
        hash: 0,
    });
    let body = PushRequest { streams: streams.collect() }.encode_to_vec();
    assert!(too_large(decode_push(&body, &options).unwrap_err()));
}
