//! liblogtap.so, built beside this crate and carried inside the binary.
//!
//! [`library`] is its bytes, [`install`] puts it where a program can load it. This crate knows
//! nothing of what the library does; it refuses to put it where the loader could not map it.

mod install;
#[cfg(test)]
#[path = "../build/symbols.rs"]
mod symbols;

pub use install::{FILE_NAME, InstallError, can_execute, install};

/// The library as an ELF file for the architecture of this build.
pub fn library() -> &'static [u8] {
    include_bytes!(concat!(env!("OUT_DIR"), "/liblogtap.so"))
}

/// Names the library's contents: equal for equal bytes, 16 hexadecimal digits.
pub fn build_id() -> &'static str {
    env!("LOGTAP_LIBRARY_BUILD_ID")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    #[test]
    fn the_library_needs_nothing_from_its_surroundings() {
        assert_eq!(symbols::dependencies(library()), Ok(Vec::new()));
    }

    #[test]
    fn a_library_that_needs_libc_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let Some(built) = shared_library(directory.path(), &[]) else { return };
        let needs = symbols::dependencies(&built).unwrap();
        assert!(needs.contains(&"needs the library `libc.so.6`".to_owned()), "{needs:?}");
        assert!(needs.contains(&"needs the symbol `getppid`".to_owned()), "{needs:?}");
    }

    #[test]
    fn a_strong_undefined_symbol_is_refused_without_a_needed_library() {
        let directory = tempfile::tempdir().unwrap();
        let Some(built) = shared_library(directory.path(), &["-nostdlib"]) else { return };
        assert_eq!(
            symbols::dependencies(&built),
            Ok(vec!["needs the symbol `getppid`".to_owned()])
        );
    }

    /// Compiles one function that calls another; nothing without a C compiler for glibc.
    fn shared_library(directory: &Path, flags: &[&str]) -> Option<Vec<u8>> {
        let source = directory.join("library.c");
        let output = directory.join("library.so");
        std::fs::write(&source, "int getppid(void);\nint parent(void) { return getppid(); }\n")
            .unwrap();
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&output, &source])
            .args(flags)
            .status();
        matches!(status, Ok(status) if status.success()).then(|| std::fs::read(output).unwrap())
    }
}
