//! Notices processes below the command that can write to its streams past the tap.
//!
//! A static child of a shell, a program started with `env -i`, a setuid one: they have the streams
//! and not the library. Looking is sampling: one that lives shorter than a look is not seen here.
//! Refuses to guess: a process is named only with a reason.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use logtap_collector::{Programs, Starts};
use logtap_program::{Caller, Preloadable, ProgramError, Reason, examine, raises, search};
use logtap_wire::identity::{Identity, Recognise, Streams};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::commands::processes::{self, ProcessId};

/// Time between the first looks, and between later ones.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// A look may take this part of the time between two looks. What counts is processor time: where the machine does
/// other things, looks take longer and are not to become rarer for it.
const SHARE: u32 = 20;
/// Looks at a process that never waits, until it must have come through its start.
const LOOKS_AT_A_START: u8 = 100;
/// Why `env -i` and the like are not tapped.
const WITHOUT_PRELOAD: &str = "started without LD_PRELOAD in its environment";
/// Most directories that are remembered.
const DIRECTORY_LIMIT: usize = 256;
/// Most processes that are counted.
const COUNTED_LIMIT: usize = 100_000;
/// Most programs that are named.
const NAMED_LIMIT: usize = 100;

/// A program whose output does not pass the tap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Unreached {
    /// What was run.
    pub(crate) program: String,
    /// Why the tap does not reach it.
    pub(crate) reason: String,
    /// The first process seen.
    pub(crate) pid: ProcessId,
    /// How many processes were seen.
    pub(crate) processes: u64,
}

/// Looks at the processes below this one.
pub(crate) struct Watcher {
    library: PathBuf,
    streams: Streams,
    null: Option<Identity>,
    caller: Caller,
    /// What was found about a process running a certain file.
    known: HashMap<(ProcessId, PathBuf), Verdict>,
    /// Directories in which processes were.
    directories: BTreeSet<PathBuf>,
    unreached: Vec<Unreached>,
    /// Who was named, so that nobody is counted twice.
    counted: HashSet<(ProcessId, String)>,
    pause: Duration,
    next: Instant,
}

/// What this thread has used of the processors so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing to report, for good.
    Fine,
    /// The library was not there at so many looks: perhaps it was just being loaded.
    Suspected(u8),
    /// Reported.
    Named,
}

impl Watcher {
    /// For a command that gets this library and these streams.
    pub(crate) fn new(library: &Path, streams: Streams) -> Self {
        Self {
            library: library.to_path_buf(),
            streams,
            null: processes::identity("/dev/null"),
            caller: Caller::current(),
            known: HashMap::new(),
            directories: BTreeSet::new(),
            unreached: Vec::new(),
            counted: HashSet::new(),
            pause: FIRST_PAUSE,
            next: Instant::now(),
        }
    }

    /// Looks if it is time to; returns how long until the next time.
    pub(crate) fn tick(&mut self) -> Duration {
        if Instant::now() >= self.next {
            let before = processor_time();
            self.look();
            let took = processor_time().saturating_sub(before);
            let pause = self.pause.max(took * SHARE);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            self.next = Instant::now() + pause;
        }
        self.next.saturating_duration_since(Instant::now())
    }

    /// Looks now.
    pub(crate) fn look(&mut self) {
        let living = processes::descendants(std::process::id());
        self.known.retain(|(process, _), _| living.contains(process));
        for process in living {
            if self.directories.len() < DIRECTORY_LIMIT {
                self.directories.extend(processes::directory(process));
            }
            let Some(executable) = processes::executable(process) else {
                self.look_at_foreign(process);
                continue;
            };
            let key = (process, executable);
            let verdict = match self.known.get(&key).copied() {
                Some(Verdict::Fine | Verdict::Named) => continue,
                Some(Verdict::Suspected(looks)) => self.judge(process, &key.1, looks),
                None => self.judge(process, &key.1, 0),
            };
            self.known.insert(key, verdict);
        }
    }

    /// What was found.
    pub(crate) fn finish(self) -> Vec<Unreached> {
        self.unreached
    }

