//! What /proc says of one process. Refuses to wait and to write.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::rights::Rights;
use crate::{DoctorError, text};

/// Most bytes of one file of /proc that are read.
const FILE_LIMIT: u64 = 8 << 20;
/// `AT_SECURE` of getauxval(3): the loader ignores LD_PRELOAD.
const AT_SECURE: u64 = 23;

/// The facts of a process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number.
    pub number: u32,
    /// The file that it runs, as the kernel names it.
    pub executable: PathBuf,
    /// Its environment at its start, as far as it still shows it.
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
    /// Files that it maps.
    pub mapped: Vec<PathBuf>,
    /// Whether it gained rights at its start, so that the loader ignored LD_PRELOAD.
    pub secure: bool,
    /// Whether system calls are filtered.
    pub sandboxed: bool,
    /// As whom it uses files.
    pub rights: Rights,
    /// What its open descriptors are, by number.
    pub descriptors: Vec<(u32, PathBuf)>,
}

impl Process {
    /// Reads them.
    pub fn read(number: u32) -> Result<Self, DoctorError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => DoctorError::NoProcess(number),
            _ => DoctorError::Hidden { process: number, source },
        };
        let status = fs::read_to_string(format!("/proc/{number}/status")).map_err(failed)?;
        // The numbers of threads have directories too, and are no processes.
        if field(&status, "Tgid:").and_then(|id| id.parse().ok()) != Some(number) {
            return Err(DoctorError::NoProcess(number));
        }
        if field(&status, "State:").is_some_and(|state| state.starts_with(['Z', 'X'])) {
            return Err(DoctorError::NoProcess(number));
        }
        let executable = fs::read_link(format!("/proc/{number}/exe")).map_err(failed)?;
        let maps = read(number, "maps").map_err(failed)?;
        let environment = read(number, "environ").map_err(failed)?;
        let auxiliary = read(number, "auxv").map_err(failed)?;
        Ok(Self {
            number,
            executable,
            environment: variables(&environment),
            mapped: mapped(&maps),
            secure: is_secure(&auxiliary),
            sandboxed: field(&status, "Seccomp:").is_some_and(|mode| mode != "0"),
            rights: Rights::of_status(&status),
            descriptors: descriptors(number),
        })
    }

    /// Where a path of the process's own view of files is found.
    pub fn place(&self, path: &Path) -> PathBuf {
        let inside = path.strip_prefix("/").unwrap_or(path);
        Path::new("/proc").join(self.number.to_string()).join("root").join(inside)
    }

    /// A variable of its environment.
    pub fn variable(&self, name: &str) -> Option<&[u8]> {
        let found = self.environment.iter().find(|(known, _)| known == name.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }
}

/// This process's rights to files.
pub fn own_rights() -> Rights {
    Rights::of_status(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

/// This process's environment.
pub fn own_environment() -> Vec<(Vec<u8>, Vec<u8>)> {
    std::env::vars_os()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}

/// Inode of this process's pid namespace; 0 where it cannot be read.
pub(crate) fn own_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |metadata| metadata.ino())
}

/// The words with which a process was started.
pub(crate) fn command_line(process: u32) -> Option<String> {
    let bytes = read(process, "cmdline").ok()?;
    let words: Vec<_> =
        bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty()).map(text).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// A file of /proc of a process, up to a limit.
pub(crate) fn read(process: u32, name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(format!("/proc/{process}/{name}"))?.take(FILE_LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn variables(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    bytes
        .split(|byte| *byte == 0)
        .filter_map(|entry| {
            let equals = entry.iter().position(|byte| *byte == b'=')?;
            Some((entry.get(..equals)?.to_vec(), entry.get(equals + 1..)?.to_vec()))
        })
        .collect()
}

/// The sixth column, each once. Its blanks belong to it.
fn mapped(maps: &[u8]) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = maps
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b'/')?;
            Some(std::ffi::OsStr::from_bytes(line.get(at..)?).into())
        })
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

fn is_secure(auxiliary: &[u8]) -> bool {
    auxiliary.chunks_exact(16).any(|pair| {
        let word = |range: std::ops::Range<usize>| {
            pair.get(range).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
        };
        word(0..8) == AT_SECURE && word(8..16) != 0
    })
}

fn descriptors(process: u32) -> Vec<(u32, PathBuf)> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/fd")) else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, fs::read_link(entry.path()).ok()?))
        })
        .collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_proc_are_read() {
        let maps = b"7f00-7f01 r--p 00000000 00:1a 99   /lib/a b.so\n\
                     7f01-7f02 rw-p 00000000 00:00 0\n7f02-7f03 r-xp 0 00:1a 99 /lib/a b.so\n";
        assert_eq!(mapped(maps), [PathBuf::from("/lib/a b.so")]);
        assert_eq!(
            variables(b"A=1\0B=x=y\0rubbish\0"),
            [(b"A".to_vec(), b"1".to_vec()), (b"B".to_vec(), b"x=y".to_vec())]
        );
        let pair: Vec<u8> = [23_u64, 1].iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert!(is_secure(&pair) && !is_secure(&pair[..8]));
    }

    #[test]
    fn this_process_can_be_read_and_a_missing_one_not() {
        let own = Process::read(std::process::id()).unwrap();
        assert!(own.mapped.contains(&own.executable), "{own:?}");
        assert!(!own.secure);
        assert!(matches!(Process::read(u32::MAX), Err(DoctorError::NoProcess(u32::MAX))));
    }
}
