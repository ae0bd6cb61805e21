//! A directory of an application: which executables in it can be tapped.
//!
//! Bounded in depth and number; symbolic links are not followed, so that nothing is looked at twice.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use logtap_program::{Caller, examine};
use serde::Serialize;

use crate::executable::{self, ProgramReport};
use crate::{DoctorError, Finding};

/// How deep directories are entered.
const DEPTH: usize = 8;
/// Most files that are looked at.
const FILE_LIMIT: usize = 50_000;
/// Most programs that are reported.
const PROGRAM_LIMIT: usize = 2000;

/// What a directory holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApplicationReport {
    /// The directory.
    #[serde(serialize_with = "crate::path_text::one")]
    pub path: PathBuf,
    /// Its executables, by path.
    pub programs: Vec<ProgramReport>,
    /// Whether there was more than is looked at.
    pub cut: bool,
}

/// Looks at every executable file below a directory.
pub fn check(directory: &Path) -> Result<(ApplicationReport, Vec<Finding>), DoctorError> {
    let mut walk = Walk { files: Vec::new(), seen: 0, cut: false };
    walk.enter(directory, 0)
        .map_err(|source| DoctorError::Unreadable { path: directory.to_owned(), source })?;
    walk.files.sort_unstable();
    let caller = Caller::current();
    let mut programs = Vec::new();
    let mut findings = Vec::new();
    for file in walk.files {
        let Ok(program) = examine(&file) else {
            // Not a program after all, or not readable: said only where it was asked about by name.
            continue;
        };
        if is_shared_library(&file) {
            continue;
        }
        if programs.len() >= PROGRAM_LIMIT {
            walk.cut = true;
            break;
        }
        let (mut report, found) = executable::describe(&program, &caller);
        report.path = file;
        findings.extend(found.into_iter().map(|finding| match &report.reason {
            // Shorter, for there may be many.
            Some(reason) => {
                Finding { text: format!("`{}`: {reason}", report.path.display()), ..finding }
            }
            None => finding,
        }));
        programs.push(report);
    }
    if programs.is_empty() {
        findings.push(
            Finding::problem(
                "nothing_here",
                format!(
                    "`{}` holds neither executables nor a tap directory's files",
                    directory.display()
                ),
            )
            .remedy("name a program, or start a collector on it: logtap collector --tap DIR"),
        );
    }
    Ok((ApplicationReport { path: directory.to_owned(), programs, cut: walk.cut }, findings))
}

/// Libraries are often executable files; they are named as such.
fn is_shared_library(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".so") || name.contains(".so.")
}

struct Walk {
    files: Vec<PathBuf>,
    seen: usize,
    cut: bool,
}

impl Walk {
    fn enter(&mut self, directory: &Path, depth: usize) -> std::io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let Ok(entry) = entry else { continue };
            self.seen += 1;
            if self.seen > FILE_LIMIT {
                self.cut = true;
                return Ok(());
            }
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                if depth + 1 < DEPTH {
                    // A directory that may not be listed hides its programs; others are still told.
                    self.cut |= self.enter(&entry.path(), depth + 1).is_err();
                } else {
                    self.cut = true;
                }
            } else if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
                self.files.push(entry.path());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_and_libraries_left_out() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("bin")).unwrap();
        for (name, mode) in [("bin/start", 0o755), ("data", 0o644), ("bin/libx.so.1", 0o755)] {
            let path = root.path().join(name);
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let (report, _) = check(root.path()).unwrap();
        let paths: Vec<_> = report.programs.iter().map(|program| program.path.clone()).collect();
        assert_eq!(paths, [root.path().join("bin/start")]);
        let privileged = root.path().join("bin/privileged");
        fs::copy("/bin/sh", &privileged).unwrap();
        fs::set_permissions(&privileged, fs::Permissions::from_mode(0o6755)).unwrap();
        let (_, findings) = check(root.path()).unwrap();
        let named = |finding: &Finding| finding.text.contains("bin/privileged`");
        let told = findings.iter().find(|finding| named(finding)).expect("it is named");
        assert!(!told.text.ends_with(": "), "{told:?}");
        fs::remove_dir_all(root.path().join("bin")).unwrap();
        let (_, findings) = check(root.path()).unwrap();
        assert_eq!(findings[0].what, "nothing_here");
        assert!(check(&root.path().join("absent")).is_err());
    }
}
