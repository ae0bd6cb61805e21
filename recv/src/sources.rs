//! Sources that number their lines: which lines of theirs are stored, and whose a source is.
//!
//! Who sends as a source knows its name, and nobody else does: a capture has only a digest of it, from which
//! the name cannot be told. A source's mark moves by the lines that follow it. Behind a gap the lines are
//! stored and the gap is told; what comes of it later after all is stored too. A name that an older capture
//! shows proves nothing: its mark moves over no gap.
//!
//! Two senders of one name are noticed by other lines under the same numbers, of which the latest are
//! remembered. Then whatever is not known to be a repetition is stored. Refuses to drop a line on the word
//! of a number alone, as far as memory reaches.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use logtap_capture::Appended;
use logtap_loki::{Batch, Entry, Origin};
use ring::digest::{SHA256, digest};

use crate::store::{LastLine, Store, StoreError};

/// Of so many sources the latest lines are remembered.
const MAX_HEARD: usize = 128;
/// Of so many of the latest lines each is remembered, and of so many times [`STRIDE`] before every one that
/// has a number divisible by it.
const MAX_LATEST: usize = 1024;
const MAX_EARLIER: usize = 2048;
const STRIDE: u64 = 64;
/// So many gaps of a source are remembered.
const MAX_GAPS: usize = 64;

/// The sources that were heard of since the start.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    sources: HashMap<String, (u64, Arc<Mutex<Source>>)>,
    clock: u64,
}

/// What is known of one source.
#[derive(Debug, Default)]
struct Source {
    /// The number of its last line that was stored in its place, 0 for none.
    mark: u64,
    /// Whether a capture shows its name to everybody.
    is_shown: bool,
    /// Whether two of this name were noticed.
    is_copied: bool,
    /// Numbers before the mark that never came, first and last.
    gaps: Vec<(u64, u64)>,
    /// Prints of the lines up to the mark.
    latest: VecDeque<u64>,
    /// Prints of those whose number is divisible by the stride, up to the mark.
    earlier: VecDeque<u64>,
}

/// What became of the lines of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Lines stored, and their bytes.
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
    /// Numbers that were left out before these lines.
    pub(crate) missing: u64,
    /// Lines whose numbers others have.
    pub(crate) clashes: u64,
}

/// What is to be done with a numbered line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// It is stored already, as far as is known.
    Repeated,
    /// It is stored already: this very line.
    Same,
    /// Another line has its number.
    Clash,
    /// Its number never came.
    Late,
    /// It is behind the mark.
    New,
}

impl Sources {
    /// Stores a batch, without the lines that are stored already.
    pub(crate) fn append(&self, store: &Store, batch: &mut Batch) -> Result<Taken, StoreError> {
        let Some(shown) = batch.origin.as_ref().map(|origin| origin.source.clone()) else {
            return store.append(batch).map(|appended| Taken::of(batch, appended));
        };
        let name = stored_name(&shown);
        if let Some(origin) = &mut batch.origin {
            origin.source.clone_from(&name);
        }
        let source = self.source(&name, || {
            let LastLine { number, has_older } = store.last_line(&name, &shown);
            Source { mark: number, is_shown: has_older, ..Source::default() }
        });
        lock(&source).append(store, batch)
    }

    fn source(&self, name: &str, found: impl FnOnce() -> Source) -> Arc<Mutex<Source>> {
        let mut heard = lock(&self.heard);
        heard.clock += 1;
        let now = heard.clock;
        if let Some((latest, source)) = heard.sources.get_mut(name) {
            *latest = now;
            return Arc::clone(source);
        }
        if heard.sources.len() >= MAX_HEARD {
            let silent = heard.sources.iter().min_by_key(|(_, (latest, _))| *latest);
            if let Some(silent) = silent.map(|(name, _)| name.clone()) {
                heard.sources.remove(&silent);
            }
        }
        let source = Arc::new(Mutex::new(found()));
        heard.sources.insert(name.to_owned(), (now, Arc::clone(&source)));
        source
    }
}

impl Taken {
    fn of(batch: &Batch, appended: Appended) -> Self {
        let Appended { stored, skipped, .. } = appended;
        let new = batch.entries.iter().skip(skipped as usize).take(stored as usize);
        let bytes = new.map(|entry| u64::from(entry.length)).sum();
        Self { lines: stored, bytes, ..Self::default() }
    }

    fn and(self, more: Self) -> Self {
        Self {
            lines: self.lines + more.lines,
            bytes: self.bytes + more.bytes,
            missing: self.missing + more.missing,
            clashes: self.clashes + more.clashes,
        }
    }
}

