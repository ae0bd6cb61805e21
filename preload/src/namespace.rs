//! In which pid namespace this process is.

use crate::syscall::{self, CPath};

/// Inode of the pid namespace, 0 where it cannot be read.
///
/// The link is read and not followed: its text says it, and the kernel need not make the object that it leads to.
#[cold]
pub(crate) fn of_pids() -> u64 {
    let mut text = [0; 32];
    CPath::new(b"/proc/self/ns/pid\0")
        .and_then(|path| syscall::readlink(path, &mut text).ok())
        .and_then(|length| namespace_of(text.get(..length)?))
        .unwrap_or(0)
}

/// The number in `pid:[4026531836]`.
fn namespace_of(text: &[u8]) -> Option<u64> {
    let number = text.strip_prefix(b"pid:[")?.strip_suffix(b"]")?;
    core::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_what_its_link_says() {
        use std::os::linux::fs::MetadataExt as _;
        let followed = std::fs::metadata("/proc/self/ns/pid").map_or(0, |object| object.st_ino());
        assert_eq!(of_pids(), followed);
        assert_eq!(namespace_of(b"pid:[4026531836]"), Some(4_026_531_836));
        for other in [&b""[..], b"pid:[", b"pid:[]", b"pid:[-1]", b"pid:[7", b"net:[7]"] {
            assert_eq!(namespace_of(other), None);
        }
    }
}
