//! The lines: mark, time, sender, message, each on one row or wrapped.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::areas::Areas;
use super::put;
use crate::highlight::{Kind, parts};
use crate::state::{Pattern, Row, State, TimeStyle};
use crate::theme::Theme;
use crate::wrap::{behind_marks, cut, skip, width};
use logtap_units::visible::clean;

/// Least cells for sender and message.
const LEAST: usize = 18;
/// A row takes no more than this of the message for each cell.
const BYTES_PER_CELL: usize = 4;

/// Where a row of the page is on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Laid {
    row: usize,
    y: u16,
    height: u16,
}

pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    if state.page.rows.is_empty() {
        let text = nothing(state);
        put(buffer, area.x + 1, area.y, area.right(), &[(&text, state.title.theme.dim())]);
        return;
    }
    for laid in lay_out(state, area) {
        if let Some(row) = state.page.rows.get(laid.row) {
            draw_row(state, row, &laid, area, buffer);
        }
    }
}

/// Why there is no line.
fn nothing(state: &State) -> String {
    if state.page.waiting {
        format!("looking for lines that pass the filters: {}%", state.progress.percent())
    } else if state.spec.shows_all() {
        format!("no lines yet; push to {}", state.title.address)
    } else {
        "no line passes the filters; Esc drops the last one".to_owned()
    }
}

/// The row of the page at a place on the screen.
pub(crate) fn row_at(state: &State, x: u16, y: u16) -> Option<usize> {
    let area = Areas::of(state).log;
    if !area.contains((x, y).into()) {
        return None;
    }
    let laid = lay_out(state, area);
    laid.iter().find(|laid| (laid.y..laid.y + laid.height).contains(&y)).map(|laid| laid.row)
}

/// How many lines are on the screen, or have room there.
pub(crate) fn rows_in_sight(state: &State) -> usize {
    let area = Areas::of(state).log;
    if state.wrap { lay_out(state, area).len() } else { usize::from(area.height) }
}

fn lay_out(state: &State, area: Rect) -> Vec<Laid> {
    let heights: Vec<u16> = state
        .page
        .rows
        .iter()
        .map(|row| match state.wrap {
            false => 1,
            true => {
                let text = Text::of(state, row, area);
                (text.pieces.len() as u16).clamp(1, area.height)
            }
        })
        .collect();
    let fits = |from: usize, to: usize| {
        heights.get(from..to).unwrap_or_default().iter().map(|h| u32::from(*h)).sum::<u32>()
            <= u32::from(area.height)
    };
    // The last line is in sight while following, the chosen one always.
    let last = if state.follow { heights.len() } else { (state.cursor + 1).min(heights.len()) };
    let first = (0..last).find(|first| fits(*first, last)).unwrap_or(last.saturating_sub(1));
    let mut y = area.y;
    let mut laid = Vec::new();
    for (row, height) in heights.iter().enumerate().skip(first) {
        let left = area.bottom() - y;
        if left == 0 {
            break;
        }
        let height = (*height).min(left);
        laid.push(Laid { row, y, height });
        y += height;
    }
    laid
}

/// A row as text.
struct Text {
    time: String,
    sender: String,
    message: String,
    /// Cells before the message.
    prefix: usize,
    pieces: Vec<Range<usize>>,
}

impl Text {
    fn of(state: &State, row: &Row, area: Rect) -> Self {
        let columns = usize::from(area.width);
        // Where there is little room the message comes first.
        let mut style = state.time_style;
        while style != TimeStyle::Hidden && style.width() + LEAST > columns {
            style = style.shorter();
        }
        let mut time = style.show(row.line.time);
        if !time.is_empty() {
            time.push(' ');
        }
        let sender = match row.line.sender() {
            Some(sender) if columns >= LEAST => format!("[{}] ", clean(sender, 64)),
            _ => String::new(),
        };
        let full = 1 + width(&time) + width(&sender);
        let prefix = full.min(columns);
        let rows = if state.wrap { usize::from(area.height) + 1 } else { 1 };
        let limit = (rows * columns + 1) * BYTES_PER_CELL;
        let pan = if state.wrap { 0 } else { state.pan };
        let mut message = clean(&row.line.message, limit + pan * BYTES_PER_CELL);
        if row.line.is_binary {
            message.insert_str(0, "\u{2039}not UTF-8\u{203a} ");
        }
        let room = columns - prefix;
        let pieces = if state.wrap && room > 0 {
            cut(&message, room)
        } else {
            let start = skip(&message, pan);
            Vec::from([Range { start, end: message.len() }])
        };
        Self { time, sender, message, prefix, pieces }
    }
}

