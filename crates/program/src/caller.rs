//! Who would run a program: the kernel ignores LD_PRELOAD only where a program gains rights.

use std::fs;

/// The user that runs a program, as far as it matters to the dynamic loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Real user id.
    pub user: u32,
    /// Real group id.
    pub group: u32,
    /// Whether running a program cannot give rights (`no_new_privs`): then setuid bits and file
    /// capabilities have no effect.
    pub no_new_privileges: bool,
}

impl Caller {
    /// This process.
    pub fn current() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            user: rustix::process::getuid().as_raw(),
            group: rustix::process::getgid().as_raw(),
            no_new_privileges: no_new_privileges(&status),
        }
    }
}

fn no_new_privileges(status: &str) -> bool {
    status
        .lines()
        .any(|line| line.strip_prefix("NoNewPrivs:").is_some_and(|value| value.trim() == "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_new_privileges_is_read_from_the_status() {
        assert!(no_new_privileges("Name:\tsh\nNoNewPrivs:\t1\nSeccomp:\t0\n"));
        assert!(!no_new_privileges("Name:\tsh\nNoNewPrivs:\t0\n"));
        assert!(!no_new_privileges(""));
    }
}