    /// The programs that the library saw being started.
    pub(crate) fn report_all(&mut self, programs: &Programs) {
        for (program, starts) in &programs.unreached {
            self.report(*starts, program, false);
        }
        for (program, starts) in &programs.started {
            self.report(*starts, program, true);
        }
    }

    /// Whether any program was found that the tap does not reach.
    pub(crate) fn found_any(&self) -> bool {
        !self.unreached.is_empty()
    }

    /// A program that the library saw being started. It is named if it exists and the library does
    /// not reach it: for what it is, or because it was started without (`has_library` is false).
    fn report(&mut self, starts: Starts, program: &str, has_library: bool) {
        let Some(path) = self.find(program) else { return };
        // What a tracer starts, or a loader of somebody's own, may have the library whatever its file looks like.
        // Who only spawned it has not mapped the program.
        let maps = |file| processes::maps(starts.pid, file) == Some(true);
        if maps(&self.library) && maps(&path) {
            return;
        }
        let reason = match self.obstacle(&path) {
            Some(reason) => reason,
            None if has_library => return,
            None => WITHOUT_PRELOAD.to_owned(),
        };
        let name = path.display().to_string();
        self.name(starts.pid, name.clone(), reason.clone());
        // A look counts processes that it saw, the library each start: the same ones.
        let same = |known: &&mut Unreached| known.program == name && known.reason == reason;
        if let Some(known) = self.unreached.iter_mut().find(same) {
            known.processes = known.processes.max(starts.times);
        }
    }

    /// The file that a process meant. It may have been in any directory in which one of them was.
    fn find(&self, program: &str) -> Option<PathBuf> {
        let found = |name: &OsStr| search::find(name, &search::path_variable()).ok();
        let is_relative = program.contains('/') && !program.starts_with('/');
        let mut elsewhere = self.directories.iter().filter(|_| is_relative);
        found(OsStr::new(program))
            .or_else(|| elsewhere.find_map(|directory| found(directory.join(program).as_os_str())))
            .map(|path| path.canonicalize().unwrap_or(path))
    }

    fn judge(&mut self, process: ProcessId, executable: &Path, looks: u8) -> Verdict {
        let suspected = Verdict::Suspected(looks.saturating_add(1));
        // Asked first: who waits now had loaded all before. On a busy machine that can take longer than a look or two.
        let has_begun = processes::is_waiting(process) || looks >= LOOKS_AT_A_START;
        if !self.has_streams(process) {
            // It may get them later by dup2 or lose them by exec: looked at again each time.
            return suspected;
        }
        let reason = match processes::maps(process, &self.library) {
            Some(true) => return Verdict::Fine,
            None => Reason::SetUser.to_string(),
            Some(false) => match self.obstacle(&PathBuf::from(format!("/proc/{process}/exe"))) {
                Some(reason) => reason,
                None => match processes::environment_names(process, &self.library) {
                    Some(false) => WITHOUT_PRELOAD.to_owned(),
                    Some(true) if looks > 0 && has_begun => "did not load the library".to_owned(),
                    Some(true) | None => return suspected,
                },
            },
        };
        if processes::is_zombie(process) {
            return suspected;
        }
        self.name(process, executable.display().to_string(), reason);
        Verdict::Named
    }

    /// A process of another user: nobody tells us what it runs or where it writes.
    fn look_at_foreign(&mut self, process: ProcessId) {
        let key = (process, PathBuf::new());
        // A process of ours may hide too, and have the library.
        let is_foreign = !processes::is_zombie(process) && processes::has_other_user(process);
        if !is_foreign || self.known.contains_key(&key) {
            return;
        }
        let words = processes::command_line(process).unwrap_or_default();
        let program = words.split(' ').next().and_then(|word| self.find(word));
        let program = program.map_or(words, |path| path.display().to_string());
        self.name(process, program, Reason::SetUser.to_string());
        self.known.insert(key, Verdict::Named);
    }

    fn obstacle(&self, executable: &Path) -> Option<String> {
        let found = match examine(executable) {
            Ok(program) => program.preloadable_by(&self.caller),
            Err(ProgramError::Unreadable { path, .. }) => raises(&path, &self.caller),
            Err(_) => Preloadable::Yes,
        };
        match found {
            Preloadable::Yes => None,
            Preloadable::No { reason } => Some(reason.to_string()),
        }
    }

