//! The command's file: found and examined before anything is started.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use logtap_program::search::{self, SearchError};
use logtap_program::{Caller, Preloadable, ProgramError, examine, raises};
use logtap_recv::redact::Patterns;

use crate::error::{CommandError, Kind};

/// What will be run.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The file, as exec will get it.
    pub(crate) path: PathBuf,
    /// Why the library cannot reach it.
    pub(crate) obstacle: Option<String>,
}

/// Finds the file of a command, or fails as env and a shell do: 127 where it is not there, 126 where
/// it may not be run.
pub(crate) fn find(command: &[OsString]) -> Result<Target, CommandError> {
    let name = &command[0];
    let path = search::find(name, &search::path_variable()).map_err(|error| {
        let kind = match &error {
            SearchError::NotFound(_) => Kind::CommandNotFound,
            SearchError::NotExecutable(_) => Kind::CommandNotExecutable,
        };
        let hint = if kind == Kind::CommandNotExecutable {
            "make it executable (chmod +x), or name its interpreter".to_owned()
        } else if is_value(name) {
            let name = name.display();
            format!(
                "the value of a flag such as --suppress or --redact stands behind a `=`: `={name}`"
            )
        } else if Path::new(".").join(name).is_file() {
            format!("a file of that name is here: `./{}`", name.display())
        } else if name.as_encoded_bytes().contains(&b'/') {
            "name an executable file".to_owned()
        } else {
            "name a program in PATH; what only a shell knows runs as `logtap run -- sh -c '...'`"
                .to_owned()
        };
        CommandError::new(kind, error).hinted(hint)
    })?;
    let obstacle = obstacle(&path);
    Ok(Target { path, obstacle })
}

/// Whether it was meant as the value of the flag before it: those that may stand alone take theirs behind a `=`.
fn is_value(name: &OsStr) -> bool {
    let streams = ["all", "stdout", "stderr", "file"];
    let is_stream = |text: &str| text.split(',').all(|word| streams.contains(&word));
    name.to_str().is_some_and(|text| is_stream(text) || Patterns::parse(text).is_ok())
}

/// What exec itself will complain about (a missing interpreter, a damaged file) is left to it.
fn obstacle(path: &Path) -> Option<String> {
    match examine(path) {
        Ok(program) => match program.preloadable() {
            Preloadable::Yes => None,
            Preloadable::No { reason } => Some(reason.to_string()),
        },
        Err(ProgramError::Unreadable { path, .. }) => {
            Some(match raises(&path, &Caller::current()) {
                Preloadable::Yes => "its file cannot be read".to_owned(),
                Preloadable::No { reason } => reason.to_string(),
            })
        }
        Err(_) => None,
    }
}

/// What a failed exec means for the exit code.
pub(crate) fn not_started(path: &Path, error: &std::io::Error) -> CommandError {
    let kind = match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => Kind::CommandNotFound,
        Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => Kind::Run,
        _ => Kind::CommandNotExecutable,
    };
    let text = format!("failed to run `{}`: {error}", path.display());
    CommandError::new(kind, text)
}
