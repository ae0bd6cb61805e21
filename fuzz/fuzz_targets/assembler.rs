//! The collector's own target `assembler`: see `collector/src/fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logtap_fuzz::bounded(|| {
    logtap_collector::fuzzing::assembler(data)
}));
