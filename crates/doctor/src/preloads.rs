//! What LD_PRELOAD and /etc/ld.so.preload name, and whether the loader can use it.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use logtap_program::{Machine, data_symbol, machine};
use serde::Serialize;

use crate::{Finding, memory, text};

/// The library's own mark; its value is the version of the wire format.
const MARK: &str = "LOGTAP_PRELOAD_VERSION";
const SYSTEM_LIST: &str = "/etc/ld.so.preload";
const LIST_LIMIT: u64 = 64 << 10;

/// A library that is named to be preloaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preload {
    /// As it is named.
    #[serde(serialize_with = "crate::path_text::one")]
    pub path: PathBuf,
    /// Version of the wire format, where it is logtap's library.
    pub logtap_version: Option<u32>,
}

/// Judges the value of LD_PRELOAD. `place` finds a path of the program's view of files.
pub fn check(list: &[u8], place: impl Fn(&Path) -> PathBuf) -> (Vec<Preload>, Vec<Finding>) {
    let mut preloads = Vec::new();
    let mut findings = Vec::new();
    let mut system = Vec::new();
    // Absent on most machines; where it cannot be read the loader could not read it either.
    if let Ok(file) = fs::File::open(place(Path::new(SYSTEM_LIST))) {
        let _length = file.take(LIST_LIMIT).read_to_end(&mut system).unwrap_or(0);
    }
    let lines = system
        .split(|byte| *byte == b'\n')
        .map(|line| line.split(|byte| *byte == b'#').next().unwrap_or_default());
    let separators = |byte: &u8| matches!(byte, b' ' | b':' | b'\t');
    let names = list.split(separators).chain(lines.flat_map(|line| line.split(separators)));
    for name in names.filter(|name| !name.is_empty()) {
        let (preload, finding) = one(name, &place);
        preloads.push(preload);
        findings.extend(finding);
    }
    let ours = preloads.iter().filter(|preload| preload.logtap_version.is_some()).count();
    if ours > 1 {
        findings.push(Finding::warning(
            "two_copies",
            "the library is preloaded twice; the first one works",
        ));
    }
    (preloads, findings)
}

/// Version of the wire format of a file that is logtap's library.
pub fn library_version(file: &Path) -> Option<u32> {
    data_symbol(file, MARK)
}

fn one(name: &[u8], place: &impl Fn(&Path) -> PathBuf) -> (Preload, Option<Finding>) {
    let shown = text(name);
    let path = PathBuf::from(&shown);
    let unknown = Preload { path: path.clone(), logtap_version: None };
    if !name.contains(&b'/') {
        // Searched by the loader, in directories that only it knows.
        return (unknown, None);
    }
    let place = place(&path);
    let problem = |what, words: &str, remedy: &str| {
        Some(Finding::problem(what, format!("`{shown}` in LD_PRELOAD {words}")).remedy(remedy))
    };
    if !place.is_file() {
        let finding =
            problem("preload_missing", "is not there", "install it: logtap library --install DIR");
        return (unknown, finding);
    }
    let preload = Preload { logtap_version: library_version(&place), path };
    let finding = if memory::forbids_execution(&place) {
        problem(
            "preload_noexec",
            "is on a mount without the right to execute (noexec), so the loader refuses it",
            "install it elsewhere: logtap library --install DIR",
        )
    } else if fs::File::open(&place).is_err() {
        problem(
            "preload_hidden",
            "may not be read",
            "give it mode 0555, and its directories the right to search",
        )
    } else {
        match machine(&place) {
            Some(built) if built != Machine::of_this_build() => problem(
                "preload_machine",
                &format!("is built for another architecture ({built})"),
                "take the library of the program's architecture",
            ),
            None => problem(
                "preload_damaged",
                "is no library",
                "install it again: logtap library --install DIR",
            ),
            Some(_)
                if preload
                    .logtap_version
                    .is_some_and(|version| version != logtap_wire::VERSION) =>
            {
                problem(
                    "preload_version",
                    "is of another version than this logtap",
                    "install the one of the collector: logtap library --install DIR",
                )
            }
            Some(_) => None,
        }
    };
    (preload, finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_loader_would_refuse_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let text = directory.path().join("text.so");
        fs::write(&text, "no library").unwrap();
        let list = format!("/nowhere/x.so libfoo.so:{}", text.display());
        let (preloads, findings) = check(list.as_bytes(), |path| {
            if path == Path::new(SYSTEM_LIST) { "/nonexistent".into() } else { path.to_owned() }
        });
        assert_eq!(preloads.len(), 3);
        let kinds: Vec<_> = findings.iter().map(|finding| finding.what).collect();
        assert_eq!(kinds, ["preload_missing", "preload_damaged"]);
    }
}
