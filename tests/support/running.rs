//! Running a program to its end with its streams on pipes or on a terminal.
//! Refuses to wait for ever: what hangs is killed and fails its test.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::support::PATIENCE;

/// Where a program's stdout and stderr go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streams {
    /// Each into a pipe of its own.
    Pipes,
    /// Both into one pipe, as `2>&1` does.
    OnePipe,
    /// Both onto a terminal, which is stdin and the controlling terminal as well.
    Terminal,
    /// stdout into `/dev/null`, stderr into a pipe.
    NullStdout,
}

impl Streams {
    /// All of them.
    pub(crate) const ALL: [Self; 4] =
        [Self::Pipes, Self::OnePipe, Self::Terminal, Self::NullStdout];
}

/// What a program showed and left behind.
pub(crate) struct Outcome {
    /// What came out of its stdout; with one pipe and on a terminal, out of both streams.
    pub(crate) stdout: Vec<u8>,
    /// What came out of its stderr, where that is apart.
    pub(crate) stderr: Vec<u8>,
    /// The files that were asked for, as they are afterwards. A missing one is not there.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// How it ended.
    pub(crate) status: ExitStatus,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stdout, stderr) =
            (String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr));
        write!(formatter, "{}\nstdout:\n{stdout}\nstderr:\n{stderr}", self.status)
    }
}

/// Runs the program in `directory` until it has ended and nobody writes to its streams.
pub(crate) fn run(command: Command, streams: Streams, directory: &Path, files: &[&str]) -> Outcome {
    let (outcome, status) = match streams {
        Streams::Terminal => on_terminal(&command, directory),
        other => on_pipes(command, other, directory),
    };
    Outcome { stdout: outcome.0, stderr: outcome.1, files: contents(directory, files), status }
}

fn on_pipes(
    mut command: Command,
    streams: Streams,
    directory: &Path,
) -> ((Vec<u8>, Vec<u8>), ExitStatus) {
    let (stdout_reader, stdout_writer) = io::pipe().expect("a pipe");
    let (stderr_reader, stderr_writer) = io::pipe().expect("a pipe");
    command.current_dir(directory).process_group(0).stdin(Stdio::null());
    match streams {
        Streams::OnePipe => {
            let second = stdout_writer.try_clone().expect("a second descriptor of a pipe");
            command.stdout(stdout_writer).stderr(second);
            drop(stderr_writer);
        }
        Streams::NullStdout => {
            command.stdout(Stdio::null()).stderr(stderr_writer);
            drop(stdout_writer);
        }
        Streams::Pipes | Streams::Terminal => {
            command.stdout(stdout_writer).stderr(stderr_writer);
        }
    }
    let readers = [OwnedFd::from(stdout_reader), OwnedFd::from(stderr_reader)];
    let (mut texts, status) = to_the_end(command, readers);
    let stderr = texts.pop().unwrap_or_default();
    let stdout = texts.pop().unwrap_or_default();
    ((stdout, stderr), status)
}

fn on_terminal(command: &Command, directory: &Path) -> ((Vec<u8>, Vec<u8>), ExitStatus) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
        .expect("a pseudo-terminal");
    grantpt(&controller).expect("the terminal can be granted");
    unlockpt(&controller).expect("the terminal can be unlocked");
    let name = ptsname(&controller, Vec::new()).expect("the terminal has a name");
    let path = PathBuf::from(name.into_string().expect("terminals have plain names"));
    let open = || {
        use std::os::unix::fs::OpenOptionsExt as _;
        File::options()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY)
            .open(&path)
            .expect("the terminal opens")
    };
    // setsid makes a session of its own and the terminal its controlling one, then becomes the program.
    let mut session = Command::new("setsid");
    session.arg("--ctty").arg("--").arg(command.get_program()).args(command.get_args());
    session.env_clear().current_dir(directory);
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            session.env(name, value);
        }
    }
    session.stdin(open()).stdout(open()).stderr(open());
    let (mut texts, status) = to_the_end(session, [controller]);
    let text = texts.pop().unwrap_or_default();
    // The terminal shows a line end as carriage return and line feed.
    let mut visible = Vec::with_capacity(text.len());
    let mut bytes = text.iter().peekable();
    while let Some(byte) = bytes.next() {
        if !(*byte == b'\r' && bytes.peek() == Some(&&b'\n')) {
            visible.push(*byte);
        }
    }
    ((visible, Vec::new()), status)
}

/// Starts the command, which must own the writing ends, and reads until all have let go of them.
fn to_the_end<const N: usize>(
    command: Command,
    readers: [OwnedFd; N],
) -> (Vec<Vec<u8>>, ExitStatus) {
    Running::start(command, readers).finish()
}

/// A program that runs, and what it has shown so far. It is killed when it is forgotten.
struct Running {
    group: rustix::process::Pid,
    ended: bool,
    described: String,
    texts: Vec<mpsc::Receiver<Vec<u8>>>,
    status: mpsc::Receiver<ExitStatus>,
}

impl Running {
    fn start<const N: usize>(mut command: Command, readers: [OwnedFd; N]) -> Self {
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let group = rustix::process::Pid::from_child(&child);
        let described = format!("{command:?}");
        // The command holds the writing ends.
        drop(command);
        let texts = readers
            .into_iter()
            .map(|reader| {
                // reader thread --all bytes--> whoever finishes
                let (text_tx, text_rx) = mpsc::channel();
                std::thread::spawn(move || text_tx.send(read_all(reader)));
                text_rx
            })
            .collect();
        // waiting thread --exit status--> whoever finishes
        let (status_tx, status_rx) = mpsc::channel();
        std::thread::spawn(move || status_tx.send(child.wait().expect("a child can be awaited")));
        Self { group, ended: false, described, texts, status: status_rx }
    }

