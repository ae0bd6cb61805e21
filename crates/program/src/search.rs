//! Finds a command as execvp does.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;

/// Where execvp looks when PATH is not set.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Why a command was not found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// There is no such file.
    #[error("command `{}` not found", .0.display())]
    NotFound(OsString),
    /// There is one, and it may not be run.
    #[error("`{}` is not an executable file", .0.display())]
    NotExecutable(PathBuf),
}

/// PATH, or what stands for it.
pub fn path_variable() -> OsString {
    env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into())
}

/// The file that execvp would run: a name with a slash is a path, another is looked up in every
/// directory of `search_path`. The first that may be run wins.
pub fn find(command: &OsStr, search_path: &OsStr) -> Result<PathBuf, SearchError> {
    if command.is_empty() {
        return Err(SearchError::NotFound(command.to_owned()));
    }
    if command.as_bytes().contains(&b'/') {
        let path = PathBuf::from(command);
        return match check(&path) {
            Outcome::Runs => Ok(path),
            Outcome::Refused => Err(SearchError::NotExecutable(path)),
            Outcome::Absent => Err(SearchError::NotFound(command.to_owned())),
        };
    }
    let mut refused = None;
    for directory in search_path.as_bytes().split(|byte| *byte == b':') {
        // An empty element is the current directory; the slash keeps it from being searched again.
        let directory =
            if directory.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(directory) };
        let path = Path::new(directory).join(command);
        match check(&path) {
            Outcome::Runs => return Ok(path),
            Outcome::Refused => refused = refused.or(Some(path)),
            Outcome::Absent => {}
        }
    }
    Err(refused
        .map_or_else(|| SearchError::NotFound(command.to_owned()), SearchError::NotExecutable))
}

enum Outcome {
    Runs,
    Refused,
    Absent,
}

fn check(path: &Path) -> Outcome {
    match rustix::fs::statat(CWD, path, AtFlags::empty()) {
        Ok(status) if !rustix::fs::FileType::from_raw_mode(status.st_mode).is_file() => {
            return Outcome::Refused;
        }
        Ok(_) => {}
        Err(Errno::ACCESS | Errno::PERM) => return Outcome::Refused,
        Err(_) => return Outcome::Absent,
    }
    match rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => Outcome::Runs,
        Err(_) => Outcome::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_executable_in_the_path_wins() {
        let root = tempfile::tempdir().unwrap();
        for (name, mode) in [("a", 0o644), ("b", 0o755), ("c", 0o755)] {
            let directory = root.path().join(name);
            fs::create_dir(&directory).unwrap();
            let file = directory.join("tool");
            fs::write(&file, b"").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir_all(root.path().join("a/folder")).unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| root.path().join(name));
        let path = |parts: &[&Path]| env::join_paths(parts).unwrap();

        let found = find(OsStr::new("tool"), &path(&[Path::new("/nowhere"), &a, &b, &c]));
        assert_eq!(found, Ok(b.join("tool")));
        assert_eq!(
            find(OsStr::new("tool"), &path(&[&a])),
            Err(SearchError::NotExecutable(a.join("tool")))
        );
        assert_eq!(
            find(OsStr::new("folder"), &path(&[&a])),
            Err(SearchError::NotExecutable(a.join("folder")))
        );
        assert_eq!(
            find(OsStr::new("absent"), &path(&[&a, &b])),
            Err(SearchError::NotFound("absent".into()))
        );
        assert_eq!(find(OsStr::new(""), &path(&[&a])), Err(SearchError::NotFound("".into())));
    }

    #[test]
    fn a_name_with_a_slash_is_not_searched() {
        let name = OsStr::new("./absent-tool");
        assert_eq!(find(name, OsStr::new("/bin")), Err(SearchError::NotFound(name.to_owned())));
        assert_eq!(find(OsStr::new("/bin/sh"), OsStr::new("")), Ok("/bin/sh".into()));
    }
}
