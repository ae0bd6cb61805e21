//! The collector's own target `tap`: see `collector/src/fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logtap_fuzz::bounded(|| logtap_collector::fuzzing::tap(
    data
)));
