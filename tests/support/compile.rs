//! Small programs from `tests/apps`, compiled once: the name of what comes out holds a hash of what
//! went in. Refuses to hide a compiler's complaint.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::machine::require;
use super::workspace::app;

/// Compiles `tests/apps/SOURCE` with the compiler and the flags, or skips without the compiler.
pub(crate) fn compile(compiler: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let compiler = require(compiler)?;
    let source = app(source);
    let program = product(&compiler, &source, flags);
    if !program.exists() {
        let unfinished = unfinished(&program);
        let mut command = Command::new(&compiler);
        command.arg(&source).args(flags).arg("-o").arg(&unfinished);
        finish(command, &unfinished, &program);
    }
    Some(program)
}

/// Compiles a Go program without cgo, so that it is static and makes its system calls itself.
pub(crate) fn compile_go(source: &str) -> Option<PathBuf> {
    let compiler = require("go")?;
    let source = app(source);
    let program = product(&compiler, &source, &[]);
    if !program.exists() {
        let unfinished = unfinished(&program);
        let mut command = Command::new(&compiler);
        command.env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=mod").env("GO111MODULE", "off");
        command.args(["build", "-o"]).arg(&unfinished).arg(&source);
        finish(command, &unfinished, &program);
    }
    Some(program)
}

/// Compiles Java classes into a directory and returns it.
pub(crate) fn compile_java(source: &str) -> Option<PathBuf> {
    let compiler = require("javac")?;
    let source = app(source);
    let classes = product(&compiler, &source, &[]);
    if !classes.exists() {
        let unfinished = unfinished(&classes);
        let mut command = Command::new(&compiler);
        command.arg("-d").arg(&unfinished).arg(&source);
        finish(command, &unfinished, &classes);
    }
    Some(classes)
}

fn product(compiler: &Path, source: &Path, flags: &[&str]) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    compiler.hash(&mut hasher);
    flags.hash(&mut hasher);
    let content =
        std::fs::read(source).unwrap_or_else(|error| panic!("`{}`: {error}", source.display()));
    content.hash(&mut hasher);
    // What the sources of a directory share.
    let shared = source.with_file_name("situation.h");
    std::fs::read(shared).unwrap_or_default().hash(&mut hasher);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("apps");
    std::fs::create_dir_all(&directory).expect("the build directory takes another");
    let stem = source.file_stem().and_then(|stem| stem.to_str()).expect("apps have plain names");
    directory.join(format!("{stem}-{:016x}", hasher.finish()))
}

/// A name of its own for each test that compiles the same program at the same time.
fn unfinished(program: &Path) -> PathBuf {
    let thread = std::thread::current();
    let mut name = program.file_name().expect("a program has a name").to_owned();
    name.push(format!(".{}-{:?}", std::process::id(), thread.id()).replace(['(', ')'], ""));
    program.with_file_name(name)
}

fn finish(mut command: Command, unfinished: &Path, program: &Path) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    // What somebody else finished first stays: it may run already, and programs are known by the file that they run.
    if unfinished.is_dir() {
        std::fs::rename(unfinished, program).ok();
    } else {
        std::fs::hard_link(unfinished, program).ok();
        std::fs::remove_file(unfinished).expect("it was made just now");
    }
    assert!(program.exists(), "`{}` cannot be put in place", program.display());
}
