//! The statistics: counters, rates, disk, top talkers.

use std::collections::VecDeque;

use logtap_units::show::size;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{put, put_cut};
use crate::format::{count, duration, short};
use crate::state::State;
use crate::wrap::{skip, width};
use logtap_units::visible::shown;

/// Least width of the counters.
const LEFT: u16 = 40;
/// Least width of the top talkers.
const RIGHT: u16 = 26;

/// Least cells of a gauge that is worth its room.
const MIN_GAUGE: usize = 5;
/// Most cells of a talker's bar.
const MAX_BAR: u16 = 20;
/// Columns from which on there is room for the number of connections.
const WIDE: u16 = 80;
/// Least cells of a path that is cut.
const MIN_PATH: usize = 8;

const BARS: [&str; 8] = [
    "\u{2581}", "\u{2582}", "\u{2583}", "\u{2584}", "\u{2585}", "\u{2586}", "\u{2587}", "\u{2588}",
];

pub(super) fn draw_title(state: &State, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let theme = state.title.theme;
    let x = put(buffer, area.x, area.y, area.right(), &[(" logtap ", theme.strong())]);
    let x = put_cut(buffer, x, area.y, area.right(), &state.title.address, theme.rate());
    let mut time = format!("{} ", duration(state.now.as_secs()));
    if area.width >= WIDE {
        let connections = state.statistics.connections;
        let noun = if connections == 1 { "connection" } else { "connections" };
        time.insert_str(0, &format!(" {} {noun}  ", count(connections)));
    }
    let end = area.right().saturating_sub(time.len() as u16);
    if x < end {
        put(buffer, end, area.y, area.right(), &[(&time, theme.dim())]);
    }
    // Of a long path the end tells more.
    let directory = shown(&state.title.directory);
    let room = usize::from(end.saturating_sub(x)).saturating_sub(4);
    let too_much = width(&directory).saturating_sub(room);
    if room < MIN_PATH && too_much > 0 {
        return;
    }
    let start = if too_much > 0 { skip(&directory, too_much + 1) } else { 0 };
    let front = if too_much > 0 { "\u{2026}" } else { "" };
    let path = directory.get(start..).unwrap_or_default();
    let texts = [(" \u{2192} ", theme.dim()), (front, theme.dim()), (path, Style::new())];
    put(buffer, x, area.y, end, &texts);
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
    draw_losses(state, area.x, y, end, buffer);
    y += 1;
    let redaction = match &statistics.redaction {
        Some(redaction) => (redaction.as_str(), theme.good()),
        None => ("off: nothing is taken out", theme.warning()),
    };
    let x = put(buffer, area.x, y, end, &[(" redact  ", theme.dim())]);
    put_cut(buffer, x, y, end, redaction.0, redaction.1);
    y += 1;
    draw_graph(
        state,
        Rect { x: area.x + 1, y, width: end - area.x - 1, height: area.bottom() - y },
        buffer,
    );
}

