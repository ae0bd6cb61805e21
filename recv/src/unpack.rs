//! Unpacks bodies. What comes out has a limit, and only one large body is unpacked at a time.

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use logtap_loki::{
    DecodeError, decompress_any_snappy, decompress_deflate, decompress_gzip, decompress_snappy,
    decompress_zstd, has_zlib_header,
};

/// A body that unpacks to more than this waits for its turn: that is where bombs begin.
const LARGE: usize = 16 << 20;

/// How a body is packed, as its head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Deflate,
    Zstd,
    /// In frames, or one block; or not at all, as with JSON for Loki.
    Snappy,
}

impl Packing {
    /// Reads `Content-Encoding`. `snappy` is no packing of its own for Loki (`is_loki`): protobuf pushes always
    /// are, and JSON is sent plain under that name too. Loki wants small letters; HTTP does not.
    pub(crate) fn of(
        encoding: Option<&str>,
        is_loki: bool,
        strict: bool,
    ) -> Result<Self, DecodeError> {
        let encoding = encoding.unwrap_or_default();
        let folded = if strict { encoding.to_owned() } else { encoding.to_ascii_lowercase() };
        match folded.as_str() {
            "" => Ok(Self::None),
            "snappy" if is_loki => Ok(Self::None),
            "snappy" | "x-snappy-framed" if !is_loki => Ok(Self::Snappy),
            "gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "identity" if !strict => Ok(Self::None),
            "x-gzip" if !strict => Ok(Self::Gzip),
            "zlib" if !strict => Ok(Self::Deflate),
            "zstd" if !strict => Ok(Self::Zstd),
            _ => {
                let text = format!("Content-Encoding \"{encoding}\" not supported");
                Err(DecodeError::Refused(text))
            }
        }
    }
}

/// Unpacks bodies within limits.
#[derive(Debug)]
pub(crate) struct Unpacker {
    limit: usize,
    /// Whether zlib's header is refused in what is called deflate.
    strict: bool,
    large: Mutex<()>,
}

/// A body unpacked, and the right to be large for as long as it is held.
#[derive(Debug)]
pub(crate) struct Unpacked<'a> {
    pub(crate) bytes: Cow<'a, [u8]>,
    _turn: Option<MutexGuard<'a, ()>>,
}

impl Unpacker {
    pub(crate) fn new(limit: usize, strict: bool) -> Self {
        Self { limit, strict, large: Mutex::new(()) }
    }

    /// The most that a body may unpack to.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Unpacks what a head calls packed.
    pub(crate) fn unpack<'a>(
        &'a self,
        packing: Packing,
        body: &'a [u8],
    ) -> Result<Unpacked<'a>, DecodeError> {
        match packing {
            Packing::None => Ok(Unpacked { bytes: Cow::Borrowed(body), _turn: None }),
            Packing::Gzip => self.limited(|limit| decompress_gzip(body, limit)),
            Packing::Deflate if self.strict && has_zlib_header(body) => Err(DecodeError::Empty),
            Packing::Deflate => self.limited(|limit| decompress_deflate(body, limit)),
            Packing::Zstd => self.limited(|limit| decompress_zstd(body, limit)),
            Packing::Snappy => match self.limited(|limit| decompress_any_snappy(body, limit)) {
                // Who names it and does not use it is understood, as with Loki.
                Err(DecodeError::Snappy(_)) => {
                    Ok(Unpacked { bytes: Cow::Borrowed(body), _turn: None })
                }
                outcome => outcome,
            },
        }
    }

    /// Unpacks snappy's block format.
    pub(crate) fn snappy<'a>(&'a self, body: &[u8]) -> Result<Unpacked<'a>, DecodeError> {
        self.limited(|limit| decompress_snappy(body, limit))
    }

    fn limited<'a>(
        &'a self,
        unpack: impl Fn(usize) -> Result<Vec<u8>, DecodeError>,
    ) -> Result<Unpacked<'a>, DecodeError> {
        match unpack(self.limit.min(LARGE)) {
            Err(DecodeError::TooLarge { .. }) if self.limit > LARGE => {
                let turn = self.large.lock().unwrap_or_else(PoisonError::into_inner);
                let bytes = unpack(self.limit)?;
                Ok(Unpacked { bytes: Cow::Owned(bytes), _turn: Some(turn) })
            }
            outcome => Ok(Unpacked { bytes: Cow::Owned(outcome?), _turn: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logtap_loki::{compress_gzip, compress_snappy};

    #[test]
    fn large_bodies_are_unpacked_one_after_the_other() {
        let unpacker = Unpacker::new(LARGE + 10, false);
        let large = compress_gzip(&vec![b' '; LARGE + 1]);
        let first = unpacker.unpack(Packing::Gzip, &large).unwrap();
        assert_eq!(first.bytes.len(), LARGE + 1);
        assert!(unpacker.large.try_lock().is_err());
        let small = compress_gzip(b"small");
        assert_eq!(&*unpacker.unpack(Packing::Gzip, &small).unwrap().bytes, b"small");
        drop(first);
        assert!(unpacker.large.try_lock().is_ok());
        let too_large = compress_snappy(&vec![b' '; LARGE + 11]);
        let error = unpacker.snappy(&too_large).unwrap_err();
        assert!(matches!(error, DecodeError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn what_is_called_snappy_and_is_plain_is_taken_plain() {
        let unpacker = Unpacker::new(1_000, false);
        let unpack = |body: &[u8]| unpacker.unpack(Packing::Snappy, body).unwrap().bytes.to_vec();
        assert_eq!(unpack(&compress_snappy(b"{}")), b"{}");
        assert_eq!(unpack(b"{\"resourceLogs\":[]}"), b"{\"resourceLogs\":[]}");
    }

    #[test]
    fn names_of_packings_are_loki_s_or_more() {
        let of = |name, strict| Packing::of(name, true, strict);
        assert_eq!(Packing::of(Some("snappy"), false, false), Ok(Packing::Snappy));
        assert_eq!(Packing::of(Some("X-Snappy-Framed"), false, false), Ok(Packing::Snappy));
        for strict in [false, true] {
            assert_eq!(of(None, strict), Ok(Packing::None));
            assert_eq!(of(Some("snappy"), strict), Ok(Packing::None));
            assert_eq!(of(Some("gzip"), strict), Ok(Packing::Gzip));
            assert_eq!(of(Some("deflate"), strict), Ok(Packing::Deflate));
            for name in ["br", "lz4", "gzip, gzip", "x-snappy-framed"] {
                let error = of(Some(name), strict).unwrap_err().to_string();
                assert_eq!(error, format!("Content-Encoding \"{name}\" not supported"));
            }
            assert_eq!(of(Some("zstd"), strict).is_err(), strict);
            assert_eq!(of(Some("identity"), strict).is_err(), strict);
            assert_eq!(of(Some("zlib"), strict).is_err(), strict);
            assert_eq!(of(Some("GZip"), strict).is_err(), strict);
        }
    }
}
