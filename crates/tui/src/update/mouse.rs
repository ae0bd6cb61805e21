//! What the mouse does.

use ratatui::crossterm::event::{MouseEvent, MouseEventKind};

use crate::draw::log::row_at;
use crate::state::{Effect, Keep, Mode, Request, State};

/// Lines that a turn of the wheel moves.
const WHEEL: isize = 3;

impl State {
    pub(super) fn mouse_event(&mut self, mouse: MouseEvent) -> Vec<Effect> {
        let (forward, is_wheel) = match mouse.kind {
            MouseEventKind::ScrollDown => (true, true),
            MouseEventKind::ScrollUp => (false, true),
            _ => (false, false),
        };
        if is_wheel {
            return self.wheel(forward);
        }
        if let (MouseEventKind::Down(_), Mode::Normal) = (mouse.kind, &self.mode)
            && let Some(row) = row_at(self, mouse.column, mouse.row)
        {
            if !self.follow && row == self.cursor {
                self.mode = Mode::Detail(0);
            }
            self.leave_follow();
            self.cursor = row;
        }
        Vec::new()
    }

    fn wheel(&mut self, forward: bool) -> Vec<Effect> {
        let moved = if forward { WHEEL } else { -WHEEL };
        if self.scroll_window(moved) || self.mode != Mode::Normal {
            return Vec::new();
        }
        if forward && (self.follow || self.page.at_end) {
            return Vec::new();
        }
        self.leave_follow();
        let Some(first) = self.page.rows.first() else { return Vec::new() };
        let request = Request::Around { place: first.place.clone(), moved, row: 0 };
        self.ask(request, Keep::Row)
    }
}
