//! What goes where, for any size of a terminal: the log is the last to go.

use ratatui::layout::Rect;

use crate::state::State;

/// The parts of the screen; those that have no room are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Areas {
    pub(crate) title: Rect,
    pub(crate) panel: Rect,
    pub(crate) rule: Rect,
    pub(crate) log: Rect,
    pub(crate) bottom: Rect,
}

/// Rows of the statistics.
const PANEL: u16 = 5;
/// And where there is plenty of room.
const HIGH_PANEL: u16 = 8;

impl Areas {
    pub(crate) fn of(state: &State) -> Self {
        let bottom_rows = u16::from(state.height >= 2);
        let mut top = 0;
        let mut left = state.height;
        let mut take = |rows: Option<u16>, if_there_are: u16| {
            let rows = rows.unwrap_or(left.saturating_sub(bottom_rows));
            let rows = if state.height >= if_there_are { rows.min(left) } else { 0 };
            let area = Rect::new(0, top, state.width, rows);
            top += rows;
            left -= rows;
            area
        };
        let title = take(Some(1), 8);
        let panel = if state.panel && state.width >= 40 {
            take(Some(if state.height >= 36 { HIGH_PANEL } else { PANEL }), 14)
        } else {
            Rect::default()
        };
        let rule = take(Some(1), 4);
        let log = take(None, 0);
        let bottom = take(Some(bottom_rows), 0);
        Self { title, panel, rule, log, bottom }
    }
}
