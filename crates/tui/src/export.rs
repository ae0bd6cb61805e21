//! Writes the lines that are shown as a capture of their own, in a thread; with their labels, metadata
//! and exact bytes.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use logtap_capture::{CaptureError, Line, Redactor, Timestamp, Writer, WriterOptions};
use logtap_loki::{Batch, Pairs};

use crate::catalogue::Catalogue;
use crate::format::count;
use crate::judge::Judge;
use crate::lines::Lines;
use crate::spec::Spec;
use crate::state::Exporting;
use crate::text::TextReader;

/// Bytes of text after which a batch is written.
const BATCH_BYTES: usize = 4 << 20;

/// An export under way.
pub(crate) struct Export {
    path: PathBuf,
    shared: Arc<Shared>,
    thread: JoinHandle<Result<String, String>>,
}

#[derive(Default)]
struct Shared {
    percent: AtomicU64,
    lines: AtomicU64,
    stop: AtomicBool,
}

impl Export {
    /// Starts to write the lines of a capture that a spec shows; what comes later is not in it.
    pub(crate) fn start(capture: &Path, name: &str, spec: &Spec) -> Result<Self, String> {
        let path = if name.is_empty() { default_path() } else { PathBuf::from(name) };
        let shown = path.display();
        match fs::read_dir(&path).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return Err(format!("`{shown}` is not empty  hint: choose a new name")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("failed to open `{shown}`: {error}")),
        }
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let (from, to, spec) = (capture.to_owned(), path.clone(), Arc::new(spec.clone()));
        let thread = thread::Builder::new()
            .name("export".to_owned())
            .spawn(move || write(&from, &to, spec, &theirs).map_err(|error| error.to_string()))
            .map_err(|error| format!("failed to start a thread: {error}"))?;
        Ok(Self { path, shared, thread })
    }

    /// How far it is.
    pub(crate) fn state(&self) -> Exporting {
        Exporting {
            path: self.path.display().to_string(),
            percent: self.shared.percent.load(Ordering::Relaxed),
            lines: self.shared.lines.load(Ordering::Relaxed),
        }
    }

    /// Whether there is nothing left to do.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Asks it to end early; what is written stays.
    pub(crate) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// What became of it, in words.
    pub(crate) fn finish(self) -> Result<String, String> {
        self.thread.join().unwrap_or_else(|_| Err("the export panicked".to_owned()))
    }
}

fn default_path() -> PathBuf {
    let now = Timestamp::now().to_string();
    let digits: String = now.chars().filter(char::is_ascii_digit).take(14).collect();
    let (date, time) = digits.split_at_checked(8).unwrap_or((&digits, ""));
    PathBuf::from(format!("filtered-{date}-{time}"))
}

fn write(from: &Path, to: &Path, spec: Arc<Spec>, shared: &Shared) -> Result<String, CaptureError> {
    let catalogue = Catalogue::open(from)?;
    let options = WriterOptions { disk_cap: None, ..WriterOptions::default() };
    let mut writer = Writer::open(to, options)?;
    let mut reader = TextReader::default();
    let mut judge = Judge::new(spec);
    let mut batch = Pending::default();
    let mut unreadable = 0;
    let volumes = catalogue.volumes();
    let total: u64 = volumes.iter().map(|volume| volume.chunks()).sum();
    let mut done = 0;
    for volume in volumes.iter() {
        let length = volume.length();
        for number in 0..volume.chunks() {
            if shared.stop.load(Ordering::Relaxed) {
                break;
            }
            let chunk = reader.chunk(volume, number, length)?;
            for line in Lines(&chunk.text) {
                if !judge.judge(line).kept {
                    continue;
                }
                match Line::parse(line) {
                    Some(line) => batch.add(&line),
                    None => unreadable += 1,
                }
                if batch.batch.text.len() >= BATCH_BYTES {
                    batch.write(&mut writer, shared)?;
                }
            }
            done += 1;
            shared.percent.store(done * 100 / total.max(1), Ordering::Relaxed);
        }
    }
    batch.write(&mut writer, shared)?;
    writer.close()?;
    let lines = count(shared.lines.load(Ordering::Relaxed));
    let early = if done < total { ", stopped early" } else { "" };
    let left_out = match unreadable {
        0 => String::new(),
        lines => format!(", {} that are no entries left out", count(lines)),
    };
    Ok(format!("wrote {lines} lines to {}{early}{left_out}", to.display()))
}

/// Lines that wait to be written.
struct Pending {
    batch: Batch,
    streams: HashMap<Pairs, u32>,
    metadata: HashMap<Pairs, u32>,
}

impl Default for Pending {
    fn default() -> Self {
        Self { batch: Batch::new(), streams: HashMap::new(), metadata: HashMap::new() }
    }
}

impl Pending {
    fn add(&mut self, line: &Line<'_>) {
        let owned = |pairs: &[(std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)]| {
            let mut pairs: Pairs =
                pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            pairs.sort();
            pairs
        };
        let stream = number(&mut self.streams, &mut self.batch.streams, owned(&line.labels));
        let metadata = match line.metadata.is_empty() {
            true => 0,
            false => number(&mut self.metadata, &mut self.batch.metadata, owned(&line.metadata)),
        };
        self.batch.push(stream, line.timestamp.0, metadata, &line.bytes());
    }

    fn write(&mut self, writer: &mut Writer, shared: &Shared) -> Result<(), CaptureError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        // The lines are in a capture already, as its redaction has left them.
        let appended = writer.append(&Redactor::none().redact(&self.batch))?;
        shared.lines.fetch_add(appended.stored, Ordering::Relaxed);
        *self = Self::default();
        Ok(())
    }
}

/// The number of a set of pairs in a list that has each set once.
fn number(known: &mut HashMap<Pairs, u32>, list: &mut Vec<Pairs>, pairs: Pairs) -> u32 {
    if let Some(number) = known.get(&pairs) {
        return *number;
    }
    let number = list.len() as u32;
    list.push(pairs.clone());
    known.insert(pairs, number);
    number
}
