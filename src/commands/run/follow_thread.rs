//! Follows files beside the command and hands what they grow by to the collector.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use logtap_capture::Timestamp;
use logtap_collector::{Feeder, FeederStream};
use logtap_wire::ring::StreamKind;
use std::os::unix::ffi::OsStrExt;

use logtap_units::show::{plural, size};

use super::follow::Follower;
use super::followed::{Disturbed, Heard};

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Files that could not be read are named up to this number.
const MOST_TOLD: usize = 5;

/// Opens a feeder of the collector; nothing where it has stopped.
pub(crate) type Open = Box<dyn Fn(FeederStream) -> Option<Feeder> + Send>;

/// Files and the feeders of what they hold.
pub(crate) struct FedFiles {
    follower: Follower,
    /// By the numbers of the files: one that follows another under its name does not go on with its line.
    feeders: HashMap<u64, Option<Feeder>>,
    open: Open,
}

/// What went wrong with followed files.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    /// In words, for a person.
    pub(crate) notes: Vec<String>,
    /// How often files were truncated: lines may be missing.
    pub(crate) truncations: u64,
}

/// A thread that looks again and again.
pub(crate) struct FollowThread {
    stop: Sender<()>,
    thread: JoinHandle<FedFiles>,
}

impl FedFiles {
    /// What is in the files now is passed over.
    pub(crate) fn new(patterns: &[u8], open: Open) -> Self {
        Self { follower: Follower::new(patterns), feeders: HashMap::new(), open }
    }

    /// Hands over what is new, except in files for which `skip` says yes.
    pub(crate) fn look(&mut self, skip: impl Fn(&Path) -> bool) {
        let Self { follower, feeders, open } = self;
        follower.look(skip, |number, path, what| match what {
            Heard::Bytes(bytes) => {
                let feeder = feeders.entry(number).or_insert_with(|| open(stream(path)));
                if let Some(feeder) = feeder {
                    let _collector_stopped = feeder.write(bytes, Timestamp::now().0);
                }
            }
            // Its end ends the line.
            Heard::Break => drop(feeders.remove(&number)),
        });
        let followed = follower.numbers();
        feeders.retain(|number, _| followed.contains(number));
    }

    /// What to tell of files that could not be read at the last look, were cut back, or have holes.
    pub(crate) fn troubles(&self) -> Troubles {
        let mut told: Vec<String> = self
            .follower
            .unread()
            .take(MOST_TOLD)
            .map(|(path, reason)| format!("could not follow `{}`: {reason}", path.display()))
            .collect();
        let more = self.follower.unread().count() - told.len();
        if more > 0 {
            told.push(format!("could not follow {more} more files"));
        }
        let disturbed = self.follower.disturbed();
        told.extend(disturbed.iter().take(MOST_TOLD).map(|(path, what)| sentence(path, *what)));
        if disturbed.len() > MOST_TOLD {
            let more = disturbed.len() - MOST_TOLD;
            told.push(format!("{more} more followed files were truncated or have holes"));
        }
        Troubles { truncations: disturbed.values().map(|what| what.truncations).sum(), notes: told }
    }

    /// Looks again and again on a thread of its own.
    pub(crate) fn start(mut self) -> std::io::Result<FollowThread> {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name("follower".into()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(PAUSE) {
                self.look(|_| false);
            }
            self.look(|_| false);
            self
        })?;
        Ok(FollowThread { stop, thread })
    }
}

impl FollowThread {
    /// Looks once more, then ends. What to tell of files that could not be read.
    pub(crate) fn stop(self) -> Troubles {
        drop(self.stop);
        match self.thread.join() {
            Ok(files) => files.troubles(),
            Err(_) => {
                let note = "what files grew by last is missing: their thread has failed";
                Troubles { notes: vec![note.to_owned()], ..Troubles::default() }
            }
        }
    }
}

fn sentence(path: &Path, what: Disturbed) -> String {
    let missed = match what.missed {
        0 => String::new(),
        bytes => format!(" (at least {})", size(bytes)),
    };
    let cut = (what.truncations > 0).then(|| {
        let times = plural(what.truncations, "time");
        format!("was truncated {times} while it was followed; lines may be missing{missed}")
    });
    let holes = (what.holes > 0)
        .then(|| format!("skipped {} of holes, which nobody wrote", size(what.holes)));
    let told: Vec<_> = cut.into_iter().chain(holes).collect();
    format!("`{}` {}", path.display(), told.join("; "))
}

fn stream(path: &Path) -> FeederStream {
    FeederStream {
        source: "tail".to_owned(),
        kind: StreamKind::File,
        path: path.as_os_str().as_bytes().to_vec(),
        pid: 0,
        executable: String::new(),
        labels: Vec::new(),
    }
}
