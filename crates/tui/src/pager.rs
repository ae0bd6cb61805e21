//! Puts a screen of lines together: from a place forwards and backwards, over the lines that are shown.
//!
//! Reads only chunks that have such lines. What the survey has not looked at yet is not waited for: the
//! page says that it is unfinished, and is asked for again.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use logtap_capture::{CaptureError, LineSlices, Timestamp};

use crate::catalogue::{Catalogue, Volume, Volumes};
use crate::judge::{Judge, Spec, Tally};
use crate::place::{ChunkKey, Place};
use crate::shown::ShownLine;
use crate::survey::{Lines, Progress, Survey};
use crate::text::{CHUNK, TextReader};

/// Chunks that are kept.
const MAX_LOADED: usize = 6;
/// Chunks within one long line that are remembered.
const MAX_HOLLOW: usize = 64 * 1024;
/// Chunks that a page looks at itself where the survey has not been yet.
const MAX_UNKNOWN: u32 = 4;

/// A line on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it is.
    pub place: Place,
    /// What it says.
    pub line: Rc<ShownLine>,
}

/// A screen of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The lines, without a gap between them.
    pub rows: Vec<Row>,
    /// The row of the line that was asked for.
    pub anchor: usize,
    /// Whether there is nothing before the first row.
    pub at_start: bool,
    /// Whether there is nothing behind the last row.
    pub at_end: bool,
    /// Whether it is not known yet what comes before or behind.
    pub waiting: bool,
    /// Lines of the capture before the last row, in percent of its bytes.
    pub percent: u8,
}

/// Which lines to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The last ones.
    Tail,
    /// The first ones.
    Head,
    /// The line at a place or the next one shown behind it, moved by some lines, in this row.
    Around {
        /// Where.
        place: Place,
        /// By how many lines.
        moved: isize,
        /// In which row, if there are enough lines before and behind.
        row: usize,
    },
}

/// What to jump to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// What is searched.
    Match,
    /// An error or worse.
    Error,
}

/// What became of a jump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sought {
    /// It is here; with its number among all of its kind if that is known.
    Found(Place, Option<u64>),
    /// There is none in that direction.
    Nothing,
    /// Not known yet.
    Waiting,
}

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

/// A chunk and the lines of it that are shown.
struct Loaded {
    key: ChunkKey,
    /// The segment's length when it was read, if more may come.
    length: Option<u64>,
    base: u64,
    text: Vec<u8>,
    /// Start and end of each.
    lines: Vec<(u32, u32)>,
    /// Those that were taken apart, since a page that stands still is asked for many times.
    parsed: RefCell<HashMap<usize, Rc<ShownLine>>>,
    /// Those that were jumped to by goal, since one goes from match to match.
    wanted: RefCell<Option<(Goal, Rc<[usize]>)>>,
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

impl Loaded {
    fn line(&self, number: usize) -> &[u8] {
        let (start, end) = self.lines.get(number).copied().unwrap_or_default();
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    fn shown(&self, number: usize) -> Rc<ShownLine> {
        let mut parsed = self.parsed.borrow_mut();
        let line = || Rc::new(ShownLine::of(self.line(number)));
        Rc::clone(parsed.entry(number).or_insert_with(line))
    }

    fn place(&self, number: usize) -> Place {
        let start = self.lines.get(number).map_or(0, |(start, _)| *start);
        Place { segment: self.key.segment.clone(), offset: self.base + u64::from(start) }
    }
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
        match self.before(volumes, from.volume, from.chunk) {
            Some((volume, chunk)) => self.walk(volumes, volume, chunk, false),
            None => Step::Edge,
        }
    }