    fn finish(mut self) -> (Vec<Vec<u8>>, ExitStatus) {
        let Ok(status) = self.status.recv_timeout(PATIENCE) else {
            rustix::process::kill_process_group(self.group, rustix::process::Signal::KILL).ok();
            let shown: Vec<String> = self
                .texts
                .iter()
                .filter_map(|text| text.recv_timeout(Duration::from_secs(5)).ok())
                .map(|text| String::from_utf8_lossy(&text).into_owned())
                .collect();
            panic!("did not end: {}\nit had shown: {shown:#?}", self.described)
        };
        self.ended = true;
        let texts = self
            .texts
            .iter()
            .map(|text| {
                text.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                    panic!("ended, and somebody still holds its streams: {}", self.described)
                })
            })
            .collect();
        (texts, status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            rustix::process::kill_process_group(self.group, rustix::process::Signal::KILL).ok();
        }
    }
}

/// A server: it runs on pipes until it is told to stop.
pub(crate) struct Service {
    running: Running,
    directory: PathBuf,
}

impl Service {
    /// Starts it in `directory`.
    pub(crate) fn start(mut command: Command, directory: &Path) -> Self {
        let (stdout_reader, stdout_writer) = io::pipe().expect("a pipe");
        let (stderr_reader, stderr_writer) = io::pipe().expect("a pipe");
        command.current_dir(directory).process_group(0).stdin(Stdio::null());
        command.stdout(stdout_writer).stderr(stderr_writer);
        let readers = [OwnedFd::from(stdout_reader), OwnedFd::from(stderr_reader)];
        Self { running: Running::start(command, readers), directory: directory.to_owned() }
    }

    /// The bytes of memory that it holds now.
    pub(crate) fn resident(&self) -> u64 {
        let process = self.running.group.as_raw_nonzero();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a number");
        let kilobytes = line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        kilobytes.expect("a number") << 10
    }

    /// Waits until somebody listens on the port of this machine; what ends before fails its test.
    pub(crate) fn wait_for_port(&self, port: u16) {
        self.wait_until("listened", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    /// Waits until the program has made a file.
    pub(crate) fn wait_for_file(&self, path: &Path) {
        self.wait_until("made its file", || path.exists());
    }

    /// Waits until something has happened that it was to do.
    pub(crate) fn wait_until(&self, what: &str, mut happened: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !happened() {
            let ended = rustix::process::test_kill_process(self.running.group).is_err();
            assert!(!ended, "ended before it {what}: {}", self.running.described);
            assert!(Instant::now() < deadline, "never {what}: {}", self.running.described);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends the signal to the program itself, as a service manager does.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.running.group, signal).expect("it still runs");
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(self, signal: rustix::process::Signal, files: &[&str]) -> Outcome {
        self.signal(signal);
        self.finish(files)
    }

    /// Waits until it ends by itself.
    pub(crate) fn finish(self, files: &[&str]) -> Outcome {
        let (mut texts, status) = self.running.finish();
        let stderr = texts.pop().unwrap_or_default();
        let stdout = texts.pop().unwrap_or_default();
        Outcome { stdout, stderr, files: contents(&self.directory, files), status }
    }
}

/// A port of this machine that nobody listens on, and no other test is given: none of this process, and none of others
/// that run beside it.
///
/// From below the range that the kernel takes for the near end of connections: between this and the
/// listening of whoever gets the port, no connection of another test can take it.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static CLAIMS: Mutex<Vec<UnixDatagram>> = Mutex::new(Vec::new());
    // Test processes that run beside each other begin at different places.
    let start = std::process::id().wrapping_mul(97);
    let ports = std::iter::repeat_with(|| {
        let number = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        u16::try_from(FIRST + number % COUNT).expect("below 30,000")
    });
    // The claim is an abstract socket with the port in its name, which is there once and goes with the process.
    let claim = |port: &u16| {
        let name = SocketAddr::from_abstract_name(format!("logtap-test-port-{port}"));
        UnixDatagram::bind_addr(&name.expect("a short name")).ok()
    };
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let found = ports.take(COUNT as usize).find_map(|port| {
        let claim = claim(&port).filter(|_| is_free(&port))?;
        Some((port, claim))
    });
    let (port, claim) = found.expect("a port is free");
    CLAIMS.lock().expect("no panic").push(claim);
    port
}

fn contents(directory: &Path, files: &[&str]) -> BTreeMap<String, Vec<u8>> {
    files
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::fs::read(directory.join(name)).ok()?)))
        .collect()
}

fn read_all(reader: OwnedFd) -> Vec<u8> {
    let mut reader = File::from(reader);
    let mut text = Vec::new();
    let mut block = vec![0; 1 << 16];
    loop {
        match reader.read(&mut block) {
            // A terminal that nobody holds any more reports EIO instead of the end.
            Ok(0) => return text,
            Err(error) if error.raw_os_error() == Some(libc::EIO) => return text,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("reading a program's output: {error}"),
            Ok(length) => text.extend_from_slice(&block[..length]),
        }
    }
}

/// The lines of a text, without their ends; what follows the last end is a line if it is not empty.
pub(crate) fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines
}
