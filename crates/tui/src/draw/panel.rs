//! The statistics: counters, rates, disk, top talkers.

use std::collections::VecDeque;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::put;
use crate::format::{count, duration, size};
use crate::state::State;

/// Least width of the counters.
const LEFT: u16 = 40;
/// Least width of the top talkers.
const RIGHT: u16 = 26;

const BARS: [&str; 8] = [
    "\u{2581}", "\u{2582}", "\u{2583}", "\u{2584}", "\u{2585}", "\u{2586}", "\u{2587}", "\u{2588}",
];

pub(super) fn draw_title(state: &State, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let theme = state.title.theme;
    let time = format!("{} ", duration(state.now.as_secs()));
    let end = area.right().saturating_sub(time.len() as u16);
    put(
        buffer,
        area.x,
        area.y,
        end,
        &[
            (" logtap ", theme.strong()),
            (&state.title.address, theme.rate()),
            (" \u{2192} ", theme.dim()),
            (&state.title.directory, Style::new()),
        ],
    );
    put(buffer, end, area.y, area.right(), &[(&time, theme.dim())]);
}

pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let (left, right) = if area.width >= LEFT + RIGHT {
        let left = (area.width / 2).max(LEFT);
        let right = Rect { x: area.x + left, width: area.width - left, ..area };
        (Rect { width: left, ..area }, Some(right))
    } else {
        (area, None)
    };
    draw_counters(state, left, buffer);
    if let Some(right) = right {
        draw_talkers(state, right, buffer);
    }
}

fn draw_counters(state: &State, area: Rect, buffer: &mut Buffer) {
    let theme = state.title.theme;
    let statistics = &state.statistics;
    let end = area.right() - 1;
    let mut y = area.y;
    let rows = [
        (
            "lines",
            count(statistics.lines),
            format!("{}/s", count(state.rates.lines.back().copied().unwrap_or(0))),
            &state.rates.lines,
        ),
        (
            "bytes",
            size(statistics.bytes),
            format!("{}/s", size(state.rates.bytes.back().copied().unwrap_or(0))),
            &state.rates.bytes,
        ),
    ];
    for (name, total, rate, samples) in rows {
        let x = put(
            buffer,
            area.x,
            y,
            end,
            &[
                (&format!(" {name:<8}"), theme.dim()),
                (&format!("{total:>12}"), theme.strong()),
                (&format!("{rate:>12} "), theme.rate()),
            ],
        );
        let line = sparkline(samples, usize::from(end.saturating_sub(x)));
        put(buffer, x, y, end, &[(&line, theme.rate())]);
        y += 1;
    }
    draw_disk(state, area.x, y, end, buffer);
    y += 1;
    let colour = |number: u64, style: Style| if number > 0 { style } else { Style::new() };
    put(
        buffer,
        area.x,
        y,
        end,
        &[
            (" dropped ", theme.dim()),
            (&count(statistics.dropped), colour(statistics.dropped, theme.bad())),
            ("  refused ", theme.dim()),
            (&count(statistics.refused), colour(statistics.refused, theme.warning())),
            ("  repeated ", theme.dim()),
            (&count(statistics.repeated), Style::new()),
        ],
    );
    y += 1;
    let redaction = match &statistics.redaction {
        Some(redaction) => (redaction.as_str(), theme.good()),
        None => ("off: nothing is taken out", theme.warning()),
    };
    put(buffer, area.x, y, end, &[(" redact  ", theme.dim()), redaction]);
    y += 1;
    draw_graph(
        state,
        Rect { x: area.x + 1, y, width: end - area.x - 1, height: area.bottom() - y },
        buffer,
    );
}

/// Lines a second as a picture, where there is room.
fn draw_graph(state: &State, area: Rect, buffer: &mut Buffer) {
    let samples = &state.rates.lines;
    let shown = samples.len().saturating_sub(usize::from(area.width));
    let most = samples.iter().skip(shown).max().copied().unwrap_or(0).max(1);
    let eighths = u64::from(area.height) * 8;
    for (column, sample) in samples.iter().skip(shown).enumerate() {
        let mut height = (sample * eighths).div_ceil(most) as usize;
        for row in (0..area.height).rev() {
            let bar = height.min(8).checked_sub(1).and_then(|eighth| BARS.get(eighth));
            let Some(bar) = bar else { break };
            let (x, y) = (area.x + column as u16, area.y + row);
            put(buffer, x, y, area.right(), &[(bar, state.title.theme.rate())]);
            height -= height.min(8);
        }
    }
}

