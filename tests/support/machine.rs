//! Programs that the machine may lack. Refuses to install anything: `.ci/install` does that.

use std::env;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// Set where nothing may be missing; a skipped test fails there.
const REQUIRE_ALL: &str = "LOGTAP_REQUIRE_ALL";

/// Where programs are looked for before `PATH`: the machine's own come before version managers.
const FIRST: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// The program's path, or `None` after saying that the test is skipped.
pub(crate) fn require(program: &str) -> Option<PathBuf> {
    let found = find(program);
    if found.is_none() {
        skip(&format!("`{program}` is not on this machine"));
    }
    found
}

/// Says that a test is skipped, which is a failure where everything is required.
///
/// Written past the test runner, which shows what a test prints only when it fails.
pub(crate) fn skip(reason: &str) {
    assert!(env::var_os(REQUIRE_ALL).is_none(), "skipped under {REQUIRE_ALL}: {reason}");
    say(reason);
}

fn say(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("skipped: {test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("standard error");
}

/// The program's path if it is here.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    FIRST
        .iter()
        .map(PathBuf::from)
        .chain(env::split_paths(&path))
        .map(|directory| directory.join(program))
        .find(|candidate| {
            candidate.metadata().is_ok_and(|metadata| {
                metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
            })
        })
}

/// A program of PostgreSQL, which Debian keeps out of `PATH`; the newest release that is here.
pub(crate) fn require_postgres(program: &str) -> Option<PathBuf> {
    let mut releases: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin").join(program)))
        .filter(|candidate| candidate.is_file())
        .collect();
    releases.sort();
    releases.pop().or_else(|| require(program))
}

/// Where the directories of unpacked glibc releases are, one per Debian release.
pub(crate) fn glibc_roots() -> PathBuf {
    env::var_os("LOGTAP_GLIBC_ROOTS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/glibc"),
        PathBuf::from,
    )
}

/// Parts of somebody's sources that `.ci/install` has unpacked, or `None` after saying that the test is skipped.
pub(crate) fn require_sources(name: &str) -> Option<PathBuf> {
    let all = env::var_os("LOGTAP_SOURCES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/sources"),
        PathBuf::from,
    );
    let root = all.join(name);
    if root.join("complete").exists() {
        return Some(root.canonicalize().expect("it is there"));
    }
    if root.join("unavailable").exists() {
        // Not every mirror of packages has sources: that is nobody's mistake here.
        say(&format!("the mirror of this machine has no sources of `{name}`"));
    } else {
        skip(&format!("no sources of `{name}` in `{}`", root.display()));
    }
    None
}

/// Where the log libraries of other people are, or would be: `python`, `python3`, `node`.
pub(crate) fn clients(name: &str) -> PathBuf {
    env::var_os("LOGTAP_CLIENTS")
        .map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/clients"),
            PathBuf::from,
        )
        .join(name)
}
