//! What a real Loki refuses with its default limits, for testing senders: `--strict-loki`.
//!
//! Sizes, ages and rates are those of a single tenant without settings of its own. An entry that Loki
//! would drop is not stored and the push is answered with 400, while its other entries are stored.
//! Nothing is changed in what is stored: no label is added, nothing is cut.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use logtap_capture::{Redactor, Timestamp};
use logtap_loki::{Batch, Labels, print_labels};

const SECOND: i64 = 1_000_000_000;
const MAX_LINE: u32 = 256 << 10;
const MAX_LABELS: usize = 15;
const MAX_NAME: usize = 1024;
const MAX_VALUE: usize = 2048;
const MAX_METADATA_BYTES: usize = 64 << 10;
const MAX_METADATA_PAIRS: usize = 128;
const MAX_AGE: i64 = 7 * 24 * 3600 * SECOND;
const MAX_AHEAD: i64 = 600 * SECOND;
const MAX_BEHIND: i64 = 3600 * SECOND;
const MAX_STREAMS: usize = 5000;
/// Bytes per second and at once, of all streams and of one.
const RATE: (f64, f64) = (4.0 * 1_048_576.0, 6.0 * 1_048_576.0);
const STREAM_RATE: (f64, f64) = (3.0 * 1_048_576.0, 15.0 * 1_048_576.0);
/// Of a stream's name, so many bytes are quoted.
const MAX_QUOTED: usize = 2048;
/// Of refusals of one push, so many are told.
const MAX_TOLD: usize = 10;
/// Loki counts this label, which it adds itself, apart.
const SERVICE_NAME: &str = "service_name";

/// What Loki remembers between pushes.
#[derive(Debug, Default)]
pub(crate) struct Strict {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    all: Bucket,
    streams: HashMap<Labels, Known>,
}

impl Default for State {
    fn default() -> Self {
        Self { all: Bucket::full(RATE), streams: HashMap::new() }
    }
}

#[derive(Debug)]
struct Known {
    bucket: Bucket,
    newest: i64,
}

/// A token bucket.
#[derive(Debug)]
struct Bucket {
    bytes: f64,
    at: i64,
}

impl Bucket {
    fn full((_, burst): (f64, f64)) -> Self {
        Self { bytes: burst, at: i64::MIN }
    }

    fn take(&mut self, size: f64, (rate, burst): (f64, f64), now: i64) -> bool {
        let seconds = now.saturating_sub(self.at).max(0) as f64 / SECOND as f64;
        self.bytes = (self.bytes + seconds * rate).min(burst);
        self.at = now;
        let fits = size <= self.bytes;
        if fits {
            self.bytes -= size;
        }
        fits
    }
}

/// Whether something is wrong with the labels of a stream.
enum Wrong {
    No,
    Told,
    Untold(String),
}

/// Why entries of a push are not stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The status to answer with.
    pub(crate) status: StatusCode,
    /// How many entries.
    pub(crate) entries: u64,
    /// The text to answer with.
    pub(crate) text: String,
}