fn draw_disk(state: &State, x: u16, y: u16, end: u16, buffer: &mut Buffer) {
    let theme = state.title.theme;
    let statistics = &state.statistics;
    let used = format!("{:>12} ", size(statistics.disk_bytes));
    let x = put(buffer, x, y, end, &[(" disk    ", theme.dim()), (&used, theme.strong())]);
    let Some(cap) = statistics.disk_cap.filter(|cap| *cap > 0) else { return };
    let percent = statistics.disk_bytes.saturating_mul(100) / cap;
    let style = match percent {
        95.. => theme.bad(),
        80.. => theme.warning(),
        _ => theme.good(),
    };
    let mut text = format!(" {percent}% of {}", size(cap));
    if state.removed > 0 {
        text = format!("{text}, {} files removed", count(state.removed));
    }
    let room = usize::from(end.saturating_sub(x)).saturating_sub(text.len()).min(20);
    let full = (percent as usize * room).div_ceil(100).min(room);
    put(
        buffer,
        x,
        y,
        end,
        &[
            (&"\u{2588}".repeat(full), style),
            (&"\u{2591}".repeat(room - full), theme.dim()),
            (&text, Style::new()),
        ],
    );
}

fn draw_talkers(state: &State, area: Rect, buffer: &mut Buffer) {
    let theme = state.title.theme;
    let label = state.talker_label().unwrap_or("-");
    let title = format!("top talkers by {label}");
    put(buffer, area.x, area.y, area.right(), &[(&title, theme.dim())]);
    let unit = "lines/s";
    let at = area.right().saturating_sub(unit.len() as u16 + 1);
    if at > area.x + title.len() as u16 {
        put(buffer, at, area.y, area.right(), &[(unit, theme.dim())]);
    }
    let rows = usize::from(area.height.saturating_sub(1));
    let all = talkers(state);
    let most = all.iter().map(|(_, rate, _)| *rate).max().unwrap_or(0).max(1);
    for (row, (name, rate, total)) in all.iter().take(rows).enumerate() {
        let y = area.y + 1 + row as u16;
        let last = row + 1 == rows && all.len() > rows;
        if last {
            let more = all.len() - row;
            put(buffer, area.x, y, area.right(), &[(&format!("and {more} more"), theme.dim())]);
            break;
        }
        let number = format!("{:>12} ", count(*rate));
        let width = usize::from(area.width).saturating_sub(number.len());
        let bar = (width.min(60) / 3).max(1);
        let full = ((*rate * bar as u64).div_ceil(most)) as usize;
        let room = area.x + (width - bar - 1) as u16;
        let total = format!(" {}", count(*total));
        put(buffer, area.x, y, room, &[(name, theme.sender()), (&total, theme.dim())]);
        put(buffer, room + 1, y, area.right(), &[(&"\u{2588}".repeat(full), theme.rate())]);
        let at = area.right().saturating_sub(number.len() as u16);
        put(buffer, at, y, area.right(), &[(&number, Style::new())]);
    }
}

/// Name, lines a second and lines, the loudest first.
fn talkers(state: &State) -> Vec<(String, u64, u64)> {
    let rate = |name: &String| state.rates.talkers.get(name).copied().unwrap_or(0);
    let mut all: Vec<(String, u64, u64)> = state
        .statistics
        .talkers
        .iter()
        .map(|(name, lines)| (name.clone(), rate(name), *lines))
        .collect();
    all.sort_by(|a, b| (b.1, b.2, &a.0).cmp(&(a.1, a.2, &b.0)));
    if state.statistics.other_talkers > 0 {
        all.push(("(others)".to_owned(), 0, state.statistics.other_talkers));
    }
    all
}

/// The newest samples, as high as they are against the highest.
fn sparkline(samples: &VecDeque<u64>, width: usize) -> String {
    let shown = samples.len().saturating_sub(width);
    let most = samples.iter().skip(shown).max().copied().unwrap_or(0);
    samples
        .iter()
        .skip(shown)
        .map(|sample| match (sample * 8).checked_div(most) {
            None => BARS[0],
            Some(height) => {
                BARS.get((height as usize).saturating_sub(1)).copied().unwrap_or(BARS[7])
            }
        })
        .collect()
}
