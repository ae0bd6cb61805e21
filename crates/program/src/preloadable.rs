//! Whether a preload library reaches what a program writes.
//!
//! A judgement, not a fact: it may say no to a program that would do (then logtap uses another way
//! and says so), and never says yes to one whose output the library cannot see.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{Caller, Libc, Linking, Machine, Program, privilege};

/// Whether LD_PRELOAD works for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preloadable {
    /// The library will be loaded and sees what is written.
    Yes,
    /// It will not.
    No {
        /// Why.
        reason: Reason,
    },
}

/// Why a program cannot be preloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No dynamic loader is involved.
    Static,
    /// Go programs call the kernel without libc.
    Go,
    /// Its file has setuid or setgid bits for somebody else.
    SetUser,
    /// Its file has capabilities.
    Capabilities,
    /// The library was built for another architecture.
    Architecture(Machine),
    /// Its dynamic loader is not one of glibc's or musl's.
    Loader(PathBuf),
    /// It needs no library at all, so it calls the kernel itself.
    NoLibc,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static => f.write_str("static executable"),
            Self::Go => f.write_str("Go program, which writes without libc"),
            Self::SetUser => f.write_str("runs as another user or group (setuid or setgid)"),
            Self::Capabilities => f.write_str("has file capabilities"),
            Self::Architecture(machine) => write!(f, "built for another architecture ({machine})"),
            Self::Loader(path) => write!(f, "unknown dynamic loader `{}`", path.display()),
            Self::NoLibc => f.write_str("uses no C library"),
        }
    }
}

/// What is known of a file that may be run and not read, as setuid ones often are: whether running it gives rights.
pub fn raises(file: &Path, caller: &Caller) -> Preloadable {
    let privilege = privilege::of_mode(file).unwrap_or_default();
    if privilege.raises(caller) {
        Preloadable::No { reason: Reason::SetUser }
    } else {
        Preloadable::Yes
    }
}

impl Program {
    /// Whether the library reaches this program when this process runs it.
    pub fn preloadable(&self) -> Preloadable {
        self.preloadable_by(&Caller::current())
    }

    /// Whether the library reaches this program when `caller` runs it.
    pub fn preloadable_by(&self, caller: &Caller) -> Preloadable {
        match self.obstacle(caller) {
            Some(reason) => Preloadable::No { reason },
            None => Preloadable::Yes,
        }
    }

    fn obstacle(&self, caller: &Caller) -> Option<Reason> {
        let elf = &self.elf;
        if elf.machine != Machine::of_this_build() {
            return Some(Reason::Architecture(elf.machine));
        }
        if elf.go {
            return Some(Reason::Go);
        }
        let Linking::Dynamic { loader, libc, needed } = &elf.linking else {
            return Some(Reason::Static);
        };
        if self.privilege.raises(caller) {
            let by_mode = self.privilege.user.is_some() || self.privilege.group.is_some();
            return Some(if by_mode { Reason::SetUser } else { Reason::Capabilities });
        }
        if *libc == Libc::Other {
            return Some(Reason::Loader(loader.clone()));
        }
        needed.is_empty().then_some(Reason::NoLibc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Elf, Privilege};

    const CALLER: Caller = Caller { user: 1000, group: 1000, no_new_privileges: false };

    fn dynamic() -> Program {
        Program {
            path: "/bin/program".into(),
            interpreters: Vec::new(),
            elf: Elf {
                machine: Machine::of_this_build(),
                linking: Linking::Dynamic {
                    loader: "/lib64/ld-linux-x86-64.so.2".into(),
                    libc: Libc::Glibc,
                    needed: vec!["libc.so.6".to_owned()],
                },
                go: false,
            },
            privilege: Privilege::default(),
        }
    }

    fn reason(program: &Program) -> Option<String> {
        match program.preloadable_by(&CALLER) {
            Preloadable::Yes => None,
            Preloadable::No { reason } => Some(reason.to_string()),
        }
    }

    #[test]
    fn every_obstacle_has_its_words() {
        let mut program = dynamic();
        assert_eq!(reason(&program), None);

        program.privilege.capabilities = true;
        assert_eq!(reason(&program).as_deref(), Some("has file capabilities"));
        program.privilege.user = Some(0);
        assert!(reason(&program).unwrap().contains("setuid"));

        program.elf.linking = Linking::Static;
        assert_eq!(reason(&program).as_deref(), Some("static executable"));
        program.elf.go = true;
        assert!(reason(&program).unwrap().starts_with("Go program"));
        program.elf.machine = Machine { number: 2, wide: false, big_endian: true };
        assert!(reason(&program).unwrap().contains("another architecture"));
    }

    #[test]
    fn an_unknown_loader_or_no_library_is_not_trusted() {
        let mut program = dynamic();
        program.elf.linking = Linking::Dynamic {
            loader: "/lib/ld-uClibc.so.0".into(),
            libc: Libc::Other,
            needed: vec!["libc.so.0".to_owned()],
        };
        assert_eq!(
            reason(&program).as_deref(),
            Some("unknown dynamic loader `/lib/ld-uClibc.so.0`")
        );
        program.elf.linking = Linking::Dynamic {
            loader: "/lib64/ld-linux-x86-64.so.2".into(),
            libc: Libc::Glibc,
            needed: Vec::new(),
        };
        assert_eq!(reason(&program).as_deref(), Some("uses no C library"));
    }
}
