//! CPython's own tests, of whichever Python on this machine has them, module by module.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{Results, Run, compare};
use crate::support::machine::{find, skip};
use crate::support::workspace::command;

/// The first Python that has its tests: Debian keeps them in a package of their own, pyenv installs them.
fn python() -> Option<PathBuf> {
    let versions = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv/versions"));
    let mut others: Vec<PathBuf> = versions
        .and_then(|versions| std::fs::read_dir(versions).ok())
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin/python3")))
        .filter(|python| python.exists())
        .collect();
    // By their numbers: 3.13 comes after 3.9.
    others.sort_by_cached_key(|python| {
        let version = python.iter().rev().nth(2).and_then(|name| name.to_str()).unwrap_or_default();
        version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>()
    });
    let found = find("python3").into_iter().chain(others.into_iter().rev()).find(|python| {
        let mut probe = command(python);
        probe.args(["-c", "import test.test_os, test.libregrtest, test.test_subprocess"]);
        probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    });
    if found.is_none() {
        skip("no Python on this machine has its own tests");
    }
    found
}

/// The verdicts in the XML file that `python -m test --junit-xml` writes.
fn verdicts(report: &str) -> Results {
    let cases = report.split("<testcase ").skip(1);
    cases
        .filter_map(|case| {
            let name = case.split("name=\"").nth(1)?.split('"').next()?;
            let verdict = ["error", "failure", "skipped"]
                .into_iter()
                .find(|verdict| case.contains(&format!("<{verdict}")))
                .unwrap_or("passed");
            Some((name.to_owned(), verdict.to_owned()))
        })
        .collect()
}

fn run(python: &Path, module: &str, run: &Run<'_>) -> Results {
    let report = run.directory().join("report.xml");
    let mut suite = run.command(python);
    suite.args(["-m", "test", "--timeout", "900", "--junit-xml"]).arg(&report).arg(module);
    let (_, stdout, _) = run.to_files(suite);
    let said = std::fs::read_to_string(stdout).unwrap_or_default();
    let results = verdicts(&std::fs::read_to_string(&report).unwrap_or_default());
    assert!(!results.is_empty(), "{module} has no report; it said {said}");
    results
}

macro_rules! modules {
    ($($(#[$mark:meta])* $module:ident)*) => {$(
        #[test]
        $(#[$mark])*
        fn $module() {
            if let Some(python) = python() {
                compare(stringify!($module), |this| run(&python, stringify!($module), this));
            }
        }
    )*};
}

modules! {
    test_fcntl
    test_pty
    test_popen
    test_tempfile
    test_print
    test_fileio
    #[ignore = "takes a minute: .ci/long"]
    test_os
    #[ignore = "takes a minute: .ci/long"]
    test_posix
    #[ignore = "takes minutes: .ci/long"]
    test_io
    #[ignore = "takes minutes: .ci/long"]
    test_subprocess
    #[ignore = "takes minutes: .ci/long"]
    test_signal
    #[ignore = "takes minutes: .ci/long"]
    test_threading
    #[ignore = "takes minutes: .ci/long"]
    test_socket
    #[ignore = "takes minutes: .ci/long"]
    test_select
    #[ignore = "takes minutes: .ci/long"]
    test_faulthandler
    #[ignore = "takes minutes: .ci/long"]
    test_cmd_line
    #[ignore = "takes minutes: .ci/long"]
    test_asyncio
    #[ignore = "takes minutes: .ci/long"]
    test_multiprocessing_fork
    #[ignore = "takes minutes: .ci/long"]
    test_multiprocessing_forkserver
    #[ignore = "takes minutes: .ci/long"]
    test_multiprocessing_spawn
}

#[test]
fn verdicts_are_read_from_a_report() {
    let report = "<testsuites><testsuite><testcase name=\"a.b\" status=\"run\" time=\"0\" />\
        <testcase name=\"a.c\"><skipped>why &lt;error&gt;</skipped></testcase>\
        <testcase name=\"a.d\"><failure message=\"m\">text</failure></testcase></testsuite></testsuites>";
    let read: Vec<(String, String)> = verdicts(report).into_iter().collect();
    let expected = [("a.b", "passed"), ("a.c", "skipped"), ("a.d", "failure")];
    assert_eq!(read, expected.map(|(name, verdict)| (name.to_owned(), verdict.to_owned())));
}
