//! The arguments that commands on a capture share: which capture, and which of its lines.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use logtap_analysis::{CaptureError, Filter, LabelMatcher, Metadata, Timestamp};

use crate::error::{CommandError, Kind};

/// The file that makes a directory a capture.
const METADATA: &str = "metadata.json";

/// Which capture.
#[derive(clap::Args)]
pub(crate) struct CaptureArgs {
    /// The capture [default: the newest one here]
    dir: Option<PathBuf>,
}

impl CaptureArgs {
    /// The directory that was named; else this one, if it is a capture; else the newest capture in it.
    pub(crate) fn directory(&self) -> Result<PathBuf, CommandError> {
        match &self.dir {
            Some(directory) => Ok(directory.clone()),
            None if Path::new(METADATA).is_file() => Ok(PathBuf::from(".")),
            None => newest(Path::new(".")).ok_or_else(|| {
                CommandError::new(Kind::NotFound, "there is no capture in this directory")
                    .hinted("name one, or make one: logtap run -- CMD")
            }),
        }
    }
}

/// Which lines.
#[derive(clap::Args)]
pub(crate) struct FilterArgs {
    /// Only lines with this label; also NAME!=VALUE, NAME=~REGEX and NAME!~REGEX. Conditions on several labels must all
    /// hold; of several values of one label, one must
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',', value_parser = LabelMatcher::parse)]
    label: Vec<LabelMatcher>,
    /// Only lines from this time on, such as 2026-01-15T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// Only lines up to this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
}

impl FilterArgs {
    /// The filter that they make. Refuses a period that ends before it begins.
    pub(crate) fn filter(&self) -> Result<Filter, CommandError> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from > to
        {
            let text = format!("`--from {from}` is after `--to {to}`, so no line can match");
            return Err(CommandError::new(Kind::Arguments, text).hinted("swap the two"));
        }
        Ok(Filter { from: self.from, to: self.to, labels: self.label.clone() })
    }
}

/// The capture that was begun last; among equals the last by name.
fn newest(parent: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(parent).ok()?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join(METADATA).is_file())
        .map(|path| (started(&path), path))
        .max()
        .map(|(_, path)| path)
}

/// A capture whose metadata does not say is older than all others.
fn started(directory: &Path) -> Option<Timestamp> {
    Metadata::read(directory).ok()?.started
}

/// A capture that cannot be read is not there, unless the system says otherwise.
pub(crate) fn unreadable(error: CaptureError) -> CommandError {
    const WHERE: &str = "a capture is a directory that `logtap run` or `logtap recv` has written";
    match &error {
        CaptureError::NotACapture { .. } => CommandError::new(Kind::NotFound, error).hinted(WHERE),
        CaptureError::Io { source, .. } => match source.kind() {
            io::ErrorKind::NotADirectory => CommandError::new(Kind::NotFound, error).hinted(WHERE),
            io::ErrorKind::NotFound => CommandError::caused(error).hinted(WHERE),
            io::ErrorKind::PermissionDenied => {
                CommandError::caused(error).hinted("read it as the user who wrote it, or as root")
            }
            _ => CommandError::caused(error),
        },
        CaptureError::ForeignFile { .. } => CommandError::caused(error)
            .hinted("somebody has changed the index; without it the data files are read instead"),
        _ => CommandError::caused(error),
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "a time is written as 2026-01-15T10:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_by_its_own_time_is_chosen() {
        let parent = tempfile::tempdir().unwrap();
        let capture = |name: &str, started: &str| {
            let directory = parent.path().join(name);
            fs::create_dir(&directory).unwrap();
            let text = format!(r#"{{"version":1,"format":"jsonl","started":"{started}"}}"#);
            fs::write(directory.join(METADATA), text).unwrap();
        };
        assert_eq!(newest(parent.path()), None);
        capture("old", "2024-01-01T00:00:00Z");
        capture("new", "2025-01-01T00:00:00Z");
        capture("another", "2024-06-01T00:00:00Z");
        capture("broken", "yesterday");
        assert_eq!(newest(parent.path()), Some(parent.path().join("new")));
        capture("newer", "2025-01-01T00:00:00Z");
        assert_eq!(newest(parent.path()), Some(parent.path().join("newer")));
    }

    #[test]
    fn a_time_is_checked() {
        assert!(time("10:00").is_err());
    }
}
