//! Files that are always whole: written under another name and renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::error::CaptureError;
use crate::layout::PARTIAL;

/// Who may read and write what a capture holds: its owner.
const MODE: u32 = 0o600;

/// Puts a file in the place of another. Readers see the old one or the new one.
pub(crate) fn replace_file(
    directory: &Path,
    name: &str,
    text: &[u8],
    durable: bool,
) -> Result<(), CaptureError> {
    let partial = directory.join(format!("{name}{PARTIAL}"));
    let write = || {
        let mut file = create(&partial)?;
        file.write_all(text)?;
        if durable { file.sync_all() } else { Ok(()) }
    };
    if let Err(source) = write() {
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

/// Opens a file for writing that is empty, whether it was there or not.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)
}

/// Opens a file for appending that was not there.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).mode(MODE).open(path)
}

/// Makes renames in a directory survive a power cut.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), CaptureError> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(CaptureError::io("sync", directory))
}
