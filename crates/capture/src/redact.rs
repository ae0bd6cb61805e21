//! The gate in front of the disk: only what a [`Redactor`] has passed can be written.
//!
//! A [`Redacted`] value cannot be made outside this file. The built-in patterns are found in one pass
//! over a line (`scan`), the user's own follow. Messages are redacted, whatever bytes they hold, and so
//! are the values of labels and of structured metadata. Each replacement is counted under its pattern.
//!
//! It never looks anything up outside of the batch, and it knows no way to get back what it took.

mod addresses;
mod bytes;
mod custom;
mod key_block;
mod layers;
#[cfg(test)]
mod linear;
mod names;
mod numbers;
mod pattern;
mod placeholders;
mod scan;
mod secrets;
mod signs;
mod tokens;
mod urls;
mod values;

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use logtap_loki::{Batch, Pairs};

pub use custom::{CustomError, CustomPatterns};
pub use pattern::{Pattern, Patterns, UnknownPattern};

use key_block::OpenKey;
use scan::Scanner;

/// More streams than this are not remembered from one push to the next as being within a private key.
const MAX_OPEN_KEYS: usize = 65_536;
/// A hit of labels or metadata, which belong to no line alone.
const WHOLE_BATCH: u32 = u32::MAX;
/// What replacements may add to the text of a batch, or to a line by itself: this, and an eighth of the text.
const MAX_GROWTH: usize = 4 << 20;
/// What stands in the place of a match once they have added that much.
const SHORT_MARK: &[u8] = b"***";

/// A value that went through a redactor, and so may be written.
#[derive(Clone, Debug)]
pub struct Redacted<T> {
    value: T,
    hits: Vec<Hit>,
}

/// A batch that may be written.
pub type RedactedBatch<'a> = Redacted<Cow<'a, Batch>>;

/// Replacements of one pattern in one entry, so that what is counted stays small beside what is replaced.
#[derive(Clone, Copy, Debug)]
struct Hit {
    entry: u32,
    pattern: u32,
    count: u32,
}

/// Counts a replacement.
fn add_hit(hits: &mut Vec<Hit>, entry: u32, pattern: usize) {
    let pattern = pattern as u32;
    let of_entry = hits.iter_mut().rev().take_while(|hit| hit.entry == entry);
    match of_entry.into_iter().find(|hit| hit.pattern == pattern) {
        Some(hit) => hit.count = hit.count.saturating_add(1),
        None => hits.push(Hit { entry, pattern, count: 1 }),
    }
}

/// How much longer than it was a text may still become.
#[derive(Clone, Copy, Debug)]
struct Growth {
    left: usize,
}

impl Growth {
    fn of(text: usize) -> Self {
        Self { left: MAX_GROWTH + text / 8 }
    }

    /// What is written for a match of this length.
    fn mark(&mut self, mark: &'static str, length: usize) -> &'static [u8] {
        match self.left.checked_sub(mark.len().saturating_sub(length)) {
            Some(left) => {
                self.left = left;
                mark.as_bytes()
            }
            None => SHORT_MARK,
        }
    }
}

impl<T> Redacted<T> {
    /// What it is now.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// The places in [`Redactor::names`] of the patterns of all replacements but those in the first
    /// entries, which were stored before.
    pub fn hits_from(&self, skipped: u64) -> impl Iterator<Item = usize> {
        self.hits
            .iter()
            .filter(move |hit| u64::from(hit.entry) >= skipped)
            .flat_map(|hit| std::iter::repeat_n(hit.pattern as usize, hit.count as usize))
    }
}

/// Applies a policy to what is to be written.
#[derive(Debug, Default)]
pub struct Redactor {
    scanner: Option<Scanner>,
    custom: Option<CustomPatterns>,
    /// How often each of the names was replaced in what was stored.
    counts: Vec<AtomicU64>,
    /// Streams whose last line so far is within a private key, by a hash of their labels.
    open_keys: Mutex<HashMap<u64, OpenKey>>,
    open_count: AtomicUsize,
}

impl Redactor {
    /// The policy that changes nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// A policy of built-in patterns and the user's own.
    pub fn new(patterns: Patterns, custom: Option<CustomPatterns>) -> Self {
        let scanner = (!patterns.is_empty()).then(|| Scanner::new(patterns));
        let names = patterns.iter().count() + custom.as_ref().map_or(0, CustomPatterns::len);
        let counts = (0..names).map(|_| AtomicU64::new(0)).collect();
        Self { scanner, custom, counts, ..Self::default() }
    }

