//! What the shells and the core utilities print, return and leave behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Results, Run, compare};
use crate::support::machine::require;

/// Each line is a test: a script whose output, both streams, and status are its verdict.
const SCRIPTS: &str = include_str!("../apps/coreutils.txt");

fn run(shell: &Path, run: &Run<'_>) -> Results {
    let mut results = BTreeMap::new();
    for script in SCRIPTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut command = run.command(shell);
        command.args(["-c", script]);
        let (status, stdout, stderr) = run.to_files(command);
        let text = |path: PathBuf| {
            let bytes = std::fs::read(path).expect("the shell's output");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let verdict = format!("{status}: {:?} {:?}", text(stdout), text(stderr));
        results.insert(script.to_owned(), verdict);
    }
    results
}

macro_rules! shells {
    ($($shell:ident)*) => {$(
        #[test]
        fn $shell() {
            let Some(shell) = require(stringify!($shell)) else { return };
            compare(stringify!($shell), |this| run(&shell, this));
        }
    )*};
}

shells! { bash dash }
