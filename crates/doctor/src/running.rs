//! A process: whether the library works in it, what it caught and lost, and why not.

use std::path::{Path, PathBuf};

use logtap_program::{Caller, Libc, examine, libc_version};
use logtap_wire::{CONTROL_FILE, RING_ENDING, pattern};
use serde::Serialize;

use crate::executable::{self, ProgramReport};
use crate::preloads::{self, Preload};
use crate::proc::Process;
use crate::raw::{self, RawReport};
use crate::settings::{self, Asked};
use crate::streams;
use crate::tap::{self, TapReport};
use crate::{DoctorError, Finding, text};

/// What a process says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunningReport {
    /// Its number.
    pub pid: u32,
    /// What it runs.
    #[serde(serialize_with = "crate::path_text::one")]
    pub executable: PathBuf,
    /// In one word: how far the library got.
    pub state: State,
    /// What that executable is, where it can be read.
    pub program: Option<ProgramReport>,
    /// What is preloaded.
    pub preloads: Vec<Preload>,
    /// The library that is mapped.
    pub library: Option<Library>,
    /// What its environment asks for.
    pub asked: Asked,
    /// What descriptor 1 is.
    #[serde(serialize_with = "crate::path_text::maybe")]
    pub stdout: Option<PathBuf>,
    /// What descriptor 2 is.
    #[serde(serialize_with = "crate::path_text::maybe")]
    pub stderr: Option<PathBuf>,
    /// Open files that are tapped by path.
    #[serde(serialize_with = "crate::path_text::many")]
    pub tapped_files: Vec<PathBuf>,
    /// Its tap directory, with the rings that it maps.
    pub tap: Option<TapReport>,
    /// What it counts of a `socket:` or `file:` target.
    pub raw: Option<RawReport>,
}

/// How far the library got in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has a ring.
    Tapped,
    /// It is ready, and has no ring yet.
    Ready,
    /// Its copies go to a file or socket of the user's; what it counts of them is in [`RunningReport::raw`].
    Raw,
    /// It is loaded and does nothing.
    Inert,
    /// It is not loaded.
    NotLoaded,
}

/// The library in a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Library {
    /// Its file.
    #[serde(serialize_with = "crate::path_text::one")]
    pub path: PathBuf,
    /// Version of the wire format; `None` where its file is gone.
    pub version: Option<u32>,
    /// Whether it is byte for byte the one that this logtap carries.
    pub same_as_ours: Option<bool>,
}

