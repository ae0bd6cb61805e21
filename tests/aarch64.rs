//! The library for aarch64, built by Rust 1.85 and loaded into C programs of that architecture, which an emulator
//! runs: what they show is the same with and without it, and the capture has all of it.
//!
//! The emulator works on system calls, inside one process of this machine. So this shows that the code is right: calls
//! and their numbers, the assembly, the layout of the C libraries, what rings contain. It cannot show
//! * the order of memory accesses: both the emulator and the machine below keep to x86's (the protocol itself is
//!   checked against the weaker model by `crates/wire/tests/loom.rs`);
//! * other page sizes than 4 KiB, and the kernel's own vDSO: the emulator has one of its own;
//! * programs started by name: the kernel of this machine cannot, so they start again through a script that calls the
//!   emulator;
//! * vfork that shares memory, and clone with unusual flags: the emulator makes forks of them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::parts::Parts;
use crate::support::capture;
use crate::support::compile::compile;
use crate::support::difference::{Order, difference, difference_of_texts};
use crate::support::machine::{require, skip};
use crate::support::running::{Outcome, Streams, lines, run};
use crate::support::workspace::{Workspace, command, copy_program, repository};

const COMPILER: &str = "aarch64-linux-gnu-gcc";

/// The library, built when the first test asks for it. The compiler is the one that `.ci/install` unpacks.
pub(crate) fn library() -> Option<PathBuf> {
    static BUILT: OnceLock<Option<String>> = OnceLock::new();
    require(COMPILER)?;
    let rust = std::env::var_os("LOGTAP_RUST_ROOT")
        .map_or_else(|| repository("target/rust-1.85"), PathBuf::from);
    if !rust.join("rustc").exists() {
        skip(&format!("no Rust for aarch64 in `{}`", rust.display()));
        return None;
    }
    let complaint = BUILT.get_or_init(|| {
        let output = Command::new(repository(".ci/aarch64")).output().expect("the script runs");
        let failed = !output.status.success();
        failed.then(|| String::from_utf8_lossy(&output.stderr).into_owned())
    });
    assert!(complaint.is_none(), "{}", complaint.as_deref().unwrap_or_default());
    Some(repository("target/aarch64/liblogtap.so"))
}

/// A C library for aarch64, and how programs are linked against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Libc {
    /// The cross compiler's own glibc.
    Glibc,
    /// A glibc whose dprintf writes by itself, below the same programs.
    NewGlibc,
    Musl,
}

/// Where `.ci/install` unpacks the emulator, a newer glibc, and musl.
fn unpacked() -> Option<PathBuf> {
    let root = std::env::var_os("LOGTAP_AARCH64_ROOT")
        .map_or_else(|| repository("target/aarch64/debian"), PathBuf::from);
    if root.join("complete").exists() {
        return Some(root);
    }
    skip(&format!("no emulator of aarch64 in `{}`", root.display()));
    None
}

impl Libc {
    /// What stands for `/` where the program looks for its libraries.
    fn root(self) -> Option<PathBuf> {
        match self {
            Self::Glibc => Some(PathBuf::from("/usr/aarch64-linux-gnu")),
            Self::NewGlibc | Self::Musl => unpacked(),
        }
    }

    fn compile(self, source: &str) -> Option<PathBuf> {
        if self != Self::Musl {
            // As distributions compile: calls go through the checking twins of dprintf.
            let flags = ["-O2", "-D_FORTIFY_SOURCE=2", "-pthread", "-Wno-unused-result"];
            return compile(COMPILER, source, &flags);
        }
        let root = unpacked()?;
        let root = root.to_str().expect("tests use plain paths");
        let (headers, libraries) = (
            format!("{root}/usr/include/aarch64-linux-musl"),
            format!("{root}/usr/lib/aarch64-linux-musl"),
        );
        let objects = ["crt1.o", "crti.o", "crtn.o"].map(|name| format!("{libraries}/{name}"));
        let mut flags = vec!["-O1", "-nostdinc", "-isystem", &headers];
        flags.extend(["-nostartfiles", "-nodefaultlibs", "-L", &libraries]);
        flags.extend(objects.iter().map(String::as_str));
        flags.extend(["-lc", "-lgcc", "-Wl,-dynamic-linker,/lib/ld-musl-aarch64.so.1"]);
        compile(COMPILER, source, &flags)
    }
}

/// A program of the other architecture.
struct Guest {
    emulator: PathBuf,
    root: PathBuf,
    program: PathBuf,
    library: PathBuf,
    workspace: Workspace,
}

impl Guest {
    fn new(libc: Libc, source: &str) -> Option<Self> {
        let (emulator, library) = (unpacked()?.join("usr/bin/qemu-aarch64"), library()?);
        let (root, program) = (libc.root()?, libc.compile(source)?);
        Some(Self { emulator, root, program, library, workspace: Workspace::new() })
    }

    /// The emulator with the program; the library is in the program's environment only, since the emulator
    /// itself is a program of this machine.
    fn command(&self, preloaded: bool) -> Command {
        let mut guest = command(&self.emulator);
        guest.arg("-L").arg(&self.root);
        if preloaded {
            guest.arg("-E").arg(format!("LD_PRELOAD={}", self.library.display()));
        }
        guest.arg(&self.program);
        guest
    }

