//! What a file's mode and attributes give to whoever runs it.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;

use crate::{Caller, ProgramError};

const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;
const GROUP_EXECUTE: u32 = 0o0010;

/// Rights that come with a file. All empty where its file system is mounted `nosuid`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privilege {
    /// Runs as this user.
    pub user: Option<u32>,
    /// Runs as this group.
    pub group: Option<u32>,
    /// Has file capabilities.
    pub capabilities: bool,
}

impl Privilege {
    /// Whether a program gains rights when this caller runs it, which makes the dynamic loader
    /// ignore LD_PRELOAD.
    pub fn raises(&self, caller: &Caller) -> bool {
        !caller.no_new_privileges
            && (self.user.is_some_and(|user| user != caller.user)
                || self.group.is_some_and(|group| group != caller.group)
                || (self.capabilities && caller.user != 0))
    }
}

pub(crate) fn read(file: &File, path: &Path) -> Result<Privilege, ProgramError> {
    let unreadable = |source| ProgramError::Unreadable { path: path.to_path_buf(), source };
    let mount = rustix::fs::fstatvfs(file).map_err(|error| unreadable(error.into()))?;
    let metadata = file.metadata().map_err(unreadable)?;
    if mount.f_flag.contains(StatVfsMountFlags::NOSUID) {
        return Ok(Privilege::default());
    }
    Ok(Privilege { capabilities: has_capabilities(file), ..by_mode(&metadata) })
}

/// What the mode of a file gives that cannot be opened.
pub(crate) fn of_mode(path: &Path) -> Option<Privilege> {
    let mount = rustix::fs::statvfs(path).ok()?;
    let metadata = path.metadata().ok()?;
    let counts = !mount.f_flag.contains(StatVfsMountFlags::NOSUID);
    Some(if counts { by_mode(&metadata) } else { Privilege::default() })
}

fn by_mode(metadata: &Metadata) -> Privilege {
    let mode = metadata.mode();
    Privilege {
        user: (mode & SET_USER != 0).then_some(metadata.uid()),
        group: (mode & (SET_GROUP | GROUP_EXECUTE) == SET_GROUP | GROUP_EXECUTE)
            .then_some(metadata.gid()),
        capabilities: false,
    }
}

/// A file system without attributes has no file capabilities either.
fn has_capabilities(file: &File) -> bool {
    let mut value = [0_u8; 64];
    match rustix::fs::fgetxattr(file, "security.capability", &mut value) {
        Ok(length) => length > 0,
        Err(error) => error == Errno::RANGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const USER: Caller = Caller { user: 1000, group: 1000, no_new_privileges: false };
    const ROOT: Caller = Caller { user: 0, group: 0, no_new_privileges: false };

    #[test]
    fn rights_count_only_where_the_caller_lacks_them() {
        let setuid_root = Privilege { user: Some(0), ..Privilege::default() };
        assert!(setuid_root.raises(&USER));
        assert!(!setuid_root.raises(&ROOT));
        assert!(!setuid_root.raises(&Caller { no_new_privileges: true, ..USER }));
        let capable = Privilege { capabilities: true, ..Privilege::default() };
        assert!(capable.raises(&USER));
        assert!(!capable.raises(&ROOT));
        assert!(Privilege { group: Some(42), ..Privilege::default() }.raises(&ROOT));
    }

    #[test]
    fn mode_bits_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        std::fs::write(&path, b"").unwrap();
        let file = File::open(&path).unwrap();
        if rustix::fs::fstatvfs(&file).unwrap().f_flag.contains(StatVfsMountFlags::NOSUID) {
            return;
        }
        file.set_permissions(std::fs::Permissions::from_mode(0o6755)).unwrap();
        let privilege = read(&file, &path).unwrap();
        assert!(privilege.user.is_some() && privilege.group.is_some());
        // Without group execution the bit means mandatory locking.
        file.set_permissions(std::fs::Permissions::from_mode(0o2745)).unwrap();
        assert_eq!(read(&file, &path).unwrap(), Privilege::default());
    }
}
