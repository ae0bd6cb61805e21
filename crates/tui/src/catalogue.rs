//! The segments of a capture, opened for reading, kept up to date while a writer is at work.
//!
//! The directory is listed again only when it has changed. Between that only the sizes of raw files
//! are asked for, so following costs a handful of system calls a frame.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use logtap_capture::segment::{OpenSegment, Piece, PieceReader};
use logtap_capture::{Capture, CaptureError, IndexEntry};

use crate::place::{CHUNK, SegmentKey};

/// A change within this time of a listing may have been missed by it: file times are that coarse.
const COARSE: Duration = Duration::from_millis(20);

/// A segment that is open.
#[derive(Debug)]
pub(crate) struct Volume {
    pub(crate) key: SegmentKey,
    pub(crate) open: OpenSegment,
    pub(crate) form: Form,
    /// What the index says; nothing about the one that grows.
    pub(crate) index: Option<IndexEntry>,
    /// Bytes of its text.
    length: AtomicU64,
}

/// How the text of a segment is read.
#[derive(Debug)]
pub(crate) enum Form {
    /// From any place.
    Raw,
    /// By frames, each with the place of its text.
    Frames(Vec<(u64, Piece)>),
    /// From the start.
    Stream,
}

impl Volume {
    /// Bytes of its text so far.
    pub(crate) fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// How many chunks that is.
    pub(crate) fn chunks(&self) -> u64 {
        self.length().div_ceil(CHUNK)
    }

    /// Whether the last line may be unfinished.
    pub(crate) fn grows(&self) -> bool {
        matches!(self.form, Form::Raw) && self.index.is_none()
    }
}

/// The segments in order; a list does not change, a new one takes its place.
pub(crate) type Volumes = Arc<Vec<Arc<Volume>>>;

/// The segments of a directory as they were last seen.
#[derive(Debug)]
pub(crate) struct Catalogue {
    directory: PathBuf,
    volumes: Volumes,
    /// When the directory was changed and when it was listed.
    listed: Option<(SystemTime, SystemTime)>,
    /// Segments that were here and were removed.
    pub(crate) removed: u64,
}

impl Catalogue {
    /// Opens what is there.
    pub(crate) fn open(directory: &Path) -> Result<Self, CaptureError> {
        let mut catalogue = Self {
            directory: directory.to_owned(),
            volumes: Volumes::default(),
            listed: None,
            removed: 0,
        };
        catalogue.refresh()?;
        Ok(catalogue)
    }

    /// The segments.
    pub(crate) fn volumes(&self) -> &Volumes {
        &self.volumes
    }

    /// Looks for what has changed.
    pub(crate) fn refresh(&mut self) -> Result<(), CaptureError> {
        let changed =
            fs::metadata(&self.directory).and_then(|metadata| metadata.modified()).map_err(
                |source| CaptureError::Io { action: "open", path: self.directory.clone(), source },
            )?;
        let fresh = self.listed.is_some_and(|(then, listed)| {
            then == changed && changed.checked_add(COARSE).is_none_or(|settled| settled < listed)
        });
        if !fresh {
            let now = SystemTime::now();
            self.list()?;
            self.listed = Some((changed, now));
        }
        for volume in self.volumes.iter().filter(|volume| matches!(volume.form, Form::Raw)) {
            volume.length.store(volume.open.size()?, Ordering::Release);
        }
        Ok(())
    }

    fn list(&mut self) -> Result<(), CaptureError> {
        let capture = Capture::open(&self.directory)?;
        let mut known: HashMap<(SegmentKey, bool), Arc<Volume>> = self
            .volumes
            .iter()
            .map(|volume| {
                ((volume.key.clone(), matches!(volume.form, Form::Raw)), Arc::clone(volume))
            })
            .collect();
        let mut volumes: Vec<Arc<Volume>> = Vec::with_capacity(capture.segments().len());
        for segment in capture.segments() {
            let file = segment.file();
            let raw = !file.ends_with(".zst");
            let stem = file.trim_end_matches(".zst").trim_end_matches(".jsonl");
            let second = volumes.last().is_some_and(|volume| &*volume.key.stem == stem);
            let key = SegmentKey { stem: stem.into(), second };
            if let Some(volume) = known.remove(&(key.clone(), raw))
                && volume.index.is_some() == segment.index().is_some()
            {
                volumes.push(volume);
                continue;
            }
            let Some(open) = segment.open()? else { continue };
            volumes.push(Arc::new(volume(key, open, segment.index())?));
        }
        let kept = |volume: &&Arc<Volume>| !volumes.iter().any(|new| new.key == volume.key);
        self.removed += self.volumes.iter().filter(kept).count() as u64;
        self.volumes = Arc::new(volumes);
        Ok(())
    }
}

fn volume(
    key: SegmentKey,
    open: OpenSegment,
    index: Option<&IndexEntry>,
) -> Result<Volume, CaptureError> {
    // Under its new name if it was compressed since it was listed.
    let raw = open.path().extension().is_some_and(|end| end == "jsonl");
    let (form, length) = if raw {
        (Form::Raw, open.size()?)
    } else {
        match &open.pieces()?[..] {
            [Piece::Stream] => {
                let length = match index {
                    Some(index) => index.bytes,
                    None => stream_length(&open)?,
                };
                (Form::Stream, length)
            }
            pieces => {
                let mut start = 0;
                let mut frames = Vec::with_capacity(pieces.len());
                for piece in pieces {
                    frames.push((start, *piece));
                    if let Piece::Frame { content, .. } = piece {
                        start += u64::from(*content);
                    }
                }
                (Form::Frames(frames), start)
            }
        }
    };
    Ok(Volume { key, open, form, index: index.cloned(), length: AtomicU64::new(length) })
}

fn stream_length(open: &OpenSegment) -> Result<u64, CaptureError> {
    let mut length = 0;
    match open.read(&Piece::Stream, &mut PieceReader::default(), |text| length += text.len() as u64)
    {
        // What is before the damage can be shown; reading it again tells the damage.
        Ok(()) | Err(CaptureError::Damaged { .. }) => Ok(length),
        Err(error) => Err(error),
    }
}
