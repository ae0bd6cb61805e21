//! A forked child in a pid namespace of its own: its number means another process outside, or none.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use logtap_wire::ring::RingInfo;

use super::tap::{Drained, Tap, roomy_pipe};
use crate::support::compile::compile;
use crate::support::machine::skip;

/// Lines of the parent.
const LINES: usize = 1500;
/// Lines of a child that has a ring of its own.
const STRANGERS: usize = 20;
/// After so many instructions at the latest the child's write is over.
const LIMIT: usize = 1200;

/// Plays the program; what the rings hold in the end. `None` where this user gets no such namespace.
fn play(tap: &Tap, program: &Path, words: [&str; 2]) -> Option<Drained> {
    let (_reader, writer) = roomy_pipe();
    let mut command = tap.command(program, &writer);
    command.env("LLT_RING_SIZE", "64K").args(words).stdin(Stdio::null());
    let output = command.stderr(Stdio::piped()).output().expect("the program");
    if output.status.code() == Some(77) {
        skip("no pid namespace of its own for this user");
        return None;
    }
    assert!(output.status.success(), "{words:?} {output:?}");
    Some(tap.read())
}

/// Every line that is there is whole, and the others were counted.
fn check(words: [&str; 2], strangers: usize, drained: &Drained) -> usize {
    let own = |line: &[u8]| line.starts_with(b"line ");
    let strange = |line: &[u8]| line.starts_with(b"stranger xxx");
    for record in &drained.records {
        let line = &record.payload;
        let whole = line.len() == 80 && line.ends_with(b"\n") && (own(line) || strange(line));
        assert!(whole, "{words:?} {record:?}");
    }
    assert_eq!(drained.held, 0, "{words:?}");
    assert_eq!(drained.records.len() + drained.lost as usize, LINES + strangers, "{words:?}");
    drained.records.iter().filter(|record| strange(&record.payload)).count()
}

#[test]
fn a_child_in_another_pid_namespace_has_a_ring_of_its_own() {
    let Some(program) = compile("cc", "hostile/namespaces.c", &[]) else { return };
    let tap = Tap::new();
    let Some(drained) = play(&tap, &program, ["alone", "0"]) else { return };
    assert_eq!(check(["alone", "0"], STRANGERS, &drained), STRANGERS);
    let rings: Vec<RingInfo> = std::fs::read_dir(tap.path())
        .expect("the directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "ring"))
        .map(|path| std::fs::read(path).expect("a ring"))
        .map(|bytes| RingInfo::parse(&bytes, bytes.len() as u64).expect("a ring"))
        .collect();
    let namespaces: BTreeSet<u64> = rings.iter().map(|ring| ring.pid_namespace).collect();
    assert_eq!(namespaces.len(), 2, "{rings:?}");
    let line = drained.records.iter().find(|record| record.payload.starts_with(b"stranger"));
    let number = line.expect("its line").header.pid;
    assert!(rings.iter().any(|ring| ring.pid == number), "{number} {rings:?}");
}

/// Where it cannot make one it writes into its parent's; stopped anywhere, it keeps the lane that it holds there, though
/// nobody outside has its number.
#[test]
fn a_stopped_child_in_another_pid_namespace_keeps_its_lane() {
    if !cfg!(target_arch = "x86_64") {
        return skip("stops by a flag of x86-64 processors");
    }
    let Some(program) = compile("cc", "hostile/namespaces.c", &[]) else { return };
    let every = if std::env::var_os("LOGTAP_LONG_TESTS").is_some() { 1 } else { 23 };
    let (mut seen, mut missed) = (0, 0);
    for step in (1..LIMIT).step_by(every) {
        let tap = Tap::new();
        let step = step.to_string();
        let Some(drained) = play(&tap, &program, ["with-others", &step]) else { return };
        // Stopped before it had a lane, it finds the ring full afterwards.
        match check(["with-others", &step], 1, &drained) {
            0 => missed += 1,
            _ => seen += 1,
        }
    }
    assert!(seen > 0 && missed > 0, "{seen} {missed}");
}
