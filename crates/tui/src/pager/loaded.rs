//! A chunk in memory, with what was found out about its lines.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::page::Goal;
use crate::place::{ChunkKey, Place};
use crate::shown::ShownLine;

/// A chunk and the lines of it that are shown.
pub(super) struct Loaded {
    pub(super) key: ChunkKey,
    /// The segment's length when it was read, if more may come.
    pub(super) length: Option<u64>,
    pub(super) base: u64,
    pub(super) text: Vec<u8>,
    /// Start and end of each.
    pub(super) lines: Vec<(u32, u32)>,
    /// What each of them is to those who jump.
    pub(super) goals: Vec<Goals>,
    /// Those that were taken apart, since a page that stands still is asked for many times.
    pub(super) parsed: RefCell<HashMap<usize, Rc<ShownLine>>>,
    /// Those that were jumped to by goal, since one goes from match to match.
    pub(super) wanted: RefCell<Option<(Goal, Rc<[usize]>)>>,
}

/// What may be jumped to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goals {
    pub(super) is_match: bool,
    pub(super) is_error: bool,
}

impl Loaded {
    pub(super) fn line(&self, number: usize) -> &[u8] {
        let (start, end) = self.lines.get(number).copied().unwrap_or_default();
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    pub(super) fn shown(&self, number: usize) -> Rc<ShownLine> {
        let mut parsed = self.parsed.borrow_mut();
        let line = || Rc::new(ShownLine::of(self.line(number)));
        Rc::clone(parsed.entry(number).or_insert_with(line))
    }

    pub(super) fn place(&self, number: usize) -> Place {
        let start = self.lines.get(number).map_or(0, |(start, _)| *start);
        Place { segment: self.key.segment.clone(), offset: self.base + u64::from(start) }
    }
}
