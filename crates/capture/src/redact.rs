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
mod numbers;
mod pattern;
mod scan;
mod secrets;
mod signs;
mod tokens;

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use logtap_loki::{Batch, Pairs};

pub use custom::{CustomError, CustomPatterns};
pub use pattern::{Pattern, Patterns, UnknownPattern};

use key_block::Continuation;
use scan::Scanner;

/// More streams than this are not remembered as being within a private key.
const MAX_OPEN_KEYS: usize = 1024;
/// A hit of labels or metadata, which belong to no line alone.
const WHOLE_BATCH: u32 = u32::MAX;

/// A value that went through a redactor, and so may be written.
#[derive(Clone, Debug)]
pub struct Redacted<T> {
    value: T,
    hits: Vec<Hit>,
}

/// A batch that may be written.
pub type RedactedBatch<'a> = Redacted<Cow<'a, Batch>>;

/// One replacement: of which pattern, in which entry.
#[derive(Clone, Copy, Debug)]
struct Hit {
    entry: u32,
    pattern: u32,
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
            .map(|hit| hit.pattern as usize)
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
    open_keys: Mutex<HashSet<u64>>,
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
        for place in batch.hits_from(skipped) {
            if let Some(count) = self.counts.get(place) {
                count.fetch_add(1, Ordering::Relaxed);
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
        self.rewrite(line, &mut out, &mut hit).then_some(out)
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
        let mut out = Vec::new();
        for (number, entry) in batch.entries.iter().enumerate() {
            let line = batch.line(entry);
            let number = number as u32;
            let mut hit = |pattern: usize| {
                hits.push(Hit { entry: number, pattern: pattern as u32 });
            };
            out.clear();
            let is_key = keys.as_mut().is_some_and(|keys| keys.continues(entry.stream, line));
            let replaced = if is_key {
                out.extend_from_slice(Pattern::PrivateKey.replacement().as_bytes());
                hit(self.place(Pattern::PrivateKey));
                true
            } else {
                self.rewrite(line, &mut out, &mut hit)
            };
            if replaced
                && !is_key
                && let Some(keys) = &mut keys
            {
                keys.begins(entry.stream, line);
            }
            match changed {
                None if !replaced => {}
                None => {
                    // All before it is as it was.
                    let mut copy = Batch {
                        text: Vec::with_capacity(batch.text.len() + batch.text.len() / 16),
                        entries: Vec::with_capacity(batch.entries.len()),
                        ..batch.clone_without_lines()
                    };
                    for before in batch.entries.get(..number as usize).unwrap_or_default() {
                        copy.push(
                            before.stream,
                            before.timestamp,
                            before.metadata,
                            batch.line(before),
                        );
                    }
                    copy.push(entry.stream, entry.timestamp, entry.metadata, &out);
                    *changed = Some(copy);
                }
                Some(copy) => {
                    let line = if replaced { &out } else { line };
                    copy.push(entry.stream, entry.timestamp, entry.metadata, line);
                }
            }
        }
        if let Some(keys) = keys {
            keys.end();
        }
    }

    /// The place of a chosen pattern among the names.
    fn place(&self, pattern: Pattern) -> usize {
        self.chosen().iter().take_while(|chosen| *chosen != pattern).count()
    }

    /// Redacts the values of names; `None` if nothing was found.
    fn redact_sets(&self, sets: &[Pairs], hits: &mut Vec<Hit>) -> Option<Vec<Pairs>> {
        let mut changed: Option<Vec<Pairs>> = None;
        let mut out = Vec::new();
        let by_name = self.chosen().has(Pattern::Secret);
        for (set, pairs) in sets.iter().enumerate() {
            for (place, (name, value)) in pairs.iter().enumerate() {
                out.clear();
                let mut hit = |pattern: usize| {
                    hits.push(Hit { entry: WHOLE_BATCH, pattern: pattern as u32 });
                };
                if by_name
                    && secrets::is_secret_name(name)
                    && !secrets::is_nothing(value.as_bytes())
                {
                    out.extend_from_slice(Pattern::Secret.replacement().as_bytes());
                    hit(self.place(Pattern::Secret));
                } else if !self.rewrite(value.as_bytes(), &mut out, &mut hit) {
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
    fn rewrite(&self, line: &[u8], out: &mut Vec<u8>, hit: &mut impl FnMut(usize)) -> bool {
        let mut written = 0;
        if let Some(scanner) = &self.scanner {
            scanner.scan(line, |found| {
                out.extend_from_slice(line.get(written..found.start).unwrap_or_default());
                out.extend_from_slice(found.pattern.replacement().as_bytes());
                written = found.end;
                hit(self.place(found.pattern));
            });
        }
        if written > 0 {
            out.extend_from_slice(line.get(written..).unwrap_or_default());
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

/// The streams of a batch that are within a private key.
struct OpenKeys<'a> {
    redactor: &'a Redactor,
    batch: &'a Batch,
    open: Vec<u32>,
    /// Whether the redactor has to be told at the end.
    known_before: bool,
}

impl<'a> OpenKeys<'a> {
    /// `None` if private keys are not redacted.
    fn begin(redactor: &'a Redactor, batch: &'a Batch) -> Option<Self> {
        if !redactor.chosen().has(Pattern::PrivateKey) {
            return None;
        }
        let mut keys = Self { redactor, batch, open: Vec::new(), known_before: false };
        if redactor.open_count.load(Ordering::Acquire) > 0 {
            let known = redactor.open_keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.open = (0..batch.streams.len() as u32)
                .filter(|&stream| known.contains(&keys.hash(stream)))
                .collect();
            keys.known_before = !keys.open.is_empty();
        }
        Some(keys)
    }

    fn hash(&self, stream: u32) -> u64 {
        let labels = self.batch.streams.get(stream as usize);
        BuildHasherDefault::<DefaultHasher>::default().hash_one(labels)
    }

    /// Whether a line is a part of a key that was begun before it.
    fn continues(&mut self, stream: u32, line: &[u8]) -> bool {
        let Some(place) = self.open.iter().position(|open| *open == stream) else { return false };
        let continuation = key_block::continuation(line);
        if continuation != Continuation::Part {
            self.open.swap_remove(place);
        }
        continuation != Continuation::Other
    }

    /// Looks at a line in which something was found: it may begin a key.
    fn begins(&mut self, stream: u32, line: &[u8]) {
        if key_block::leaves_open(line) {
            self.open.push(stream);
        }
    }

    /// Remembers for the next batch what is open.
    fn end(self) {
        if self.open.is_empty() && !self.known_before {
            return;
        }
        let mut known = self.redactor.open_keys.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in 0..self.batch.streams.len() as u32 {
            let hash = self.hash(stream);
            if !self.open.contains(&stream) {
                known.remove(&hash);
            } else if known.len() < MAX_OPEN_KEYS {
                known.insert(hash);
            }
        }
        self.redactor.open_count.store(known.len(), Ordering::Release);
    }
}
