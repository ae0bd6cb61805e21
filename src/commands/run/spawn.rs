//! Starts the command and receives the signals that concern it.
//!
//! # Safety
//!
//! What happens to signals before main and between fork and exec has no safe interface, so this one
//! file of the command may call libc itself. It refuses to install signal handlers: signals are
//! blocked and taken out one by one, and the command gets mask and dispositions as we got them.
#![expect(unsafe_code, reason = "signal masks and pre_exec have no safe interface")]

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal};

/// Signals that are taken out by [`Signals::wait`].
const TAKEN: [i32; 11] = [
    libc::SIGCHLD,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGWINCH,
];

/// execvp gives a file that the kernel does not know to this shell.
const SHELL: &[u8] = b"/bin/sh";

/// Whether SIGPIPE was ignored when this process started. The Rust runtime ignores it before main.
static PIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

/// Bit N: descriptor N was closed when this process started. The Rust runtime opens /dev/null there.
static CLOSED: AtomicU8 = AtomicU8::new(0);

extern "C" fn remember_start() {
    PIPE_WAS_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    let closed =
        (0..3).filter(|number| is_closed(*number)).fold(0, |bits, number| bits | 1 << number);
    CLOSED.store(closed, Ordering::Relaxed);
}

/// Whether one of the three standard descriptors was closed when this process started.
pub(crate) fn was_closed(number: i32) -> bool {
    CLOSED.load(Ordering::Relaxed) & 1 << number != 0
}

// SAFETY: the section holds pointers to functions that take what the loader passes (nothing that
// this one looks at) and return nothing; this one calls sigaction and fcntl only, which need no
// runtime.
#[unsafe(link_section = ".init_array")]
#[used]
static REMEMBER_START: extern "C" fn() = remember_start;

/// The signals of this process, taken over for as long as it lives.
pub(crate) struct Signals {
    taken: libc::sigset_t,
    inherited_mask: libc::sigset_t,
    child_was_ignored: bool,
}

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Its number.
    pub(crate) number: i32,
    /// Whether a process sent it; a terminal sends it to the whole process group.
    pub(crate) from_process: bool,
}

impl Signals {
    /// Blocks the signals in this thread and in all that it starts. To be called before any
    /// thread is started.
    pub(crate) fn take_over() -> io::Result<Self> {
        let taken = set_of(&TAKEN);
        let mut inherited_mask = empty_set();
        // SAFETY: both point to initialised sets.
        let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &taken, &mut inherited_mask) };
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        let child_was_ignored = is_ignored(libc::SIGCHLD);
        if child_was_ignored {
            // The kernel would reap our children itself.
            set_disposition(libc::SIGCHLD, libc::SIG_DFL);
        }
        Ok(Self { taken, inherited_mask, child_was_ignored })
    }

    /// Waits for a signal, at most so long.
    pub(crate) fn wait(&self, timeout: Duration) -> Option<Arrived> {
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs().min(3600) as libc::time_t,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let mut information = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: all three point to initialised values that live during the call.
        let number = unsafe { libc::sigtimedwait(&self.taken, information.as_mut_ptr(), &timeout) };
        if number <= 0 {
            return None;
        }
        // SAFETY: siginfo_t is plain data: all zeroes is a value, and the call filled it in.
        let information = unsafe { information.assume_init() };
        Some(Arrived { number, from_process: information.si_code <= 0 })
    }
}

/// Lets all signals through again, in a process of ours that outlives a run.
pub(crate) fn unblock_signals() {
    // SAFETY: the set is initialised; there is no wish for the old one.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &empty_set(), ptr::null_mut()) };
}

/// What is to be run.
pub(crate) struct Plan<'a> {
    /// The file, found before.
    pub(crate) path: &'a Path,
    /// The words of the command, its name first.
    pub(crate) words: &'a [OsString],
    /// The whole environment, in its order.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Standard output, where it is not to be ours.
    pub(crate) stdout: Option<OwnedFd>,
    /// Standard error, where it is not to be ours.
    pub(crate) stderr: Option<OwnedFd>,
}

