//! Control flow that leaves a hook in an unusual way, and errno on success and failure.

use super::{Situation, situations};

situations! { "control":
    glibc "gcc" =>
        errno_is_kept backtraces nothing_at_all jump_out_of_a_handler cancelled_threads cancelled_in_a_blocking_write
        exit_handlers_and_destructors constructors ended_without_handlers aborted;
    musl "musl-gcc" =>
        errno_is_kept nothing_at_all jump_out_of_a_handler cancelled_threads cancelled_in_a_blocking_write
        exit_handlers_and_destructors constructors ended_without_handlers aborted;
}

const COMPILERS: [&str; 2] = ["gcc", "musl-gcc"];

#[test]
fn handlers_that_write() {
    for compiler in COMPILERS {
        if let Some(one) = Situation::new(compiler, "control", "handlers_that_write") {
            one.several_writers().compare();
        }
    }
}

/// The interrupted writes may be missed, one for each jump; all that comes afterwards is there.
#[test]
fn jump_out_of_a_hook() {
    for compiler in COMPILERS {
        if let Some(one) = Situation::new(compiler, "control", "jump_out_of_a_hook") {
            one.several_writers().interrupted(200).compare();
        }
    }
}

/// After each of the first instructions, which are those of the hook and of the ring; the program still has one to write
/// into.
#[test]
fn jump_out_all_over_a_hook() {
    if let Some(one) = Situation::new("gcc", "control", "jump_out_all_over_a_hook") {
        one.several_writers().interrupted(600).compare();
    }
}

#[test]
fn cancelled_asynchronously() {
    for compiler in COMPILERS {
        if let Some(one) = Situation::new(compiler, "control", "cancelled_asynchronously") {
            one.several_writers().interrupted(30).compare();
        }
    }
}
