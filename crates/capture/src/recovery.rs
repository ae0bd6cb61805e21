//! Opens a directory that may have been left by a crash, and puts it in order.
//!
//! - A raw segment that the index does not know was being written: its torn last line is cut, and so
//!   is a last batch that has fewer lines than its mark says; nobody was told that these are stored.
//! - Of a raw segment and a finished one that hold the same lines, one is removed; what was half
//!   written under a temporary name too.
//! - Everything else stays as it is, also data files that somebody else put there.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::catalog::{Catalog, Closed, Limits};
use crate::decode::{BatchMark, Line};
use crate::error::CaptureError;
use crate::index::{IndexEntry, SegmentStats, read_index};
use crate::layout::{
    DAMAGED, INDEX, METADATA, PARTIAL, SegmentName, finished_file, is_dated, raw_file,
};
use crate::long_line::{MAX_FOREIGN_LINE, Taken, read_line};
use crate::losses::stream_name;
use crate::metadata::Metadata;
use crate::open::{self, open_regular, open_to_read};
use crate::replace::rename_new;
use crate::seekable::MAX_FRAME_TEXT;
use crate::segment::{OpenSegment, Piece};
use crate::time_counts::TimeCounts;
use crate::timestamp::Timestamp;
use crate::twins::{Twins, compare, judge};

/// What was found in a directory.
pub(crate) struct Recovered {
    pub(crate) catalog: Catalog,
    /// The last dated name that is in use.
    pub(crate) latest_stem: Option<String>,
    /// Whether segments are gone that nobody had counted.
    pub(crate) found_losses: bool,
    /// What a person should know of what was found.
    pub(crate) notes: Vec<String>,
}

/// Reads a directory, repairing it. The directory must be locked.
pub(crate) fn recover(
    directory: &Path,
    now: Timestamp,
    limits: Limits,
) -> Result<Recovered, CaptureError> {
    let mut notes = Vec::new();
    let mut metadata = read_metadata(directory, now, &mut notes)?;
    let counted = std::mem::take(&mut metadata.removed_files);
    let mut indexed: BTreeMap<String, _> =
        read_index(directory)?.into_iter().map(|entry| (entry.file.clone(), entry)).collect();
    let mut closed = Vec::new();
    let mut latest_stem = None;
    for (stem, mut files) in find_segments(directory, &mut notes)? {
        if is_dated(&stem) {
            latest_stem = Some(stem.clone());
            if files.raw && files.finished {
                part_twins(directory, &stem, &indexed, &mut files)?;
            }
        }
        let of_raw = indexed.remove(&raw_file(&stem));
        let of_finished = indexed.remove(&finished_file(&stem));
        let (of_raw, of_finished) = match (files.raw, files.finished) {
            (true, true) => (of_raw, of_finished),
            (true, false) => (of_raw.or(of_finished), None),
            _ => (None, of_finished.or(of_raw)),
        };
        if files.raw {
            closed.extend(take_raw(directory, &stem, of_raw, limits)?);
        }
        if files.finished {
            closed.extend(take_finished(directory, &stem, of_finished, limits)?);
        }
    }
    let mut catalog = Catalog::new(directory, metadata, closed, limits);
    indexed.retain(|file, _| !counted.contains(file));
    for lost in indexed.values() {
        catalog.forget(lost);
    }
    Ok(Recovered { catalog, latest_stem, found_losses: !indexed.is_empty(), notes })
}

fn read_metadata(
    directory: &Path,
    now: Timestamp,
    notes: &mut Vec<String>,
) -> Result<Metadata, CaptureError> {
    let path = directory.join(METADATA);
    match open::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Metadata::begin(now)),
        Err(error) => return Err(CaptureError::io("read", &path)(error)),
        // As a power cut may leave it: there is nothing in it.
        Ok(text) if text.iter().all(|&byte| byte == 0) => return Ok(Metadata::begin(now)),
        Ok(_) => {}
    }
    match Metadata::read(directory) {
        Ok(metadata) => Ok(Metadata { started: metadata.started.or(Some(now)), ..metadata }),
        // Somebody may want what can still be read in it.
        Err(CaptureError::NotACapture { reason, .. }) => {
            let aside = set_aside(directory)?;
            notes.push(format!("{reason}; it was set aside as `{aside}`, and is made anew"));
            Ok(Metadata::begin(now))
        }
        Err(error) => Err(error),
    }
}

