//! A running collector: its threads, its start and its end.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, unbounded};

use crate::account::Account;
use crate::assembler::Assembler;
use crate::config::Config;
use crate::counts::{Counts, Programs, Summary};
use crate::directory::TapDirectory;
use crate::drain::{Drain, DrainReport, monotonic};
use crate::error::CollectorError;
use crate::feeder::{self, Feeder, FeederStream, Feeders, Stopped};
use crate::health::Monitor;
use crate::labels::LabelRules;
use crate::outlet::{self, MemoryOutlet, Outlet};
use crate::output::Output;
use crate::push::{Push, PushReport, Source};
use crate::raw::RawClients;
use crate::resume;
use crate::shared::Shared;
use crate::sink::Sink;
use crate::spool::Spool;

/// How long [`Collector::is_quiet`] waits for an answer.
const QUIET_PATIENCE: Duration = Duration::from_millis(500);

/// How much longer than to the deadline a sink may take that looks at no time.
const SINK_GRACE: Duration = Duration::from_millis(200);
/// How long the push thread may take to add up what its sink has not taken. Nobody is asked for anything meanwhile.
const ADDING_UP: Duration = Duration::from_secs(10);

/// A running collector. Dropping it without [`Collector::stop`] leaves its threads behind.
#[derive(Debug)]
pub struct Collector {
    shared: Arc<Shared>,
    feeders: Feeders,
    drain: Receiver<DrainReport>,
    push: Receiver<PushReport>,
}

impl Collector {
    /// Makes or takes over the tap directory and starts to drain it into the sink.
    pub fn start(config: Config, sink: Box<dyn Sink>) -> Result<Self, CollectorError> {
        config.check()?;
        let Config { directory, mode, ring_cap, remove_directory, .. } = config;
        let Config { labels, detect_level, lines, batch, spool, .. } = config;
        let directory = TapDirectory::create(&directory, mode, ring_cap)?;
        let shared = Arc::new(Shared::default());
        let (feeds_tx, feeds_rx) = bounded(feeder::QUEUE);
        let labels = LabelRules::new(&labels);
        let (outlet, source, assembler) = match &spool {
            None => {
                let (chunks_tx, chunks_rx) = bounded(outlet::QUEUE);
                // Holds no more than what went through the bounded channel and the batch.
                let (safe_tx, safe_rx) = unbounded();
                let output = Output::new(new_source(), detect_level);
                let outlet = MemoryOutlet::new(Arc::clone(&shared), chunks_tx, safe_rx);
                let source = Source::Memory { chunks: chunks_rx, safe: safe_tx };
                let assembler = Assembler::new(lines, labels, output);
                (Outlet::Memory(outlet), source, assembler)
            }
            Some(spool) => {
                let place = &spool.directory;
                let mut spool = Spool::open(spool, lines, new_source())?;
                let assembler = resume::assembler(&mut spool, place, &labels, detect_level)?;
                (Outlet::Spool(spool.writer), Source::Spool(spool.reader), assembler)
            }
        };
        // Whoever is started from now on may rely on this collector, for example to suppress its first line.
        directory
            .beat(0, monotonic())
            .and_then(|()| directory.made_room(monotonic()))
            .map_err(CollectorError::directory("write the control page of", directory.path()))?;
        let drain = Drain::new(
            directory,
            Arc::clone(&shared),
            outlet,
            feeds_rx,
            lines.quiet,
            remove_directory,
        );
        let (drain_thread, drain_report) = spawn("logtap-drain", move || drain.run())?;
        let push = Push {
            shared: Arc::clone(&shared),
            source,
            drain: drain_thread.thread().clone(),
            assembler,
            sink,
            rules: batch,
            undelivered: 0,
            last_error: None,
            spool_is_busy: false,
        };
        let feeders = Feeders {
            messages: feeds_tx,
            drain: drain_thread.thread().clone(),
            next: Arc::new(AtomicU32::new(0)),
        };
        let (_, push_report) = spawn("logtap-push", move || push.run())?;
        Ok(Self { shared, feeders, drain: drain_report, push: push_report })
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Whether the last pushes failed.
    pub fn is_failing(&self) -> bool {
        self.shared.is_failing()
    }

    /// What it shows of itself while it works.
    pub fn monitor(&self) -> Monitor {
        Monitor::new(Arc::clone(&self.shared))
    }

    /// Whether all rings are drained, no process holds one, and no feeder is open. Waits for the drain
    /// thread to look once more.
    pub fn is_quiet(&self) -> bool {
        self.shared.is_quiet(QUIET_PATIENCE, || self.feeders.drain.unpark())
    }

    /// The files whose contents came through rings or frames so far, by the paths that writers gave.
    pub fn tapped_files(&self) -> BTreeSet<Vec<u8>> {
        self.shared.files()
    }

    /// The programs that were started so far.
    pub fn programs(&self) -> Programs {
        self.shared.programs()
    }

    /// Opens a stream that is fed from elsewhere.
    pub fn feeder(&self, stream: FeederStream) -> Result<Feeder, Stopped> {
        self.feeders.open(stream)
    }

    /// Takes raw clients on a Unix stream socket. `mode` is that of a directory whose users may connect. Stop it before
    /// the collector.
    pub fn listen_raw(&self, path: &Path, mode: u32) -> Result<RawClients, CollectorError> {
        RawClients::start(path, mode, self.feeders.clone())
    }

    /// Drains what there is and stops, at most `within` later.
    pub fn stop(self, within: Duration) -> Summary {
        let deadline = Instant::now() + within;
        self.shared.ask_to_stop(deadline);
        self.feeders.drain.unpark();
        // The threads look at the deadline themselves; a sink that does not is left behind.
        let grace = deadline + SINK_GRACE;
        let push = self.push.recv_deadline(grace).ok().or_else(|| self.late_report());
        let drain = self.drain.recv_deadline(grace).unwrap_or_default();
        let live = self.shared.counts();
        let (account, undelivered, last_error) = match push {
            Some(push) => (Some(push.account), push.undelivered, push.last_error),
            None => {
                let taken = live.delivered_lines + live.refused_lines;
                (None, live.lines.saturating_sub(taken), Some("the sink is stuck".to_owned()))
            }
        };
        let mut summary = account.map_or_else(Summary::default, Account::into_summary);
        summary.counts = live;
        summary.hostile = drain.hostile;
        summary.programs = self.shared.programs();
        summary.directory_kept = drain.directory_kept;
        summary.undelivered_lines = undelivered;
        summary.last_error = last_error;
        summary
    }

    /// The push thread's report where it has left its sink in time, and has much to add up.
    fn late_report(&self) -> Option<PushReport> {
        if self.shared.is_adding_up() { self.push.recv_timeout(ADDING_UP).ok() } else { None }
    }
}

/// Starts a thread whose result comes through a channel.
fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<(JoinHandle<()>, Receiver<T>), CollectorError> {
    let (result_tx, result_rx) = bounded(1);
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Nobody waits for it any more: then nobody misses it.
        drop(result_tx.send(run()));
    });
    Ok((thread.map_err(CollectorError::Thread)?, result_rx))
}

/// A name for a source of lines that no other has: 32 hexadecimal digits.
pub fn new_source() -> String {
    let mut bytes = [0; 16];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    if filled != Ok(bytes.len()) {
        // Before the first kernel with getrandom: time and process are unique on one machine.
        let now = crate::clock::now().to_le_bytes();
        bytes[..8].copy_from_slice(&now);
        bytes[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    }
    bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        text
    })
}
