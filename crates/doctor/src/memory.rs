//! What kind of file system a path is on.

use std::path::Path;

use rustix::fs::StatVfsMountFlags;

/// The file system's name where logtap has an opinion on it, else its number as `statfs` gives it.
pub(crate) fn file_system(path: &Path) -> Option<String> {
    let kind = rustix::fs::statfs(path).ok()?.f_type as u64;
    Some(name(kind))
}

/// Whether files of this file system are memory.
pub(crate) fn is_memory(name: &str) -> bool {
    matches!(name, "tmpfs" | "ramfs")
}

/// Whether nothing on this mount may be executed or mapped as code.
pub(crate) fn forbids_execution(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|status| status.f_flag.bits() & MS_NOEXEC != 0)
}

/// `ST_NOEXEC` of statvfs(3).
const MS_NOEXEC: u64 = StatVfsMountFlags::NOEXEC.bits();

/// Numbers of statfs(2).
fn name(kind: u64) -> String {
    match kind {
        0x0102_1994 => "tmpfs".to_owned(),
        0x8584_58f6 => "ramfs".to_owned(),
        0xef53 => "ext4".to_owned(),
        0x5846_5342 => "xfs".to_owned(),
        0x9123_683e => "btrfs".to_owned(),
        0x794c_7630 => "overlay".to_owned(),
        0x6969 => "nfs".to_owned(),
        0x6573_5546 => "fuse".to_owned(),
        0x2fc1_2fc1 => "zfs".to_owned(),
        0x0102_1997 => "9p".to_owned(),
        other => format!("{other:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_known_and_a_disk_is_not() {
        assert!(is_memory(&name(0x0102_1994)) && is_memory(&name(0x8584_58f6)));
        assert!(!is_memory(&name(0xef53)) && !is_memory(&name(1)));
    }
}
