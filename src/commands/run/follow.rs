//! Follows files as they grow, for programs whose writes cannot be seen.
//!
//! A file is what it is, not what it is called: renamed it stays itself and is read to its end, a new
//! file under its old name begins at zero, and one that was cut back, even if it has grown longer since,
//! is read from its start. What
//! was in a file before the command started is not read.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use logtap_wire::identity::Identity;
use logtap_wire::pattern;

use crate::commands::processes;

/// Most files that are followed at one time.
const FILE_LIMIT: usize = 1000;
/// Most directory entries that one look at the patterns takes.
const ENTRY_LIMIT: usize = 100_000;
/// How deep `**` goes.
const DEPTH_LIMIT: usize = 32;
/// Bytes by which a file is known again.
const REMEMBERED: u64 = 256;
/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// Files that match a `:` list of patterns.
pub(crate) struct Follower {
    patterns: Vec<u8>,
    files: HashMap<(u32, u32, u64), Followed>,
    seen: u64,
    buffer: Vec<u8>,
    /// Files of which something could not be read, and why not.
    unread: BTreeMap<PathBuf, String>,
}

struct Followed {
    identity: Identity,
    /// Its name when it was first seen.
    path: PathBuf,
    file: File,
    offset: u64,
    /// The last bytes before the offset.
    before: Vec<u8>,
    /// Counts the files in the order in which they were seen.
    number: u64,
}

impl Followed {
    /// Whether other bytes stand now before the offset: the file was cut back and has grown beyond
    /// the offset again between two looks.
    fn was_rewritten(&self) -> io::Result<bool> {
        Ok(self.last_bytes()? != self.before)
    }

    /// Hands over what is new, or passes over it.
    fn read(
        &mut self,
        skip: bool,
        buffer: &mut [u8],
        heard: &mut impl FnMut(&Path, &[u8]),
    ) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        if length < self.offset || self.was_rewritten()? {
            self.offset = 0;
        }
        if skip {
            self.offset = length;
        } else {
            loop {
                let read = self.file.read_at(buffer, self.offset)?;
                if read == 0 {
                    break;
                }
                self.offset += read as u64;
                heard(&self.path, &buffer[..read]);
            }
        }
        self.remember()
    }

    fn remember(&mut self) -> io::Result<()> {
        self.before = self.last_bytes()?;
        Ok(())
    }

    fn last_bytes(&self) -> io::Result<Vec<u8>> {
        let length = self.offset.min(REMEMBERED);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        let read = self.file.read_at(&mut bytes, self.offset - length)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

impl Follower {
    /// Takes note of how long the matching files are now.
    pub(crate) fn new(patterns: &[u8]) -> Self {
        let mut follower = Self {
            patterns: patterns.to_vec(),
            files: HashMap::new(),
            seen: 0,
            buffer: vec![0; CHUNK],
            unread: BTreeMap::new(),
        };
        for path in matching(&follower.patterns) {
            // What cannot be opened now may never be written to.
            let _looked_at_again = follower.note(&path, true);
        }
        follower
    }

    /// Hands over all that was written since the last look. A file for which `skip` says yes is
    /// passed over and counts as read. One that cannot be read is tried again at the next look, and keeps no other
    /// from being read.
    pub(crate) fn look(
        &mut self,
        skip: impl Fn(&Path) -> bool,
        mut heard: impl FnMut(&Path, &[u8]),
    ) {
        self.unread.clear();
        for path in matching(&self.patterns) {
            if let Err(error) = self.note(&path, false)
                && !skip(&path)
            {
                self.unread.insert(path, error.to_string());
            }
        }
        let mut ordered: Vec<_> = self.files.values_mut().collect();
        // A file that was renamed comes before the new one of its old name.
        ordered.sort_by(|one, other| (&one.path, one.number).cmp(&(&other.path, other.number)));
        for followed in ordered {
            let outcome = followed.read(skip(&followed.path), &mut self.buffer, &mut heard);
            if let Err(error) = outcome {
                self.unread.insert(followed.path.clone(), error.to_string());
            }
        }
    }

    /// The files that could not be read at the last look, and why not.
    pub(crate) fn unread(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.unread.iter().map(|(path, reason)| (path.as_path(), reason.as_str()))
    }

    /// How many files are followed.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.files.len()
    }

    /// Follows a file from now on, if it is one. An error where it may be one and cannot be read.
    fn note(&mut self, path: &Path, from_its_end: bool) -> io::Result<()> {
        let Some(identity) = processes::identity(path) else { return Ok(()) };
        let key = (identity.major, identity.minor, identity.inode);
        if self.files.get(&key).is_some_and(|known| known.identity.is(&identity)) {
            return Ok(());
        }
        if self.files.len() >= FILE_LIMIT {
            // Files that were deleted make room: nothing is left of them to be read.
            self.files.retain(|_, followed| is_linked(&followed.file));
            if self.files.len() >= FILE_LIMIT {
                let reason = format!("{FILE_LIMIT} files are followed already");
                return Err(io::Error::other(reason));
            }
        }
        let file = match open(path) {
            Ok(file) => file,
            // Removed between the two looks at the name, or a socket.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => return Ok(()),
            Err(error) => return Err(error),
        };
        // Between the two looks at the name it may have changed hands.
        if !processes::identity_of_descriptor(&file).is_some_and(|opened| opened.is(&identity)) {
            return Ok(());
        }
        let metadata = file.metadata()?;
        let offset = match metadata.is_file() {
            true if from_its_end => metadata.len(),
            true => 0,
            false => return Ok(()),
        };
        self.seen += 1;
        let path = path.to_path_buf();
        let (before, number) = (Vec::new(), self.seen);
        let mut followed = Followed { identity, path, file, offset, before, number };
        followed.remember()?;
        self.files.insert(key, followed);
        Ok(())
    }
}