/// Gives metadata that cannot be read another name; what it said is read from the data files again.
fn set_aside(directory: &Path) -> Result<String, CaptureError> {
    const MOST: u32 = 1000;
    let path = directory.join(METADATA);
    for number in 1..=MOST {
        let aside = format!("{METADATA}{DAMAGED}{number}");
        match rename_new(&path, &directory.join(&aside)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => {
                return outcome.map(|()| aside).map_err(CaptureError::io("set aside", &path));
            }
        }
    }
    Err(CaptureError::io("set aside", &path)(io::ErrorKind::AlreadyExists.into()))
}

/// Removes one of two files that hold the same lines.
fn part_twins(
    directory: &Path,
    stem: &str,
    indexed: &BTreeMap<String, IndexEntry>,
    files: &mut Files,
) -> Result<(), CaptureError> {
    let (raw, finished) = (directory.join(raw_file(stem)), directory.join(finished_file(stem)));
    let twins = match judge(indexed.get(&finished_file(stem)), size(&raw)?) {
        Some(twins) => twins,
        None => compare(&raw, &finished).map_err(CaptureError::io("read", &finished))?,
    };
    let superfluous = match twins {
        Twins::Same => {
            files.raw = false;
            raw
        }
        Twins::Torn => {
            files.finished = false;
            finished
        }
        Twins::Different => return Ok(()),
    };
    fs::remove_file(&superfluous).map_err(CaptureError::io("remove", &superfluous))
}

/// A raw segment: as the index has it, or repaired and read if that does not know it.
fn take_raw(
    directory: &Path,
    stem: &str,
    known: Option<IndexEntry>,
    limits: Limits,
) -> Result<Option<Closed>, CaptureError> {
    let path = directory.join(raw_file(stem));
    let known = match known {
        Some(entry) if entry.bytes == size(&path)? => Some(entry),
        _ => None,
    };
    let entry = match known {
        Some(entry) => IndexEntry { file: raw_file(stem), ..entry },
        None if !is_dated(stem) => return Ok(None),
        None => {
            repair(&path)?;
            let stats = scan(&path, false, limits)?;
            if stats.bytes() == 0 {
                fs::remove_file(&path).map_err(CaptureError::io("remove", &path))?;
                return Ok(None);
            }
            stats.into_entry(raw_file(stem))
        }
    };
    Ok(Some(Closed::new(entry, size(&path)?)))
}

/// A finished segment: as the index has it, or read. One that is damaged is left to readers, who tell.
fn take_finished(
    directory: &Path,
    stem: &str,
    known: Option<IndexEntry>,
    limits: Limits,
) -> Result<Option<Closed>, CaptureError> {
    let path = directory.join(finished_file(stem));
    let entry = match known {
        Some(entry) => IndexEntry { file: finished_file(stem), ..entry },
        None if !is_dated(stem) => return Ok(None),
        None => match scan(&path, true, limits) {
            Ok(stats) => stats.into_entry(finished_file(stem)),
            Err(_) => return Ok(None),
        },
    };
    Ok(Some(Closed::new(entry, size(&path)?)))
}

fn size(path: &Path) -> Result<u64, CaptureError> {
    Ok(fs::metadata(path).map_err(CaptureError::io("read", path))?.len())
}

#[derive(Default)]
struct Files {
    raw: bool,
    finished: bool,
}

/// The data files by stem; removes what was never completed.
fn find_segments(
    directory: &Path,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, Files>, CaptureError> {
    let mut segments: BTreeMap<String, Files> = BTreeMap::new();
    let entries = fs::read_dir(directory).map_err(CaptureError::io("list", directory))?;
    for entry in entries {
        let entry = entry.map_err(CaptureError::io("list", directory))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(whole) = name.strip_suffix(PARTIAL) {
            let ours = [INDEX, METADATA].contains(&whole.strip_prefix('.').unwrap_or(whole))
                || SegmentName::parse(whole).is_some_and(|name| is_dated(&name.stem));
            if ours {
                remove_partial(&entry.path())?;
            }
        } else if let Some(name) = SegmentName::parse(name) {
            // A link, a pipe or a directory of such a name is none of ours, nor a reader's.
            if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                notes.push(format!("`{}` is not a regular file, and is left alone", name.file()));
                continue;
            }
            let files = segments.entry(name.stem).or_default();
            match name.finished {
                true => files.finished = true,
                false => files.raw = true,
            }
        }
    }
    Ok(segments)
}

