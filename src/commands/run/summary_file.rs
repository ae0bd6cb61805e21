//! The file of `--summary`: looked at before the command starts, written when it has ended.
//!
//! | what it is | before | at the end |
//! |---|---|---|
//! | not there | made, and removed again | made |
//! | a file | opened, and left as it is | replaced |
//! | a terminal or another device | opened | written to |
//! | a named pipe | whether we may write | written to, if somebody reads within [`READER_WITHIN`] |
//! | `/dev/stdout`, `/dev/stderr`, `/dev/fd/N` | opened | appended, whatever it is: a log is not cut off |
//!
//! Refuses to hold a descriptor meanwhile: the command would not get it, but may rotate the file away.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Access, OFlags};

use crate::error::{CommandError, Kind};

/// How long somebody may take to open the other end of a named pipe.
const READER_WITHIN: Duration = Duration::from_secs(10);
/// How often that is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A place that takes a summary, as far as could be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SummaryFile {
    path: PathBuf,
}

impl fmt::Display for SummaryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.path.display())
    }
}

impl SummaryFile {
    /// Whether it can be written, without writing anything.
    pub(crate) fn check(path: &Path) -> Result<Self, CommandError> {
        let file = Self { path: path.to_owned() };
        match file.look() {
            Ok(()) => Ok(file),
            Err(error) => {
                let text = format!("failed to write the summary to {file}: {error}");
                let hint =
                    "name a file that can be written, in a directory that is there, with --summary";
                Err(CommandError::new(Kind::Run, text).hinted(hint))
            }
        }
    }

    fn look(&self) -> io::Result<()> {
        let path = &self.path;
        if is_descriptor(path) {
            return open_descriptor(path).map(drop);
        }
        // A link that leads nowhere is there, and what it leads to can be made.
        let was_there = fs::symlink_metadata(path).is_ok();
        if is_pipe(path) {
            return Ok(rustix::fs::access(path, Access::WRITE_OK)?);
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).custom_flags(libc::O_NOCTTY);
        drop(options.open(path)?);
        if was_there { Ok(()) } else { fs::remove_file(path) }
    }

    /// Writes the text.
    pub(crate) fn write(&self, text: &str) -> io::Result<()> {
        let mut file = if is_descriptor(&self.path) {
            open_descriptor(&self.path)?
        } else if is_pipe(&self.path) {
            open_pipe(&self.path)?
        } else {
            File::create(&self.path)?
        };
        file.write_all(text.as_bytes())
    }
}

/// Whether a path names a descriptor that we have ourselves, whatever is behind it.
fn is_descriptor(path: &Path) -> bool {
    let directories = [Path::new("/dev/fd"), Path::new("/proc/self/fd")];
    path == Path::new("/dev/stdout")
        || path == Path::new("/dev/stderr")
        || path.parent().is_some_and(|parent| directories.contains(&parent))
}

fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Another descriptor of what is behind one of ours. What is written through it comes behind what is there.
fn open_descriptor(path: &Path) -> io::Result<File> {
    let number = path.file_name().unwrap_or_default().as_encoded_bytes();
    match number {
        b"1" | b"stdout" => Ok(io::stdout().as_fd().try_clone_to_owned()?.into()),
        b"2" | b"stderr" => Ok(io::stderr().as_fd().try_clone_to_owned()?.into()),
        _ => open_now(OpenOptions::new().append(true), path),
    }
}

/// Opens what may be a pipe without waiting for a reader, and lets writes to it wait.
fn open_now(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags.difference(OFlags::NONBLOCK))?;
    Ok(file)
}

fn open_pipe(path: &Path) -> io::Result<File> {
    let started = Instant::now();
    loop {
        match open_now(OpenOptions::new().write(true), path) {
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                if started.elapsed() >= READER_WITHIN {
                    return Err(io::Error::new(error.kind(), "nobody reads this pipe"));
                }
                std::thread::sleep(LOOK_EVERY);
            }
            opened => return opened,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(path: &Path) -> Result<SummaryFile, String> {
        SummaryFile::check(path).map_err(|error| format!("{error} {:?}", error.hints()))
    }

    #[test]
    fn a_look_leaves_everything_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.json");
        let file = checked(&path).unwrap();
        assert!(!path.exists());
        file.write("long, long ago").unwrap();
        let file = checked(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "long, long ago");
        file.write("now").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "now");
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().to_owned(), directory.path().join("not/there")] {
            let told = checked(&path).unwrap_err();
            assert!(told.contains(&format!("`{}`: ", path.display())), "{told}");
            assert!(told.contains("with --summary"), "{told}");
        }
        assert!(checked(Path::new("/dev/fd/12345")).is_err());
        assert!(checked(Path::new("/dev/null")).is_ok());
    }

    #[test]
    fn a_pipe_is_not_waited_for_before_and_has_its_reader_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600))
            .unwrap();
        let file = checked(&path).unwrap();
        let reader = {
            let path = path.clone();
            std::thread::spawn(move || fs::read_to_string(path).unwrap())
        };
        // More than a pipe holds.
        let text = "x".repeat(200_000);
        file.write(&text).unwrap();
        assert_eq!(reader.join().unwrap(), text);
    }
}
