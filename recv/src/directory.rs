//! Where a capture goes if nobody says where.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// More captures beside each other than this are not looked for.
const MAX_CAPTURES: u32 = 100_000;

/// The first of `capture`, `capture-2`, `capture-3` ... in `parent` that is not there or is empty.
pub fn choose_directory(parent: &Path) -> io::Result<PathBuf> {
    for number in 1..MAX_CAPTURES {
        let name = match number {
            1 => "capture".to_owned(),
            _ => format!("capture-{number}"),
        };
        let directory = parent.join(name);
        match fs::read_dir(&directory).map(|mut entries| entries.next().is_none()) {
            Ok(true) => return Ok(directory),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(&directory).is_err() {
                    return Ok(directory);
                }
            }
            // A file of that name, or a directory of somebody else's, is taken.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many captures"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_first_name_that_is_free() {
        let parent = tempfile::tempdir().unwrap();
        let choose =
            || choose_directory(parent.path()).unwrap().strip_prefix(&parent).unwrap().to_owned();
        assert_eq!(choose(), Path::new("capture"));
        fs::create_dir(parent.path().join("capture")).unwrap();
        assert_eq!(choose(), Path::new("capture"));
        fs::write(parent.path().join("capture/.lock"), "").unwrap();
        assert_eq!(choose(), Path::new("capture-2"));
        fs::write(parent.path().join("capture-2"), "a file").unwrap();
        std::os::unix::fs::symlink("nowhere", parent.path().join("capture-3")).unwrap();
        assert_eq!(choose(), Path::new("capture-4"));
    }
}
