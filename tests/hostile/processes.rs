//! Processes that come from others: what they do to their own descriptors is their own affair.

use super::{Situation, situations};

situations! { "processes":
    glibc "gcc" =>
        forked_children vfork_child_redirects_and_executes vfork_child_writes_elsewhere
        vfork_child_writes_to_a_log vfork_in_a_silent_child spawned_with_actions executed_in_every_way
        chain_of_executions daemon_without_streams raw_clones killed_children;
    musl "musl-gcc" =>
        forked_children vfork_child_redirects_and_executes vfork_child_writes_elsewhere
        vfork_child_writes_to_a_log vfork_in_a_silent_child spawned_with_actions executed_in_every_way
        chain_of_executions daemon_without_streams raw_clones killed_children;
}

/// How many forks; the long tests ask for a hundred thousand.
fn forks() -> u64 {
    std::env::var("LOGTAP_FORKS").map_or(1000, |text| text.parse().expect("a number of forks"))
}

/// Forks of one process; more are played one process after the other.
const AT_ONCE: u64 = 10_000;

#[test]
fn forks_under_eight_writers() {
    for compiler in ["gcc", "musl-gcc"] {
        let mut left = forks();
        while left > 0 {
            let now = left.min(AT_ONCE);
            left -= now;
            let Some(one) = Situation::new(compiler, "processes", "forks_under_eight_writers")
            else {
                break;
            };
            one.argument(&now.to_string()).several_writers().compare();
        }
    }
}
