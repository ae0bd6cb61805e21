//! A batch: lines of several streams in the order in which they were written.
//!
//! The text of all lines lies in one buffer and label sets and metadata are shared, so that a line
//! costs one small entry and no allocation of its own.

/// Name and value pairs in ascending order of their names, each name once.
pub type Pairs = Vec<(String, String)>;

/// The labels of a stream.
pub type Labels = Pairs;

/// Lines of several streams, in the order in which they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The label sets; [`Entry::stream`] points into them.
    pub streams: Vec<Labels>,
    /// Structured metadata sets shared by entries; [`Entry::metadata`] points into them.
    /// Index 0 is always there and empty.
    pub metadata: Vec<Pairs>,
    /// The lines in order.
    pub entries: Vec<Entry>,
    /// The bytes of all lines, without line ends, as the program wrote them (any bytes).
    pub text: Vec<u8>,
    /// Which lines of which source these are, if the sender says so.
    pub origin: Option<Origin>,
}

/// One line of a [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Nanoseconds since 1970-01-01 UTC. Strictly growing within a batch that has an origin.
    pub timestamp: i64,
    /// Index into [`Batch::streams`].
    pub stream: u32,
    /// Index into [`Batch::metadata`].
    pub metadata: u32,
    /// Where the line starts in [`Batch::text`].
    pub start: u32,
    /// Its length in bytes.
    pub length: u32,
}

/// Numbers the lines of one source, so that a receiver can skip what it has already.
///
/// A sender numbers its lines from 1 without holes. A batch holds the lines `first..=last`; a
/// receiver that has stored the source's lines up to N skips all entries numbered up to N.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Unique for all time: 32 hexadecimal digits. Who knows it sends as the source; a receiver keeps it to
    /// itself.
    pub source: String,
    /// Number of the first line of the batch, from 1.
    pub first: u64,
    /// Number of the last line of the batch: `first + entries - 1`.
    pub last: u64,
}

impl Batch {
    /// An empty batch without streams.
    pub fn new() -> Self {
        Self { metadata: vec![Pairs::new()], ..Self::default() }
    }

    /// The bytes of an entry's line.
    pub fn line(&self, entry: &Entry) -> &[u8] {
        let start = entry.start as usize;
        self.text.get(start..start + entry.length as usize).unwrap_or_default()
    }

    /// Appends a line.
    pub fn push(&mut self, stream: u32, timestamp: i64, metadata: u32, line: &[u8]) {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(line);
        self.entries.push(Entry { timestamp, stream, metadata, start, length: line.len() as u32 });
    }

    /// The same labels, metadata and origin, and no line.
    pub fn clone_without_lines(&self) -> Self {
        Self {
            streams: self.streams.clone(),
            metadata: self.metadata.clone(),
            entries: Vec::new(),
            text: Vec::new(),
            origin: self.origin.clone(),
        }
    }

    /// Some of its lines, with the label sets and metadata that they have, and their numbers.
    pub fn part(&self, lines: std::ops::Range<usize>) -> Self {
        let (first, count) = (lines.start as u64, lines.len() as u64);
        let mut part = Self::new();
        let mut streams = std::collections::HashMap::new();
        let mut metadata = std::collections::HashMap::from([(0, 0)]);
        for entry in self.entries.get(lines).unwrap_or_default() {
            let stream = *streams.entry(entry.stream).or_insert_with(|| {
                part.streams.extend(self.streams.get(entry.stream as usize).cloned());
                part.streams.len() as u32 - 1
            });
            let set = *metadata.entry(entry.metadata).or_insert_with(|| {
                part.metadata.extend(self.metadata.get(entry.metadata as usize).cloned());
                part.metadata.len() as u32 - 1
            });
            part.push(stream, entry.timestamp, set, self.line(entry));
        }
        part.origin = self.origin.as_ref().filter(|_| count > 0).map(|origin| Origin {
            source: origin.source.clone(),
            first: origin.first + first,
            last: origin.first + first + count - 1,
        });
        part
    }

    /// Whether it holds no line.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets the lines and keeps the memory.
    pub fn clear(&mut self) {
        self.streams.clear();
        self.metadata.truncate(1);
        self.entries.clear();
        self.text.clear();
        self.origin = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_its_own_lines_labels_and_numbers() {
        let mut batch = Batch::new();
        for name in ["a", "b"] {
            batch.streams.push(vec![("app".into(), name.into())]);
            batch.metadata.push(vec![("pid".into(), name.into())]);
        }
        for number in 0..4_u32 {
            batch.push(number % 2, i64::from(number), number % 3, &[b'0' + number as u8]);
        }
        batch.origin = Some(Origin { source: "s".into(), first: 11, last: 14 });
        let part = batch.part(1..2);
        assert_eq!((part.entries.len(), part.line(&part.entries[0])), (1, &b"1"[..]));
        assert_eq!(part.streams, [batch.streams[1].clone()]);
        assert_eq!(part.metadata[part.entries[0].metadata as usize], batch.metadata[1]);
        assert_eq!(part.origin.map(|origin| (origin.first, origin.last)), Some((12, 12)));
        let all = batch.part(0..4);
        assert_eq!((all.entries, all.text, all.origin), (batch.entries, batch.text, batch.origin));
    }
}
