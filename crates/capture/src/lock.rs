//! One writer for a capture: a lock that ends with the process that holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::error::CaptureError;
use crate::layout::LOCK;
use crate::open::open_regular;

/// Locks a directory for writing, for as long as the file is open.
pub(crate) fn lock(directory: &Path) -> Result<File, CaptureError> {
    let path = directory.join(LOCK);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let file = open_regular(&mut options, &path).map_err(CaptureError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(CaptureError::Locked { directory: directory.to_owned() })
        }
        Err(TryLockError::Error(source)) => Err(CaptureError::io("lock", &path)(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_told_which_directory_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let first = lock(directory.path()).unwrap();
        let error = lock(directory.path()).unwrap_err().to_string();
        assert!(error.contains(&directory.path().display().to_string()), "{error}");
        assert!(error.contains("is being written by another process"), "{error}");
        drop(first);
        lock(directory.path()).unwrap();
    }
}
