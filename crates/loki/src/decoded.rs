//! What a push is turned into, and what becomes of entries that are not as they should be.
//!
//! One bad entry does not sink its push. It is kept, under the label [`INVALID`] that says what is
//! wrong with it, with the original text in its metadata.

use std::collections::HashMap;

use crate::batch::{Batch, Entry, Labels, Pairs};
use crate::error::DecodeError;

/// The label of entries that could not be taken as they came. Its values: `labels`, `timestamp`,
/// `entry`, `metadata`.
pub const INVALID: &str = "logtap_invalid";

/// A push taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Its lines.
    pub batch: Batch,
    /// How many of them are under [`INVALID`].
    pub invalid: u64,
    /// How many streams it had, with or without lines.
    pub streams: u64,
    /// How many of them came without a line.
    pub empty_streams: u64,
    /// Memory of its entries and sets in bytes, about.
    weight: usize,
    /// A stream and what is wrong with some of its entries, to the stream of these: labels can be many, and
    /// such entries too.
    marked: HashMap<(u32, &'static str), u32>,
}

/// What a label or metadata set takes in memory beside its text, about.
const SET_WEIGHT: usize = 160;

/// What a pair takes beside its text, about.
const PAIR_WEIGHT: usize = 64;

/// A set with less text than this is taken apart before it is weighed.
const LARGE_SET: usize = 64 << 10;

/// What decoding a push needs to know beside its bytes.
#[derive(Clone, Debug, Default)]
pub struct DecodeOptions {
    /// Which lines of which source these are. Such a push is put into the order of its times.
    pub origin: Option<crate::batch::Origin>,
    /// The time for entries without one, in nanoseconds since 1970.
    pub now: i64,
    /// Whether what Loki refuses is refused instead of kept under [`INVALID`].
    pub strict: bool,
    /// The most memory that entries and sets may take beside the lines, in bytes: a small push can
    /// name very many of them. None is no limit.
    pub max_weight: Option<usize>,
}

impl Decoded {
    pub(crate) fn new() -> Self {
        Self { batch: Batch::new(), ..Self::default() }
    }

    /// Appends a line, as long as there is room.
    #[inline]
    pub(crate) fn push(
        &mut self,
        options: &DecodeOptions,
        (stream, timestamp, metadata): (u32, i64, u32),
        line: &[u8],
    ) -> Result<(), DecodeError> {
        self.batch.push(stream, timestamp, metadata, line);
        self.weight += size_of::<Entry>();
        self.check_weight(options)
    }

    /// Appends a line that is at the end of the batch's text already, from `start` on.
    #[inline]
    pub(crate) fn push_written(
        &mut self,
        options: &DecodeOptions,
        (stream, timestamp, metadata): (u32, i64, u32),
        start: usize,
    ) -> Result<(), DecodeError> {
        let length = (self.batch.text.len() - start) as u32;
        let start = start as u32;
        self.batch.entries.push(Entry { timestamp, stream, metadata, start, length });
        self.weight += size_of::<Entry>();
        self.check_weight(options)
    }

    /// Whether all that was kept so far is within the limit. To be asked after what has no line too.
    #[inline]
    pub(crate) fn check_weight(&self, options: &DecodeOptions) -> Result<(), DecodeError> {
        within(self.weight, options)
    }

    /// Adds a stream, which is new.
    pub(crate) fn new_stream(&mut self, labels: Labels) -> u32 {
        self.weight += weight(&labels);
        self.batch.streams.push(labels);
        (self.batch.streams.len() - 1) as u32
    }

    /// Ends decoding: a push of ours gets back the order that grouping by streams has taken away.
    pub(crate) fn finish(mut self, options: &DecodeOptions) -> Self {
        if let Some(origin) = &options.origin {
            self.batch.entries.sort_by_key(|entry| entry.timestamp);
            self.batch.origin = Some(origin.clone());
        }
        self
    }

    /// Keeps a text that is no entry as a line of its own.
    pub(crate) fn keep_text(
        &mut self,
        options: &DecodeOptions,
        text: &[u8],
    ) -> Result<(), DecodeError> {
        let stream = self.stream(vec![(INVALID.to_owned(), "entry".to_owned())]);
        self.invalid += 1;
        self.push(options, (stream, options.now, 0), text)
    }

    /// A stream of the same labels and a mark of what is wrong.
    pub(crate) fn invalid_stream(&mut self, stream: u32, what: &'static str) -> u32 {
        if let Some(known) = self.marked.get(&(stream, what)) {
            return *known;
        }
        let mut labels = self.batch.streams.get(stream as usize).cloned().unwrap_or_default();
        set(&mut labels, INVALID, what);
        let marked = self.stream(labels);
        self.marked.insert((stream, what), marked);
        marked
    }

    /// The index of a stream with these labels, which is new if it is not the last one.
    pub(crate) fn stream(&mut self, labels: Labels) -> u32 {
        if self.batch.streams.last() == Some(&labels) {
            return (self.batch.streams.len() - 1) as u32;
        }
        self.new_stream(labels)
    }

