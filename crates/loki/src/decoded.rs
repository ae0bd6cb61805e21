//! What a push is turned into, and what becomes of entries that are not as they should be.
//!
//! One bad entry does not sink its push. It is kept, under the label [`INVALID`] that says what is
//! wrong with it, with the original text in its metadata.

use crate::batch::{Batch, Labels, Pairs};

/// The label of entries that could not be taken as they came. Its values: `labels`, `timestamp`,
/// `entry`.
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
}

/// What decoding a push needs to know beside its bytes.
#[derive(Clone, Debug, Default)]
pub struct DecodeOptions {
    /// Which lines of which source these are. Such a push is put into the order of its times.
    pub origin: Option<crate::batch::Origin>,
    /// The time for entries without one, in nanoseconds since 1970.
    pub now: i64,
}

impl Decoded {
    pub(crate) fn new() -> Self {
        Self { batch: Batch::new(), invalid: 0, streams: 0 }
    }

    /// Ends decoding: a push of ours gets back the order that grouping by streams has taken away.
    pub(crate) fn finish(mut self, options: &DecodeOptions) -> Self {
        if let Some(origin) = &options.origin {
            self.batch.entries.sort_by_key(|entry| entry.timestamp);
            self.batch.origin = Some(origin.clone());
        }
        self
    }

    /// A stream of the same labels and a mark of what is wrong.
    pub(crate) fn invalid_stream(&mut self, stream: u32, what: &str) -> u32 {
        let mut labels = self.batch.streams.get(stream as usize).cloned().unwrap_or_default();
        set(&mut labels, INVALID, what);
        self.stream(labels)
    }

    /// The index of a stream with these labels, which is new if it is not the last one.
    pub(crate) fn stream(&mut self, labels: Labels) -> u32 {
        if self.batch.streams.last() != Some(&labels) {
            self.batch.streams.push(labels);
        }
        (self.batch.streams.len() - 1) as u32
    }

    /// The index of this metadata, which is new if it is not the last one.
    pub(crate) fn metadata(&mut self, pairs: Pairs) -> u32 {
        if pairs.is_empty() {
            return 0;
        }
        if self.batch.metadata.last() != Some(&pairs) {
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
