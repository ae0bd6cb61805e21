//! What a collector is told, checked once at the edge.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::CollectorError;
use crate::labels::{RESERVED_LABELS, is_label_name};

/// Everything a collector needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The tap directory. Made if it is not there.
    pub directory: PathBuf,
    /// Permission bits of the tap directory if it is made: 0700, 0770 or 1777.
    pub mode: u32,
    /// Bytes that all rings of the directory may take together.
    pub ring_cap: u64,
    /// Whether the tap directory is removed at the end, if no process needs it any more.
    pub remove_directory: bool,
    /// Labels of every stream.
    pub labels: Vec<(String, String)>,
    /// Whether the level of each line is looked for.
    pub detect_level: bool,
    /// How lines are made.
    pub lines: LineRules,
    /// When a batch is complete.
    pub batch: BatchRules,
    /// Where records are kept until the sink has them; without it they stay in their rings.
    pub spool: Option<SpoolConfig>,
}

/// How lines are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRules {
    /// Longer lines are split.
    pub longest: usize,
    /// A line without an end is given out after so long a silence of its writer.
    pub quiet: Duration,
    /// Of a line that is drawn again and again behind carriage returns only the last state is kept.
    pub collapse_progress: bool,
}

/// When a batch is complete. A ring that fills up completes one sooner.
#[derive(Clone, Copy, Debug)]
pub struct BatchRules {
    /// Bytes of text.
    pub bytes: usize,
    /// Age of its first line.
    pub age: Duration,
}

/// Where the spool is and how large it may grow.
#[derive(Clone, Debug)]
pub struct SpoolConfig {
    /// Its directory. Made if it is not there.
    pub directory: PathBuf,
    /// Bytes that it may take.
    pub size: u64,
}

/// Smallest spool that makes sense.
pub const MIN_SPOOL_SIZE: u64 = 4 << 20;

impl Config {
    /// The defaults for a tap directory of one user, without a spool.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            mode: 0o700,
            ring_cap: logtap_wire::control::DEFAULT_RING_CAP,
            remove_directory: false,
            labels: Vec::new(),
            detect_level: true,
            lines: LineRules::default(),
            batch: BatchRules::default(),
            spool: None,
        }
    }

    /// Whether it makes sense.
    pub(crate) fn check(&self) -> Result<(), CollectorError> {
        for (name, _) in &self.labels {
            check_label(name)?;
        }
        if self.spool.as_ref().is_some_and(|spool| spool.size < MIN_SPOOL_SIZE) {
            return Err(CollectorError::SpoolTooSmall { least: MIN_SPOOL_SIZE });
        }
        Ok(())
    }
}

/// Whether a user may set this label.
pub(crate) fn check_label(name: &str) -> Result<(), CollectorError> {
    if !is_label_name(name) {
        return Err(CollectorError::BadLabel { name: name.to_owned() });
    }
    if RESERVED_LABELS.contains(&name) {
        return Err(CollectorError::ReservedLabel { name: name.to_owned() });
    }
    Ok(())
}

impl Default for LineRules {
    fn default() -> Self {
        Self { longest: 1 << 20, quiet: Duration::from_secs(2), collapse_progress: false }
    }
}

impl Default for BatchRules {
    fn default() -> Self {
        Self { bytes: 1 << 20, age: Duration::from_millis(200) }
    }
}
