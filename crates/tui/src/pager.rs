//! Puts a screen of lines together: from a place forwards and backwards, over the lines that are shown.
//!
//! Reads only chunks that have such lines. What the survey has not looked at yet is not waited for: the
//! page says that it is unfinished, and is asked for again.

mod loaded;
mod seek;

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use logtap_capture::CaptureError;

use self::loaded::{Goals, Loaded};
use crate::catalogue::{Catalogue, Volume, Volumes};
use crate::judge::Judge;
use crate::lines::Lines;
use crate::page::{Page, Request, Row};
use crate::place::{CHUNK, ChunkKey, Place};
use crate::spec::Spec;
use crate::survey::{Progress, Survey};
use crate::text::TextReader;

/// Chunks that are kept.
const MAX_LOADED: usize = 6;
/// Chunks within one long line that are remembered.
const MAX_HOLLOW: usize = 64 * 1024;
/// Chunks that a page looks at itself where the survey has not been yet.
const MAX_UNKNOWN: u32 = 4;

/// Reads pages of a capture.
pub(crate) struct Pager {
    catalogue: Catalogue,
    survey: Survey,
    judge: Judge,
    reader: TextReader,
    loaded: VecDeque<Rc<Loaded>>,
    /// Chunks that no line begins in. To find that out of one in a long line takes reading the line.
    hollow: HashSet<ChunkKey>,
    /// What could not be read, to be told once.
    failure: Option<String>,
    /// Chunks that may still be looked at for the page under way.
    budget: u32,
}

/// A line that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    volume: usize,
    chunk: u64,
    line: usize,
}

enum Step {
    To(Cursor),
    Edge,
    Unknown,
}

impl Pager {
    pub(crate) fn open(directory: &Path) -> Result<Self, CaptureError> {
        let survey = Survey::start().map_err(|source| CaptureError::Io {
            action: "start a thread for",
            path: directory.to_owned(),
            source,
        })?;
        Ok(Self {
            catalogue: Catalogue::open(directory)?,
            survey,
            judge: Judge::new(Arc::new(Spec::default())),
            reader: TextReader::default(),
            loaded: VecDeque::new(),
            hollow: HashSet::new(),
            failure: None,
            budget: 0,
        })
    }

    /// Shows lines by another spec from now on.
    pub(crate) fn set_spec(&mut self, spec: &Spec) {
        if *self.judge.spec == *spec {
            return;
        }
        let spec = Arc::new(spec.clone());
        self.judge = Judge::new(Arc::clone(&spec));
        self.loaded.clear();
        self.survey.set_spec(spec);
        self.survey.update(self.catalogue.volumes());
    }

    /// Looks for what was written since the last time.
    pub(crate) fn refresh(&mut self) {
        if let Err(error) = self.catalogue.refresh() {
            self.failure = Some(error.to_string());
        }
        self.survey.update(self.catalogue.volumes());
    }

    /// How far the survey is.
    pub(crate) fn progress(&self) -> Progress {
        self.survey.progress()
    }

    /// Segments that were removed since the start.
    pub(crate) fn removed(&self) -> u64 {
        self.catalogue.removed
    }

    /// What could not be read since the last time that this was asked.
    pub(crate) fn take_failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    /// The page that was asked for.
    pub(crate) fn page(&mut self, request: &Request, height: usize) -> Page {
        self.budget = MAX_UNKNOWN;
        let volumes = Arc::clone(self.catalogue.volumes());
        let mut page = Page::default();
        let height = height.max(1);
        let start = match request {
            Request::Tail => self.last(&volumes),
            Request::Head => self.first(&volumes),
            Request::Around { place, .. } => match self.at(&volumes, place) {
                Step::Edge => self.last(&volumes),
                step => step,
            },
        };
        let mut anchor = match start {
            Step::To(cursor) => cursor,
            Step::Edge => {
                (page.at_start, page.at_end) = (true, true);
                return page;
            }
            Step::Unknown => {
                page.waiting = true;
                return page;
            }
        };
        let before = match request {
            Request::Tail => height - 1,
            Request::Head => 0,
            Request::Around { moved, row, .. } => {
                for _ in 0..moved.unsigned_abs() {
                    match self.step(&volumes, anchor, *moved > 0) {
                        Step::To(cursor) => anchor = cursor,
                        Step::Edge => break,
                        Step::Unknown => {
                            page.waiting = true;
                            break;
                        }
                    }
                }
                (*row).min(height - 1)
            }
        };
        let mut rows = VecDeque::from([anchor]);
        page.anchor = self.extend(&volumes, &mut rows, before, false, &mut page);
        let behind = height.saturating_sub(rows.len());
        self.extend(&volumes, &mut rows, behind, true, &mut page);
        let more = height.saturating_sub(rows.len());
        if more > 0 && !page.at_start {
            page.anchor += self.extend(&volumes, &mut rows, more, false, &mut page);
        }
        // A page that was filled to its end may be at the capture's end all the same.
        if let (Some(first), Some(last)) = (rows.front().copied(), rows.back().copied()) {
            page.at_start |= matches!(self.step(&volumes, first, false), Step::Edge);
            page.at_end |= matches!(self.step(&volumes, last, true), Step::Edge);
        }
        page.percent = percent(&volumes, rows.back());
        for cursor in rows {
            let Some(volume) = volumes.get(cursor.volume) else { continue };
            let loaded = self.load(volume, cursor.chunk);
            let line = loaded.shown(cursor.line);
            page.rows.push(Row { place: loaded.place(cursor.line), line });
        }
        page
    }