    fn has_streams(&self, process: ProcessId) -> bool {
        [1, 2].into_iter().any(|number| {
            let Some(found) = processes::descriptor(process, number) else { return false };
            let by_number = if number == 1 { self.streams.stdout } else { self.streams.stderr };
            let is = |stream| matches!(stream, Recognise::Object(object) if found.is(&object));
            is(self.streams.stdout)
                || is(self.streams.stderr)
                || (by_number == Recognise::Number && self.null.is_some_and(|null| found.is(&null)))
        })
    }

    fn name(&mut self, process: ProcessId, program: String, reason: String) {
        if program.is_empty()
            || self.counted.len() >= COUNTED_LIMIT
            || !self.counted.insert((process, program.clone()))
        {
            return;
        }
        let same = |known: &&mut Unreached| known.program == program && known.reason == reason;
        if let Some(known) = self.unreached.iter_mut().find(same) {
            known.processes += 1;
        } else if self.unreached.len() < NAMED_LIMIT {
            self.unreached.push(Unreached { program, reason, pid: process, processes: 1 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    fn streams_of(child: &Child) -> Streams {
        let stdout = processes::descriptor(child.id(), 1).unwrap();
        Streams { stdout: Recognise::Object(stdout), stderr: Recognise::Never }
    }

    fn wait_until_started(child: &Child, program: &str) {
        let runs = || processes::executable(child.id()).is_some_and(|path| path.ends_with(program));
        while !runs() || processes::environment_names(child.id(), Path::new("MARK")).is_none() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_process_with_the_streams_and_without_the_library_is_named_with_the_reason() {
        let mut child =
            Command::new("sleep").arg("100").env_clear().stdout(Stdio::piped()).spawn().unwrap();
        wait_until_started(&child, "sleep");
        let mut watcher = Watcher::new(Path::new("/nowhere/liblogtap.so"), streams_of(&child));
        watcher.look();
        watcher.look();
        let other = Streams { stdout: Recognise::Never, stderr: Recognise::Never };
        let mut uninterested = Watcher::new(Path::new("/nowhere/liblogtap.so"), other);
        uninterested.look();
        child.kill().unwrap();
        child.wait().unwrap();
        let mine: Vec<_> =
            watcher.finish().into_iter().filter(|found| found.pid == child.id()).collect();
        assert_eq!(mine.len(), 1, "{mine:?}");
        assert_eq!(mine[0].reason, "started without LD_PRELOAD in its environment");
        assert!(mine[0].program.ends_with("sleep"));
        assert!(uninterested.finish().is_empty());
    }

    /// Whether a program with a library in its environment that it has not mapped is named after two looks.
    fn is_named(program: &str, arguments: &[&str], until: impl Fn(u32) -> bool) -> bool {
        let library = "/nowhere/liblogtap.so";
        let mut command = Command::new(program);
        command.args(arguments).env("LD_PRELOAD", library).stderr(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        wait_until_started(&child, program);
        while !until(child.id()) {
            std::thread::yield_now();
        }
        let mut watcher = Watcher::new(Path::new(library), streams_of(&child));
        watcher.look();
        watcher.look();
        child.kill().unwrap();
        child.wait().unwrap();
        watcher.finish().iter().any(|found| found.pid == child.id())
    }

    #[test]
    fn a_process_that_has_not_loaded_the_library_is_named_and_one_that_may_still_do_so_is_not() {
        assert!(is_named("sleep", &["100"], processes::is_waiting));
        assert!(!is_named("bash", &["-c", "while :; do :; done"], |_| true));
    }

    #[test]
    fn a_process_that_maps_the_library_is_fine() {
        let mut child = Command::new("sleep").arg("100").stdout(Stdio::piped()).spawn().unwrap();
        wait_until_started(&child, "sleep");
        // Any file that it maps stands for the library.
        let mapped = processes::executable(child.id()).unwrap();
        let mut watcher = Watcher::new(&mapped, streams_of(&child));
        watcher.look();
        watcher.look();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(watcher.finish().iter().all(|found| found.pid != child.id()));
    }
}
