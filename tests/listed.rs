//! Every file under `tests/` is part of this binary: one that nobody names would never be run.

use std::path::{Path, PathBuf};

use crate::support::workspace::repository;

/// The file that declares the module, and the name that it must declare.
fn declared_in(tests: &Path, file: &Path) -> (PathBuf, String) {
    let name = file.file_stem().and_then(|stem| stem.to_str()).expect("tests have plain names");
    let folder = file.parent().expect("a file is in a folder");
    let parent = if folder == tests { tests.join("main.rs") } else { folder.with_extension("rs") };
    (parent, name.to_owned())
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("an entry").path();
        // What is compiled by the tests, and what they read, is not part of them.
        if path.is_dir() && !path.ends_with("apps") && !path.ends_with("captures") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_of_tests_is_part_of_the_binary() {
    let tests = repository("tests");
    let mut files = Vec::new();
    sources(&tests, &mut files);
    let forgotten: Vec<&PathBuf> = files
        .iter()
        .filter(|file| **file != tests.join("main.rs"))
        .filter(|file| {
            let (parent, name) = declared_in(&tests, file);
            let text = std::fs::read_to_string(&parent).unwrap_or_default();
            !text.lines().any(|line| {
                let line = line.trim_start().trim_start_matches("pub(crate) ");
                line == format!("mod {name};")
            })
        })
        .collect();
    assert!(forgotten.is_empty(), "never run: {forgotten:?}");
    assert!(files.len() > 5, "the listing itself is empty");
}
