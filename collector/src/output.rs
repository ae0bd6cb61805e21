//! Lines into the batch that is being filled: numbers, time stamps, labels and metadata.
//!
//! Every line gets the next number of its source and a time stamp after the one before, so that both
//! are the same when the same lines are made again after a crash.

use std::collections::HashMap;
use std::sync::Arc;

use logtap_loki::{Batch, Entry, LEVELS, Labels, Level, Origin, Pairs, detect_level as detect};

use crate::lines::Mark;

/// Where lines go.
#[derive(Debug)]
pub(crate) struct Output {
    source: String,
    batch: Batch,
    /// Number of the next line.
    next: u64,
    /// Number of the batch's first line.
    first: u64,
    /// Lines up to this number are with the sink already and only counted.
    skip_through: u64,
    last_timestamp: i64,
    detect_level: bool,
    /// Tells the caches of [`Writer`]s which batch they were filled for.
    epoch: u32,
    streams: HashMap<Arc<Labels>, u32>,
}

/// What the lines of one writer have in common, and where that lies in the batch.
#[derive(Debug)]
pub(crate) struct Writer {
    labels: Arc<Labels>,
    executable: Arc<str>,
    pid: u32,
    epoch: u32,
    stream: u32,
    metadata: [Option<u32>; LEVELS],
}

/// What is said of a line beside its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    /// When it began.
    pub(crate) time: i64,
    /// How it came to its end.
    pub(crate) mark: Mark,
    /// Its record came after later ones.
    pub(crate) late: bool,
}

impl Writer {
    pub(crate) fn new(labels: Arc<Labels>, executable: Arc<str>, pid: u32) -> Self {
        Self { labels, executable, pid, epoch: 0, stream: 0, metadata: [None; LEVELS] }
    }
}

impl Output {
    pub(crate) fn new(source: String, detect_level: bool) -> Self {
        Self {
            source,
            batch: Batch::new(),
            next: 1,
            first: 1,
            skip_through: 0,
            last_timestamp: i64::MIN,
            detect_level,
            epoch: 1,
            streams: HashMap::new(),
        }
    }

    /// Lines up to this number are with the sink already.
    pub(crate) fn skip_through(&mut self, number: u64) {
        self.skip_through = number;
    }

    /// Number of the next line and the last time stamp.
    pub(crate) fn numbering(&self) -> (u64, i64) {
        (self.next, self.last_timestamp)
    }

    /// Goes on as another collector left off.
    pub(crate) fn resume(&mut self, next: u64, last_timestamp: i64) {
        self.next = next;
        self.first = next;
        self.last_timestamp = last_timestamp;
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, writer: &mut Writer, line: &[u8], about: About) {
        let Some((timestamp, stream)) = self.number(writer, about.time) else { return };
        let level = if self.detect_level { detect(line) } else { None };
        let metadata = if about.mark == Mark::Whole && !about.late {
            let slot = level.map_or(0, |level| level as usize);
            match writer.metadata[slot] {
                Some(metadata) => metadata,
                None => {
                    let metadata = self.add_metadata(writer, level, &[]);
                    writer.metadata[slot] = Some(metadata);
                    metadata
                }
            }
        } else {
            let mut more: Vec<(&str, String)> = Vec::new();
            if about.late {
                more.push(("late", "true".to_owned()));
            }
            match about.mark {
                Mark::Whole => {}
                Mark::Partial => more.push(("partial", "true".to_owned())),
                Mark::Split => more.push(("split", "true".to_owned())),
            }
            self.add_metadata(writer, level, &more)
        };
        self.batch.push(stream, timestamp, metadata, line);
    }

    /// Adds an entry that stands for what is missing at this place of the stream.
    pub(crate) fn gap(&mut self, writer: &mut Writer, records: u64, bytes: u64, time: i64) {
        let Some((timestamp, stream)) = self.number(writer, time) else { return };
        let more = [("lost_bytes", bytes.to_string()), ("lost_records", records.to_string())];
        let metadata = self.add_metadata(writer, None, &more);
        let text = format!("[logtap: {records} records, {bytes} bytes lost here]");
        self.batch.push(stream, timestamp, metadata, text.as_bytes());
    }

    /// The lines since the last [`Output::clear`], with their numbers.
    pub(crate) fn batch(&mut self) -> &Batch {
        let entries = self.batch.entries.len() as u64;
        self.batch.origin = (entries > 0).then(|| Origin {
            source: self.source.clone(),
            first: self.first,
            last: self.first + entries - 1,
        });
        &self.batch
    }

    /// Number of the batch's last line; of the last line before it where it is empty.
    pub(crate) fn last(&self) -> u64 {
        self.next - 1
    }