    fn extend(
        &mut self,
        volumes: &Volumes,
        rows: &mut VecDeque<Cursor>,
        count: usize,
        forward: bool,
        page: &mut Page,
    ) -> usize {
        for added in 0..count {
            let end = if forward { rows.back() } else { rows.front() };
            let Some(end) = end.copied() else { return added };
            match self.step(volumes, end, forward) {
                Step::To(cursor) if forward => rows.push_back(cursor),
                Step::To(cursor) => rows.push_front(cursor),
                Step::Edge => {
                    let edge = if forward { &mut page.at_end } else { &mut page.at_start };
                    *edge = true;
                    return added;
                }
                Step::Unknown => {
                    page.waiting = true;
                    return added;
                }
            }
        }
        count
    }

    fn first(&mut self, volumes: &Volumes) -> Step {
        self.walk(volumes, 0, 0, true)
    }

    fn last(&mut self, volumes: &Volumes) -> Step {
        match volumes.last() {
            Some(volume) => {
                self.walk(volumes, volumes.len() - 1, volume.chunks().saturating_sub(1), false)
            }
            None => Step::Edge,
        }
    }

    /// The line at a place, or the next one that is shown.
    fn at(&mut self, volumes: &Volumes, place: &Place) -> Step {
        let found = volumes.binary_search_by(|volume| volume.key.cmp(&place.segment));
        let volume = match found {
            Ok(at) => at,
            Err(at) => return self.walk(volumes, at, 0, true),
        };
        let chunk = place.offset / CHUNK;
        let Some(known) = volumes.get(volume) else { return Step::Edge };
        match self.is_empty(known, chunk, true) {
            Some(true) => return self.walk(volumes, volume, chunk + 1, true),
            Some(false) => {}
            None => return Step::Unknown,
        }
        let loaded = self.load(known, chunk);
        let line = loaded
            .lines
            .partition_point(|(start, _)| loaded.base + u64::from(*start) < place.offset);
        if line < loaded.lines.len() {
            Step::To(Cursor { volume, chunk, line })
        } else {
            self.walk(volumes, volume, chunk + 1, true)
        }
    }

    fn step(&mut self, volumes: &Volumes, from: Cursor, forward: bool) -> Step {
        let Some(volume) = volumes.get(from.volume) else { return Step::Edge };
        if forward {
            let loaded = self.load(volume, from.chunk);
            if from.line + 1 < loaded.lines.len() {
                return Step::To(Cursor { line: from.line + 1, ..from });
            }
            return self.walk(volumes, from.volume, from.chunk + 1, true);
        }
        if let Some(line) = from.line.checked_sub(1) {
            return Step::To(Cursor { line, ..from });
        }
        match chunk_before(volumes, from.volume, from.chunk) {
            Some((volume, chunk)) => self.walk(volumes, volume, chunk, false),
            None => Step::Edge,
        }
    }

    /// The first or last line shown from a chunk on, which may be behind its segment's end.
    fn walk(&mut self, volumes: &Volumes, volume: usize, chunk: u64, forward: bool) -> Step {
        let (mut at, mut chunk) = (volume, chunk);
        loop {
            let Some(volume) = volumes.get(at) else { return Step::Edge };
            if chunk < volume.chunks() {
                match self.is_empty(volume, chunk, forward) {
                    None => return Step::Unknown,
                    Some(true) => {}
                    Some(false) => {
                        let loaded = self.load(volume, chunk);
                        if let Some(last) = loaded.lines.len().checked_sub(1) {
                            let line = if forward { 0 } else { last };
                            return Step::To(Cursor { volume: at, chunk, line });
                        }
                    }
                }
            }
            if !forward {
                match chunk_before(volumes, at, chunk) {
                    Some(place) => (at, chunk) = place,
                    None => return Step::Edge,
                }
            } else if chunk + 1 < volume.chunks() {
                chunk += 1;
            } else {
                (at, chunk) = (at + 1, 0);
            }
        }
    }

