//! Which lines of which source are stored: what makes sending again harmless.
//!
//! The sources that were not heard of for the longest time are forgotten when there are too many.

use std::collections::{BTreeMap, HashMap};

/// More sources than this are not remembered at a time; the lines of one that was forgotten are stored
/// again if they are sent again.
pub(crate) const MAX_SOURCES: usize = 65_536;

/// For each source the number of its last stored line.
pub(crate) type Sources = BTreeMap<String, u64>;

/// The last stored line of each source.
#[derive(Debug, Default)]
pub(crate) struct StoredLines {
    sources: HashMap<String, Source>,
    /// Counts the calls of [`StoredLines::set`].
    clock: u64,
}

#[derive(Debug)]
struct Source {
    last: u64,
    heard: u64,
}

impl StoredLines {
    /// The number of the last stored line of a source, 0 if there is none.
    pub(crate) fn last(&self, source: &str) -> u64 {
        self.sources.get(source).map_or(0, |source| source.last)
    }

    /// Notes that the lines of a source are stored up to this one.
    pub(crate) fn set(&mut self, source: &str, last: u64) {
        self.clock += 1;
        let heard = self.clock;
        if let Some(known) = self.sources.get_mut(source) {
            *known = Source { last: last.max(known.last), heard };
            return;
        }
        if self.sources.len() >= MAX_SOURCES {
            self.forget_some();
        }
        self.sources.insert(source.to_owned(), Source { last, heard });
    }

    /// Forgets the quarter that was not heard of for the longest time.
    fn forget_some(&mut self) {
        let mut heard: Vec<u64> = self.sources.values().map(|source| source.heard).collect();
        let (_, &mut limit, _) = heard.select_nth_unstable(MAX_SOURCES / 4);
        self.sources.retain(|_, source| source.heard >= limit);
    }
}

impl From<Sources> for StoredLines {
    fn from(sources: Sources) -> Self {
        let mut stored = Self::default();
        for (source, last) in sources {
            stored.set(&source, last);
        }
        stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_never_go_back_and_the_longest_silent_are_forgotten() {
        let mut stored = StoredLines::default();
        stored.set("a", 5);
        stored.set("a", 3);
        assert_eq!((stored.last("a"), stored.last("b")), (5, 0));
        for number in 0..2 * MAX_SOURCES {
            stored.set(&number.to_string(), 1);
            stored.set("a", 6);
            assert!(stored.sources.len() <= MAX_SOURCES);
        }
        assert_eq!(stored.last("a"), 6);
        assert_eq!(stored.last("0"), 0);
        assert_eq!(stored.last(&(2 * MAX_SOURCES - 1).to_string()), 1);
    }
}
