//! The page of counts in a process's memory: taken for what its words say, or refused.
#![no_main]

use logtap_wire::raw::{RAW_MAGIC, parse};

libfuzzer_sys::fuzz_target!(|data: &[u8]| logtap_fuzz::bounded(|| run(data)));

fn run(data: &[u8]) {
    let words: Vec<u64> = data
        .chunks_exact(8)
        .map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes")))
        .collect();
    let is_page =
        words.len() >= 8 && words[0] == RAW_MAGIC && words[1] as u32 == logtap_wire::VERSION;
    let counts = parse(data);
    assert_eq!(counts.is_some(), is_page);
    if let Some(counts) = counts {
        let told = [
            counts.taken_records,
            counts.taken_bytes,
            counts.lost_records,
            counts.lost_bytes,
            counts.delivered_bytes,
            counts.opened,
        ];
        assert_eq!((u64::from(counts.kind), &told[..]), (words[1] >> 32, &words[2..8]));
        assert_eq!(parse(&data[..63]), None);
    }
}
