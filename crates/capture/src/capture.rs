//! A capture as readers see it: ours or the predecessor's, finished, live or left by a crash.
//!
//! Every data file of the directory counts, whether the index knows it or not; an audit log is none.
//! A segment that is there raw and compressed is read once. Segments come in the order of their names,
//! which is the order of writing.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::decode::Line;
use crate::error::CaptureError;
use crate::filter::Filter;
use crate::index::{IndexEntry, read_index};
use crate::layout::{SegmentName, finished_file, raw_file};
use crate::metadata::Metadata;
use crate::segment::{PieceReader, Segment};
use crate::twins::{Twins, judge};

/// How often a directory is listed again that has changed meanwhile.
const MAX_LISTINGS: u32 = 10;

/// A capture that can be read.
#[derive(Clone, Debug)]
pub struct Capture {
    directory: PathBuf,
    metadata: Option<Metadata>,
    segments: Vec<Segment>,
}

impl Capture {
    /// Looks at a directory. What is written after that is not seen.
    pub fn open(directory: &Path) -> Result<Self, CaptureError> {
        let (files, mut index) = list(directory)?;
        let metadata = match Metadata::read(directory) {
            Ok(metadata) => Some(metadata),
            Err(CaptureError::NotACapture { .. }) if !files.is_empty() => None,
            Err(error) => return Err(error),
        };
        let mut segments = Vec::with_capacity(files.len());
        for (stem, Files { raw, finished }) in files {
            let of_raw = index.remove(&raw_file(&stem));
            let of_finished = index.remove(&finished_file(&stem));
            // Where the index does not know the compressed one, the raw one is never less.
            let twins = raw.map(|bytes| judge(of_finished.as_ref(), bytes).unwrap_or(Twins::Torn));
            let (raw, finished) = match (raw, finished, twins) {
                (Some(_), Some(finished), Some(Twins::Same)) => (None, Some(finished)),
                (Some(raw), Some(_), Some(Twins::Torn)) => (Some(raw), None),
                (raw, finished, _) => (raw, finished),
            };
            let (of_raw, of_finished) = match (raw, finished) {
                (Some(_), Some(_)) => (of_raw, of_finished),
                (Some(_), None) => (of_raw.or(of_finished), None),
                (None, _) => (None, of_finished.or(of_raw)),
            };
            let mut add = |finished, entry, disk_bytes| {
                let name = SegmentName { stem: stem.clone(), finished };
                segments.push(Segment::new(directory, name, entry, disk_bytes));
            };
            if let Some(bytes) = finished {
                add(true, of_finished, bytes);
            }
            if let Some(bytes) = raw {
                add(false, of_raw.filter(|entry| entry.bytes == bytes), bytes);
            }
        }
        Ok(Self { directory: directory.to_owned(), metadata, segments })
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What its metadata says; nothing if that is missing or broken.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Its segments in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segments that may have wanted entries.
    pub fn segments_for<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = &'a Segment> {
        self.segments
            .iter()
            .filter(|segment| segment.index().is_none_or(|entry| filter.may_be_in(entry)))
    }

    /// Goes through the wanted entries in order, one thread. What is no entry is passed over; a
    /// damaged segment is told to the caller as an error, and the next one follows.
    pub fn read(
        &self,
        filter: &Filter,
        mut take: impl FnMut(Result<&Line<'_>, CaptureError>) -> ControlFlow<()>,
    ) {
        let mut reader = PieceReader::default();
        for segment in self.segments_for(filter) {
            let mut stopped = false;
            let outcome = read_segment(segment, &mut reader, |line| {
                if !stopped && filter.takes(line) {
                    stopped = take(Ok(line)).is_break();
                }
                !stopped
            });
            if let Err(error) = outcome {
                stopped |= take(Err(error)).is_break();
            }
            if stopped {
                return;
            }
        }
    }
}

/// The entries of a segment; `take` says whether to go on.
fn read_segment(
    segment: &Segment,
    reader: &mut PieceReader,
    mut take: impl FnMut(&Line<'_>) -> bool,
) -> Result<(), CaptureError> {
    let Some(open) = segment.open()? else { return Ok(()) };
    let mut go_on = true;
    let mut failure = None;
    for piece in open.pieces()? {
        if !go_on {
            break;
        }
        let outcome = open.read(&piece, reader, |lines| {
            for line in lines.split(|&byte| byte == b'\n') {
                if !go_on {
                    return;
                }
                if let Some(line) = Line::parse(line).filter(|line| !line.is_phantom()) {
                    go_on = take(&line);
                }
            }
        });
        failure = failure.or(outcome.err());
    }
    failure.map_or(Ok(()), Err)
}

/// The sizes of the data files of one stem.
#[derive(Default)]
struct Files {
    raw: Option<u64>,
    finished: Option<u64>,
}

/// The data files by stem, and the index by file, which fit each other.
type Listing = (BTreeMap<String, Files>, BTreeMap<String, IndexEntry>);

fn list(directory: &Path) -> Result<Listing, CaptureError> {
    for _ in 0..MAX_LISTINGS {
        // Files first: one that is closed in between is then in the index rather than in neither.
        let files = data_files(directory)?;
        let index = read_index(directory)?;
        // Listing a directory can miss a file that gets another name at that moment.
        let missed = index.iter().any(|entry| {
            SegmentName::parse(&entry.file).is_some_and(|name| {
                let path = directory.join(&entry.file);
                !files.contains_key(&name.stem)
                    && fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
            })
        });
        if !missed {
            let index = index.into_iter().map(|entry| (entry.file.clone(), entry)).collect();
            return Ok((files, index));
        }
    }
    let source = io::Error::other("it changes all the time");
    Err(CaptureError::io("list", directory)(source))
}

fn data_files(directory: &Path) -> Result<BTreeMap<String, Files>, CaptureError> {
    let mut files: BTreeMap<String, Files> = BTreeMap::new();
    let entries = fs::read_dir(directory).map_err(CaptureError::io("open", directory))?;
    for entry in entries {
        let entry = entry.map_err(CaptureError::io("list", directory))?;
        let name = entry.file_name().to_str().and_then(SegmentName::parse);
        let Some(name) = name else { continue };
        // Removed since it was listed, or no plain file: not a segment.
        let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
        if !metadata.is_file() {
            continue;
        }
        let known = files.entry(name.stem).or_default();
        let place = if name.finished { &mut known.finished } else { &mut known.raw };
        *place = Some(metadata.len());
    }
    Ok(files)
}
