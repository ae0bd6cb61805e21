//! Programs that the library cannot be loaded into, started by ones that are tapped: they run as without, nobody
//! complains on their stderr, and they are named.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run_command::summary;
use crate::support::compile::compile;
use crate::support::difference::difference_of_texts;
use crate::support::machine::{require, skip};
use crate::support::running::{Streams, run};
use crate::support::workspace::{Workspace, command, logtap};

/// A 32-bit program, and what runs it.
fn narrow() -> Option<PathBuf> {
    const LOADER: &str = "/lib/ld-linux.so.2";
    if cfg!(not(target_arch = "x86_64")) || !Path::new(LOADER).exists() {
        skip("no 32-bit dynamic loader on this machine");
        return None;
    }
    let flags = [
        "-m32",
        "-nostdlib",
        "-pie",
        "-fno-pie",
        "-Wl,-z,notext",
        "-Wl,--dynamic-linker=/lib/ld-linux.so.2",
    ];
    compile("gcc", "narrow.c", &flags)
}

/// What a program shows, and what the summary of a run names with its reason.
fn shown_and_named(words: &[&str], workspace: &Workspace) -> (Vec<u8>, Vec<u8>, String) {
    let file = workspace.join("summary.json");
    let mut tapped = command(logtap());
    tapped.args(["run", "-q", "--summary"]).arg(&file).arg("--").args(words);
    let seen = run(tapped, Streams::Pipes, workspace.path(), &[]);
    let summary = summary(&file);
    let unreached = summary.get("unreached").cloned().unwrap_or(Value::Null);
    (seen.stdout, seen.stderr, unreached.to_string())
}

#[test]
fn a_32_bit_child_sees_no_complaint_and_is_named() {
    let (Some(narrow), Some(python)) = (narrow(), require("python3")) else { return };
    let (narrow, python) = (narrow.to_str().expect("text"), python.to_str().expect("text"));
    let workspace = Workspace::new();
    // By a script that it interprets, too, and looked for in PATH.
    let script = workspace.join("script");
    std::fs::write(&script, format!("#! {narrow} -x\n")).expect("a file");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("mine");
    let script = script.to_str().expect("text").to_owned();
    let by_name = format!("PATH={}:$PATH script; exit", workspace.path().display());
    let spawned = format!(
        "import os\nos.waitpid(os.posix_spawn({narrow:?}, ['narrow'], os.environ), 0)\n\
         if not os.fork(): os.execvp({narrow:?}, ['narrow'])\nos.wait()"
    );
    let ways: [&[&str]; 5] = [
        &["sh", "-c", "\"$0\"; exit", narrow],
        &["sh", "-c", "\"$0\"; exit", &script],
        &["sh", "-c", &by_name],
        &["bash", "-c", "\"$0\"; exit", narrow],
        &[python, "-c", &spawned],
    ];
    for words in ways {
        let mut plain = command(words[0]);
        plain.args(&words[1..]);
        let expected = run(plain, Streams::Pipes, workspace.path(), &[]);
        assert!(expected.stdout.starts_with(b"narrow out\n"), "{words:?}: {expected:?}");
        let (stdout, stderr, named) = shown_and_named(words, &workspace);
        assert_eq!(difference_of_texts(&expected.stderr, &stderr), None, "{words:?}");
        assert_eq!(difference_of_texts(&expected.stdout, &stdout), None, "{words:?}");
        assert!(named.contains("built for another architecture"), "{words:?}: {named}");
    }
}

#[test]
fn other_libraries_that_are_preloaded_stay_with_a_32_bit_child() {
    let Some(narrow) = narrow() else { return };
    let narrow = narrow.to_str().expect("text");
    let workspace = Workspace::new();
    let words = ["sh", "-c", "LD_PRELOAD=\"/nowhere/other.so:$LD_PRELOAD\" \"$0\"; exit", narrow];
    let (_, stderr, _) = shown_and_named(&words, &workspace);
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(stderr.contains("/nowhere/other.so") && !stderr.contains("liblogtap"), "{stderr}");
}