    /// Bytes that the batch takes: a million empty lines are not small.
    pub(crate) fn len(&self) -> usize {
        self.batch.text.len() + self.batch.entries.len() * size_of::<Entry>()
    }

    /// Number of lines in the batch.
    pub(crate) fn lines(&self) -> u64 {
        self.batch.entries.len() as u64
    }

    /// Starts the next batch.
    pub(crate) fn clear(&mut self) {
        self.batch.clear();
        self.streams.clear();
        self.first = self.next;
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Gives the line its number. `None` where the sink has it already.
    fn number(&mut self, writer: &mut Writer, time: i64) -> Option<(i64, u32)> {
        let number = self.next;
        self.next += 1;
        self.last_timestamp = time.max(self.last_timestamp.saturating_add(1));
        if number <= self.skip_through {
            self.first = self.next;
            return None;
        }
        if writer.epoch != self.epoch {
            writer.epoch = self.epoch;
            writer.metadata = [None; LEVELS];
            writer.stream = match self.streams.get(&writer.labels) {
                Some(&stream) => stream,
                None => {
                    let stream = self.batch.streams.len() as u32;
                    self.batch.streams.push(Labels::clone(&writer.labels));
                    self.streams.insert(Arc::clone(&writer.labels), stream);
                    stream
                }
            };
        }
        Some((self.last_timestamp, writer.stream))
    }

    fn add_metadata(
        &mut self,
        writer: &Writer,
        level: Option<Level>,
        more: &[(&str, String)],
    ) -> u32 {
        let mut pairs = Pairs::with_capacity(3 + more.len());
        if let Some(level) = level {
            pairs.push(("detected_level".to_owned(), level.name().to_owned()));
        }
        if !writer.executable.is_empty() {
            pairs.push(("exe".to_owned(), writer.executable.to_string()));
        }
        if writer.pid != 0 {
            pairs.push(("pid".to_owned(), writer.pid.to_string()));
        }
        pairs.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        pairs.sort_unstable();
        self.batch.metadata.push(pairs);
        self.batch.metadata.len() as u32 - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(time: i64) -> About {
        About { time, mark: Mark::Whole, late: false }
    }

    fn writer(stream: &str, pid: u32) -> Writer {
        let labels = vec![("stream".to_owned(), stream.to_owned())];
        Writer::new(Arc::new(labels), "/bin/sh".into(), pid)
    }

    #[test]
    fn numbers_have_no_holes_and_times_grow() {
        let mut output = Output::new("s".to_owned(), true);
        let (mut a, mut b) = (writer("stdout", 1), writer("stderr", 1));
        output.line(&mut a, b"one", whole(10));
        output.line(&mut b, b"error: two", whole(10));
        output.line(&mut a, b"three", whole(5));
        let batch = output.batch();
        assert_eq!(batch.entries.iter().map(|e| e.timestamp).collect::<Vec<_>>(), [10, 11, 12]);
        assert_eq!(batch.entries.iter().map(|e| e.stream).collect::<Vec<_>>(), [0, 1, 0]);
        let origin = batch.origin.clone().unwrap();
        assert_eq!((origin.first, origin.last), (1, 3));
        assert_eq!(batch.line(&batch.entries[1]), b"error: two");
        assert_eq!(batch.entries[0].metadata, batch.entries[2].metadata);
        let metadata = &batch.metadata[batch.entries[1].metadata as usize];
        assert_eq!(metadata[0], ("detected_level".to_owned(), "error".to_owned()));
        output.clear();
        output.line(&mut b, b"four", whole(1));
        let batch = output.batch();
        assert_eq!(batch.origin.as_ref().unwrap().first, 4);
        assert_eq!(batch.streams.len(), 1);
        assert_eq!(batch.entries[0].timestamp, 13);
    }

    #[test]
    fn what_the_sink_has_is_skipped_but_numbered() {
        let mut output = Output::new("s".to_owned(), false);
        output.skip_through(2);
        let mut a = writer("stdout", 1);
        for line in [b"1", b"2", b"3"] {
            output.line(&mut a, line, whole(7));
        }
        let batch = output.batch();
        assert_eq!(batch.origin.as_ref().map(|o| (o.first, o.last)), Some((3, 3)));
        assert_eq!(batch.text, b"3");
        assert_eq!(batch.entries[0].timestamp, 9);
    }

    #[test]
    fn a_gap_tells_what_is_missing() {
        let mut output = Output::new("s".to_owned(), true);
        output.gap(&mut writer("stdout", 0), 12, 3456, 1);
        let batch = output.batch();
        assert_eq!(batch.text, b"[logtap: 12 records, 3456 bytes lost here]");
        let metadata = &batch.metadata[batch.entries[0].metadata as usize];
        assert!(metadata.contains(&("lost_records".to_owned(), "12".to_owned())));
    }
}