/// Opens for reading without waiting for the other end of a pipe.
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

fn is_linked(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
}

/// The files that match, each once.
fn matching(patterns: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut budget = ENTRY_LIMIT;
    for pattern in pattern::split(patterns) {
        if pattern::is_glob(pattern) {
            let (directory, depth) = start(pattern);
            walk(&directory, pattern, depth, &mut budget, &mut found);
        } else {
            found.push(PathBuf::from(OsStr::from_bytes(&unescaped(pattern))));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Where to begin with a glob, and how many levels to go down.
fn start(glob: &[u8]) -> (PathBuf, usize) {
    let components: Vec<_> = glob.split(|byte| *byte == b'/').collect();
    let plain = components.iter().take_while(|component| !pattern::is_glob(component)).count();
    let plain = plain.min(components.len() - 1);
    let directory = unescaped(&components[..plain].join(&b'/'));
    let deep = components.iter().any(|component| component.windows(2).any(|pair| pair == b"**"));
    let depth = if deep { DEPTH_LIMIT } else { components.len() - plain };
    let directory = if directory.is_empty() { b"/".to_vec() } else { directory };
    (PathBuf::from(OsStr::from_bytes(&directory)), depth)
}

fn walk(directory: &Path, glob: &[u8], depth: usize, budget: &mut usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let Some(left) = budget.checked_sub(1) else { return };
        *budget = left;
        let path = entry.path();
        if pattern::matches(glob, path.as_os_str().as_bytes()) {
            found.push(path.clone());
        }
        if depth > 1 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, glob, depth - 1, budget, found);
        }
    }
}

fn unescaped(pattern: &[u8]) -> Vec<u8> {
    let mut bytes = pattern.iter();
    let mut path = Vec::with_capacity(pattern.len());
    while let Some(byte) = bytes.next() {
        let literal = if *byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte };
        path.push(*literal);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn heard(follower: &mut Follower) -> String {
        let mut all = String::new();
        let collect = |path: &Path, bytes: &[u8]| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            all.push_str(&[&name, ":", &String::from_utf8_lossy(bytes), ";"].concat());
        };
        follower.look(|_| false, collect);
        all
    }

    fn append(path: &Path, text: &str) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn only_what_is_new_is_heard_and_a_rename_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("app.log");
        append(&log, "old");
        let pattern = directory.path().join("app.log*");
        let mut follower = Follower::new(pattern.as_os_str().as_bytes());
        assert_eq!(heard(&mut follower), "");
        append(&log, "new");
        assert_eq!(heard(&mut follower), "app.log:new;");

        let rotated = directory.path().join("app.log.1");
        fs::rename(&log, &rotated).unwrap();
        append(&rotated, "late");
        append(&log, "fresh");
        assert_eq!(heard(&mut follower), "app.log:late;app.log:fresh;");
        assert_eq!(heard(&mut follower), "");
        assert_eq!(follower.len(), 2);
    }

    #[test]
    fn a_file_that_was_cut_back_is_read_from_its_start() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("app.log");
        let mut follower = Follower::new(log.as_os_str().as_bytes());
        append(&log, "a long line");
        assert_eq!(heard(&mut follower), "app.log:a long line;");
        fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(0).unwrap();
        append(&log, "short");
        assert_eq!(heard(&mut follower), "app.log:short;");
    }

    #[test]
    fn a_file_that_was_written_anew_and_is_longer_now_is_read_from_its_start() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("app.log");
        append(&log, "old\n");
        let mut follower = Follower::new(log.as_os_str().as_bytes());
        fs::write(&log, "all of this is new\n").unwrap();
        assert_eq!(heard(&mut follower), "app.log:all of this is new\n;");
        append(&log, "more\n");
        assert_eq!(heard(&mut follower), "app.log:more\n;");
    }

    #[test]
    fn what_is_skipped_is_not_heard_later() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("app.log");
        let mut follower = Follower::new(log.as_os_str().as_bytes());
        append(&log, "seen otherwise");
        follower.look(|_| true, |_, _| panic!("skipped"));
        append(&log, "more");
        assert_eq!(heard(&mut follower), "app.log:more;");
    }

    /// Reading behind the end of what it maps is an error, also for root.
    #[test]
    fn a_file_that_cannot_be_read_is_named_and_keeps_no_other_from_being_read() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("app.log");
        let patterns = format!("/proc/self/mem:{}", log.display());
        let mut follower = Follower::new(patterns.as_bytes());
        append(&log, "read\n");
        assert_eq!(heard(&mut follower), "app.log:read\n;");
        let unread: Vec<_> = follower.unread().map(|(path, _)| path.to_path_buf()).collect();
        assert_eq!(unread, [Path::new("/proc/self/mem")]);
        let mut skipping = Follower::new(patterns.as_bytes());
        skipping.look(|_| true, |_, _| panic!("skipped"));
    }

    #[test]
    fn globs_find_files_where_a_shell_would() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        for name in ["one.log", "a/two.log", "a/b/three.log", "a/b/three.txt", "a:b.log"] {
            append(&root.join(name), "");
        }
        let names = |glob: &str| -> Vec<String> {
            let pattern = root.join(glob);
            let found = matching(pattern.as_os_str().as_bytes());
            found
                .iter()
                .map(|path| path.strip_prefix(root).unwrap().display().to_string())
                .collect()
        };
        assert_eq!(names("*.log"), ["a:b.log", "one.log"]);
        assert_eq!(names("*/*.log"), ["a/two.log"]);
        assert_eq!(names("a/**/*.log"), ["a/b/three.log"]);
        assert_eq!(names(r"a\:b.log"), ["a:b.log"]);
    }
}
