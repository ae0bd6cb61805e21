//! Perl's own core tests of input, output, processes and signals, with the machine's perl. Debian has them in the source
//! package only: `.ci/install` unpacks them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Results, Run, compare};
use crate::support::machine::{require, require_sources};
use crate::support::workspace::command;

/// What is over in seconds, all together.
const SHORT: [&str; 30] = [
    "io/argv",
    "io/closepid",
    "io/data",
    "io/defout",
    "io/dup",
    "io/errno",
    "io/fflush",
    "io/fs",
    "io/inplace",
    "io/iofile",
    "io/layers",
    "io/nargv",
    "io/openpid",
    "io/perlio",
    "io/print",
    "io/read",
    "io/say",
    "io/tell",
    "io/utf8",
    "op/die",
    "op/die_exit",
    "op/exec",
    "op/filehandle",
    "op/getpid",
    "op/getppid",
    "op/print",
    "op/sysio",
    "op/tiehandle",
    "op/warn",
    "op/write",
];

/// What sleeps, forks or starts many others.
const LONG: [&str; 19] = [
    "io/crlf",
    "io/eintr",
    "io/eintr_print",
    "io/open",
    "io/pipe",
    "io/socket",
    "io/socketpair",
    "io/through",
    "op/alarm",
    "op/fork",
    "op/kill0",
    "op/magic",
    "op/readline",
    "op/sigdispatch",
    "op/sigsystem",
    "op/sselect",
    "op/stat",
    "op/threads",
    "op/waitpid",
];

/// A tree as these tests expect it: they run in `t`, with the library beside it and themselves as `./perl`.
fn tree(perl: &Path, sources: &Path, directory: &Path) -> PathBuf {
    let script = "cp -r \"$2/t\" . && ln -s \"$1\" t/perl && mkdir lib && \
                  \"$1\" -e 'print join \"\\n\", reverse @INC, \"\"' | while read -r place; do \
                  [ ! -d \"$place\" ] || cp -rs --remove-destination \"$place/.\" lib/ || exit 1; done";
    let mut shell = command("sh");
    shell.args(["-c", script, "sh"]).arg(perl).arg(sources).current_dir(directory);
    let output = shell.output().expect("a shell");
    assert!(output.status.success(), "{output:?}");
    directory.join("t")
}

/// Each number that a test reports, good or bad, and how the test ended.
fn verdicts(test: &str, said: &str, end: &str) -> Results {
    let verdict = |line: &str| {
        let (word, rest) = match line.strip_prefix("not ok ") {
            Some(rest) => ("failed", rest),
            None => ("passed", line.strip_prefix("ok ")?),
        };
        let number: u32 = rest.split(' ').next()?.parse().ok()?;
        Some((format!("{test} {number}"), word.to_owned()))
    };
    let mut results: BTreeMap<_, _> = said.lines().filter_map(verdict).collect();
    results.insert(format!("{test} ends"), end.to_owned());
    results
}

fn run(perl: &Path, sources: &Path, tests: &[&str], run: &Run<'_>) -> Results {
    let place = tree(perl, sources, &run.directory());
    let mut results = Results::new();
    for test in tests {
        let mut one: Command = run.command(perl);
        one.arg(format!("{test}.t")).current_dir(&place);
        let (status, stdout, _) = run.to_files(one);
        let said = std::fs::read(stdout).expect("a file");
        results.extend(verdicts(test, &String::from_utf8_lossy(&said), &status.to_string()));
    }
    results
}

fn compare_all(tests: &[&str]) {
    let (Some(perl), Some(sources)) = (require("perl"), require_sources("perl")) else { return };
    compare("perl", |this| run(&perl, &sources, tests, this));
}

#[test]
fn core_tests() {
    compare_all(&SHORT);
}

#[test]
#[ignore = "takes minutes: .ci/long"]
fn long_core_tests() {
    compare_all(&LONG);
}

#[test]
fn verdicts_are_read_from_the_protocol() {
    let said = "1..3\nok 1 - is fine\nnot ok 2 - is not # TODO\n# why\nok 3\nokay\n";
    let read: Vec<(String, String)> = verdicts("a", said, "exit status: 0").into_iter().collect();
    let expected =
        [("a 1", "passed"), ("a 2", "failed"), ("a 3", "passed"), ("a ends", "exit status: 0")];
    assert_eq!(read, expected.map(|(name, verdict)| (name.to_owned(), verdict.to_owned())));
}
