//! Ruby's own tests of input, output, processes and signals, with the machine's ruby. Debian has them in the source package
//! only: `.ci/install` unpacks them.

use std::path::Path;

use super::{Results, Run, compare};
use crate::support::machine::{require, require_sources};

/// The verdicts of a run with `-v`: each test has a line, and those that failed are named again at the end, numbered.
fn verdicts(said: &str) -> Results {
    let name = |line: &str| {
        let (begin, rest) = line.split_once("] ")?;
        begin.starts_with('[').then_some(())?;
        Some(rest.split(" = ").next()?.trim().to_owned())
    };
    let mut results: Results =
        said.lines().filter_map(name).map(|name| (name, "passed".to_owned())).collect();
    let mut lines = said.lines();
    while let Some(line) = lines.next() {
        let Some((number, word)) = line.trim().split_once(") ") else { continue };
        let word = word.trim_end_matches(':');
        if number.parse::<u32>().is_err() || !["Error", "Failure", "Skipped"].contains(&word) {
            continue;
        }
        // `TestIO#test_name [FILE:LINE]:` or the like.
        let named = lines.next().and_then(|line| line.split([' ', ':']).next()).unwrap_or_default();
        results.insert(named.to_owned(), word.to_lowercase());
    }
    results
}

fn run(ruby: &Path, sources: &Path, suite: &str, run: &Run<'_>) -> Results {
    let mut command = run.command(ruby);
    // In the same order each time.
    command.args(["-W0", "-I", "tool/lib", "-I", "test/lib", "test/runner.rb", "--seed=1", "-v"]);
    command.arg(format!("--ruby={}", ruby.display())).arg(format!("test/ruby/{suite}.rb"));
    command.env("TMPDIR", run.directory()).current_dir(sources);
    let (_, stdout, _) = run.to_files(command);
    let said = std::fs::read(stdout).expect("a file");
    verdicts(&String::from_utf8_lossy(&said))
}

macro_rules! suites {
    ($($(#[$mark:meta])* $suite:ident)*) => {$(
        #[test]
        $(#[$mark])*
        fn $suite() {
            let (Some(ruby), Some(sources)) = (require("ruby"), require_sources("ruby")) else { return };
            compare(stringify!($suite), |this| run(&ruby, &sources, stringify!($suite), this));
        }
    )*};
}

suites! {
    test_system
    test_beginendblock
    test_signal
    #[ignore = "takes minutes: .ci/long"]
    test_io
    #[ignore = "takes minutes: .ci/long"]
    test_process
    #[ignore = "takes minutes: .ci/long"]
    test_argf
}

#[test]
fn verdicts_are_read_from_a_report() {
    let said = "# Running tests:\n\n[ 1/3] TestIO#test_one = 0.12 s\n[ 2/3] TestIO#test_two = 0.00 s\n\
                [ 3/3] TestIO#test_three = 0.00 s\n\n  1) Error:\nTestIO#test_two:\nLoadError: none\n\
                \x20 2) Failure:\nTestIO#test_three [/a/test_io.rb:7]:\n<1> expected\n";
    let read: Vec<(String, String)> = verdicts(said).into_iter().collect();
    let expected = [
        ("TestIO#test_one", "passed"),
        ("TestIO#test_three", "failure"),
        ("TestIO#test_two", "error"),
    ];
    assert_eq!(read, expected.map(|(name, verdict)| (name.to_owned(), verdict.to_owned())));
}
