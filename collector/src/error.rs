//! Why a collector could not start or go on.

use std::io;
use std::path::PathBuf;

use logtap_units::show;

/// What a collector can fail with.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CollectorError {
    #[error("`{name}` cannot be the name of a label (letters, digits and _, no digit first)")]
    BadLabel { name: String },
    #[error("the label `{name}` is set by the collector itself")]
    ReservedLabel { name: String },
    #[error("a spool needs at least {}", show::size(*least))]
    SpoolTooSmall { least: u64 },
    #[error("failed to {action} `{path}`")]
    Directory { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the tap directory `{path}` is not on tmpfs")]
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
    #[error("{reason}")]
    Access { reason: String, remedy: &'static str },
    #[error("there is no certificate in `{path}`")]
    NoCertificate { path: PathBuf },
    #[error("failed to read `{path}`")]
    File { path: PathBuf, source: io::Error },
    #[error("failed to listen on `{address}`")]
    Listen { address: String, source: io::Error },
}

impl CollectorError {
    /// The error with its causes, in one line.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }

    /// What somebody can do about it, if there is something.
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadLabel { .. } | Self::ReservedLabel { .. } => "choose another name",
            Self::SpoolTooSmall { .. } => {
                "raise --spool-size, or let lines wait in the rings with --no-spool"
            }
            Self::NotMemory { .. } => {
                "use a directory below /dev/shm, an emptyDir with `medium: Memory`, or a volume of type tmpfs"
            }
            Self::Busy { .. } => {
                "one collector works in a tap directory: end the other, or name another directory with --tap"
            }
            Self::Unsafe { .. } => {
                "name a directory of this user with --tap, or let the collector make one that is not there"
            }
            Self::Version { .. } => {
                "use a collector of the same version, or another directory with --tap"
            }
            Self::Directory { .. } => {
                "name a directory that this user can make and write with --tap, its parent must be there"
            }
            Self::Spool { .. } => "name a directory that this user can write with --spool",
            Self::Sink { .. } => {
                "--to takes http://HOST:PORT or https://..., tcp://HOST:PORT, or - for standard output"
            }
            Self::Access { remedy, .. } => remedy,
            Self::NoCertificate { .. } => {
                "--ca names a file in PEM form (`-----BEGIN CERTIFICATE-----`)"
            }
            Self::File { .. } => "name a readable file",
            Self::Listen { .. } => {
                "name an address of this machine that is free, such as 0.0.0.0:9100; a socket in a directory that can be written"
            }
            Self::DamagedSpool { .. } | Self::Thread(_) => return None,
        })
    }

    /// The exit code that belongs to it: 1 internal, 2 bad arguments, 3 not found, 4 permission, 5 network.
    pub fn exit_code(&self) -> u8 {
        let of_system = |source: &io::Error| match source.kind() {
            io::ErrorKind::NotFound => 3,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => 4,
            io::ErrorKind::AlreadyExists
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidInput => 2,
            _ => 1,
        };
        match self {
            Self::BadLabel { .. }
            | Self::ReservedLabel { .. }
            | Self::SpoolTooSmall { .. }
            | Self::NotMemory { .. }
            | Self::Access { .. }
            | Self::NoCertificate { .. }
            | Self::Sink { .. } => 2,
            Self::Unsafe { .. } => 4,
            Self::Directory { source, .. }
            | Self::Spool { source, .. }
            | Self::File { source, .. } => of_system(source),
            Self::Listen { source, .. } => match of_system(source) {
                1 => 5,
                code => code,
            },
            Self::Busy { .. }
            | Self::Version { .. }
            | Self::DamagedSpool { .. }
            | Self::Thread(_) => 1,
        }
    }

    /// Makes a closure for `map_err` on file operations in the tap directory.
    pub(crate) fn directory(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Directory { action, path: path.into(), source }
    }
}
