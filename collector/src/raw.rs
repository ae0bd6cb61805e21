//! Clients that send raw bytes: programs whose target is `socket:PATH`, and whoever speaks as little.
//!
//! Each connection is a stream of its own, labelled by what the kernel says of its process. Nothing a client does is
//! trusted or waited for: it may send nothing, a byte a second, or no line end at all. Reading stops where the drain thread
//! has no room, so that a client that is too fast is slowed down (or counts its own losses) instead of filling our memory.
//! Nothing that was read is dropped.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use logtap_wire::ring::StreamKind;
use logtap_wire::settings;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clock::now;
use crate::error::CollectorError;
use crate::feeder::{Feeder, FeederStream, Feeders};
use crate::labels::RAW_SOURCE;

/// Connections at the same time. Further ones wait in the listener's queue.
const MAX_CLIENTS: usize = 256;
/// Where all places are taken, who has sent nothing for so long since it came gives its place to another.
const SILENT_FOR: Duration = Duration::from_secs(10);
/// How often silent clients are looked at while others wait.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bytes read at a time.
const BLOCK: usize = 16 << 10;

/// A socket on which raw clients are taken. Dropping it stops without a last look at them.
#[derive(Debug)]
pub struct RawClients {
    path: PathBuf,
    stop: watch::Sender<bool>,
    ended: Receiver<u64>,
}

impl RawClients {
    /// Listens. `mode` is that of a directory whose users may connect: 0700, 0770 or 1777.
    pub(crate) fn start(path: &Path, mode: u32, feeders: Feeders) -> Result<Self, CollectorError> {
        let failed =
            |source| CollectorError::Listen { address: path.display().to_string(), source };
        make_room(path).map_err(failed)?;
        let listener = StdListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o666)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(CollectorError::Thread)?;
        // owner --the request to stop--> all clients
        let (stop_tx, stop_rx) = watch::channel(false);
        // thread --how many clients there were--> owner
        let (ended_tx, ended_rx) = bounded(1);
        let serve = move || {
            let clients = runtime.block_on(serve(listener, feeders, stop_rx));
            if ended_tx.send(clients).is_err() {
                tracing::debug!(clients, "nobody waits for the end of raw clients any more");
            }
        };
        std::thread::Builder::new()
            .name("logtap-raw".to_owned())
            .spawn(serve)
            .map_err(CollectorError::Thread)?;
        Ok(Self { path: path.to_owned(), stop: stop_tx, ended: ended_rx })
    }

    /// Takes what clients have sent so far, and ends. How many clients there were, if they could be ended in time.
    pub fn stop(self, within: Duration) -> Option<u64> {
        if self.stop.send(true).is_err() {
            tracing::debug!("raw clients have ended already");
        }
        let clients = self.ended.recv_timeout(within).ok();
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "failed to remove the socket");
        }
        clients
    }
}

/// Removes a socket that nobody listens on any more. Anything else in its place stays, and is an error.
fn make_room(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(there) if !there.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something that is no socket is there",
        )),
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            Err(error) => Err(error),
            Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens there")),
        },
    }
}

async fn serve(listener: StdListener, feeders: Feeders, mut stop: watch::Receiver<bool>) -> u64 {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "failed to serve raw clients");
            return 0;
        }
    };
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    let crowded = Arc::new(Notify::new());
    let mut clients = JoinSet::new();
    let mut count = 0;
    loop {
        let next = async {
            let place = place(&places, &crowded).await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            _ = stop.changed() => break,
            Some(_) = clients.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                count += 1;
                let client = Client::new(stream, feeders.clone(), Arc::clone(&crowded));
                let stop = stop.clone();
                clients.spawn(async move {
                    client.read_to_the_end(stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "failed to take a raw client");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
    while clients.join_next().await.is_some() {}
    count
}

/// Waits for a place; asks silent clients for theirs meanwhile.
async fn place(
    places: &Arc<Semaphore>,
    crowded: &Notify,
) -> Option<tokio::sync::OwnedSemaphorePermit> {
    loop {
        let place = Arc::clone(places).acquire_owned();
        if let Ok(place) = tokio::time::timeout(LOOK_EVERY, place).await {
            // The semaphore is never closed.
            return place.ok();
        }
        crowded.notify_waiters();
    }
}

/// One connection.
struct Client {
    stream: UnixStream,
    feeders: Feeders,
    crowded: Arc<Notify>,
    since: Instant,
    /// What is known of it; asked at once, because its process may be gone soon.
    about: FeederStream,
    /// From the first byte on.
    feeder: Option<Feeder>,
}

/// What a look at a connection has found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Bytes,
    NothingNow,
    TheEnd,
}

impl Client {
    fn new(stream: UnixStream, feeders: Feeders, crowded: Arc<Notify>) -> Self {
        let about = describe(&stream);
        Self { stream, feeders, crowded, since: Instant::now(), about, feeder: None }
    }

    async fn read_to_the_end(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let crowded = Arc::clone(&self.crowded);
            tokio::select! {
                ready = self.stream.readable() => {
                    if ready.is_err() || self.read() == Found::TheEnd {
                        return;
                    }
                }
                () = crowded.notified() => {
                    if self.feeder.is_none() && self.since.elapsed() >= SILENT_FOR {
                        return;
                    }
                }
                _ = stop.changed() => {
                    while self.read() == Found::Bytes {}
                    return;
                }
            }
        }
    }

    /// Reads once, and waits until the drain thread has room for it.
    fn read(&mut self) -> Found {
        let mut block = [0; BLOCK];
        let length = match self.stream.try_read(&mut block) {
            Ok(0) => return Found::TheEnd,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Found::NothingNow,
            Err(_) => return Found::TheEnd,
        };
        if self.feeder.is_none() {
            self.feeder = self.feeders.open(self.about.clone()).ok();
        }
        let bytes = block.get(..length).unwrap_or_default();
        match &self.feeder {
            Some(feeder) if feeder.write(bytes, now()).is_ok() => Found::Bytes,
            // The collector has stopped.
            _ => Found::TheEnd,
        }
    }
}

/// Who it is, as the kernel says: 0 where its process cannot be seen from here.
fn describe(stream: &UnixStream) -> FeederStream {
    let pid = stream.peer_cred().ok().and_then(|peer| u32::try_from(peer.pid()?).ok());
    let pid = pid.unwrap_or(0);
    let executable = (pid != 0).then(|| fs::read_link(format!("/proc/{pid}/exe")).ok()).flatten();
    FeederStream {
        source: RAW_SOURCE.to_owned(),
        kind: StreamKind::Stdout,
        path: Vec::new(),
        pid,
        executable: executable.map_or_else(String::new, |path| path.display().to_string()),
        labels: stream_of(pid)
            .map(|name| ("stream".to_owned(), name.to_owned()))
            .into_iter()
            .collect(),
    }
}

/// Which stream a connection carries, as far as the environment says that its process was started with: raw bytes have no
/// mark, so nothing where it may be several.
fn stream_of(pid: u32) -> Option<&'static str> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = |name: &str| {
        let variables = environment.split(|&byte| byte == 0);
        let mut values = variables
            .filter_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        values.next_back()
    };
    let files = value(settings::TAP_FILE).is_some_and(|files| !files.is_empty());
    match settings::tap_into(value(settings::TAP_INTO)?)? {
        (true, false) if !files => Some("stdout"),
        (false, true) if !files => Some("stderr"),
        (false, false) if files => Some("file"),
        _ => None,
    }
}