fn draw_row(state: &State, row: &Row, laid: &Laid, area: Rect, buffer: &mut Buffer) {
    let theme = state.title.theme;
    let text = Text::of(state, row, area);
    let is_chosen = !state.follow && laid.row == state.cursor;
    let mark = state.marks.iter().find(|(_, place)| **place == row.place).map(|(mark, _)| *mark);
    let gutter = match (mark, is_chosen) {
        (Some(mark), _) => mark.to_string(),
        (None, true) => "\u{258c}".to_owned(),
        (None, false) => " ".to_owned(),
    };
    let gutter_style = if mark.is_some() { theme.badge() } else { theme.rate() };
    let time = if row.line.level > 3 { theme.level(row.line.level) } else { theme.time() };
    put(
        buffer,
        area.x,
        laid.y,
        area.right(),
        &[(&gutter, gutter_style), (&text.time, time), (&text.sender, theme.sender())],
    );
    let base = if row.line.level == 1 || row.line.level == 2 { theme.dim() } else { Style::new() };
    let runs = runs(&text.message, base, theme, state.spec.search.as_ref());
    let start = area.x + text.prefix as u16;
    for (number, piece) in text.pieces.iter().take(usize::from(laid.height)).enumerate() {
        let y = laid.y + number as u16;
        put_runs(buffer, start, y, area.right(), &text.message, &runs, piece);
    }
    // What does not fit says so.
    let last = text.pieces.get(usize::from(laid.height) - 1);
    let is_cut = last.is_some_and(|piece| {
        let room = usize::from(area.width) - text.prefix;
        let rest = text.message.get(piece.clone()).unwrap_or_default();
        piece.end < text.message.len() || (!state.wrap && width(rest) > room)
    });
    if is_cut && area.width > 1 {
        let y = laid.y + laid.height - 1;
        put(buffer, area.right() - 1, y, area.right(), &[("\u{203a}", theme.warning())]);
    }
    if is_chosen {
        let place = Rect { y: laid.y, height: laid.height, ..area };
        buffer.set_style(place, Style::new().add_modifier(Modifier::BOLD));
    }
}

/// A message in pieces of one style each.
pub(super) fn runs(
    message: &str,
    base: Style,
    theme: Theme,
    search: Option<&Pattern>,
) -> Vec<(Range<usize>, Style)> {
    let mut runs = Vec::new();
    let mut at = 0;
    let whole =
        |range: Range<usize>| behind_marks(message, range.start)..behind_marks(message, range.end);
    for (range, kind) in parts(message) {
        let range = whole(range);
        runs.push((at..range.start, base));
        at = range.end;
        runs.push((range, base.patch(style(theme, kind))));
    }
    runs.push((at..message.len(), base));
    for found in search.into_iter().flat_map(|search| search.places(message)) {
        let found = whole(found);
        // Cuts the match out of the runs that it lies in.
        let mut cut = Vec::with_capacity(runs.len() + 2);
        for (range, style) in runs {
            let (start, end) = (range.start, range.end);
            cut.push((start..end.min(found.start), style));
            cut.push((start.max(found.start)..end.min(found.end), theme.found()));
            cut.push((start.max(found.end)..end, style));
        }
        cut.retain(|(range, _)| range.start < range.end);
        runs = cut;
        if runs.len() > 1000 {
            break;
        }
    }
    runs
}

fn style(theme: Theme, kind: Kind) -> Style {
    match kind {
        Kind::Link => theme.link(),
        Kind::Identifier | Kind::Address => theme.address(),
        Kind::Time => theme.time(),
        Kind::Level(level) => theme.level(level),
        Kind::Quoted => theme.text(),
        Kind::Key => theme.dim(),
        Kind::Number => theme.number(),
    }
}

/// Writes a part of a message in its styles.
pub(super) fn put_runs(
    buffer: &mut Buffer,
    x: u16,
    y: u16,
    end: u16,
    message: &str,
    runs: &[(Range<usize>, Style)],
    piece: &Range<usize>,
) {
    let mut x = x;
    for (range, style) in runs {
        let part = range.start.max(piece.start)..range.end.min(piece.end);
        if part.start < part.end && x < end {
            x = put(buffer, x, y, end, &[(message.get(part).unwrap_or_default(), *style)]);
        }
    }
}
