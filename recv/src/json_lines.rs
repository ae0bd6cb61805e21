//! JSON objects over TCP, one in a line, and over UDP, one or more in a packet, as Talos sends them.
//!
//! Nobody is answered here, so nothing can be refused: what cannot be stored yet is held and tried
//! again, and meanwhile no more is read. A sender over TCP is then slowed down; packets that come over
//! UDP meanwhile wait in the kernel, which drops what does not fit and counts it, and so do we. A line
//! beyond the limit is kept in pieces.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use logtap_capture::Timestamp;
use logtap_loki::{DecodeOptions, Mapping, decode_records};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::sleep;

use crate::audit::{Audit, AuditEvent, AuditRecord};
use crate::label_limits::limit_labels;
use crate::meters::Meters;
use crate::notices::Notices;
use crate::push::Intake;
use crate::workers::Workers;

/// As much is read at a time, and stored together.
const PIECE: usize = 256 << 10;

/// The longest line that stays whole.
const MAX_LINE: usize = 1 << 20;

/// What all connections may hold of lines that have not ended, beside the first part of each: beyond it,
/// such lines are kept in pieces.
const MAX_HELD: usize = 32 << 20;
const FIRST_PART: usize = 64 << 10;

/// Senders over TCP at a time; more of them wait.
const MAX_SENDERS: usize = 1024;

/// How long is read from a sender that does not pause after the receiver was told to stop.
const LAST_READS: Duration = Duration::from_secs(1);

/// How long what could not be stored waits for the next try.
const PAUSE: Duration = Duration::from_millis(500);

/// What the kernel is asked to keep of packets that wait.
const PACKETS_IN_KERNEL: usize = 8 << 20;

/// Where lines come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineSource {
    /// Connections, lines ended by line feeds.
    Tcp(SocketAddr),
    /// Packets.
    Udp(SocketAddr),
}

/// A text that names no source of lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineSourceError {
    /// It has another form.
    #[error("`{0}` is neither tcp://HOST:PORT nor udp://HOST:PORT")]
    Form(String),
    /// Its host has no address.
    #[error("`{0}` names no address of this machine")]
    Host(String),
}

impl std::str::FromStr for LineSource {
    type Err = LineSourceError;

    /// Reads it and asks this machine for the address of its host ([`LineSource::parse`]).
    fn from_str(text: &str) -> Result<Self, LineSourceError> {
        Self::parse(text, |address| address.to_socket_addrs().ok()?.next())
    }
}

impl LineSource {
    /// Reads `tcp://HOST:PORT` or `udp://HOST:PORT`; without a host it is every address of this machine.
    /// `resolve` says which address `HOST:PORT` is; it is asked for nothing that has another form.
    pub fn parse(
        text: &str,
        resolve: impl Fn(&str) -> Option<SocketAddr>,
    ) -> Result<Self, LineSourceError> {
        let wrong = || LineSourceError::Form(text.to_owned());
        let (kind, address) = text.split_once("://").ok_or_else(wrong)?;
        let full = match address.strip_prefix(':') {
            Some(port) => format!("0.0.0.0:{port}"),
            None => address.to_owned(),
        };
        if full.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            return Err(wrong());
        }
        let source = match kind {
            "tcp" => Self::Tcp,
            "udp" => Self::Udp,
            _ => return Err(wrong()),
        };
        resolve(&full).map(source).ok_or_else(|| LineSourceError::Host(text.to_owned()))
    }
}

impl std::fmt::Display for LineSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Udp(address) => write!(f, "udp://{address}"),
        }
    }
}

/// A source that is listened to.
#[derive(Debug)]
pub(crate) enum Bound {
    Tcp(std::net::TcpListener),
    Udp(std::net::UdpSocket),
}

