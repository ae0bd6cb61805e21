//! `grep`: the entries whose message, or a value of whose labels, matches a pattern.
//!
//! A line that is no entry is searched as text; it has no labels and no time. Blocks of lines are searched by several threads for what the pattern needs; only lines that have it
//! are looked at, and only escaped messages are decoded. Matches come in the order of the capture. A line that continues
//! one which matches, such as one of its stack trace, comes with it; of a block its first lines are kept until it is
//! known what the block before has left open.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::Path;

use logtap_capture::scan::{default_threads, scan};
use logtap_capture::{Capture, CaptureError, Filter, Line, LineSlices, Segment};
use memchr::{memchr, memrchr};
use regex::bytes::{Regex, RegexBuilder};
use serde::Serialize;

use crate::groups::{Groups, MAX_APART, Parts};
use crate::needle::Needle;

/// Label sets that a thread remembers.
const MAX_LABEL_SETS: usize = 10_000;

/// What to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrepOptions {
    /// A regular expression, found anywhere in a message or in a label's value.
    pub pattern: String,
    /// Whether upper and lower case are the same.
    pub ignore_case: bool,
    /// What else has to hold.
    pub filter: Filter,
    /// Whether lines that continue a match, such as a stack trace, are left out unless they match themselves.
    pub without_continuation: bool,
    /// Whether only to count; then no match is handed out.
    pub count_only: bool,
    /// How many threads; one for each processor if not said.
    pub threads: Option<NonZero<usize>>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GrepReport {
    /// Matches in all.
    pub matches: u64,
    /// Files with matches, in order.
    pub files: Vec<FileMatches>,
    /// What could not be read.
    pub damaged: Vec<String>,
}

/// Matches in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileMatches {
    /// The file's name.
    pub file: String,
    /// How many there are.
    pub matches: u64,
}

/// A search that cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum GrepError {
    /// The pattern is no regular expression.
    #[error("`{pattern}` is no regular expression: {}", last_line(.reason))]
    Pattern {
        /// What was given.
        pattern: String,
        /// What is wrong with it, over several lines.
        reason: Box<regex::Error>,
    },
    /// The capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

/// The library draws the pattern and points at the place; what is wrong stands at the end.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().next_back().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// An entry that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match<'a> {
    /// The file that it is in.
    pub file: &'a str,
    /// The line as it stands there, without its end.
    pub line: &'a [u8],
}

impl Match<'_> {
    /// The line taken apart.
    pub fn entry(&self) -> Option<Line<'_>> {
        Line::parse(self.line)
    }
}

/// Searches a capture; `sink` gets the matches in order and says whether to go on.
pub fn grep(
    directory: &Path,
    options: &GrepOptions,
    mut sink: impl FnMut(&Match<'_>) -> ControlFlow<()>,
) -> Result<GrepReport, GrepError> {
    let pattern = RegexBuilder::new(&options.pattern)
        .case_insensitive(options.ignore_case)
        .build()
        .map_err(|error| GrepError::Pattern {
            pattern: options.pattern.clone(),
            reason: Box::new(error),
        })?;
    let capture = Capture::open(directory)?;
    let segments: Vec<&Segment> = capture.segments_for(&options.filter).collect();
    let search =
        Search { pattern, needle: Needle::of(&options.pattern, options.ignore_case), options };
    let mut report = GrepReport::default();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut groups = Groups::default();
    scan(
        &segments,
        options.threads.unwrap_or_else(default_threads),
        Memory::default,
        |memory, lines| search.block(memory, lines),
        |segment, result| {
            let found = match result {
                Ok(found) => found,
                Err(error) => {
                    report.damaged.push(error.to_string());
                    return ControlFlow::Continue(());
                }
            };
            let found = found.join(&mut groups, options.count_only);
            if found.matches == 0 {
                return ControlFlow::Continue(());
            }
            let file = segment.file();
            report.matches += found.matches;
            let mut lines = found.lines.split(|&byte| byte == b'\n');
            let outcome = if options.count_only {
                ControlFlow::Continue(())
            } else {
                lines.try_for_each(|line| sink(&Match { file: &file, line }))
            };
            *counts.entry(file).or_default() += found.matches;
            outcome
        },
    );
    report.files =
        counts.into_iter().map(|(file, matches)| FileMatches { file, matches }).collect();
    Ok(report)
}

struct Search<'a> {
    pattern: Regex,
    needle: Option<Needle>,
    options: &'a GrepOptions,
}

