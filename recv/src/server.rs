//! The HTTP server: what it is told, its start and its end.
//!
//! One thread talks to the network; decoding and storing happen in a few others, so that a slow disk
//! never stops the answers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use logtap_loki::Mapping;
use tokio::runtime;
use tokio::sync::{oneshot, watch};

use crate::audit::Audit;
use crate::body::Budget;
use crate::connection::{ConnectionLimits, Door};
use crate::credentials::Credential;
use crate::faults::{FaultPlan, Faults};
use crate::json_lines::{Bound, LineSource, Lines};
use crate::meters::Meters;
use crate::notices::Notices;
use crate::odd_times::OddTimes;
use crate::push::Intake;
use crate::routes::routes;
use crate::shared::Shared;
use crate::sources::Sources;
use crate::store::Store;
use crate::strict::Strict;
use crate::tls::{Tls, TlsError, TlsFiles};
use crate::trail::Trail;
use crate::unpack::Unpacker;
use crate::workers::Workers;

/// How the server listens and what it takes.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; with port 0 the system chooses one.
    pub listen: SocketAddr,
    /// The largest body that is taken, as sent.
    pub max_body: usize,
    /// The largest body that is taken, unpacked. One push at a time may come near it; while it is stored,
    /// twice as much memory is held.
    pub max_unpacked: usize,
    /// Bytes of bodies that are held at a time; what comes on top is put off with 429.
    pub max_in_flight: usize,
    /// How long one body may take.
    pub body_time: Duration,
    /// What connections may take.
    pub connections: ConnectionLimits,
    /// How many pushes are decoded at a time.
    pub workers: usize,
    /// How long pushes that are under way get when the server stops.
    pub grace: Duration,
    /// Certificate and key, if it speaks TLS.
    pub tls: Option<TlsFiles>,
    /// Who may push, by any of these; with none, everybody.
    pub credentials: Vec<Credential>,
    /// The label that a push's tenant becomes.
    pub tenant_label: Option<String>,
    /// Whether it refuses what Loki refuses by default.
    pub strict: bool,
    /// Failures on purpose.
    pub faults: Faults,
    /// Where JSON objects come from beside HTTP.
    pub json_lines: Vec<LineSource>,
    /// Which keys of JSON records mean what.
    pub mapping: Mapping,
    /// Who is told what a person should know.
    pub notices: Option<Sender<String>>,
    /// Where pushes are noted down.
    pub audit: Option<Arc<Audit>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3100)),
            max_body: 16 << 20,
            max_unpacked: 64 << 20,
            max_in_flight: 32 << 20,
            body_time: Duration::from_secs(30),
            connections: ConnectionLimits::default(),
            workers: 2,
            grace: Duration::from_secs(5),
            tls: None,
            credentials: Vec::new(),
            tenant_label: None,
            strict: false,
            faults: Faults::default(),
            json_lines: Vec::new(),
            mapping: Mapping::default(),
            notices: None,
            audit: None,
        }
    }
}

/// A server that could not start or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It cannot listen there.
    #[error("failed to listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Its certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It has no thread to run in, or that thread failed.
    #[error("server failed")]
    Run(#[source] io::Error),
}

/// A running server. Dropped, it stops without waiting.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    line_sources: Vec<LineSource>,
    stop_tx: Option<oneshot::Sender<()>>,
    thread: JoinHandle<io::Result<()>>,
    meters: Arc<Meters>,
    trail: Option<Arc<Trail>>,
}

/// Whether a server could start now, without a store: nobody else listens there, and its certificate can
/// be used. What fails later in spite of that is told then.
pub fn check(config: &Config) -> Result<(), ServeError> {
    config.tls.clone().map(Tls::read).transpose()?;
    TcpListener::bind(config.listen)
        .map_err(|source| ServeError::Listen { address: config.listen, source })?;
    for source in &config.json_lines {
        let address = source.address();
        source.bind().map_err(|error| ServeError::Listen { address, source: error })?;
    }
    Ok(())
}

