//! A push in protobuf, bare and packed: what is taken is whole, survives being sent on, and nothing unpacks to more
//! than its limit.
#![no_main]

use logtap_fuzz::{bounded, check, options, sorted};
use logtap_loki::{
    compress_snappy, decode_push, decompress_deflate, decompress_gzip, decompress_snappy,
    encode_push,
};

const LIMIT: usize = 1 << 20;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded(|| run(data)));

fn run(data: &[u8]) {
    for unpack in [decompress_snappy, decompress_gzip, decompress_deflate] {
        if let Ok(unpacked) = unpack(data, LIMIT) {
            assert!(unpacked.len() <= LIMIT);
        }
    }
    let packed = compress_snappy(data);
    assert_eq!(decompress_snappy(&packed, data.len()).ok().as_deref(), Some(data));
    let Ok(decoded) = decode_push(data, &options()) else { return };
    check(&decoded, data.len());
    let mut message = Vec::new();
    encode_push(&decoded.batch, &mut message);
    let again = decode_push(&message, &options()).expect("a message of ours");
    assert_eq!(sorted(&again.batch), sorted(&decoded.batch));
}
