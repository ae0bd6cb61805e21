//! JSON objects of any shape, and what is none: nothing is refused, and what is taken is whole.
#![no_main]

use logtap_fuzz::{bounded, check_sets, options};
use logtap_loki::{Mapping, decode_records};

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded(|| run(data)));

fn run(data: &[u8]) {
    let decoded =
        decode_records(data, &Mapping::default(), &options()).expect("no limit, no error");
    check_sets(&decoded);
}
