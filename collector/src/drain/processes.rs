//! Writers that end while others keep their ring alive.

use super::{Drain, Pass};
use crate::operation::Operation;

impl Drain {
    /// Looks which writers of living rings are gone.
    pub(super) fn find_gone_processes(&mut self) {
        for reading in self.rings.values_mut() {
            let visible =
                self.pid_namespace != 0 && reading.reader.info.pid_namespace == self.pid_namespace;
            if !visible {
                continue;
            }
            let gone: Vec<u32> =
                reading.processes.iter().copied().filter(|&pid| is_gone(pid)).collect();
            for pid in gone {
                reading.processes.remove(&pid);
                reading.gone.push(pid);
            }
        }
    }

    /// Whether writers are gone that nobody was told of.
    pub(super) fn has_gone_processes(&self) -> bool {
        self.rings.values().any(|reading| !reading.gone.is_empty())
    }

    /// Tells of writers that are gone, once everything that they wrote was told.
    pub(super) fn tell_gone_processes(&mut self, pass: &Pass) {
        if pass.waiting || !self.merge.is_empty() {
            return;
        }
        for (&ring, reading) in &mut self.rings {
            if reading.idle {
                for pid in reading.gone.drain(..) {
                    Operation::ProcessEnd { ring, pid }.write(&mut self.chunk.bytes);
                }
            }
        }
    }
}

/// Inode of this process's pid namespace, 0 where it cannot be read.
pub(super) fn own_pid_namespace() -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self/ns/pid").map_or(0, |metadata| metadata.ino())
}

pub(super) fn is_gone(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
    rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
}