    /// Whether a chunk has no line that is shown; `None` if that is not known yet.
    fn is_empty(&mut self, volume: &Volume, number: u64, forward: bool) -> Option<bool> {
        let key = ChunkKey { segment: volume.key.clone(), number };
        if self.hollow.contains(&key) {
            return Some(true);
        }
        if self.judge.spec.shows_all() {
            return Some(false);
        }
        let known = self.survey.known(&key, forward, |tally| tally.kept == 0);
        if known.is_some() {
            return known;
        }
        if self.loaded.iter().any(|loaded| loaded.key == key) {
            return Some(false);
        }
        self.budget = self.budget.checked_sub(1)?;
        Some(false)
    }

    fn load(&mut self, volume: &Volume, number: u64) -> Rc<Loaded> {
        let length = volume.length();
        let growing = ((number + 1) * CHUNK > length).then_some(length);
        let known =
            |loaded: &Rc<Loaded>| loaded.key.number == number && loaded.key.segment == volume.key;
        if let Some(place) = self.loaded.iter().position(known)
            && let Some(loaded) = self.loaded.remove(place)
            && loaded.length == growing
        {
            self.loaded.push_back(Rc::clone(&loaded));
            return loaded;
        }
        let key = ChunkKey { segment: volume.key.clone(), number };
        let (base, text) = match self.reader.chunk(volume, number, length) {
            Ok(chunk) => {
                if chunk.text.is_empty() && growing.is_none() {
                    if self.hollow.len() >= MAX_HOLLOW {
                        self.hollow.clear();
                    }
                    self.hollow.insert(key.clone());
                }
                (chunk.base, chunk.text)
            }
            Err(error) => {
                // Told where the lines are missing, and as a notice.
                self.failure = Some(error.to_string());
                (number * CHUNK, format!("[cannot be read: {error}]\n").into_bytes())
            }
        };
        let volumes = Arc::clone(self.catalogue.volumes());
        let reader = &mut self.reader;
        let before = || {
            let at = volumes.binary_search_by(|other| other.key.cmp(&volume.key)).ok()?;
            let (at, number) = chunk_before(&volumes, at, number)?;
            let volume = volumes.get(at)?;
            reader.chunk(volume, number, volume.length()).ok().map(|chunk| chunk.text)
        };
        let verdicts = self.judge.judge_all(&text, before);
        let (mut lines, mut goals) = (Vec::new(), Vec::new());
        let mut start = 0;
        for (line, verdict) in Lines(&text).zip(verdicts) {
            let end = start + line.len();
            if verdict.kept {
                lines.push((start as u32, end as u32));
                goals.push(Goals { is_match: verdict.found, is_error: verdict.is_error() });
            }
            start = end + 1;
        }
        let loaded = Rc::new(Loaded {
            key,
            length: growing,
            base,
            text,
            lines,
            goals,
            parsed: RefCell::default(),
            wanted: RefCell::default(),
        });
        if self.loaded.len() >= MAX_LOADED {
            self.loaded.pop_front();
        }
        self.loaded.push_back(Rc::clone(&loaded));
        loaded
    }
}

/// The chunk before one.
fn chunk_before(volumes: &Volumes, volume: usize, chunk: u64) -> Option<(usize, u64)> {
    if let Some(chunk) = chunk.checked_sub(1) {
        return Some((volume, chunk));
    }
    let earlier = volumes.get(..volume)?;
    let place = earlier.iter().rposition(|volume| volume.chunks() > 0)?;
    Some((place, earlier.get(place)?.chunks() - 1))
}

/// How much of the capture is before a line, in percent.
fn percent(volumes: &Volumes, last: Option<&Cursor>) -> u8 {
    let Some(last) = last else { return 100 };
    let (mut before, mut total) = (0_u64, 0_u64);
    for (number, volume) in volumes.iter().enumerate() {
        total += volume.length();
        if number < last.volume {
            before += volume.length();
        } else if number == last.volume {
            before += volume.length().min((last.chunk + 1) * CHUNK);
        }
    }
    u8::try_from((before * 100).checked_div(total).unwrap_or(100)).unwrap_or(100)
}

#[cfg(test)]
mod tests;
