//! A push in JSON: what is taken is whole, and survives being sent on.
#![no_main]

use logtap_fuzz::{bounded, check, options, sorted};
use logtap_loki::{decode_push, decode_push_json, encode_push, encode_push_json};

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded(|| run(data)));

fn run(data: &[u8]) {
    let Ok(decoded) = decode_push_json(data, &options()) else { return };
    check(&decoded, data.len());
    let mut json = Vec::new();
    encode_push_json(&decoded.batch, &mut json);
    let again = decode_push_json(&json, &options()).expect("JSON of ours");
    // What is not UTF-8 becomes U+FFFD there.
    let texts = |batch| -> Vec<_> {
        let readable = |text| String::from_utf8_lossy(text).into_owned();
        let lines = sorted(batch).into_iter();
        let mut lines: Vec<_> =
            lines.map(|(labels, time, text, more)| (labels, time, readable(text), more)).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(texts(&again.batch), texts(&decoded.batch));
    let mut message = Vec::new();
    encode_push(&decoded.batch, &mut message);
    let again = decode_push(&message, &options()).expect("a message of ours");
    assert_eq!(sorted(&again.batch), sorted(&decoded.batch));
}
