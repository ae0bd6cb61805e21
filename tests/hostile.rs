//! Situations that have broken preload libraries, each named after the behaviour: the program does with the library
//! what it does without, what it shows is captured once, and what it keeps private is not.
//!
//! The programs are in `tests/apps/hostile`, one for each question; their first argument names the situation. All of them
//! run linked against glibc and against musl where that makes sense.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run_command::{number, summary};
use crate::support::capture;
use crate::support::compile::compile;
use crate::support::difference::{Order, difference, difference_of_texts};
use crate::support::running::{Outcome, Streams, lines, run};
use crate::support::workspace::{Workspace, command, logtap};

/// Several copies of the library, and other preloads beside it.
mod chains;
/// Control flow that leaves a hook in an unusual way, and errno.
mod control;
/// Descriptor numbers that change their meaning.
mod descriptors;
/// Log files that move, grow, shrink and are written in unusual ways.
mod files;
/// Log foreign that move, grow, shrink and are written in unusual ways.
mod foreign;
/// Too little of something.
mod limits;
/// The dynamic loader as the program, and tracers that load programs.
mod loaders;
/// Processes that come from others.
mod processes;
/// Processes that forbid themselves system calls.
mod sandboxes;
/// Out of a hook at every instruction.
pub(crate) mod steps;
/// What is around a process, and a tap directory that is not as it should be.
mod surroundings;
/// Bytes that the kernel moves, and writes that do not take all or have to wait.
mod transfers;
/// Ways past the tap: noticed and reported.
mod uncovered;

/// How the small programs are compiled; the kernel's headers are not musl's.
const FLAGS: [&str; 6] = [
    "-O1",
    "-pthread",
    "-idirafter",
    "/usr/include",
    "-idirafter",
    "/usr/include/x86_64-linux-gnu",
];

/// One situation of one program.
struct Situation {
    program: PathBuf,
    arguments: Vec<String>,
    order: Order,
    /// How often it may at most have left a hook half way: so many of its writes to stderr may be missed.
    interrupted: Option<usize>,
}

impl Situation {
    /// Compiles `tests/apps/hostile/SOURCE.c`; `None` where the compiler is missing.
    fn new(compiler: &str, source: &str, name: &str) -> Option<Self> {
        let program = compile(compiler, &format!("hostile/{source}.c"), &FLAGS)?;
        Some(Self {
            program,
            arguments: vec![name.to_owned()],
            order: Order::Total,
            interrupted: None,
        })
    }

    /// Several writers at once: each one's lines come in order.
    fn several_writers(mut self) -> Self {
        self.order = Order::PerWriter;
        self
    }

    /// It leaves hooks half way, at most so often.
    fn interrupted(mut self, times: usize) -> Self {
        self.interrupted = Some(times);
        self
    }

    /// Adds an argument.
    fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// The program plain.
    fn plain(&self) -> Command {
        let mut plain = command(&self.program);
        plain.args(&self.arguments);
        plain
    }

    /// Runs it plain and tapped and reports all that differs.
    fn compare(&self) {
        let workspace = Workspace::new();
        let expected = self.run_plain(&workspace);
        let (seen, capture) = self.run_tapped(&workspace, &[]);
        self.assert_same(&expected, &seen);
        self.assert_captured(&workspace, &seen, &capture);
        assert_nothing_lost(&capture, self.interrupted.unwrap_or(0));
    }

    fn run_plain(&self, workspace: &Workspace) -> Outcome {
        let outcome = run(self.plain(), Streams::Pipes, &workspace.directory("plain"), &[]);
        assert_ne!(outcome.status.code(), Some(99), "{:?} is no situation", self.arguments);
        assert_ne!(outcome.status.code(), Some(98), "{outcome:?}");
        outcome
    }

