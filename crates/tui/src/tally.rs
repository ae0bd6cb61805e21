//! Counts of many lines, which can be added up and taken away again.

use logtap_loki::LEVELS;

use crate::judge::Verdict;

/// What was found out about several lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines.
    pub lines: u64,
    /// Those that are shown.
    pub kept: u64,
    /// Those of them that the search is in.
    pub found: u64,
    /// Those of them that are errors or worse.
    pub errors: u64,
    /// Lines by level, before levels are hidden.
    pub levels: [u64; LEVELS],
    /// Lines that match each rule.
    pub hits: Vec<u64>,
}

impl Tally {
    pub(crate) fn count(&mut self, verdict: &Verdict, rules: usize) {
        self.hits.resize(rules, 0);
        self.lines += u64::from(verdict.is_line);
        self.kept += u64::from(verdict.kept);
        self.found += u64::from(verdict.found);
        self.errors += u64::from(verdict.is_error());
        if verdict.has_level
            && let Some(level) = self.levels.get_mut(verdict.level)
        {
            *level += 1;
        }
        for (number, hits) in self.hits.iter_mut().enumerate() {
            *hits += u64::from(verdict.hits >> number & 1);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.merge(other, u64::saturating_add);
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.merge(other, u64::saturating_sub);
    }

    fn merge(&mut self, other: &Self, with: impl Fn(u64, u64) -> u64) {
        self.lines = with(self.lines, other.lines);
        self.kept = with(self.kept, other.kept);
        self.found = with(self.found, other.found);
        self.errors = with(self.errors, other.errors);
        for (mine, theirs) in self.levels.iter_mut().zip(other.levels) {
            *mine = with(*mine, theirs);
        }
        self.hits.resize(self.hits.len().max(other.hits.len()), 0);
        for (mine, theirs) in self.hits.iter_mut().zip(&other.hits) {
            *mine = with(*mine, *theirs);
        }
    }
}
