//! `logtap recover`: delivers what runs could not.
//!
//! Rings that a killed run left are drained as it would have done; lines that were kept are read back. A directory is
//! removed only when all in it was acknowledged. Refuses one whose run is alive. Lines that were kept have numbers, so
//! that a capture of ours takes none twice, however often this command is interrupted; a line that a killed run had
//! stored in the very moment of its death may come again out of its ring.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use logtap_analysis::{Filter, Line};
use logtap_capture::Capture;
use logtap_collector::command::AccessArgs;
use logtap_collector::sink::{PushError, Sink};
use logtap_collector::sinks::{LokiConfig, LokiSink};
use logtap_collector::{Collector, Config, Parts};
use logtap_loki::{Batch, Origin, Pairs};
use logtap_recv::{Redactor, Store, StoreOptions, WriterOptions};
use logtap_units::show::{plural, size};
use serde::Serialize;

use super::collector::failed;
use super::run::keep::{Keeper, KeepingSink, command};
use super::run::receiver::{no_address, refused};
use super::run::{CaptureSink, RedactingSink};
use super::undelivered::{self, CAPTURE, Owner, Undelivered};
use super::{place, redact};
use crate::error::{CommandError, Kind};
use crate::exit::Exit;
use crate::output::Printer;

/// How long a destination that takes nothing is asked.
const ASK_WITHIN: Duration = Duration::from_secs(10);
/// How long the last lines may take.
const LAST_LINES: Duration = Duration::from_secs(10);
/// How often it is looked whether rings are empty.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Bytes of text after which a batch of kept lines is sent.
const BATCH: usize = 1 << 20;

/// List what runs could not deliver, or deliver it
#[derive(clap::Args)]
#[command(after_help = "Examples:
  logtap recover                              what is left, of which run
  logtap recover /dev/shm/logtap-0-x          into the capture or to the address that the run had
  logtap recover /dev/shm/logtap-0-x --dir ./late
  logtap recover /dev/shm/logtap-0-x --to http://loki:3100

