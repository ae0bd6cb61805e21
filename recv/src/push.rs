//! One push: bytes to batch to capture, and the answer.
//!
//! | answer | when |
//! |---|---|
//! | 204 | its lines are in the capture |
//! | 200 | the same, for senders of OTLP |
//! | 400 | it cannot be decoded |
//! | 401 | the sender is not known |
//! | 408 | its body took too long |
//! | 413 | it is larger than the limit: as sent, unpacked, or as it would be written; or than all of the capture may be |
//! | 422 | there is no stream in it |
//! | 429 | too much is in flight, another large push is, or the capture has no room; with `Retry-After` |
//! | 503 | the capture could not be written; with `Retry-After` |

use std::borrow::Cow;

use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use logtap_loki::{
    Batch, DecodeError, DecodeOptions, Decoded, LINES_HEADER, Mapping, Origin, SOURCE_HEADER,
    decode_otlp, decode_otlp_json, decode_push, decode_push_json, decode_raw, decode_records,
    without_mark,
};

use crate::body::BodyError;
use crate::label_limits::{MAX_VALUE, limit_labels};
use crate::odd_times::{OddTimes, Oddity};
use crate::sources::{Sources, Taken};
use crate::store::{Store, StoreError};
use crate::strict::Strict;
use crate::unpack::{Packing, Turn, Unpacker, unpack_snappy};

/// What a push may become in the capture, measured by what it may unpack to: labels are written with
/// each line.
const MAX_GROWTH: usize = 4;

/// The header with the tenant.
const TENANT: &str = "x-scope-orgid";

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
    /// What became of its lines.
    pub(crate) taken: Taken,
    /// Lines that were not as they should be.
    pub(crate) invalid: u64,
    /// Streams that came without a line.
    pub(crate) empty_streams: u64,
    /// What is odd about its times.
    pub(crate) oddity: Oddity,
    /// Lines that were not stored because a real Loki would not, and what to answer.
    pub(crate) refused: Option<(u64, Refusal)>,
}

/// The languages of pushes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Loki's.
    Loki,
    /// The lines of a capture.
    Raw,
    /// JSON objects.
    Records(Box<Mapping>),
    /// OpenTelemetry's.
    Otlp,
}

/// Where pushes go and by which rules.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) store: std::sync::Arc<Store>,
    pub(crate) unpacker: Unpacker,
    pub(crate) strict: Option<Strict>,
    /// The label that tells the tenant.
    pub(crate) tenant_label: Option<String>,
    pub(crate) sources: Sources,
    pub(crate) odd_times: OddTimes,
}

/// How a push says that it is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    dialect: Dialect,
    media: Media,
    packing: Packing,
    origin: Option<Origin>,
    tenant: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    Json,
    /// What Loki takes everything else for.
    Protobuf,
    Unnamed,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), retry_after: None }
    }

    pub(crate) fn later(status: StatusCode, text: impl Into<String>, seconds: u32) -> Self {
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
            BodyError::Slow => Self::new(StatusCode::REQUEST_TIMEOUT, "body took too long"),
            BodyError::Broken => Self::new(StatusCode::BAD_REQUEST, "body ended early"),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        if error.is_bad_batch() {
            Self::new(StatusCode::BAD_REQUEST, error.to_string())
        } else if error.is_too_large() {
            Self::new(StatusCode::PAYLOAD_TOO_LARGE, with_remedy(&error))
        } else if error.is_full() {
            Self::later(StatusCode::TOO_MANY_REQUESTS, with_remedy(&error), 5)
        } else {
            Self::later(StatusCode::SERVICE_UNAVAILABLE, with_remedy(&error), 5)
        }
    }
}

/// What went wrong with the capture, and what can be done about it.
fn with_remedy(error: &StoreError) -> String {
    match error.remedy() {
        Some(remedy) => format!("{error}; {remedy}"),
        None => error.to_string(),
    }
}

