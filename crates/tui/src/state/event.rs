//! What can happen to a state, and what it asks for.

use std::time::Duration;

use logtap_capture::Timestamp;
use ratatui::crossterm::event::{KeyEvent, MouseEvent};

use super::{Goal, Page, Place, Progress, Request, Sought, Statistics};

/// A jump that is not there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seek {
    /// To what.
    pub goal: Goal,
    /// From where.
    pub from: Place,
    /// In which direction.
    pub forward: bool,
}

/// How far an export is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exporting {
    /// Where to.
    pub path: String,
    /// How far, in percent.
    pub percent: u64,
    /// Lines written.
    pub lines: u64,
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time has passed.
    Tick(Box<Tick>),
    /// A key.
    Key(KeyEvent),
    /// A pasted text.
    Paste(String),
    /// The mouse.
    Mouse(MouseEvent),
    /// The terminal has another size.
    Resize(u16, u16),
    /// The page that was asked for.
    Page(Page),
    /// The jump that was asked for.
    Sought(Sought),
    /// The time that was asked for: its line, or why there is none.
    Time(Result<Place, String>),
    /// A warning that nobody has asked for, and when it came.
    Warned(Timestamp, String),
    /// Something to tell, and whether it is bad.
    Told(String, bool),
}

/// What is known now.
#[derive(Clone, Debug, Default)]
pub struct Tick {
    /// Time since the start.
    pub now: Duration,
    /// The receiver's counters.
    pub statistics: Statistics,
    /// How far the survey is.
    pub progress: Progress,
    /// Segments removed since the start.
    pub removed: u64,
    /// The export under way.
    pub exporting: Option<Exporting>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Read a page.
    Page(Request),
    /// Show lines by the state's spec.
    Spec,
    /// Look for a line.
    Seek(Seek),
    /// Look for a time, as it was typed.
    FindTime(String),
    /// Write the lines that are shown; the default directory if no name is given.
    Export(String),
    /// Give up the export.
    StopExport,
    /// Put a text on the clipboard.
    Copy(String),
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Send the whole screen again.
    Redraw,
    /// Give the terminal back until the shell says go on.
    Suspend,
    /// End.
    Quit,
}