A run that was killed leaves lines in shared memory until the machine restarts; what a destination did not take is in \
$XDG_STATE_HOME/logtap/undelivered (by default in ~/.local/state). A directory goes when all in it was acknowledged. \
Redaction and labels are those of the run; credentials are not kept: give them again.")]
pub(crate) struct RecoverArgs {
    /// What to deliver, as the list names it
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Into this capture
    #[arg(long = "dir", value_name = "CAPTURE", conflicts_with = "to", requires = "directory")]
    capture: Option<PathBuf>,
    /// To Loki or to a `logtap recv` there
    #[arg(long, value_name = "URL", requires = "directory")]
    to: Option<String>,
    /// Print the list, or what was delivered, as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// What was delivered.
#[derive(Serialize)]
struct Report {
    directory: PathBuf,
    /// Where its lines are now.
    destination: String,
    lines: u64,
    /// Whether nothing is left and the directory is gone; a living process may still need it.
    removed: bool,
}

pub(crate) fn run(args: &RecoverArgs, printer: &mut Printer) -> Result<Exit, CommandError> {
    let Some(directory) = &args.directory else {
        list(args, printer)?;
        return Ok(Exit::OK);
    };
    let report = deliver(args, directory)?;
    if args.json {
        printer.json(&report)?;
    } else {
        let Report { destination, lines, removed, .. } = &report;
        let stays = if *removed { "" } else { "; the directory stays while a process uses it" };
        printer
            .line(format_args!("{} delivered to {destination}{stays}", plural(*lines, "line")))?;
    }
    Ok(Exit::OK)
}

fn list(args: &RecoverArgs, printer: &mut Printer) -> Result<(), CommandError> {
    let found = undelivered::find();
    if args.json {
        return printer.json(&found);
    }
    if found.is_empty() {
        return printer.line("nothing is left of any run");
    }
    for Undelivered { directory, owner, bytes, tap } in &found {
        let kind = if tap.is_some() { "in rings" } else { "in a capture" };
        let owned = owner.capture.as_ref().or(owner.to.as_ref());
        let to = owned.map_or(String::new(), |to| format!(", for {to}"));
        printer.line(format_args!("{} of `{}`{to}", owner.began(), owner.called()))?;
        printer.line(format_args!("  {} {kind}: {}", size(*bytes), command(directory)))?;
    }
    Ok(())
}

/// Where lines go.
struct Destination {
    sink: Box<dyn Sink>,
    name: String,
    store: Option<Arc<Store>>,
}

impl Destination {
    /// What was asked for, or what the run had.
    fn open(
        args: &RecoverArgs,
        owner: &Owner,
        redactor: &Arc<Redactor>,
    ) -> Result<Self, CommandError> {
        let chosen = args.capture.is_some() || args.to.is_some();
        let capture = args
            .capture
            .clone()
            .or_else(|| owner.capture.clone().map(PathBuf::from).filter(|_| !chosen));
        if let Some(directory) = capture {
            if let Some(flag) = args.access.typed() {
                let text = format!("`{flag}` is for pushes, and nothing is pushed without `--to`");
                return Err(CommandError::new(Kind::Arguments, text).hinted("add --to URL"));
            }
            let writer =
                WriterOptions { redactor: Arc::clone(redactor), ..WriterOptions::default() };
            let store = Store::create(&directory, StoreOptions { writer });
            let store = Arc::new(store.map_err(refused)?);
            let sink = CaptureSink { store: Arc::clone(&store), taken_through: Arc::default() };
            let name = directory.display().to_string();
            return Ok(Self { sink: Box::new(sink), name, store: Some(store) });
        }
        let Some(address) = args.to.as_ref().or(owner.to.as_ref().filter(|_| !chosen)) else {
            let text = "the run had no destination that could be noted";
            return Err(CommandError::new(Kind::Arguments, text)
                .hinted("name one with --dir CAPTURE or --to URL"));
        };
        let mut loki = LokiConfig::new(address);
        args.access.apply(&mut loki).map_err(failed)?;
        let sink = LokiSink::new(loki).map_err(no_address)?;
        let name = sink.address();
        let sink = Box::new(RedactingSink { sink, redactor: Arc::clone(redactor) });
        Ok(Self { sink, name, store: None })
    }
}

fn deliver(args: &RecoverArgs, directory: &Path) -> Result<Report, CommandError> {
    let directory = std::path::absolute(directory).map_err(CommandError::caused)?;
    let left = undelivered::look(&directory).map_err(|error| {
        let error =
            std::io::Error::new(error.kind(), format!("`{}`: {error}", directory.display()));
        CommandError::caused(error).hinted("`logtap recover` lists what is left")
    })?;
    let Some(left) = left else {
        let text = format!("`{}` holds nothing that a run could not deliver", directory.display());
        return Err(
            CommandError::new(Kind::NotFound, text).hinted("`logtap recover` lists what is left")
        );
    };
    let Some(_lock) = undelivered::lock(&directory).map_err(CommandError::caused)? else {
        let text = format!(
            "the run of `{}` (process {}) still uses `{}`",
            left.owner.called(),
            left.owner.pid,
            directory.display()
        );
        return Err(CommandError::new(Kind::Arguments, text)
            .hinted("it delivers its lines itself; wait for its end"));
    };
    let (lines, name) = match &left.tap {
        Some(tap) => {
            let owner = &left.owner;
            let redactor =
                redact::policy(owner.redact.as_deref(), owner.redact_patterns.as_deref())?;
            let destination = Destination::open(args, owner, &redactor)?;
            let name = destination.name.clone();
            (drain(tap, owner, destination, redactor)?, name)
        }
        None => {
            // These were redacted when they were kept.
            let redactor = redact::policy(None, None)?;
            let mut destination = Destination::open(args, &left.owner, &redactor)?;
            let lines = resend(&directory.join(CAPTURE), &left.owner, &mut *destination.sink)?;
            close(destination.store)?;
            fs::remove_dir_all(&directory).map_err(CommandError::caused)?;
            (lines, destination.name)
        }
    };
    if left.tap.is_some() {
        place::remove_if_unused(&directory);
    }
    Ok(Report { removed: !directory.exists(), directory, destination: name, lines })
}

/// Drains the rings of a run that was killed. What the destination refuses is kept, as it is for a run.
fn drain(
    tap: &Path,
    owner: &Owner,
    destination: Destination,
    redactor: Arc<Redactor>,
) -> Result<u64, CommandError> {
    let Destination { sink, store, .. } = destination;
    let keeper = Arc::new(Keeper::new(owner.clone(), redactor));
    let sink = Box::new(KeepingSink { sink, keeper: Arc::clone(&keeper), given_up: None });
    let config =
        Config { labels: owner.labels.clone(), remove_directory: true, ..Config::new(tap) };
    let collector = Collector::start(config, sink).map_err(failed)?;
    let (mut progress, mut seen) = (Instant::now(), 0);
    while undelivered::waiting(tap) > 0 && progress.elapsed() < ASK_WITHIN {
        let counts = collector.counts();
        let now = counts.delivered_lines + counts.lines;
        if now != seen {
            (progress, seen) = (Instant::now(), now);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let summary = collector.stop(LAST_LINES);
    let kept = keeper.close();
    close(store)?;
    let missing = summary.undelivered_lines + summary.counts.refused_lines;
    if missing > 0 || tap.exists() && undelivered::waiting(tap) > 0 {
        let why = summary.last_error.unwrap_or_else(|| "rings could not be read".to_owned());
        let failure = not_taken(missing, &why);
        return Err(match kept.directory {
            Some(directory) => {
                let lines = plural(kept.refused + kept.undelivered, "line");
                failure.hinted(format!("{lines} of them kept; send later: {}", command(&directory)))
            }
            None => failure,
        });
    }
    Ok(summary.counts.delivered_lines)
}

fn close(store: Option<Arc<Store>>) -> Result<(), CommandError> {
    store.map_or(Ok(()), |store| store.close().map(drop).map_err(CommandError::caused))
}

fn not_taken(lines: u64, why: &str) -> CommandError {
    let text = format!("{} not delivered: {why}", plural(lines, "line"));
    CommandError::new(Kind::Network, text)
        .hinted("what is left stays where it is; --to URL or --dir CAPTURE sends it elsewhere")
}

/// Sends kept lines, with numbers under the run's name.
fn resend(kept: &Path, owner: &Owner, sink: &mut dyn Sink) -> Result<u64, CommandError> {
    let capture = Capture::open(kept).map_err(CommandError::caused)?;
    let source = owner.source.clone().unwrap_or_else(logtap_collector::new_source);
    let (mut sent, mut outcome) = (0, Ok(()));
    let mut pending = Pending { batch: Batch::new(), last: i64::MIN };
    let mut send = |pending: &mut Pending| -> Result<(), CommandError> {
        let lines = pending.batch.entries.len() as u64;
        if lines == 0 {
            return Ok(());
        }
        let origin = Origin { source: source.clone(), first: sent + 1, last: sent + lines };
        pending.batch.origin = Some(origin);
        push(sink, &pending.batch)?;
        sent += lines;
        pending.batch.clear();
        Ok(())
    };
    capture.read(&Filter::default(), |line| {
        outcome = line.map_err(CommandError::caused).and_then(|line| {
            pending.add(line);
            if pending.batch.text.len() >= BATCH { send(&mut pending) } else { Ok(()) }
        });
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    outcome?;
    send(&mut pending)?;
    Ok(sent)
}

/// Lines on their way.
struct Pending {
    batch: Batch,
    last: i64,
}

impl Pending {
    fn add(&mut self, line: &Line<'_>) {
        let pairs = |pairs: &[(std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)]| {
            let mut pairs: Pairs =
                pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            pairs.sort_unstable();
            pairs
        };
        let stream = position(&mut self.batch.streams, pairs(&line.labels));
        let metadata = position(&mut self.batch.metadata, pairs(&line.metadata));
        // A batch with an origin has growing times.
        self.last = line.timestamp.0.max(self.last.saturating_add(1));
        self.batch.push(stream, self.last, metadata, &line.bytes());
    }
}

/// Where a set is among others; it is put behind them where it is not.
fn position(sets: &mut Vec<Pairs>, set: Pairs) -> u32 {
    let found = sets.iter().rposition(|known| *known == set);
    let position = found.unwrap_or_else(|| {
        sets.push(set);
        sets.len() - 1
    });
    position as u32
}

/// Pushes a batch, in parts where it is too large for the sink.
fn push(sink: &mut dyn Sink, batch: &Batch) -> Result<(), CommandError> {
    let begun = Instant::now();
    let mut parts = Parts::new(batch.entries.len());
    while let Some(lines) = parts.next() {
        match sink.push(&batch.part(lines)) {
            Ok(()) => parts.advance(),
            Err(PushError::TooLarge { .. }) if parts.halve() => {}
            Err(PushError::Retry { .. }) if begun.elapsed() < ASK_WITHIN => {
                std::thread::sleep(LOOK_EVERY * 10);
            }
            Err(error) => return Err(not_taken(parts.lines() as u64, &error.to_string())),
        }
    }
    Ok(())
}
