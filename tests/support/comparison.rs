//! The comparison: a program runs plain and under `logtap run`, in the same way and in directories
//! that look alike. What it shows, leaves in files and returns must be the same, and the capture must
//! hold exactly its lines, once, under the right labels and in order.
//!
//! Refuses to compare a tapped program with anything but its own plain self: no expected output is
//! written down anywhere.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::capture::{self, Line};
use super::difference::{Order, difference, difference_of_texts, masked, show};
use super::running::{Outcome, Streams, lines, run};
use super::workspace::{Workspace, command, logtap};

/// A log file that a program writes.
struct LogFile {
    /// Its name when it is opened, relative to where the program runs, and so its label.
    name: &'static str,
    /// Where its content is in the end, in order; more than one after a rotation.
    parts: Vec<&'static str>,
}

impl LogFile {
    fn content(&self, outcome: &Outcome) -> Option<Vec<u8>> {
        let parts: Vec<&Vec<u8>> =
            self.parts.iter().filter_map(|part| outcome.files.get(*part)).collect();
        if parts.is_empty() { None } else { Some(parts.into_iter().flatten().copied().collect()) }
    }
}

/// What can be known of a program's stderr where both streams are one pipe or terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stderr {
    /// It is what goes through descriptor 2 and its copies.
    Own,
    /// Some of it goes through other descriptors.
    HandedOn,
    /// Nothing.
    Unknown,
}

/// A program and how to compare it.
pub(crate) struct Program {
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    files: Vec<LogFile>,
    order: Order,
    streams: Vec<Streams>,
    stderr: Stderr,
    times_vary: bool,
}

