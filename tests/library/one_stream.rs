//! Standard output and standard error are one object, as on a terminal: what is which, only a descriptor's origin tells.

use std::process::Stdio;

use logtap_wire::identity::Streams;
use logtap_wire::ring::{SLOT_STDERR, SLOT_STDOUT};

use super::tap::{Tap, identity, roomy_pipe};
use crate::support::compile::compile;

/// Plays a situation: every line is labelled as it says itself, and there are so many.
fn play(situation: &str, lines: usize) {
    for compiler in ["cc", "musl-gcc"] {
        let flags = ["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"];
        let Some(program) = compile(compiler, "hostile/one_stream.c", &flags) else { continue };
        let tap = Tap::new();
        let (_reader, writer) = roomy_pipe();
        let streams = Streams { stdout: identity(&writer), stderr: identity(&writer) };
        let mut command = tap.command(&program, &writer);
        command
            .env("LLT_STREAMS", streams.to_string())
            .env("LLT_TAP_INTO", "3")
            .arg(situation)
            .stdin(Stdio::null());
        command.stderr(writer.try_clone().expect("a duplicate"));
        let status = command.status().expect("the program");
        assert!(status.success(), "{compiler} {situation} {status}");
        let drained = tap.read();
        for record in &drained.records {
            let line = String::from_utf8_lossy(&record.payload);
            let label = match record.header.slot {
                SLOT_STDOUT => "stdout",
                SLOT_STDERR => "stderr",
                _ => "another stream",
            };
            assert_eq!(line.split(' ').next(), Some(label), "{compiler} {situation}: {line}");
        }
        assert_eq!(drained.records.len(), lines, "{compiler} {situation}: {drained:?}");
    }
}

#[test]
fn the_number_of_a_closed_duplicate_is_free() {
    for situation in ["closed", "closed_by_system_call", "closed_as_a_range", "closed_by_stdio"] {
        play(situation, 2);
    }
}

#[test]
fn a_duplicate_reopened_by_name_is_what_it_was_opened_as() {
    play("reopened_by_stdio", 2);
}

#[test]
fn a_duplicate_that_stays_open_stays_what_it_is() {
    play("closed_at_exec_only", 2);
    play("closed_in_a_child_of_vfork", 2);
}

#[test]
fn number_two_is_standard_error_whatever_is_opened_there() {
    play("standard_error_itself", 1);
}
