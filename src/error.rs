//! What a command fails with: one kind, which decides the exit code, a cause and hints.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io;

use serde::Serialize;

/// What kind of failure it is. The exit codes are a promise to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 1: ours, or nobody's.
    Internal,
    /// 2: the arguments make no sense.
    Arguments,
    /// 3: a file, directory or capture is not there.
    NotFound,
    /// 4: somebody may not do this.
    Permission,
    /// 5: the network; trying again may help.
    Network,
    /// 0: the reader of our output went away.
    BrokenPipe,
    /// 125: `run` itself failed, not its command.
    Run,
    /// 126: the command of `run` may not be executed.
    CommandNotExecutable,
    /// 127: the command of `run` is not there.
    CommandNotFound,
}

impl Kind {
    /// The exit code of the documented table.
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::BrokenPipe => 0,
            Self::Internal => 1,
            Self::Arguments => 2,
            Self::NotFound => 3,
            Self::Permission => 4,
            Self::Network => 5,
            Self::Run => 125,
            Self::CommandNotExecutable => 126,
            Self::CommandNotFound => 127,
        }
    }

    /// The kind of a code that the lean programs end with too.
    pub(crate) const fn of_exit_code(code: u8) -> Self {
        match code {
            2 => Self::Arguments,
            3 => Self::NotFound,
            4 => Self::Permission,
            5 => Self::Network,
            _ => Self::Internal,
        }
    }

    /// The word for programs, in the JSON form.
    const fn name(self) -> &'static str {
        match self {
            Self::BrokenPipe | Self::Internal | Self::Run => "internal",
            Self::Arguments => "invalid_args",
            Self::NotFound | Self::CommandNotFound => "not_found",
            Self::Permission | Self::CommandNotExecutable => "permission",
            Self::Network => "network",
        }
    }

    /// The kind of an operating system's error.
    pub(crate) fn of(error: &io::Error) -> Self {
        use io::ErrorKind as E;
        match error.kind() {
            E::BrokenPipe => Self::BrokenPipe,
            E::NotFound => Self::NotFound,
            E::PermissionDenied | E::ReadOnlyFilesystem => Self::Permission,
            // A path to something of another kind than was meant.
            E::AlreadyExists | E::IsADirectory | E::NotADirectory => Self::Arguments,
            E::ConnectionRefused
            | E::ConnectionReset
            | E::ConnectionAborted
            | E::TimedOut
            | E::HostUnreachable
            | E::NetworkUnreachable => Self::Network,
            _ => Self::Internal,
        }
    }
}

/// The code for arguments that cannot be parsed: `run` keeps all codes below 125 for its command.
pub(crate) fn code_of_bad_arguments(command: Option<&OsString>) -> u8 {
    kind_of_bad_arguments(command).exit_code()
}

/// The same as a kind.
pub(crate) fn kind_of_bad_arguments(command: Option<&OsString>) -> Kind {
    if command.is_some_and(|name| name == "run") { Kind::Run } else { Kind::Arguments }
}

/// A failure and what to do about it.
#[derive(Debug)]
pub(crate) struct CommandError {
    kind: Kind,
    source: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
}

impl CommandError {
    /// A failure of a kind for a reason: an error or a text.
    pub(crate) fn new(kind: Kind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: source.into(), hints: Vec::new() }
    }

    /// A failure whose kind follows from the operating system's error somewhere among its causes.
    pub(crate) fn caused(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = source.into();
        let kind = causes(source.as_ref())
            .find_map(|cause| cause.downcast_ref::<io::Error>().map(Kind::of))
            .unwrap_or(Kind::Internal);
        Self { kind, source, hints: Vec::new() }
    }

    /// The same as a failure of `run`, which keeps the low exit codes for its command.
    pub(crate) fn of_run(mut self) -> Self {
        let is_one = matches!(
            self.kind,
            Kind::Run | Kind::CommandNotExecutable | Kind::CommandNotFound | Kind::BrokenPipe
        );
        if !is_one {
            self.kind = Kind::Run;
        }
        self
    }

    /// Adds something that the user can do.
    pub(crate) fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The exit code.
    pub(crate) const fn exit_code(&self) -> u8 {
        self.kind.exit_code()
    }

    /// Whether there is nobody left to tell.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.kind == Kind::BrokenPipe
    }

    /// What the user can do.
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The form for programs.
    pub(crate) fn report(&self) -> FailureReport {
        FailureReport {
            exit_code: self.exit_code(),
            error: self.kind.name(),
            message: self.to_string(),
            recoverable: self.kind == Kind::Network,
            hints: self.hints.clone(),
        }
    }
}

/// A failure as one JSON object.
#[derive(Serialize)]
pub(crate) struct FailureReport {
    exit_code: u8,
    error: &'static str,
    message: String,
    recoverable: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut written = String::new();
        for cause in causes(self.source.as_ref()) {
            let text = cause.to_string();
            // Some libraries repeat their cause in their own text.
            if !written.ends_with(&text) {
                write!(f, "{separator}{text}")?;
                separator = ": ";
                written = text;
            }
        }
        Ok(())
    }
}

/// The answer cannot be written: what is read or written elsewhere is named where that fails.
impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        let kind = Kind::of(&error);
        Self::new(kind, format!("failed to write standard output: {error}"))
    }
}

fn causes<'a>(
    first: &'a (dyn Error + Send + Sync + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let first: &'a (dyn Error + 'static) = first;
    std::iter::successors(Some(first), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        error.source()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("failed to open `x`")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn the_innermost_cause_decides_the_code() {
        let denied = Outer(io::Error::from(io::ErrorKind::PermissionDenied));
        let failure = CommandError::caused(denied);
        assert_eq!(failure.exit_code(), 4);
        assert_eq!(failure.to_string(), "failed to open `x`: permission denied");
        assert_eq!(CommandError::caused("no cause").exit_code(), 1);
        assert_eq!(CommandError::from(io::Error::from(io::ErrorKind::BrokenPipe)).exit_code(), 0);
    }

    #[test]
    fn run_keeps_the_low_codes_for_its_command() {
        assert_eq!(code_of_bad_arguments(Some(&"run".into())), 125);
        assert_eq!(code_of_bad_arguments(Some(&"grep".into())), 2);
        assert_eq!(code_of_bad_arguments(None), 2);
    }
}
