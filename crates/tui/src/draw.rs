//! A state as cells: a pure function, so that whole screens can be tested without a terminal.

pub(crate) mod areas;
mod detail;
pub(crate) mod log;
mod overlay;
mod panel;
mod status;
pub(crate) mod warnings;

use ratatui::buffer::Buffer;
use ratatui::style::Style;

use self::areas::Areas;
use crate::state::{Mode, State};
use crate::wrap::{cut, width};
use logtap_units::visible::shown;

/// Draws everything into the buffer, which has the size of the state.
pub fn draw(state: &State, buffer: &mut Buffer) {
    let areas = Areas::of(state);
    panel::draw_title(state, areas.title, buffer);
    panel::draw(state, areas.panel, buffer);
    status::draw_rule(state, areas.rule, buffer);
    log::draw(state, areas.log, buffer);
    match &state.mode {
        Mode::Detail(top) => detail::draw(state, *top, buffer),
        Mode::Warnings(top) => warnings::draw(state, *top, buffer),
        _ => {}
    }
    status::draw_bottom(state, areas.bottom, buffer);
    // These need every row of a small terminal.
    match &state.mode {
        Mode::Help(top) => overlay::draw_help(state, *top, buffer),
        Mode::Levels => overlay::draw_levels(state, buffer),
        _ => {}
    }
    let is_covered =
        matches!(state.mode, Mode::Help(_) | Mode::Levels | Mode::Detail(_) | Mode::Warnings(_));
    if is_covered || areas.rule.is_empty() {
        status::draw_losses(state, buffer);
    }
}

/// The last row that the window that is open can begin with.
pub(crate) fn last_top(state: &State) -> usize {
    let (rows, room) = match &state.mode {
        Mode::Help(_) => overlay::help_size(state),
        Mode::Detail(_) => detail::size(state),
        Mode::Warnings(_) => warnings::size(state),
        _ => return 0,
    };
    rows.saturating_sub(room)
}

/// Writes a text that may be longer than there is room for; its last cell says so.
fn put_cut(buffer: &mut Buffer, x: u16, y: u16, end: u16, text: &str, style: Style) -> u16 {
    let text = shown(text);
    let room = usize::from(end.saturating_sub(x));
    if width(&text) <= room || room == 0 {
        return put(buffer, x, y, end, &[(&text, style)]);
    }
    let front = cut(&text, room - 1).into_iter().next().unwrap_or_default();
    let front = text.get(front).unwrap_or_default();
    put(buffer, x, y, end, &[(front, style), ("\u{203a}", style)])
}

/// Writes texts one after the other, up to `end`; returns where the next one would begin.
///
/// All text gets onto the screen through here, and none that could do anything to it but stand there.
fn put(buffer: &mut Buffer, x: u16, y: u16, end: u16, texts: &[(&str, Style)]) -> u16 {
    let mut x = x;
    if !buffer.area.contains((x, y).into()) {
        return x;
    }
    let end = end.min(buffer.area.right());
    for (text, style) in texts {
        if x >= end {
            break;
        }
        (x, _) = buffer.set_stringn(x, y, shown(text), usize::from(end - x), *style);
    }
    x
}
