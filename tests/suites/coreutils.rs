//! The core utilities' own tests, with the machine's programs. Debian has them in the source package only: `.ci/install`
//! unpacks them. Some need a helper that is built with the utilities, and say in both runs that they cannot be run.

use std::path::Path;

use super::{Results, Run, compare};
use crate::support::machine::require_sources;
use crate::support::workspace::command;

/// What the scripts of `tests/misc` that are over in seconds begin with.
const SHORT: [&str; 10] =
    ["cat", "close-stdout", "head", "nohup", "printf", "seq", "tac", "tee", "tr", "yes"];

/// A tree as the scripts expect it: the utilities are in `src`.
fn tree(sources: &Path, directory: &Path) {
    let script = "cp -r \"$1/tests\" \"$1/init.cfg\" . && mkdir src && \
                  for place in /bin /usr/bin; do for name in $2; do \
                  [ ! -x $place/$name ] || ln -sf $place/$name src/; done; done";
    let mut shell = command("sh");
    shell.args(["-c", script, "sh"]).arg(sources).arg(PROGRAMS).current_dir(directory);
    let output = shell.output().expect("a shell");
    assert!(output.status.success(), "{output:?}");
}

/// The utilities that the scripts are told of.
const PROGRAMS: &str = "[ b2sum base32 base64 basename basenc cat chcon chgrp chmod chown chroot cksum comm cp csplit \
    cut date dd df dir dircolors dirname du echo env expand expr factor false fmt fold groups head hostid id install \
    join link ln logname ls md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc numfmt od paste pathchk pinky pr \
    printenv printf ptx pwd readlink realpath rm rmdir runcon seq sha1sum sha224sum sha256sum sha384sum sha512sum shred \
    shuf sleep sort split stat stdbuf stty sum sync tac tail tee test timeout touch tr true truncate tsort tty uname \
    unexpand uniq unlink users vdir wc who whoami yes";

/// What the tests' makefile says to each of them, and a limit for those that hang here.
const RUN_ONE: &str =
    "exec 9>&2; . tests/lang-default; . tests/envvar-check; exec timeout 300 sh \"$0\"";

fn run(sources: &Path, folders: &[&str], is_wanted: fn(&str) -> bool, run: &Run<'_>) -> Results {
    let place = run.directory();
    tree(sources, &place);
    let mut results = Results::new();
    for folder in folders {
        let entries = std::fs::read_dir(place.join("tests").join(folder)).expect("the tests");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().expect("plain")).collect();
        names.sort();
        for name in names.iter().filter(|name| name.ends_with(".sh") && is_wanted(name)) {
            let test = format!("tests/{folder}/{name}");
            let mut one = run.command(Path::new("sh"));
            one.args(["-c", RUN_ONE, &test]).env("TMPDIR", &place).env("srcdir", ".");
            for name in ["abs_srcdir", "abs_top_srcdir", "abs_top_builddir"] {
                one.env(name, &place);
            }
            for (name, value) in [
                ("top_srcdir", "."),
                ("built_programs", PROGRAMS),
                ("host_os", "linux-gnu"),
                ("CONFIG_HEADER", "/dev/null"),
                ("VERSION", "9"),
                ("PACKAGE_VERSION", "9"),
                ("SHELL", "/bin/sh"),
                ("PERL", "perl"),
                ("AWK", "awk"),
                ("EGREP", "grep -E"),
                ("CC", "gcc"),
            ] {
                one.env(name, value);
            }
            let (status, _, _) = run.to_files(one);
            results.insert(test, status.to_string());
        }
    }
    // What was skipped or could not be set up shows nothing.
    let passed = results.values().filter(|verdict| *verdict == "exit status: 0").count();
    assert!(passed > 5, "{passed} of {results:#?}");
    results
}

/// It counts the calls of stat with strace, and a look at a descriptor is one.
const COUNTS_CALLS: &str = "stat-free-symlinks.sh";

fn compare_all(folders: &[&str], is_wanted: fn(&str) -> bool) {
    let Some(sources) = require_sources("coreutils") else { return };
    compare("coreutils", |this| run(&sources, folders, is_wanted, this));
}

#[test]
fn short_tests() {
    compare_all(&["misc"], |name| {
        SHORT
            .iter()
            .any(|begin| name.strip_prefix(begin).is_some_and(|rest| rest.starts_with(['-', '.'])))
    });
}

#[test]
#[ignore = "takes minutes: .ci/long"]
fn all_tests() {
    compare_all(&["misc", "tail-2", "cp", "mv", "ls"], |name| name != COUNTS_CALLS);
}