impl LineSource {
    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Tcp(address) | Self::Udp(address) => *address,
        }
    }

    pub(crate) fn bind(&self) -> io::Result<Bound> {
        match self {
            Self::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Ok(Bound::Tcp(listener))
            }
            Self::Udp(address) => {
                let socket = std::net::UdpSocket::bind(address)?;
                socket.set_nonblocking(true)?;
                // The kernel gives what its administrator allows; that is counted below.
                let _granted = set_socket_recv_buffer_size(&socket, PACKETS_IN_KERNEL);
                Ok(Bound::Udp(socket))
            }
        }
    }
}

impl Bound {
    pub(crate) fn source(&self) -> io::Result<LineSource> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(LineSource::Tcp),
            Self::Udp(socket) => socket.local_addr().map(LineSource::Udp),
        }
    }
}

/// What all sources share.
#[derive(Clone)]
pub(crate) struct Lines {
    pub(crate) intake: Arc<Intake>,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) notices: Arc<Notices>,
    pub(crate) audit: Option<Arc<Audit>>,
    /// Bytes of lines that have not ended.
    pub(crate) held: Arc<AtomicUsize>,
    pub(crate) workers: Arc<Workers>,
}

/// The bytes that one connection holds, as part of all.
struct Share {
    all: Arc<AtomicUsize>,
    own: usize,
}

impl Share {
    /// Says how much it is now; whether it is too much for all.
    fn set(&mut self, size: usize) -> bool {
        self.all.fetch_add(size, Ordering::Relaxed);
        let all = self.all.fetch_sub(self.own, Ordering::Relaxed) - self.own;
        self.own = size;
        all > MAX_HELD && size > FIRST_PART
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own, Ordering::Relaxed);
    }
}

impl Lines {
    /// Takes lines until it is told to stop, and stores what has come until then.
    pub(crate) async fn serve(
        self,
        bound: Bound,
        stop_rx: watch::Receiver<bool>,
    ) -> io::Result<()> {
        match bound {
            Bound::Tcp(listener) => {
                self.connections(TcpListener::from_std(listener)?, stop_rx).await;
            }
            Bound::Udp(socket) => self.packets(UdpSocket::from_std(socket)?, stop_rx).await,
        }
        Ok(())
    }

