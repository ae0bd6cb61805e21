//! Which release of its C library a program would get.
//!
//! The library is not run: its text says what it is. Refuses to guess where the text does not say.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::{Libc, Linking, Program};

/// No C library is larger by far.
const READ_LIMIT: u64 = 16 << 20;

impl Program {
    /// The C library's file: beside the dynamic loader, or the loader itself. `None` where there is none.
    pub fn libc_file(&self) -> Option<PathBuf> {
        let Linking::Dynamic { loader, libc, .. } = &self.elf.linking else { return None };
        let loader = loader.canonicalize().ok()?;
        match libc {
            Libc::Musl => Some(loader),
            Libc::Glibc => Some(loader.with_file_name("libc.so.6")).filter(|path| path.is_file()),
            Libc::Other => None,
        }
    }
}

/// The release that a C library's file says it is, such as `2.36`.
pub fn libc_version(file: &Path, libc: Libc) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(READ_LIMIT).read_to_end(&mut bytes).ok()?;
    match libc {
        Libc::Glibc => glibc(&bytes),
        Libc::Musl => musl(&bytes),
        Libc::Other => None,
    }
}

/// `GNU C Library (Debian GLIBC 2.36-9+deb12u9) stable release version 2.36.`
fn glibc(bytes: &[u8]) -> Option<String> {
    let rest = after(bytes, b"GNU C Library (")?;
    let banner = rest.get(..rest.len().min(200))?;
    let version = after(banner, b"release version ")?;
    Some(release(version))
}

/// The banner of musl names no number; the number is a string of its own, `1.2.3`.
fn musl(bytes: &[u8]) -> Option<String> {
    after(bytes, b"musl libc (")?;
    let mut found = bytes.split(|byte| *byte == 0).filter(|text| {
        let numbers: Vec<_> = text.split(|byte| *byte == b'.').collect();
        text.len() <= 10
            && numbers.len() == 3
            && matches!(numbers[0], b"0" | b"1")
            && numbers.iter().all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    });
    let only = found.next()?;
    // Two candidates are none.
    found.all(|other| other == only).then(|| String::from_utf8_lossy(only).into_owned())
}

fn after<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    bytes.get(at + mark.len()..)
}

fn release(text: &[u8]) -> String {
    let end = text.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.');
    let number = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
    String::from_utf8_lossy(number).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_from_the_library_s_own_text() {
        let text =
            b"\0GNU C Library (Debian GLIBC 2.31-13+deb11u5) stable release version 2.31.\nCopy";
        assert_eq!(glibc(text).as_deref(), Some("2.31"));
        assert_eq!(glibc(b"GNU C Library ("), None);
        let text = b"\0musl libc (x86_64)\nVersion %s\n\x001.2.3\0other\0";
        assert_eq!(musl(text).as_deref(), Some("1.2.3"));
        assert_eq!(musl(b"musl libc (\x001.2.3\x001.2.4\0"), None);
        assert_eq!(musl(b"1.2.3\0"), None);
    }

    #[test]
    fn the_libc_of_a_program_here_has_a_release() {
        let program = crate::examine(Path::new("/bin/sh")).unwrap();
        let Linking::Dynamic { libc, .. } = program.elf.linking else { return };
        let Some(file) = program.libc_file() else { return };
        let version = libc_version(&file, libc).unwrap();
        assert!(version.starts_with(['1', '2']), "{version}");
    }
}