    /// Runs it under `logtap run` with these words, its `*.log` files tapped; what it did, and the capture.
    fn run_tapped(&self, workspace: &Workspace, words: &[&str]) -> (Outcome, PathBuf) {
        let directory = workspace.directory("tapped");
        let capture = workspace.join("capture");
        let mut tapped = command(logtap());
        tapped.args(["run", "-q", "--linger", "60s", "--dir"]).arg(&capture);
        tapped.arg("--summary").arg(capture.with_extension("json"));
        tapped.arg("--file").arg(directory.join("*.log")).args(words);
        tapped.arg("--").arg(&self.program).args(&self.arguments);
        (run(tapped, Streams::Pipes, &directory, &[]), capture)
    }

    /// What the program shows, and how it ends.
    fn assert_same(&self, expected: &Outcome, seen: &Outcome) {
        for (plain, tapped) in [(&expected.stdout, &seen.stdout), (&expected.stderr, &seen.stderr)]
        {
            let text = match self.order {
                Order::Total => difference_of_texts(plain, tapped),
                // How much several writers get to write differs from run to run.
                Order::PerWriter => None,
            };
            assert_eq!(text, None, "visible, {:?}", self.arguments);
        }
        assert_eq!(seen.status, expected.status, "{:?}", self.arguments);
    }

    /// The capture holds exactly what is visible on the streams and in the log files.
    fn assert_captured(&self, workspace: &Workspace, seen: &Outcome, capture: &Path) {
        let captured = capture::read(capture);
        let same = |what: &str, expected: &[Vec<u8>], got: &[Vec<u8>]| {
            let text = difference(expected, got, self.order);
            assert_eq!(text, None, "captured {what}, {:?}", self.arguments);
        };
        same("stdout", &lines(&seen.stdout), &capture::of_stream(&captured, "stdout"));
        let (shown, caught) = (lines(&seen.stderr), capture::of_stream(&captured, "stderr"));
        match self.interrupted {
            None => same("stderr", &shown, &caught),
            Some(times) => {
                let range = shown.len().saturating_sub(times)..=shown.len();
                assert!(range.contains(&caught.len()), "{} not in {range:?}", caught.len());
            }
        }
        let files = log_files(&workspace.join("tapped"));
        let labels: BTreeSet<&str> = captured
            .iter()
            .map(|line| line.label("file"))
            .filter(|file| !file.is_empty())
            .collect();
        let known: BTreeSet<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(labels, known, "{:?}", self.arguments);
        for (file, content) in &files {
            same(file, &lines(content), &capture::of_file(&captured, Path::new(file)));
        }
    }
}

/// The content of each log file with something in it, by its path, what was rotated away first.
fn log_files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory).expect("the program's directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let name = path.to_str().expect("the programs use plain names");
            let Some(end) = name.find(".log").map(|at| at + 4) else { continue };
            let (first, rotated) = (&name[..end], &name[end..]);
            let content = std::fs::read(&path).expect("a log file");
            let parts: &mut BTreeMap<String, Vec<u8>> = files.entry(first.to_owned()).or_default();
            parts.insert(rotated.to_owned(), content);
        }
    }
    // `.2` before `.1` before the present one.
    let joined = files
        .into_iter()
        .map(|(name, parts)| (name, parts.into_values().rev().flatten().collect::<Vec<u8>>()));
    joined.filter(|(_, content)| !content.is_empty()).collect()
}

/// Nothing lost, and at most so many writes torn.
fn assert_nothing_lost(capture: &Path, torn: usize) {
    let summary = summary(&capture.with_extension("json"));
    for count in ["/total/lost_records", "/undelivered_lines"] {
        assert_eq!(number(&summary, count), 0, "{count} in {summary:#}");
    }
    assert!(number(&summary, "/total/torn_records") <= torn as u64, "{summary:#}");
}

/// The table of a program: a compiler and its situations.
macro_rules! situations {
    ($source:literal: $($module:ident $compiler:literal => $($name:ident)*;)*) => {$(
        mod $module {
            $(
                #[test]
                fn $name() {
                    let situation = stringify!($name);
                    if let Some(one) = super::super::Situation::new($compiler, $source, situation) {
                        one.compare();
                    }
                }
            )*
        }
    )*};
}
use situations;
