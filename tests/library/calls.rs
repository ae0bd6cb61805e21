//! What the kernel is asked, with and without the library: after its start the library adds one look at each
//! descriptor that it has not seen before, and nothing else.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::tap::Tap;
use crate::support::compile::compile;
use crate::support::difference::{Order, difference};
use crate::support::machine::require;

/// The calls between the two marks, with addresses and random bytes masked.
fn between_marks(trace: &str) -> Vec<String> {
    // Signals come when they come, and process ids are never the same twice.
    let calls = trace.lines().filter(|line| !line.starts_with("---")).map(|line| {
        if let Some(name) = ["getrandom", "wait4"].into_iter().find(|name| line.starts_with(name)) {
            return name.to_owned();
        }
        let call = line.split(" = ").next().unwrap_or(line).trim_end();
        let words = call.split([' ', ',', '(', ')']);
        let masked = words.map(|word| if word.starts_with("0x") { "ADDRESS" } else { word });
        masked.collect::<Vec<_>>().join(" ")
    });
    let calls: Vec<String> = calls.collect();
    let marks: Vec<usize> =
        (0..calls.len()).filter(|&at| calls[at].starts_with("getppid")).collect();
    let [first, last] = marks[..] else { panic!("no two marks in {trace}") };
    calls[first + 1..last].to_vec()
}

fn name(call: &str) -> &str {
    call.split_whitespace().next().unwrap_or_default()
}

/// What the program asks the kernel plain, and tapped with these settings besides.
fn traces(
    compiler: &str,
    source: &str,
    settings: &[(&str, &str)],
) -> Option<(Vec<String>, Vec<String>, Tap)> {
    let (strace, program) = (require("strace")?, compile(compiler, source, &[])?);
    let tap = Tap::new();
    let (_reader, writer) = super::tap::pipe();
    let trace = |name: &str, preloaded: bool| {
        let directory = tap.path().join(format!("in-{name}"));
        fs::create_dir(&directory).expect("a directory");
        let path = tap.path().join(name);
        let environment = tap.command(Path::new("env"), &writer);
        let mut command = Command::new(&strace);
        command.arg("-o").arg(&path).stdout(writer.try_clone().expect("a duplicate"));
        let set = |command: &mut Command, name: &str, value: &str| {
            command.arg("-E").arg(format!("{name}={value}"));
        };
        for (name, value) in environment.get_envs().filter(|_| preloaded) {
            let value = value.expect("a value").to_str().expect("text");
            set(&mut command, name.to_str().expect("text"), value);
        }
        for (name, value) in settings.iter().filter(|_| preloaded) {
            set(&mut command, name, value);
        }
        command.arg(&program).current_dir(&directory).stdin(Stdio::null()).stderr(Stdio::null());
        let status = command.status().expect("strace");
        assert!(status.success(), "{status}");
        between_marks(&fs::read_to_string(&path).expect("the trace"))
    };
    Some((trace("plain", false), trace("tapped", true), tap))
}

/// Takes out what the library adds: for each look one `statx`, one `getpid` (whether the memory is its own and not the
/// parent's of a child of vfork), and where files are tapped at most one `readlinkat`. Returns the looks.
fn looks(tapped: Vec<String>, plain: &[String]) -> Vec<i32> {
    let added = ["statx", "getpid", "readlinkat"];
    let (added, same): (Vec<String>, Vec<String>) =
        tapped.into_iter().partition(|call| added.contains(&name(call)));
    let bytes = |calls: &[String]| -> Vec<Vec<u8>> {
        calls.iter().map(|call| call.clone().into_bytes()).collect()
    };
    assert_eq!(difference(&bytes(plain), &bytes(&same), Order::Total), None);
    let count = |wanted: &str| added.iter().filter(|call| name(call) == wanted).count();
    assert_eq!(count("getpid"), count("statx"), "{added:#?}");
    assert!(count("readlinkat") <= count("statx"), "{added:#?}");
    let looked_at = added.iter().filter(|call| name(call) == "statx");
    looked_at.filter_map(|call| call.split_whitespace().nth(1)?.parse().ok()).collect()
}

#[test]
fn the_library_adds_one_look_at_each_new_descriptor() {
    for compiler in ["cc", "musl-gcc"] {
        let Some((plain, tapped, tap)) = traces(compiler, "quiet.c", &[]) else { return };
        // The file at its first write, the duplicate at its first, and the stream's descriptor when the file took
        // its number again. Descriptor 1 was looked at when the program started.
        let looked_at = looks(tapped, &plain);
        let [file, copy, stream] = looked_at[..] else { panic!("{looked_at:?}") };
        assert!(copy > file && stream == file, "{looked_at:?}");
        assert_eq!(tap.read().records.len(), 81);
    }
}

#[test]
fn with_log_files_it_also_asks_once_for_each_name() {
    let settings = [("LLT_TAP_FILE", "/**/app.log")];
    for compiler in ["cc", "musl-gcc"] {
        let Some((plain, tapped, tap)) = traces(compiler, "quiet_files.c", &settings) else {
            return;
        };
        let looked_at = looks(tapped, &plain);
        assert!((7..=9).contains(&looked_at.len()), "{looked_at:?}");
        assert_eq!(tap.read().records.len(), 4 + 15, "{:?}", tap.read());
    }
}
