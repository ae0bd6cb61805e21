//! What a user may do with files, by their mode bits. Refuses to know of access control lists.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// A user whose rights are asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Effective user.
    pub user: u32,
    /// Effective group and all others.
    pub groups: Vec<u32>,
}

impl Rights {
    /// Whether the mode bits of a file let this user do all of `wanted` (4 read, 2 write, 1 search).
    pub(crate) fn allow(&self, metadata: &fs::Metadata, wanted: u32) -> bool {
        let shift = if metadata.uid() == self.user {
            6
        } else if self.groups.contains(&metadata.gid()) {
            3
        } else {
            0
        };
        self.user == 0 || (metadata.mode() >> shift) & wanted == wanted
    }

    /// What `/proc/PID/status` says of a process.
    pub(crate) fn of_status(status: &str) -> Self {
        let numbers = |name: &str| -> Vec<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default()
                .split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect()
        };
        // Real, effective, saved, and for files.
        let for_files = |name: &str| numbers(name).get(3).copied().unwrap_or(u32::MAX);
        let mut groups = numbers("Groups:");
        groups.push(for_files("Gid:"));
        Self { user: for_files("Uid:"), groups }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_for_files_and_all_groups_are_read() {
        let status = "Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \n";
        assert_eq!(Rights::of_status(status), Rights { user: 4, groups: vec![9, 10, 8] });
    }
}
