//! What the kernel is asked, with and without the library: after its start the library adds one look at each
//! descriptor that it has not seen before, and nothing else.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::tap::Tap;
use crate::support::compile::compile;
use crate::support::machine::require;

/// The calls between the two marks, with addresses and random bytes masked.
fn between_marks(trace: &str) -> Vec<String> {
    let calls = trace.lines().map(|line| {
        if line.starts_with("getrandom") {
            return "getrandom".to_owned();
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

#[test]
fn the_library_adds_one_look_at_each_new_descriptor() {
    let (Some(strace), Some(program)) = (require("strace"), compile("cc", "quiet.c", &[])) else {
        return;
    };
    let tap = Tap::new();
    let (_reader, writer) = super::tap::pipe();
    let trace = |name: &str, preloaded: bool| {
        let path = tap.path().join(name);
        let environment = tap.command(Path::new("env"), &writer);
        let mut command = Command::new(&strace);
        command.arg("-o").arg(&path).stdout(writer.try_clone().expect("a duplicate"));
        for (name, value) in environment.get_envs().filter(|_| preloaded) {
            let value = value.expect("a value").to_str().expect("text");
            command.arg("-E").arg(format!("{}={value}", name.to_str().expect("text")));
        }
        let status = command.arg(&program).stdin(Stdio::null()).status().expect("strace");
        assert!(status.success(), "{status}");
        between_marks(&fs::read_to_string(&path).expect("the trace"))
    };
    let (plain, tapped) = (trace("plain", false), trace("tapped", true));
    let (added, same): (Vec<String>, Vec<String>) =
        tapped.into_iter().partition(|call| ["statx", "getpid"].contains(&name(call)));
    assert_eq!(same, plain);
    // Who looks asks first whether the memory is its own, and not the parent's of a child of vfork.
    let (asked, added): (Vec<String>, Vec<String>) =
        added.into_iter().partition(|call| name(call) == "getpid");
    assert_eq!(asked.len(), added.len(), "{added:?}");
    // The file at its first write, the duplicate at its first, and the stream's descriptor when the file took
    // its number again. Descriptor 1 was looked at when the program started.
    let looked_at: Vec<i32> =
        added.iter().filter_map(|call| call.split_whitespace().nth(1)?.parse().ok()).collect();
    let [file, copy, stream] = looked_at[..] else { panic!("{added:?}") };
    assert!(copy > file && stream == file, "{added:?}");
    assert_eq!(tap.read().records.len(), 81);
}