/// Looks at a process. `ours` is the library that this logtap carries.
pub fn check(process: u32, ours: &[u8]) -> Result<(RunningReport, Vec<Finding>), DoctorError> {
    let process = Process::read(process)?;
    let mut findings = Vec::new();
    let program = examine(Path::new(&format!("/proc/{}/exe", process.number))).ok();
    let described = program.map(|mut program| {
        program.path = process.executable.clone();
        let caller = Caller {
            user: process.rights.user,
            group: process.rights.groups.last().copied().unwrap_or(u32::MAX),
            no_new_privileges: false,
        };
        executable::describe(&program, &caller)
    });
    let (mut program, obstacles) =
        described.map_or((None, Vec::new()), |(report, found)| (Some(report), found));
    if let Some(program) = &mut program {
        mapped_libc(&process, program);
    }
    let list = process.variable("LD_PRELOAD").unwrap_or_default();
    let (preloads, of_preloads) = preloads::check(list, |path| process.place(path));
    let library = library(&process, &preloads, ours);
    let (asked, of_settings) = settings::check(&process.environment);
    let rings: Vec<String> = ring_names(&process.mapped);
    let directory = mapped_directory(&process.mapped).or_else(|| asked.directory.clone());
    let ready =
        directory.as_ref().is_some_and(|path| process.mapped.contains(&path.join(CONTROL_FILE)));

    let raw = asked.raw_target.is_some() && !asked.inert;
    let state = match (&library, rings.is_empty(), ready) {
        (None, ..) => State::NotLoaded,
        (_, false, _) => State::Tapped,
        (_, true, true) => State::Ready,
        (_, true, false) if raw => State::Raw,
        (_, true, false) => State::Inert,
    };
    match state {
        State::NotLoaded => {
            if process.secure {
                findings.push(secure());
            }
            findings.extend(obstacles);
            findings.extend(of_preloads);
            if !crate::has_problem(&findings) {
                findings.push(not_loaded(&process, &preloads));
            }
        }
        State::Inert => {
            findings.extend(of_preloads);
            findings.extend(of_settings);
            if asked.variables.is_empty() {
                findings.push(
                    Finding::problem("no_target", "the library is loaded, and no `LLT_` variable asks it for anything")
                        .remedy("set `LLT_TARGET=tap:DIR` and `LLT_TAP_INTO=3`, or start it with logtap run"),
                );
            }
        }
        // The values that it started with were good enough; what it shows now may be overwritten.
        State::Tapped | State::Ready | State::Raw => findings.extend(
            of_settings.into_iter().filter(|finding| finding.severity == crate::Severity::Warning),
        ),
    }
    if let Some(Library { version: Some(version), path, .. }) = &library
        && *version != logtap_wire::VERSION
    {
        findings.push(
            Finding::problem(
                "library_version",
                format!(
                    "`{}` writes version {version} of the rings, this logtap reads {}",
                    path.display(),
                    logtap_wire::VERSION
                ),
            )
            .remedy("install the library of the collector's version and restart the program"),
        );
    }
    let tap = match &directory {
        Some(directory) if library.is_some() => {
            tap_of(&process, directory, &rings, state, &mut findings)
        }
        _ => None,
    };
    let raw = match (state, &asked.raw_target) {
        (State::Raw, Some(target)) => {
            let (report, found) = raw::check(&process, target);
            findings.extend(found);
            report
        }
        _ => None,
    };
    if state == State::Ready {
        findings.push(Finding::warning("no_ring", "the library is ready; the process has no ring, since it owns no tapped stream or has written nothing to one"));
    }
    if process.sandboxed && state != State::NotLoaded {
        findings.push(Finding::warning("sandbox", "system calls of the process are filtered (seccomp): where a filter came after the start, no further ring is made"));
    }
    if !matches!(state, State::NotLoaded | State::Inert) {
        findings.extend(streams::untapped(&process, &asked));
    }
    let tapped_files = files(&process, &asked);
    findings.extend(untapped_logs(&process, &tapped_files));
    let descriptor = |number: u32| {
        process.descriptors.iter().find(|(known, _)| *known == number).map(|(_, path)| path.clone())
    };
    let report = RunningReport {
        pid: process.number,
        state,
        program,
        preloads,
        library,
        asked,
        stdout: descriptor(1),
        stderr: descriptor(2),
        tapped_files,
        tap,
        raw,
        executable: process.executable,
    };
    Ok((report, findings))
}

fn secure() -> Finding {
    Finding::problem(
        "secure",
        "the process gained rights when it was started, so the loader ignored LD_PRELOAD",
    )
    .remedy("start it as the user that it becomes, or let the collector follow its files")
}

fn not_loaded(process: &Process, preloads: &[Preload]) -> Finding {
    let named = preloads.iter().any(|preload| preload.logtap_version.is_some());
    let text = if named {
        "LD_PRELOAD names the library, and it is not mapped: the loader refused it, or the file came later"
    } else {
        "it was started without the library in LD_PRELOAD"
    };
    Finding::problem("not_preloaded", text).remedy(format!(
        "start it again with logtap run -- {} ..., or with LD_PRELOAD=$(logtap library)",
        process.executable.display()
    ))
}

/// Looks at the directory for this process, and judges what only a running process can tell.
fn tap_of(
    process: &Process,
    directory: &Path,
    rings: &[String],
    state: State,
    findings: &mut Vec<Finding>,
) -> Option<TapReport> {
    match tap::check_rings(&process.place(directory), directory, &process.rights, &|name| {
        rings.iter().any(|ring| ring == name)
    }) {
        Ok((report, found)) => {
            let fine = !crate::has_problem(&found) && !crate::has_problem(findings);
            findings.extend(found);
            if state == State::Inert && fine {
                findings.push(
                    Finding::problem("came_late", format!("`{}` is good now, and the library is inert: it was not so when the process started", directory.display()))
                        .remedy("start the program again; LLT_DEBUG_MODE=true says on its stderr why the library stays inert"),
                );
            }
            Some(report)
        }
        Err(DoctorError::Unreadable { source, .. }) => {
            findings.push(
                Finding::problem("no_directory", format!("the process's tap directory `{}` cannot be read: {source}", directory.display()))
                    .remedy("start the collector before the program, and mount its volume at the same path in both"),
            );
            None
        }
        Err(_) => None,
    }
}

