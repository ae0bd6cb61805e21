//! The spool: operations on their way to the sink, in files, so that a killed collector loses none.
//!
//! ```text
//!  SPOOL/source            the source's name and the rules of its lines; locked while in use
//!  SPOOL/00000007.spool    a segment: operations in order                         [`segment`]
//!  SPOOL/00000007.state    what the assembler knew when it came to that segment
//!  SPOOL/acknowledged      number of the last line that the sink has
//! ```
//!
//! The drain thread appends and only then lets go of the rings; the push thread reads behind it. After a
//! crash the lines are made again from the oldest segment on: they get the same numbers, and those that the
//! sink has are passed over. Whatever was read from a ring but not yet released there is known by its position and not
//! read twice. A segment goes when all its lines are acknowledged and the next one's state is written.
//!
//! Files are not synced. A sync for each chunk would keep the drain thread from the rings for milliseconds at a time, and
//! they would overflow: certain losses now against possible ones. So a spool on disk survives the collector and its
//! container; what a crash of the machine takes is what the page cache held, beside the rings themselves, which are in
//! memory. After it the spool is taken as far as it is whole, what was cut off is reported, and lines that come then get
//! numbers that no sink has seen (module `resume`): none is taken for one that was delivered.

mod reader;
mod ring_table;
mod segment;
mod writer;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustix::fs::FlockOperation;

pub(crate) use reader::{FirstState, SpoolNext, SpoolReader};
pub(crate) use ring_table::RingTable;
pub(crate) use writer::SpoolWriter;

use crate::config::{LineRules, SpoolConfig};
use crate::error::CollectorError;
use crate::events::{Event, report};
use segment::{SEGMENT_HEADER, Walk};

/// How many segments the spool is divided into.
const SEGMENTS: u64 = 8;
/// First line of the file `source`.
const MAGIC_LINE: &str = "logtap spool 1";

/// An opened spool: both its ends.
#[derive(Debug)]
pub(crate) struct Spool {
    pub(crate) writer: SpoolWriter,
    pub(crate) reader: SpoolReader,
    /// Name of the source whose lines it holds.
    pub(crate) source: String,
    /// The rules by which its lines were made so far.
    pub(crate) rules: LineRules,
    /// Segments that were there; those that were damaged are gone.
    recovered: Vec<u64>,
}

/// What writer and reader share.
#[derive(Debug, Default)]
struct Between {
    /// Up to where the reader may read.
    end: Mutex<End>,
    grown: Condvar,
    /// Bytes of all segments.
    used: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default)]
struct End {
    segment: u64,
    offset: u64,
    /// Nothing more comes.
    closed: bool,
}

impl Spool {
    /// Opens the spool, or makes one. `new_source` names a new one.
    pub(crate) fn open(
        config: &SpoolConfig,
        rules: LineRules,
        new_source: String,
    ) -> Result<Self, CollectorError> {
        let directory = &config.directory;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed("make", directory))?;
        let metadata = fs::symlink_metadata(directory).map_err(failed("open", directory))?;
        if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
            // In a tap directory that is open to all, somebody else may have been first.
            let reason = "it is not ours";
            return Err(CollectorError::Unsafe { path: directory.clone(), reason });
        }
        let place = directory.join("source");
        let lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // Who knows the name sends as the source.
            .mode(0o600)
            .open(&place)
            .map_err(failed("open", &place))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(CollectorError::Busy { path: directory.clone() });
        }
        let mut segments = list(directory)?;
        let (source, rules) = match read_source(&place)? {
            // Lines that were numbered by other rules must be finished by them.
            Some((source, stored)) if !segments.is_empty() => {
                if stored != rules {
                    tracing::warn!("the spool is not empty: its lines keep their rules");
                }
                (source, stored)
            }
            _ => {
                remove(&directory.join("acknowledged"))?;
                write_source(&lock, &new_source, rules).map_err(failed("write", &place))?;
                (new_source, rules)
            }
        };
        let start = start(directory, &mut segments)?;
        let found = recover(directory, &segments)?;
        let between = Arc::new(Between::default());
        let writer = SpoolWriter::open(
            directory.clone(),
            config.size,
            config.size / SEGMENTS,
            start,
            found,
            Arc::clone(&between),
        )?;
        let reader = SpoolReader::open(directory.clone(), start, between, lock)?;
        Ok(Self { writer, reader, source, rules, recovered: segments })
    }

    /// Hands out the chunks that were there when it was opened, in order: when they were taken, and their operations.
    /// Before anything is put.
    pub(crate) fn each_recovered(
        &self,
        directory: &Path,
        mut each: impl FnMut(i64, &[u8]),
    ) -> Result<(), CollectorError> {
        for &number in &self.recovered {
            let path = segment_path(directory, number);
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed("open", &path)(error)),
            };
            let length = file.metadata().map_err(failed("read", &path))?.len();
            let mut walk = Walk::new(&file, length);
            while let Some(frame) = walk.next().map_err(failed("read", &path))? {
                each(frame.now, &frame.bytes);
            }
        }
        Ok(())
    }
}

