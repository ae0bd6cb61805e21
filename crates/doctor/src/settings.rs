//! The `LLT_*` variables of an environment, judged as the library judges them.
//!
//! A value that cannot be read leaves the library inert, and it says so only in debug mode; here every such value is
//! named with its remedy.

use std::path::PathBuf;

use logtap_wire::identity::Streams;
use logtap_wire::pattern;
use logtap_wire::settings::{self as names, OnFull};
use serde::Serialize;

use crate::{Finding, text};

/// Longest directory of a target, and longest list of patterns, that the library takes.
const MAX_DIRECTORY: usize = 96;
const MAX_PATTERNS: usize = 8192;

/// Variables of liblogtap that mean nothing to a tap directory, and are no mistake.
const WITHOUT_MEANING: [&str; 4] =
    [names::PASSIV_ON_START, "LLT_TARGET_1STCONNECT", "LLT_TARGET_RECONNECT", "LLT_LINE_BUFFERED"];

/// What an environment asks of the library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// The variables, as they are.
    pub variables: Vec<(String, String)>,
    /// The tap directory, where there is one that the library takes.
    pub directory: Option<PathBuf>,
    /// Whether standard output is to be tapped.
    pub stdout: bool,
    /// Whether standard error is.
    pub stderr: bool,
    /// The file patterns.
    pub files: Vec<String>,
    /// Whether the library stays inert with these values.
    pub inert: bool,
}

/// Reads the variables. The second of two equal names counts, as it does in the library.
pub fn check(environment: &[(Vec<u8>, Vec<u8>)]) -> (Asked, Vec<Finding>) {
    let mut asked = Asked::default();
    let mut findings = Vec::new();
    let mut has_target = false;
    for (name, value) in environment.iter().filter(|(name, _)| name.starts_with(b"LLT_")) {
        let name = text(name);
        asked.variables.push((name.clone(), text(value)));
        has_target |= name == names::TARGET;
        take(&mut asked, &name, value);
        if let Some(finding) = complaint(&name, value) {
            findings.push(finding);
        }
    }
    let nothing = !asked.stdout && !asked.stderr && asked.files.is_empty();
    if !has_target {
        if !asked.variables.is_empty() {
            findings.push(
                Finding::problem("no_target", "`LLT_TARGET` is not set, so nothing is tapped")
                    .remedy("set `LLT_TARGET=tap:DIR` to a collector's tap directory"),
            );
        }
    } else if nothing && !crate::has_problem(&findings) {
        findings.push(
            Finding::problem("nothing_asked", "neither a stream nor a file is to be tapped")
                .remedy("set `LLT_TAP_INTO=3` for stdout and stderr, or `LLT_TAP_FILE` to a list of paths"),
        );
    }
    asked.inert = !has_target || nothing || crate::has_problem(&findings);
    (asked, findings)
}

fn take(asked: &mut Asked, name: &str, value: &[u8]) {
    use std::os::unix::ffi::OsStrExt as _;
    match name {
        names::TARGET => {
            let directory = names::tap_directory(value).filter(|path| path.len() <= MAX_DIRECTORY);
            asked.directory = directory.map(|path| std::ffi::OsStr::from_bytes(path).into());
        }
        names::TAP_INTO => {
            (asked.stdout, asked.stderr) = names::tap_into(value).unwrap_or_default();
        }
        names::TAP_FILE => asked.files = pattern::split(value).map(text).collect(),
        _ => {}
    }
}

