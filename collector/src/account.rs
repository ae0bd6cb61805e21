//! The books: what each stream and ring delivered, lost and tore, added up as rings end.

use std::collections::BTreeMap;

use logtap_wire::ring::StreamKind;

use crate::counts::{
    Counts, MAX_LISTED, MAX_RINGS_LISTED, RingSummary, StreamSummary, Summary, Totals,
};
use crate::labels::stream_name;
use crate::operation::RingEnd;

/// Streams that the totals tell apart; further ones count as one.
const MAX_STREAM_TOTALS: usize = 10_000;

/// Bytes of names in the totals, and as many again in the list of rings. Names come from applications.
const MAX_NAME_BYTES: usize = 4 << 20;
/// About what a listed stream takes beside its name.
const COST_OF_LISTING: usize = 200;

/// Stands for files whose own names would be too many.
pub(crate) const OTHER_FILES: &[u8] = b"(other files)";

/// What was counted so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) counts: Counts,
    streams: BTreeMap<(StreamKind, Vec<u8>, String), Totals>,
    rings: Vec<RingSummary>,
    not_listed: u64,
    /// Bytes of the paths in `streams`.
    stream_bytes: usize,
    /// Bytes of the names in `rings`.
    ring_bytes: usize,
}

/// What is known of a ring beside its streams.
#[derive(Clone, Debug)]
pub(crate) struct RingFacts {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) executable: String,
    pub(crate) source: String,
    pub(crate) torn_unknown: u64,
    processes: Vec<u32>,
}

impl RingFacts {
    pub(crate) fn new(name: &[u8], pid: u32, executable: &str, source: String) -> Self {
        Self {
            name: String::from_utf8_lossy(name).into_owned(),
            pid,
            executable: executable.to_owned(),
            source,
            torn_unknown: 0,
            processes: Vec::new(),
        }
    }

    pub(crate) fn saw_process(&mut self, pid: u32) {
        if pid != 0 && self.processes.len() < MAX_LISTED && !self.processes.contains(&pid) {
            self.processes.push(pid);
        }
    }
}

impl Counts {
    /// Adds what a stream's totals grew by.
    pub(crate) fn add_growth(&mut self, before: &Totals, after: &Totals) {
        let totals = &mut self.totals;
        self.lines += after.lines - before.lines;
        totals.lines += after.lines - before.lines;
        totals.records += after.records - before.records;
        totals.bytes += after.bytes - before.bytes;
        let lost = after.lost_records.saturating_sub(before.lost_records);
        totals.lost_records = totals.lost_records.saturating_add(lost);
        let lost = after.lost_bytes.saturating_sub(before.lost_bytes);
        totals.lost_bytes = totals.lost_bytes.saturating_add(lost);
    }
}

impl Account {
    /// Adds what a ring's streams have in their books.
    pub(crate) fn ring_ended<'a>(
        &mut self,
        facts: RingFacts,
        coverage: u32,
        how: RingEnd,
        streams: impl Iterator<Item = (StreamKind, &'a [u8], Totals)>,
    ) {
        let (mut listed, mut bytes) = (Vec::new(), COST_OF_LISTING);
        for (kind, path, totals) in streams {
            if totals == Totals::default() {
                continue;
            }
            self.totals_of(kind, path, &facts.source).add(&totals);
            bytes += path.len() + COST_OF_LISTING;
            if self.ring_bytes + bytes <= MAX_NAME_BYTES {
                listed.push(summarise(kind, path, &facts.source, totals));
            }
        }
        self.ring_bytes += bytes;
        if self.rings.len() >= MAX_RINGS_LISTED || self.ring_bytes > MAX_NAME_BYTES {
            self.not_listed += 1;
            return;
        }
        self.rings.push(RingSummary {
            name: facts.name,
            pid: facts.pid,
            executable: facts.executable,
            source: facts.source,
            coverage,
            state: match how {
                RingEnd::Released => "ended",
                RingEnd::Left => "held",
                RingEnd::Hostile => "hostile",
            },
            processes: facts.processes,
            torn_unknown: facts.torn_unknown,
            streams: listed,
        });
    }

    /// Adds to the totals of a stream of the library whose ring has ended.
    pub(crate) fn add(&mut self, kind: StreamKind, path: &[u8], totals: &Totals) {
        self.totals_of(kind, path, "preload").add(totals);
    }

    /// The totals of a stream; of all further files together where there are too many.
    fn totals_of(&mut self, kind: StreamKind, path: &[u8], source: &str) -> &mut Totals {
        let full = self.streams.len() >= MAX_STREAM_TOTALS
            || self.stream_bytes + path.len() > MAX_NAME_BYTES;
        let mut key = (kind, path.to_vec(), source.to_owned());
        if !self.streams.contains_key(&key) {
            if full {
                key.1 = OTHER_FILES.to_vec();
            }
            if !self.streams.contains_key(&key) {
                self.stream_bytes += key.1.len();
            }
        }
        self.streams.entry(key).or_default()
    }

    /// As a summary.
    pub(crate) fn into_summary(self) -> Summary {
        Summary {
            counts: self.counts,
            streams: self
                .streams
                .iter()
                .map(|((kind, path, source), totals)| summarise(*kind, path, source, *totals))
                .collect(),
            rings: self.rings,
            rings_not_listed: self.not_listed,
            ..Summary::default()
        }
    }
}

fn summarise(kind: StreamKind, path: &[u8], source: &str, totals: Totals) -> StreamSummary {
    StreamSummary {
        stream: stream_name(kind),
        file: (kind == StreamKind::File).then(|| String::from_utf8_lossy(path).into_owned()),
        source: source.to_owned(),
        totals,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_name_has_room_for_is_counted_under_one_name() {
        let mut account = Account::default();
        let totals = Totals { lines: 1, bytes: 10, ..Totals::default() };
        for number in 0..MAX_STREAM_TOTALS + 5 {
            let path = format!("/var/log/{number}");
            account.add(StreamKind::File, path.as_bytes(), &totals);
        }
        let summary = account.into_summary();
        assert_eq!(summary.streams.len(), MAX_STREAM_TOTALS + 1);
        let bytes: u64 = summary.streams.iter().map(|stream| stream.totals.bytes).sum();
        assert_eq!(bytes, 10 * (MAX_STREAM_TOTALS as u64 + 5));
    }
}
