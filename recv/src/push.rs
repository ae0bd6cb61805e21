//! One push: bytes to batch to capture, and the answer.
//!
//! | answer | when |
//! |---|---|
//! | 204 | its lines are in the capture |
//! | 400 | it cannot be decoded |
//! | 413 | it is larger than the limit, as sent or unpacked |
//! | 422 | there is no stream in it |
//! | 429 | too much is in flight, or the capture has no room; with `Retry-After` |
//! | 503 | the capture could not be written; with `Retry-After` |

use std::borrow::Cow;

use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use logtap_loki::{
    DecodeError, DecodeOptions, Decoded, LINES_HEADER, Origin, SOURCE_HEADER, decode_push,
    decode_push_json, decompress_deflate, decompress_gzip, decompress_snappy,
};

use crate::body::BodyError;
use crate::store::{Store, StoreError};

/// Why a push was not stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
    /// After how many seconds it may be tried again.
    pub(crate) retry_after: Option<u32>,
}

/// What a stored push was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Lines that were not as they should be.
    pub(crate) invalid: u64,
}

/// How a push says that it is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    media: Media,
    packing: Packing,
    origin: Option<Origin>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    Json,
    /// What Loki takes everything else for.
    Protobuf,
    Unnamed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Deflate,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), retry_after: None }
    }

    fn later(status: StatusCode, text: impl Into<String>, seconds: u32) -> Self {
        Self { status, text: text.into(), retry_after: Some(seconds) }
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        let status = match error {
            DecodeError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { size, limit } => DecodeError::TooLarge { size, limit }.into(),
            BodyError::Busy => {
                Self::later(StatusCode::TOO_MANY_REQUESTS, "too many pushes in flight", 1)
            }
            BodyError::Broken(text) => Self::new(StatusCode::BAD_REQUEST, text),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        if error.is_bad_batch() {
            Self::new(StatusCode::BAD_REQUEST, error.to_string())
        } else if error.is_full() {
            Self::later(StatusCode::TOO_MANY_REQUESTS, error.to_string(), 5)
        } else {
            Self::later(StatusCode::SERVICE_UNAVAILABLE, error.to_string(), 5)
        }
    }
}

impl Form {
    /// Reads the headers.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let bad = |text: String| Refusal::new(StatusCode::BAD_REQUEST, text);
        let text = |name: &str| -> Result<Option<&str>, Refusal> {
            match headers.get(name) {
                None => Ok(None),
                Some(value) => {
                    let text = value.to_str().map_err(|_| bad(format!("{name} is not text")))?;
                    Ok(Some(text.trim()))
                }
            }
        };
        let media = match text(CONTENT_TYPE.as_str())? {
            None | Some("") => Media::Unnamed,
            Some(media) => {
                let name = media.split(';').next().unwrap_or_default().trim();
                let json = name.eq_ignore_ascii_case("application/json");
                if json { Media::Json } else { Media::Protobuf }
            }
        };
        let packing = match text(CONTENT_ENCODING.as_str())? {
            None | Some("" | "identity" | "snappy") => Packing::None,
            Some("gzip") => Packing::Gzip,
            Some("deflate") => Packing::Deflate,
            Some(other) => {
                return Err(bad(format!("Content-Encoding \"{other}\" not supported")));
            }
        };
        let origin = Origin::from_headers(text(SOURCE_HEADER)?, text(LINES_HEADER)?)
            .map_err(|error| bad(error.to_string()))?;
        Ok(Self { media, packing, origin })
    }

    /// Takes a body apart.
    pub(crate) fn decode(&self, body: &[u8], limit: usize, now: i64) -> Result<Decoded, Refusal> {
        let body = match self.packing {
            Packing::None => Cow::Borrowed(body),
            Packing::Gzip => Cow::Owned(decompress_gzip(body, limit)?),
            Packing::Deflate => Cow::Owned(decompress_deflate(body, limit)?),
        };
        let options = DecodeOptions { origin: self.origin.clone(), now };
        let protobuf = || -> Result<Decoded, DecodeError> {
            decode_push(&decompress_snappy(&body, limit)?, &options)
        };
        let looks_like_json = body.trim_ascii_start().first() == Some(&b'{');
        let decoded = match self.media {
            Media::Json => decode_push_json(&body, &options)?,
            Media::Unnamed if looks_like_json => decode_push_json(&body, &options)?,
            Media::Unnamed => {
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "mime: no media type"));
            }
            Media::Protobuf => match protobuf() {
                // The predecessor takes JSON under any type, and curl names forms by default.
                Err(DecodeError::Snappy(_)) if looks_like_json => {
                    decode_push_json(&body, &options)?
                }
                outcome => outcome?,
            },
        };
        if decoded.streams == 0 {
            let text = "error at least one valid stream is required for ingestion";
            return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
        Ok(decoded)
    }
}

