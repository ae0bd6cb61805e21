//! Where a capture goes if nobody says where, and whether a directory is one for a capture.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// More captures beside each other than this are not looked for.
const MAX_CAPTURES: u32 = 100_000;

/// The first of `capture`, `capture-2`, `capture-3` ... in `parent` that is not there or is empty.
pub fn choose_directory(parent: &Path) -> io::Result<PathBuf> {
    for number in 1..MAX_CAPTURES {
        let name = match number {
            1 => "capture".to_owned(),
            _ => format!("capture-{number}"),
        };
        let directory = parent.join(name);
        match fs::read_dir(&directory).map(|mut entries| entries.next().is_none()) {
            Ok(true) => return Ok(directory),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(&directory).is_err() {
                    return Ok(directory);
                }
            }
            // A file of that name, or a directory of somebody else's, is taken.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many captures"))
}

/// Something in a directory that is none of a capture: a name of it. Nothing where there is a capture, or
/// nothing at all.
pub fn foreign_content(directory: &Path) -> Option<String> {
    let names = fs::read_dir(directory).ok()?.flatten();
    let names: Vec<_> = names
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .take(MAX_LOOK)
        .collect();
    let is_of_capture = |name: &String| {
        let ends = [".jsonl", ".jsonl.zst", ".jsonl.partial"];
        OF_CAPTURES.contains(&name.as_str()) || ends.iter().any(|end| name.ends_with(end))
    };
    if names.iter().any(is_of_capture) {
        return None;
    }
    // What file systems and their mounts have in an empty directory.
    names.into_iter().filter(|name| name != "lost+found" && !name.starts_with('.')).min()
}

/// Who else may put files into a directory, or take some away; nothing where it is not there, or its owner's alone.
pub fn foreign_writers(directory: &Path) -> Option<&'static str> {
    let mode = fs::metadata(directory).ok()?.permissions().mode();
    match () {
        () if mode & 0o002 != 0 => Some("every user"),
        () if mode & 0o020 != 0 => Some("its group"),
        () => None,
    }
}

/// So many names of a directory are looked at.
const MAX_LOOK: usize = 10_000;

/// Files of captures whose names do not end as those of their segments do.
const OF_CAPTURES: [&str; 2] = ["metadata.json", ".lock"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_something_else_is_told_from_a_capture() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(foreign_content(&path.join("none")), None);
        for nothing in ["lost+found", ".snapshot"] {
            fs::create_dir(path.join(nothing)).unwrap();
        }
        assert_eq!(foreign_content(path), None);
        for other in ["notes.txt", "src", "index.html"] {
            fs::write(path.join(other), "").unwrap();
        }
        assert_eq!(foreign_content(path), Some("index.html".to_owned()));
        fs::write(path.join("audit.jsonl"), "").unwrap();
        assert_eq!(foreign_content(path), None, "it is among those of a capture");
    }

    #[test]
    fn who_else_may_write_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for (mode, who) in
            [(0o700, None), (0o755, None), (0o775, Some("its group")), (0o1777, Some("every user"))]
        {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(foreign_writers(path), who, "{mode:o}");
        }
        assert_eq!(foreign_writers(&path.join("none")), None);
    }

    #[test]
    fn takes_the_first_name_that_is_free() {
        let parent = tempfile::tempdir().unwrap();
        let choose =
            || choose_directory(parent.path()).unwrap().strip_prefix(&parent).unwrap().to_owned();
        assert_eq!(choose(), Path::new("capture"));
        fs::create_dir(parent.path().join("capture")).unwrap();
        assert_eq!(choose(), Path::new("capture"));
        fs::write(parent.path().join("capture/.lock"), "").unwrap();
        assert_eq!(choose(), Path::new("capture-2"));
        fs::write(parent.path().join("capture-2"), "a file").unwrap();
        std::os::unix::fs::symlink("nowhere", parent.path().join("capture-3")).unwrap();
        assert_eq!(choose(), Path::new("capture-4"));
    }
}
