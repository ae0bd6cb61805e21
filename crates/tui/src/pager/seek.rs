//! Jumps: to the next match or error, and to a time. Lines are read only where there is one.

use std::rc::Rc;
use std::sync::Arc;

use logtap_capture::{LineSlices, Timestamp};

use super::loaded::Loaded;
use super::{Pager, chunk_before};
use crate::catalogue::Volume;
use crate::lines::Lines;
use crate::page::{Goal, Sought};
use crate::place::{CHUNK, ChunkKey, Place};
use crate::tally::Tally;

impl Pager {
    /// The next line behind or before a place that is what is sought.
    pub(crate) fn seek(&mut self, goal: Goal, from: &Place, forward: bool) -> Sought {
        let volumes = Arc::clone(self.catalogue.volumes());
        let found = volumes.binary_search_by(|volume| volume.key.cmp(&from.segment));
        let (mut at, mut chunk, mut own) = match found {
            Ok(at) => (at, from.offset / CHUNK, true),
            Err(at) if forward => (at, 0, false),
            Err(at) => match chunk_before(&volumes, at, 0) {
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
                match chunk_before(&volumes, at, chunk) {
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
        let wanted = Self::wanted(&loaded, goal);
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
    fn wanted(loaded: &Loaded, goal: Goal) -> Rc<[usize]> {
        if let Some((known, wanted)) = &*loaded.wanted.borrow()
            && *known == goal
        {
            return Rc::clone(wanted);
        }
        let wanted: Rc<[usize]> = loaded
            .goals
            .iter()
            .enumerate()
            .filter(|(_, goals)| match goal {
                Goal::Match => goals.is_match,
                Goal::Error => goals.is_error,
            })
            .map(|(line, _)| line)
            .collect();
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