impl Source {
    fn append(&mut self, store: &Store, batch: &mut Batch) -> Result<Taken, StoreError> {
        let origin = match &batch.origin {
            Some(origin) if is_right(origin, batch.entries.len()) => origin.clone(),
            // The store says what is wrong.
            _ => return store.append(batch).map(|appended| Taken::of(batch, appended)),
        };
        let cases: Vec<Case> = (origin.first..=origin.last)
            .zip(&batch.entries)
            .map(|(number, entry)| self.case(number, print_of(batch, entry)))
            .collect();
        let clashes = cases.iter().filter(|case| **case == Case::Clash).count() as u64;
        if clashes > 0 || self.is_copied {
            self.is_copied = true;
            // Both count on from the same number: whose lines these are is told by those that are known.
            let follows =
                self.mark.saturating_add(1) == origin.first || cases.contains(&Case::Same);
            if clashes > 0 || !follows {
                let wanted = |case: Case| case != Case::Same;
                let taken = store_some(store, batch, &cases, wanted)?;
                return Ok(Taken { clashes: taken.lines, ..taken });
            }
        }
        let missing = match self.mark {
            0 => 0,
            mark => origin.first.saturating_sub(mark.saturating_add(1)),
        };
        if missing > 0 && self.is_shown {
            let taken = store_some(store, batch, &cases, |_| true)?;
            return Ok(Taken { missing, ..taken });
        }
        let mut late = Taken::default();
        if cases.contains(&Case::Late) {
            late = store_some(store, batch, &cases, |case| case == Case::Late)?;
            self.fill(origin.first, origin.last);
        }
        let appended = store.append(batch)?;
        let taken = late.and(Taken { missing, ..Taken::of(batch, appended) });
        self.follow(&origin, batch, missing);
        Ok(taken)
    }

    fn case(&self, number: u64, print: u64) -> Case {
        if number > self.mark {
            return Case::New;
        }
        if self.gaps.iter().any(|(first, last)| (*first..=*last).contains(&number)) {
            return Case::Late;
        }
        match self.print(number) {
            Some(known) if known == print => Case::Same,
            Some(_) => Case::Clash,
            None => Case::Repeated,
        }
    }

    /// What is remembered of a line at or before the mark.
    fn print(&self, number: u64) -> Option<u64> {
        let back = |distance: u64, prints: &VecDeque<u64>| {
            let place =
                prints.len().checked_sub(usize::try_from(distance).ok()?.checked_add(1)?)?;
            prints.get(place).copied()
        };
        back(self.mark - number, &self.latest).or_else(|| {
            let is_kept = number.is_multiple_of(STRIDE);
            is_kept.then(|| back(self.mark / STRIDE - number / STRIDE, &self.earlier))?
        })
    }

    /// Moves the mark to the end of a batch that was stored.
    fn follow(&mut self, origin: &Origin, batch: &Batch, missing: u64) {
        if missing > 0 {
            if self.gaps.len() >= MAX_GAPS {
                let smallest = (0..self.gaps.len())
                    .min_by_key(|place| self.gaps.get(*place).map(|(first, last)| last - first));
                if let Some(place) = smallest {
                    self.gaps.swap_remove(place);
                }
            }
            self.gaps.push((self.mark + 1, origin.first - 1));
        }
        if missing > 0 || self.mark == 0 {
            self.latest.clear();
            self.earlier.clear();
        }
        for (number, entry) in (origin.first..=origin.last).zip(&batch.entries) {
            if number <= self.mark {
                continue;
            }
            let print = print_of(batch, entry);
            keep(&mut self.latest, print, MAX_LATEST);
            if number.is_multiple_of(STRIDE) {
                keep(&mut self.earlier, print, MAX_EARLIER);
            }
        }
        self.mark = self.mark.max(origin.last);
    }

    /// Takes numbers out of the gaps.
    fn fill(&mut self, first: u64, last: u64) {
        let cut = |(from, to): (u64, u64)| {
            let before = (from, to.min(first.saturating_sub(1)));
            let behind = (from.max(last.saturating_add(1)), to);
            [before, behind].into_iter().filter(|(from, to)| from <= to)
        };
        let left: Vec<_> = std::mem::take(&mut self.gaps).into_iter().flat_map(cut).collect();
        self.gaps = left;
    }
}

/// Whether the numbers are as many as the lines.
fn is_right(origin: &Origin, entries: usize) -> bool {
    origin.first > 0 && origin.last.checked_sub(origin.first) == (entries as u64).checked_sub(1)
}

/// Stores those lines of a batch that are wanted, without numbers.
fn store_some(
    store: &Store,
    batch: &Batch,
    cases: &[Case],
    wanted: impl Fn(Case) -> bool,
) -> Result<Taken, StoreError> {
    let mut some = batch.clone_without_lines();
    some.origin = None;
    for (entry, _) in batch.entries.iter().zip(cases).filter(|(_, case)| wanted(**case)) {
        some.push(entry.stream, entry.timestamp, entry.metadata, batch.line(entry));
    }
    if some.is_empty() {
        return Ok(Taken::default());
    }
    store.append(&some).map(|appended| Taken::of(&some, appended))
}

/// Under what name a capture keeps the mark of a source: it has as many digits, and does not tell the name.
fn stored_name(shown: &str) -> String {
    let digest = digest(&SHA256, format!("logtap source {shown}").as_bytes());
    let digits = digest.as_ref().iter().take(16);
    digits
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|d| char::from_digit(d.into(), 16))
        .collect()
}

/// What tells a line from others of its number: its time, its length and its end.
fn print_of(batch: &Batch, entry: &Entry) -> u64 {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let line = batch.line(entry);
    let end = line.get(line.len().saturating_sub(8)..).unwrap_or_default();
    let end = end.iter().fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
    let mix = |print: u64, value: u64| (print ^ value).wrapping_mul(SPREAD).rotate_left(29);
    [entry.timestamp as u64, u64::from(entry.length), end].into_iter().fold(SPREAD, mix)
}

fn keep(prints: &mut VecDeque<u64>, print: u64, most: usize) {
    if prints.len() >= most {
        prints.pop_front();
    }
    prints.push_back(print);
}

/// A thread that panicked leaves what it held whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
