//! Out of a hook after every so many of its instructions: in the `.ci/long` tests after each.
//!
//! What is written afterwards is captured, nothing that the call held is in anybody's way, and no descriptor is left.

use super::Situation;
use crate::support::machine::skip;

/// Instructions from one place to the next.
const DISTANCE: u32 = 53;
/// No call has more places at that distance.
pub(crate) const PLACES: usize = 1000;

/// Where to begin: in the long tests so often that every instruction is a place once.
pub(crate) fn first_places(distance: u32) -> impl Iterator<Item = String> {
    let is_long = std::env::var_os("LOGTAP_LONG_TESTS").is_some();
    (1..=if is_long { distance } else { 1 }).map(|first| first.to_string())
}

/// Whether a program can be stopped after each instruction here.
pub(crate) fn can_step() -> bool {
    let can = cfg!(target_arch = "x86_64");
    if !can {
        skip("stops by a flag of x86-64 processors");
    }
    can
}

fn left(compilers: &[&str], words: [&str; 3]) {
    if !can_step() {
        return;
    }
    for compiler in compilers {
        for first in first_places(DISTANCE) {
            let Some(one) = Situation::new(compiler, "steps", words[0]) else { continue };
            let one = one.argument(words[1]).argument(words[2]).argument(&DISTANCE.to_string());
            one.argument(&first).several_writers().interrupted(PLACES).compare();
        }
    }
}

#[test]
fn a_write_left_by_a_handler() {
    left(&["gcc", "musl-gcc"], ["signal", "write", "child"]);
}

#[test]
fn stdio_left_by_a_handler() {
    left(&["gcc", "musl-gcc"], ["signal", "stdio", "child"]);
}

#[test]
fn the_making_of_a_ring_left_by_a_handler() {
    left(&["gcc", "musl-gcc"], ["signal", "grow", "child"]);
}

/// As a fault may leave it, which no mask holds back.
#[test]
fn the_making_of_a_ring_left_by_a_fault() {
    left(&["gcc"], ["fault", "grow", "child"]);
}