    async fn connections(self, listener: TcpListener, mut stop_rx: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(MAX_SENDERS));
        let (alive_tx, mut alive_rx) = mpsc::channel::<()>(1);
        loop {
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await.ok()?;
                match listener.accept().await {
                    Ok((stream, _)) => Some((stream, place)),
                    Err(_) => {
                        self.meters.accept_failures.add(1);
                        sleep(PAUSE).await;
                        None
                    }
                }
            };
            let accepted = tokio::select! {
                accepted = next => accepted,
                _ = stop_rx.changed() => break,
            };
            let Some((stream, place)) = accepted else { continue };
            let (lines, stop_rx, alive_tx) = (self.clone(), stop_rx.clone(), alive_tx.clone());
            tokio::spawn(async move {
                lines.connection(stream, stop_rx).await;
                drop((place, alive_tx));
            });
        }
        drop((listener, alive_tx));
        alive_rx.recv().await;
    }

    async fn connection(&self, mut stream: TcpStream, mut stop_rx: watch::Receiver<bool>) {
        let mut held: Vec<u8> = Vec::new();
        let mut share = Share { all: Arc::clone(&self.held), own: 0 };
        let mut last_reads = LastReads::default();
        loop {
            held.reserve(PIECE.min(4096.max(held.len())));
            let read = if last_reads.are_over(*stop_rx.borrow(), Instant::now()) {
                Ok(0)
            } else {
                tokio::select! {
                    // What has arrived is read before a stop is looked at.
                    biased;
                    read = stream.read_buf(&mut held) => read,
                    _ = stop_rx.changed() => Ok(0),
                }
            };
            let ended = !matches!(read, Ok(size) if size > 0);
            let is_too_much = share.set(held.len()) || held.len() >= MAX_LINE;
            let whole = memchr::memrchr(b'\n', &held).map_or(0, |place| place + 1);
            let ready = if ended || (whole == 0 && is_too_much) { held.len() } else { whole };
            if ready > 0 {
                let rest = held.split_off(ready);
                let lines = std::mem::replace(&mut held, rest);
                share.set(held.len());
                if !self.store(lines, &mut stop_rx).await {
                    return;
                }
            }
            if ended {
                return;
            }
        }
    }

    async fn packets(self, socket: UdpSocket, mut stop_rx: watch::Receiver<bool>) {
        let mut packet = vec![0; 64 << 10];
        let mut lines = Vec::with_capacity(PIECE);
        let (mut dropped, mut looked) = (0, Instant::now());
        let mut last_reads = LastReads::default();
        loop {
            if last_reads.are_over(*stop_rx.borrow(), Instant::now()) {
                return self.count_drops(&socket, &mut dropped);
            }
            let first = tokio::select! {
                biased;
                first = socket.recv(&mut packet) => first,
                _ = stop_rx.changed() => return self.count_drops(&socket, &mut dropped),
            };
            let mut next = first;
            loop {
                match next {
                    Ok(size) => {
                        lines.extend_from_slice(packet.get(..size).unwrap_or_default());
                        lines.push(b'\n');
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // Such as an answer that a packet of ours could not be delivered, which we never send.
                    Err(_) => {
                        self.meters.accept_failures.add(1);
                        break;
                    }
                }
                if lines.len() >= PIECE {
                    break;
                }
                next = socket.try_recv(&mut packet);
            }
            let taken = std::mem::take(&mut lines);
            if !taken.is_empty() && !self.store(taken, &mut stop_rx).await {
                return;
            }
            if looked.elapsed() >= PAUSE {
                looked = Instant::now();
                self.count_drops(&socket, &mut dropped);
            }
        }
    }

    /// Counts the packets that the kernel had no room for.
    fn count_drops(&self, socket: &UdpSocket, known: &mut u64) {
        let now = kernel_drops(socket).unwrap_or(*known);
        if let Some(more) = now.checked_sub(*known).filter(|more| *more > 0) {
            *known = now;
            self.meters.dropped_packets.add(more);
            self.intake.store.give_up_unseen("udp packets", more);
            self.notices.give("udp drops", || {
                format!(
                    "{more} packets were dropped because they came faster than they are stored; \
                     raise net.core.rmem_max, or let the senders use TCP"
                )
            });
        }
    }

    /// Stores lines, however often that has to be tried. False if they had to be given up at the end.
    async fn store(&self, lines: Vec<u8>, stop_rx: &mut watch::Receiver<bool>) -> bool {
        let lines = Arc::new(lines);
        loop {
            let (intake, mapping, held) =
                (Arc::clone(&self.intake), Arc::clone(&self.mapping), Arc::clone(&lines));
            let (audit, workers) = (self.audit.clone(), Arc::clone(&self.workers));
            let outcome = tokio::task::spawn_blocking(move || {
                let _busy = workers.begin();
                let now = Timestamp::now().0;
                let options = DecodeOptions { now, ..DecodeOptions::default() };
                let mut decoded =
                    decode_records(&held, &mapping, &options).map_err(|error| error.to_string())?;
                decoded.invalid += limit_labels(&mut decoded.batch, usize::MAX)
                    .map_err(|error| error.to_string())?;
                let stored =
                    intake.store.append(&decoded.batch).map_err(|error| error.to_string())?.stored;
                if let Some(audit) = audit {
                    // Many senders share what is stored at once, so none is named.
                    let record = AuditRecord::new(AuditEvent::RawPushReceived);
                    audit.record(record.lines(stored, held.len() as u64));
                }
                Ok::<_, String>(decoded.invalid)
            });
            let reason = match outcome.await {
                Ok(Ok(invalid)) => {
                    self.meters.invalid_lines.add(invalid);
                    if invalid > 0 {
                        self.notices.give("invalid json lines", || {
                            format!(
                                "JSON lines that are not as they should be ({invalid} just now) are \
                                 stored with the label logtap_invalid, whose value says what is wrong"
                            )
                        });
                    }
                    return true;
                }
                Ok(Err(reason)) => reason,
                Err(_) => "the receiver is stopping".to_owned(),
            };
            self.notices.give("json lines", || {
                format!("lines wait to be stored: {reason}; senders are slowed down")
            });
            if *stop_rx.borrow() {
                let count = self.give_up(&lines);
                self.notices.give("json lines lost", || {
                    format!("{count} lines were lost at the end: {reason}")
                });
                return false;
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                _ = stop_rx.changed() => {}
            }
        }
    }
}

