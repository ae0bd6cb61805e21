//! `logtap library`: where the preload library is, for who sets LD_PRELOAD by hand.

use std::path::{Path, PathBuf};

use logtap_embedded::InstallError;

use crate::commands::Ending;
use crate::commands::run::place;
use crate::failure::{CommandError, Kind};
use crate::output::Printer;

/// Print the path of the preload library, after putting it there
#[derive(clap::Args)]
#[command(after_help = "Examples:
  LD_PRELOAD=$(logtap library) LLT_TARGET=tap:/dev/shm/tap LLT_TAP_INTO=3 ./server
  logtap library --install /opt/logtap

Without --install the library is put into a directory of this user that every user can read, in
memory if possible, and stays there: it must not vanish under a running program.")]
pub(crate) struct LibraryArgs {
    /// Put the library into this directory, as liblogtap.so
    #[arg(long, value_name = "DIR")]
    install: Option<PathBuf>,
}

pub(crate) fn run(args: &LibraryArgs, printer: &mut Printer) -> Result<Ending, CommandError> {
    let path = match &args.install {
        Some(directory) => install(directory)?,
        None => install_for_this_user()?,
    };
    printer.line(path.display())?;
    Ok(Ending::OK)
}

fn install(directory: &Path) -> Result<PathBuf, CommandError> {
    logtap_embedded::install(directory).map_err(|error| {
        let hint = match &error {
            InstallError::Missing(_) => Some("create the directory first"),
            InstallError::NotExecutable(_) => Some("name a directory on another file system"),
            _ => None,
        };
        let failure = match error {
            InstallError::Missing(_) => CommandError::new(Kind::NotFound, error),
            other => CommandError::caused(other),
        };
        hint.into_iter().fold(failure, CommandError::hinted)
    })
}

fn install_for_this_user() -> Result<PathBuf, CommandError> {
    let name = format!(
        "logtap-library-{}-{}",
        rustix::process::geteuid().as_raw(),
        logtap_embedded::build_id()
    );
    let mut last = None;
    for base in place::candidates() {
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
