//! Follows files as they grow, for programs whose writes cannot be seen.
//!
//! A file is what it is, not what it is called: renamed it stays itself and is read to its end, a new
//! file under its old name begins at zero, and one that was cut back, even if it has grown longer since,
//! is read from its start, and counted. What was in a file before the command started is not read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use logtap_wire::pattern;

use super::followed::{BUFFER, Disturbed, Followed, Heard};
use crate::commands::processes;

/// Most files that are followed at one time.
const FILE_LIMIT: usize = 1000;
/// Most directory entries that one look at the patterns takes.
const ENTRY_LIMIT: usize = 100_000;
/// How deep `**` goes.
const DEPTH_LIMIT: usize = 32;

/// Files that match a `:` list of patterns.
pub(crate) struct Follower {
    patterns: Vec<u8>,
    files: HashMap<(u32, u32, u64), Followed>,
    seen: u64,
    buffer: Vec<u8>,
    /// Files of which something could not be read, and why not.
    unread: BTreeMap<PathBuf, String>,
    /// What happened to the files, by their names.
    disturbed: BTreeMap<PathBuf, Disturbed>,
}

impl Follower {
    /// Takes note of how long the matching files are now.
    pub(crate) fn new(patterns: &[u8]) -> Self {
        let mut follower = Self {
            patterns: patterns.to_vec(),
            files: HashMap::new(),
            seen: 0,
            buffer: vec![0; BUFFER],
            unread: BTreeMap::new(),
            disturbed: BTreeMap::new(),
        };
        for path in matching(&follower.patterns) {
            // What cannot be opened now may never be written to.
            let _looked_at_again = follower.note(&path, true);
        }
        follower
    }

    /// Hands over all that was written since the last look. A file for which `skip` says yes is
    /// passed over and counts as read. One that cannot be read is tried again at the next look, and keeps no other
    /// from being read. `heard` gets the number of the file, its name and what happened.
    pub(crate) fn look(
        &mut self,
        skip: impl Fn(&Path) -> bool,
        mut heard: impl FnMut(u64, &Path, Heard<'_>),
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
            if skip(&followed.path) {
                if let Err(error) = followed.pass_over() {
                    self.unread.insert(followed.path.clone(), error.to_string());
                }
                continue;
            }
            let known = followed.disturbed();
            let (number, path) = (followed.number, followed.path.clone());
            let outcome = followed.read(&mut self.buffer, |what| heard(number, &path, what));
            let now = followed.disturbed();
            if now != known {
                let of_name = self.disturbed.entry(path).or_default();
                of_name.truncations += now.truncations - known.truncations;
                of_name.holes += now.holes - known.holes;
                of_name.missed += now.missed - known.missed;
            }
            if let Err(error) = outcome {
                self.unread.insert(followed.path.clone(), error.to_string());
            }
        }
    }

    /// The numbers of the files that are followed.
    pub(crate) fn numbers(&self) -> BTreeSet<u64> {
        self.files.values().map(|followed| followed.number).collect()
    }

    /// The files that were cut back or have holes.
    pub(crate) const fn disturbed(&self) -> &BTreeMap<PathBuf, Disturbed> {
        &self.disturbed
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
            // Files that were deleted make room where nothing is left of them to be read.
            self.files.retain(|_, followed| !followed.is_over());
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
        let followed = Followed::new(identity, path.to_path_buf(), file, offset, self.seen)?;
        self.files.insert(key, followed);
        Ok(())
    }
}

