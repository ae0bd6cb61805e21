//! What an executable is: its libc, whether it can be preloaded, and why not.
//!
//! [`search::find`] finds a command as execvp does, [`examine`] reads the file (through `#!` lines)
//! and [`Program::preloadable`] judges it. Nothing is run, and no more of a file is read than its
//! headers and a bounded part of its tables: the file may be anybody's.

pub mod caller;
mod elf;
mod libc_version;
mod preloadable;
mod privilege;
mod script;
pub mod search;
mod shared_object;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

pub use caller::Caller;
pub use elf::{Elf, Libc, Linking, Machine};
pub use libc_version::libc_version;
pub use preloadable::{Preloadable, Reason, raises};
pub use privilege::Privilege;
pub use shared_object::{data_symbol, machine};

/// Most `#!` lines that are followed; the kernel follows four.
const SCRIPT_DEPTH: usize = 5;

/// What was found about an executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The file that was asked about.
    pub path: PathBuf,
    /// The interpreters of `#!` lines, in the order in which they were followed. The last one is
    /// the ELF file that the rest describes; empty where `path` is an ELF file itself.
    pub interpreters: Vec<PathBuf>,
    /// What the ELF file says.
    pub elf: Elf,
    /// What the ELF file's mode and attributes give to whoever runs it.
    pub privilege: Privilege,
}

/// Why nothing could be found out.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The file, or an interpreter, is not there.
    #[error("`{0}` does not exist")]
    NotFound(PathBuf),
    /// The file may not be read or run, or is a directory.
    #[error("`{0}` is not an executable file")]
    NotExecutable(PathBuf),
    /// The file can perhaps be run, but not read.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A `#!` line leads to a script that leads to a script, and so on.
    #[error("`{0}` names interpreters that are scripts too deeply")]
    TooManyScripts(PathBuf),
    /// The file begins as an ELF file does and goes on as none may.
    #[error("`{path}` is damaged: {detail}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

/// Reads an executable, following `#!` lines, with the search path of this process.
pub fn examine(path: &Path) -> Result<Program, ProgramError> {
    examine_with(path, search::path_variable().as_os_str())
}

/// Reads an executable; `#!/usr/bin/env NAME` is looked up in `search_path`.
pub fn examine_with(path: &Path, search_path: &std::ffi::OsStr) -> Result<Program, ProgramError> {
    let mut interpreters = Vec::new();
    let mut current = path.to_path_buf();
    for _ in 0..=SCRIPT_DEPTH {
        let file = open(&current)?;
        if let Some(elf) = elf::read(&file, &current)? {
            let privilege = privilege::read(&file, &current)?;
            return Ok(Program { path: path.to_path_buf(), interpreters, elf, privilege });
        }
        current = script::interpreter(&file, &current, search_path)?;
        interpreters.push(current.clone());
    }
    Err(ProgramError::TooManyScripts(path.to_path_buf()))
}

impl Program {
    /// The ELF file that the kernel will map.
    pub fn executable(&self) -> &Path {
        self.interpreters.last().unwrap_or(&self.path)
    }
}

fn open(path: &Path) -> Result<File, ProgramError> {
    let file = File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            ProgramError::NotFound(path.to_path_buf())
        }
        _ => ProgramError::Unreadable { path: path.to_path_buf(), source },
    })?;
    let metadata = file
        .metadata()
        .map_err(|source| ProgramError::Unreadable { path: path.to_path_buf(), source })?;
    if !metadata.is_file() {
        return Err(ProgramError::NotExecutable(path.to_path_buf()));
    }
    Ok(file)
}
