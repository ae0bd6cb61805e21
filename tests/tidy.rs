//! The rules of the repository that a compiler does not check: layers, headers, names, and that
//! what the documents name is there. Refuses to judge style; that is for readers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::workspace::repository;

/// Which of our crates each of our crates may use. What stands lower stands further up.
const LAYERS: [(&str, &[&str]); 15] = [
    ("logtap-wire", &[]),
    ("logtap-loki", &[]),
    ("logtap-units", &[]),
    ("logtap-arguments", &[]),
    ("logtap-program", &[]),
    ("logtap-capture", &["logtap-loki", "logtap-units"]),
    ("logtap-preload", &["logtap-wire"]),
    ("logtap-embedded", &[]),
    ("logtap-collector", &["logtap-wire", "logtap-loki", "logtap-units", "logtap-arguments"]),
    ("logtap-recv", &["logtap-loki", "logtap-capture", "logtap-units"]),
    ("logtap-analysis", &["logtap-capture"]),
    ("logtap-doctor", &["logtap-wire", "logtap-program"]),
    ("logtap-tui", &["logtap-loki", "logtap-capture", "logtap-units"]),
    ("logtap-injector", &["logtap-embedded", "logtap-program", "logtap-arguments", "logtap-units"]),
    (
        "logtap",
        &[
            "logtap-wire",
            "logtap-loki",
            "logtap-units",
            "logtap-arguments",
            "logtap-program",
            "logtap-doctor",
            "logtap-capture",
            "logtap-embedded",
            "logtap-collector",
            "logtap-recv",
            "logtap-analysis",
            "logtap-tui",
            "logtap-injector",
        ],
    ),
];

/// Nothing of other people in what is loaded into other people's processes.
const ALONE: [&str; 2] = ["logtap-wire", "logtap-preload"];

/// File names that say nothing about what is in the file.
const EMPTY_NAMES: [&str; 7] = ["utils", "util", "helpers", "helper", "common", "types", "misc"];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(repository("."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Files that Git knows or would take, so that what is built or lies about is not looked at.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(repository("."))
        .output()
        .expect("git runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listing = String::from_utf8(output.stdout).expect("plain names");
    let files: Vec<PathBuf> = listing
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .filter(|name| repository(name).is_file())
        .collect();
    assert!(files.len() > 20, "the listing itself is empty");
    files
}

fn read(path: impl AsRef<Path>) -> String {
    let path = repository(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
}

/// The library's variables that a text names.
fn variables(text: &str) -> BTreeSet<String> {
    text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .filter(|word| word.starts_with("LLT_") && word.len() > "LLT_".len())
        .map(str::to_owned)
        .collect()
}

#[test]
fn imports_go_down_only() {
    let layers: BTreeMap<&str, &[&str]> = LAYERS.into_iter().collect();
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in list(&metadata, "packages") {
        let name = text(package, "name");
        let Some(allowed) = layers.get(name) else {
            wrong.push(format!("`{name}` has no place in the layers"));
            continue;
        };
        for dependency in list(package, "dependencies") {
            let used = text(dependency, "name");
            // loom stands in for the atomics in a model of the ring, and only there.
            let in_the_product =
                text(dependency, "kind") != "dev" && text(dependency, "target") != "cfg(loom)";
            let ours = layers.contains_key(used);
            if in_the_product && ours && !allowed.contains(&used) {
                wrong.push(format!("`{name}` uses `{used}`, which is not below it"));
            }
            if in_the_product && !ours && ALONE.contains(&name) {
                wrong.push(format!("`{name}` uses `{used}`, which is not ours"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_formats_know_no_network() {
    let network = ["tokio", "axum", "reqwest", "hyper", "rustls"];
    let metadata = metadata();
    for package in list(&metadata, "packages") {
        if !["logtap-loki", "logtap-capture", "logtap-analysis"].contains(&text(package, "name")) {
            continue;
        }
        for dependency in list(package, "dependencies") {
            let used = text(dependency, "name");
            assert!(!network.contains(&used), "`{}` uses `{used}`", text(package, "name"));
        }
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let silent: Vec<PathBuf> = files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|path| {
            let content = read(path);
            !content.starts_with("//!") && !content.starts_with("#!")
        })
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top: {silent:?}");
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let empty: Vec<PathBuf> = files()
        .into_iter()
        .filter(|path| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            EMPTY_NAMES.contains(&stem) || path.ends_with("mod.rs")
        })
        .collect();
    assert!(empty.is_empty(), "{empty:?}");
}

#[test]
fn the_code_map_of_the_readme_is_true() {
    let readme = read("README.md");
    let map = readme
        .split_once("## Code map")
        .map(|(_, rest)| rest.split("\n## ").next().unwrap_or_default())
        .expect("the README has a code map");
    // Names in backticks that look like paths of this repository.
    let named: BTreeSet<&str> = map
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.contains('/') && !name.contains([' ', '*', '$', '{']))
        .filter(|name| !name.starts_with(['/', '-', '.']) || name.starts_with(".ci/"))
        .collect();
    assert!(named.len() >= 10, "the code map names only {named:?}");
    let missing: Vec<&&str> = named.iter().filter(|name| !repository(name).exists()).collect();
    assert!(missing.is_empty(), "not in the tree: {missing:?}");
}

#[test]
fn every_variable_of_the_library_is_documented() {
    let documented = read("docs/environment.md");
    let variables = variables(&read("crates/wire/src/settings.rs"));
    assert!(variables.len() >= 5, "settings.rs names only {variables:?}");
    let missing: Vec<&String> =
        variables.iter().filter(|name| !documented.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "not in docs/environment.md: {missing:?}");
}

#[test]
fn every_variable_of_a_flag_is_documented() {
    let documented = read("docs/environment.md");
    let mut missing = BTreeSet::new();
    let mut found = 0;
    for path in files() {
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        if !is_source || path.starts_with("tests") {
            continue;
        }
        let content = read(&path);
        for rest in content.split(&["env", " = \""].concat()).skip(1) {
            let name = rest.split('"').next().unwrap_or_default();
            found += 1;
            if !documented.contains(&format!("`{name}`")) {
                missing.insert(format!("{name} in {}", path.display()));
            }
        }
    }
    assert!(found >= 20, "only {found} flags have a variable");
    assert!(missing.is_empty(), "not in docs/environment.md: {missing:?}");
}

#[test]
fn every_variable_in_the_examples_is_one_of_the_library() {
    let known = variables(&read("crates/wire/src/settings.rs"));
    for example in ["README.md", "docker-compose.yaml", "deployment.yaml", "demo/Dockerfile"] {
        let used = variables(&read(example));
        let unknown: Vec<&String> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{example} uses {unknown:?}");
    }
}

#[test]
fn every_shell_script_stops_at_its_first_failure() {
    let careless: Vec<PathBuf> = files()
        .into_iter()
        .filter(|path| path.starts_with(".ci"))
        .filter(|path| !read(path).contains("set -euo pipefail"))
        .collect();
    assert!(careless.is_empty(), "{careless:?}");
}