/// What is wrong with one variable.
fn complaint(name: &str, value: &[u8]) -> Option<Finding> {
    let truth = "write `true` or `false`";
    let (good, remedy) = match name {
        names::TARGET => match names::tap_directory(value) {
            Some(path) if path.len() > MAX_DIRECTORY => {
                (false, "take a directory whose path has at most 96 bytes")
            }
            found => (found.is_some(), "write `tap:` and the absolute path of a tap directory"),
        },
        names::TAP_INTO => (
            names::tap_into(value).is_some(),
            "write 0 for none, 1 for stdout, 2 for stderr or 3 for both",
        ),
        names::TAP_FILE => {
            if value.len() <= MAX_PATTERNS
                && let Some(relative) = pattern::split(value)
                    .find(|path| !path.starts_with(b"/") && !path.starts_with(b"*"))
            {
                let relative = text(relative);
                return Some(
                    Finding::warning(
                        "relative_pattern",
                        format!("`{relative}` in `LLT_TAP_FILE` never matches: paths are absolute"),
                    )
                    .remedy(format!("write the whole path, or `**/{relative}`")),
                );
            }
            (value.len() <= MAX_PATTERNS, "shorten the list to 8192 bytes, with globs")
        }
        names::SUPPRESS_STDOUT
        | names::SUPPRESS_STDERR
        | names::SUPPRESS_TAP_FILE
        | names::DEBUG_MODE => (names::truth(value).is_some(), truth),
        names::STREAMS => (
            Streams::parse(value).is_some(),
            "leave it unset outside of `logtap run`; the library finds the streams itself",
        ),
        names::ON_FULL => (
            OnFull::parse(value).is_some(),
            "write `drop`, or `wait:` and 0 to 600000 milliseconds",
        ),
        names::RING_SIZE => (names::ring_size(value).is_some(), "write a size from `64K` to `64M`"),
        names::CLOCK => (matches!(value, b"fine" | b"coarse" | b""), "write `coarse` or `fine`"),
        other if WITHOUT_MEANING.contains(&other) => return None,
        other => {
            return Some(
                Finding::warning("unknown_variable", format!("the library knows no `{other}`"))
                    .remedy("see docs/environment.md for those that it knows"),
            );
        }
    };
    (!good).then(|| {
        let value = text(value);
        Finding::problem(
            "bad_setting",
            format!("`{name}` has the value `{value}`, with which the library stays inert"),
        )
        .remedy(remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> (Asked, Vec<&'static str>) {
        let environment: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect();
        let (asked, findings) = check(&environment);
        (asked, findings.iter().map(|finding| finding.what).collect())
    }

    #[test]
    fn good_values_are_taken_and_bad_ones_named() {
        let (asked, found) = of(&[
            ("LLT_TARGET", "tap:/dev/shm/x"),
            ("LLT_TAP_INTO", "1"),
            ("LLT_TAP_FILE", "/a/*.log:/b"),
            ("LLT_PASSIV_ON_START", "100"),
            ("PATH", "/bin"),
        ]);
        assert!(!asked.inert && asked.stdout && !asked.stderr && found.is_empty(), "{found:?}");
        assert_eq!(asked.files, ["/a/*.log", "/b"]);
        assert_eq!(asked.directory, Some("/dev/shm/x".into()));
        for (name, value) in [
            ("LLT_TARGET", "carrier-pigeon:coop"),
            ("LLT_TARGET", "tap:relative"),
            ("LLT_TAP_INTO", "4"),
            ("LLT_SUPPRESS_STDOUT", "maybe"),
            ("LLT_ON_FULL", "wait"),
            ("LLT_RING_SIZE", "1K"),
            ("LLT_STREAMS", "stdout=1"),
            ("LLT_CLOCK", "sundial"),
        ] {
            let (asked, found) =
                of(&[("LLT_TARGET", "tap:/x"), ("LLT_TAP_INTO", "3"), (name, value)]);
            assert!(asked.inert && found == ["bad_setting"], "{name}={value}: {found:?}");
        }
        let long = format!("tap:/{}", "x".repeat(MAX_DIRECTORY));
        assert_eq!(of(&[("LLT_TARGET", &long), ("LLT_TAP_INTO", "3")]).1, ["bad_setting"]);
    }

    #[test]
    fn what_is_missing_is_named_too() {
        assert_eq!(of(&[("LLT_TAP_INTO", "3")]).1, ["no_target"]);
        assert_eq!(of(&[("LLT_TARGET", "tap:/x")]).1, ["nothing_asked"]);
        let (asked, found) = of(&[]);
        assert!(asked.inert && found.is_empty());
        let (asked, found) =
            of(&[("LLT_TARGET", "tap:/x"), ("LLT_TAP_INTO", "1"), ("LLT_TAP_FLIE", "/x")]);
        assert!(!asked.inert && found == ["unknown_variable"], "{found:?}");
        let (asked, found) = of(&[("LLT_TARGET", "tap:/x"), ("LLT_TAP_FILE", "app.log")]);
        assert!(!asked.inert && found == ["relative_pattern"], "{found:?}");
    }
}