/// Removes what was never completed. A directory of its name stays: it is not ours, and takes no room of ours.
fn remove_partial(path: &Path) -> Result<(), CaptureError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(()),
        outcome => outcome.map_err(CaptureError::io("remove", path)),
    }
}

/// Cuts what a crash left incomplete at the end of a raw segment.
fn repair(path: &Path) -> Result<(), CaptureError> {
    let file = open_regular(OpenOptions::new().read(true).write(true), path)
        .map_err(CaptureError::io("open", path))?;
    let size = file.metadata().map_err(CaptureError::io("read", path))?.len();
    let sound = sound_length(BufReader::with_capacity(1 << 18, &file))
        .map_err(CaptureError::io("read", path))?;
    if sound < size {
        file.set_len(sound).map_err(CaptureError::io("repair", path))?;
    }
    Ok(())
}

/// Up to where a raw segment holds whole lines of whole batches.
fn sound_length(mut from: impl io::BufRead) -> io::Result<u64> {
    let mut line = Vec::new();
    let mut at = 0;
    let mut batch = None;
    loop {
        let length = match read_line(&mut from, &mut line, MAX_FRAME_TEXT)? {
            Taken::Line(length) if line.last() == Some(&b'\n') => length,
            // Too long to be looked at, so it begins no batch; where it is the last one, it may be torn.
            Taken::TooLong(length) => length,
            Taken::Line(_) | Taken::End => break,
        };
        if let Some(mark) = batch_mark(&line) {
            batch = Some((at, mark.last.saturating_sub(mark.first).saturating_add(1)));
        }
        if let Some((_, missing)) = &mut batch {
            *missing = missing.saturating_sub(1);
        }
        at += length;
    }
    Ok(match batch {
        Some((start, missing)) if missing > 0 => start,
        _ => at,
    })
}

/// The mark of a batch in a line; nearly all lines have none and are not parsed.
fn batch_mark(line: &[u8]) -> Option<BatchMark> {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    if !text.ends_with(b"}}") && !text.ends_with(b"]}") {
        return None;
    }
    memchr::memmem::rfind(text, b",\"batch\":")?;
    Line::parse(text)?.batch
}

/// Learns about a segment what the index should say.
fn scan(path: &Path, finished: bool, limits: Limits) -> Result<SegmentStats, CaptureError> {
    let file = open_to_read(path).map_err(CaptureError::io("open", path))?;
    let from: Box<dyn Read> = if finished {
        Box::new(zstd::stream::read::Decoder::new(file).map_err(CaptureError::io("read", path))?)
    } else {
        Box::new(file)
    };
    // What we have written has a table, or is raw.
    let open = OpenSegment::of(path.to_owned())?;
    let is_foreign = open.pieces()?.contains(&Piece::Stream);
    let limit = if is_foreign { MAX_FOREIGN_LINE } else { MAX_FRAME_TEXT };
    let mut from = BufReader::with_capacity(1 << 18, from);
    let mut stats = SegmentStats::within(limits.names_room());
    let mut batch: Option<(BatchMark, u64)> = None;
    let mut text = Vec::new();
    loop {
        let taken =
            read_line(&mut from, &mut text, limit).map_err(CaptureError::io("read", path))?;
        let length = match taken {
            Taken::Line(length) => length,
            Taken::TooLong(length) => {
                stats.add_bytes(length);
                continue;
            }
            Taken::End => break,
        };
        let line = text.strip_suffix(b"\n").unwrap_or(&text);
        let Some(line) = Line::parse(line) else {
            stats.add_bytes(length);
            continue;
        };
        stats.add_lines(line.timestamp, line.timestamp, 1, length);
        stats.add_times(&TimeCounts::of(std::iter::once(line.timestamp.0)));
        for (name, value) in &line.labels {
            stats.add_label(name, value, 1);
        }
        let labels = line.labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        stats.add_stream(&stream_name(labels), 1);
        if let Some(mark) = line.batch
            && let Some((ended, lines)) = batch.replace((mark, 0))
        {
            stats.add_batch(&ended, lines);
        }
        if let Some((_, lines)) = &mut batch {
            *lines += 1;
        }
    }
    if let Some((ended, lines)) = batch {
        stats.add_batch(&ended, lines);
    }
    Ok(stats)
}
