//! Opens the files of a capture: regular files alone, never through a link, and never waiting.
//!
//! Whoever may write into the directory must not be able to lead the writer to a file elsewhere by a symbolic link,
//! nor to stop it by a pipe that nobody serves.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Who may read and write what a capture holds: its owner.
pub(crate) const MODE: u32 = 0o600;

/// Opens a file as the options say, if it is a regular one. The mode of a new file is its owner's alone.
///
/// # Errors
///
/// What the system says; or that it is a link, a directory, a pipe and so on.
pub fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Not waiting: a pipe opens or fails at once, and a regular file does not care.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = options.mode(MODE).custom_flags(flags.bits() as i32).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) => {
            let found = fs::symlink_metadata(path).ok();
            return Err(found.and_then(|found| not_regular(&found)).unwrap_or(error));
        }
    };
    match not_regular(&file.metadata()?) {
        Some(error) => Err(error),
        None => Ok(file),
    }
}

/// Opens a file for reading.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    open_regular(OpenOptions::new().read(true), path)
}

/// All of a file.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open_to_read(path)?.read_to_end(&mut text)?;
    Ok(text)
}

/// What something is that is no regular file.
fn not_regular(metadata: &fs::Metadata) -> Option<io::Error> {
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_file() => return None,
        () if kind.is_symlink() => "a symbolic link, which is not followed",
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    let text = format!("it is {what}, and not a regular file; move it away");
    Some(io::Error::new(io::ErrorKind::InvalidInput, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), "text").unwrap();
        fs::create_dir(path("directory")).unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", path("dangling")).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(MODE);
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), mode).unwrap();
        assert_eq!(read(&path("file")).unwrap(), b"text");
        let mut options = OpenOptions::new();
        let writing = options.write(true).create(true);
        for (name, what) in [
            ("directory", "a directory"),
            ("link", "a symbolic link"),
            ("dangling", "a symbolic link"),
            ("pipe", "a pipe"),
        ] {
            let told = open_to_read(&path(name)).unwrap_err().to_string();
            assert!(told.contains(what), "{name}: {told}");
            let told = open_regular(writing, &path(name)).unwrap_err().to_string();
            assert!(told.contains(what), "{name}: {told}");
        }
        assert_eq!(read(&path("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!Path::new("/nowhere").exists());
    }
}
