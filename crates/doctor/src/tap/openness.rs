//! Who else may write what the tapped programs have mapped: a file that is cut off under them ends them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use logtap_wire::{CONTROL_FILE, RING_ENDING};

use crate::Finding;

/// Files that are looked at.
const LIMIT: usize = 4096;

/// Files that others than their owner may write.
#[derive(Default)]
struct Open {
    files: usize,
    /// One of them.
    example: String,
    mode: u32,
    group: u32,
}

/// What is dangerous about the rights of a tap directory.
pub(super) fn of(place: &Path, shown: &Path) -> Vec<Finding> {
    let (mut all, mut group) = (Open::default(), Open::default());
    for entry in fs::read_dir(place).into_iter().flatten().flatten().take(LIMIT) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(metadata) = entry.metadata() else { continue };
        if !metadata.is_file() || (name != CONTROL_FILE && !name.ends_with(RING_ENDING)) {
            continue;
        }
        let mode = metadata.mode() & 0o777;
        let open = match (mode & 0o002, mode & 0o020) {
            (0, 0) => continue,
            (0, _) => &mut group,
            _ => &mut all,
        };
        // The page is what every program has mapped.
        if open.files == 0 || name == CONTROL_FILE {
            (open.example, open.mode, open.group) = (name, mode, metadata.gid());
        }
        open.files += 1;
    }
    let called = shown.display();
    let harm = "can end the programs that use it (who cuts off a file that they have mapped, SIGBUS) and spoil their records";
    let which = |open: &Open| {
        let more = match open.files {
            1 => String::new(),
            files => format!(" and {} more files", files - 1),
        };
        format!("`{}`{more} of mode {:04o}", open.example, open.mode)
    };
    let mut findings = Vec::new();
    if all.files > 0 && is_reached_by_others(place) {
        findings.push(
            Finding::warning(
                "open_to_all",
                format!("every user who reaches `{called}` {harm}: {}", which(&all)),
            )
            .remedy("run application and collector as one user with a directory of mode 0700, or share one of mode 2770 by a group"),
        );
    }
    // The directory's group is its user's own most often: then nobody else is in it, and nothing is to be told.
    if group.files > 0
        && fs::metadata(place).is_ok_and(|directory| directory.uid() != directory.gid())
    {
        findings.push(
            Finding::warning(
                "open_to_group",
                format!("every member of group {} {harm}: {}", group.group, which(&group)),
            )
            .remedy("let only the users of application and collector be in that group, or run both as one user with a directory of mode 0700"),
        );
    }
    findings
}

/// Whether a user without any rights of its own gets there.
fn is_reached_by_others(place: &Path) -> bool {
    place.canonicalize().is_ok_and(|path| {
        path.ancestors().all(|directory| {
            fs::metadata(directory).is_ok_and(|metadata| metadata.mode() & 0o001 != 0)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn told(directory: u32, page: u32, ring: u32) -> Vec<&'static str> {
        let parent = tempfile::tempdir().unwrap();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        set(parent.path(), 0o755);
        let tap = parent.path().join("tap");
        fs::create_dir(&tap).unwrap();
        for (name, mode) in [(CONTROL_FILE.to_owned(), page), (format!("1{RING_ENDING}"), ring)] {
            fs::write(tap.join(&name), "").unwrap();
            set(&tap.join(&name), mode);
        }
        if rustix::process::geteuid().is_root() {
            // A group that is not the user's own.
            std::os::unix::fs::chown(&tap, None, Some(12_345)).unwrap();
        }
        set(&tap, directory);
        assert!(directory & 1 == 0 || is_reached_by_others(&tap), "this test needs an open TMPDIR");
        of(&tap, &tap).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn what_all_may_write_and_reach_is_dangerous() {
        assert_eq!(told(0o1777, 0o666, 0o600), ["open_to_all"]);
        assert_eq!(told(0o1777, 0o600, 0o666), ["open_to_all"]);
        assert_eq!(told(0o700, 0o600, 0o600), [""; 0]);
        assert_eq!(told(0o700, 0o666, 0o666), [""; 0], "nobody else gets there");
    }

    #[test]
    fn the_members_of_a_group_are_named() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        assert_eq!(told(0o2770, 0o660, 0o600), ["open_to_group"]);
        assert_eq!(told(0o1777, 0o666, 0o660), ["open_to_all", "open_to_group"]);
    }
}