/// What the process really maps says more than what its executable asks for.
fn mapped_libc(process: &Process, program: &mut ProgramReport) {
    let is = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libc.so.6") || name.starts_with("libc-2.") || name.starts_with("ld-musl-")
    };
    if let Some(file) = process.mapped.iter().find(is) {
        let musl =
            file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-musl-"));
        let libc = if musl { Libc::Musl } else { Libc::Glibc };
        program.libc_version = libc_version(&process.place(file), libc);
        program.libc_file = Some(file.clone());
    }
}

/// The library among what is mapped: by its mark, or where its file is gone by its name.
fn library(process: &Process, preloads: &[Preload], ours: &[u8]) -> Option<Library> {
    let named = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.contains("logtap") || preloads.iter().any(|preload| preload.path == path)
    };
    process.mapped.iter().filter(|path| named(path)).find_map(|path| {
        let place = process.place(path);
        let version = preloads::library_version(&place);
        let gone = text(path.as_os_str().as_encoded_bytes()).ends_with("liblogtap.so (deleted)");
        (version.is_some() || gone).then(|| Library {
            version,
            same_as_ours: std::fs::read(&place).ok().map(|bytes| bytes == ours),
            path: path.clone(),
        })
    })
}

fn ring_names(mapped: &[PathBuf]) -> Vec<String> {
    let names = mapped.iter().filter_map(|path| path.file_name()?.to_str());
    names.filter(|name| name.ends_with(RING_ENDING)).map(str::to_owned).collect()
}

/// The tap directory by what is mapped from it: a program may have overwritten its environment.
fn mapped_directory(mapped: &[PathBuf]) -> Option<PathBuf> {
    let ring = mapped.iter().find(|path| path.extension().is_some_and(|ending| ending == "ring"));
    let control = |directory: &Path| mapped.contains(&directory.join(CONTROL_FILE));
    ring.and_then(|path| path.parent()).filter(|path| control(path)).map(Path::to_owned)
}

/// Open files that a pattern of the environment matches.
fn files(process: &Process, asked: &Asked) -> Vec<PathBuf> {
    let list = process.variable(logtap_wire::settings::TAP_FILE).unwrap_or_default();
    let matches = |path: &Path| pattern::any_matches(list, path.as_os_str().as_encoded_bytes());
    let open = process.descriptors.iter().map(|(_, path)| path);
    let mut files: Vec<PathBuf> = open
        .filter(|path| !asked.files.is_empty() && path.is_absolute() && matches(path))
        .cloned()
        .collect();
    files.sort_unstable();
    files.dedup();
    files
}

/// Log files that it has open and that nobody asked for: most often what a newcomer misses.
fn untapped_logs(process: &Process, tapped: &[PathBuf]) -> Option<Finding> {
    // Where stdout or stderr lead is tapped as such.
    let streams: Vec<&PathBuf> = process
        .descriptors
        .iter()
        .filter(|(number, _)| (1..=2).contains(number))
        .map(|(_, path)| path)
        .collect();
    let mut logs: Vec<String> = process
        .descriptors
        .iter()
        .map(|(_, path)| path)
        .filter(|path| !streams.contains(path))
        .filter(|path| {
            path.extension().is_some_and(|ending| ending == "log") && !tapped.contains(path)
        })
        .map(|path| format!("`{}`", path.display()))
        .collect();
    logs.sort_unstable();
    logs.dedup();
    (!logs.is_empty()).then(|| {
        Finding::warning(
            "untapped_log",
            format!("it has {} open, which is not tapped", logs.join(", ")),
        )
        .remedy("name it with `logtap run --file PATH`, or in `LLT_TAP_FILE`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_found_by_what_is_mapped() {
        let mapped =
            ["/dev/shm/t/1-2-3-4.ring", "/dev/shm/t/control", "/lib/libc.so.6"].map(PathBuf::from);
        assert_eq!(mapped_directory(&mapped), Some("/dev/shm/t".into()));
        assert_eq!(ring_names(&mapped), ["1-2-3-4.ring"]);
        assert_eq!(mapped_directory(&mapped[2..]), None);
    }

    #[test]
    fn a_process_without_the_library_is_not_tapped() {
        let (report, findings) = check(std::process::id(), b"").unwrap();
        assert_eq!(report.state, State::NotLoaded);
        assert!(crate::has_problem(&findings));
        assert!(report.tap.is_none());
    }
}