impl Form {
    /// Reads the headers.
    pub(crate) fn of(
        dialect: Dialect,
        headers: &HeaderMap,
        intake: &Intake,
    ) -> Result<Self, Refusal> {
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
        let strict = intake.strict.is_some();
        let media = match text(CONTENT_TYPE.as_str())? {
            None | Some("") if strict => return Err(bad("mime: no media type".to_owned())),
            None | Some("") => Media::Unnamed,
            Some(media) if strict && has_bad_parameter(media) => {
                return Err(bad("mime: invalid media parameter".to_owned()));
            }
            Some(media) => {
                let name = media.split(';').next().unwrap_or_default().trim();
                let json = name.eq_ignore_ascii_case("application/json");
                let protobuf = name.eq_ignore_ascii_case("application/x-protobuf");
                if dialect == Dialect::Otlp && !json && !protobuf {
                    let text =
                        "Content-Type is neither application/json nor application/x-protobuf";
                    return Err(bad(format!("{text}: `{name}`")));
                }
                if json { Media::Json } else { Media::Protobuf }
            }
        };
        if dialect == Dialect::Otlp && media == Media::Unnamed {
            return Err(bad("Content-Type is missing".to_owned()));
        }
        // What OTLP packs with is another list, of which everything is taken.
        let is_loki = dialect == Dialect::Loki;
        let packing = Packing::of(text(CONTENT_ENCODING.as_str())?, is_loki, strict && is_loki)?;
        let origin = Origin::from_headers(text(SOURCE_HEADER)?, text(LINES_HEADER)?)
            .map_err(|error| bad(error.to_string()))?;
        let tenant = match &intake.tenant_label {
            None => None,
            Some(_) => text(TENANT)?.filter(|tenant| !tenant.is_empty()).map(str::to_owned),
        };
        if tenant.as_ref().is_some_and(|tenant| tenant.len() > MAX_VALUE) {
            return Err(bad(format!("{TENANT} is longer than {MAX_VALUE} bytes")));
        }
        Ok(Self { dialect, media, packing, origin, tenant })
    }

    /// Takes a body apart. A large one comes with its turn, which is to be held until it is stored.
    pub(crate) fn decode<'a>(
        &self,
        body: &[u8],
        intake: &'a Intake,
        now: i64,
    ) -> Result<(Decoded, Option<Turn<'a>>), Refusal> {
        let unpacker = &intake.unpacker;
        let (usual, limit) = (unpacker.usual(), unpacker.limit());
        let (mut decoded, turn) = match self.decode_within(body, intake, now, usual) {
            Err(refusal) if refusal.status == StatusCode::PAYLOAD_TOO_LARGE && usual < limit => {
                let Some(turn) = unpacker.turn() else {
                    let text = "another large push is being stored";
                    return Err(Refusal::later(StatusCode::TOO_MANY_REQUESTS, text, 1));
                };
                (self.decode_within(body, intake, now, limit)?, Some(turn))
            }
            outcome => (outcome?, None),
        };
        if let (Some(label), Some(tenant)) = (&intake.tenant_label, &self.tenant) {
            for labels in &mut decoded.batch.streams {
                match labels.binary_search_by(|(name, _)| name.cmp(label)) {
                    Ok(place) => labels[place].1.clone_from(tenant),
                    Err(place) => labels.insert(place, (label.clone(), tenant.clone())),
                }
            }
        }
        let (size, limit) = (written_size(&decoded.batch), (limit as u64) * MAX_GROWTH as u64);
        if size > limit {
            return Err(DecodeError::TooLarge { size, limit }.into());
        }
        Ok((decoded, turn))
    }

    /// Takes a body apart that unpacks to at most `limit` bytes, and whose entries and sets take at most as
    /// much.
    fn decode_within(
        &self,
        body: &[u8],
        intake: &Intake,
        now: i64,
        limit: usize,
    ) -> Result<Decoded, Refusal> {
        let strict = intake.strict.is_some();
        let unpacked = intake.unpacker.unpack(self.packing, body, limit)?;
        let body = &*unpacked;
        let options =
            DecodeOptions { origin: self.origin.clone(), now, strict, max_weight: Some(limit) };
        let mut decoded = match &self.dialect {
            Dialect::Otlp if self.media == Media::Json => decode_otlp_json(body, &options)?,
            Dialect::Otlp => decode_otlp(body, &options)?,
            Dialect::Records(mapping) => decode_records(body, mapping, &options)?,
            Dialect::Raw => decode_raw(body, &options)?,
            Dialect::Loki => {
                let is_unpacked = matches!(unpacked, Cow::Owned(_));
                self.decode_loki(body, is_unpacked, limit, &options)?
            }
        };
        if self.dialect == Dialect::Loki && decoded.streams == 0 {
            let text = "error at least one valid stream is required for ingestion";
            return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
        if !strict {
            // Loki has its own, and refuses what is beyond.
            decoded.invalid += limit_labels(&mut decoded.batch, limit)?;
        }
        Ok(decoded)
    }

    fn decode_loki(
        &self,
        body: &[u8],
        is_unpacked: bool,
        limit: usize,
        options: &DecodeOptions,
    ) -> Result<Decoded, Refusal> {
        let protobuf = || decode_push(&unpack_snappy(body, is_unpacked, limit)?, options);
        let start = if options.strict { body } else { without_mark(body) };
        let looks_like_json = start.trim_ascii_start().first() == Some(&b'{');
        Ok(match self.media {
            Media::Json => decode_push_json(body, options)?,
            Media::Unnamed if looks_like_json => decode_push_json(body, options)?,
            Media::Unnamed if body.is_empty() => return Err(DecodeError::Empty.into()),
            Media::Unnamed => {
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "mime: no media type"));
            }
            Media::Protobuf => match protobuf() {
                // The predecessor takes JSON under any type, and curl names forms by default.
                Err(DecodeError::Snappy(_)) if looks_like_json && !options.strict => {
                    decode_push_json(body, options)?
                }
                outcome => outcome?,
            },
        })
    }
}

