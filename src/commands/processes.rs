//! What /proc says about processes: children, descriptors, mappings, environment.
//!
//! Every answer may be out of date when it arrives, and every file may be unreadable: an answer
//! that cannot be had is `None` or empty, never an error.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use logtap_wire::identity::Identity;
use rustix::fs::{AtFlags, CWD, StatxFlags};

/// Most bytes of one file of /proc that are read.
const FILE_LIMIT: u64 = 8 << 20;

/// A process, by its number.
pub(crate) type ProcessId = u32;

/// The children of all threads of a process.
pub(crate) fn children(process: ProcessId) -> Vec<ProcessId> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let lists = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

/// All processes below this one, parents first.
pub(crate) fn descendants(process: ProcessId) -> Vec<ProcessId> {
    let mut found = children(process);
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        for child in children(parent) {
            // Processes come and go while we read: none is counted twice.
            if child != process && !found.contains(&child) {
                found.push(child);
            }
        }
        next += 1;
    }
    found
}

/// How many processes below this one still run.
pub(crate) fn living_descendants() -> usize {
    descendants(std::process::id()).into_iter().filter(|process| !is_zombie(*process)).count()
}

/// All processes that /proc shows.
pub(crate) fn all() -> Vec<ProcessId> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether a process has ended and waits for its parent to notice.
pub(crate) fn is_zombie(process: ProcessId) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{process}/stat")) else { return true };
    let state = status.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    matches!(state, None | Some('Z' | 'X'))
}

/// Whether a process waits for something that is not a disk. The dynamic linker never does, so it has done its work.
pub(crate) fn is_waiting(process: ProcessId) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
}

/// Whether a process runs, in any way, as another user than this one.
pub(crate) fn has_other_user(process: ProcessId) -> bool {
    let me = rustix::process::geteuid().as_raw().to_string();
    let Ok(status) = fs::read_to_string(format!("/proc/{process}/status")) else { return false };
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    users.is_some_and(|users| users.split_whitespace().any(|user| user != me))
}

/// The file that a process runs.
pub(crate) fn executable(process: ProcessId) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/exe")).ok()
}

/// The directory in which a process is.
pub(crate) fn directory(process: ProcessId) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/cwd")).ok()
}

/// The words with which it was started.
pub(crate) fn command_line(process: ProcessId) -> Option<String> {
    let bytes = read(process, "cmdline")?;
    let words: Vec<_> = bytes
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Whether a file below this path is mapped; `None` where nobody says.
pub(crate) fn maps(process: ProcessId, path: &Path) -> Option<bool> {
    Some(contains(&read(process, "maps")?, path.as_os_str().as_bytes()))
}

/// Whether the environment with which it was started names this path; `None` where nobody says, and
/// while the process is in the middle of exec: the kernel then shows the new executable's name, with
/// nothing mapped yet and neither words nor environment.
pub(crate) fn environment_names(process: ProcessId, path: &Path) -> Option<bool> {
    let has_words = !read(process, "cmdline")?.is_empty();
    let environment = read(process, "environ")?;
    (has_words || !environment.is_empty())
        .then(|| contains(&environment, path.as_os_str().as_bytes()))
}

/// What a descriptor of a process is.
pub(crate) fn descriptor(process: ProcessId, number: u32) -> Option<Identity> {
    identity(format!("/proc/{process}/fd/{number}"))
}

/// What a path leads to.
pub(crate) fn identity(path: impl rustix::path::Arg) -> Option<Identity> {
    let wanted = StatxFlags::INO | StatxFlags::TYPE | StatxFlags::BTIME;
    let status = rustix::fs::statx(CWD, path, AtFlags::empty(), wanted).ok()?;
    Some(identity_of(&status))
}

/// What an open descriptor of ours is.
pub(crate) fn identity_of_descriptor(descriptor: impl std::os::fd::AsFd) -> Option<Identity> {
    let wanted = StatxFlags::INO | StatxFlags::TYPE | StatxFlags::BTIME;
    let status = rustix::fs::statx(descriptor, c"", AtFlags::EMPTY_PATH, wanted).ok()?;
    Some(identity_of(&status))
}

fn identity_of(status: &rustix::fs::Statx) -> Identity {
    let is_file = rustix::fs::FileType::from_raw_mode(status.stx_mode.into()).is_file();
    let has_birth = is_file && status.stx_mask & StatxFlags::BTIME.bits() != 0;
    let birth = if has_birth {
        u64::try_from(status.stx_btime.tv_sec)
            .unwrap_or(0)
            .saturating_mul(1_000_000_000)
            .saturating_add(status.stx_btime.tv_nsec.into())
    } else {
        0
    };
    Identity {
        major: status.stx_dev_major,
        minor: status.stx_dev_minor,
        inode: status.stx_ino,
        birth,
    }
}

fn read(process: ProcessId, name: &str) -> Option<Vec<u8>> {
    let file = fs::File::open(format!("/proc/{process}/{name}")).ok()?;
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_seen_with_what_it_has() {
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .env("MARK", "/mark/of/test")
            .spawn()
            .unwrap();
        let me = std::process::id();
        assert!(descendants(me).contains(&child.id()));
        assert!(!is_zombie(child.id()));
        assert_eq!(descriptor(child.id(), 1), identity("/proc/self/fd/1"));
        // Until exec is done the child is still a copy of us.
        while environment_names(child.id(), Path::new("/mark/of/test")) != Some(true) {
            std::thread::yield_now();
        }
        assert_eq!(environment_names(child.id(), Path::new("/mark/of/nobody")), Some(false));
        child.kill().unwrap();
        while !is_zombie(child.id()) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!descendants(me).contains(&child.id()));
    }

    #[test]
    fn a_file_is_the_same_by_path_and_by_descriptor() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let by_path = identity(file.path()).unwrap();
        assert!(by_path.is(&identity_of_descriptor(file.as_file()).unwrap()));
        assert_ne!(Some(by_path), identity("/dev/null"));
    }
}