/// Decodes and stores a push.
pub(crate) fn store_push(
    form: &Form,
    body: &[u8],
    limit: usize,
    now: i64,
    store: &Store,
) -> Result<Stored, Refusal> {
    let decoded = form.decode(body, limit, now)?;
    store.append(&decoded.batch)?;
    Ok(Stored { invalid: decoded.invalid })
}

#[cfg(test)]
mod tests {
    use super::*;
    use logtap_loki::{Batch, compress_gzip, compress_snappy, encode_push, encode_push_json};

    const LIMIT: usize = 10_000;

    fn form(headers: &[(&'static str, &str)]) -> Result<Form, Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Form::of(&map)
    }

    fn decode(headers: &[(&'static str, &str)], body: &[u8]) -> Result<Vec<u8>, (u16, String)> {
        form(headers)
            .and_then(|form| form.decode(body, LIMIT, 0))
            .map(|decoded| decoded.batch.text)
            .map_err(|refusal| (refusal.status.as_u16(), refusal.text))
    }

    fn bodies() -> (Vec<u8>, Vec<u8>) {
        let mut batch = Batch::new();
        batch.streams.push(vec![("app".into(), "web".into())]);
        batch.push(0, 1, 0, b"line");
        let (mut json, mut protobuf) = (Vec::new(), Vec::new());
        encode_push_json(&batch, &mut json);
        encode_push(&batch, &mut protobuf);
        (json, compress_snappy(&protobuf))
    }

    #[test]
    fn takes_every_form_that_senders_use() {
        let (json, protobuf) = bodies();
        let line = Ok(b"line".to_vec());
        const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
        const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
        const GZIP: (&str, &str) = ("content-encoding", "gzip");
        const SNAPPY: (&str, &str) = ("content-encoding", "snappy");
        assert_eq!(decode(&[JSON], &json), line);
        assert_eq!(decode(&[JSON, SNAPPY], &json), line);
        assert_eq!(decode(&[JSON, GZIP], &compress_gzip(&json)), line);
        assert_eq!(decode(&[PROTOBUF], &protobuf), line);
        assert_eq!(decode(&[PROTOBUF, SNAPPY], &protobuf), line);
        assert_eq!(decode(&[PROTOBUF, GZIP], &compress_gzip(&protobuf)), line);
        assert_eq!(decode(&[("content-type", "text/plain")], &protobuf), line);
        assert_eq!(decode(&[("content-type", "text/plain")], &json), line);
        assert_eq!(decode(&[], &json), line);
    }

    #[test]
    fn refuses_as_loki_does() {
        let (json, protobuf) = bodies();
        let no = |status: u16, text: &str| Err((status, text.to_owned()));
        const JSON: (&str, &str) = ("content-type", "application/json");
        assert_eq!(decode(&[], &protobuf), no(400, "mime: no media type"));
        assert_eq!(
            decode(&[JSON, ("content-encoding", "zstd")], &json),
            no(400, "Content-Encoding \"zstd\" not supported")
        );
        assert_eq!(decode(&[JSON], b""), no(400, "EOF"));
        let nothing = "error at least one valid stream is required for ingestion";
        assert_eq!(decode(&[JSON], b"{}"), no(422, nothing));
        assert_eq!(
            decode(&[("content-type", "x/y")], b"nonsense"),
            no(400, "snappy: corrupt input")
        );
        let large = compress_gzip(&vec![b' '; LIMIT + 1]);
        let error = decode(&[JSON, ("content-encoding", "gzip")], &large).unwrap_err();
        assert_eq!(error.0, 413);
        let alone = [JSON, ("x-logtap-lines", "1-2")];
        assert_eq!(decode(&alone, &json).unwrap_err().0, 400);
    }
}
