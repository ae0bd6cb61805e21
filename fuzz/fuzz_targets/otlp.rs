//! OpenTelemetry's logs in both forms: what is taken is whole.
#![no_main]

use logtap_fuzz::{bounded, check_sets, options};
use logtap_loki::{decode_otlp, decode_otlp_json};

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded(|| run(data)));

fn run(data: &[u8]) {
    if let Ok(decoded) = decode_otlp(data, &options()) {
        check_sets(&decoded);
    }
    if let Ok(decoded) = decode_otlp_json(data, &options()) {
        check_sets(&decoded);
    }
}