/// What a thread keeps from block to block.
#[derive(Default)]
struct Memory {
    /// What was found out about label sets, by their text.
    labels: HashMap<Vec<u8>, LabelsVerdict>,
    message: Vec<u8>,
}

#[derive(Clone, Copy)]
struct LabelsVerdict {
    /// The filter takes them.
    wanted: bool,
    /// The pattern is in a value.
    matching: bool,
}

/// What was found in a block.
#[derive(Default)]
struct FoundInBlock {
    /// The first lines of the block, which may continue what the block before has left open.
    first: Vec<u8>,
    /// Which of them are taken anyway.
    taken: Vec<bool>,
    /// What is taken of the others.
    found: Found,
    /// Whether there are others.
    goes_on: bool,
    /// What is open at the end.
    groups: Groups,
}

impl FoundInBlock {
    /// With what continues the blocks before.
    fn join(self, groups: &mut Groups, count_only: bool) -> Found {
        let mut found = Found::default();
        for (line, taken) in self.first.split(|&byte| byte == b'\n').zip(self.taken) {
            let continues = !groups.is_empty() && {
                let slices = usual(line);
                Parts::of(line, slices.as_ref(), true).is_some_and(|parts| groups.take(&parts))
            };
            if taken || continues {
                found.add(line, count_only);
            }
        }
        if self.goes_on {
            *groups = Groups::default();
        }
        groups.add(&self.groups);
        if self.found.matches > 0 {
            found.add(&self.found.lines, count_only);
            found.matches += self.found.matches - 1;
        }
        found
    }
}

/// Lines with a line end between each two, or only their number.
#[derive(Default)]
struct Found {
    matches: u64,
    lines: Vec<u8>,
}

impl Found {
    fn add(&mut self, line: &[u8], count_only: bool) {
        if !count_only {
            if self.matches > 0 {
                self.lines.push(b'\n');
            }
            self.lines.extend_from_slice(line);
        }
        self.matches += 1;
    }
}

/// The first line, and what is behind it with its line end.
fn next_line(text: &[u8]) -> (&[u8], &[u8]) {
    let length = memchr(b'\n', text).unwrap_or(text.len());
    text.split_at_checked(length).unwrap_or((text, &[]))
}

/// A quick look at a line, if it has the usual form.
fn usual(line: &[u8]) -> Option<LineSlices<'_>> {
    LineSlices::of(line).filter(|slices| !slices.message.is_empty() || !slices.labels.is_empty())
}

