//! Other people's own tests, run plain and with the library in front: they must come to the same results.
//!
//! Nothing here knows what a result should be: many of these tests fail on some machine for reasons of their own, and
//! do so in both runs. Names of tests and their verdicts are compared. Some fail now and then: a difference counts
//! if three runs of three show it. What takes minutes is `#[ignore]`d here and run by `.ci/long`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::Signal;

use crate::parts::{tap_directory, wait_for_first_sign_of_life};
use crate::support::running::Service;
use crate::support::workspace::{Workspace, command, lean, library};

/// Benchmarks of servers, as their makers ship them.
mod benchmarks;
/// The core utilities' own tests.
mod coreutils;
/// Perl's own tests.
mod perl;
/// CPython's own tests.
mod python;
/// Ruby's own tests.
mod ruby;
/// What shells and the core utilities print and return.
mod shell;

/// What a suite said of each of its tests.
type Results = BTreeMap<String, String>;

/// How often a difference must show.
const ROUNDS: usize = 3;

/// Seconds after which a suite hangs.
const PATIENCE: &str = "1500";

/// A tap directory and the collector that drains it, into nothing: what is looked at is the program.
struct Tap {
    directory: tempfile::TempDir,
    collector: Service,
}

impl Tap {
    fn start() -> Option<Self> {
        let directory = tap_directory()?;
        // Some programs change their user.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o1777))
            .expect("one's own directory can be opened to all");
        let mut collector = command("sh");
        collector.args(["-c", "exec \"$@\" >/dev/null", "sh"]);
        collector.arg(lean("logtap-collector")).arg("--tap").arg(directory.path());
        collector.args(["--to", "-"]);
        let collector = Service::start(collector, Path::new("/"));
        wait_for_first_sign_of_life(&collector, directory.path());
        Some(Self { directory, collector })
    }

    /// How many lines the collector has seen, by its own last words.
    fn stop(self) -> u64 {
        let outcome = self.collector.stop(Signal::TERM, &[]);
        assert!(outcome.status.success(), "the collector: {outcome:?}");
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        let number = |word: &str| word.strip_prefix("lines=")?.parse().ok();
        said.split_whitespace().filter_map(number).next_back().unwrap_or_else(|| panic!("{said}"))
    }
}

/// One run of a suite: where it happens, and whether it is tapped.
struct Run<'a> {
    workspace: &'a Workspace,
    tap: Option<&'a Tap>,
}

impl Run<'_> {
    /// A directory of this run's own.
    fn directory(&self) -> PathBuf {
        self.workspace.directory(if self.tap.is_some() { "tapped" } else { "plain" })
    }

    /// A program, with the library in front where this run is tapped.
    fn command(&self, program: &Path) -> Command {
        let mut command = command("timeout");
        command.args(["--kill-after", "10", PATIENCE]).arg(program);
        if let Some(tap) = self.tap {
            command.env("LD_PRELOAD", library()).env("LLT_TAP_INTO", "3");
            command.env("LLT_TARGET", format!("tap:{}", tap.directory.path().display()));
            command.env("LLT_TAP_FILE", self.directory().join("*.log"));
        }
        command.current_dir(self.directory()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end; its output is what the files contain.
    fn to_files(&self, mut command: Command) -> (ExitStatus, PathBuf, PathBuf) {
        let (stdout, stderr) = (self.directory().join("stdout"), self.directory().join("stderr"));
        command.stdout(File::create(&stdout).expect("a file"));
        command.stderr(File::create(&stderr).expect("a file"));
        let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        (status, stdout, stderr)
    }
}

/// How a result differs, if it does.
fn differences(plain: &Results, tapped: &Results) -> BTreeMap<String, String> {
    let verdict = |results: &Results, name: &str| {
        results.get(name).cloned().unwrap_or_else(|| "missing".to_owned())
    };
    let mut names: Vec<&String> = plain.keys().chain(tapped.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| plain.get(*name) != tapped.get(*name))
        .map(|name| {
            (
                name.clone(),
                format!("{} plain, {} tapped", verdict(plain, name), verdict(tapped, name)),
            )
        })
        .collect()
}

/// Written past the test runner, which shows what a test prints only when it fails: these counts are worth a look.
fn say(text: &str) {
    std::io::stderr().write_all(format!("{text}\n").as_bytes()).expect("standard error");
}

/// How many tests came to which verdict, where verdicts are words.
fn summary(results: &Results) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for verdict in results.values() {
        let word = if verdict.contains(' ') { "of their own" } else { verdict };
        *counts.entry(word).or_default() += 1;
    }
    format!("{} results, {counts:?}", results.len())
}

/// Runs a suite plain and tapped and compares, again where something differs.
fn compare(suite: &str, run: impl Fn(&Run<'_>) -> Results) {
    let mut left: Option<BTreeMap<String, String>> = None;
    for round in 1..=ROUNDS {
        let workspace = Workspace::new();
        let plain = run(&Run { workspace: &workspace, tap: None });
        let Some(tap) = Tap::start() else { return };
        let tapped = run(&Run { workspace: &workspace, tap: Some(&tap) });
        let lines = tap.stop();
        assert!(!plain.is_empty(), "{suite}: no results");
        assert!(lines > 0, "{suite}: nothing was tapped");
        let mut found = differences(&plain, &tapped);
        if let Some(before) = &left {
            found.retain(|name, _| before.contains_key(name));
        }
        say(&format!(
            "{suite}, round {round}: {}, {lines} lines tapped, differences: {found:#?}",
            summary(&plain)
        ));
        if found.is_empty() {
            return;
        }
        left = Some(found);
    }
    panic!("{suite}: three runs of three differ: {left:#?}");
}

#[test]
fn a_difference_in_any_verdict_is_found() {
    let results = |entries: &[(&str, &str)]| -> Results {
        entries.iter().map(|(name, verdict)| ((*name).to_owned(), (*verdict).to_owned())).collect()
    };
    let plain = results(&[("a", "passed"), ("b", "failed"), ("c", "skipped")]);
    assert!(differences(&plain, &plain).is_empty());
    let tapped = results(&[("a", "failed"), ("b", "failed"), ("d", "passed")]);
    let found: Vec<String> = differences(&plain, &tapped).into_values().collect();
    assert_eq!(
        found,
        [
            "passed plain, failed tapped",
            "skipped plain, missing tapped",
            "missing plain, passed tapped"
        ]
    );
}
