//! Follows files beside the command and hands what they grow by to the collector.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use logtap_capture::Timestamp;
use logtap_collector::{Feeder, FeederStream};
use logtap_wire::ring::StreamKind;
use std::os::unix::ffi::OsStrExt;

use super::follow::Follower;

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Files that could not be read are named up to this number.
const MOST_TOLD: usize = 5;

/// Opens a feeder of the collector; nothing where it has stopped.
pub(crate) type Open = Box<dyn Fn(FeederStream) -> Option<Feeder> + Send>;

/// Files and the feeders of what they hold.
pub(crate) struct FedFiles {
    follower: Follower,
    feeders: HashMap<PathBuf, Option<Feeder>>,
    open: Open,
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
        follower.look(skip, |path, bytes| {
            if !feeders.contains_key(path) {
                feeders.insert(path.to_path_buf(), open(stream(path)));
            }
            if let Some(Some(feeder)) = feeders.get(path) {
                let _collector_stopped = feeder.write(bytes, Timestamp::now().0);
            }
        });
    }

    /// What to tell of files that could not be read at the last look.
    pub(crate) fn troubles(&self) -> Vec<String> {
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
        told
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
    pub(crate) fn stop(self) -> Vec<String> {
        drop(self.stop);
        match self.thread.join() {
            Ok(files) => files.troubles(),
            Err(_) => {
                vec!["what files grew by last is missing: their thread has failed".to_owned()]
            }
        }
    }
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
