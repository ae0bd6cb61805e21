//! Files that are always whole: written under another name and renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::error::CaptureError;
use crate::layout::PARTIAL;
use crate::open::open_regular;

/// Puts a file in the place of another. Readers see the old one or the new one.
pub(crate) fn replace_file(
    directory: &Path,
    name: &str,
    text: &[u8],
    durable: bool,
) -> Result<(), CaptureError> {
    let write = |partial: &Path| {
        let mut file = create(partial)?;
        file.write_all(text)?;
        if durable { file.sync_all() } else { Ok(()) }
    };
    let mut partial = directory.join(format!("{name}{PARTIAL}"));
    let mut written = write(&partial);
    if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::IsADirectory) {
        // Somebody else's.
        partial = directory.join(format!(".{name}{PARTIAL}"));
        written = write(&partial);
    }
    if let Err(source) = written {
        // On a full disk every bit of room counts; what is left is removed at the next start anyway.
        drop(fs::remove_file(&partial));
        return Err(CaptureError::io("write", &partial)(source));
    }
    let path = directory.join(name);
    if let Err(source) = fs::rename(&partial, &path) {
        drop(fs::remove_file(&partial));
        return Err(CaptureError::io("replace", &path)(source));
    }
    if durable { sync_directory(directory) } else { Ok(()) }
}

/// Removes a file, if it is there.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), CaptureError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(CaptureError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Opens a file for writing that is empty: a new one, in the place of whatever has its name.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => open_regular(OpenOptions::new().write(true).create_new(true), path),
    }
}

/// Opens a file for appending that was not there.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    open_regular(OpenOptions::new().append(true).create_new(true), path)
}

/// Gives a file another name, which nothing may have.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let renamed = renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE);
    match renamed {
        // A file system that cannot rename so: with a second name for a moment, or as it can.
        Err(Errno::INVAL | Errno::NOSYS) => match fs::hard_link(from, to) {
            Ok(()) => fs::remove_file(from),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            Err(_) if fs::symlink_metadata(to).is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        renamed => Ok(renamed?),
    }
}

/// Makes renames in a directory survive a power cut.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), CaptureError> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(CaptureError::io("sync", directory))
}
