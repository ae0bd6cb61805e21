//! The compressions of pushes. Everything that unpacks has a limit on what comes out.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use flate2::write::GzEncoder;

use crate::error::DecodeError;

/// Packs with snappy's block format, as protobuf pushes want it.
pub fn compress_snappy(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0; snap::raw::max_compress_len(bytes.len())];
    let size = snap::raw::Encoder::new().compress(bytes, &mut out).unwrap_or(0);
    out.truncate(size);
    out
}

/// Unpacks snappy's block format, to at most `limit` bytes.
pub fn decompress_snappy(bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Snappy("corrupt input".to_owned()));
    }
    let corrupt = |_| DecodeError::Snappy("corrupt input".to_owned());
    let size = snap::raw::decompress_len(bytes).map_err(corrupt)?;
    if size > limit {
        return Err(DecodeError::TooLarge { size: size as u64, limit: limit as u64 });
    }
    snap::raw::Decoder::new().decompress_vec(bytes).map_err(corrupt)
}

/// Unpacks snappy in either of its formats, to at most `limit` bytes: with frames, as senders of OTLP have
/// it, or one block.
pub fn decompress_any_snappy(bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    if bytes.starts_with(SNAPPY_FRAMES) {
        let failed = |error: DecodeError| match error {
            DecodeError::Gzip(reason) => DecodeError::Snappy(reason),
            other => other,
        };
        return read_limited(snap::read::FrameDecoder::new(bytes), limit).map_err(failed);
    }
    decompress_snappy(bytes, limit)
}

/// What snappy's frames begin with.
const SNAPPY_FRAMES: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// Packs with gzip.
pub fn compress_gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// Unpacks gzip, to at most `limit` bytes.
pub fn decompress_gzip(bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    read_limited(MultiGzDecoder::new(bytes), limit)
}

/// Unpacks deflate, with or without zlib's header, to at most `limit` bytes: one stream, or several with
/// headers. Whatever else follows the first is refused.
///
/// Loki takes it only without; Vector sends it with one.
pub fn decompress_deflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    if !has_zlib_header(bytes) {
        let mut decoder = DeflateDecoder::new(bytes);
        let out = read_limited(&mut decoder, limit)?;
        return match usize::try_from(decoder.total_in()) {
            Ok(used) if used < bytes.len() => Err(DecodeError::Gzip(BEHIND_DEFLATE.to_owned())),
            _ => Ok(out),
        };
    }
    let (mut out, mut rest, mut members) = (Vec::new(), bytes, 0);
    while has_zlib_header(rest) && members < MAX_MEMBERS {
        members += 1;
        let mut decoder = ZlibDecoder::new(rest);
        let more = read_limited(&mut decoder, limit - out.len())
            .map_err(|error| error.of_all(out.len(), limit))?;
        if out.is_empty() {
            out = more;
        } else {
            out.extend_from_slice(&more);
        }
        let used = usize::try_from(decoder.total_in()).unwrap_or(usize::MAX);
        rest = rest.get(used..).unwrap_or_default();
    }
    if rest.is_empty() { Ok(out) } else { Err(DecodeError::Gzip(BEHIND_DEFLATE.to_owned())) }
}

/// Of more streams that follow each other, the rest is refused: each takes work, and an empty one is small.
const MAX_MEMBERS: usize = 1024;
const BEHIND_DEFLATE: &str = "something else follows the deflated stream";

/// Whether deflated bytes have zlib's header.
pub fn has_zlib_header(bytes: &[u8]) -> bool {
    match bytes {
        [method, flags, ..] => {
            method & 15 == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31)
        }
        _ => false,
    }
}

/// Unpacks zstd, any number of frames, to at most `limit` bytes.
#[cfg(feature = "zstd")]
pub fn decompress_zstd(bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    // A frame's window is memory too; one that is packed at once has a window of its own size.
    let window = limit.next_power_of_two().ilog2().clamp(USUAL_WINDOW, MAX_WINDOW);
    let failed = |error: std::io::Error| DecodeError::Zstd(error.to_string());
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(failed)?;
    decoder.window_log_max(window).map_err(failed)?;
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    at_most(read_up_to(decoder, limit).map_err(failed)?, limit)
}

/// The largest window of zstd's usual levels, as a power of two, and the largest that its tools take.
#[cfg(feature = "zstd")]
const USUAL_WINDOW: u32 = 23;
#[cfg(feature = "zstd")]
const MAX_WINDOW: u32 = 27;

fn read_limited(from: impl std::io::Read, limit: usize) -> Result<Vec<u8>, DecodeError> {
    let out = read_up_to(from, limit).map_err(|error| DecodeError::Gzip(error.to_string()))?;
    at_most(out, limit)
}

/// Reads all, or one byte more than the limit, into memory that is never larger than that.
fn read_up_to(mut from: impl std::io::Read, limit: usize) -> std::io::Result<Vec<u8>> {
    let most = limit.saturating_add(1);
    let mut out = Vec::new();
    while out.len() < most {
        let room = out.len().max(FIRST_ROOM).min(most - out.len());
        out.reserve_exact(room);
        if from.by_ref().take(room as u64).read_to_end(&mut out)? < room {
            break;
        }
    }
    Ok(out)
}

/// What is made room for at first; then it doubles, up to the limit.
const FIRST_ROOM: usize = 32 << 10;

