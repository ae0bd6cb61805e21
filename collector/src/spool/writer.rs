//! The end that the drain thread appends to.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ring_table::RingTable;
use super::segment::{SEGMENT_HEADER, segment_header, write_frame};
use super::{Between, End, Recovered, failed, segment_path};
use crate::chunk::{Adoption, Chunk};
use crate::error::CollectorError;
use crate::operation::RingId;
use crate::shared::locked;

/// Appends chunks to the last segment.
#[derive(Debug)]
pub(crate) struct SpoolWriter {
    directory: PathBuf,
    /// Bytes that all segments may take.
    size: u64,
    /// Bytes after which the next segment is begun.
    segment_size: u64,
    between: Arc<Between>,
    table: RingTable,
    segment: u64,
    file: File,
    offset: u64,
    buffer: Vec<u8>,
    /// Chunks that found no room.
    held: VecDeque<Chunk>,
    /// Chunks that are in the spool.
    safe: VecDeque<Chunk>,
    /// The last failure to write was told.
    failing: bool,
}

impl SpoolWriter {
    pub(super) fn open(
        directory: PathBuf,
        size: u64,
        segment_size: u64,
        start: u64,
        found: Recovered,
        between: Arc<Between>,
    ) -> Result<Self, CollectorError> {
        let Recovered { table, last, used } = found;
        between.used.store(used, Ordering::Relaxed);
        let (segment, file, offset) = match last {
            Some((number, length)) => {
                let path = segment_path(&directory, number);
                let file =
                    File::options().write(true).open(&path).map_err(failed("open", &path))?;
                (number, file, length)
            }
            None => {
                let path = segment_path(&directory, start);
                let file = File::create(&path).map_err(failed("make", &path))?;
                file.write_all_at(&segment_header(), 0).map_err(failed("write", &path))?;
                between.used.store(SEGMENT_HEADER, Ordering::Relaxed);
                (start, file, SEGMENT_HEADER)
            }
        };
        *locked(&between.end) = End { segment, offset, closed: false };
        Ok(Self {
            directory,
            size,
            segment_size,
            between,
            table,
            segment,
            file,
            offset,
            buffer: Vec::new(),
            held: VecDeque::new(),
            safe: VecDeque::new(),
            failing: false,
        })
    }

    /// The number for the next ring.
    pub(crate) fn next_ring(&self) -> RingId {
        self.table.next_ring()
    }

    /// What is known of a ring.
    pub(crate) fn find(&self, name: &str, created: u64) -> Option<&Adoption> {
        self.table.find(name, created)
    }

    /// Rings that are known.
    pub(crate) fn known(&self) -> impl Iterator<Item = &Adoption> {
        self.table.all()
    }

    /// A ring's file is gone.
    pub(crate) fn forget(&mut self, ring: RingId) {
        self.table.forget(ring);
    }

    /// Whether chunks wait for room.
    pub(crate) fn is_full(&self) -> bool {
        !self.held.is_empty()
    }

    /// Appends a chunk as soon as there is room.
    pub(crate) fn put(&mut self, chunk: Chunk, next_ring: RingId) {
        self.table.note(&[], &[], next_ring);
        self.held.push_back(chunk);
        self.retry();
    }

    /// Appends what found no room before.
    pub(crate) fn retry(&mut self) {
        while let Some(chunk) = self.held.pop_front() {
            match self.append(&chunk) {
                Ok(true) => {
                    self.failing = false;
                    self.safe.push_back(chunk);
                }
                Ok(false) => {
                    self.held.push_front(chunk);
                    return;
                }
                Err(error) => {
                    if !self.failing {
                        tracing::error!(%error, "failed to write to the spool; nothing is read meanwhile");
                    }
                    self.failing = true;
                    self.held.push_front(chunk);
                    return;
                }
            }
        }
    }

    /// A chunk that is in the spool.
    pub(crate) fn safe(&mut self) -> Option<Chunk> {
        self.safe.pop_front()
    }

    /// Nothing more comes.
    pub(crate) fn close(&self) {
        locked(&self.between.end).closed = true;
        self.between.grown.notify_all();
    }

    /// False where there is no room.
    fn append(&mut self, chunk: &Chunk) -> io::Result<bool> {
        if self.offset >= self.segment_size && self.offset > SEGMENT_HEADER {
            self.begin_segment()?;
        }
        self.buffer.clear();
        write_frame(&mut self.buffer, chunk, self.table.next_ring());
        let length = self.buffer.len() as u64;
        let used = self.between.used.load(Ordering::Relaxed);
        // A chunk that is larger than the spool itself goes into an empty one: it cannot wait for ever.
        if used + length > self.size && self.offset > SEGMENT_HEADER {
            return Ok(false);
        }
        if let Err(error) = self.file.write_all_at(&self.buffer, self.offset) {
            // What was written of it would be taken for the beginning of the next one.
            self.file.set_len(self.offset)?;
            return Err(error);
        }
        self.table.note(&chunk.adoptions, &chunk.releases, 0);
        self.grow(length);
        Ok(true)
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let number = self.segment + 1;
        let file = File::create(segment_path(&self.directory, number))?;
        // Where the rings are must be known even when all earlier segments are gone.
        let rings = Chunk { adoptions: self.table.all().cloned().collect(), ..Chunk::default() };
        self.buffer.clear();
        self.buffer.extend_from_slice(&segment_header());
        write_frame(&mut self.buffer, &rings, self.table.next_ring());
        file.write_all_at(&self.buffer, 0)?;
        self.segment = number;
        self.file = file;
        self.offset = 0;
        self.grow(self.buffer.len() as u64);
        Ok(())
    }

    fn grow(&mut self, length: u64) {
        self.offset += length;
        self.between.used.fetch_add(length, Ordering::Relaxed);
        let mut end = locked(&self.between.end);
        end.segment = self.segment;
        end.offset = self.offset;
        drop(end);
        self.between.grown.notify_all();
    }
}
