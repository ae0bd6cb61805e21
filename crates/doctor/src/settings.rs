//! The `LLT_*` variables of an environment, judged as the library judges them.
//!
//! A value that cannot be read leaves the library inert, and it says so only in debug mode; here every such value is
//! named with its remedy.

use std::path::PathBuf;

use logtap_wire::identity::Streams;
use logtap_wire::pattern;
use logtap_wire::settings::{self as names, OnFull, Target};
use serde::Serialize;

use crate::{Finding, text};

/// Longest list of patterns that the library takes.
const MAX_PATTERNS: usize = 8192;

/// Longest pause between two attempts to connect that the library takes, in seconds.
const LONGEST_PAUSE: u32 = 86_400;

/// What an environment asks of the library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// The variables, as they are.
    pub variables: Vec<(String, String)>,
    /// The tap directory, where the target is one.
    #[serde(serialize_with = "crate::path_text::maybe")]
    pub directory: Option<PathBuf>,
    /// The target that takes raw bytes, `file:PATH` or `socket:PATH`, where it is one of those.
    pub raw_target: Option<String>,
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
        // An empty value is as none.
        if !value.is_empty() {
            has_target |= name == names::TARGET;
            take(&mut asked, &name, value);
        }
        if let Some(finding) = complaint(&name, value) {
            findings.push(finding);
        }
    }
    let nothing = !asked.stdout && !asked.stderr && asked.files.is_empty();
    if nothing && !asked.variables.is_empty() && !crate::has_problem(&findings) {
        findings.push(
            Finding::problem("nothing_asked", "neither a stream nor a file is to be tapped").remedy(
                "set `LLT_TAP_INTO=3` for stdout and stderr, or `LLT_TAP_FILE` to a list of paths",
            ),
        );
    }
    asked.inert = nothing || crate::has_problem(&findings);
    if !has_target && !asked.inert {
        let file = text(names::DEFAULT_TARGET_FILE);
        asked.raw_target = Some(format!("file:{file}"));
        findings.push(
            Finding::warning(
                "default_target",
                format!("`LLT_TARGET` is not set, so copies go to `{file}`"),
            )
            .remedy("set `LLT_TARGET=tap:DIR` to a collector's tap directory"),
        );
    }
    (asked, findings)
}

fn take(asked: &mut Asked, name: &str, value: &[u8]) {
    use std::os::unix::ffi::OsStrExt as _;
    match name {
        names::TARGET => match Target::parse(value) {
            Some(Target::Tap(path)) => {
                asked.directory = Some(std::ffi::OsStr::from_bytes(path).into());
            }
            Some(Target::Socket(_) | Target::File(_)) => asked.raw_target = Some(text(value)),
            None => {}
        },
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
        names::TARGET => (
            Target::parse(value).is_some(),
            "write `tap:DIR`, `socket:PATH` or `file:PATH` with an absolute path (at most 96, 107 or 1000 bytes)",
        ),
        names::TARGET_FIRST_CONNECT | names::TARGET_RECONNECT => {
            (names::time(value, LONGEST_PAUSE).is_some(), "write 0 to 86400 seconds")
        }
        names::EXIT_WAIT => {
            (names::time(value, names::MAX_WAIT).is_some(), "write 0 to 600000 milliseconds")
        }
        names::TAP_INTO => (
            names::tap_into(value).is_some(),
            "write 0 for none, 1 for stdout, 2 for stderr or 3 for both",
        ),
        names::TAP_FILE => {
            if value.len() <= MAX_PATTERNS
                && let Some(relative) = pattern::split(value).find(|path| !pattern::can_match(path))
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
        | names::LINE_BUFFERED
        | names::DEBUG_MODE => (names::truth(value).is_some(), truth),
        names::STREAMS => (
            Streams::parse(value).is_some(),
            "leave it unset outside of `logtap run`; the library finds the streams itself",
        ),
        names::ON_FULL => (
            OnFull::parse(value).is_some(),
            "write `drop`, or `wait:` and 0 to 600000 milliseconds",
        ),
        names::RING_SIZE => {
            (names::ring_size(value).is_some(), "write a size from `64KB` to `64MB`")
        }
        names::CLOCK => (matches!(value, b"fine" | b"coarse" | b""), "write `coarse` or `fine`"),
        names::PASSIV_ON_START => return None,
        other => {
            return Some(
                Finding::warning("unknown_variable", format!("the library knows no `{other}`"))
                    .remedy("see docs/environment.md for those that it knows"),
            );
        }
    };
    (!good && !value.is_empty()).then(|| {
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
        let long = format!("tap:/{}", "x".repeat(names::MAX_DIRECTORY));
        assert_eq!(of(&[("LLT_TARGET", &long), ("LLT_TAP_INTO", "3")]).1, ["bad_setting"]);
    }

    #[test]
    fn what_is_missing_is_named_too() {
        let (asked, found) = of(&[("LLT_TAP_INTO", "3")]);
        assert!(!asked.inert && asked.raw_target.is_some() && found == ["default_target"]);
        let raw = [("LLT_TARGET", "socket:/run/x"), ("LLT_TAP_INTO", "3"), ("LLT_EXIT_WAIT", "9")];
        let (asked, found) = of(&raw);
        assert!(!asked.inert && asked.directory.is_none() && found.is_empty(), "{found:?}");
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
