//! Lines that are given out without their end: after a silence, at the end of a writer, or because
//! there are too many of them.

use super::{Assembler, Assembly, Identity, MAX_PENDING_BYTES, MAX_UNFINISHED};
use crate::lines::Mark;
use crate::output::About;

impl Assembler {
    /// Gives out unfinished lines whose writers have been silent for long enough. Of a long write that has come no further
    /// meanwhile the rest may be lost, or its writer dead: what others write waits for it no longer.
    pub(super) fn flush_quiet(&mut self) {
        let quiet = i64::try_from(self.rules.quiet.as_nanos()).unwrap_or(i64::MAX);
        self.next_flush = i64::MAX;
        for (active, at) in self.unfinished_writers() {
            if active.saturating_add(quiet) <= self.now {
                self.flush_writer(at, Mark::Partial);
                self.close(at);
            } else {
                self.next_flush = self.next_flush.min(active.saturating_add(quiet));
            }
        }
    }

    /// Gives out unfinished lines, longest silent first, until half of the limits is free.
    pub(super) fn flush_oldest(&mut self) {
        for (_, at) in self.unfinished_writers() {
            if self.unfinished <= MAX_UNFINISHED / 2 && self.pending_bytes <= MAX_PENDING_BYTES / 2
            {
                break;
            }
            self.flush_writer(at, Mark::Partial);
            self.change(at, |assembly, _, _| assembly.open = 0);
        }
    }

    /// Gives out the unfinished lines of these writers.
    pub(super) fn flush_where(&mut self, mark: Mark, matches: impl Fn(&Assembly) -> bool) {
        let mut found: Vec<usize> = self
            .index
            .values()
            .copied()
            .filter(|&at| self.writers.get(at).is_some_and(&matches))
            .collect();
        found.sort_unstable_by(|&a, &b| self.identity(a).cmp(&self.identity(b)));
        for at in found {
            self.flush_writer(at, mark);
            self.change(at, |assembly, _, _| assembly.open = 0);
        }
    }

    fn identity(&self, at: usize) -> Option<&Identity> {
        self.writers.get(at).map(|writer| &writer.identity)
    }

    pub(super) fn flush_writer(&mut self, at: usize, mark: Mark) {
        self.change(at, |assembly, _, output| {
            let Assembly { lines, writer, .. } = assembly;
            lines.flush(mark, |line, time, mark| {
                output.line(writer, line, About { time, mark, late: false });
            });
        });
    }

    /// Writers with an unfinished line, longest silent first.
    pub(super) fn unfinished_writers(&self) -> Vec<(i64, usize)> {
        let mut found: Vec<_> = self
            .index
            .iter()
            .filter_map(|(identity, &at)| {
                let assembly = self.writers.get(at)?;
                assembly.is_unfinished().then_some((assembly.active, identity, at))
            })
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(active, _, at)| (active, at)).collect()
    }

    /// Forgets writers without an unfinished line. No line depends on it.
    pub(super) fn forget_where(&mut self, matches: impl Fn(&Assembly) -> bool) {
        self.last = None;
        let Self { index, routes, writers, .. } = self;
        index.retain(|_, &mut at| {
            let idle = |writer: &Assembly| !writer.is_unfinished() && matches(writer);
            if writers.get(at).is_none_or(idle) {
                writers.remove(at);
                return false;
            }
            true
        });
        routes.retain(|_, &mut at| writers.get(at).is_some());
    }
}
