//! Where a child runs: a directory in memory, a collector or a sink, and an environment for one way.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use logtap_collector::sink::{PushError, Sink};
use logtap_collector::{Collector, Config};
use logtap_loki::Batch;

/// How a child is run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Way {
    /// Without any library.
    Plain,
    /// With a library that does nothing: what loading one costs.
    Empty,
    /// Ours with its constructor taken out: what the dynamic loader spends on it.
    Mapped,
    /// Ours, asked for nothing.
    Inert,
    /// The stream tapped into a ring.
    Tapped,
    /// Tapped and suppressed.
    Suppressed,
    /// With the library, on a descriptor that is not tapped.
    Untapped,
    /// The library with a `file:` target.
    File,
    /// The library with a `socket:` target and a sink that keeps up.
    Socket,
    /// The other library with a `file:` target.
    OtherFile,
    /// The other library with a `socket:` target and a sink that keeps up.
    OtherSocket,
    /// The other library, on a descriptor that is not tapped.
    OtherUntapped,
}

impl Way {
    /// Its name in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Empty => "an empty library",
            Self::Mapped => "mapped, not started",
            Self::Inert => "started, inert",
            Self::Tapped => "tapped",
            Self::Suppressed => "suppressed",
            Self::Untapped => "untapped",
            Self::File => "file:",
            Self::Socket => "socket:",
            Self::OtherFile => "other, file:",
            Self::OtherSocket => "other, socket:",
            Self::OtherUntapped => "other, untapped",
        }
    }

    pub(crate) const fn is_other(self) -> bool {
        matches!(self, Self::OtherFile | Self::OtherSocket | Self::OtherUntapped)
    }

    /// Nothing is asked of whatever is loaded.
    const fn is_silent(self) -> bool {
        matches!(self, Self::Plain | Self::Empty | Self::Mapped | Self::Inert)
    }

    const fn must_be_caught(self) -> bool {
        !self.is_silent() && !matches!(self, Self::Untapped | Self::OtherUntapped)
    }
}

/// What does not change between rounds.
pub(crate) struct Stage {
    pub(crate) scratch: tempfile::TempDir,
    /// A library whose `write` does nothing, for when the kernel's own call is noise.
    pub(crate) stub: Option<PathBuf>,
    pub(crate) other: Option<PathBuf>,
}

/// What a child writes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Onto {
    /// /dev/null, with `write` replaced by a stub.
    Stub,
    /// /dev/null itself.
    Null,
    /// A file on disk, appended to.
    Log,
    /// Nothing: the library is named to the child, which loads it itself.
    Nothing,
}

/// Takes everything and keeps nothing.
struct Null(Arc<AtomicU64>);