fn at_most(out: Vec<u8>, limit: usize) -> Result<Vec<u8>, DecodeError> {
    if out.len() > limit {
        return Err(DecodeError::TooLarge { size: out.len() as u64, limit: limit as u64 });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_up_to_the_limit() {
        let text = b"to be or not to be, to be or not to be".repeat(100);
        let packed = compress_snappy(&text);
        assert!(packed.len() < text.len());
        assert_eq!(decompress_snappy(&packed, text.len()).unwrap(), text);
        let too_large = |error| matches!(error, DecodeError::TooLarge { limit: 3799, .. });
        assert!(too_large(decompress_snappy(&packed, text.len() - 1).unwrap_err()));

        let packed = compress_gzip(&text);
        assert_eq!(decompress_gzip(&packed, text.len()).unwrap(), text);
        assert!(too_large(decompress_gzip(&packed, text.len() - 1).unwrap_err()));
    }

    #[test]
    fn snappy_comes_in_one_block_and_in_frames() {
        let text = b"to be or not to be, to be or not to be".repeat(5_000);
        let mut framed = snap::write::FrameEncoder::new(Vec::new());
        framed.write_all(&text).unwrap();
        let framed = framed.into_inner().unwrap();
        for packed in [&framed, &compress_snappy(&text)] {
            assert_eq!(decompress_any_snappy(packed, text.len()).unwrap(), text);
            let error = decompress_any_snappy(packed, text.len() - 1).unwrap_err();
            assert!(matches!(error, DecodeError::TooLarge { .. }), "{error}");
            let error = decompress_any_snappy(&packed[..packed.len() - 1], 1 << 20).unwrap_err();
            assert!(matches!(error, DecodeError::Snappy(_)), "{error}");
        }
    }

    #[test]
    fn deflate_comes_with_and_without_a_header() {
        let text = b"to be or not to be".repeat(10);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&text).unwrap();
        let zlib = zlib.finish().unwrap();
        assert_eq!(decompress_deflate(&zlib, 1000).unwrap(), text);
        let bare = &zlib[2..zlib.len() - 4];
        assert_eq!(decompress_deflate(bare, 1000).unwrap(), text);
    }

    #[cfg(feature = "zstd")]
    #[test]
    fn zstd_is_unpacked_up_to_the_limit() {
        let text = b"to be or not to be".repeat(1000);
        let packed = zstd::encode_all(&text[..], 3).unwrap();
        let twice = [&packed[..], &packed[..]].concat();
        assert_eq!(decompress_zstd(&packed, text.len()).unwrap(), text);
        assert_eq!(decompress_zstd(&twice, 2 * text.len()).unwrap().len(), 2 * text.len());
        let too_large = |error| matches!(error, DecodeError::TooLarge { limit: 17_999, .. });
        assert!(too_large(decompress_zstd(&packed, text.len() - 1).unwrap_err()));
        for bytes in [&b""[..], b"{}", &packed[..packed.len() - 1]] {
            assert!(decompress_zstd(bytes, 100_000).is_err());
        }
    }

    #[test]
    fn packed_bodies_are_unpacked_to_their_end_or_refused() {
        let zlib = |text: &[u8]| {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text).and_then(|()| encoder.finish()).unwrap()
        };
        let framed = |text: &[u8]| {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(text).unwrap();
            encoder.into_inner().unwrap()
        };
        type Pack<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
        type Unpack = fn(&[u8], usize) -> Result<Vec<u8>, DecodeError>;
        let forms: &[(&str, Pack<'_>, Unpack)] = &[
            ("gzip", &compress_gzip, decompress_gzip),
            ("zlib", &zlib, decompress_deflate),
            ("frames of snappy", &framed, decompress_any_snappy),
            #[cfg(feature = "zstd")]
            ("zstd", &|text| zstd::encode_all(text, 1).unwrap(), decompress_zstd),
        ];
        for (name, pack, unpack) in forms {
            let one = pack(b"one");
            let both = [one.clone(), pack(b"two")].concat();
            assert_eq!(unpack(&both, 6).unwrap(), b"onetwo", "{name}");
            let error = unpack(&both, 5).unwrap_err();
            assert!(matches!(error, DecodeError::TooLarge { limit: 5, .. }), "{name}: {error}");
            for rest in [&b"{\"streams\":[]}"[..], b"x", &both[..one.len() - 2]] {
                assert!(unpack(&[&one[..], rest].concat(), 99).is_err(), "{name} and {rest:?}");
            }
        }
        let empty = zlib(b"");
        assert_eq!(decompress_deflate(&empty.repeat(MAX_MEMBERS), 9).unwrap(), b"");
        assert!(decompress_deflate(&empty.repeat(MAX_MEMBERS + 1), 9).is_err(), "that is no body");
        let (snappy, whole) = (compress_snappy(b"one"), zlib(b"one"));
        let bare = &whole[2..whole.len() - 4];
        for rest in [&b"x"[..], b"{\"streams\":[]}", &snappy, bare] {
            assert!(decompress_snappy(&[&snappy[..], rest].concat(), 99).is_err(), "{rest:?}");
            assert!(decompress_deflate(&[bare, rest].concat(), 99).is_err(), "{rest:?}");
        }
    }

    #[test]
    fn unpacking_never_has_more_memory_than_the_limit() {
        let text = vec![b' '; 1_000_000];
        for limit in [1_000_000, 1_000_001, 1_300_000] {
            let out = decompress_gzip(&compress_gzip(&text), limit).unwrap();
            assert!(out == text && out.capacity() <= limit + 1, "{limit}: {}", out.capacity());
        }
        assert!(decompress_gzip(&compress_gzip(&text), 999_999).is_err());
    }

    #[test]
    fn what_is_not_packed_is_refused() {
        for bytes in [&b""[..], b"{\"streams\":[]}", b"\xff\xff\xff\xff\xff\xff"] {
            assert!(decompress_snappy(bytes, 1000).is_err());
            assert!(decompress_gzip(bytes, 1000).is_err());
        }
        let packed = compress_gzip(b"whole");
        assert!(decompress_gzip(&packed[..packed.len() - 1], 1000).is_err());
    }
}