impl Search<'_> {
    fn block(&self, memory: &mut Memory, block: &[u8]) -> FoundInBlock {
        let mut result = FoundInBlock::default();
        let mut rest = block;
        let mut unlike = 0;
        let follows = !self.options.without_continuation;
        while follows && !rest.is_empty() && unlike <= MAX_APART {
            let (line, after) = next_line(rest);
            let slices = usual(line);
            let parts = Parts::of(line, slices.as_ref(), !after.is_empty());
            let is_like = parts.as_ref().is_some_and(Parts::looks_like_continuation);
            unlike = if is_like { 0 } else { unlike + 1 };
            if !result.taken.is_empty() {
                result.first.push(b'\n');
            }
            result.first.extend_from_slice(line);
            let taken =
                self.take(memory, &mut result.groups, line, slices, !after.is_empty(), false);
            result.taken.push(taken);
            rest = after.get(1..).unwrap_or_default();
        }
        result.goes_on = !rest.is_empty();
        while !rest.is_empty() {
            let needle = self.needle.as_ref().filter(|_| result.groups.is_empty());
            let start = match needle {
                Some(needle) => {
                    let Some(place) = needle.find(rest) else { break };
                    let before = rest.get(..place).unwrap_or_default();
                    memrchr(b'\n', before).map_or(0, |line_end| line_end + 1)
                }
                None => 0,
            };
            let has_needle = needle.is_some();
            let (line, after) = next_line(rest.get(start..).unwrap_or_default());
            let slices = usual(line);
            let is_finished = !after.is_empty();
            if self.take(memory, &mut result.groups, line, slices, is_finished, has_needle) {
                result.found.add(line, self.options.count_only);
            }
            rest = after.get(1..).unwrap_or_default();
        }
        result
    }

    /// Whether a line is taken: for itself, or with the one that it continues. An unfinished last line is no line yet
    /// unless it is an entry.
    fn take(
        &self,
        memory: &mut Memory,
        groups: &mut Groups,
        line: &[u8],
        slices: Option<LineSlices<'_>>,
        is_finished: bool,
        has_needle: bool,
    ) -> bool {
        if !groups.is_empty() {
            let parts = Parts::of(line, slices.as_ref(), is_finished);
            if parts.is_some_and(|parts| groups.take(&parts)) {
                return true;
            }
        }
        if !has_needle && self.needle.as_ref().is_some_and(|needle| needle.find(line).is_none()) {
            return false;
        }
        let matches = match slices.and_then(|slices| self.quick(memory, &slices)) {
            Some(matches) => matches,
            None => self.slow(line, is_finished),
        };
        if matches
            && !self.options.without_continuation
            && let Some(parts) = Parts::of(line, slices.as_ref(), is_finished)
        {
            groups.open(&parts);
        }
        matches
    }

    /// Judges a line that is not parsed; `None` if it has to be.
    fn quick(&self, memory: &mut Memory, slices: &LineSlices<'_>) -> Option<bool> {
        let filter = &self.options.filter;
        if filter.from.is_some() || filter.to.is_some() {
            if !filter.takes_time(slices.time()?) {
                return Some(false);
            }
        } else if slices.timestamp.len() < "2024-01-15T10:19:59Z".len() {
            return None;
        }
        if !filter.labels.is_empty() && !self.labels(memory, slices)?.wanted {
            return Some(false);
        }
        let message = slices.text(&mut memory.message)?;
        if self.pattern.is_match(message) {
            return Some(true);
        }
        Some(self.labels(memory, slices)?.matching)
    }

    fn labels(&self, memory: &mut Memory, slices: &LineSlices<'_>) -> Option<LabelsVerdict> {
        if let Some(verdict) = memory.labels.get(slices.labels) {
            return Some(*verdict);
        }
        let pairs = slices.label_pairs()?;
        let verdict = LabelsVerdict {
            wanted: self.options.filter.takes_labels(&pairs),
            matching: pairs.iter().any(|(_, value)| self.pattern.is_match(value.as_bytes())),
        };
        if memory.labels.len() >= MAX_LABEL_SETS {
            memory.labels.clear();
        }
        memory.labels.insert(slices.labels.to_vec(), verdict);
        Some(verdict)
    }

    fn slow(&self, line: &[u8], is_finished: bool) -> bool {
        // What is no entry is searched as it stands, as the screen does.
        let Some(line) = Line::parse(line) else {
            return is_finished
                && !line.iter().all(u8::is_ascii_whitespace)
                && self.options.filter.takes_unparsed()
                && self.pattern.is_match(line);
        };
        let is_match = |text: &str| self.pattern.is_match(text.as_bytes());
        !line.is_phantom()
            && self.options.filter.takes(&line)
            && (is_match(&line.message) || line.labels.iter().any(|(_, value)| is_match(value)))
    }
}
