//! Compresses closed segments in a thread of its own, so that writing never waits for it.
//!
//! The order makes a crash harmless: complete compressed file under its final name and on disk, index
//! line replaced, raw file removed. A failure leaves the raw file, which is as good to readers.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::catalog::Catalog;
use crate::error::CaptureError;
use crate::layout::{PARTIAL, finished_file, raw_file};
use crate::open::open_to_read;
use crate::replace::{create, remove_if_there, rename_new, sync_directory};
use crate::seekable::compress;

/// The thread and the way to it.
#[derive(Debug)]
pub(crate) struct Compactor {
    /// writer --stem of a closed segment--> thread
    stems_tx: Sender<String>,
    thread: JoinHandle<Option<CaptureError>>,
}

/// Takes the lock on the catalog; a thread that panicked leaves it in order.
pub(crate) fn lock_catalog(catalog: &Mutex<Catalog>) -> MutexGuard<'_, Catalog> {
    catalog.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Compactor {
    /// Starts the thread. It holds the directory's lock for as long as it works. With `sync` a raw segment is on the disk
    /// before it is compressed.
    pub(crate) fn start(
        directory: PathBuf,
        catalog: Arc<Mutex<Catalog>>,
        lock: Arc<File>,
        level: i32,
        sync: bool,
    ) -> Result<Self, CaptureError> {
        let (stems_tx, stems_rx) = channel();
        let path = directory.clone();
        let thread = thread::Builder::new()
            .name("compress".to_owned())
            .spawn(move || {
                let failure = run(&directory, &catalog, stems_rx, level, sync);
                drop(lock);
                failure
            })
            .map_err(CaptureError::io("start a thread for", &path))?;
        Ok(Self { stems_tx, thread })
    }

    /// Asks for a segment to be compressed.
    pub(crate) fn submit(&self, stem: String) {
        // The thread ends only after this sender, unless it panicked; then the segment stays raw.
        drop(self.stems_tx.send(stem));
    }

    /// Waits until all that was asked for is done, or has failed again. Returns the first such failure.
    pub(crate) fn finish(self) -> Option<CaptureError> {
        drop(self.stems_tx);
        self.thread.join().unwrap_or(None)
    }
}

fn run(
    directory: &Path,
    catalog: &Mutex<Catalog>,
    stems_rx: Receiver<String>,
    level: i32,
    sync: bool,
) -> Option<CaptureError> {
    let finish = |stem: &str| {
        let outcome = finish_segment(directory, catalog, stem, level);
        let mut catalog = lock_catalog(catalog);
        catalog.settle_partial();
        catalog.failures += u64::from(outcome.is_err());
        outcome
    };
    let mut failed: VecDeque<String> = VecDeque::new();
    for stem in stems_rx {
        // Now: the compressed form may come late, or never.
        if sync && sync_raw(directory, &stem).is_err() {
            lock_catalog(catalog).sync_failures += 1;
        }
        if finish(&stem).is_err() {
            failed.push_back(stem);
            continue;
        }
        // What had no room, or a disk that refused, may have better luck now that another has had it.
        while let Some(stem) = failed.pop_front() {
            if finish(&stem).is_err() {
                failed.push_front(stem);
                break;
            }
        }
    }
    failed
        .iter()
        .filter_map(|stem| finish(stem).err())
        .fold(None, |first, next| first.or(Some(next)))
}

/// Writes a raw segment through to the disk. One that is gone, by the disk cap, has nothing to lose.
fn sync_raw(directory: &Path, stem: &str) -> io::Result<()> {
    match open_to_read(&directory.join(raw_file(stem))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        opened => opened?.sync_data(),
    }
}

fn finish_segment(
    directory: &Path,
    catalog: &Mutex<Catalog>,
    stem: &str,
    level: i32,
) -> Result<(), CaptureError> {
    let raw = directory.join(raw_file(stem));
    let finished = directory.join(finished_file(stem));
    let partial = directory.join(format!("{}{PARTIAL}", finished_file(stem)));
    let mut failure = None;
    let claim = |bytes| match lock_catalog(catalog).claim_partial(stem, bytes) {
        Ok(true) => Ok(()),
        Ok(false) => Err(io::Error::other("it is gone")),
        Err(error) => {
            failure = Some(error);
            Err(io::Error::other("no room"))
        }
    };
    let packed = (|| {
        let from = open_to_read(&raw)?;
        let mut to = BufWriter::new(create(&partial)?);
        let size = compress(from, &mut to, level, claim)?;
        to.flush()?;
        to.get_ref().sync_all()?;
        Ok(size)
    })();
    let packed =
        packed.map_err(|error| failure.unwrap_or(CaptureError::io("compress", &raw)(error)));
    // The disk cap may take the segment at any time, and then there is nothing left to do: under its lock
    // it is either here, raw, or gone with all of its files.
    let held = lock_catalog(catalog);
    if !held.is_raw(stem) || packed.is_err() {
        let is_here = held.is_raw(stem);
        remove_if_there(&partial)?;
        return if is_here { packed.map(drop) } else { Ok(()) };
    }
    if let Err(source) = rename_new(&partial, &finished) {
        // What nobody counts must not take room beside the raw form, which stays.
        remove_if_there(&partial)?;
        return Err(CaptureError::io("replace", &finished)(source));
    }
    drop(held);
    // Takes its time, so the writer must not have to wait for it.
    sync_directory(directory)?;
    let mut held = lock_catalog(catalog);
    if held.is_raw(stem) { held.finish(stem, packed?) } else { Ok(()) }
}
