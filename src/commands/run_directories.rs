//! Where directories of runs can be, and which of them are of runs that have ended.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// Beginning of all names; the user's number follows.
const PREFIX: &str = "logtap-";
/// The file whose lock says that the run lives.
pub(crate) const LOCK: &str = "lock";
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// Directories that can hold ours, memory first.
pub(crate) fn candidates() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let bases = [Some("/dev/shm".into()), runtime, Some("/tmp".into()), Some("/var/tmp".into())];
    bases.into_iter().flatten().filter(|base| base.is_dir() && is_listable(base)).collect()
}

/// Whether a path can stand in LD_PRELOAD, where blanks and colons separate.
pub(crate) fn is_listable(path: &Path) -> bool {
    path.is_absolute() && path.to_str().is_some_and(|text| !text.contains([' ', ':', '\t', '\n']))
}

/// Whether files of this directory live in memory.
pub(crate) fn is_memory(directory: &Path) -> bool {
    rustix::fs::statfs(directory).is_ok_and(|status| status.f_type as u64 == TMPFS_MAGIC)
}

/// The directories of this user's runs that have ended.
pub(crate) fn abandoned(base: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(base) else { return Vec::new() };
    let prefix = prefix();
    let me = rustix::process::geteuid().as_raw();
    let candidates = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)))
        .map(|entry| entry.path());
    candidates
        .filter(|path| {
            let is_ours =
                fs::symlink_metadata(path).is_ok_and(|data| data.is_dir() && data.uid() == me);
            is_ours && is_abandoned(path)
        })
        .collect()
}

/// Whether the run that made a directory is dead. One without a lock is being made just now.
fn is_abandoned(directory: &Path) -> bool {
    let options =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(directory.join(LOCK));
    options.is_ok_and(|lock| {
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
    })
}

/// Beginning of the names of this user's directories.
pub(crate) fn prefix() -> String {
    format!("{PREFIX}{}-", rustix::process::geteuid().as_raw())
}
