//! Where the lines go: a collector in this process, and behind it a capture here or an address.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use logtap_collector::sink::Sink;
use logtap_collector::sinks::LokiSink;
use logtap_collector::{
    Collector, CollectorError, Config, Feeder, FeederStream, LineRules, Summary,
};
use logtap_recv::{Redactor, Store, StoreError, StoreOptions, WriterOptions};

use super::capture_sink::{CaptureSink, RedactingSink, WarningSink};
use super::keep::{Keeper, KeepingSink, Kept};
use super::settings::{Destination, Settings, Told};
use crate::commands::collector::failed;
use crate::commands::recv::keeping::others;
use crate::commands::undelivered::Owner;
use crate::error::{CommandError, Kind};
use crate::output::Printer;

/// How long the collector may take to hand over the last lines.
const LAST_LINES: Duration = Duration::from_secs(10);
/// For how long of that the destination is asked, before what it does not take is kept elsewhere.
const ASK_WITHIN: Duration = Duration::from_secs(4);
/// How often a free name for the capture is looked for, where another run takes them first.
const TRIES: usize = 100;

/// A destination that was checked before the command starts.
pub(crate) struct Opened {
    sink: Box<dyn Sink>,
    capture: Option<Capture>,
    address: Option<String>,
    keeper: Arc<Keeper>,
    /// Whose lines these are.
    pub(crate) owner: Owner,
}

/// A capture of ours.
struct Capture {
    store: Arc<Store>,
    /// It was not there before.
    is_new: bool,
}

/// A running collector with its destination.
pub(crate) struct Receiver {
    pub(crate) collector: Arc<Collector>,
    capture: Option<Capture>,
    address: Option<String>,
    keeper: Arc<Keeper>,
}

/// What is left at the end.
pub(crate) struct Closed {
    pub(crate) summary: Summary,
    pub(crate) capture: Option<PathBuf>,
    pub(crate) address: Option<String>,
    /// What was kept that could not be delivered.
    pub(crate) kept: Kept,
    /// What went wrong at the very end.
    pub(crate) trouble: Option<String>,
}

/// Says on stderr, between what the command says there, that lines wait.
fn lines_wait(reason: &str) {
    Printer::new().note(format_args!("logtap: warning: lines wait to be stored: {reason}"));
}

impl Opened {
    /// Opens the destination, or says why it will not do.
    pub(crate) fn open(settings: &Settings) -> Result<Self, CommandError> {
        let warn: fn(&str) = match settings.told {
            Told::Text => lines_wait,
            Told::Json | Told::Nothing => |_| {},
        };
        let capture = match &settings.destination {
            Destination::Push(loki) => {
                let sink = LokiSink::new((**loki).clone()).map_err(no_address)?;
                let address = sink.address();
                let redactor = Arc::clone(&settings.redactor);
                let sink = Box::new(RedactingSink { sink, redactor });
                let owner = settings.owner(None, Some(address.clone()));
                let keeper = Arc::new(Keeper::new(owner.clone(), Arc::clone(&settings.redactor)));
                let sink = keeping(sink, &keeper, warn);
                return Ok(Self { sink, capture: None, address: Some(address), keeper, owner });
            }
            Destination::Capture(directory) => {
                let notes = others(directory);
                let capture = Capture::open(directory, &settings.redactor)?;
                if settings.told == Told::Text {
                    for note in notes.iter().chain(capture.store.notes()) {
                        Printer::new().note(format_args!("logtap: warning: {note}"));
                    }
                }
                capture
            }
            Destination::NextCapture => Capture::next(&settings.redactor)?,
        };
        let owner = settings.owner(Some(capture.store.directory()), None);
        let keeper = Arc::new(Keeper::new(owner.clone(), Arc::clone(&settings.redactor)));
        let store = Arc::clone(&capture.store);
        let taken_through = Arc::clone(&keeper.taken_through);
        let sink = keeping(Box::new(CaptureSink { store, taken_through }), &keeper, warn);
        Ok(Self { sink, capture: Some(capture), address: None, keeper, owner })
    }

    /// Starts the collector.
    pub(crate) fn start(
        self,
        settings: &Settings,
        tap_directory: &Path,
        mode: u32,
    ) -> Result<Receiver, CommandError> {
        let Self { sink, capture, address, keeper, .. } = self;
        let lines =
            LineRules { collapse_progress: settings.collapse_progress, ..LineRules::default() };
        let config = Config {
            mode,
            lines,
            labels: settings.labels.clone(),
            remove_directory: true,
            ..Config::new(tap_directory)
        };
        match Collector::start(config, sink) {
            Ok(collector) => {
                Ok(Receiver { collector: Arc::new(collector), capture, address, keeper })
            }
            Err(error) => {
                if let Some(capture) = capture {
                    capture.give_up();
                }
                Err(failed(error))
            }
        }
    }
}