/// Whether the parameters of a media type are none.
fn has_bad_parameter(media: &str) -> bool {
    media.split(';').skip(1).any(|parameter| {
        let parameter = parameter.trim();
        !parameter.is_empty()
            && !parameter
                .split_once('=')
                .is_some_and(|(name, value)| !name.trim().is_empty() && !value.trim().is_empty())
    })
}

/// About how many bytes a batch takes in the capture.
fn written_size(batch: &Batch) -> u64 {
    let sizes = |sets: &[logtap_loki::Pairs]| -> Vec<u64> {
        let size = |(name, value): &(String, String)| 6 + name.len() as u64 + value.len() as u64;
        sets.iter().map(|pairs| pairs.iter().map(size).sum()).collect()
    };
    let (streams, metadata) = (sizes(&batch.streams), sizes(&batch.metadata));
    let of = |sizes: &[u64], index: u32| sizes.get(index as usize).copied().unwrap_or(0);
    batch.entries.iter().fold(batch.text.len() as u64, |total, entry| {
        total + of(&streams, entry.stream) + of(&metadata, entry.metadata)
    })
}

impl Intake {
    /// Decodes and stores a push.
    pub(crate) fn take(&self, form: &Form, body: &[u8], now: i64) -> Result<Stored, Refusal> {
        let (mut decoded, _turn) = form.decode(body, self, now)?;
        let is_foreign = form.origin.is_none();
        let oddity = match form.dialect {
            Dialect::Loki | Dialect::Otlp if is_foreign => {
                self.odd_times.look(&decoded.batch, self.store.redactor())
            }
            _ => Oddity::default(),
        };
        let verdict = self
            .strict
            .as_ref()
            .and_then(|strict| strict.judge(&mut decoded.batch, now, self.store.redactor()));
        let refused =
            verdict.map(|verdict| (verdict.entries, Refusal::new(verdict.status, verdict.text)));
        let taken = match decoded.batch.is_empty() {
            true => Taken::default(),
            false => self.sources.append(&self.store, &mut decoded.batch)?,
        };
        let Decoded { invalid, empty_streams, .. } = decoded;
        Ok(Stored { taken, invalid, empty_streams, oddity, refused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logtap_loki::{compress_gzip, compress_snappy, encode_push, encode_push_json};

    const LIMIT: usize = 10_000;

    fn batch(
        headers: &[(&'static str, &str)],
        body: &[u8],
        change: impl FnOnce(&mut Intake),
    ) -> Result<Batch, (u16, String)> {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::create(directory.path(), crate::StoreOptions::default()).unwrap();
        let unpacker = Unpacker::new(LIMIT, false);
        let mut intake = Intake {
            store: store.into(),
            unpacker,
            strict: None,
            tenant_label: None,
            sources: Sources::default(),
            odd_times: OddTimes::default(),
        };
        change(&mut intake);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Form::of(Dialect::Loki, &map, &intake)
            .and_then(|form| Ok(form.decode(body, &intake, 0)?.0.batch))
            .map_err(|refusal| (refusal.status.as_u16(), refusal.text))
    }

    fn decode(headers: &[(&'static str, &str)], body: &[u8]) -> Result<Vec<u8>, (u16, String)> {
        batch(headers, body, |_| {}).map(|batch| batch.text)
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
            decode(&[JSON, ("content-encoding", "br")], &json),
            no(400, "Content-Encoding \"br\" not supported")
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

    #[test]
    fn the_tenant_becomes_a_label_on_request() {
        let (json, _) = bodies();
        const TENANT: (&str, &str) = ("X-Scope-OrgID", "team-a");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let plain = batch(&[TENANT], &json, |_| {}).unwrap();
        assert_eq!(plain.streams, [[pair("app", "web")]]);
        let labelled = batch(&[TENANT], &json, |intake| intake.tenant_label = Some("a".into()));
        assert_eq!(labelled.unwrap().streams, [[pair("a", "team-a"), pair("app", "web")]]);
        let replaced = batch(&[TENANT], &json, |intake| intake.tenant_label = Some("app".into()));
        assert_eq!(replaced.unwrap().streams, [[pair("app", "team-a")]]);
        let without = batch(&[], &json, |intake| intake.tenant_label = Some("a".into()));
        assert_eq!(without.unwrap().streams, [[pair("app", "web")]]);
    }

    #[test]
    fn what_would_be_written_has_a_limit_too() {
        let labels = "x".repeat(2000);
        let values = "[\"1\",\"\"],".repeat(50);
        let text = format!(
            "{{\"streams\":[{{\"stream\":{{\"a\":\"{labels}\"}},\"values\":[{}]}}]}}",
            values.trim_end_matches(',')
        );
        assert_eq!(decode(&[], text.as_bytes()).unwrap_err().0, 413);
    }
}
