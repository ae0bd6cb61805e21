//! Programs that no library can be loaded into: `logtap run` taps them from outside, and what they
//! show, leave and return is the same all the same. A child that is out of reach is at least named.

use std::path::Path;

use crate::run_command::{summary, tapped};
use crate::support::comparison::Program;
use crate::support::compile::{compile, compile_go};
use crate::support::machine::require;
use crate::support::running::{Streams, run};
use crate::support::workspace::{Workspace, app, command};

#[test]
fn static_c() {
    if let Some(program) = compile("gcc", "static.c", &["-O1", "-static"]) {
        Program::new([program]).file("static.log").not_preloadable().compare();
    }
}

#[test]
fn static_c_with_musl() {
    if let Some(program) = compile("musl-gcc", "static.c", &["-O1", "-static"]) {
        Program::new([program]).file("static.log").not_preloadable().compare();
    }
}

/// A static shell whose children are not.
#[test]
fn busybox_shell() {
    if let Some(busybox) = require("busybox") {
        Program::new([busybox.into_os_string(), "sh".into(), app("loops.sh").into_os_string()])
            .file("shell.log")
            .not_preloadable()
            .compare();
    }
}

#[test]
fn go() {
    if let Some(program) = compile_go("writer.go") {
        Program::new([program]).file("go.log").not_preloadable().compare();
    }
}

/// A shell is tapped, and its child is not: it looks as ever and the summary names it.
fn named_as_a_child(child: &Path, before: &str) {
    let workspace = Workspace::new();
    let name = child.file_name().and_then(|name| name.to_str()).expect("a plain name");
    // The look for such children is a sample; the child of this test stays for a second.
    let script = format!("echo before; {before} {}; echo after", child.display());
    let mut plain = command("sh");
    plain.args(["-c", &script]);
    let plain = run(plain, Streams::Pipes, workspace.path(), &[]);
    let outcome =
        tapped(workspace.path(), &["-q", "--summary", "s.json", "--", "sh", "-c", &script]);
    assert_eq!(outcome.stdout, plain.stdout);
    assert_eq!(outcome.stderr, plain.stderr);
    let summary = summary(&workspace.join("s.json"));
    let unreached = summary.pointer("/unreached").and_then(serde_json::Value::as_array);
    let named = unreached.is_some_and(|programs| {
        programs.iter().any(|program| {
            program
                .get("program")
                .and_then(|path| path.as_str())
                .is_some_and(|path| path.ends_with(name))
        })
    });
    assert!(named, "`{name}` is not named: {summary:#}");
}

#[test]
fn a_static_child_of_a_shell_is_named() {
    if let Some(program) = compile("gcc", "static.c", &["-O1", "-static", "-DSTAY"]) {
        named_as_a_child(&program, "");
    }
}

#[test]
fn a_child_without_its_environment_is_named() {
    if let Some(program) = compile("gcc", "static.c", &["-O1", "-DSTAY"]) {
        named_as_a_child(&program, "/usr/bin/env -i");
    }
}

#[test]
fn a_program_without_any_libc_runs_as_ever() {
    let flags =
        ["-O1", "-nostdlib", "-pie", "-fPIE", "-Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2"];
    let Some(program) = compile("gcc", "bare.c", &flags) else { return };
    let workspace = Workspace::new();
    let program = program.to_str().expect("tests use plain paths");
    let outcome = tapped(workspace.path(), &["-q", "--", program]);
    assert_eq!(outcome.stdout, b"written without a libc\n");
    assert_eq!(outcome.status.code(), Some(3));
}
