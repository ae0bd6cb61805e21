//! The small reader in C prints what the rings hold.

use std::process::Command;

use super::tap::Tap;
use crate::support::machine::require;

#[test]
fn a_reader_in_c_prints_what_a_program_wrote() {
    let (Some(compiler), Some(shell)) = (require("cc"), require("sh")) else { return };
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let tap = Tap::new();
    let reader = tap.path().join("rings");
    let status = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Werror", "-I"])
        .arg(root.join("preload/include"))
        .arg(root.join("demo/rings.c"))
        .arg("-o")
        .arg(&reader)
        .status()
        .expect("the compiler");
    assert!(status.success());
    let (_stdout, writer) = super::tap::pipe();
    let script = "echo first; printf 'no end'; /bin/echo second";
    let status = tap.command(&shell, &writer).args(["-c", script]).status().expect("the shell");
    assert!(status.success());
    let output = Command::new(&reader).arg(tap.path()).output().expect("the reader");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    let [head, "first", middle, "no end", last, "second"] = lines[..] else { panic!("{text}") };
    for (line, length) in [(head, "6"), (middle, "6"), (last, "7")] {
        assert!(line.starts_with("stdout ") && line.ends_with(&format!(" {length}")), "{text}");
    }
}
