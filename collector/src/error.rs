//! Why a collector could not start or go on.

use std::io;
use std::path::PathBuf;

/// What a collector can fail with.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CollectorError {
    #[error(
        "`{name}` cannot be the name of a label\nhint: letters, digits and `_`, no digit first"
    )]
    BadLabel { name: String },
    #[error("the label `{name}` is set by the collector itself")]
    ReservedLabel { name: String },
    #[error("a spool needs at least {least} bytes")]
    SpoolTooSmall { least: u64 },
    #[error("failed to {action} `{path}`")]
    Directory { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "the tap directory `{path}` is not on tmpfs\n\
         hint: use a directory below /dev/shm, an emptyDir with `medium: Memory`, \
         or a volume of type tmpfs"
    )]
    NotMemory { path: PathBuf },
    #[error("another collector works in `{path}`")]
    Busy { path: PathBuf },
    #[error("`{path}` belongs to another user or is open to others in an unsafe way: {reason}")]
    Unsafe { path: PathBuf, reason: &'static str },
    #[error("the control page `{path}` was made by another version of logtap")]
    Version { path: PathBuf },
    #[error("failed to {action} the spool at `{path}`")]
    Spool { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the spool segment `{path}` is damaged: {reason}")]
    DamagedSpool { path: PathBuf, reason: &'static str },
    #[error("failed to start a thread")]
    Thread(#[source] io::Error),
    #[error("failed to set up the sink: {reason}")]
    Sink { reason: String },
    #[error("failed to listen on `{address}`")]
    Listen { address: String, source: io::Error },
}

impl CollectorError {
    /// Makes a closure for `map_err` on file operations in the tap directory.
    pub(crate) fn directory(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Directory { action, path: path.into(), source }
    }
}
