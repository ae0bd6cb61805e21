//! How a receiver keeps its capture: the flags, and the settings of the writer that they make.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use logtap_recv::redact::{Pattern, Patterns};
use logtap_recv::{Fsync, OnFull, WriterOptions, foreign_content, foreign_writers, segment_limit};
use logtap_units::read;
use logtap_units::show::size;

use crate::commands::redact;
use crate::error::{CommandError, Kind};
use crate::output::Printer;

/// Flags about the capture.
#[derive(clap::Args)]
pub(crate) struct KeepingArgs {
    /// Directory of the capture; an existing capture is continued
    #[arg(long, value_name = "DIR", env = "LOGTAP_RECV_DIR")]
    pub(crate) dir: PathBuf,
    /// Size at which a file of the capture is closed
    #[arg(long, value_name = "SIZE", default_value = "256MB", value_parser = read::size)]
    max_file: u64,
    /// Age at which a file of the capture is closed, such as 15m or 1h
    #[arg(long, value_name = "DURATION", value_parser = read::duration)]
    rotate_every: Option<Duration>,
    /// Size of all files together, index and metadata included, beyond which the oldest go
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "50GB",
        value_parser = read::size,
        env = "LOGTAP_RECV_DISK_CAP"
    )]
    pub(crate) max_disk: u64,
    /// Space that stays free on the disk for others; 0 for none
    #[arg(long, value_name = "SIZE", default_value = "64MB", value_parser = read::size_or_zero)]
    min_free: u64,
    /// What goes when there is no room
    #[arg(long, value_enum, value_name = "WHAT", default_value = "reject")]
    on_full: Full,
    /// When lines are written through to the disk: never, rotation, every:DURATION, always
    #[arg(long, value_name = "WHEN", default_value = "rotation")]
    fsync: Fsync,
    /// Whether closed files are compressed
    #[arg(
        long,
        value_name = "BOOL",
        default_value_t = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    compress: bool,
    /// Take personal data and secrets out before anything is written: all patterns, or those named
    #[arg(
        long,
        value_name = "LIST",
        num_args = 0..=1,
        default_missing_value = "true",
        env = "LOGTAP_RECV_REDACT"
    )]
    redact: Option<String>,
    /// YAML file with patterns of your own (`name`, `pattern`, `replacement`)
    #[arg(long, value_name = "FILE", env = "LOGTAP_RECV_REDACT_PATTERNS")]
    redact_patterns: Option<PathBuf>,
}

/// No capture is smaller.
const SMALLEST_CAP: u64 = 2000;
/// Less is hardly meant.
const USUAL_CAP: u64 = 1 << 20;

/// What a disk has.
struct Room {
    all: u64,
    free: u64,
}

impl Room {
    /// The room where a directory is or will be.
    fn of(directory: &Path) -> Option<Self> {
        let directory = std::path::absolute(directory).ok()?;
        let there = directory.ancestors().find(|directory| directory.exists())?;
        let status = rustix::fs::statvfs(there).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(status.f_frsize);
        Some(Self { all: bytes(status.f_blocks), free: bytes(status.f_bavail) })
    }
}

/// What a directory holds beside a capture, and who else may write there.
pub(crate) fn others(directory: &Path) -> Vec<String> {
    let shown = directory.display();
    let content = foreign_content(directory).map(|other| {
        format!(
            "`{shown}` is not a capture and not empty, `{other}` is in it: the files of the capture will lie among \
             others; --dir names an empty or a new directory"
        )
    });
    let writers = foreign_writers(directory).map(|who| {
        format!(
            "{who} may write into `{shown}`, and so put lines into the capture or take some away; `chmod go-w {shown}` \
             forbids it"
        )
    });
    content.into_iter().chain(writers).collect()
}

/// What goes when there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Full {
    /// The oldest closed files; where that is not enough senders are told to wait
    Reject,
    /// The oldest files, also the one that is being written; what has no room even then is dropped
    DropOldest,
    /// What comes; what is stored stays
    DropNewest,
}

impl KeepingArgs {
    /// Says what of the settings is probably not what was meant.
    pub(crate) fn warn(&self, printer: &Printer) {
        let limit = segment_limit(self.max_file, Some(self.max_disk));
        if limit < self.max_file {
            printer.note(format_args!(
                "logtap: files are closed at {}, not at --max-file {}, so that several of them are \
                 within --max-disk {}",
                size(limit),
                size(self.max_file),
                size(self.max_disk)
            ));
        }
        let chosen = self.redact.as_deref().and_then(|list| Patterns::parse(list).ok());
        let Some(chosen) = chosen.filter(|chosen| !chosen.is_empty()) else { return };
        let left = Pattern::ALL.into_iter().filter(|pattern| !chosen.has(*pattern));
        let left: Vec<_> = left.map(Pattern::name).collect();
        if !left.is_empty() {
            printer.note(format_args!(
                "logtap: not redacted: {}; --redact alone takes all, and `logtap redact --test` \
                 shows what a choice takes out of a file",
                left.join(", ")
            ));
        }
    }

    /// Refuses what cannot be meant, before anything is made; gives what is to be told at the start.
    pub(crate) fn check(&self) -> Result<Vec<String>, CommandError> {
        let mut notes = Vec::new();
        if self.max_disk < SMALLEST_CAP {
            let text = format!("--max-disk {} has no room for a capture", size(self.max_disk));
            return Err(CommandError::new(Kind::Arguments, text).hinted(format!(
                "its metadata alone takes {}; a usual cap is 1GB or more",
                size(SMALLEST_CAP)
            )));
        }
        if self.max_disk < USUAL_CAP {
            notes.push(format!(
                "--max-disk {} is little: a push larger than that is never stored",
                size(self.max_disk)
            ));
        }
        if let Some(room) = Room::of(&self.dir).filter(|room| self.min_free > room.free) {
            let (min_free, directory) = (size(self.min_free), self.dir.display());
            let what = if self.min_free > room.all {
                format!("the whole disk of `{directory}` has {}", size(room.all))
            } else {
                format!("on the disk of `{directory}` {} are free", size(room.free))
            };
            notes.push(format!(
                "{what}, less than --min-free {min_free}: nothing is stored; say how \
                 much is to stay free for others, such as 1GB, or 0"
            ));
        }
        notes.extend(others(&self.dir));
        Ok(notes)
    }

    /// The writer's settings. Everything is checked before anything is made.
    pub(crate) fn options(&self) -> Result<WriterOptions, CommandError> {
        Ok(WriterOptions {
            max_segment_bytes: self.max_file,
            max_segment_age: self.rotate_every,
            disk_cap: Some(self.max_disk),
            min_free: self.min_free,
            on_full: match self.on_full {
                Full::Reject => OnFull::Reject,
                Full::DropOldest => OnFull::DropOldest,
                Full::DropNewest => OnFull::DropNewest,
            },
            fsync: self.fsync,
            compress: self.compress,
            redactor: redact::policy(self.redact.as_deref(), self.redact_patterns.as_deref())?,
            ..WriterOptions::default()
        })
    }
}
