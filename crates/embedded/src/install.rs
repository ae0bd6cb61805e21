//! Puts the library into a directory so that no process ever sees half of it.
//!
//! A temporary name, fsync, rename. Refuses a directory whose file system does not allow mapping
//! code, and symbolic links, which could make it write or load something else than was named.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, StatVfsMountFlags};

use crate::library;

/// The library's name in every directory.
pub const FILE_NAME: &str = "liblogtap.so";

/// Why the library was not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The directory is not there.
    #[error("directory `{0}` does not exist")]
    Missing(PathBuf),
    /// The path names something else than a directory.
    #[error("`{0}` is not a directory, or a symbolic link to one")]
    NotADirectory(PathBuf),
    /// The file system is mounted `noexec`.
    #[error("`{0}` is on a file system mounted noexec, from where no library can be loaded")]
    NotExecutable(PathBuf),
    /// Somebody put a link or a directory where the library belongs.
    #[error("`{0}` is there already and not a regular file")]
    Occupied(PathBuf),
    /// The operating system said no.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// Installs the library as `DIRECTORY/liblogtap.so`, mode 0555, and returns that path.
///
/// Where the same bytes are there already nothing is written.
pub fn install(directory: &Path) -> Result<PathBuf, InstallError> {
    install_bytes(directory, library())
}

/// Whether code can be mapped from files of this directory.
pub fn can_execute(directory: &Path) -> Result<bool, InstallError> {
    let folder = open_directory(directory)?;
    executable(&folder, directory)
}

fn install_bytes(directory: &Path, bytes: &[u8]) -> Result<PathBuf, InstallError> {
    let folder = open_directory(directory)?;
    if !executable(&folder, directory)? {
        return Err(InstallError::NotExecutable(directory.to_path_buf()));
    }
    let path = directory.join(FILE_NAME);
    if is_installed(&folder, &path, bytes)? {
        return Ok(path);
    }
    let temporary = format!(".{FILE_NAME}.{}", std::process::id());
    let written = write_file(&folder, &temporary, bytes)
        .and_then(|()| rustix::fs::renameat(&folder, &temporary, &folder, FILE_NAME))
        .and_then(|()| rustix::fs::fsync(&folder));
    written.map_err(|error| {
        // The temporary file may be there or not: nothing can be done about it here.
        let _removed = rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty());
        failed("write", &path)(error)
    })?;
    Ok(path)
}

fn open_directory(directory: &Path) -> Result<OwnedFd, InstallError> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(directory, flags, Mode::empty()).map_err(|error| match error {
        rustix::io::Errno::NOENT => InstallError::Missing(directory.to_path_buf()),
        rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP => {
            InstallError::NotADirectory(directory.to_path_buf())
        }
        other => failed("open", directory)(other),
    })
}

fn executable(folder: &OwnedFd, directory: &Path) -> Result<bool, InstallError> {
    let mount = rustix::fs::fstatvfs(folder).map_err(failed("examine", directory))?;
    Ok(!mount.f_flag.contains(StatVfsMountFlags::NOEXEC))
}

/// Whether exactly these bytes are installed, in a file that only we or root could change.
fn is_installed(folder: &OwnedFd, path: &Path, bytes: &[u8]) -> Result<bool, InstallError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(folder, FILE_NAME, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(false),
        Err(rustix::io::Errno::LOOP) => return Err(InstallError::Occupied(path.to_path_buf())),
        Err(error) => return Err(failed("open", path)(error)),
    };
    let status = rustix::fs::fstat(&file).map_err(failed("examine", path))?;
    if !rustix::fs::FileType::from_raw_mode(status.st_mode).is_file() {
        return Err(InstallError::Occupied(path.to_path_buf()));
    }
    let ours = [0, rustix::process::geteuid().as_raw()].contains(&status.st_uid);
    if !ours || status.st_mode & 0o7777 != 0o555 || status.st_size != bytes.len() as i64 {
        return Ok(false);
    }
    let mut present = Vec::with_capacity(bytes.len());
    let read = file.take(bytes.len() as u64 + 1).read_to_end(&mut present);
    read.map_err(|source| InstallError::Io { action: "read", path: path.to_path_buf(), source })?;
    Ok(present == bytes)
}

fn write_file(folder: &OwnedFd, name: &str, bytes: &[u8]) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let descriptor = match rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR) {
        // A process with our id died here once: its leftover is nobody's.
        Err(rustix::io::Errno::EXIST) => {
            rustix::fs::unlinkat(folder, name, AtFlags::empty())?;
            rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?
        }
        other => other?,
    };
    let mut file = File::from(descriptor);
    file.write_all(bytes).map_err(|error| {
        rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO)
    })?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o555))?;
    rustix::fs::fsync(&file)
}

fn failed(action: &'static str, path: &Path) -> impl Fn(rustix::io::Errno) -> InstallError {
    let path = path.to_path_buf();
    move |error| InstallError::Io { action, path: path.clone(), source: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn installs_once_and_leaves_the_same_bytes_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = install_bytes(directory.path(), b"library").unwrap();
        let first = std::fs::metadata(&path).unwrap();
        assert_eq!(first.permissions().mode() & 0o7777, 0o555);
        assert_eq!(std::fs::read(&path).unwrap(), b"library");

        install_bytes(directory.path(), b"library").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), first.ino());

        install_bytes(directory.path(), b"another").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"another");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_of_another_mode_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        std::fs::write(&path, b"library").unwrap();
        install_bytes(directory.path(), b"library").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o555);
    }

    #[test]
    fn links_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real");
        let link = directory.path().join("link");
        std::fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        assert!(matches!(install_bytes(&link, b"x"), Err(InstallError::NotADirectory(_))));

        let victim = directory.path().join("victim");
        std::fs::write(&victim, b"mine").unwrap();
        symlink(&victim, real.join(FILE_NAME)).unwrap();
        assert!(matches!(install_bytes(&real, b"x"), Err(InstallError::Occupied(_))));
        assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
    }

    #[test]
    fn what_is_not_there_or_cannot_map_code_is_named() {
        let missing = Path::new("/nonexistent/directory");
        assert!(matches!(install_bytes(missing, b"x"), Err(InstallError::Missing(_))));
        // procfs is mounted noexec wherever systemd or a container runtime mounts it.
        if !can_execute(Path::new("/proc")).unwrap() {
            let refused = install_bytes(Path::new("/proc"), b"x");
            assert!(matches!(refused, Err(InstallError::NotExecutable(_))));
        }
    }

    #[test]
    fn a_leftover_of_a_dead_process_is_no_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        let leftover = directory.path().join(format!(".{FILE_NAME}.{}", std::process::id()));
        std::fs::write(&leftover, b"half").unwrap();
        let path = install_bytes(directory.path(), b"whole").unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"whole");
        assert!(!leftover.exists());
    }
}