impl Closed {
    /// Whether every line is where it was to go, or kept.
    pub(crate) fn is_whole(&self) -> bool {
        self.summary.undelivered_lines == 0 && self.trouble.is_none()
    }
}

impl Receiver {
    /// Opens a stream that is fed from elsewhere than the library; nothing where the collector has
    /// stopped.
    pub(crate) fn feeder(&self, stream: FeederStream) -> Option<Feeder> {
        self.collector.feeder(stream).ok()
    }

    /// The same, for another thread.
    pub(crate) fn opener(&self) -> super::follow_thread::Open {
        let collector = Arc::downgrade(&self.collector);
        Box::new(move |stream| collector.upgrade()?.feeder(stream).ok())
    }

    /// Ends without a word: the command was not started.
    pub(crate) fn abandon(self) {
        let Self { collector, capture, .. } = self;
        drop(Arc::into_inner(collector).map(|collector| collector.stop(LAST_LINES)));
        if let Some(capture) = capture {
            capture.give_up();
        }
    }

    /// Hands over the last lines and closes the capture. No thread may hold the collector any more.
    pub(crate) fn close(self) -> Closed {
        let Self { collector, capture, address, keeper } = self;
        keeper.give_up_at(Instant::now() + ASK_WITHIN);
        let mut trouble = None;
        let mut summary = match Arc::into_inner(collector) {
            Some(collector) => collector.stop(LAST_LINES),
            None => {
                trouble = Some("the collector could not be stopped".to_owned());
                Summary::default()
            }
        };
        let kept = keeper.close();
        let directory = capture.as_ref().map(|capture| capture.store.directory().to_path_buf());
        if let Some(capture) = &capture {
            // A batch that had room only in part is not delivered to the collector, and its first lines are stored.
            let delivered = summary.counts.delivered_lines.saturating_sub(kept.undelivered);
            let in_part = capture.store.counts().lines.saturating_sub(delivered);
            summary.undelivered_lines = summary.undelivered_lines.saturating_sub(in_part);
        }
        if let Some(Err(error)) = capture.map(|capture| capture.store.close()) {
            trouble = Some(format!("failed to close the capture: {error}"));
        }
        Closed { summary, capture: directory, address, kept, trouble }
    }
}

/// A destination that warns while lines wait for it, and behind which they are kept that it does not take.
fn keeping(sink: Box<dyn Sink>, keeper: &Arc<Keeper>, warn: fn(&str)) -> Box<dyn Sink> {
    let sink = Box::new(WarningSink::new(sink, warn));
    Box::new(KeepingSink { sink, keeper: Arc::clone(keeper), given_up: None })
}

impl Capture {
    fn open(directory: &Path, redactor: &Arc<Redactor>) -> Result<Self, CommandError> {
        let is_new = !directory.exists();
        let writer = WriterOptions { redactor: Arc::clone(redactor), ..WriterOptions::default() };
        let store = Store::create(directory, StoreOptions { writer }).map_err(refused)?;
        Ok(Self { store: Arc::new(store), is_new })
    }

    /// The first free name here. Another run may take it between the look and the lock.
    fn next(redactor: &Arc<Redactor>) -> Result<Self, CommandError> {
        let here = std::env::current_dir().map_err(CommandError::caused)?;
        let mut last = None;
        for _ in 0..TRIES {
            let directory = logtap_recv::choose_directory(&here).map_err(CommandError::caused)?;
            match Self::open(&directory, redactor) {
                Ok(capture) => return Ok(capture),
                Err(error) => last = Some(error),
            }
            if !directory.exists() {
                break;
            }
        }
        Err(last.unwrap_or_else(|| CommandError::new(Kind::Run, "no free name for a capture here")))
    }

    /// Closes it, and removes it where it is ours alone and nothing was stored.
    fn give_up(self) {
        let directory = self.store.directory().to_path_buf();
        let is_empty = self.store.counts().lines == 0;
        let closed = self.store.close();
        if self.is_new && is_empty && closed.is_ok() {
            let _best_effort = std::fs::remove_dir_all(directory);
        }
    }
}

/// Unlike a collector, a run pushes over HTTP only.
pub(crate) fn no_address(error: CollectorError) -> CommandError {
    match error {
        CollectorError::Sink { .. } => CommandError::new(Kind::Run, error).hinted(
            "--to takes http://HOST:PORT or https://HOST:PORT, of a Loki or a `logtap recv`",
        ),
        other => failed(other),
    }
}

pub(crate) fn refused(error: StoreError) -> CommandError {
    CommandError::caused(error).hinted("name another directory with --dir")
}
