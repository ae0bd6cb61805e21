//! Windows over the log: the help, and the levels.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Block, Clear, Widget as _};

use super::areas::Areas;
use super::put;
use super::status::NAMES;
use crate::format::count;
use crate::keys::BINDINGS;
use crate::state::State;
use crate::wrap::{cut_at_blanks, width};

/// Cells of the keys in the help.
const KEYS: usize = 12;

/// An empty window with a border; returns the room within.
pub(super) fn window(state: &State, area: Rect, title: &str, buffer: &mut Buffer) -> Rect {
    let area = area.intersection(buffer.area);
    // A wide character that begins left of the window would reach into its border.
    for y in area.top()..area.bottom() {
        if let Some(x) = area.x.checked_sub(1)
            && buffer.cell((x, y)).is_some_and(|cell| width(cell.symbol()) > 1)
        {
            put(buffer, x, y, area.x, &[(" ", Style::new())]);
        }
    }
    Clear.render(area, buffer);
    let block = Block::bordered().title(title).border_style(state.title.theme.rate());
    let inner = block.inner(area);
    block.render(area, buffer);
    inner
}

/// All but the bottom line, which tells what became of a key.
pub(super) fn whole(state: &State) -> Rect {
    let bottom = Areas::of(state).bottom.height;
    Rect::new(0, 0, state.width, state.height - bottom)
}

fn centred(state: &State, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(state.width), height.min(state.height));
    Rect::new((state.width - width) / 2, (state.height - height) / 2, width, height)
}

pub(super) fn draw_help(state: &State, top: usize, buffer: &mut Buffer) {
    let theme = state.title.theme;
    let area = help_area(state);
    let inner = window(state, area, " keys ", buffer);
    let room = usize::from(inner.height);
    let lines = help_lines(area);
    let top = top.min(lines.len().saturating_sub(room));
    for (row, (keys, meaning)) in lines.iter().skip(top).take(room).enumerate() {
        let keys = format!(" {keys:<KEYS$}");
        let texts = [(keys.as_str(), theme.rate()), (*meaning, Style::new())];
        put(buffer, inner.x, inner.y + row as u16, inner.right(), &texts);
    }
    if top + room < lines.len() && area.height > 1 {
        let more = " j: more ";
        let x = area.right().saturating_sub(more.len() as u16 + 1);
        put(buffer, x, area.bottom() - 1, area.right(), &[(more, theme.strong())]);
    }
}

/// Rows of the help, and how many of them there is room for.
pub(super) fn help_size(state: &State) -> (usize, usize) {
    let area = help_area(state);
    (help_lines(area).len(), usize::from(area.height.saturating_sub(2)))
}

fn help_area(state: &State) -> Rect {
    centred(state, 72, BINDINGS.len() as u16 + 2)
}

fn help_lines(area: Rect) -> Vec<(&'static str, &'static str)> {
    let columns = usize::from(area.width.saturating_sub(2)).saturating_sub(KEYS + 1);
    let rows = BINDINGS.iter().flat_map(|binding| {
        let pieces = cut_at_blanks(binding.meaning, columns);
        let line = move |(place, piece)| (if place == 0 { binding.keys } else { "" }, piece);
        pieces.into_iter().enumerate().map(line)
    });
    rows.collect()
}

/// Says in the border of a window which of its rows are seen, where that is not all.
pub(super) fn put_span(
    state: &State,
    area: Rect,
    seen: Range<usize>,
    rows: usize,
    buffer: &mut Buffer,
) {
    if seen.len() >= rows || area.height < 2 {
        return;
    }
    let text = format!(" {}-{} of {} ", seen.start + 1, seen.end.min(rows), count(rows as u64));
    let x = area.right().saturating_sub(text.len() as u16 + 1);
    let texts = [(text.as_str(), state.title.theme.strong())];
    put(buffer, x, area.bottom() - 1, area.right(), &texts);
}

pub(super) fn draw_levels(state: &State, buffer: &mut Buffer) {
    let theme = state.title.theme;
    let progress = &state.progress;
    let area = centred(state, 40, NAMES.len() as u16 + 2);
    let title = if progress.is_complete() {
        " levels ".to_owned()
    } else {
        format!(" levels: counting {}% ", progress.percent())
    };
    let inner = window(state, area, &title, buffer);
    let room = usize::from(inner.height);
    for (level, name) in NAMES.iter().enumerate().take(room) {
        let shown = state.spec.levels.has(level);
        let lines = progress.tally.levels.get(level).copied().unwrap_or(0);
        let tick = if shown { "x" } else { " " };
        let style = if shown { theme.level(level) } else { theme.dim() };
        let texts = [
            (format!(" {level} [{tick}] "), Style::new()),
            (format!("{name:<10}"), style),
            (format!("{:>16}", count(lines)), Style::new()),
        ];
        let texts: Vec<(&str, Style)> = texts.iter().map(|(t, s)| (t.as_str(), *s)).collect();
        put(buffer, inner.x, inner.y + level as u16, inner.right(), &texts);
    }
    if area.height > 1 {
        let hint = " 0-7 show, hide  a all  Esc closes ";
        let end = area.right().saturating_sub(1);
        put(buffer, area.x + 1, area.bottom() - 1, end, &[(hint, theme.strong())]);
    }
}
