//! Ways past the tap that processes with the library took: noticed by it, told by `run`.
//!
//! Refuses to guess how much went that way: nobody knows.

use std::collections::{BTreeMap, BTreeSet};

use logtap_collector::RingSummary;
use logtap_wire::ring::{SEEN_IO_URING, SEEN_MAPPED};

/// One sentence for each program and way.
pub(crate) fn notes(rings: &[RingSummary]) -> Vec<String> {
    let mut found: BTreeMap<(&str, u32), BTreeSet<u32>> = BTreeMap::new();
    for ring in rings {
        for way in [SEEN_IO_URING, SEEN_MAPPED] {
            if ring.coverage & way != 0 {
                found.entry((&ring.executable, way)).or_default().insert(ring.pid);
            }
        }
    }
    found
        .into_iter()
        .map(|((program, way), processes)| sentence(program, way, &processes))
        .collect()
}

fn sentence(program: &str, way: u32, processes: &BTreeSet<u32>) -> String {
    let times = match processes.len() {
        1 => String::new(),
        more => format!(" ({more} processes)"),
    };
    if way == SEEN_IO_URING {
        format!("`{program}`{times} set up an io_uring: what it wrote that way is not captured")
    } else {
        format!(
            "`{program}`{times} mapped a log to write to it: what it stored that way is not captured"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(executable: &str, pid: u32, coverage: u32) -> RingSummary {
        RingSummary {
            name: format!("{pid}.ring"),
            pid,
            executable: executable.to_owned(),
            source: "preload".to_owned(),
            coverage,
            state: "ended",
            processes: vec![pid],
            torn_unknown: 0,
            streams: Vec::new(),
        }
    }

    #[test]
    fn each_program_is_named_once_for_each_way() {
        let rings = [
            ring("/bin/a", 7, 15 | SEEN_IO_URING),
            ring("/bin/a", 7, 15 | SEEN_IO_URING),
            ring("/bin/b", 8, SEEN_IO_URING | SEEN_MAPPED),
            ring("/bin/b", 9, SEEN_IO_URING),
            ring("/bin/c", 10, 15),
        ];
        assert_eq!(
            notes(&rings),
            [
                "`/bin/a` set up an io_uring: what it wrote that way is not captured",
                "`/bin/b` (2 processes) set up an io_uring: what it wrote that way is not captured",
                "`/bin/b` mapped a log to write to it: what it stored that way is not captured",
            ]
        );
    }
}
