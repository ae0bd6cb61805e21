//! A program with thousands of log files: every line is stored under its own file's name.

use std::collections::BTreeMap;

use crate::run_command::{number, summary, tapped};
use crate::support::capture;
use crate::support::compile::compile;
use crate::support::machine::skip;
use crate::support::workspace::Workspace;

/// What the program says where it may not open so many files.
const TOO_FEW_DESCRIPTORS: i32 = 77;

#[test]
fn five_thousand_files_keep_their_names() {
    let Some(program) = compile("gcc", "many_files.c", &["-O1"]) else { return };
    let workspace = Workspace::new();
    let program = program.to_str().expect("tests use plain paths");
    let words = ["--file", "logs/*.log", "--summary", "s.json", "--", program];
    let outcome = tapped(workspace.path(), &words);
    let told = String::from_utf8_lossy(&outcome.stderr).into_owned();
    if outcome.status.code() == Some(TOO_FEW_DESCRIPTORS) {
        return skip("the hard limit of descriptors is below 4,160");
    }
    assert!(outcome.status.success(), "{told}");
    let summary = summary(&workspace.join("s.json"));
    assert_eq!(number(&summary, "/total/lost_records"), 0, "{told}");
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in capture::read(&workspace.join("capture")) {
        let text = String::from_utf8_lossy(&line.text).into_owned();
        lines.entry(line.label("file").to_owned()).or_default().push(text);
    }
    assert_eq!(lines.len(), 5000);
    for file in 0..5000 {
        let name = workspace.join("logs").join(format!("{file}.log"));
        let mut expected = vec![format!("first of {file}"), format!("last of {file}")];
        if file < 4096 {
            expected.insert(1, format!("second of {file}"));
        }
        assert_eq!(lines.get(&name.display().to_string()), Some(&expected));
    }
    assert!(told.contains("and 4990 more") || told.contains("and 4,990 more"), "{told}");
}
