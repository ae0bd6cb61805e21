//! The list of warnings, over everything: when, how often, what; the newest first.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::style::Style;

use super::overlay::{put_span, whole, window};
use super::put;
use crate::format::count;
use crate::state::State;
use crate::time::clock;
use crate::wrap::cut_at_blanks;
use logtap_units::visible::shown;

/// Bytes of `10:42:07`.
const TIME: usize = 8;

/// A row of the list.
struct Row {
    /// The warning that it is of; behind the last one for what is said about those that had no room.
    warning: usize,
    text: String,
    is_first: bool,
    is_last: bool,
}

pub(super) fn draw(state: &State, top: usize, buffer: &mut Buffer) {
    let theme = state.title.theme;
    let area = whole(state);
    let inner = window(state, area, " warnings, the newest first ", buffer);
    if state.warnings.is_empty() {
        put(buffer, inner.x, inner.y, inner.right(), &[(" none so far", theme.dim())]);
        return;
    }
    let rows = rows(state);
    let room = usize::from(inner.height);
    let top = top.min(rows.len().saturating_sub(room));
    for (number, row) in rows.iter().skip(top).take(room).enumerate() {
        let y = inner.y + number as u16;
        let time = if row.is_first { TIME.min(row.text.len()) } else { 0 };
        let (time, text) = row.text.split_at_checked(time).unwrap_or(("", &row.text));
        put(buffer, inner.x, y, inner.right(), &[(time, theme.dim()), (text, Style::new())]);
    }
    put_span(state, area, top..top + room, rows.len(), buffer);
}

/// How many rows the list has, and how many of them there is room for.
pub(super) fn size(state: &State) -> (usize, usize) {
    (rows(state).len(), room(state))
}

/// The warnings that are seen to their end; one more than there are with what is said about those beyond.
pub(crate) fn in_sight(state: &State, top: usize) -> Range<usize> {
    let rows = rows(state);
    let room = room(state);
    let top = top.min(rows.len().saturating_sub(room));
    let seen = rows.iter().skip(top).take(room).filter(|row| row.is_last).map(|row| row.warning);
    let first = seen.clone().min().unwrap_or(0);
    first..seen.max().map_or(first, |last| last + 1)
}

/// The warning at a row of the list, and the row within it.
pub(crate) fn at(state: &State, top: usize) -> Option<(usize, usize)> {
    let rows = rows(state);
    let warning = rows.get(top)?.warning;
    let first = rows.iter().position(|row| row.warning == warning)?;
    Some((warning, top - first))
}

/// The row at which a warning begins.
pub(crate) fn start(state: &State, warning: usize) -> usize {
    rows(state).iter().take_while(|row| row.warning < warning).count()
}

/// Rows that there is room for.
fn room(state: &State) -> usize {
    usize::from(whole(state).height.saturating_sub(2))
}

fn rows(state: &State) -> Vec<Row> {
    let columns = usize::from(state.width.saturating_sub(2)).max(1);
    let mut rows = Vec::new();
    let mut add = |warning: usize, text: &str, is_first: bool| {
        let pieces = cut_at_blanks(text, columns);
        let last = pieces.len() - 1;
        rows.extend(pieces.into_iter().enumerate().map(|(place, piece)| Row {
            warning,
            text: piece.to_owned(),
            is_first: is_first && place == 0,
            is_last: place == last,
        }));
    };
    for (place, warning) in state.warnings.iter().enumerate() {
        let time = clock(warning.at);
        let time = time.get(..TIME).unwrap_or_default();
        let times = match warning.times {
            1 => String::new(),
            times => format!("{} times: ", count(times)),
        };
        add(place, &format!("{time} {times}{}", shown(&warning.text)), true);
    }
    if state.warnings.beyond() > 0 {
        let text = format!(
            "and {} older ones, for which there is no room",
            count(state.warnings.beyond())
        );
        add(state.warnings.len(), &text, false);
    }
    rows
}
