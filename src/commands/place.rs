//! Directories of ours in shared places: for rings and for the library, until nobody needs them.
//!
//! ```text
//!  BASE/logtap-USER-RANDOM/           0711: to be passed through, not to be listed
//!      lock                           flock held by the `logtap run` that made it
//!      run.json                       whose rings these are; gone once all that they held is delivered
//!      liblogtap.so                   0555, where files of BASE can be executed
//!      RANDOM/                        the tap directory, where BASE is memory
//! ```
//! Refuses to remove what a living process maps or names in its environment (the next run looks again), and rings of
//! a killed run with records in them: those wait for `logtap recover`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::run_directories::{LOCK, abandoned, prefix};
use super::{processes, undelivered};

/// A directory of a fixed name that only we can change and everybody can read. It is made if it is
/// not there, and refused if it is somebody else's.
pub(crate) fn own_directory(path: &Path) -> io::Result<PathBuf> {
    match fs::DirBuilder::new().mode(0o755).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o755))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let metadata = fs::symlink_metadata(path)?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if metadata.is_dir() && ours && metadata.mode() & 0o022 == 0 {
        return Ok(path.to_path_buf());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("`{}` is not a directory of this user alone", path.display()),
    ))
}

/// A directory of ours, and the lock that says that we live.
pub(crate) struct Place {
    directory: PathBuf,
    _lock: File,
}

impl Place {
    /// Makes one, after removing what dead runs left behind.
    pub(crate) fn make(base: &Path) -> io::Result<Self> {
        clean_up(base);
        let directory = tempfile::Builder::new()
            .prefix(&prefix())
            .rand_bytes(16)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(base)?;
        let lock = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.path().join(LOCK))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        // The permissions that mkdir gets lose bits to the umask; these do not.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o711))?;
        Ok(Self { directory: directory.keep(), _lock: lock })
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    /// Removes it unless a living process needs it, or what is in its rings is not delivered.
    pub(crate) fn remove_if_unused(self) {
        remove_if_unused(&self.directory);
    }
}

/// Removes the directories of runs that have ended, where no process needs them and nothing is left in them.
fn clean_up(base: &Path) {
    for path in abandoned(base) {
        remove_if_unused(&path);
    }
}

/// Removes a directory unless a living process needs it or something in it is not delivered. What cannot be looked at
/// stays.
pub(crate) fn remove_if_unused(directory: &Path) {
    if !is_used(directory) && matches!(undelivered::look(directory), Ok(None)) {
        remove(directory);
    }
}

/// Whether a living process maps a file of the directory or would hand its name to a child. What
/// other users' processes do we only see as root; they cannot have got our environment otherwise.
fn is_used(directory: &Path) -> bool {
    let me = std::process::id();
    processes::all().into_iter().filter(|process| *process != me).any(|process| {
        processes::maps(process, directory) == Some(true)
            || processes::environment_names(process, directory) == Some(true)
    })
}

/// What cannot be removed now the next run will see again.
fn remove(directory: &Path) {
    let _left_for_the_next_run = fs::remove_dir_all(directory);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_run_removes_what_a_dead_one_left() {
        let base = tempfile::tempdir().unwrap();
        let dead = Place::make(base.path()).unwrap();
        let dead_path = dead.path().to_path_buf();
        assert_eq!(fs::metadata(&dead_path).unwrap().mode() & 0o7777, 0o711);
        let alive = Place::make(base.path()).unwrap();
        assert!(dead_path.exists(), "a locked directory is in use");
        drop(dead);
        let third = Place::make(base.path()).unwrap();
        assert!(!dead_path.exists());
        assert!(alive.path().exists());
        let third_path = third.path().to_path_buf();
        third.remove_if_unused();
        assert!(!third_path.exists());
    }

    #[test]
    fn what_a_process_names_in_its_environment_stays() {
        let base = tempfile::tempdir().unwrap();
        let place = Place::make(base.path()).unwrap();
        let path = place.path().to_path_buf();
        let mut user = std::process::Command::new("sleep")
            .arg("100")
            .env("LD_PRELOAD_LATER", &path)
            .spawn()
            .unwrap();
        while processes::environment_names(user.id(), &path) != Some(true) {
            std::thread::yield_now();
        }
        place.remove_if_unused();
        assert!(path.exists());
        user.kill().unwrap();
        user.wait().unwrap();
        drop(Place::make(base.path()).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_with_undrained_rings_is_never_removed() {
        let base = tempfile::tempdir_in("/dev/shm").unwrap();
        let dead = Place::make(base.path()).unwrap();
        let path = dead.path().to_path_buf();
        let tap = path.join("tap");
        drop(logtap_collector::TapDirectory::create(&tap, 0o700, 1 << 20).unwrap());
        undelivered::Owner::default().write(&path).unwrap();
        // Its owner is there, and nothing in it to be drained.
        assert!(undelivered::look(&path).unwrap().is_none());
        // What no ring reader can tell the contents of is not known to be empty.
        fs::remove_file(path.join(undelivered::OWNER)).unwrap();
        fs::write(path.join(undelivered::OWNER), "{").unwrap();
        drop(dead);
        drop(Place::make(base.path()).unwrap());
        assert!(path.exists());
        fs::remove_file(path.join(undelivered::OWNER)).unwrap();
        drop(Place::make(base.path()).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_open_to_others_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("shared");
        assert_eq!(own_directory(&path).unwrap(), path);
        assert_eq!(own_directory(&path).unwrap(), path);
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        assert!(own_directory(&path).is_err());
    }
}