    /// Whether it changes anything.
    pub fn is_active(&self) -> bool {
        self.scanner.is_some() || self.custom.is_some()
    }

    /// The names of the patterns: built-in ones, then the user's own.
    pub fn names(&self) -> Vec<String> {
        let built_in = self.chosen().iter().map(|pattern| pattern.name().to_owned());
        let custom = self.custom.iter().flat_map(|custom| custom.names().map(str::to_owned));
        built_in.chain(custom).collect()
    }

    /// Counts what was replaced in a batch that is stored now, without its first entries that were stored
    /// before.
    pub fn count(&self, batch: &RedactedBatch<'_>, skipped: u64) {
        for hit in batch.hits.iter().filter(|hit| u64::from(hit.entry) >= skipped) {
            if let Some(count) = self.counts.get(hit.pattern as usize) {
                count.fetch_add(u64::from(hit.count), Ordering::Relaxed);
            }
        }
    }

    /// The names with how often each was replaced in what was counted.
    pub fn counts(&self) -> Vec<(String, u64)> {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        self.names().into_iter().zip(counts).collect()
    }

    /// Passes a batch. One in which nothing was found is not copied.
    pub fn redact<'a>(&self, batch: &'a Batch) -> RedactedBatch<'a> {
        if !self.is_active() {
            return Redacted { value: Cow::Borrowed(batch), hits: Vec::new() };
        }
        let mut hits = Vec::new();
        let mut changed: Option<Batch> = None;
        self.redact_lines(batch, &mut changed, &mut hits);
        let streams = self.redact_sets(&batch.streams, &mut hits);
        let metadata = self.redact_sets(&batch.metadata, &mut hits);
        if streams.is_some() || metadata.is_some() {
            let changed = changed.get_or_insert_with(|| batch.clone());
            if let Some(streams) = streams {
                changed.streams = streams;
            }
            if let Some(metadata) = metadata {
                changed.metadata = metadata;
            }
        }
        Redacted { value: changed.map_or(Cow::Borrowed(batch), Cow::Owned), hits }
    }

    /// Passes one line by itself; calls `hit` with the place in [`Redactor::names`] of each pattern that
    /// was replaced. `None` if nothing was.
    pub fn redact_line(&self, line: &[u8], mut hit: impl FnMut(usize)) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut growth = Growth::of(line.len());
        self.rewrite(line, &mut out, &mut growth, &mut hit).then_some(out)
    }

    /// Passes lines that follow each other, as those of a file do: a private key may take several.
    pub fn lines(&self) -> Lines<'_> {
        Lines { redactor: self, open: None }
    }

    /// Passes a set of names and values by itself. What is replaced is not counted.
    pub fn redact_pairs<'a>(&self, pairs: &'a Pairs) -> Cow<'a, Pairs> {
        let changed = self.redact_sets(std::slice::from_ref(pairs), &mut Vec::new());
        let changed = changed.and_then(|mut sets| sets.pop());
        changed.map_or(Cow::Borrowed(pairs), Cow::Owned)
    }

    fn chosen(&self) -> Patterns {
        self.scanner.as_ref().map_or(Patterns::NONE, Scanner::chosen)
    }

    fn redact_lines(&self, batch: &Batch, changed: &mut Option<Batch>, hits: &mut Vec<Hit>) {
        let mut keys = OpenKeys::begin(self, batch);
        let mut growth = Growth::of(batch.text.len());
        let mut out = Vec::new();
        for (number, entry) in batch.entries.iter().enumerate() {
            let line = batch.line(entry);
            let number = number as u32;
            let mut hit = |pattern: usize| add_hit(hits, number, pattern);
            out.clear();
            let replaced = match &mut keys {
                None => self.rewrite(line, &mut out, &mut growth, &mut hit),
                Some(keys) => {
                    let mut open = match keys.open.is_empty() {
                        true => None,
                        false => keys.open.remove(&entry.stream),
                    };
                    let replaced = self.pass(line, &mut open, &mut out, &mut growth, &mut hit);
                    if let Some(open) = open {
                        keys.open.insert(entry.stream, open);
                    }
                    replaced
                }
            };
            let copy = match changed {
                None if !replaced => continue,
                None => changed.insert(copy_before(batch, number as usize, out.len())),
                Some(copy) => copy,
            };
            let text = if replaced { &out } else { line };
            let end = entry.start as usize + entry.length as usize;
            reserve(&mut copy.text, text.len(), batch.text.len().saturating_sub(end));
            copy.push(entry.stream, entry.timestamp, entry.metadata, text);
            if out.capacity() > LARGE {
                out = Vec::new();
            }
        }
        if let Some(keys) = keys {
            keys.end();
        }
    }

    /// Writes a line without what was found in it or is a part of a private key that was begun before; false, and
    /// nothing written, if there is neither.
    fn pass(
        &self,
        line: &[u8],
        open: &mut Option<OpenKey>,
        out: &mut Vec<u8>,
        growth: &mut Growth,
        hit: &mut impl FnMut(usize),
    ) -> bool {
        let part = open.as_mut().and_then(|open| open.part(line));
        if let Some(part) = part {
            let mut rest = Vec::new();
            let (before, after) = (line.get(..part.place.start), line.get(part.place.end..));
            let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
            if !self.rewrite(before, out, growth, hit) {
                out.extend_from_slice(before);
            }
            out.extend_from_slice(growth.mark(Pattern::PrivateKey.replacement(), part.place.len()));
            hit(self.place(Pattern::PrivateKey));
            let replaced = self.rewrite(after, &mut rest, growth, hit);
            out.extend_from_slice(if replaced { &rest } else { after });
            if part.is_last {
                *open = OpenKey::begun_in(after);
            }
            return true;
        }
        if open.is_some_and(|open| open.is_given_up()) {
            *open = None;
        }
        let key = self.place(Pattern::PrivateKey);
        let mut begins = false;
        let replaced = self.rewrite(line, out, growth, &mut |place| {
            begins |= place == key;
            hit(place);
        });
        if begins && let Some(key) = OpenKey::begun_in(line) {
            *open = Some(key);
        }
        replaced
    }

    /// The place of a chosen pattern among the names.
    fn place(&self, pattern: Pattern) -> usize {
        self.chosen().place(pattern)
    }

    /// Redacts the values of names; `None` if nothing was found.
    fn redact_sets(&self, sets: &[Pairs], hits: &mut Vec<Hit>) -> Option<Vec<Pairs>> {
        let mut changed: Option<Vec<Pairs>> = None;
        let mut out = Vec::new();
        let by_name = self.chosen().has(Pattern::Secret);
        let text: usize = sets.iter().flatten().map(|(_, value)| value.len()).sum();
        let mut growth = Growth::of(text);
        for (set, pairs) in sets.iter().enumerate() {
            for (place, (name, value)) in pairs.iter().enumerate() {
                out.clear();
                let mut hit = |pattern: usize| add_hit(hits, WHOLE_BATCH, pattern);
                if by_name
                    && secrets::is_secret_name(name)
                    && !placeholders::is_nothing(value.as_bytes())
                {
                    out.extend_from_slice(Pattern::Secret.replacement().as_bytes());
                    hit(self.place(Pattern::Secret));
                } else if !self.rewrite(value.as_bytes(), &mut out, &mut growth, &mut hit) {
                    continue;
                }
                let sets = changed.get_or_insert_with(|| sets.to_vec());
                if let Some((_, value)) = sets.get_mut(set).and_then(|pairs| pairs.get_mut(place)) {
                    *value = String::from_utf8_lossy(&out).into_owned();
                }
            }
        }
        changed
    }

    /// Writes a line without what was found in it; false, and nothing written, if nothing was.
    fn rewrite(
        &self,
        line: &[u8],
        out: &mut Vec<u8>,
        growth: &mut Growth,
        hit: &mut impl FnMut(usize),
    ) -> bool {
        let mut written = 0;
        if let Some(scanner) = &self.scanner {
            scanner.scan(line, |found| {
                let before = line.get(written..found.start).unwrap_or_default();
                let mark = growth.mark(found.pattern.replacement(), found.end - found.start);
                reserve(out, before.len() + mark.len(), line.len() - found.end);
                out.extend_from_slice(before);
                out.extend_from_slice(mark);
                written = found.end;
                hit(self.place(found.pattern));
            });
        }
        if written > 0 {
            out.extend_from_slice(line.get(written..).unwrap_or_default());
        }
        if let Some(scanner) = &self.scanner
            && layers::may_be_encoded(line)
        {
            let text = if written > 0 { out.as_slice() } else { line };
            let (mut below, mut copied) = (Vec::new(), 0);
            layers::scan(scanner, text, |found| {
                let before = text.get(copied..found.start).unwrap_or_default();
                let mark = growth.mark(found.pattern.replacement(), found.end - found.start);
                reserve(&mut below, before.len() + mark.len(), text.len() - found.end);
                below.extend_from_slice(before);
                below.extend_from_slice(mark);
                copied = found.end;
                hit(self.place(found.pattern));
            });
            if copied > 0 {
                below.extend_from_slice(text.get(copied..).unwrap_or_default());
                *out = below;
                written = copied;
            }
        }
        let Some(custom) = &self.custom else { return written > 0 };
        let first = self.chosen().iter().count();
        let text = if written > 0 { out.as_slice() } else { line };
        match custom.apply(text, |place| hit(first + place)) {
            Some(text) => {
                *out = text;
                true
            }
            None => written > 0,
        }
    }
}