    /// The chunk before one.
    fn before(&self, volumes: &Volumes, volume: usize, chunk: u64) -> Option<(usize, u64)> {
        if let Some(chunk) = chunk.checked_sub(1) {
            return Some((volume, chunk));
        }
        let earlier = volumes.get(..volume)?;
        let place = earlier.iter().rposition(|volume| volume.chunks() > 0)?;
        Some((place, earlier.get(place)?.chunks() - 1))
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
                match self.before(volumes, at, chunk) {
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
        let mut lines = Vec::new();
        let mut start = 0;
        for line in Lines(&text) {
            let end = start + line.len();
            if self.judge.judge(line).kept {
                lines.push((start as u32, end as u32));
            }
            start = end + 1;
        }
        let loaded = Rc::new(Loaded {
            key,
            length: growing,
            base,
            text,
            lines,
            parsed: RefCell::default(),
            wanted: RefCell::default(),
        });
        if self.loaded.len() >= MAX_LOADED {
            self.loaded.pop_front();
        }
        self.loaded.push_back(Rc::clone(&loaded));
        loaded
    }

    /// The next line behind or before a place that is what is sought.
    pub(crate) fn seek(&mut self, goal: Goal, from: &Place, forward: bool) -> Sought {
        let volumes = Arc::clone(self.catalogue.volumes());
        let found = volumes.binary_search_by(|volume| volume.key.cmp(&from.segment));
        let (mut at, mut chunk, mut own) = match found {
            Ok(at) => (at, from.offset / CHUNK, true),
            Err(at) if forward => (at, 0, false),
            Err(at) => match self.before(&volumes, at, 0) {
                Some((at, chunk)) => (at, chunk, false),
                None => return Sought::Nothing,
            },
        };
        loop {
            let Some(volume) = volumes.get(at) else { return Sought::Nothing };
            if chunk < volume.chunks() {
                let key = ChunkKey { segment: volume.key.clone(), number: chunk };
                let count = |tally: &Tally| match goal {
                    Goal::Match => tally.found,
                    Goal::Error => tally.errors,
                };
                // The chunk that one is in is looked at in any case.
                match if own { Some(1) } else { self.survey.known(&key, forward, count) } {
                    None => return Sought::Waiting,
                    Some(0) => {}
                    Some(_) => {
                        let from = own.then_some(from);
                        if let Some(found) = self.seek_in(volume, &key, goal, from, forward) {
                            return found;
                        }
                    }
                }
            }
            own = false;
            if !forward {
                match self.before(&volumes, at, chunk) {
                    Some(place) => (at, chunk) = place,
                    None => return Sought::Nothing,
                }
            } else if chunk + 1 < volume.chunks() {
                chunk += 1;
            } else {
                (at, chunk) = (at + 1, 0);
            }
        }
    }

    fn seek_in(
        &mut self,
        volume: &Volume,
        key: &ChunkKey,
        goal: Goal,
        from: Option<&Place>,
        forward: bool,
    ) -> Option<Sought> {
        let loaded = self.load(volume, key.number);
        let wanted = self.wanted(&loaded, goal);
        let is_there = |line: &usize| match from {
            Some(from) if forward => loaded.place(*line) > *from,
            Some(from) => loaded.place(*line) < *from,
            None => true,
        };
        let place = if forward {
            wanted.iter().position(is_there)
        } else {
            wanted.iter().rposition(is_there)
        }?;
        let number = match goal {
            Goal::Match => self.survey.found_before(key).map(|before| before + place as u64 + 1),
            Goal::Error => None,
        };
        Some(Sought::Found(loaded.place(*wanted.get(place)?), number))
    }

    /// The lines of a chunk that are what is sought.
    fn wanted(&mut self, loaded: &Loaded, goal: Goal) -> Rc<[usize]> {
        if let Some((known, wanted)) = &*loaded.wanted.borrow()
            && *known == goal
        {
            return Rc::clone(wanted);
        }
        let is_wanted = |line: &usize| {
            let verdict = self.judge.judge(loaded.line(*line));
            match goal {
                Goal::Match => verdict.found,
                Goal::Error => verdict.is_error(),
            }
        };
        let wanted: Rc<[usize]> = (0..loaded.lines.len()).filter(is_wanted).collect();
        *loaded.wanted.borrow_mut() = Some((goal, Rc::clone(&wanted)));
        wanted
    }

    /// The first line that is not before a time, as far as the capture is in the order of time.
    pub(crate) fn find_time(&mut self, time: Timestamp) -> Option<Place> {
        let volumes = Arc::clone(self.catalogue.volumes());
        for volume in volumes.iter() {
            if volume.index.as_ref().is_some_and(|index| index.to < time) {
                continue;
            }
            let chunks = volume.chunks();
            // The last chunk that begins before that time.
            let (mut low, mut high) = (0, chunks);
            while low < high {
                let middle = low + (high - low) / 2;
                let first = self.read_times(volume, middle).next().map(|(found, _)| found);
                if first.is_none_or(|first| first < time) {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            for number in low.saturating_sub(1)..chunks.min(low + 1) {
                let found = self.read_times(volume, number).find(|(found, _)| *found >= time);
                if let Some((_, offset)) = found {
                    return Some(Place { segment: volume.key.clone(), offset });
                }
            }
        }
        None
    }

    /// Times and places of a chunk's lines.
    fn read_times(
        &mut self,
        volume: &Volume,
        number: u64,
    ) -> impl Iterator<Item = (Timestamp, u64)> + use<> {
        let chunk = self.reader.chunk(volume, number, volume.length()).unwrap_or_default();
        let mut start = 0;
        std::iter::from_fn(move || {
            loop {
                let line = Lines(chunk.text.get(start..)?).next()?;
                let place = chunk.base + start as u64;
                let time = LineSlices::of(line).and_then(|slices| slices.time());
                start += line.len() + 1;
                if let Some(time) = time {
                    return Some((time, place));
                }
            }
        })
    }

    /// The times of the first and the last line.
    pub(crate) fn time_range(&mut self) -> Option<(Timestamp, Timestamp)> {
        let volumes = Arc::clone(self.catalogue.volumes());
        let with_text = |volume: &&Arc<Volume>| volume.chunks() > 0;
        let first = volumes.iter().find(with_text)?;
        let last = volumes.iter().rev().find(with_text)?;
        let from = self.read_times(first, 0).next()?.0;
        let to = self.read_times(last, last.chunks() - 1).last()?.0;
        Some((from, to))
    }
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