/// Starts a server that stores pushes. The store is closed by whoever made it, after the server.
pub fn serve(config: Config, store: Arc<Store>) -> Result<Handle, ServeError> {
    let tls = config.tls.map(Tls::read).transpose()?.map(Arc::new);
    let cannot_listen = |source| ServeError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).map_err(cannot_listen)?;
    listener.set_nonblocking(true).map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let mut sources = Vec::new();
    for source in &config.json_lines {
        let cannot_listen = |error| ServeError::Listen { address: source.address(), source: error };
        sources.push(source.bind().map_err(cannot_listen)?);
    }
    let line_sources = sources.iter().map(Bound::source).collect::<io::Result<_>>();
    let line_sources = line_sources.map_err(ServeError::Run)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(config.workers.max(1))
        .thread_name("store")
        .build()
        .map_err(ServeError::Run)?;
    let meters = Arc::new(Meters::default());
    let notices = Arc::new(Notices::new(config.notices));
    let intake = Intake {
        store,
        unpacker: Unpacker::new(config.max_unpacked, config.strict),
        strict: config.strict.then(Strict::default),
        tenant_label: config.tenant_label,
        sources: Sources::default(),
        odd_times: OddTimes::default(),
    };
    let (intake, mapping) = (Arc::new(intake), Arc::new(config.mapping));
    let trail = config.audit.clone().map(Trail::start).transpose().map_err(ServeError::Run)?;
    let trail = trail.map(Arc::new);
    let workers = Arc::new(Workers::new(config.workers.max(1)));
    let lines = Lines {
        intake: Arc::clone(&intake),
        mapping: Arc::clone(&mapping),
        meters: Arc::clone(&meters),
        notices: Arc::clone(&notices),
        audit: config.audit.clone(),
        held: Arc::default(),
        workers: Arc::clone(&workers),
    };
    let shared = Shared {
        intake,
        budget: Budget::new(config.max_in_flight, config.max_body, config.body_time),
        meters: Arc::clone(&meters),
        notices: Arc::clone(&notices),
        credentials: config.credentials.into(),
        faults: Arc::new(FaultPlan::new(config.faults)),
        mapping,
        trail: trail.clone(),
        workers,
    };
    let of_handle = Arc::clone(&meters);
    let mut door = Door::new(config.connections, tls, meters, notices, routes(shared));
    // Loki knows its routes by their letter.
    door.tidies_paths = !config.strict;
    let (stop_tx, stop_rx) = oneshot::channel();
    let grace = config.grace;
    let thread = thread::Builder::new()
        .name("serve".to_owned())
        .spawn(move || {
            let outcome = runtime.block_on(run(listener, door, (lines, sources), stop_rx, grace));
            runtime.shutdown_timeout(grace);
            outcome
        })
        .map_err(ServeError::Run)?;
    let stop_tx = Some(stop_tx);
    Ok(Handle { address, line_sources, stop_tx, thread, meters: of_handle, trail })
}

impl Handle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it takes JSON objects beside HTTP.
    pub fn line_sources(&self) -> &[LineSource] {
        &self.line_sources
    }

    /// Pushes that were not taken so far, for whatever reason.
    pub fn refused(&self) -> u64 {
        self.meters.refused()
    }

    /// Connections that are open now.
    pub fn connections(&self) -> u64 {
        self.meters.connections.get()
    }

    /// Whether it has ended by itself.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Takes no new pushes, lets those under way come to their end, and waits for that.
    pub fn stop(mut self) -> Result<(), ServeError> {
        drop(self.stop_tx.take());
        let ended = self.thread.join();
        if let Some(trail) = &self.trail {
            trail.finish();
        }
        match ended {
            Ok(outcome) => outcome.map_err(ServeError::Run),
            Err(_) => Err(ServeError::Run(io::Error::other("its thread panicked"))),
        }
    }
}

async fn run(
    listener: TcpListener,
    door: Door,
    (lines, sources): (Lines, Vec<Bound>),
    stop_rx: oneshot::Receiver<()>,
    grace: Duration,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (stopping_tx, stopping_rx) = watch::channel(false);
    let mut served = tokio::task::JoinSet::new();
    for source in sources {
        let (lines, stopping_rx) = (lines.clone(), stopping_rx.clone());
        served.spawn(async move { lines.serve(source, stopping_rx).await });
    }
    served.spawn(async move {
        door.serve(listener, stopping_rx).await;
        Ok(())
    });
    // Both a message and the end of the sender mean stop.
    drop(stop_rx.await);
    stopping_tx.send_replace(true);
    // Who is not ready in time is cut off; what it sent was not acknowledged.
    let ends = async {
        while let Some(end) = served.join_next().await {
            end.map_err(io::Error::other)??;
        }
        Ok(())
    };
    tokio::time::timeout(grace, ends).await.unwrap_or(Ok(()))
}