    /// The index of this metadata, which is new if it is not the last one.
    pub(crate) fn metadata(&mut self, pairs: Pairs) -> u32 {
        if pairs.is_empty() {
            return 0;
        }
        if self.batch.metadata.last() != Some(&pairs) {
            self.weight += weight(&pairs);
            self.batch.metadata.push(pairs);
        }
        (self.batch.metadata.len() - 1) as u32
    }

    /// Metadata of an entry with the original text of something that is wrong.
    pub(crate) fn metadata_with(&mut self, metadata: u32, name: &str, text: &str) -> u32 {
        let mut pairs = self.batch.metadata.get(metadata as usize).cloned().unwrap_or_default();
        set(&mut pairs, name, text);
        self.metadata(pairs)
    }
}

fn weight(pairs: &Pairs) -> usize {
    let text: usize =
        pairs.iter().map(|(name, value)| PAIR_WEIGHT + name.len() + value.len()).sum();
    SET_WEIGHT + text
}

fn within(weight: usize, options: &DecodeOptions) -> Result<(), DecodeError> {
    match options.max_weight {
        Some(limit) if weight > limit => {
            Err(DecodeError::TooLarge { size: weight as u64, limit: limit as u64 })
        }
        _ => Ok(()),
    }
}

/// Refuses a set of labels or metadata before it is taken apart if its pairs would take more memory than
/// there may be: of empty ones, a text holds very many. `between` is what is in each of them.
pub(crate) fn check_set(
    text: &[u8],
    between: u8,
    options: &DecodeOptions,
) -> Result<(), DecodeError> {
    if text.len() < LARGE_SET {
        return Ok(());
    }
    within(memchr::memchr_iter(between, text).count() * PAIR_WEIGHT, options)
}

/// Pairs in order, of which the last one of a name counts. Takes no longer for very many of them.
pub(crate) fn sorted(mut pairs: Vec<(String, String)>) -> Pairs {
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            std::mem::swap(later, earlier);
        }
        same
    });
    pairs
}

/// Sets one pair and keeps the order.
pub(crate) fn set(pairs: &mut Pairs, name: &str, value: &str) {
    match pairs.binary_search_by(|(known, _)| known.as_str().cmp(name)) {
        Ok(place) => {
            if let Some(pair) = pairs.get_mut(place) {
                value.clone_into(&mut pair.1);
            }
        }
        Err(place) => pairs.insert(place, (name.to_owned(), value.to_owned())),
    }
}

/// A line as tests look at it: labels, time, metadata, text.
#[cfg(test)]
pub(crate) type DecodedLine = (Labels, i64, Pairs, String);

#[cfg(test)]
impl Decoded {
    /// All lines with what belongs to each.
    pub(crate) fn lines(&self) -> Vec<DecodedLine> {
        let batch = &self.batch;
        let line = |entry: &Entry| {
            let labels = batch.streams[entry.stream as usize].clone();
            let metadata = batch.metadata[entry.metadata as usize].clone();
            let line = String::from_utf8_lossy(batch.line(entry)).into_owned();
            (labels, entry.timestamp, metadata, line)
        };
        batch.entries.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decode_push, decode_push_json};

    fn options(max_weight: usize) -> DecodeOptions {
        DecodeOptions { max_weight: Some(max_weight), ..DecodeOptions::default() }
    }

    #[test]
    fn streams_without_entries_have_a_limit_too() {
        let streams: Vec<String> =
            (0..5_000).map(|number| format!("{{\"stream\":{{\"a\":\"{number}\"}}}}")).collect();
        let text = format!("{{\"streams\":[{}]}}", streams.join(","));
        assert_eq!(decode_push_json(text.as_bytes(), &options(2 << 20)).unwrap().streams, 5_000);
        let error = decode_push_json(text.as_bytes(), &options(1 << 20)).unwrap_err();
        assert!(matches!(error, DecodeError::TooLarge { .. }), "{error}");

        let mut protobuf = Vec::new();
        for number in 0..5_000 {
            let labels = format!("{{a=\"{number:04}\"}}");
            let stream = [&[10, labels.len() as u8][..], labels.as_bytes()].concat();
            protobuf.extend_from_slice(&[&[10, stream.len() as u8][..], &stream].concat());
        }
        assert_eq!(decode_push(&protobuf, &options(2 << 20)).unwrap().streams, 5_000);
        let error = decode_push(&protobuf, &options(1 << 20)).unwrap_err();
        assert!(matches!(error, DecodeError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn sets_of_very_many_pairs_are_refused_before_they_are_made() {
        let text = "a:,".repeat(30_000);
        let weight = 30_000 * PAIR_WEIGHT;
        assert_eq!(check_set(text.as_bytes(), b':', &options(weight)), Ok(()));
        let error = check_set(text.as_bytes(), b':', &options(weight - 1)).unwrap_err();
        let (size, limit) = (weight as u64, weight as u64 - 1);
        assert_eq!(error, DecodeError::TooLarge { size, limit });
        assert_eq!(
            check_set(&text.as_bytes()[..100], b':', &options(1)),
            Ok(()),
            "looked at later"
        );
    }
}
