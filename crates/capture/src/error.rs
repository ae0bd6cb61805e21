//! What can go wrong with a capture.

use std::io;
use std::path::{Path, PathBuf};

/// A failure to read or write a capture.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Another writer has it.
    #[error("capture `{}` is being written by another process", .directory.display())]
    Locked {
        /// The capture directory.
        directory: PathBuf,
    },
    /// It is not a capture.
    #[error("`{}` is not a capture: {reason}", .directory.display())]
    NotACapture {
        /// The directory.
        directory: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The index names a file that is not in the directory itself.
    #[error("index of `{}` names `{file}`, which is not a plain file name", .directory.display())]
    ForeignFile {
        /// The capture directory.
        directory: PathBuf,
        /// The name in the index.
        file: String,
    },
    /// The operating system refused.
    #[error("failed to {action} `{}`: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The disk cap leaves no room and there is no older segment to remove.
    #[error("disk cap of {cap} bytes is reached in `{}`", .directory.display())]
    CapReached {
        /// The capture directory.
        directory: PathBuf,
        /// The cap in bytes.
        cap: u64,
    },
    /// The origin of a batch does not fit its lines.
    #[error("origin {first}-{last} does not fit a batch of {entries} lines")]
    BadOrigin {
        /// Number of the first line.
        first: u64,
        /// Number of the last line.
        last: u64,
        /// How many lines there are.
        entries: usize,
    },
    /// A compressed segment is damaged.
    #[error("segment `{}` is damaged: {reason}", .path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl CaptureError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether it failed for want of room.
    pub fn is_full(&self) -> bool {
        match self {
            Self::CapReached { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}
