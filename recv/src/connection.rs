//! Connections: how many there are, how long each may take, and whether they speak TLS.
//!
//! A connection that is idle, or that takes too long for the head of a request, is closed; bodies have
//! their own time. When all places are taken, new connections wait in the kernel's queue, and those
//! that are idle are closed soon.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::meters::Meters;
use crate::notices::Notices;
use crate::places::tidy;
use crate::timed::{Clock, Heads, Phase, Timed};
use crate::tls::Tls;

/// How often a connection's time is looked at.
const STEP: Duration = Duration::from_secs(5);

/// How long a connection may be idle when others wait for its place.
const IDLE_WHEN_FULL: Duration = Duration::from_secs(5);

/// The pause after the system had no room for one more connection.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(50);

/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;

/// What HTTP/2 begins with where nobody has agreed on it.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0";

/// What connections may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// How many there may be at a time.
    pub connections: usize,
    /// How long one may be idle.
    pub idle: Duration,
    /// How long the head of a request may take, and the handshake of TLS.
    pub head: Duration,
    /// The largest head of a request in bytes.
    pub head_size: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            idle: Duration::from_secs(120),
            head: Duration::from_secs(10),
            head_size: 32 << 10,
        }
    }
}

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) limits: ConnectionLimits,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) notices: Arc<Notices>,
    pub(crate) routes: Router,
    /// Whether slashes too many in an address are passed over.
    pub(crate) tidies_paths: bool,
    heads: Arc<Heads>,
    places: Arc<Semaphore>,
}

impl Door {
    pub(crate) fn new(
        limits: ConnectionLimits,
        tls: Option<Arc<Tls>>,
        meters: Arc<Meters>,
        notices: Arc<Notices>,
        routes: Router,
    ) -> Self {
        let places = limits.connections.clamp(1, Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(places));
        let heads = Arc::default();
        Self { limits, tls, meters, notices, routes, tidies_paths: true, heads, places }
    }

    /// Takes connections until it is told to stop, then waits for their ends.
    pub(crate) async fn serve(self, listener: TcpListener, mut stop_rx: watch::Receiver<bool>) {
        // Every connection holds a sender; the receiver ends with the last of them.
        let (alive_tx, mut alive_rx) = mpsc::channel::<()>(1);
        loop {
            let accepted = tokio::select! {
                accepted = self.next(&listener) => accepted,
                _ = stop_rx.changed() => break,
            };
            let Some((stream, peer, place)) = accepted else { continue };
            let (door, alive_tx, stop_rx) = (self.clone(), alive_tx.clone(), stop_rx.clone());
            tokio::spawn(async move {
                door.meters.connections.add(1);
                door.attend(stream, peer, stop_rx).await;
                door.meters.connections.take_away(1);
                drop((place, alive_tx));
            });
        }
        drop((listener, alive_tx));
        alive_rx.recv().await;
    }

