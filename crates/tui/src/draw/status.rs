//! The line above the log, with what is hidden and why, and the line below it, for typing and notices.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::areas::Areas;
use super::{put, put_cut};
use crate::format::{count, short};
use crate::state::{LevelSet, Mode, Prompt, State};
use crate::wrap::{cut_at_blanks, width};
use logtap_units::visible::shown;

/// Rows that a notice may take.
const MAX_TOLD: usize = 4;
/// Columns below which there is little room.
const NARROW: usize = 40;

/// What the bottom line says when there is nothing else to say, the most useful first.
const HINTS: [&str; 9] = [
    "? help",
    "q quit",
    "/ find",
    "f follow",
    "e error",
    "Enter line",
    "L levels",
    "l label",
    "w export",
];

/// What it says under a line in full.
const DETAIL_HINTS: [&str; 5] = [
    "Esc closes",
    "\u{2190} \u{2192} other lines",
    "j k scroll",
    "y Y copy",
    "n e next match, error",
];

pub(super) fn draw_rule(state: &State, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let theme = state.title.theme;
    let line = "\u{2500}".repeat(usize::from(area.width));
    put(buffer, area.x, area.y, area.right(), &[(&line, theme.dim())]);
    let mut right = position(state);
    if usize::from(area.width) < NARROW && lost(state).is_some() {
        // Where there is little room, what is lost is more than what is new.
        right.truncate(right.find("  +").unwrap_or(right.len()));
    }
    let right_start = area.right().saturating_sub(width(&right) as u16 + 1);
    let style = if state.follow { theme.good() } else { theme.warning() };
    put(buffer, right_start, area.y, area.right(), &[(&right, style)]);
    let mut x = area.x + 1;
    for loss in [lost(state), unread(state)].into_iter().flatten() {
        let end = right_start.saturating_sub(1);
        let text = loss.fitting(usize::from(end.saturating_sub(x)));
        x = put(buffer, x, area.y, end, &[(text, theme.warning())]) + 1;
    }
    let badges = badges(state);
    let count = badges.len();
    for (number, (text, is_warning)) in badges.into_iter().enumerate() {
        let text = if is_warning { format!(" {text} ") } else { text };
        let style = if is_warning { theme.warning() } else { theme.badge() };
        let end = right_start.saturating_sub(1);
        let rest = count - number - 1;
        let more = if rest > 0 { format!("+{rest} ").len() } else { 0 };
        if usize::from(x) + width(&text) + 1 + more > usize::from(end) {
            // What has no room is counted, not left out in silence.
            let text = if number == 0 { text } else { format!("+{}", rest + 1) };
            put(buffer, x, area.y, end, &[(&text, style)]);
            return;
        }
        x = put(buffer, x, area.y, end, &[(&text, style)]) + 1;
    }
}

/// What was lost and what was not read yet, at the top right, where a window is over the line that says it.
pub(super) fn draw_losses(state: &State, buffer: &mut Buffer) {
    let texts = [lost(state), unread(state)];
    let mut end = state.width;
    for loss in texts.into_iter().flatten() {
        let text = loss.fitting(usize::from(end));
        let x = end.saturating_sub(width(text) as u16);
        put(buffer, x, 0, end, &[(text, state.title.theme.warning())]);
        end = x.saturating_sub(1);
    }
}

/// A number that must be seen, in words for much room and for little.
struct Loss(Vec<String>);

impl Loss {
    fn fitting(&self, room: usize) -> &str {
        let found = self.0.iter().find(|text| width(text) <= room);
        found.or(self.0.last()).map_or("", String::as_str)
    }
}

fn lost(state: &State) -> Option<Loss> {
    let lines = state.statistics.dropped;
    let few = short(lines);
    let long = format!(" DROPPED {} ", count(lines));
    (lines > 0).then(|| Loss(vec![long, format!(" DROP {few} "), format!("DROP {few}"), few]))
}

fn unread(state: &State) -> Option<Loss> {
    let unread = state.warnings.unread();
    let noun = if unread == 1 { "WARNING" } else { "WARNINGS" };
    let long = format!(" ! {} {noun} ", count(unread));
    let few = format!("!{}", short(unread));
    (unread > 0).then(|| Loss(vec![long, format!(" {few} "), few, "!".to_owned()]))
}

/// Where one is.
fn position(state: &State) -> String {
    if state.follow {
        return " FOLLOW ".to_owned();
    }
    let since = match state.lines_since() {
        0 => String::new(),
        lines => format!("  +{} new", count(lines)),
    };
    format!(" {}%{since} ", state.page.percent)
}

/// What is hidden and looked for, with counts; those that warn are marked.
fn badges(state: &State) -> Vec<(String, bool)> {
    let progress = &state.progress;
    // A count that still grows says so.
    let so_far = if progress.is_complete() { "" } else { "\u{2265}" };
    let mut badges = Vec::new();
    if state.removed > 0 {
        badges.push((format!("{} OLD FILES REMOVED", count(state.removed)), true));
    }
    if progress.active && !progress.is_complete() {
        badges.push((format!("{}%", progress.percent()), true));
    }
    if state.page.waiting && !state.page.rows.is_empty() {
        badges.push(("still looking for more lines".to_owned(), true));
    }
    let mut add = |text: String| badges.push((format!(" {text} "), false));
    if let Some(search) = &state.spec.search {
        let number = state.match_number.map_or_else(|| "-".to_owned(), count);
        let text = shown(search.text());
        add(format!("[{number}/{so_far}{}] /{text}", count(progress.tally.found)));
    }
    if !state.spec.shows_all() {
        add(format!("[{so_far}{} lines]", count(progress.tally.kept)));
    }
    for label in &state.spec.labels {
        add(format!("FILTER: {}", shown(&label.to_string())));
    }
    for (number, rule) in state.spec.rules.iter().enumerate() {
        let kind = if rule.hide { "HIDE" } else { "GREP" };
        let hits = progress.tally.hits.get(number).copied().unwrap_or(0);
        add(format!("{kind}: /{} {so_far}{}", shown(rule.pattern.text()), count(hits)));
    }
    if state.spec.levels != LevelSet::ALL {
        let hidden: Vec<&str> = (0..NAMES.len())
            .filter(|level| !state.spec.levels.has(*level))
            .filter_map(|level| NAMES.get(level).copied())
            .collect();
        add(format!("HIDE LEVEL: {}", hidden.join(" ")));
    }
    badges
}

