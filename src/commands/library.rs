//! `logtap library`: where the preload library is, for who sets LD_PRELOAD by hand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use logtap_embedded::InstallError;

use crate::commands::{place, run_directories};
use crate::error::{CommandError, Kind};
use crate::exit::Exit;
use crate::output::Printer;

/// Print the path of the preload library, after putting it there
#[derive(clap::Args)]
#[command(after_help = "Examples:
  LD_PRELOAD=$(logtap library) LLT_TARGET=tap:/dev/shm/tap LLT_TAP_INTO=3 ./server
  logtap library --install /opt/logtap

Without --install the library is put into a directory of this user that every user can read, in \
memory if possible, and stays there: it must not vanish under a running program.")]
pub(crate) struct LibraryArgs {
    /// Put the library into this directory, as liblogtap.so; the directory is made if it is not there
    #[arg(long, value_name = "DIR")]
    install: Option<PathBuf>,
}

pub(crate) fn run(args: &LibraryArgs, printer: &mut Printer) -> Result<Exit, CommandError> {
    let path = match &args.install {
        Some(directory) => {
            // A program that changes its directory, or whose children do, finds no relative path.
            let whole = std::path::absolute(directory).map_err(CommandError::caused)?;
            if !run_directories::is_listable(&whole) {
                let text = format!("`{}` cannot stand in LD_PRELOAD", whole.display());
                return Err(CommandError::new(Kind::Arguments, text)
                    .hinted("name a directory without blanks and colons: there they separate"));
            }
            fs::create_dir_all(directory).map_err(|error| cannot_make(directory, &error))?;
            install(&whole)?
        }
        None => install_for_this_user()?,
    };
    printer.line(path.display())?;
    Ok(Exit::OK)
}

fn install(directory: &Path) -> Result<PathBuf, CommandError> {
    logtap_embedded::install(directory).map_err(|error| {
        let hint = match &error {
            InstallError::Missing(_) => "create the directory first",
            InstallError::NotExecutable(_) => "name a directory on another file system",
            InstallError::NotADirectory(_)
            | InstallError::Occupied(_)
            | InstallError::Io { .. } => "name another directory with --install",
        };
        let failure = match error {
            InstallError::Missing(_) => CommandError::new(Kind::NotFound, error),
            InstallError::NotADirectory(_) => CommandError::new(Kind::Arguments, error),
            other => CommandError::caused(other),
        };
        failure.hinted(hint)
    })
}

fn cannot_make(directory: &Path, error: &io::Error) -> CommandError {
    let kind = match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => Kind::Arguments,
        _ => Kind::of(error),
    };
    let text = format!("failed to make the directory `{}`: {error}", directory.display());
    CommandError::new(kind, text).hinted("name another directory with --install")
}

fn install_for_this_user() -> Result<PathBuf, CommandError> {
    let name = format!(
        "logtap-library-{}-{}",
        rustix::process::geteuid().as_raw(),
        logtap_embedded::build_id()
    );
    let mut last = None;
    for base in run_directories::candidates() {
        if !logtap_embedded::can_execute(&base).unwrap_or(false) {
            continue;
        }
        match place::own_directory(&base.join(&name)) {
            Ok(directory) => return install(&directory),
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        Some(error) => CommandError::caused(error),
        None => CommandError::new(
            Kind::Internal,
            "no directory is there from which a library can be loaded",
        ),
    }
    .hinted("name a directory with --install"))
}