/// What a walk over all segments found.
struct Recovered {
    table: RingTable,
    /// The last segment and its length; `None` for an empty spool.
    last: Option<(u64, u64)>,
    used: u64,
}

/// Segments in ascending order.
fn list(directory: &Path) -> Result<Vec<u64>, CollectorError> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed("read", directory))? {
        let name = entry.map_err(failed("read", directory))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".spool"));
        segments.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    segments.sort_unstable();
    Ok(segments)
}

/// The segment from which lines are made again: the last one with a state. Older ones are removed.
fn start(directory: &Path, segments: &mut Vec<u64>) -> Result<u64, CollectorError> {
    let Some(&first) = segments.first() else { return Ok(1) };
    let with_state = |&&segment: &&u64| state_path(directory, segment).exists();
    let start = segments.iter().rev().find(with_state).copied().unwrap_or(first);
    for &old in segments.iter().take_while(|&&segment| segment < start) {
        remove(&segment_path(directory, old))?;
        remove(&state_path(directory, old))?;
    }
    segments.retain(|&segment| segment >= start);
    Ok(start)
}

/// Walks over all segments: learns the rings' positions and cuts off what was not written whole.
fn recover(directory: &Path, segments: &[u64]) -> Result<Recovered, CollectorError> {
    let mut found = Recovered { table: RingTable::default(), last: None, used: 0 };
    let mut damaged = false;
    let first = segments.first().copied().unwrap_or(0);
    for (&number, expected) in segments.iter().zip(first..) {
        let path = segment_path(directory, number);
        // Without the segment between them, what follows cannot be made into the same lines.
        damaged |= number != expected;
        if damaged {
            let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            report(&Event::DamagedSpool { segment: number, bytes: length });
            remove(&path)?;
            continue;
        }
        let file =
            File::options().read(true).write(true).open(&path).map_err(failed("open", &path))?;
        let length = file.metadata().map_err(failed("open", &path))?.len();
        let mut walk = Walk::new(&file, length);
        while let Some(frame) = walk.next().map_err(failed("read", &path))? {
            found.table.note(&frame.adoptions, &frame.releases, frame.next_ring);
        }
        let good = walk.offset();
        if good < length || good < SEGMENT_HEADER {
            // A write that was cut off by a kill is the last one; anything else is damage.
            damaged = number != *segments.last().unwrap_or(&number);
            if damaged {
                report(&Event::DamagedSpool { segment: number, bytes: length - good });
            }
            file.set_len(good).map_err(failed("cut", &path))?;
        }
        if good < SEGMENT_HEADER {
            remove(&path)?;
            continue;
        }
        found.used += good;
        found.last = Some((number, good));
    }
    Ok(found)
}

/// The line that says that only the last states of lines are kept.
const COLLAPSE: &str = "collapse-progress";

fn read_source(path: &Path) -> Result<Option<(String, LineRules)>, CollectorError> {
    let bytes = fs::read(path).map_err(failed("read", path))?;
    // Damaged, it is no source: then its lines are sent as those of another.
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    if lines.next() != Some(MAGIC_LINE) {
        return Ok(None);
    }
    let parsed = (|| {
        let source = lines.next()?.to_owned();
        let longest = lines.next()?.parse().ok()?;
        let quiet = Duration::from_nanos(lines.next()?.parse().ok()?);
        let collapse_progress = lines.next() == Some(COLLAPSE);
        let rules = LineRules { longest, quiet, collapse_progress };
        (source.len() == 32).then_some((source, rules))
    })();
    Ok(parsed)
}

fn write_source(mut file: &File, source: &str, rules: LineRules) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    file.set_len(0)?;
    file.rewind()?;
    let LineRules { longest, quiet, collapse_progress } = rules;
    let collapse = if collapse_progress { COLLAPSE } else { "" };
    let text = format!("{MAGIC_LINE}\n{source}\n{longest}\n{}\n{collapse}\n", quiet.as_nanos());
    file.write_all(text.as_bytes())
}

fn segment_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:08}.spool"))
}

fn state_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:08}.state"))
}

/// Removes a file that may not be there.
fn remove(path: &Path) -> Result<(), CollectorError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("remove a file of", path)(error)),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CollectorError {
    let path = path.to_owned();
    move |source| CollectorError::Spool { action, path, source }
}

#[cfg(test)]
mod tests;
