//! A program that is not running: whether the preload library would reach it, and what else stands in the way.

use std::path::{Path, PathBuf};

use logtap_program::{
    Caller, Libc, Linking, Preloadable, Program, ProgramError, Reason, examine, libc_version,
};
use serde::Serialize;

use crate::{Finding, memory};

/// What an executable is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramReport {
    /// The file that was asked about.
    #[serde(serialize_with = "crate::path_text::one")]
    pub path: PathBuf,
    /// Interpreters of `#!` lines; the last one is what the kernel runs.
    #[serde(serialize_with = "crate::path_text::many")]
    pub interpreters: Vec<PathBuf>,
    /// What it was built for.
    pub architecture: String,
    /// Whether it finds its libraries by a dynamic loader.
    pub dynamic: bool,
    /// `glibc`, `musl` or `other`.
    pub libc: Option<&'static str>,
    /// Release of that library.
    pub libc_version: Option<String>,
    /// Where that library is.
    #[serde(serialize_with = "crate::path_text::maybe")]
    pub libc_file: Option<PathBuf>,
    /// Whether Go built it.
    pub go: bool,
    /// Whether it gives rights to whoever runs it: setuid, setgid or file capabilities.
    pub privileged: bool,
    /// Whether the preload library reaches it.
    pub preloadable: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// Examines a program that this process's user would run.
pub fn check(path: &Path) -> Result<(ProgramReport, Vec<Finding>), ProgramError> {
    let program = examine(path)?;
    let (report, mut findings) = describe(&program, &Caller::current());
    for file in [program.path.as_path(), program.executable()] {
        if memory::forbids_execution(file) {
            let remedy = if program.interpreters.is_empty() {
                "copy it to another file system".to_owned()
            } else {
                format!(
                    "give it to its interpreter: {} {}",
                    program.executable().display(),
                    file.display()
                )
            };
            let text =
                format!("`{}` is on a mount without the right to execute (noexec)", file.display());
            findings.push(Finding::problem("noexec", text).remedy(remedy));
            break;
        }
    }
    Ok((report, findings))
}

/// Whether nothing on this file's mount may be executed. The kernel then refuses it as if its mode said so.
pub fn is_kept_from_running(path: &Path) -> bool {
    memory::forbids_execution(path)
}

/// Looks whether any of these directories could hold the rings, and any the library.
pub fn check_places(candidates: &[PathBuf]) -> Vec<Finding> {
    let in_memory = |path: &PathBuf| {
        memory::file_system(path).is_some_and(|name| memory::is_memory(&name))
            && rustix::fs::access(path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
                .is_ok()
    };
    let mut findings = Vec::new();
    if !candidates.iter().any(in_memory) {
        findings.push(
            Finding::problem(
                "no_memory",
                "no directory in memory (tmpfs) can be written to, and rings live there",
            )
            .remedy("mount a tmpfs on /dev/shm, or set XDG_RUNTIME_DIR to a directory of one"),
        );
    }
    if candidates.iter().all(|path| memory::forbids_execution(path)) {
        findings.push(
            Finding::problem(
                "no_executable_mount",
                "every place for the library is on a mount without the right to execute (noexec)",
            )
            .remedy(
                "install it elsewhere: logtap library --install DIR, and set LD_PRELOAD by hand",
            ),
        );
    }
    findings
}

/// The facts of a program, and the obstacle if there is one.
pub(crate) fn describe(program: &Program, caller: &Caller) -> (ProgramReport, Vec<Finding>) {
    let (dynamic, libc) = match &program.elf.linking {
        Linking::Static => (false, None),
        Linking::Dynamic { libc, .. } => (true, Some(*libc)),
    };
    let libc_file = program.libc_file();
    let version = libc.zip(libc_file.as_deref()).and_then(|(libc, file)| libc_version(file, libc));
    let mut findings = Vec::new();
    let reason = match program.preloadable_by(caller) {
        Preloadable::Yes => None,
        Preloadable::No { reason } => Some(reason),
    };
    if let Some(reason) = &reason {
        let text = format!(
            "the preload library does not reach `{}`: {reason}",
            program.executable().display()
        );
        findings.push(Finding::problem(word(reason), text).remedy(remedy(reason)));
    }
    let privilege = &program.privilege;
    let privileged =
        privilege.user.is_some() || privilege.group.is_some() || privilege.capabilities;
    if privileged && reason.is_none() {
        findings.push(Finding::warning(
            "privileged",
            format!(
                "`{}` gives rights to other users: for them the loader ignores the library",
                program.executable().display()
            ),
        ));
    }
    let report = ProgramReport {
        path: program.path.clone(),
        interpreters: program.interpreters.clone(),
        architecture: program.elf.machine.to_string(),
        dynamic,
        libc: libc.map(|libc| match libc {
            Libc::Glibc => "glibc",
            Libc::Musl => "musl",
            Libc::Other => "other",
        }),
        libc_version: version,
        libc_file,
        go: program.elf.go,
        privileged,
        preloadable: reason.is_none(),
        reason: reason.map(|reason| reason.to_string()),
    };
    (report, findings)
}

/// The reason's word for programs.
fn word(reason: &Reason) -> &'static str {
    match reason {
        Reason::Static => "static",
        Reason::Go => "go",
        Reason::SetUser => "setuid",
        Reason::Capabilities => "capabilities",
        Reason::Architecture(_) => "architecture",
        Reason::Loader(_) => "loader",
        Reason::NoLibc => "no_libc",
    }
}

fn remedy(reason: &Reason) -> &'static str {
    match reason {
        Reason::Architecture(_) => "use the logtap of that architecture",
        Reason::SetUser | Reason::Capabilities => {
            "logtap run taps it from outside all the same (pipes for stdout and stderr, files are followed); or run it as the user that it becomes"
        }
        _ => {
            "logtap run taps it from outside all the same: stdout and stderr through pipes, files by following them"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_program_is_described() {
        let (report, findings) = check(Path::new("/bin/sh")).unwrap();
        assert_eq!(report.preloadable, findings.is_empty(), "{findings:?}");
        assert_eq!(report.dynamic, report.libc.is_some());
        assert!(check(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn without_memory_there_is_no_place_for_rings() {
        let kinds = |paths: &[PathBuf]| -> Vec<&str> {
            check_places(paths).iter().map(|finding| finding.what).collect()
        };
        assert_eq!(kinds(&["/proc".into()]).first(), Some(&"no_memory"));
        assert!(!kinds(&["/dev/shm".into()]).contains(&"no_memory"));
    }
}