impl Program {
    /// A program with its arguments, compared in every way.
    pub(crate) fn new<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self {
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            files: Vec::new(),
            order: Order::Total,
            streams: Streams::ALL.to_vec(),
            stderr: Stderr::Own,
            times_vary: false,
        }
    }

    /// Adds arguments.
    pub(crate) fn arguments<A: Into<OsString>>(
        mut self,
        more: impl IntoIterator<Item = A>,
    ) -> Self {
        self.arguments.extend(more.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn environment(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Names a log file that it writes, relative to where it runs, which is tapped.
    pub(crate) fn file(self, name: &'static str) -> Self {
        self.rotated_file(name, &[name])
    }

    /// Names a log file that it writes and renames meanwhile, and where its content is in the end.
    pub(crate) fn rotated_file(mut self, name: &'static str, parts: &[&'static str]) -> Self {
        self.files.push(LogFile { name, parts: parts.to_vec() });
        self
    }

    /// It has several writers at once.
    pub(crate) fn several_writers(mut self) -> Self {
        self.order = Order::PerWriter;
        self
    }

    /// Compares only in these ways.
    pub(crate) fn only(mut self, streams: &[Streams]) -> Self {
        self.streams = streams.to_vec();
        self
    }

    /// It writes times or process ids, so that two runs differ in their numbers.
    pub(crate) fn times_vary(mut self) -> Self {
        self.times_vary = true;
        self
    }

    /// No library can be loaded into it: where both streams are one, nothing tells them apart.
    pub(crate) fn not_preloadable(mut self) -> Self {
        self.stderr = Stderr::Unknown;
        self
    }

    /// It gives its stderr to children as their stdout (`>&2`), or opens the terminal once more:
    /// where both streams are one, such lines count as stdout.
    pub(crate) fn hands_its_stderr_on(mut self) -> Self {
        self.stderr = Stderr::HandedOn;
        self
    }

    /// Runs it plain and tapped in every way and reports all that differs, together.
    pub(crate) fn compare(&self) {
        let workspace = Workspace::new();
        // What it writes where; the joined ways cannot tell the streams apart.
        let reference = self.run_plain(Streams::Pipes, &workspace.directory("reference"));
        let mut differences = Vec::new();
        for streams in &self.streams {
            let found = self.differences(*streams, &workspace, &reference);
            differences.extend(found.into_iter().map(|found| format!("{streams:?}: {found}")));
        }
        assert!(differences.is_empty(), "{:?}\n{}", self.arguments, differences.join("\n"));
    }

    /// Runs it without logtap.
    pub(crate) fn run_plain(&self, streams: Streams, directory: &Path) -> Outcome {
        let mut plain = command(self.arguments.first().expect("a program has a name"));
        plain.args(self.arguments.iter().skip(1));
        run(self.with_environment(plain), streams, directory, &self.file_names())
    }

    /// Runs it under `logtap run` with a capture at `capture`.
    pub(crate) fn run_tapped(&self, streams: Streams, directory: &Path, capture: &Path) -> Outcome {
        let mut tapped = command(logtap());
        tapped.args(["run", "-q", "--linger", "60s", "--dir"]).arg(capture);
        tapped.arg("--summary").arg(capture.with_extension("json"));
        for file in &self.files {
            tapped.arg("--file").arg(directory.join(file.name));
        }
        tapped.arg("--").args(&self.arguments);
        run(self.with_environment(tapped), streams, directory, &self.file_names())
    }

    fn file_names(&self) -> Vec<&'static str> {
        self.files.iter().flat_map(|file| file.parts.iter().copied()).collect()
    }

    fn with_environment(&self, mut command: Command) -> Command {
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        command
    }

    fn differences(
        &self,
        streams: Streams,
        workspace: &Workspace,
        reference: &Outcome,
    ) -> Vec<String> {
        let base = workspace.directory(format!("{streams:?}"));
        let here = |name: &str| -> PathBuf {
            let path = base.join(name);
            std::fs::create_dir_all(&path).expect("a fresh directory takes another");
            path
        };
        let plain = self.run_plain(streams, &here("plain"));
        let directory = here("tapped");
        let tapped = self.run_tapped(streams, &directory, &base.join("capture"));

        let mut found = Vec::new();
        let mut shown = |what: &str, plain: &[u8], tapped: &[u8]| {
            let text = if self.times_vary {
                difference(&masked(plain), &masked(tapped), self.order)
            } else if self.order == Order::Total {
                difference_of_texts(plain, tapped)
            } else {
                difference(&lines(plain), &lines(tapped), self.order)
            };
            found.extend(text.map(|text| format!("{what}: {text}")));
        };
        shown("visible stdout", &plain.stdout, &tapped.stdout);
        shown("visible stderr", &plain.stderr, &tapped.stderr);
        for file in &self.files {
            let content = |outcome: &Outcome| {
                file.content(outcome).unwrap_or_else(|| b"(no such file)".to_vec())
            };
            shown(&format!("file {}", file.name), &content(&plain), &content(&tapped));
        }
        if !base.join("capture").is_dir() {
            found.push(format!("no capture; {}", tapped.status));
            return found;
        }
        let summary = std::fs::read(base.join("capture.json")).unwrap_or_default();
        let summary: Value = serde_json::from_slice(&summary).unwrap_or_default();
        for count in ["/total/lost_records", "/total/torn_records", "/undelivered_lines"] {
            if summary.pointer(count).and_then(Value::as_u64) != Some(0) {
                found.push(format!("summary: {count} is {:?}", summary.pointer(count)));
            }
        }
        let captured = capture::read(&base.join("capture"));
        let mut same = |what: &str, expected: &[Vec<u8>], got: &[Vec<u8>]| {
            let text = difference(expected, got, self.order);
            found.extend(text.map(|text| format!("{what}: {text}")));
        };
        let stream = |name: &str| capture::of_stream(&captured, name);
        match streams {
            Streams::Pipes => {
                same("captured stdout", &lines(&tapped.stdout), &stream("stdout"));
                same("captured stderr", &lines(&tapped.stderr), &stream("stderr"));
            }
            Streams::NullStdout => {
                same("captured stdout", &lines(&reference.stdout), &stream("stdout"));
                same("captured stderr", &lines(&tapped.stderr), &stream("stderr"));
            }
            Streams::OnePipe | Streams::Terminal => {
                same("captured stdout and stderr", &lines(&tapped.stdout), &both(&captured));
                let (known, got) = (lines(&reference.stderr), stream("stderr"));
                match self.stderr {
                    Stderr::Own => same("captured stderr", &known, &got),
                    Stderr::HandedOn => {
                        let others = got.into_iter().filter(|line| !known.contains(line));
                        same("captured as stderr", &[], &others.collect::<Vec<_>>());
                    }
                    Stderr::Unknown => {}
                }
            }
        }
        for file in &self.files {
            let expected = lines(&file.content(&tapped).unwrap_or_default());
            let got = capture::of_file(&captured, &directory.join(file.name));
            same(&format!("captured file {}", file.name), &expected, &got);
        }
        let known = |line: &&Line| match line.label("stream") {
            "stdout" | "stderr" => line.label("file").is_empty(),
            "file" => self
                .files
                .iter()
                .any(|file| Path::new(line.label("file")) == directory.join(file.name)),
            _ => false,
        };
        if let Some(line) = captured.iter().find(|line| !known(line)) {
            found.push(format!("nobody wrote {:?} under {:?}", show(&line.text), line.labels));
        }
        if plain.status != tapped.status {
            found.push(format!("exit status: {} plain, {} tapped", plain.status, tapped.status));
        }
        found
    }
}

fn both(captured: &[Line]) -> Vec<Vec<u8>> {
    captured
        .iter()
        .filter(|line| matches!(line.label("stream"), "stdout" | "stderr"))
        .map(|line| line.text.clone())
        .collect()
}
