//! The collector's own target `spool`: see `collector/src/fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logtap_fuzz::bounded(|| {
    logtap_collector::fuzzing::spool(data)
}));