/// Lines that follow each other.
#[derive(Debug)]
pub struct Lines<'a> {
    redactor: &'a Redactor,
    open: Option<OpenKey>,
}

impl Lines<'_> {
    /// Passes the next line, as [`Redactor::redact_line`] does.
    pub fn redact(&mut self, line: &[u8], mut hit: impl FnMut(usize)) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut growth = Growth::of(line.len());
        let replaced = match self.redactor.chosen().has(Pattern::PrivateKey) {
            true => self.redactor.pass(line, &mut self.open, &mut out, &mut growth, &mut hit),
            false => self.redactor.rewrite(line, &mut out, &mut growth, &mut hit),
        };
        replaced.then_some(out)
    }
}

/// A text of this size grows by what it needs, not to the double.
const LARGE: usize = 1 << 20;

/// Makes space for a piece where the rest, of this length, will probably follow.
fn reserve(text: &mut Vec<u8>, piece: usize, rest: usize) {
    if text.capacity() - text.len() >= piece {
        return;
    }
    let needed = piece + rest + rest / 16;
    match text.len() + needed > LARGE {
        // A sixteenth of what is there, so that many small steps do not copy it all each time.
        true => text.reserve_exact(needed + text.len() / 16),
        false => text.reserve(piece),
    }
}

/// A copy of a batch with its first lines only, and with room for the others.
fn copy_before(batch: &Batch, lines: usize, next: usize) -> Batch {
    let mut copy = Batch {
        text: Vec::with_capacity(batch.text.len() + batch.text.len() / 16 + next.min(LARGE)),
        entries: Vec::with_capacity(batch.entries.len()),
        ..batch.clone_without_lines()
    };
    for entry in batch.entries.get(..lines).unwrap_or_default() {
        copy.push(entry.stream, entry.timestamp, entry.metadata, batch.line(entry));
    }
    copy
}

