//! Redaction, with the user's own pattern: see `crates/capture/src/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logtap_fuzz::bounded(|| {
    logtap_capture::fuzzing::redaction(data);
}));
