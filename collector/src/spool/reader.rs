//! The end that the push thread reads from, and what it remembers of how far it got.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::segment::{SEGMENT_HEADER, Walk, checksum};
use super::{Between, End, failed, remove, segment_path, state_path};
use crate::chunk::Chunk;
use crate::error::CollectorError;
use crate::shared::locked;

/// Reads chunks behind the writer.
#[derive(Debug)]
pub(crate) struct SpoolReader {
    directory: PathBuf,
    between: Arc<Between>,
    segment: u64,
    file: File,
    offset: u64,
    body: Vec<u8>,
    /// States of segments that were begun and whose earlier lines are not all acknowledged.
    states: VecDeque<State>,
    /// The oldest segment that is still there.
    oldest: u64,
    acknowledged: u64,
    acknowledged_file: File,
    /// Holds the lock of the spool.
    _lock: File,
}

#[derive(Debug)]
struct State {
    segment: u64,
    bytes: Vec<u8>,
    /// Number of the last line before the segment.
    last_line: u64,
}

/// What is known of the point at which the spool begins.
#[derive(Debug)]
pub(crate) enum FirstState {
    /// It begins with the first line of all.
    New,
    /// It begins with this.
    Known(Vec<u8>),
    /// It was damaged, or is gone.
    Lost,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum SpoolNext {
    /// Operations.
    Chunk(Chunk),
    /// A new segment begins: its state is to be given to [`SpoolReader::begin`].
    Segment,
    /// Nothing came in time.
    Nothing,
    /// Nothing comes any more.
    Over,
}

impl SpoolReader {
    /// Where its files are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn open(
        directory: PathBuf,
        start: u64,
        between: Arc<Between>,
        lock: File,
    ) -> Result<Self, CollectorError> {
        let path = segment_path(&directory, start);
        let file = File::open(&path).map_err(failed("open", &path))?;
        let place = directory.join("acknowledged");
        let acknowledged_file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&place)
            .map_err(failed("open", &place))?;
        let mut word = [0; 8];
        let acknowledged = match acknowledged_file.read_exact_at(&mut word, 0) {
            Ok(()) => u64::from_le_bytes(word),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(failed("read", &place)(error)),
        };
        Ok(Self {
            directory,
            between,
            segment: start,
            file,
            offset: SEGMENT_HEADER,
            body: Vec::new(),
            states: VecDeque::new(),
            oldest: start,
            acknowledged,
            acknowledged_file,
            _lock: lock,
        })
    }

    /// Number of the last line that the sink has.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// The state with which the first segment begins.
    pub(crate) fn first_state(&self) -> Result<FirstState, CollectorError> {
        let path = state_path(&self.directory, self.segment);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Only the very first segment has none.
                return Ok(if self.segment == 1 { FirstState::New } else { FirstState::Lost });
            }
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let state = bytes.split_first_chunk::<8>();
        Ok(match state.filter(|(sum, state)| u64::from_le_bytes(**sum) == checksum(state)) {
            Some((_, state)) => FirstState::Known(state.to_vec()),
            None => FirstState::Lost,
        })
    }

    /// Writes the state with which the first segment shall begin from now on.
    pub(crate) fn put_first_state(&self, state: &[u8]) -> Result<(), CollectorError> {
        self.write_state(self.segment, state)
    }

    /// What comes next, waiting at most so long.
    pub(crate) fn next(&mut self, patience: Duration) -> Result<SpoolNext, CollectorError> {
        let (segment, offset) = (self.segment, self.offset);
        let end = locked(&self.between.end);
        let waited = self.between.grown.wait_timeout_while(end, patience, |end| {
            end.segment == segment && end.offset <= offset && !end.closed
        });
        let End { segment: last, offset: end, closed } =
            *waited.unwrap_or_else(PoisonError::into_inner).0;
        let path = segment_path(&self.directory, segment);
        let end = if segment < last {
            self.file.metadata().map_err(failed("read", &path))?.len()
        } else {
            end
        };
        if offset < end {
            let body = std::mem::take(&mut self.body);
            let mut walk = Walk::from(&self.file, offset, end, body);
            let frame = walk.next().map_err(failed("read", &path))?;
            self.offset = walk.offset();
            self.body = walk.into_buffer();
            return match frame {
                Some(frame) => {
                    let now = frame.now;
                    Ok(SpoolNext::Chunk(Chunk { now, bytes: frame.bytes, ..Chunk::default() }))
                }
                None => Err(CollectorError::DamagedSpool {
                    path,
                    reason: "it changed while it was in use",
                }),
            };
        }
        if segment < last {
            let next = segment + 1;
            let path = segment_path(&self.directory, next);
            self.file = File::open(&path).map_err(failed("open", &path))?;
            self.segment = next;
            self.offset = SEGMENT_HEADER;
            return Ok(SpoolNext::Segment);
        }
        Ok(if closed { SpoolNext::Over } else { SpoolNext::Nothing })
    }

    /// Whether everything that was written was read.
    pub(crate) fn is_at_end(&self) -> bool {
        let end = locked(&self.between.end);
        end.segment == self.segment && end.offset <= self.offset
    }

    /// A segment begins with this state, after this line.
    pub(crate) fn begin(&mut self, bytes: Vec<u8>, last_line: u64) {
        self.states.push_back(State { segment: self.segment, bytes, last_line });
    }

    /// The sink has all lines up to this one.
    pub(crate) fn acknowledge(&mut self, line: u64) -> Result<(), CollectorError> {
        if line > self.acknowledged {
            let place = self.directory.join("acknowledged");
            self.acknowledged_file
                .write_all_at(&line.to_le_bytes(), 0)
                .map_err(failed("write", &place))?;
            self.acknowledged = line;
        }
        // Kept until all of it is done: on a full disk it is tried again at the next call.
        while let Some(state) = self.states.front().filter(|state| state.last_line <= line) {
            self.write_state(state.segment, &state.bytes)?;
            for old in self.oldest..state.segment {
                let path = segment_path(&self.directory, old);
                let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
                remove(&path)?;
                remove(&state_path(&self.directory, old))?;
                self.between.used.fetch_sub(length, Ordering::Relaxed);
            }
            self.oldest = state.segment;
            self.states.pop_front();
        }
        Ok(())
    }

    fn write_state(&self, segment: u64, state: &[u8]) -> Result<(), CollectorError> {
        let path = state_path(&self.directory, segment);
        let temporary = path.with_extension("state.tmp");
        let mut bytes = checksum(state).to_le_bytes().to_vec();
        bytes.extend_from_slice(state);
        fs::write(&temporary, bytes).map_err(failed("write", &temporary))?;
        fs::rename(&temporary, &path).map_err(failed("write", &path))
    }
}