/// The streams of a batch that are within a private key.
struct OpenKeys<'a> {
    redactor: &'a Redactor,
    batch: &'a Batch,
    open: HashMap<u32, OpenKey>,
    /// Whether the redactor has to be told at the end.
    known_before: bool,
}

impl<'a> OpenKeys<'a> {
    /// `None` if private keys are not redacted.
    fn begin(redactor: &'a Redactor, batch: &'a Batch) -> Option<Self> {
        if !redactor.chosen().has(Pattern::PrivateKey) {
            return None;
        }
        let mut keys = Self { redactor, batch, open: HashMap::new(), known_before: false };
        if redactor.open_count.load(Ordering::Acquire) > 0 {
            let known = redactor.open_keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.open = (0..batch.streams.len() as u32)
                .filter_map(|stream| Some((stream, *known.get(&keys.hash(stream))?)))
                .collect();
            keys.known_before = !keys.open.is_empty();
        }
        Some(keys)
    }

    fn hash(&self, stream: u32) -> u64 {
        let labels = self.batch.streams.get(stream as usize);
        BuildHasherDefault::<DefaultHasher>::default().hash_one(labels)
    }

    /// Remembers for the next batch what is open.
    fn end(self) {
        if self.open.is_empty() && !self.known_before {
            return;
        }
        let mut known = self.redactor.open_keys.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in 0..self.batch.streams.len() as u32 {
            let hash = self.hash(stream);
            match self.open.get(&stream) {
                None => drop(known.remove(&hash)),
                Some(open) if known.len() < MAX_OPEN_KEYS || known.contains_key(&hash) => {
                    known.insert(hash, *open);
                }
                Some(_) => {}
            }
        }
        self.redactor.open_count.store(known.len(), Ordering::Release);
    }
}
