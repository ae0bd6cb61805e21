//! Bytes that the kernel moves, and writes that do not take all or have to wait.

use super::{Situation, situations};

situations! { "transfers":
    glibc "gcc" =>
        sent_files sent_by_system_calls copied_ranges given_to_a_pipe interrupted_writes broken_pipe
        terminals_are_asked_for;
    musl "musl-gcc" =>
        sent_files sent_by_system_calls copied_ranges given_to_a_pipe interrupted_writes broken_pipe
        terminals_are_asked_for;
}

/// How much of what goes through at once differs from run to run: what is shown is what is captured.
#[test]
fn writes_that_do_not_take_all() {
    for compiler in ["gcc", "musl-gcc"] {
        for name in ["short_writes", "stdio_that_gives_up"] {
            if let Some(one) = Situation::new(compiler, "transfers", name) {
                one.several_writers().compare();
            }
        }
    }
}
