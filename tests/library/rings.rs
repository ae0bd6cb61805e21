//! What happens to a process and its ring without anybody telling the library: it is forked, its descriptors change by
//! system calls that no library sees, its ring is given up, its children are killed while they hold lanes.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use logtap_wire::control;
use logtap_wire::ring::{STATE_OFFSET, STATE_RETIRED};

use super::tap::{Drained, Tap, roomy_pipe};
use crate::support::compile::compile;
use crate::support::machine::skip;

/// Without a collector a tapped descriptor is looked at again after so many tapped writes of its process.
const WRITES_BETWEEN_LOOKS: usize = 1024;

/// Plays a situation, with `meanwhile` where it pauses; what the rings hold in the end. `None` without a compiler.
fn play(tap: &Tap, situation: &str, meanwhile: impl FnOnce()) -> Option<Drained> {
    let program = compile("cc", "hostile/rings.c", &[])?;
    let (_reader, writer) = roomy_pipe();
    let mut command = tap.command(&program, &writer);
    command.env("LLT_RING_SIZE", "64K").arg(situation).current_dir(tap.path());
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program");
    let mut said = Vec::new();
    let mut stderr = child.stderr.take().expect("its stderr");
    stderr.by_ref().take(1).read_to_end(&mut said).expect("its stderr");
    if said == b"p" {
        meanwhile();
        let stdin = child.stdin.as_mut().expect("its stdin");
        stdin.write_all(b"g").expect("it waits for that");
    }
    stderr.read_to_end(&mut said).expect("its stderr");
    let status = child.wait().expect("its end");
    assert!(status.success(), "{situation} {status} {}", String::from_utf8_lossy(&said));
    Some(tap.read())
}

fn rings(tap: &Tap) -> Vec<PathBuf> {
    let entries = fs::read_dir(tap.path()).expect("the directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "ring")).collect()
}

fn starting<'a>(drained: &'a Drained, start: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let payloads = drained.records.iter().map(|record| record.payload.as_slice());
    payloads.filter(move |payload| payload.starts_with(start))
}

#[test]
fn a_forked_child_writes_under_its_own_number() {
    let tap = Tap::new();
    let Some(drained) = play(&tap, "forked_children", || ()) else { return };
    let mut writers = BTreeSet::new();
    for record in &drained.records {
        let line = std::str::from_utf8(&record.payload).expect("a number").trim_end();
        assert_eq!(record.header.pid.to_string(), line, "{:?}", record.header);
        writers.insert(record.header.pid);
    }
    // The program, its child, its child's child, and one that no library saw being made.
    assert_eq!((writers.len(), drained.records.len()), (4, 120), "{drained:?}");
    assert_eq!(drained.lost, 0);
}

/// Lines written to the private file, and those that got into a ring or were counted as lost there.
fn secrets(tap: &Tap, drained: &Drained) -> (usize, usize) {
    let written = fs::read(tap.path().join("private.key")).expect("the private file");
    let leaked = starting(drained, b"SECRET").count() + drained.lost as usize;
    assert_eq!(starting(drained, b"shown").count(), 1);
    (written.len() / b"SECRET\n".len(), leaked)
}

#[test]
fn a_change_that_no_library_sees_is_noticed_after_some_writes() {
    for situation in ["many_after_duplication", "many_after_opening"] {
        let tap = Tap::new();
        let Some(drained) = play(&tap, situation, || ()) else { return };
        let (written, leaked) = secrets(&tap, &drained);
        assert_eq!(written, 5000, "{situation}");
        assert!(leaked <= WRITES_BETWEEN_LOOKS, "{situation}: {leaked}");
    }
}

#[test]
fn a_change_that_no_library_sees_is_noticed_when_the_collector_moves_on() {
    for situation in ["few_after_duplication", "few_after_opening"] {
        let tap = Tap::new();
        let move_on = || {
            let path = tap.path().join(logtap_wire::CONTROL_FILE);
            let file = OpenOptions::new().write(true).open(path).expect("the control page");
            let epoch = 1_u32.to_ne_bytes();
            file.write_all_at(&epoch, control::EPOCH_OFFSET as u64).expect("the control page");
        };
        let Some(drained) = play(&tap, situation, move_on) else { return };
        assert_eq!(secrets(&tap, &drained), (100, 0), "{situation}");
    }
}

#[test]
fn a_ring_that_was_given_up_is_replaced_when_it_is_full() {
    let tap = Tap::new();
    let give_up = || {
        // The small one of the start and a full one.
        assert_eq!(rings(&tap).len(), 2);
        for path in rings(&tap) {
            let file = OpenOptions::new().write(true).open(path).expect("a ring");
            file.write_all_at(&STATE_RETIRED.to_ne_bytes(), STATE_OFFSET as u64).expect("a ring");
        }
    };
    let Some(drained) = play(&tap, "ring_is_given_up", give_up) else { return };
    assert_eq!(starting(&drained, b"line ").count(), 900, "{} lost", drained.lost);
    assert_eq!(drained.lost, 0);
    assert_eq!(rings(&tap).len(), 3);
}

#[test]
fn lanes_of_killed_writers_are_taken_back() {
    if !cfg!(target_arch = "x86_64") {
        return skip("stops by a flag of x86-64 processors");
    }
    let tap = Tap::new();
    let mut before = Drained::default();
    let Some(drained) = play(&tap, "killed_writers", || before = tap.read()) else { return };
    assert!(before.held_by_name > 0, "nobody was killed with a lane in hand");
    assert_eq!(drained.held_by_name, 0, "of {}", before.held_by_name);
    assert_eq!(drained.held, before.held - before.held_by_name);
    let (lines, victims) =
        (starting(&drained, b"line ").count(), starting(&drained, b"victim xxx").count());
    assert_eq!(lines + victims, drained.records.len());
    assert!(drained.records.iter().all(|record| record.payload.len() == 80), "{drained:?}");
    assert!(victims > 0);
    assert_eq!(lines + drained.lost as usize, 1500);
}
