//! A disk that fails when a test says so, and a clock that is set: a preloaded library between one
//! program and the files of one directory. Refuses to fail for anybody else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::compile::compile;
use super::workspace::Workspace;

/// The faults of one directory.
pub(crate) struct FaultyDisk {
    library: PathBuf,
    directory: PathBuf,
    control: PathBuf,
}

impl FaultyDisk {
    /// For files whose path begins with that of `directory`; none without a C compiler.
    pub(crate) fn new(workspace: &Workspace, directory: &Path) -> Option<Self> {
        let library = compile("gcc", "faulty_disk.c", &["-O1", "-fPIC", "-shared"])?;
        let control = workspace.join("faults");
        fs::write(&control, "").expect("the workspace takes a file");
        Some(Self { library, directory: directory.to_owned(), control })
    }

    /// Puts it under a program that is to be started.
    pub(crate) fn under(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library);
        command.env("FAULTY_DIRECTORY", &self.directory).env("FAULTY_CONTROL", &self.control);
    }

    /// From now on it fails as these words say (`tests/apps/faulty_disk.c`); with none it is sound.
    pub(crate) fn fail(&self, words: &str) {
        // At once: whoever reads sees the old words or the new ones.
        let fresh = self.control.with_extension("new");
        fs::write(&fresh, words).expect("the workspace takes a file");
        fs::rename(&fresh, &self.control).expect("a name can be replaced");
    }
}