    /// A script that starts the program again, as the kernel would by its name.
    fn script(&self, directory: &Path, preloaded: bool) -> PathBuf {
        let path = directory.join("again");
        let command = self.command(preloaded);
        let words: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| format!("'{}'", word.to_str().expect("tests use plain paths")))
            .collect();
        let text = path.with_extension("text");
        std::fs::write(&text, format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" ")))
            .expect("the script");
        copy_program(&text, &path);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        path
    }

    fn run(&self, name: &str, how: &How, preload: Option<&Parts>) -> (PathBuf, Outcome) {
        let directory = self.workspace.directory(name);
        let mut guest = self.command(preload.is_some());
        for argument in how.arguments {
            if *argument == "AGAIN" {
                // The same name in both runs, since programs may show it.
                self.script(&directory, preload.is_some());
                guest.arg("./again");
            } else {
                guest.arg(argument);
            }
        }
        if let Some(parts) = preload {
            tapped_by(parts, &mut guest);
            if let Some(file) = how.file {
                guest.env("LLT_TAP_FILE", directory.join(file));
            }
        }
        let outcome = run(guest, Streams::Pipes, &directory, how.left);
        (directory, outcome)
    }
}

fn tapped_by(parts: &Parts, guest: &mut Command) {
    guest.env("LLT_TARGET", format!("tap:{}", parts.tap().display()));
    // Nothing is to be lost, however slow the collector is.
    guest.env("LLT_TAP_INTO", "3").env("LLT_ON_FULL", "wait:60000");
}

/// How a program is called and compared.
struct How {
    arguments: &'static [&'static str],
    /// A log file that is tapped.
    file: Option<&'static str>,
    /// The files that it leaves; all parts of the log file first, in their order.
    left: &'static [&'static str],
    /// How many of them are the log's.
    parts: usize,
    order: Order,
}

const PLAIN: How = How { arguments: &[], file: None, left: &[], parts: 0, order: Order::Total };

fn how(name: &str) -> How {
    match name {
        "calls" => How {
            file: Some("calls.log"),
            left: &["calls.log", "secret.key", "elsewhere.txt"],
            parts: 1,
            ..PLAIN
        },
        "files" => How {
            file: Some("app.log"),
            left: &["app.log.1", "app.log", "secret.key"],
            parts: 2,
            ..PLAIN
        },
        "threads" => How { arguments: &["4", "1000"], order: Order::PerWriter, ..PLAIN },
        "generations" => How { arguments: &["3", "AGAIN", "first"], ..PLAIN },
        _ => PLAIN,
    }
}

fn compare(libc: Libc, name: &str) {
    let Some(guest) = Guest::new(libc, &format!("{name}.c")) else { return };
    let Some(parts) = Parts::start(&guest.workspace) else { return };
    let how = how(name);
    let (_, plain) = guest.run("plain", &how, None);
    let (directory, tapped) = guest.run("tapped", &how, Some(&parts));
    let log: Vec<u8> =
        how.left[..how.parts].iter().flat_map(|part| tapped.files[*part].clone()).collect();
    let all = [&tapped.stdout, &tapped.stderr, &log].map(|text| lines(text).len()).iter().sum();
    let captured = parts.stop(all);
    let mut found = Vec::new();
    let mut same = |what: &str, expected: &[u8], got: &[u8]| {
        let text = if how.order == Order::Total {
            difference_of_texts(expected, got)
        } else {
            difference(&lines(expected), &lines(got), how.order)
        };
        found.extend(text.map(|text| format!("{what}: {text}")));
    };
    same("visible stdout", &plain.stdout, &tapped.stdout);
    same("visible stderr", &plain.stderr, &tapped.stderr);
    for file in how.left {
        same(file, &plain.files[*file], &tapped.files[*file]);
    }
    let mut caught = |what: &str, expected: &[u8], got: &[Vec<u8>]| {
        let text = difference(&lines(expected), got, how.order);
        found.extend(text.map(|text| format!("captured {what}: {text}")));
    };
    caught("stdout", &tapped.stdout, &capture::of_stream(&captured, "stdout"));
    caught("stderr", &tapped.stderr, &capture::of_stream(&captured, "stderr"));
    if let Some(file) = how.file {
        caught(file, &log, &capture::of_file(&captured, &directory.join(file)));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert_eq!(plain.status, tapped.status, "{tapped:?}");
    assert_eq!(captured.len(), all, "something of nobody's was captured");
    assert!(all > 0, "{tapped:?}");
}

/// The table: each row is a C library and the programs that run on it.
macro_rules! compared {
    ($($module:ident: $libc:ident => $($name:ident)*;)*) => {$(
        mod $module {
            $(
                #[test]
                fn $name() {
                    super::compare(super::Libc::$libc, stringify!($name));
                }
            )*
        }
    )*};
}

compared! {
    glibc: Glibc => calls stdio wide threads generations files lines signals variadic;
    new_glibc: NewGlibc => calls stdio variadic generations;
    musl: Musl => calls stdio threads generations files variadic;
}

#[test]
fn what_is_suppressed_is_in_the_capture() {
    let Some(guest) = Guest::new(Libc::Glibc, "stdio.c") else { return };
    let (_, plain) = guest.run("plain", &PLAIN, None);
    let Some(parts) = Parts::start(&guest.workspace) else { return };
    let mut tapped = guest.command(true);
    tapped_by(&parts, &mut tapped);
    tapped.env("LLT_SUPPRESS_STDOUT", "true");
    let outcome = run(tapped, Streams::Pipes, guest.workspace.path(), &[]);
    assert_eq!(outcome.status, plain.status);
    let captured = parts.stop(lines(&plain.stdout).len() + lines(&plain.stderr).len());
    for (stream, shown) in [("stdout", &plain.stdout), ("stderr", &plain.stderr)] {
        let caught = capture::of_stream(&captured, stream);
        assert_eq!(difference(&lines(shown), &caught, Order::Total), None, "{stream}");
    }
    // A collector that is kept from running for two seconds lets writes through again, in addition.
    assert!(outcome.stdout.len() < plain.stdout.len(), "nothing was suppressed");
}
