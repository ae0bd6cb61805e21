//! The formats of pushes: Loki's in both directions, and others that are received.
//!
//! [`Batch`] is what travels inside logtap: from the collector to a sink, from a decoded push to the
//! capture. It knows no network and no file.

mod batch;
mod compression;
mod decoded;
mod error;
mod escape;
mod json;
mod labels;
mod level;
mod moment;
mod origin;
mod otlp;
mod protobuf;
mod raw;
mod records;

pub use batch::{Batch, Entry, Labels, Origin, Pairs};
#[cfg(feature = "zstd")]
pub use compression::decompress_zstd;
pub use compression::{
    compress_gzip, compress_snappy, decompress_any_snappy, decompress_deflate, decompress_gzip,
    decompress_snappy, has_zlib_header,
};
pub use decoded::{DecodeOptions, Decoded, INVALID};
pub use error::DecodeError;
pub use escape::{push_escaped, push_unescaped};
pub use json::{decode_push_json, encode_push_json, push_object, without_mark};
pub use labels::{LabelError, parse_labels, print_labels, print_pairs};
pub use level::{LEVELS, Level, detect as detect_level};
pub use origin::{LINES_HEADER, OriginError, SOURCE_HEADER};
pub use otlp::{decode_otlp, decode_otlp_json};
pub use protobuf::{decode_push, encode_push};
pub use raw::decode_raw;
pub use records::{Mapping, decode_records};