/// The levels by their numbers.
pub(super) const NAMES: [&str; 8] =
    ["none", "trace", "debug", "info", "warn", "error", "critical", "fatal"];

pub(super) fn draw_bottom(state: &State, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let theme = state.title.theme;
    let notice = state.notice.as_ref();
    if let Mode::Prompt(prompt) = &state.mode {
        draw_prompt(state, prompt, area, buffer);
        if let Some(notice) = notice.filter(|notice| notice.is_bad) {
            draw_lines(state, &notice.text, theme.bad(), Rect { height: 0, ..area }, buffer);
        }
        return;
    }
    let waits = match &state.mode {
        Mode::Mark => Some("m: a letter from a to z marks this line"),
        Mode::Jump => Some("': the letter of a mark"),
        Mode::GoTo => Some("g: g goes to the first line"),
        _ => None,
    };
    if let Some(text) = waits {
        draw_lines(state, text, theme.strong(), area, buffer);
    } else if let Some(notice) = notice {
        let style = if notice.is_bad { theme.bad() } else { theme.strong() };
        draw_lines(state, &notice.text, style, area, buffer);
    } else if let Some(seek) = &state.seeking {
        let direction = if seek.forward { "down" } else { "up" };
        let percent = state.progress.percent();
        let text = format!("searching {direction}: {percent}%   Esc stops");
        draw_lines(state, &text, theme.warning(), area, buffer);
    } else if let Some(damaged) = &state.progress.damaged {
        draw_lines(state, damaged, theme.bad(), area, buffer);
    } else if let Some(export) = &state.exporting {
        let (percent, lines) = (export.percent, count(export.lines));
        let path = &export.path;
        let text = format!("writing {percent}%, {lines} lines, to {path}   Esc gives it up");
        draw_lines(state, &text, theme.warning(), area, buffer);
    } else {
        draw_hints(state, area, buffer);
    }
}

/// The keys that are used most where one is, as many as there is room for.
fn draw_hints(state: &State, area: Rect, buffer: &mut Buffer) {
    let hints: &[&str] = match &state.mode {
        Mode::Detail(_) => &DETAIL_HINTS,
        Mode::Warnings(_) => &["Esc closes", "j k scroll"],
        _ => &HINTS,
    };
    let mut x = area.x;
    for hint in hints {
        if usize::from(area.right().saturating_sub(x)) <= width(hint) {
            return;
        }
        x = put(buffer, x + 1, area.y, area.right(), &[(hint, state.title.theme.dim())]) + 1;
    }
}

/// A text that is told, on as many rows as it needs, over the last ones of the log.
fn draw_lines(state: &State, text: &str, style: Style, area: Rect, buffer: &mut Buffer) {
    let text = shown(text);
    let pieces = cut_at_blanks(&text, usize::from(area.width).saturating_sub(2));
    let bottom = area.y + area.height;
    // The line above the log tells of losses, and stays.
    let room = usize::from(bottom.saturating_sub(Areas::of(state).rule.bottom()));
    let rows = pieces.len().min(MAX_TOLD).min(room) as u16;
    let blank = " ".repeat(usize::from(area.width));
    for (row, piece) in pieces.iter().take(usize::from(rows)).enumerate() {
        let y = bottom - rows + row as u16;
        put(buffer, area.x, y, area.right(), &[(&blank, Style::new())]);
        let is_cut = row + 1 == usize::from(rows) && pieces.len() > usize::from(rows);
        let x = put(buffer, area.x + 1, y, area.right(), &[(piece, style)]);
        if is_cut {
            put(buffer, x.min(area.right() - 1), y, area.right(), &[("\u{203a}", style)]);
        }
    }
}

fn draw_prompt(state: &State, prompt: &Prompt, area: Rect, buffer: &mut Buffer) {
    let theme = state.title.theme;
    let x = put(
        buffer,
        area.x,
        area.y,
        area.right(),
        &[(" ", Style::new()), (prompt.purpose.sign(), theme.strong())],
    );
    let (before, after) = prompt.text.split_at_checked(prompt.cursor).unwrap_or_default();
    // The end of a long text is seen.
    let room = usize::from(area.right().saturating_sub(x + 2));
    let start = crate::wrap::skip(before, width(before).saturating_sub(room));
    let mut rest = after.chars();
    let under = rest.next().map_or_else(|| " ".to_owned(), String::from);
    let texts = [
        (before.get(start..).unwrap_or_default(), Style::new()),
        (under.as_str(), theme.selected()),
        (rest.as_str(), Style::new()),
    ];
    let x = put(buffer, x, area.y, area.right(), &texts);
    if prompt.text.is_empty() {
        put_cut(buffer, x + 2, area.y, area.right(), prompt.purpose.hint(), theme.dim());
    }
}
