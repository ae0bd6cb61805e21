//! Finds out whether a program, a process or a directory can be tapped, how, and why not.
//!
//! Three questions, one file each: [`executable::check`] for a program that is not running,
//! [`running::check`] for one that is, and [`tap::check`] and [`application::check`] for directories. Each
//! gives a report of facts and a list of [`Finding`]s. Everything is looked at from outside: nothing is
//! run, written, locked or mapped, and what belongs to others (rings, environments, executables) is read
//! with limits and taken for a claim.

pub mod application;
pub mod executable;
mod finding;
mod locks;
mod memory;
mod path_text;
pub mod preloads;
pub mod proc;
pub mod raw;
pub mod rights;
pub mod ring;
pub mod running;
pub mod settings;
mod streams;
pub mod tap;

use std::io;
use std::path::PathBuf;

pub use finding::{Finding, Severity, has_problem};

/// Why nothing could be found out at all.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// No such process.
    #[error("there is no process `{0}`")]
    NoProcess(u32),
    /// The process is somebody else's.
    #[error("process `{process}` may not be looked at")]
    Hidden {
        /// The process.
        process: u32,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file or directory cannot be read.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// Text of bytes that are most often text.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