impl Lines {
    /// Counts lines as lost; how many they are.
    fn give_up(&self, lines: &[u8]) -> u64 {
        let options = DecodeOptions { now: Timestamp::now().0, ..DecodeOptions::default() };
        match decode_records(lines, &self.mapping, &options) {
            Ok(decoded) => {
                self.intake.store.give_up(&decoded.batch);
                decoded.batch.entries.len() as u64
            }
            Err(_) => {
                let count = memchr::memchr_iter(b'\n', lines).count() as u64;
                self.intake.store.give_up_unseen("undecodable lines", count);
                count
            }
        }
    }
}

/// Since when a stop is known. What a sender that never pauses sends long after it stays with it or with the kernel: the
/// server's patience must not end while lines are held that nobody has counted.
#[derive(Default)]
struct LastReads {
    since: Option<Instant>,
}

impl LastReads {
    fn are_over(&mut self, is_stopping: bool, now: Instant) -> bool {
        is_stopping && now.duration_since(*self.since.get_or_insert(now)) >= LAST_READS
    }
}

/// How many packets the kernel has dropped for want of room, as its table of sockets says.
fn kernel_drops(socket: &UdpSocket) -> Option<u64> {
    let status = rustix::fs::fstat(socket).ok()?;
    let inode = status.st_ino.to_string();
    ["/proc/self/net/udp", "/proc/self/net/udp6"].iter().find_map(|table| {
        let text = std::fs::read_to_string(table).ok()?;
        let line = text.lines().find(|line| line.split_whitespace().nth(9) == Some(&inode))?;
        line.split_whitespace().last()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read() {
        let parse = |text: &str| text.parse::<LineSource>();
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(parse("tcp://:5170"), Ok(LineSource::Tcp(address("0.0.0.0:5170"))));
        assert_eq!(parse("udp://127.0.0.1:6051"), Ok(LineSource::Udp(address("127.0.0.1:6051"))));
        assert_eq!(parse("udp://[::1]:6051"), Ok(LineSource::Udp(address("[::1]:6051"))));
        for text in ["", ":5170", "http://:5170", "tcp://", "tcp://here", "tcp://:x"] {
            let error = parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("`{text}` is neither tcp://HOST:PORT nor udp://HOST:PORT"));
        }
    }

    #[test]
    fn a_sender_that_never_pauses_is_read_for_a_moment_after_the_stop() {
        let (mut reads, begun) = (LastReads::default(), Instant::now());
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
        assert!(!reads.are_over(false, at(0)));
        assert!(!reads.are_over(true, at(9_000)), "the moment begins with the stop");
        assert!(!reads.are_over(true, at(9_999)));
        assert!(reads.are_over(true, at(10_000)));
    }

    #[test]
    fn what_connections_hold_is_added_up() {
        let all = Arc::new(AtomicUsize::new(0));
        let mut small = Share { all: Arc::clone(&all), own: 0 };
        let mut large = Share { all: Arc::clone(&all), own: 0 };
        assert!(!small.set(10));
        assert!(large.set(MAX_HELD));
        assert!(!small.set(20), "it holds little");
        assert!(!large.set(FIRST_PART));
        drop((small, large));
        assert_eq!(all.load(Ordering::Relaxed), 0);
    }
}