/// Starts the command as a child in this process group, with mask and dispositions as inherited.
pub(crate) fn spawn(plan: Plan<'_>, signals: &Signals) -> io::Result<Pid> {
    let path = terminated(plan.path.as_os_str())?;
    let words = plan.words.iter().map(|word| terminated(word)).collect::<io::Result<Vec<_>>>()?;
    let variables = plan
        .environment
        .into_iter()
        .map(|(name, value)| {
            let mut variable = name.into_vec();
            variable.push(b'=');
            variable.extend_from_slice(value.as_bytes());
            CString::new(variable).map_err(|_| io::ErrorKind::InvalidInput.into())
        })
        .collect::<io::Result<Vec<_>>>()?;
    let shell = CString::new(SHELL)?;
    let image = Image { path, words, variables, shell };
    let mask = signals.inherited_mask;
    let child_was_ignored = signals.child_was_ignored;
    let pipe = if PIPE_WAS_IGNORED.load(Ordering::Relaxed) { libc::SIG_IGN } else { libc::SIG_DFL };

    // std forks, arranges the descriptors and brings back the error; the closure does the rest.
    let mut command = Command::new(plan.path);
    if let Some(stdout) = plan.stdout {
        command.stdout(Stdio::from(stdout));
    }
    if let Some(stderr) = plan.stderr {
        command.stderr(Stdio::from(stderr));
    }
    let pointers = Pointers::to(&image);
    let start = move || {
        let _owner = &image;
        set_disposition(libc::SIGPIPE, pipe);
        if child_was_ignored {
            set_disposition(libc::SIGCHLD, libc::SIG_IGN);
        }
        for number in (0..3).filter(|number| was_closed(*number)) {
            // SAFETY: the runtime's /dev/null, which nobody uses between here and exec.
            unsafe { libc::close(number) };
        }
        // SAFETY: the set is initialised; there is no wish for the old one.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &mask, ptr::null_mut()) };
        Err(pointers.execute())
    };
    // SAFETY: between fork and exec the closure makes system calls only; everything it needs was
    // allocated before.
    unsafe { command.pre_exec(start) };
    let child = command.spawn()?;
    Pid::from_raw(child.id().cast_signed()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Ends this process as its command ended: by a signal, without a core file of its own.
pub(crate) fn repeat_death(number: i32) -> ExitCode {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _best_effort = rustix::process::setrlimit(Resource::Core, none);
    let _unknown_number = signal_hook::low_level::emulate_default_handler(number);
    if let Some(signal) = Signal::from_named_raw(number) {
        let _best_effort = rustix::process::kill_process(rustix::process::getpid(), signal);
    }
    // Signals without a name, and those that do not kill, end as a shell reports them.
    ExitCode::from(u8::try_from(128 + number).unwrap_or(u8::MAX))
}

/// Everything that exec needs.
struct Image {
    path: CString,
    words: Vec<CString>,
    variables: Vec<CString>,
    shell: CString,
}

/// Null-terminated lists of pointers into an [`Image`], which must outlive them. Moving the image
/// does not move its strings.
struct Pointers {
    path: *const libc::c_char,
    words: Vec<*const libc::c_char>,
    shell_words: Vec<*const libc::c_char>,
    variables: Vec<*const libc::c_char>,
}

// SAFETY: the strings behind the pointers are never written to and live in the same closure.
unsafe impl Send for Pointers {}
// SAFETY: as above.
unsafe impl Sync for Pointers {}

impl Pointers {
    fn to(image: &Image) -> Self {
        let list = |strings: &[CString]| {
            strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>()
        };
        let words = list(&image.words);
        let shell_words = [image.shell.as_ptr(), image.path.as_ptr()]
            .into_iter()
            .chain(words[1..].iter().copied());
        Self {
            path: image.path.as_ptr(),
            shell_words: shell_words.collect(),
            words,
            variables: list(&image.variables),
        }
    }

    /// Returns only if it failed.
    fn execute(&self) -> io::Error {
        // SAFETY: null-terminated lists of pointers to null-terminated strings, all alive.
        unsafe { libc::execve(self.path, self.words.as_ptr(), self.variables.as_ptr()) };
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ENOEXEC) {
            return error;
        }
        // SAFETY: as above; the first of the shell's words is its path.
        unsafe {
            libc::execve(self.shell_words[0], self.shell_words.as_ptr(), self.variables.as_ptr())
        };
        io::Error::last_os_error()
    }
}

fn terminated(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::zeroed();
    // SAFETY: sigemptyset initialises the set that it gets.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: plain data, initialised above.
    unsafe { set.assume_init() }
}

fn set_of(numbers: &[i32]) -> libc::sigset_t {
    let mut set = empty_set();
    for number in numbers {
        // SAFETY: the set is initialised and the numbers are signals.
        unsafe { libc::sigaddset(&mut set, *number) };
    }
    set
}

fn is_ignored(number: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: only asks; the answer goes to a value of the right type.
    let failed = unsafe { libc::sigaction(number, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: plain data: all zeroes is a value, and the call filled it in.
    failed == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

fn is_closed(number: i32) -> bool {
    // SAFETY: asks for the flags of a number that may or may not be a descriptor.
    unsafe { libc::fcntl(number, libc::F_GETFD) == -1 }
}

fn set_disposition(number: i32, disposition: libc::sighandler_t) {
    // SAFETY: only ever called with SIG_DFL and SIG_IGN, which run no code of ours.
    unsafe { libc::signal(number, disposition) };
}
