//! Unpacks bodies. What comes out has a limit, and only one large body is unpacked at a time.

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use logtap_loki::{
    DecodeError, decompress_deflate, decompress_gzip, decompress_snappy, decompress_zstd,
    has_zlib_header,
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
}

impl Packing {
    /// Reads `Content-Encoding`. `snappy` is no packing of its own: protobuf pushes always are, and
    /// JSON is sent plain under that name too.
    pub(crate) fn of(encoding: Option<&str>, strict: bool) -> Result<Self, DecodeError> {
        match encoding.unwrap_or_default() {
            "" | "snappy" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "identity" if !strict => Ok(Self::None),
            "x-gzip" if !strict => Ok(Self::Gzip),
            "zstd" if !strict => Ok(Self::Zstd),
            other => {
                Err(DecodeError::Refused(format!("Content-Encoding \"{other}\" not supported")))
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
    fn names_of_packings_are_loki_s_or_more() {
        let of = |name, strict| Packing::of(name, strict);
        for strict in [false, true] {
            assert_eq!(of(None, strict), Ok(Packing::None));
            assert_eq!(of(Some("snappy"), strict), Ok(Packing::None));
            assert_eq!(of(Some("gzip"), strict), Ok(Packing::Gzip));
            assert_eq!(of(Some("deflate"), strict), Ok(Packing::Deflate));
            for name in ["br", "GZIP", "gzip, gzip"] {
                let error = of(Some(name), strict).unwrap_err().to_string();
                assert_eq!(error, format!("Content-Encoding \"{name}\" not supported"));
            }
            assert_eq!(of(Some("zstd"), strict).is_err(), strict);
            assert_eq!(of(Some("identity"), strict).is_err(), strict);
        }
    }
}