/// Opens for reading without waiting for the other end of a pipe.
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
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
    use std::os::unix::fs::FileExt;

    fn heard(follower: &mut Follower) -> String {
        let mut all = String::new();
        let collect = |_, path: &Path, what: Heard<'_>| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            match what {
                Heard::Bytes(bytes) => {
                    all.push_str(&[&name, ":", &String::from_utf8_lossy(bytes), ";"].concat());
                }
                Heard::Break => all.push('|'),
            }
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
        assert_eq!(heard(&mut follower), "|app.log:short;");
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

    fn happened(follower: &Follower) -> Disturbed {
        follower.disturbed().values().next().copied().unwrap_or_default()
    }

    #[test]
    fn a_file_cut_under_a_writer_that_goes_on_leaves_no_zeros_and_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("app.log");
        let mut writer = File::create(&log).unwrap();
        let mut follower = Follower::new(log.as_os_str().as_bytes());
        // Within the first page, over many pages, and once more.
        for (round, length) in [(1, 100), (2, 5 << 20), (3, 1000)] {
            writer.write_all(&vec![b'x'; length - 1]).unwrap();
            writer.write_all(b"\n").unwrap();
            heard(&mut follower);
            writer.write_all(b"unread\n").unwrap();
            fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(0).unwrap();
            writer.write_all(b"new\n").unwrap();
            assert!(heard(&mut follower) == "app.log:new\n;");
            let Disturbed { truncations, holes, missed } = happened(&follower);
            assert_eq!((truncations, missed), (round, round * 7));
            assert!(holes >= length as u64, "{holes}");
        }
    }

    #[test]
    fn a_hole_within_a_file_is_skipped_and_one_at_its_end_may_be_filled() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("app.log");
        let mut follower = Follower::new(log.as_os_str().as_bytes());
        append(&log, "one\n");
        assert_eq!(heard(&mut follower), "app.log:one\n;");
        let file = fs::OpenOptions::new().write(true).open(&log).unwrap();
        file.write_all_at(b"two\n", 3 << 20).unwrap();
        assert!(heard(&mut follower) == "app.log:two\n;");
        let expected = Disturbed { truncations: 0, holes: (3 << 20) - 4, missed: 0 };
        assert_eq!(happened(&follower), expected);
        file.set_len(6 << 20).unwrap();
        assert!(heard(&mut follower).is_empty());
        assert_eq!(happened(&follower), expected);
    }

    #[test]
    fn zeros_that_somebody_wrote_are_heard() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("app.log");
        let mut follower = Follower::new(log.as_os_str().as_bytes());
        append(&log, "a\0b\n");
        append(&log, "\0\n");
        assert_eq!(heard(&mut follower), "app.log:a\0b\n\0\n;");
        assert!(follower.disturbed().is_empty());
    }

    #[test]
    fn contents_of_equal_length_are_noticed_and_no_line_goes_on_in_them() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("app.log");
        let mut follower = Follower::new(log.as_os_str().as_bytes());
        append(&log, "one\nhal");
        assert_eq!(heard(&mut follower), "app.log:one\nhal;");
        fs::write(&log, "two\nbot").unwrap();
        assert_eq!(heard(&mut follower), "|app.log:two\nbot;");
        assert_eq!(happened(&follower), Disturbed { truncations: 1, holes: 0, missed: 0 });
    }

    #[test]
    fn a_name_that_gets_another_file_is_that_file_and_the_old_one_is_read_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("app.log");
        let mut follower = Follower::new(log.as_os_str().as_bytes());
        append(&log, "first\n");
        let mut old = fs::OpenOptions::new().append(true).open(&log).unwrap();
        assert_eq!(heard(&mut follower), "app.log:first\n;");
        // Renamed to what matches no pattern, and as long.
        fs::rename(&log, directory.path().join("away")).unwrap();
        append(&log, "other\n");
        old.write_all(b"late\n").unwrap();
        assert_eq!(heard(&mut follower), "app.log:late\n;app.log:other\n;");
        // Replaced by a smaller one.
        append(&directory.path().join("new"), "x\n");
        fs::rename(directory.path().join("new"), &log).unwrap();
        old.write_all(b"later\n").unwrap();
        assert_eq!(heard(&mut follower), "app.log:later\n;app.log:x\n;");
        // Removed and made again.
        fs::remove_file(&log).unwrap();
        assert_eq!(heard(&mut follower), "");
        append(&log, "again\n");
        assert_eq!(heard(&mut follower), "app.log:again\n;");
        assert!(follower.disturbed().is_empty());
    }

    #[test]
    fn a_link_that_is_switched_leads_to_both_files() {
        let directory = tempfile::tempdir().unwrap();
        let name = |name: &str| directory.path().join(name);
        append(&name("one"), "1\n");
        let link = name("current");
        std::os::unix::fs::symlink("one", &link).unwrap();
        let mut follower = Follower::new(link.as_os_str().as_bytes());
        append(&name("one"), "2\n");
        append(&name("two"), "3\n");
        std::os::unix::fs::symlink("two", name("next")).unwrap();
        fs::rename(name("next"), &link).unwrap();
        assert_eq!(heard(&mut follower), "current:2\n;current:3\n;");
        append(&name("one"), "4\n");
        append(&name("two"), "5\n");
        assert_eq!(heard(&mut follower), "current:4\n;current:5\n;");
    }

    /// Whatever is cut while it is read: no line twice, none that nobody wrote, and every loss is told.
    #[test]
    fn lines_of_a_file_that_is_cut_again_and_again_are_heard_once_or_said_to_be_missing() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("app.log");
        let mut follower = Follower::new(log.as_os_str().as_bytes());
        let (path, rounds) = (log.clone(), 3000);
        let writer = std::thread::spawn(move || {
            for number in 0..rounds {
                append(&path, &format!("line {number}\n"));
                if number % 100 == 99 {
                    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
                }
            }
        });
        let mut text = String::new();
        let mut collect = |_, _: &Path, what: Heard<'_>| {
            if let Heard::Bytes(bytes) = what {
                text.push_str(std::str::from_utf8(bytes).unwrap());
            }
        };
        while !writer.is_finished() {
            follower.look(|_| false, &mut collect);
        }
        writer.join().unwrap();
        follower.look(|_| false, &mut collect);
        let numbers: Vec<u32> =
            text.lines().map(|line| line.strip_prefix("line ").unwrap().parse().unwrap()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        assert!(numbers.len() == rounds as usize || happened(&follower).truncations > 0);
    }

    #[test]
    fn what_is_skipped_is_not_heard_later() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("app.log");
        let mut follower = Follower::new(log.as_os_str().as_bytes());
        append(&log, "seen otherwise");
        follower.look(|_| true, |_, _, _| panic!("skipped"));
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
        skipping.look(|_| true, |_, _, _| panic!("skipped"));
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