impl Strict {
    /// Takes out of a push what Loki would refuse, and says why.
    ///
    /// What it quotes of labels is redacted as they would be when they are stored.
    pub(crate) fn judge(
        &self,
        batch: &mut Batch,
        now: i64,
        redactor: &Redactor,
    ) -> Option<Verdict> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let size = batch.text.len();
        if !state.all.take(size as f64, RATE, now) {
            let lines = batch.entries.len();
            let text = format!(
                "ingestion rate limit exceeded for user fake (limit: {} bytes/sec) while attempting \
                 to ingest '{lines}' lines totaling '{size}' bytes, reduce log volume or contact \
                 your Loki administrator to see if the limit can be increased",
                RATE.0
            );
            batch.entries.clear();
            let status = StatusCode::TOO_MANY_REQUESTS;
            return Some(Verdict { status, entries: lines as u64, text });
        }
        let quotable: Vec<_> =
            batch.streams.iter().map(|labels| redactor.redact_pairs(labels)).collect();
        let names: Vec<String> = quotable.iter().map(|labels| quoted_name(labels)).collect();
        let mut wrong: Vec<Wrong> = batch
            .streams
            .iter()
            .zip(&quotable)
            .zip(&names)
            .map(|((labels, quotable), name)| match wrong_labels(labels, quotable, name) {
                None => Wrong::No,
                Some(text) => Wrong::Untold(text),
            })
            .collect();
        drop(quotable);
        let heavy: Vec<Option<&str>> = batch.metadata.iter().map(wrong_metadata).collect();
        let mut refused = Verdict { status: StatusCode::BAD_REQUEST, ..Verdict::default() };
        let mut told: Vec<String> = Vec::new();
        let (streams, mut later) = (&batch.streams, false);
        batch.entries.retain(|entry| {
            let stream = entry.stream as usize;
            let name = names.get(stream).map_or("{}", String::as_str);
            // Labels can be long, and such entries many: each stream is told of once.
            let mut reason = None;
            if let Some(wrong) = wrong.get_mut(stream) {
                match wrong {
                    Wrong::No => {}
                    Wrong::Told => reason = Some(String::new()),
                    Wrong::Untold(text) => {
                        reason = Some(std::mem::take(text));
                        *wrong = Wrong::Told;
                    }
                }
            }
            let reason = reason
                .or_else(|| wrong_entry(entry.timestamp, entry.length, name, now))
                .or_else(|| {
                    let reason = heavy.get(entry.metadata as usize).copied().flatten()?;
                    Some(format!("stream '{name}' has structured metadata {reason}"))
                })
                .or_else(|| {
                    let labels = streams.get(stream)?;
                    let (reason, is_rate) =
                        state.wrong_in_stream(labels, entry.timestamp, entry.length, name, now)?;
                    later |= is_rate;
                    Some(reason)
                });
            let Some(reason) = reason else { return true };
            refused.entries += 1;
            let is_news = !reason.is_empty() && told.last() != Some(&reason);
            if told.len() < MAX_TOLD && is_news {
                told.push(reason);
            }
            false
        });
        if refused.entries == 0 {
            return None;
        }
        if later {
            refused.status = StatusCode::TOO_MANY_REQUESTS;
        }
        refused.text = told.join("\n");
        Some(refused)
    }
}

impl State {
    /// What is wrong with an entry in view of what came before, and whether it is only too much.
    fn wrong_in_stream(
        &mut self,
        labels: &Labels,
        timestamp: i64,
        length: u32,
        name: &str,
        now: i64,
    ) -> Option<(String, bool)> {
        if !self.streams.contains_key(labels) {
            if self.streams.len() >= MAX_STREAMS {
                let text = format!(
                    "maximum active stream limit exceeded when trying to create stream {name}, \
                     reduce the number of active streams (reduce labels or reduce label values)"
                );
                return Some((text, true));
            }
            let known = Known { bucket: Bucket::full(STREAM_RATE), newest: i64::MIN };
            self.streams.insert(labels.clone(), known);
        }
        let known = self.streams.get_mut(labels)?;
        if timestamp < known.newest.saturating_sub(MAX_BEHIND) {
            let text = format!(
                "entry with timestamp {} ignored, reason: 'entry too far behind', for stream: {name}",
                Timestamp(timestamp)
            );
            return Some((text, false));
        }
        if !known.bucket.take(f64::from(length), STREAM_RATE, now) {
            let text = format!(
                "Per stream rate limit exceeded (limit: 3MB/sec) while attempting to ingest for \
                 stream '{name}'"
            );
            return Some((text, true));
        }
        known.newest = known.newest.max(timestamp);
        None
    }
}

fn name_of(labels: &Labels) -> String {
    let mut text = String::new();
    print_labels(labels, &mut text);
    text
}

/// As much of a name as is quoted, for there can be very many entries to quote it for.
fn quoted_name(labels: &Labels) -> String {
    let mut name = name_of(labels);
    if let Some(end) =
        (0..=MAX_QUOTED.min(name.len())).rev().find(|end| name.is_char_boundary(*end))
    {
        name.truncate(end);
    }
    name
}

/// What is wrong with labels, quoted from a form that may be told.
fn wrong_labels(labels: &Labels, quotable: &Labels, name: &str) -> Option<String> {
    let count = labels.iter().filter(|(name, _)| name != SERVICE_NAME).count();
    if count > MAX_LABELS {
        return Some(format!(
            "entry for stream '{name}' has {count} label names; limit {MAX_LABELS}"
        ));
    }
    labels.iter().zip(quotable).find_map(|((label, value), (_, told))| {
        if label.len() > MAX_NAME {
            Some(format!("stream '{name}' has label name too long: '{label}'"))
        } else if value.len() > MAX_VALUE {
            Some(format!("stream '{name}' has label value too long: '{told}'"))
        } else {
            None
        }
    })
}

fn wrong_metadata(pairs: &Labels) -> Option<&'static str> {
    let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_METADATA_BYTES {
        Some("too large: limit is 65536 bytes")
    } else if pairs.len() > MAX_METADATA_PAIRS {
        Some("too large: limit is 128 pairs")
    } else {
        None
    }
}

