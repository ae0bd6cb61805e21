//! Programs made by real compilers, and files that only look like programs.
//! A compiler that is not installed is passed over.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use logtap_program::{
    Caller, Libc, Linking, Preloadable, Program, ProgramError, Reason, examine, examine_with,
};

const CALLER: Caller = Caller { user: 1000, group: 1000, no_new_privileges: false };

#[test]
fn a_dynamic_c_program_is_preloadable() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile(directory.path(), "cc", &[]) else { return };
    let Linking::Dynamic { loader, libc, needed } = &program.elf.linking else {
        panic!("{program:?} is not dynamic");
    };
    assert!(loader.exists());
    assert_ne!(*libc, Libc::Other);
    assert!(needed.iter().any(|name| name.starts_with("libc.")), "{needed:?}");
    assert!(!program.elf.go);
    assert_eq!(program.preloadable_by(&CALLER), Preloadable::Yes);
}

#[test]
fn dynamic_loaders_that_are_started_as_programs_are_preloadable() {
    let loaders = [
        ("/lib64/ld-linux-x86-64.so.2", Libc::Glibc),
        ("/lib/ld-linux-aarch64.so.1", Libc::Glibc),
        ("/lib/ld-musl-x86_64.so.1", Libc::Musl),
        ("/lib/ld-musl-aarch64.so.1", Libc::Musl),
    ];
    for (path, of) in loaders.into_iter().filter(|(path, _)| Path::new(path).exists()) {
        let program = examine(Path::new(path)).unwrap();
        if program.elf.machine != logtap_program::Machine::of_this_build() {
            continue;
        }
        let Linking::Dynamic { libc, .. } = &program.elf.linking else {
            panic!("{program:?} is not dynamic");
        };
        assert_eq!((*libc, program.preloadable_by(&CALLER)), (of, Preloadable::Yes), "{path}");
    }
}

#[test]
fn static_programs_are_not() {
    let directory = tempfile::tempdir().unwrap();
    for flag in ["-static", "-static-pie"] {
        let Some(program) = compile(directory.path(), "cc", &[flag]) else { continue };
        assert_eq!(program.preloadable_by(&CALLER), no(Reason::Static), "{flag}");
    }
}

#[test]
fn a_program_of_another_architecture_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile(directory.path(), "cc", &["-m32", "-nostdlib"]) else { return };
    assert_eq!(program.preloadable_by(&CALLER), no(Reason::Architecture(program.elf.machine)));
    assert_eq!(program.elf.machine.to_string(), "32-bit x86");
}

#[test]
fn a_dynamic_program_without_libc_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let flags = [
        "-nostdlib",
        "-pie",
        "-Wl,--entry=main",
        "-Wl,-dynamic-linker,/lib64/ld-linux-x86-64.so.2",
    ];
    let Some(program) = compile(directory.path(), "cc", &flags) else { return };
    if matches!(program.elf.linking, Linking::Dynamic { .. }) {
        assert_eq!(program.preloadable_by(&CALLER), no(Reason::NoLibc));
    }
}

#[test]
fn a_musl_program_is_known_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile(directory.path(), "musl-gcc", &[]) else { return };
    assert!(
        matches!(program.elf.linking, Linking::Dynamic { libc: Libc::Musl, .. }),
        "{program:?}"
    );
    assert_eq!(program.preloadable_by(&CALLER), Preloadable::Yes);
}

#[test]
fn go_programs_are_known_stripped_or_not() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("main.go");
    fs::write(&source, "package main\n\nfunc main() { println(\"hello\") }\n").unwrap();
    for flags in ["", "-s -w"] {
        let output = directory.path().join("program");
        let built = Command::new("go")
            .args(["build", "-ldflags", flags, "-o"])
            .args([&output, &source])
            .env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache"))
            .env("GOFLAGS", "-mod=mod")
            .env("GO111MODULE", "off")
            .stderr(Stdio::null())
            .status();
        if !built.is_ok_and(|status| status.success()) {
            return;
        }
        let program = examine(&output).unwrap();
        assert!(program.elf.go);
        assert_eq!(program.preloadable_by(&CALLER), no(Reason::Go));
        // Without section headers only the start of the data segment tells.
        let mut bytes = fs::read(&output).unwrap();
        bytes[0x28..0x30].fill(0);
        bytes[0x3a..0x40].fill(0);
        fs::write(&output, &bytes).unwrap();
        assert!(examine(&output).unwrap().elf.go, "with flags `{flags}` and without sections");
    }
}

#[test]
fn scripts_are_followed() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let shell = Path::new("/bin/sh");
    let direct = write("direct", "#!/bin/sh -e\necho\n");
    assert_eq!(examine(&direct).unwrap().executable(), shell);

    let through_env = write("through-env", "#!/usr/bin/env direct\n");
    let program = examine_with(&through_env, directory.path().as_os_str()).unwrap();
    assert_eq!(program.interpreters, [direct, shell.to_path_buf()]);
    assert_eq!(program.path, through_env);

    let plain = write("plain", "echo no interpreter line\n");
    assert_eq!(examine(&plain).unwrap().executable(), shell);
    assert_eq!(examine(&write("empty", "")).unwrap().executable(), shell);

    let circle = directory.path().join("circle");
    write("circle", &format!("#!{}\n", circle.display()));
    assert!(matches!(examine(&circle), Err(ProgramError::TooManyScripts(_))));
    let lost = write("lost", "#!/nonexistent/interpreter\n");
    assert!(
        matches!(examine(&lost), Err(ProgramError::NotFound(path)) if path.starts_with("/nonexistent"))
    );
}

#[test]
fn what_is_no_program_is_an_error() {
    assert!(matches!(examine(Path::new("/nonexistent")), Err(ProgramError::NotFound(_))));
    assert!(matches!(examine(Path::new("/")), Err(ProgramError::NotExecutable(_))));
}

#[test]
fn a_damaged_file_is_an_error_or_an_answer_but_never_a_crash() {
    let original = fs::read("/proc/self/exe").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("damaged");
    // Cut inside the headers.
    for length in (16..1024).step_by(7) {
        fs::write(&path, &original[..length]).unwrap();
        let _outcome = examine(&path);
    }
    // Every byte of the file header turned, among them offsets and counts of tables.
    for position in 4..64 {
        let mut bytes = original[..original.len().min(1 << 20)].to_vec();
        bytes[position] ^= 0xff;
        fs::write(&path, &bytes).unwrap();
        let _outcome = examine(&path);
    }
    fs::write(&path, &original[..64]).unwrap();
    assert!(matches!(examine(&path), Err(ProgramError::Damaged { .. })));
}

fn no(reason: Reason) -> Preloadable {
    Preloadable::No { reason }
}

/// Builds a program that needs nothing but a compiler, and examines it.
fn compile(directory: &Path, compiler: &str, flags: &[&str]) -> Option<Program> {
    let source = directory.join("main.c");
    let output: PathBuf = directory.join("program");
    fs::write(&source, "int main(void) { return 0; }\n").expect("the directory is ours");
    let status = Command::new(compiler)
        .arg("-o")
        .args([&output, &source])
        .args(flags)
        .stderr(Stdio::null())
        .status();
    status
        .is_ok_and(|status| status.success())
        .then(|| examine(&output).expect("a compiler made it"))
}
