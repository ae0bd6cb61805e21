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
    /// A batch is larger than all that the capture may take.
    #[error("a push of about {bytes} bytes is larger than all of `{}` may be ({cap} bytes)", .directory.display())]
    LargerThanCap {
        /// The capture directory.
        directory: PathBuf,
        /// What the batch would take.
        bytes: u64,
        /// The cap in bytes.
        cap: u64,
    },
    /// Every name that a new segment could have is taken.
    #[error("every name for a new file in `{}` is taken", .directory.display())]
    NoName {
        /// The capture directory.
        directory: PathBuf,
    },
    /// The file system has less room than is to be left free.
    #[error("only {free} bytes are free for `{}`, and {wanted} are to stay free", .directory.display())]
    LowSpace {
        /// The capture directory.
        directory: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are to stay free.
        wanted: u64,
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

    /// What somebody can do about it, if there is something.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Locked { .. } => {
                Some("stop the other writer, or name another directory with --dir")
            }
            Self::CapReached { .. } => Some(
                "raise --max-disk, or choose what is lost with --on-full drop-oldest|drop-newest",
            ),
            Self::LargerThanCap { .. } => Some("send less at a time, or raise --max-disk"),
            Self::NoName { .. } => Some(
                "move files with times in the future away, or name another directory with --dir",
            ),
            Self::LowSpace { .. } => Some("free some space there, or lower --min-free"),
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull => {
                    Some("free some space on the disk, or keep the capture small with --max-disk")
                }
                io::ErrorKind::QuotaExceeded => {
                    Some("raise the quota, or keep the capture small with --max-disk")
                }
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Some(
                    "name a directory that can be written with --dir, or give its user the right to",
                ),
                io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                    Some("name a directory with --dir")
                }
                io::ErrorKind::NotFound => {
                    Some("name a directory with --dir that is there, or that can be made")
                }
                _ if source.raw_os_error() == Some(5) => {
                    Some("the disk itself reports errors: see the system's log")
                }
                _ => None,
            },
            Self::NotACapture { .. } | Self::ForeignFile { .. } => {
                Some("put the directory back from a copy, or name an empty one with --dir")
            }
            Self::BadOrigin { .. } | Self::Damaged { .. } => None,
        }
    }

    /// Whether the disk refused to write through.
    pub(crate) fn is_of_sync(&self) -> bool {
        matches!(self, Self::Io { action: "sync", .. })
    }

    /// Whether there is no room, now or ever.
    pub(crate) fn is_of_room(&self) -> bool {
        self.is_full() || matches!(self, Self::LargerThanCap { .. })
    }

    /// Whether it failed because there is no room now.
    pub fn is_full(&self) -> bool {
        match self {
            Self::CapReached { .. } | Self::LowSpace { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}
