//! A child of vfork, or of clone in the same memory, whose memory and name are its parent's: it can outlive that one.

use std::process::Stdio;

use super::tap::{Tap, roomy_pipe};
use crate::support::compile::compile;
use crate::support::machine::skip;

/// Lines of the third process.
const LINES: usize = 1500;
/// Lines of parent and child.
const STRANGERS: usize = 2;
/// After so many instructions at the latest the child's write is over.
const LIMIT: usize = 1200;

#[test]
fn a_stopped_child_of_vfork_keeps_its_lane_when_its_parent_is_killed() {
    keeps_its_lane("vfork");
}

#[test]
fn a_stopped_child_of_clone_in_the_same_memory_keeps_its_lane_when_its_parent_is_killed() {
    keeps_its_lane("clone");
}

fn keeps_its_lane(way: &str) {
    if !cfg!(target_arch = "x86_64") {
        return skip("stops by a flag of x86-64 processors");
    }
    let Some(program) = compile("cc", "hostile/vforked.c", &[]) else { return };
    let every = if std::env::var_os("LOGTAP_LONG_TESTS").is_some() { 1 } else { 23 };
    let (mut seen, mut missed) = (0, 0);
    for step in (1..LIMIT).step_by(every) {
        let tap = Tap::new();
        let (_reader, writer) = roomy_pipe();
        let mut command = tap.command(&program, &writer);
        command.env("LLT_RING_SIZE", "64K").arg(way).arg(step.to_string()).stdin(Stdio::null());
        let output = command.stderr(Stdio::piped()).output().expect("the program");
        assert!(output.status.success(), "{way} {step} {output:?}");
        let drained = tap.read();
        let own = |line: &[u8]| line.starts_with(b"line ");
        let strange = |line: &[u8]| line.starts_with(b"stranger xxx");
        for record in &drained.records {
            let line = &record.payload;
            let whole = line.len() == 80 && line.ends_with(b"\n") && (own(line) || strange(line));
            assert!(whole, "{way} {step} {record:?}");
        }
        assert_eq!(drained.held, 0, "{way} {step}");
        let all = LINES + STRANGERS;
        assert_eq!(drained.records.len() + drained.lost as usize, all, "{way} {step}");
        // Stopped before it had a lane, it finds the ring full afterwards.
        match drained.records.iter().filter(|record| strange(&record.payload)).count() {
            STRANGERS => seen += 1,
            _ => missed += 1,
        }
    }
    assert!(seen > 0 && missed > 0, "{way} {seen} {missed}");
}
