//! The HTTP server: routes, limits, start and end.
//!
//! One thread talks to the network; decoding and storing happen in a few others, so that a slow disk
//! never stops the answers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use logtap_capture::Timestamp;
use tokio::runtime;
use tokio::sync::oneshot;

use crate::body::Budget;
use crate::meters::Meters;
use crate::push::{Form, Refusal, Stored, store_push};
use crate::status;
use crate::store::Store;

/// How the server listens and what it takes.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Where to listen; with port 0 the system chooses one.
    pub listen: SocketAddr,
    /// The largest body that is taken, as sent.
    pub max_body: usize,
    /// The largest body that is taken, unpacked.
    pub max_unpacked: usize,
    /// Bytes of bodies that are held at a time; what comes on top is put off with 429.
    pub max_in_flight: usize,
    /// How many pushes are decoded at a time.
    pub workers: usize,
    /// How long pushes that are under way get when the server stops.
    pub grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3100)),
            max_body: 16 << 20,
            max_unpacked: 256 << 20,
            max_in_flight: 32 << 20,
            workers: 2,
            grace: Duration::from_secs(5),
        }
    }
}

/// A server that could not start or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It cannot listen there.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// It has no thread to run in, or that thread failed.
    #[error("server failed: {0}")]
    Run(io::Error),
}

/// A running server. Dropped, it stops without waiting.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    stop_tx: Option<oneshot::Sender<()>>,
    thread: JoinHandle<io::Result<()>>,
}

/// What all requests share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) store: Arc<Store>,
    pub(crate) budget: Budget,
    pub(crate) meters: Arc<Meters>,
    max_unpacked: usize,
}

/// Starts a server that stores pushes. The store is closed by whoever made it, after the server.
pub fn serve(config: Config, store: Arc<Store>) -> Result<Handle, ServeError> {
    let cannot_listen = |source| ServeError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).map_err(cannot_listen)?;
    listener.set_nonblocking(true).map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(config.workers.max(1))
        .thread_name("store")
        .build()
        .map_err(ServeError::Run)?;
    let shared = Shared {
        store,
        budget: Budget::new(config.max_in_flight, config.max_body),
        meters: Arc::new(Meters::default()),
        max_unpacked: config.max_unpacked,
    };
    let (stop_tx, stop_rx) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("serve".to_owned())
        .spawn(move || {
            let outcome = runtime.block_on(run(listener, routes(shared), stop_rx, config.grace));
            runtime.shutdown_timeout(config.grace);
            outcome
        })
        .map_err(ServeError::Run)?;
    Ok(Handle { address, stop_tx: Some(stop_tx), thread })
}

impl Handle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it has ended by itself.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Takes no new pushes, lets those under way come to their end, and waits for that.
    pub fn stop(mut self) -> Result<(), ServeError> {
        drop(self.stop_tx.take());
        match self.thread.join() {
            Ok(outcome) => outcome.map_err(ServeError::Run),
            Err(_) => Err(ServeError::Run(io::Error::other("its thread panicked"))),
        }
    }
}

async fn run(
    listener: TcpListener,
    routes: Router,
    stop_rx: oneshot::Receiver<()>,
    grace: Duration,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (stopping_tx, stopping_rx) = oneshot::channel::<()>();
    let server = axum::serve(listener, routes).with_graceful_shutdown(async move {
        // Both a message and the end of the sender mean stop.
        drop(stop_rx.await);
        drop(stopping_tx);
    });
    let out_of_time = async move {
        drop(stopping_rx.await);
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        outcome = server => outcome,
        () = out_of_time => Ok(()),
    }
}

fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/loki/api/v1/push", post(push))
        .route("/ready", get(status::ready))
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .route("/metrics", get(status::metrics))
        .route("/api/version", get(status::version))
        .route("/loki/api/v1/status/buildinfo", get(status::buildinfo))
        .fallback(async || plain(StatusCode::NOT_FOUND, "404 page not found"))
        .with_state(shared)
}

/// `POST /loki/api/v1/push`.
async fn push(State(shared): State<Shared>, request: Request) -> Response {
    let meters = Arc::clone(&shared.meters);
    match take_push(shared, request).await {
        Ok(stored) => {
            meters.accepted.add(1);
            meters.invalid_lines.add(stored.invalid);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refusal) => {
            let meter = match refusal.status {
                StatusCode::PAYLOAD_TOO_LARGE => &meters.too_large,
                StatusCode::TOO_MANY_REQUESTS => &meters.put_off,
                status if status.is_client_error() => &meters.undecodable,
                _ => &meters.failed,
            };
            meter.add(1);
            let mut response = plain(refusal.status, &refusal.text);
            if let Some(seconds) = refusal.retry_after {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
    }
}

async fn take_push(shared: Shared, request: Request) -> Result<Stored, Refusal> {
    let (head, body) = request.into_parts();
    let form = Form::of(&head.headers)?;
    let held = shared.budget.read(&head.headers, body).await?;
    shared.meters.received_bytes.add(held.bytes.len() as u64);
    let now = Timestamp::now().0;
    let stored = tokio::task::spawn_blocking(move || {
        // The body's part of the budget is given back here, also if the sender has gone away.
        let held = held;
        store_push(&form, &held.bytes, shared.max_unpacked, now, &shared.store)
    });
    stored.await.unwrap_or_else(|_| {
        Err(Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            text: "receiver is stopping".to_owned(),
            retry_after: Some(5),
        })
    })
}

/// An answer as Loki and its predecessor give it: one line of text.
fn plain(status: StatusCode, text: &str) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, Body::from(format!("{text}\n"))).into_response()
}
