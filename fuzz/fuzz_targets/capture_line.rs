//! The capture's own target `line`: see `crates/capture/src/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logtap_fuzz::bounded(|| logtap_capture::fuzzing::line(
    data
)));
