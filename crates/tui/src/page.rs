//! What is asked of a pager, and what it answers: pages of lines, and jumps to lines.

use std::rc::Rc;

use crate::place::Place;
use crate::shown::ShownLine;

/// A line on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it is.
    pub place: Place,
    /// What it says.
    pub line: Rc<ShownLine>,
}

/// A screen of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The lines, without a gap between them.
    pub rows: Vec<Row>,
    /// The row of the line that was asked for.
    pub anchor: usize,
    /// Whether there is nothing before the first row.
    pub at_start: bool,
    /// Whether there is nothing behind the last row.
    pub at_end: bool,
    /// Whether it is not known yet what comes before or behind.
    pub waiting: bool,
    /// Lines of the capture before the last row, in percent of its bytes.
    pub percent: u8,
}

/// Which lines to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The last ones.
    Tail,
    /// The first ones.
    Head,
    /// The line at a place or the next one shown behind it, moved by some lines, in this row.
    Around {
        /// Where.
        place: Place,
        /// By how many lines.
        moved: isize,
        /// In which row, if there are enough lines before and behind.
        row: usize,
    },
}

/// What to jump to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// What is searched.
    Match,
    /// An error or worse.
    Error,
}

/// What became of a jump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sought {
    /// It is here; with its number among all of its kind if that is known.
    Found(Place, Option<u64>),
    /// There is none in that direction.
    Nothing,
    /// Not known yet.
    Waiting,
}
