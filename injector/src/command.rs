//! The injector's arguments and what it does with them, for `logtap-injector` and `logtap inject`.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use logtap_embedded::InstallError;

/// Everybody may make files in a tap directory, and only their owners, and its own, may remove them.
const TAP_MODE: u32 = 0o1777;

/// Copy the preload library into a directory that applications can load it from
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:
  logtap inject --install /logtap/library
  logtap inject --install /logtap/library --tap /logtap/tap/run
  LOGTAP_INSTALL_DIR=/logtap/library logtap inject

The copy is called liblogtap.so, has mode 0555 and appears whole or not at all. Repeating it \
changes nothing. `logtap-injector` is the same without the rest of logtap.")]
pub struct InjectArgs {
    /// Directory for the library; it must exist and not be mounted noexec
    #[arg(long, value_name = "DIR", env = "LOGTAP_INSTALL_DIR")]
    pub install: PathBuf,

    /// Make this tap directory too, in a volume in memory that application and collector share
    ///
    /// A volume's own directory belongs to root: a collector that is not root could not remove from it what
    /// the application's user has made. This one belongs to the user of this command, which should be the
    /// collector's.
    #[arg(long, value_name = "DIR", env = "LOGTAP_TAP_DIR")]
    pub tap: Option<PathBuf>,
}

/// Why the library was not copied.
#[derive(Debug, thiserror::Error)]
pub enum InjectError {
    /// The library could not be put into the directory.
    #[error("failed to install the preload library")]
    Install(#[from] InstallError),
    /// The tap directory could not be made.
    #[error("failed to make the tap directory `{}`", path.display())]
    Tap {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl InjectError {
    /// What somebody can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Install(_) => {
                "--install names a directory that is there, can be written, and is not mounted noexec"
            }
            Self::Tap { .. } => {
                "--tap names a directory, made if it is not there, in a volume that can be written"
            }
        }
    }

    /// The exit code that belongs to it: 1 internal, 2 bad arguments, 3 not found, 4 permission.
    pub fn exit_code(&self) -> u8 {
        let of_system = |source: &io::Error| match source.kind() {
            io::ErrorKind::NotFound => 3,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => 4,
            io::ErrorKind::NotADirectory => 2,
            _ => 1,
        };
        match self {
            Self::Install(InstallError::Missing(_)) => 3,
            Self::Install(InstallError::Io { source, .. }) | Self::Tap { source, .. } => {
                of_system(source)
            }
            Self::Install(_) => 2,
        }
    }
}

/// Copies the library and returns its path, and makes the tap directory if that is asked for.
pub fn inject(args: &InjectArgs) -> Result<PathBuf, InjectError> {
    if let Some(tap) = &args.tap {
        make_tap(tap).map_err(|source| InjectError::Tap { path: tap.clone(), source })?;
    }
    Ok(logtap_embedded::install(&args.install)?)
}

fn make_tap(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(TAP_MODE).create(path) {
        // A container that is started again finds what it made.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let there = fs::symlink_metadata(path)?;
            if !there.is_dir() {
                return Err(io::Error::from(io::ErrorKind::NotADirectory));
            }
            if there.mode() & 0o7777 == TAP_MODE {
                return Ok(());
            }
        }
        made => made?,
    }
    // The umask may have taken bits away.
    fs::set_permissions(path, Permissions::from_mode(TAP_MODE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_the_embedded_library() {
        let directory = tempfile::tempdir().unwrap();
        let args = InjectArgs { install: directory.path().to_path_buf(), tap: None };
        let path = inject(&args).unwrap();
        assert_eq!(path, directory.path().join("liblogtap.so"));
        assert_eq!(std::fs::read(path).unwrap(), logtap_embedded::library());
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let args = InjectArgs { install: PathBuf::from("/nonexistent/directory"), tap: None };
        assert_eq!(inject(&args).unwrap_err().exit_code(), 3);
    }

    #[test]
    fn a_tap_directory_is_made_for_everybody_and_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let tap = directory.path().join("run");
        let args = InjectArgs { install: directory.path().to_path_buf(), tap: Some(tap.clone()) };
        for _ in 0..2 {
            inject(&args).unwrap();
            assert_eq!(fs::metadata(&tap).unwrap().mode() & 0o7777, TAP_MODE);
        }
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = inject(&InjectArgs { tap: Some(file), ..args }).unwrap_err();
        assert!(refused.to_string().contains("file"), "{refused}");
    }
}
