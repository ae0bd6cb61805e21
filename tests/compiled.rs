//! Small programs in C, C++ and Rust, plain against tapped: each test is a row of the table that
//! says what to compile, how, and in which ways it runs.

use std::path::PathBuf;

use crate::support::comparison::Program;
use crate::support::compile::compile;
use crate::support::machine::glibc_roots;
use crate::support::running::Streams;

/// The flags that the C programs are compiled with.
const PLAIN: [&str; 2] = ["-O1", "-pthread"];
/// As distributions compile: calls go through the checking twins of printf, read and open.
const FORTIFIED: [&str; 4] = ["-O2", "-D_FORTIFY_SOURCE=2", "-pthread", "-Wno-unused-result"];

/// Pipes and a terminal, without `>/dev/null`: for programs that write to copies of descriptor 1,
/// which nothing tells apart from any other `/dev/null`.
const NAMED: [Streams; 3] = [Streams::Pipes, Streams::OnePipe, Streams::Terminal];

/// What each C program is called with and how it is compared; all compilers share it.
fn compare_c(name: &str, program: PathBuf) {
    let program = Program::new([program]);
    match name {
        "stdio" => program.arguments(["flush"]).compare(),
        "calls" => program.file("calls.log").only(&NAMED).compare(),
        "files" => program.rotated_file("app.log", &["app.log.1", "app.log"]).compare(),
        "processes" => program.arguments(["20"]).compare(),
        "threads" => program.arguments(["4", "2000"]).several_writers().compare(),
        "closes_all" => program.file("daemon.log").compare(),
        "wide" | "lines" | "nonblocking" | "variadic" | "signals" => program.compare(),
        other => panic!("how is `{other}` compared?"),
    }
}

/// The table: each row is a compiler, its flags and the programs compiled with them.
macro_rules! compiled {
    ($($module:ident: $compiler:expr, $flags:expr => $($name:ident)*;)*) => {$(
        mod $module {
            $(
                #[test]
                fn $name() {
                    let source = concat!(stringify!($name), ".c");
                    if let Some(program) = super::compile($compiler, source, &$flags) {
                        super::compare_c(stringify!($name), program);
                    }
                }
            )*
        }
    )*};
}

compiled! {
    c: "gcc", super::PLAIN => stdio wide calls files processes threads closes_all lines nonblocking signals variadic;
    fortified: "gcc", super::FORTIFIED => stdio wide calls files variadic;
    musl: "musl-gcc", super::PLAIN => stdio wide calls files processes threads closes_all lines signals variadic;
}

#[test]
fn c_with_a_buffered_stdout() {
    if let Some(program) = compile("gcc", "stdio.c", &PLAIN) {
        Program::new([program]).only(&[Streams::Pipes, Streams::NullStdout]).compare();
    }
}

#[test]
fn a_thousand_forked_children() {
    if let Some(program) = compile("gcc", "processes.c", &PLAIN) {
        Program::new([program]).arguments(["1000"]).only(&[Streams::Pipes]).compare();
    }
}

#[test]
fn cpp_streams_synchronised_with_c() {
    if let Some(program) = compile("g++", "iostream.cpp", &["-O1"]) {
        Program::new([program]).file("stream.log").compare();
    }
}

#[test]
fn cpp_streams_on_their_own() {
    if let Some(program) = compile("g++", "iostream.cpp", &["-O1"]) {
        Program::new([program]).arguments(["apart"]).file("stream.log").compare();
    }
}

#[test]
fn rust_standard_library() {
    if let Some(program) = compile("rustc", "standard.rs", &["--edition=2024"]) {
        Program::new([program]).file("rust.log").compare();
    }
}

/// Programs linked against glibc 2.31 and started by the loader of each release.
fn on_glibc_of(release: &str) {
    let roots = glibc_roots();
    let oldest = roots.join("bullseye");
    let root = roots.join(release);
    if !oldest.join("complete").exists() || !root.join("complete").exists() {
        crate::support::machine::skip(&format!("no glibc of {release} in `{}`", roots.display()));
        return;
    }
    let libraries = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"]
        .map(|folder| root.join(folder))
        .into_iter()
        .find(|folder| folder.join("libc.so.6").exists())
        .expect("a complete root has a libc");
    let flags = [
        "-O1".to_owned(),
        "-pthread".to_owned(),
        format!("--sysroot={}", oldest.display()),
        // The compiler looks beside itself before it looks into the other root.
        format!("-B{}/usr/lib/x86_64-linux-gnu", oldest.display()),
        format!("-L{}/usr/lib/x86_64-linux-gnu", oldest.display()),
        // Headers of the kernel are not glibc's.
        "-idirafter/usr/include".to_owned(),
        "-idirafter/usr/include/x86_64-linux-gnu".to_owned(),
        format!("-Wl,--dynamic-linker={}", libraries.join("ld-linux-x86-64.so.2").display()),
        format!("-Wl,--disable-new-dtags,-rpath={}", libraries.display()),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    for name in ["stdio", "wide", "calls", "files", "processes", "threads", "signals"] {
        if let Some(program) = compile("gcc", &format!("{name}.c"), &flags) {
            compare_c(name, program);
        }
    }
}

#[test]
fn glibc_of_bullseye() {
    on_glibc_of("bullseye");
}

#[test]
fn glibc_of_bookworm() {
    on_glibc_of("bookworm");
}

#[test]
fn glibc_of_trixie() {
    on_glibc_of("trixie");
}

#[test]
fn glibc_of_sid() {
    on_glibc_of("sid");
}
