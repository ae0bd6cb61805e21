//! Unpacks bodies. What comes out has a limit, and there is only one large push at a time.
//!
//! A few kilobytes can unpack to all that the limit allows. So every push gets little memory at first, and
//! who needs more must have the turn, which there is once, until the push is stored. Refuses to wait for
//! it: whoever waited would keep a worker from the small pushes.

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, TryLockError};

use logtap_loki::{
    DecodeError, decompress_any_snappy, decompress_deflate, decompress_gzip, decompress_snappy,
    decompress_zstd, has_zlib_header,
};

/// A push that takes more than this, unpacked or in memory beside its lines, is a large one: that is
/// where bombs begin.
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

/// The right to be large, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _guard: MutexGuard<'a, ()>,
}

impl Unpacker {
    pub(crate) fn new(limit: usize, strict: bool) -> Self {
        Self { limit, strict, large: Mutex::new(()) }
    }

    /// The most that a body may unpack to.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The most that a push may take that has not the turn.
    pub(crate) fn usual(&self) -> usize {
        self.limit.min(LARGE)
    }

    /// The turn of large pushes; none if another one has it.
    pub(crate) fn turn(&self) -> Option<Turn<'_>> {
        let guard = match self.large.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Turn { _guard: guard })
    }

    /// Unpacks what a head calls packed, to at most `limit` bytes.
    pub(crate) fn unpack<'a>(
        &self,
        packing: Packing,
        body: &'a [u8],
        limit: usize,
    ) -> Result<Cow<'a, [u8]>, DecodeError> {
        let unpacked = match packing {
            Packing::None => return Ok(Cow::Borrowed(body)),
            Packing::Gzip => decompress_gzip(body, limit),
            Packing::Deflate if self.strict && has_zlib_header(body) => Err(DecodeError::Empty),
            Packing::Deflate => decompress_deflate(body, limit),
            Packing::Zstd => decompress_zstd(body, limit),
            Packing::Snappy => match decompress_any_snappy(body, limit) {
                // Who names it and does not use it is understood, as with Loki.
                Err(DecodeError::Snappy(_)) => return Ok(Cow::Borrowed(body)),
                outcome => outcome,
            },
        };
        unpacked.map(Cow::Owned)
    }
}

/// Unpacks snappy's block format out of a body that was perhaps unpacked itself (`is_unpacked`): with both
/// together, a push holds at most `limit` bytes.
pub(crate) fn unpack_snappy(
    body: &[u8],
    is_unpacked: bool,
    limit: usize,
) -> Result<Vec<u8>, DecodeError> {
    let held = if is_unpacked { body.len() } else { 0 };
    decompress_snappy(body, limit.saturating_sub(held)).map_err(|error| match error {
        DecodeError::TooLarge { size, .. } => {
            DecodeError::TooLarge { size: size + held as u64, limit: limit as u64 }
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use logtap_loki::{compress_gzip, compress_snappy};

    #[test]
    fn there_is_one_turn_and_it_is_given_back() {
        let unpacker = Unpacker::new(LARGE + 10, false);
        let turn = unpacker.turn();
        assert!(turn.is_some() && unpacker.turn().is_none());
        drop(turn);
        assert!(unpacker.turn().is_some());
        assert_eq!((unpacker.usual(), Unpacker::new(10, false).usual()), (LARGE, 10));
    }

    #[test]
    fn layers_share_a_limit() {
        let inner = compress_snappy(&[b' '; 10_000]);
        let unpacker = Unpacker::new(100_000, false);
        let packed = compress_gzip(&inner);
        let outer = unpacker.unpack(Packing::Gzip, &packed, 100_000).unwrap();
        let all = 10_000 + inner.len();
        assert_eq!(unpack_snappy(&outer, true, all).unwrap().len(), 10_000);
        let error = unpack_snappy(&outer, true, all - 1).unwrap_err();
        let (size, limit) = (all as u64, all as u64 - 1);
        assert_eq!(error, DecodeError::TooLarge { size, limit });
        assert_eq!(unpack_snappy(&inner, false, 10_000).unwrap().len(), 10_000);
    }

    #[test]
    fn what_is_called_snappy_and_is_plain_is_taken_plain() {
        let unpacker = Unpacker::new(1_000, false);
        let unpack = |body: &[u8]| unpacker.unpack(Packing::Snappy, body, 1_000).unwrap().to_vec();
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