fn wrong_entry(timestamp: i64, length: u32, name: &str, now: i64) -> Option<String> {
    let oldest = now.saturating_sub(MAX_AGE);
    if timestamp < oldest {
        let (time, oldest) = (Timestamp(timestamp), Timestamp(oldest));
        return Some(format!(
            "entry for stream '{name}' has timestamp too old: {time}, oldest acceptable timestamp \
             is: {oldest}"
        ));
    }
    if timestamp > now.saturating_add(MAX_AHEAD) {
        let time = Timestamp(timestamp);
        return Some(format!("entry for stream '{name}' has timestamp too new: {time}"));
    }
    (length > MAX_LINE).then(|| {
        format!(
            "max entry size '{MAX_LINE}' bytes exceeded for stream '{name}' while adding an entry \
             with length '{length}' bytes"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000 * SECOND;

    fn pairs(count: usize, value: &str) -> Labels {
        (0..count).map(|number| (format!("n{number:03}"), value.to_owned())).collect()
    }

    fn batch(labels: Labels, lines: &[(i64, usize)]) -> Batch {
        let mut batch = Batch::new();
        batch.streams.push(labels);
        for (time, length) in lines {
            batch.push(0, *time, 0, &vec![b'x'; *length]);
        }
        batch
    }

    fn judge(mut batch: Batch) -> (usize, Option<(u16, String)>) {
        let verdict = Strict::default().judge(&mut batch, NOW, &Redactor::none());
        let verdict = verdict.map(|verdict| (verdict.status.as_u16(), verdict.text));
        (batch.entries.len(), verdict)
    }

    #[test]
    fn bad_entries_go_and_good_ones_stay() {
        let labels = || pairs(15, "v");
        let week = 7 * 24 * 3600 * SECOND;
        let fine = [(NOW, 1), (NOW - 3600 * SECOND, 0), (NOW, 256 << 10), (NOW + 600 * SECOND, 1)];
        assert_eq!(judge(batch(labels(), &fine)), (4, None));
        for (line, expected) in [
            ((NOW - week - 1, 1), "timestamp too old"),
            ((NOW + 600 * SECOND + 1, 1), "timestamp too new"),
            ((NOW, (256 << 10) + 1), "max entry size '262144' bytes exceeded"),
            ((NOW - 3601 * SECOND, 1), "entry too far behind"),
        ] {
            let (left, verdict) = judge(batch(labels(), &[(NOW, 1), line, (NOW, 1)]));
            let (status, text) = verdict.unwrap();
            assert_eq!((left, status), (2, 400));
            assert!(text.contains(expected), "{text}");
        }
        for (labels, expected) in [
            (pairs(16, "v"), "has 16 label names; limit 15"),
            (pairs(1, &"v".repeat(2049)), "label value too long"),
            (vec![("n".repeat(1025), "v".to_owned())], "label name too long"),
        ] {
            let (left, verdict) = judge(batch(labels, &[(NOW, 1)]));
            assert!(left == 0 && verdict.clone().unwrap().1.contains(expected), "{verdict:?}");
        }
        let mut heavy = batch(labels(), &[(NOW, 1)]);
        heavy.metadata.push(pairs(129, "v"));
        heavy.push(0, NOW, 1, b"x");
        assert_eq!(judge(heavy).0, 1);
    }

    #[test]
    fn rates_and_streams_are_limited() {
        let strict = Strict::default();
        let judge = |labels: Labels, length: usize, now: i64| {
            let lines = vec![(now, 200_000); length / 200_000];
            let verdict = strict.judge(&mut batch(labels, &lines), now, &Redactor::none());
            verdict.map(|verdict| (verdict.status.as_u16(), verdict.text))
        };
        assert_eq!(judge(pairs(1, "a"), 6_000_000, NOW), None);
        let (status, text) = judge(pairs(1, "a"), 5_000_000, NOW).unwrap();
        assert_eq!(status, 429);
        assert!(text.starts_with("ingestion rate limit exceeded for user fake (limit: 4194304 "));
        assert_eq!(judge(pairs(1, "a"), 4_000_000, NOW + SECOND), None);

        let mut many = Batch::new();
        for number in 0..5001 {
            many.streams.push(vec![("n".to_owned(), number.to_string())]);
            many.push(number, NOW, 0, b"x");
        }
        let verdict = Strict::default().judge(&mut many, NOW, &Redactor::none()).unwrap();
        assert_eq!((verdict.status.as_u16(), verdict.entries, many.entries.len()), (429, 1, 5000));
    }
}
