//! Limits for labels: how many a stream may have, and how long each may be.
//!
//! Labels are written with each line, and every value of theirs is in the index: they are for few and short
//! values. What is beyond a limit is not lost: it becomes metadata of the stream's lines, which get the
//! label for what is not as it should be.

use std::collections::btree_map::Entry as Place;
use std::collections::{BTreeMap, HashMap};

use logtap_loki::{Batch, DecodeError, INVALID, Pairs};

/// So many labels a stream may have.
pub(crate) const MAX_LABELS: usize = 100;
/// So many bytes the name of one may have, and its value.
pub(crate) const MAX_NAME: usize = 1024;
pub(crate) const MAX_VALUE: usize = 4096;

/// What a pair takes in memory beside its text, about.
const PAIR_WEIGHT: usize = 64;

/// Makes metadata of the labels beyond the limits; how many lines are marked for that which were not marked
/// before. All that is made may take `room` bytes.
pub(crate) fn limit_labels(batch: &mut Batch, room: usize) -> Result<u64, DecodeError> {
    let mut beyond: HashMap<u32, Beyond> = HashMap::new();
    for (index, labels) in batch.streams.iter_mut().enumerate() {
        if labels.len() <= MAX_LABELS && labels.iter().all(is_short) {
            continue;
        }
        let (mut kept, mut pairs) = (Pairs::new(), Pairs::new());
        for pair in std::mem::take(labels) {
            let fits = pair.0 == INVALID || (kept.len() < MAX_LABELS && is_short(&pair));
            if fits { &mut kept } else { &mut pairs }.push(pair);
        }
        let place = kept.binary_search_by(|(name, _)| name.as_str().cmp(INVALID));
        if let Err(place) = place {
            kept.insert(place, (INVALID.to_owned(), "labels".to_owned()));
        }
        *labels = kept;
        beyond.insert(index as u32, Beyond { pairs, was_marked: place.is_ok() });
    }
    if beyond.is_empty() {
        return Ok(0);
    }
    let (mut made, mut marked, mut weight) = (HashMap::new(), 0, 0);
    for entry in &mut batch.entries {
        let Some(Beyond { pairs, was_marked }) = beyond.get(&entry.stream) else { continue };
        marked += u64::from(!was_marked);
        let key = (entry.stream, entry.metadata);
        if let Some(known) = made.get(&key) {
            entry.metadata = *known;
            continue;
        }
        let own = batch.metadata.get(entry.metadata as usize).cloned().unwrap_or_default();
        let size = |(name, value): &(String, String)| PAIR_WEIGHT + name.len() + value.len();
        weight += own.iter().chain(pairs).map(size).sum::<usize>();
        if weight > room {
            return Err(DecodeError::TooLarge { size: weight as u64, limit: room as u64 });
        }
        batch.metadata.push(joined(own, pairs));
        entry.metadata = (batch.metadata.len() - 1) as u32;
        made.insert(key, entry.metadata);
    }
    Ok(marked)
}

struct Beyond {
    pairs: Pairs,
    was_marked: bool,
}

fn is_short((name, value): &(String, String)) -> bool {
    name.len() <= MAX_NAME && value.len() <= MAX_VALUE
}

/// Metadata with labels; one whose name is taken gets another.
fn joined(own: Pairs, labels: &Pairs) -> Pairs {
    let mut all: BTreeMap<String, String> = own.into_iter().collect();
    for (name, value) in labels {
        let mut name = name.clone();
        loop {
            match all.entry(name) {
                Place::Vacant(place) => {
                    place.insert(value.clone());
                    break;
                }
                Place::Occupied(place) => name = format!("label_{}", place.key()),
            }
        }
    }
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    fn numbered(count: usize) -> Pairs {
        (0..count).map(|number| pair(&format!("n{number:03}"), "v")).collect()
    }

    #[test]
    fn labels_within_the_limits_stay() {
        let mut batch = Batch::new();
        batch.streams.push(numbered(MAX_LABELS));
        batch.streams.push(vec![pair(&"n".repeat(MAX_NAME), &"v".repeat(MAX_VALUE))]);
        batch.push(0, 1, 0, b"x");
        batch.push(1, 1, 0, b"x");
        let before = batch.clone();
        assert_eq!((limit_labels(&mut batch, 0), batch), (Ok(0), before));
    }

    #[test]
    fn labels_beyond_the_limits_become_metadata_of_a_marked_line() {
        let mut batch = Batch::new();
        batch.metadata.push(vec![pair("n101", "own")]);
        batch.streams.push(numbered(MAX_LABELS + 2));
        batch.streams.push(vec![
            pair("a", "short"),
            pair("b", &"v".repeat(MAX_VALUE + 1)),
            pair(INVALID, "timestamp"),
        ]);
        batch.streams.push(vec![pair(&"n".repeat(MAX_NAME + 1), "v")]);
        for (stream, metadata) in [(0, 0), (0, 1), (0, 0), (1, 0), (2, 0)] {
            batch.push(stream, 1, metadata, b"x");
        }
        assert_eq!(limit_labels(&mut batch, 1 << 20), Ok(4), "one was marked before");
        let (streams, mark) = (&batch.streams, pair(INVALID, "labels"));
        assert_eq!(streams[0].len(), MAX_LABELS + 1);
        assert!(streams[0].contains(&mark) && streams[0].is_sorted());
        assert_eq!(streams[1], [pair("a", "short"), pair(INVALID, "timestamp")]);
        assert_eq!(streams[2], [mark]);
        let of = |entry: usize| &batch.metadata[batch.entries[entry].metadata as usize];
        assert_eq!(*of(0), [pair("n100", "v"), pair("n101", "v")]);
        assert_eq!(*of(1), [pair("label_n101", "v"), pair("n100", "v"), pair("n101", "own")]);
        assert_eq!(batch.entries[0].metadata, batch.entries[2].metadata, "it is made once");
        assert_eq!(of(3)[0].1.len(), MAX_VALUE + 1);
        assert_eq!(of(4)[0].0.len(), MAX_NAME + 1);
    }

    #[test]
    fn what_is_made_of_labels_has_a_limit() {
        let mut batch = Batch::new();
        batch.streams.push(numbered(10_000));
        for number in 0..100 {
            batch.metadata.push(vec![pair("trace", &number.to_string())]);
            batch.push(0, 1, number + 1, b"x");
        }
        let error = limit_labels(&mut batch, 1 << 20).unwrap_err();
        assert!(matches!(error, DecodeError::TooLarge { limit: 1_048_576, .. }), "{error}");
    }
}
