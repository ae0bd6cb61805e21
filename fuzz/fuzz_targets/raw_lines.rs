//! Lines of a capture as a push: nothing is refused, and what is taken is whole.
#![no_main]

use logtap_fuzz::{bounded, check_sets, options};
use logtap_loki::decode_raw;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded(|| run(data)));

fn run(data: &[u8]) {
    check_sets(&decode_raw(data, &options()).expect("no limit, no error"));
}
