//! Labels as text: what is taken prints as text that means the same.
#![no_main]

use logtap_loki::{parse_labels, print_labels, push_escaped, push_unescaped};

libfuzzer_sys::fuzz_target!(|data: &[u8]| logtap_fuzz::bounded(|| run(data)));

fn run(data: &[u8]) {
    let mut unescaped = Vec::new();
    if push_unescaped(&mut unescaped, data).is_some() {
        assert!(unescaped.len() <= data.len());
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut escaped = Vec::new();
    push_escaped(&mut escaped, text);
    let Ok(labels) = parse_labels(text) else { return };
    assert!(labels.windows(2).all(|two| two[0].0 < two[1].0), "names ascend: {labels:?}");
    let mut printed = String::new();
    print_labels(&labels, &mut printed);
    assert_eq!(parse_labels(&printed).ok(), Some(labels), "`{printed}`");
}
