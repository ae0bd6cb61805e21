//! Several copies of the library, and other preloads beside it: the program does what it does, its lines are captured
//! once.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::support::capture;
use crate::support::compile::compile;
use crate::support::difference::difference_of_texts;
use crate::support::machine::{require, skip};
use crate::support::running::{Streams, lines, run};
use crate::support::workspace::{Workspace, command, library, logtap};

/// What is played: a program and one of its situations.
const PLAYED: [(&str, &str); 3] = [
    ("control", "errno_is_kept"),
    ("descriptors", "duplicates_in_all_ways"),
    ("processes", "spawned_with_actions"),
];

/// Runs the situations with other preloads before or behind the library; `$LD_PRELOAD` in `list` is what `logtap run` sets.
fn in_chain(list: &str, other: &Path, flags: &[&str]) {
    let flags: Vec<&str> = super::FLAGS.iter().chain(flags).copied().collect();
    for (source, name) in PLAYED {
        let Some(program) = compile("gcc", &format!("hostile/{source}.c"), &flags) else { return };
        let workspace = Workspace::new();
        let mut plain = command(&program);
        plain.arg(name);
        let expected = run(plain, Streams::Pipes, &workspace.directory("plain"), &[]);
        assert_eq!(expected.status.code(), Some(0), "{name}");
        let mut tapped = command(logtap());
        let script = format!("LD_PRELOAD={list} exec \"$0\" {name}");
        tapped.env("OTHER", other).args(["run", "-q", "--file"]);
        tapped.arg(workspace.join("tapped/*.log")).args(["--", "sh", "-c", &script]).arg(&program);
        let seen = run(tapped, Streams::Pipes, &workspace.directory("tapped"), &[]);
        assert_eq!(difference_of_texts(&expected.stderr, &seen.stderr), None, "{list} {name}");
        assert_eq!(difference_of_texts(&expected.stdout, &seen.stdout), None, "{list} {name}");
        assert_eq!(seen.status, expected.status);
        let captured = capture::read(&workspace.join("tapped/capture"));
        for (stream, shown) in [("stdout", &seen.stdout), ("stderr", &seen.stderr)] {
            let caught = capture::of_stream(&captured, stream);
            assert_eq!(caught.len(), lines(shown).len(), "{stream} of {name}, {list}");
            assert!(caught == lines(shown), "{stream} of {name}, {list}");
        }
    }
}

/// Before and behind.
fn in_both_orders(other: &Path) {
    in_chain("$OTHER:$LD_PRELOAD", other, &[]);
    in_chain("$LD_PRELOAD:$OTHER", other, &[]);
}

/// A library of Debian's, by its place.
fn installed(name: &str) -> Option<PathBuf> {
    let path = Path::new("/usr/lib/x86_64-linux-gnu").join(name);
    if !path.exists() {
        skip(&format!("`{}` is not on this machine", path.display()));
    }
    path.exists().then_some(path)
}

#[test]
fn two_copies_of_the_library() {
    let workspace = Workspace::new();
    let copy = workspace.join("liblogtap-copy.so");
    std::fs::copy(library(), &copy).expect("a copy");
    in_both_orders(&copy);
}

#[test]
fn the_same_library_twice() {
    in_chain("$LD_PRELOAD:$LD_PRELOAD", Path::new("/none"), &[]);
    in_chain("\"$LD_PRELOAD $LD_PRELOAD\"", Path::new("/none"), &[]);
}

#[test]
fn beside_jemalloc() {
    if let Some(jemalloc) = installed("libjemalloc.so.2") {
        in_both_orders(&jemalloc);
    }
}

#[test]
fn beside_libfaketime() {
    if let Some(faketime) = installed("faketime/libfaketime.so.1") {
        in_both_orders(&faketime);
    }
}

/// A preload that stands before every write itself sees what it would see without us, each write once.
#[test]
fn beside_another_that_stands_before_write() {
    let Some(other) = compile("gcc", "hostile/interposer.c", &["-shared", "-fPIC", "-O1"]) else {
        return;
    };
    let Some(program) = compile("gcc", "hostile/descriptors.c", &super::FLAGS) else { return };
    // Calls that it sees alone, and that it must see in company.
    let counts = ["$OTHER", "$OTHER:$LD_PRELOAD", "$LD_PRELOAD:$OTHER"].map(|list| {
        let workspace = Workspace::new();
        let mut tapped = command(logtap());
        let script = format!("LD_PRELOAD={list} exec \"$0\" reopened_by_name");
        tapped.env("OTHER", &other).env("INTERPOSER_COUNTS", workspace.join("counts"));
        tapped.args(["run", "-q", "--", "sh", "-c", &script]).arg(&program);
        let seen = run(tapped, Streams::Pipes, workspace.path(), &[]);
        assert_eq!(lines(&seen.stdout).len(), 8, "{list}: {seen:?}");
        let captured = capture::read(&workspace.join("capture")).len();
        assert_eq!(captured, if list == "$OTHER" { 0 } else { 9 }, "{list}");
        std::fs::read_to_string(workspace.join("counts")).expect("the counts")
    });
    assert!(counts[0].starts_with("write 8 close "), "{counts:?}");
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}

#[test]
fn with_an_address_sanitizer_inside() {
    in_chain("$LD_PRELOAD", Path::new("/none"), &["-fsanitize=address"]);
    let Some(program) =
        compile("gcc", "hostile/control.c", &["-O1", "-pthread", "-fsanitize=address"])
    else {
        return;
    };
    // Options of the user's own stay, and one that is no C program at all does not mind.
    let workspace = Workspace::new();
    let mut tapped = command(logtap());
    tapped.env("ASAN_OPTIONS", OsString::from("exitcode=55")).args(["run", "-q", "--"]);
    tapped.arg(program).arg("aborted");
    let seen = run(tapped, Streams::Pipes, workspace.path(), &[]);
    assert!(seen.stderr.starts_with(b"about to abort\n"), "{seen:?}");
}

/// Memcheck finds nothing wrong in the library, and what it runs is captured. It runs the program on a processor and a
/// stack of its own, and what the kernel tells about the process is about memcheck.
#[test]
fn under_memcheck() {
    let Some(valgrind) = require("valgrind") else { return };
    for source in ["stdio.c", "processes.c"] {
        let Some(program) = compile("gcc", source, &["-O1", "-g"]) else { return };
        let workspace = Workspace::new();
        let expected = run(command(&program), Streams::Pipes, &workspace.directory("plain"), &[]);
        let mut tapped = command(logtap());
        tapped.args(["run", "-q", "--linger", "60s", "--"]).arg(&valgrind);
        tapped.args(["-q", "--error-exitcode=99"]).arg(&program);
        let seen = run(tapped, Streams::Pipes, &workspace.directory("tapped"), &[]);
        assert_eq!(difference_of_texts(&expected.stderr, &seen.stderr), None, "{source}");
        assert_eq!(difference_of_texts(&expected.stdout, &seen.stdout), None, "{source}");
        assert_eq!(seen.status, expected.status, "{source}");
        let captured = capture::read(&workspace.join("tapped/capture"));
        for (stream, shown) in [("stdout", &seen.stdout), ("stderr", &seen.stderr)] {
            let caught = capture::of_stream(&captured, stream);
            assert!(caught == lines(shown), "{stream} of {source}");
        }
    }
}