impl Sink for Null {
    fn push(&mut self, batch: &Batch) -> Result<(), PushError> {
        self.0.fetch_add(batch.entries.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl Stage {
    pub(crate) fn new(other: Option<PathBuf>) -> Self {
        let scratch = tempfile::tempdir().expect("a directory for what the bench needs");
        Self { stub: build_stub(scratch.path()), other, scratch }
    }

    /// Runs this bench as a child and returns what it says; `None` where the library does not take the way's target.
    pub(crate) fn child(&self, words: &[String], way: Way, onto: Onto) -> Option<String> {
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.args(words).stderr(Stdio::piped());
        let mut text = String::new();
        let caught = self.run(&mut command, way, onto, |command| {
            let mut process = command.spawn().expect("this program again");
            process.stderr.take().expect("stderr").read_to_string(&mut text).expect("figures");
            process.wait().expect("the end");
        });
        assert!(way.must_be_caught() || way.is_other() || caught == 0, "{way:?} caught {caught}");
        if way.must_be_caught() && caught == 0 && onto != Onto::Nothing {
            return None;
        }
        Some(text)
    }

    /// Runs this bench as a child under callgrind and returns how many instructions it took.
    pub(crate) fn instructions(&self, words: &[String], way: Way) -> f64 {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        command.arg(env::current_exe().expect("this program")).args(words).stderr(Stdio::piped());
        let mut text = String::new();
        let caught = self.run(&mut command, way, Onto::Stub, |command| {
            let mut process = command.spawn().expect("valgrind");
            process.stderr.take().expect("stderr").read_to_string(&mut text).expect("figures");
            process.wait().expect("the end");
        });
        assert!(!way.must_be_caught() || caught > 0, "nothing was caught: {text}");
        let collected = text.lines().find_map(|line| line.split("Collected :").nth(1));
        let number = collected.and_then(|number| number.trim().parse().ok());
        number.unwrap_or_else(|| panic!("callgrind says: {text}"))
    }

    /// Gives a command the way's surroundings, lets it run, and returns how much was caught.
    pub(crate) fn run(
        &self,
        command: &mut Command,
        way: Way,
        onto: Onto,
        go: impl FnOnce(&mut Command),
    ) -> u64 {
        let ground = tempfile::tempdir_in("/dev/shm").expect("a directory in /dev/shm");
        let library = logtap_embedded::install(ground.path()).expect("the library installed");
        let (tap, file, socket): (PathBuf, PathBuf, PathBuf) =
            ["tap", "copy", "sink"].map(|name| ground.path().join(name)).into();
        let count = Arc::new(AtomicU64::new(0));
        let collector = Collector::start(Config::new(&tap), Box::new(Null(Arc::clone(&count))))
            .expect("a collector");
        if matches!(way, Way::Socket | Way::OtherSocket) {
            drain(&socket, Arc::clone(&count));
        }
        let log = self.scratch.path().join("append.log");
        let output: Stdio = if onto == Onto::Log {
            OpenOptions::new().create(true).append(true).open(&log).expect("a file").into()
        } else {
            OpenOptions::new().write(true).open("/dev/null").expect("/dev/null").into()
        };
        // Descriptor 1 is the stream that is tapped; 0 is the untapped one.
        let untapped = OpenOptions::new().write(true).open("/dev/zero").expect("/dev/zero");
        command.stdin(untapped).stdout(output);
        let mut preloads: Vec<&Path> = Vec::new();
        match (way, &self.other) {
            (Way::Plain, _) => {}
            (Way::Empty, _) => preloads.extend(self.stub.as_deref()),
            (Way::Mapped, _) => {
                take_constructor_out(&library);
                preloads.push(&library);
            }
            (way, Some(other)) if way.is_other() => preloads.push(other),
            _ => preloads.push(&library),
        }
        if !way.is_silent() {
            let target = match way {
                Way::File | Way::OtherFile | Way::OtherUntapped => {
                    format!("file:{}", file.display())
                }
                Way::Socket | Way::OtherSocket => format!("socket:{}", socket.display()),
                _ => format!("tap:{}", tap.display()),
            };
            command.env("LLT_TARGET", target);
            // Another library waits before it works; nothing of ours does.
            command.env("LLT_PASSIV_ON_START", "0").env("LLT_TARGET_1STCONNECT", "0");
            if onto == Onto::Log {
                command.env("LLT_TAP_FILE", &log);
            } else {
                command.env("LLT_TAP_INTO", "1").env("LLT_STREAMS", "stdout=number");
            }
            if way == Way::Suppressed {
                command.env("LLT_SUPPRESS_TAP_FILE", "true");
            }
        }
        preloads.extend(self.stub.as_deref().filter(|_| onto == Onto::Stub));
        if onto == Onto::Nothing {
            command.args(preloads.drain(..));
        }
        let joined: Vec<String> = preloads.iter().map(|path| path.display().to_string()).collect();
        if !joined.is_empty() {
            command.env("LD_PRELOAD", joined.join(":"));
        }
        go(command);
        collector.stop(Duration::from_secs(2));
        File::create(&log).expect("an empty file");
        let copied = fs::metadata(&file).map_or(0, |metadata| metadata.len());
        count.load(Ordering::Relaxed) + copied
    }
}

/// Reads all that anybody sends to a socket.
fn drain(path: &Path, count: Arc<AtomicU64>) {
    let listener = UnixListener::bind(path).expect("a socket");
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            std::thread::spawn(move || {
                let mut block = vec![0; 1 << 16];
                while let Ok(length @ 1..) = client.read(&mut block) {
                    count.fetch_add(length as u64, Ordering::Relaxed);
                }
            });
        }
    });
}

/// Lets the dynamic loader find no constructor in a library: `DT_INIT_ARRAYSZ` becomes 0.
fn take_constructor_out(library: &Path) {
    const PT_DYNAMIC: usize = 2;
    const DT_INIT_ARRAYSZ: usize = 27;
    let mut bytes = fs::read(library).expect("the library");
    let number = |bytes: &[u8], at: usize, size: usize| {
        bytes[at..at + size].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    // Elf64_Ehdr: e_phoff, e_phnum; Elf64_Phdr: p_type, p_offset, p_filesz; Elf64_Dyn: d_tag, d_val.
    let headers = number(&bytes, 32, 8);
    let dynamic = (0..number(&bytes, 56, 2))
        .map(|index| headers + index * 56)
        .find(|&header| number(&bytes, header, 4) == PT_DYNAMIC)
        .expect("a dynamic section");
    let (start, size) = (number(&bytes, dynamic + 8, 8), number(&bytes, dynamic + 32, 8));
    let entry = (start..start + size)
        .step_by(16)
        .find(|&entry| number(&bytes, entry, 8) == DT_INIT_ARRAYSZ)
        .expect("a constructor");
    bytes[entry + 8..entry + 16].fill(0);
    fs::write(library, bytes).expect("the library without it");
}

/// A library whose `write` does nothing.
fn build_stub(directory: &Path) -> Option<PathBuf> {
    let source = directory.join("stub.c");
    let library = directory.join("libstub.so");
    let code = "#include <unistd.h>\n#include <sys/syscall.h>\n\
        ssize_t write(int d, const void *b, size_t n) { return d > 1 ? syscall(SYS_write, d, b, n) : (ssize_t)n; }\n";
    fs::write(&source, code).expect("the stub's source");
    let status = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    status.is_ok_and(|status| status.success()).then_some(library)
}