/// What was not taken, or not kept twice. Where the numbers are long, those that matter least are shortened first.
fn draw_losses(state: &State, x: u16, y: u16, end: u16, buffer: &mut Buffer) {
    let theme = state.title.theme;
    let statistics = &state.statistics;
    let colour = |number: u64, style: Style| if number > 0 { style } else { Style::new() };
    let mut numbers = [
        (" dropped ", statistics.dropped, colour(statistics.dropped, theme.bad())),
        ("  refused ", statistics.refused, colour(statistics.refused, theme.warning())),
        ("  repeated ", statistics.repeated, Style::new()),
    ];
    let mut texts = numbers.map(|(_, number, _)| count(number));
    for (place, (_, number, _)) in numbers.iter().enumerate().rev() {
        let long: usize = numbers.iter().zip(&texts).map(|((n, ..), t)| n.len() + t.len()).sum();
        if long > usize::from(end.saturating_sub(x)) {
            texts[place] = short(*number);
        }
    }
    let long: usize = numbers.iter().zip(&texts).map(|((n, ..), t)| n.len() + t.len()).sum();
    if long > usize::from(end.saturating_sub(x)) {
        for ((name, ..), shorter) in numbers.iter_mut().zip([" drop ", " refuse ", " again "]) {
            *name = shorter;
        }
    }
    let mut x = x;
    for ((name, _, style), text) in numbers.iter().zip(&texts) {
        x = put(buffer, x, y, end, &[(name, theme.dim()), (text, *style)]);
    }
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
    let text = format!("{percent}% of {}", size(cap));
    let room = usize::from(end.saturating_sub(x)).saturating_sub(text.len() + 1).min(20);
    if room < MIN_GAUGE {
        put_cut(buffer, x, y, end, &text, style);
        return;
    }
    let full = (percent as usize * room).div_ceil(100).min(room);
    put(
        buffer,
        x,
        y,
        end,
        &[
            (&"\u{2588}".repeat(full), style),
            (&"\u{2591}".repeat(room - full), theme.dim()),
            (" ", Style::new()),
            (&text, Style::new()),
        ],
    );
}

fn draw_talkers(state: &State, area: Rect, buffer: &mut Buffer) {
    let theme = state.title.theme;
    let label = state.talker_label().unwrap_or("-");
    let rows = usize::from(area.height.saturating_sub(1));
    let all = talkers(state);
    let more = if all.len() > rows { all.len() + 1 - rows } else { 0 };
    let listed = all.get(..all.len() - more).unwrap_or_default();
    // Numbers are never cut; the bars go first, and then the ends of the names.
    let widest = |text: fn(&(String, u64, u64)) -> usize, least: usize| {
        listed.iter().map(text).max().unwrap_or(0).max(least) as u16
    };
    let rate_width = widest(|(_, rate, _)| count(*rate).len(), "lines/s".len());
    let total_width = widest(|(_, _, total)| count(*total).len(), "lines".len());
    let end = area.right().saturating_sub(1);
    let rate_at = end.saturating_sub(rate_width).max(area.x);
    let total_at = rate_at.saturating_sub(total_width + 1).max(area.x);
    let room = total_at.saturating_sub(area.x + 1);
    let name_width = widest(|(name, ..)| width(&shown(name)), 0).min(room);
    let bar_width = room.saturating_sub(name_width + 1).min(MAX_BAR);
    let bar_at = total_at.saturating_sub(bar_width + 1);
    put_cut(buffer, area.x, area.y, total_at, &format!("top talkers by {label}"), theme.dim());
    let heads = [(total_at, total_width, "lines"), (rate_at, rate_width, "lines/s")];
    for (at, wide, text) in heads {
        // Where the title needs the room, the heads can be guessed.
        if usize::from(at) > usize::from(area.x) + width(label) + "top talkers by ".len() {
            let wide = usize::from(wide);
            put(buffer, at, area.y, end, &[(&format!("{text:>wide$}"), theme.dim())]);
        }
    }
    let most = listed.iter().map(|(_, rate, _)| *rate).max().unwrap_or(0).max(1);
    for (row, (name, rate, total)) in listed.iter().enumerate() {
        let y = area.y + 1 + row as u16;
        put_cut(buffer, area.x, y, area.x + room, name, theme.sender());
        let full = (*rate * u64::from(bar_width)).div_ceil(most) as usize;
        put(buffer, bar_at, y, end, &[(&"\u{2588}".repeat(full), theme.rate())]);
        for (at, wide, number) in [(total_at, total_width, total), (rate_at, rate_width, rate)] {
            let wide = usize::from(wide);
            put(buffer, at, y, end, &[(&format!("{:>wide$}", count(*number)), Style::new())]);
        }
    }
    if more > 0 {
        let y = area.y + 1 + listed.len() as u16;
        put(buffer, area.x, y, area.right(), &[(&format!("and {more} more"), theme.dim())]);
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
