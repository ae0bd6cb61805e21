//! What a capture does when there is no room: who has to go.

use std::io;
use std::path::Path;

/// What happens to a batch for which there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// The oldest closed segments go; if that is not enough, the batch is refused, and its sender keeps it.
    #[default]
    Reject,
    /// The oldest segments go, also the one that is being written; a batch that has no room even then is
    /// dropped and counted.
    DropOldest,
    /// What is stored stays; the batch is dropped and counted.
    DropNewest,
}

/// Bytes that are free for this process in the file system of a directory.
pub(crate) fn free_bytes(directory: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(directory)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
