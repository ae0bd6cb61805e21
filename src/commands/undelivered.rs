//! What a run could not deliver: where it lies, whose it is, and how much of it there is.
//!
//! ```text
//!  MEMORY/logtap-USER-RANDOM/run.json      of a run that lives, or that was killed: what its rings hold is not delivered
//!  MEMORY/logtap-USER-RANDOM/RANDOM/       its tap directory
//!  STATE/logtap/undelivered/NAME/run.json  of a run whose destination did not take all
//!  STATE/logtap/undelivered/NAME/capture/  the lines that are left, redacted as the run was asked to
//! ```
//! Refuses to hold credentials: `logtap recover` takes them anew. Nothing here deletes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use logtap_analysis::Timestamp;
use logtap_doctor::{proc, tap};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::run_directories;

/// The file that says whose it is.
pub(crate) const OWNER: &str = "run.json";
/// The lines of a run whose destination did not take them.
pub(crate) const CAPTURE: &str = "capture";
/// Largest owner file that is read.
const LONGEST_OWNER: u64 = 4 << 20;

/// Whose lines these are, and where they were to go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    /// The run's process.
    pub(crate) pid: u32,
    /// When it began, in nanoseconds since 1970.
    pub(crate) started: i64,
    /// The command's words.
    pub(crate) command: Vec<String>,
    /// The capture, absolute; none where the lines were to be pushed.
    pub(crate) capture: Option<String>,
    /// The address that was pushed to, without a password.
    pub(crate) to: Option<String>,
    /// The labels of every line.
    pub(crate) labels: Vec<(String, String)>,
    /// The run's `--redact`.
    pub(crate) redact: Option<String>,
    /// Its `--redact-patterns`, absolute.
    pub(crate) redact_patterns: Option<PathBuf>,
    /// The name under which kept lines are numbered, so that a receiver takes none twice.
    pub(crate) source: Option<String>,
}

/// What lies somewhere.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Undelivered {
    /// The directory, as `logtap recover` takes it.
    pub(crate) directory: PathBuf,
    /// Whose it is.
    pub(crate) owner: Owner,
    /// Bytes that wait in rings, what belongs to each record included, or in a capture's files.
    pub(crate) bytes: u64,
    /// The tap directory; without one it is a capture.
    pub(crate) tap: Option<PathBuf>,
}

impl Owner {
    /// Writes it into a directory, for its user alone.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        let path = directory.join(OWNER);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&text)
    }

    /// Reads the one of a directory.
    pub(crate) fn read(directory: &Path) -> io::Result<Self> {
        use io::Read as _;
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(directory.join(OWNER))?;
        let mut text = Vec::new();
        file.take(LONGEST_OWNER).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Its command on one line, cut where it is long.
    pub(crate) fn called(&self) -> String {
        const LONGEST: usize = 60;
        let words = self.command.join(" ");
        match words.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}...", words.get(..end).unwrap_or_default()),
            None => words,
        }
    }

    /// When it began.
    pub(crate) fn began(&self) -> Timestamp {
        Timestamp(self.started)
    }
}

/// What runs of this user that have ended left behind, oldest first. A run that lives is none of them.
pub(crate) fn find() -> Vec<Undelivered> {
    let mut found: Vec<_> = run_directories::candidates()
        .iter()
        .filter(|base| run_directories::is_memory(base))
        .flat_map(|base| run_directories::abandoned(base))
        .filter_map(|directory| look(&directory).ok().flatten())
        .collect();
    if let Some(state) = state_directory() {
        let kept = fs::read_dir(state).into_iter().flatten().flatten();
        found.extend(kept.filter_map(|entry| look(&entry.path()).ok().flatten()));
    }
    found.sort_by(|a, b| (a.owner.started, &a.directory).cmp(&(b.owner.started, &b.directory)));
    found.dedup_by(|a, b| a.directory == b.directory);
    found
}

/// What a directory holds; nothing where it is none of ours, or has nothing left.
pub(crate) fn look(directory: &Path) -> io::Result<Option<Undelivered>> {
    let metadata = fs::symlink_metadata(directory)?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Ok(None);
    }
    let owner = match Owner::read(directory) {
        Ok(owner) => owner,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let directory = directory.to_owned();
    if directory.join(CAPTURE).is_dir() {
        let files = fs::read_dir(directory.join(CAPTURE))?.flatten();
        let bytes = files.filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        return Ok(Some(Undelivered { directory, owner, bytes, tap: None }));
    }
    for entry in fs::read_dir(&directory)?.flatten() {
        let tap = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && tap::is_tap(&tap) {
            let bytes = waiting(&tap);
            return Ok((bytes > 0).then_some(Undelivered {
                directory,
                owner,
                bytes,
                tap: Some(tap),
            }));
        }
    }
    Ok(None)
}

/// Bytes of records that nobody has taken out of a tap directory's rings. One that cannot be looked at is taken to be full.
pub(crate) fn waiting(tap: &Path) -> u64 {
    match tap::check(tap, tap, &proc::own_rights()) {
        Ok((report, _)) if report.rings_left_out > 0 => u64::MAX,
        Ok((report, _)) => {
            report.rings.iter().fold(0_u64, |sum, ring| sum.saturating_add(ring.waiting_bytes))
        }
        Err(_) => u64::MAX,
    }
}

/// Where lines are kept that could not be delivered: a place that survives a restart of the machine.
pub(crate) fn state_directory() -> Option<PathBuf> {
    let given =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = given("XDG_STATE_HOME").or_else(|| Some(given("HOME")?.join(".local/state")))?;
    Some(state.join("logtap/undelivered"))
}

/// Makes a directory for the lines of a run, with its owner in it. Its lock says that the run still writes there.
pub(crate) fn make(owner: &Owner) -> io::Result<(PathBuf, File)> {
    let parent = state_directory().ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "neither XDG_STATE_HOME nor HOME names a directory")
    })?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&parent)?;
    let directory = tempfile::Builder::new()
        .prefix(&format!("{}-", owner.pid))
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .tempdir_in(parent)?;
    owner.write(directory.path())?;
    let lock = lock(directory.path())?.ok_or(io::ErrorKind::WouldBlock)?;
    Ok((directory.keep(), lock))
}

/// Takes the lock of a directory; nothing where a living process has it.
pub(crate) fn lock(directory: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let lock =
        options.custom_flags(libc::O_NOFOLLOW).open(directory.join(run_directories::LOCK))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(lock)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A word for who runs another command; nothing where nothing is left.
pub(crate) fn notice() -> Option<String> {
    let found = find();
    let first = found.first()?;
    let runs = match found.len() {
        1 => format!("a run of `{}` has", first.owner.called()),
        many => format!("{many} runs have"),
    };
    Some(format!("{runs} left lines that were not delivered; `logtap recover` lists them"))
}

/// What is left of lines that belong to a capture.
pub(crate) fn of_capture(directory: &Path) -> Vec<Undelivered> {
    let Ok(directory) = directory.canonicalize() else { return Vec::new() };
    let is_its = |left: &Undelivered| {
        let capture = left.owner.capture.as_ref().map(Path::new);
        capture.and_then(|capture| capture.canonicalize().ok()).as_deref() == Some(&*directory)
    };
    find().into_iter().filter(is_its).collect()
}
