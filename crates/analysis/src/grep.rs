//! `grep`: the entries whose message, or a value of whose labels, matches a pattern.
//!
//! A line that is no entry is searched as text; it has no labels and no time. Blocks of lines are searched by several threads for what the pattern needs; only lines that have it
//! are looked at, and only escaped messages are decoded. Matches come in the order of the capture.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::Path;

use logtap_capture::scan::{default_threads, scan};
use logtap_capture::{Capture, CaptureError, Filter, Line, LineSlices, Segment};
use memchr::{memchr, memrchr};
use regex::bytes::{Regex, RegexBuilder};
use serde::Serialize;

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

/// The matches of a block, with a line end between each two.
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

impl Search<'_> {
    fn block(&self, memory: &mut Memory, block: &[u8]) -> Found {
        let mut found = Found::default();
        let mut rest = block;
        while !rest.is_empty() {
            let start = match &self.needle {
                None => 0,
                Some(needle) => {
                    let Some(place) = needle.find(rest) else { break };
                    let before = rest.get(..place).unwrap_or_default();
                    memrchr(b'\n', before).map_or(0, |line_end| line_end + 1)
                }
            };
            rest = rest.get(start..).unwrap_or_default();
            let length = memchr(b'\n', rest).unwrap_or(rest.len());
            let (line, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            // An unfinished last line is no line yet unless it is an entry.
            let is_finished = !after.is_empty();
            if self.matches(memory, line, is_finished) {
                found.add(line, self.options.count_only);
            }
            rest = after.get(1..).unwrap_or_default();
        }
        found
    }

    fn matches(&self, memory: &mut Memory, line: &[u8], is_finished: bool) -> bool {
        let quick = LineSlices::of(line)
            .filter(|slices| !slices.message.is_empty() || !slices.labels.is_empty());
        match quick.and_then(|slices| self.quick(memory, &slices)) {
            Some(matches) => matches,
            None => self.slow(line, is_finished),
        }
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
