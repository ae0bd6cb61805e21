//! Processes that did not start as the kernel starts a program: the dynamic loader as the program, and a tracer that loads
//! the program itself. The kernel's auxiliary vector is then not about the program.

use std::ffi::OsString;
use std::path::Path;

use serde_json::Value;

use crate::run_command::summary;
use crate::support::capture;
use crate::support::compile::compile;
use crate::support::difference::difference_of_texts;
use crate::support::machine::require;
use crate::support::running::{Streams, lines, run};
use crate::support::workspace::{Workspace, command, library, logtap};

/// A compiler, and the loader that runs what it makes.
const LOADERS: [(&str, &str); 2] = if cfg!(target_arch = "x86_64") {
    [("gcc", "/lib64/ld-linux-x86-64.so.2"), ("musl-gcc", "/lib/ld-musl-x86_64.so.1")]
} else {
    [("gcc", "/lib/ld-linux-aarch64.so.1"), ("musl-gcc", "/lib/ld-musl-aarch64.so.1")]
};

/// The exit code of the program that is played.
const ENDS_WITH: i32 = 7;

/// Runs a program behind these words, as a child of a shell that `logtap run` taps: it does what it does without, is
/// captured, and nobody is named as out of reach.
fn is_captured_behind(words: &[OsString], program: &Path) {
    let workspace = Workspace::new();
    let played = || words.iter().chain([program.as_os_str().to_owned()].iter()).cloned().collect();
    let played: Vec<OsString> = played();
    let mut plain = command(&played[0]);
    plain.args(&played[1..]);
    let expected = run(plain, Streams::Pipes, &workspace.directory("plain"), &[]);
    assert_eq!(expected.status.code(), Some(ENDS_WITH), "{words:?}: {expected:?}");
    let mut tapped = command(logtap());
    tapped.args(["run", "-q", "--summary"]).arg(workspace.join("summary.json"));
    // Not `exec`: the shell, which has the library, tells what it starts.
    tapped.args(["--", "sh", "-c", "\"$0\" \"$@\" || exit"]).args(&played);
    let seen = run(tapped, Streams::Pipes, &workspace.directory("tapped"), &[]);
    assert_eq!(difference_of_texts(&expected.stderr, &seen.stderr), None, "{words:?}");
    assert_eq!(difference_of_texts(&expected.stdout, &seen.stdout), None, "{words:?}");
    assert_eq!(seen.status, expected.status, "{words:?}");
    let captured = capture::read(&workspace.join("tapped/capture"));
    for (stream, shown) in [("stdout", &seen.stdout), ("stderr", &seen.stderr)] {
        let caught = capture::of_stream(&captured, stream);
        assert!(caught == lines(shown), "{stream} behind {words:?}: {captured:?}");
    }
}

#[test]
fn a_loader_as_the_program_does_no_harm_where_nothing_is_asked_of_the_library() {
    for (compiler, loader) in LOADERS {
        let Some(program) = compile(compiler, "stdio.c", &["-O1"]) else { continue };
        let workspace = Workspace::new();
        let outcomes = [None, Some(library())].map(|library| {
            let mut started = command(loader);
            started.arg(&program).envs(library.map(|library| ("LD_PRELOAD", library)));
            run(started, Streams::Pipes, workspace.path(), &[])
        });
        assert_eq!(outcomes[0].status.code(), Some(ENDS_WITH), "{loader}: {:?}", outcomes[0]);
        assert_eq!(outcomes[0].status, outcomes[1].status, "{loader}: {:?}", outcomes[1]);
        assert_eq!(outcomes[0].stdout, outcomes[1].stdout, "{loader}");
    }
}

#[test]
fn a_loader_as_the_program_is_tapped_with_what_it_loads() {
    for (compiler, loader) in LOADERS {
        let Some(program) = compile(compiler, "stdio.c", &["-O1"]) else { continue };
        is_captured_behind(&[loader.into()], &program);
    }
}

#[test]
fn a_loader_as_the_command_of_run_needs_no_pipe() {
    for (compiler, loader) in LOADERS {
        let Some(program) = compile(compiler, "stdio.c", &["-O1"]) else { continue };
        let workspace = Workspace::new();
        let mut tapped = command(logtap());
        tapped.args(["run", "-q", "--summary"]).arg(workspace.join("summary.json"));
        tapped.args(["--", loader]).arg(&program);
        let seen = run(tapped, Streams::Pipes, workspace.path(), &[]);
        assert_eq!(seen.status.code(), Some(ENDS_WITH), "{loader}: {seen:?}");
        let summary = summary(&workspace.join("summary.json"));
        assert_eq!(summary.get("way").and_then(Value::as_str), Some("preload"), "{summary}");
        let captured = capture::read(&workspace.join("capture"));
        assert!(capture::of_stream(&captured, "stdout") == lines(&seen.stdout), "{loader}");
    }
}

#[test]
fn what_a_tracer_loads_is_tapped_and_sees_errors_as_it_would_without() {
    let Some(proot) = require("proot") else { return };
    let proot = proot.into_os_string();
    for compiler in ["gcc", "musl-gcc"] {
        let Some(program) = compile(compiler, "stdio.c", &["-O1"]) else { continue };
        is_captured_behind(std::slice::from_ref(&proot), &program);
    }
    // It starts by opening files that are not there, and says so where one was to be read.
    let Some(python) = require("python3") else { return };
    let script = "import os\ntry: os.open('/none', 0)\nexcept OSError as error: print(error)";
    let workspace = Workspace::new();
    for preloaded in [false, true] {
        let mut started = command(&proot);
        started.arg(&python).args(["-c", script]);
        if preloaded {
            started.env("LD_PRELOAD", library());
        }
        let seen = run(started, Streams::Pipes, workspace.path(), &[]);
        let shown = String::from_utf8_lossy(&seen.stdout).into_owned();
        assert_eq!(shown, "[Errno 2] No such file or directory: '/none'\n", "{seen:?}");
    }
}