    /// The next connection and its place.
    async fn next(
        &self,
        listener: &TcpListener,
    ) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
        let places = Arc::clone(&self.places);
        let place = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                self.meters.connection_limit.add(1);
                self.notices.give("connections", || {
                    format!(
                        "all {} connections are taken and new ones wait; raise \
                         --max-connections, or let senders share connections",
                        self.limits.connections
                    )
                });
                places.acquire_owned().await.ok()?
            }
        };
        match listener.accept().await {
            Ok((stream, peer)) => Some((stream, peer, place)),
            Err(error) => {
                self.meters.accept_failures.add(1);
                self.notices.give("accept", || {
                    format!(
                        "failed to take a connection: {error}; if files are the reason, raise \
                         their limit (ulimit -n)"
                    )
                });
                sleep(NO_ROOM_PAUSE).await;
                None
            }
        }
    }

    async fn attend(&self, stream: TcpStream, peer: SocketAddr, stop_rx: watch::Receiver<bool>) {
        // Small answers are sent at once; a system that cannot do this is only slower.
        drop(stream.set_nodelay(true));
        let Some(first) = self.first_bytes(&stream, stop_rx.clone()).await else { return };
        if first == *HTTP_2 {
            self.meters.malformed.add(1);
            self.notices.give("http 2", || {
                format!(
                    "{} speaks HTTP/2, but this receiver does not; choose HTTP/1.1 there",
                    peer.ip()
                )
            });
            let text = "this port speaks HTTP/1.1, not HTTP/2";
            return self.answer_and_end(stream, "505 HTTP Version Not Supported", text).await;
        }
        match (&self.tls, first.first() == Some(&TLS_HANDSHAKE)) {
            (None, true) => {
                self.meters.malformed.add(1);
                self.notices.give("tls to plain", || {
                    format!(
                        "{} speaks TLS, but this receiver does not; use http:// there, or \
                         --tls-cert and --tls-key here",
                        peer.ip()
                    )
                });
            }
            (Some(_), false) => {
                self.meters.malformed.add(1);
                self.notices.give("plain to tls", || {
                    format!(
                        "{} does not speak TLS, but this receiver does; use https:// there",
                        peer.ip()
                    )
                });
                let text = "this port speaks TLS: use https://";
                self.answer_and_end(stream, "400 Bad Request", text).await;
            }
            (None, false) => self.converse(stream, peer, stop_rx).await,
            (Some(tls), true) => {
                let (config, failure) = tls.current();
                if let Some(failure) = failure {
                    self.meters.tls_reload_failures.add(1);
                    self.notices.give("tls files", || {
                        format!("{failure}; the certificate from before stays in use")
                    });
                }
                // What comes before anybody is known counts as a head does.
                let clock = Arc::new(Clock::new(Arc::clone(&self.heads)));
                let stream = Timed { stream, clock: Arc::clone(&clock) };
                let handshake = TlsAcceptor::from(config).accept(stream);
                match timeout(self.limits.head, handshake).await {
                    Ok(Ok(stream)) => {
                        clock.set(Phase::Request);
                        self.converse(stream, peer, stop_rx).await;
                    }
                    Ok(Err(_)) if clock.is_too_much() => self.tell_of_heads(peer),
                    Ok(Err(error)) => {
                        self.meters.tls_failures.add(1);
                        self.notices.give("tls handshake", || {
                            format!("TLS with {} failed: {error}", peer.ip())
                        });
                    }
                    Err(_) => self.meters.timed_out.add(1),
                }
            }
        }
    }

    /// The first bytes, one at least, which stay to be read; none if the connection ends or is idle for too
    /// long.
    async fn first_bytes(
        &self,
        stream: &TcpStream,
        mut stop_rx: watch::Receiver<bool>,
    ) -> Option<Vec<u8>> {
        let mut bytes = vec![0; HTTP_2.len()];
        let begun = Instant::now();
        loop {
            tokio::select! {
                outcome = stream.peek(&mut bytes) => {
                    bytes.truncate(outcome.ok()?);
                    return Some(bytes).filter(|bytes| !bytes.is_empty());
                }
                _ = stop_rx.changed() => return None,
                () = sleep(STEP.min(self.idle_limit())) => {
                    if begun.elapsed() >= self.idle_limit() {
                        self.meters.timed_out.add(1);
                        return None;
                    }
                }
            }
        }
    }

    fn idle_limit(&self) -> Duration {
        if self.places.available_permits() == 0 {
            self.limits.idle.min(IDLE_WHEN_FULL)
        } else {
            self.limits.idle
        }
    }

    /// Answers somebody who speaks something else, in words, and closes the connection.
    async fn answer_and_end(&self, mut stream: TcpStream, status: &str, text: &str) {
        let answer = format!(
            "HTTP/1.0 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
             {text}\n"
        );
        let politely = async {
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await?;
            // What is unread when a connection is closed would take the answer away.
            tokio::io::copy(
                &mut tokio::io::AsyncReadExt::take(stream, 64 << 10),
                &mut tokio::io::sink(),
            )
            .await
        };
        // A client that does not wait for it does not get it.
        drop(timeout(Duration::from_secs(2), politely).await);
    }

    fn tell_of_heads(&self, peer: SocketAddr) {
        self.meters.head_limit.add(1);
        self.notices.give("heads", || {
            format!(
                "{} and others send heads of requests and do not end them; the largest are cut off",
                peer.ip()
            )
        });
    }

    async fn converse<Stream>(
        &self,
        stream: Stream,
        peer: SocketAddr,
        mut stop_rx: watch::Receiver<bool>,
    ) where
        Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let clock = Arc::new(Clock::new(Arc::clone(&self.heads)));
        let stream = Timed { stream, clock: Arc::clone(&clock) };
        let routes = TowerToHyperService::new(self.routes.clone());
        let of_service = Arc::clone(&clock);
        let tidies_paths = self.tidies_paths;
        let service = hyper::service::service_fn(move |mut request: hyper::Request<_>| {
            let (clock, routes) = (Arc::clone(&of_service), routes.clone());
            request.extensions_mut().insert(Peer(peer));
            if tidies_paths {
                tidy(request.uri_mut());
            }
            async move {
                clock.set(Phase::Request);
                let answer = routes.call(request).await;
                clock.set(Phase::Idle);
                answer
            }
        });
        let mut builder = http1::Builder::new();
        builder.half_close(true).header_read_timeout(None).max_header_size(self.limits.head_size);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let mut stopping = false;
        loop {
            tokio::select! {
                outcome = connection.as_mut() => {
                    if clock.is_too_much() {
                        return self.tell_of_heads(peer);
                    }
                    if outcome.is_err_and(|error| error.is_parse()) {
                        self.meters.malformed.add(1);
                    }
                    return;
                }
                _ = stop_rx.changed(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = sleep(STEP.min(self.limits.head).min(self.idle_limit())) => {
                    if clock.is_over(self.idle_limit(), self.limits.head) {
                        self.meters.timed_out.add(1);
                        return;
                    }
                }
            }
        }
    }
}

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);
