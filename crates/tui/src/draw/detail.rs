//! One line in full: its time, labels and metadata, and its message, indented where it is JSON.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::style::Style;

use super::log::{put_runs, runs};
use super::overlay::{put_span, whole, window};
use super::put;
use super::status::NAMES;
use crate::format::count;
use crate::state::{MAX_MESSAGE, ShownLine, State};
use crate::wrap::cut;
use logtap_units::visible::{clean, shown};

/// No more of a message than this is laid out.
const MAX_BYTES: usize = 2 * MAX_MESSAGE;

pub(super) fn draw(state: &State, top: usize, buffer: &mut Buffer) {
    let Some(row) = state.chosen() else { return };
    let theme = state.title.theme;
    let area = whole(state);
    let inner = window(state, area, " one line ", buffer);
    let columns = usize::from(inner.width);
    let texts = text(&row.line);
    let pieces = texts.iter().flat_map(|text| {
        let is_field = text.is_field;
        cut(&text.text, columns).into_iter().map(move |piece| (&text.text, piece, is_field))
    });
    let (all, room) = (pieces.clone().count(), usize::from(inner.height));
    let top = top.min(all.saturating_sub(room));
    for (number, (text, piece, is_field)) in pieces.skip(top).take(room).enumerate() {
        let y = inner.y + number as u16;
        if is_field {
            let name = if piece.start == 0 { text.len().min(FIELD) } else { piece.start };
            let name = name.clamp(piece.start, piece.end);
            let part = |range: Range<usize>| text.get(range).unwrap_or_default();
            let parts =
                [(part(piece.start..name), theme.dim()), (part(name..piece.end), Style::new())];
            put(buffer, inner.x, y, inner.right(), &parts);
        } else {
            let runs = runs(text, Style::new(), theme, state.spec.search.as_ref());
            put_runs(buffer, inner.x, y, inner.right(), text, &runs, &piece);
        }
    }
    put_span(state, area, top..top + room, all, buffer);
}

/// How many rows the chosen line takes, and how many of them there is room for.
pub(super) fn size(state: &State) -> (usize, usize) {
    let area = whole(state);
    let columns = usize::from(area.width.saturating_sub(2));
    let texts = state.chosen().map(|row| text(&row.line)).unwrap_or_default();
    let rows = texts.iter().map(|text| cut(&text.text, columns).len()).sum();
    (rows, usize::from(area.height.saturating_sub(2)))
}

/// Cells of a name.
const FIELD: usize = 12;

struct Line {
    text: String,
    is_field: bool,
}

fn text(line: &ShownLine) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut field = |name: &str, value: &str| {
        let text = format!("{:<FIELD$} {}", shown(name), clean(value, MAX_BYTES));
        lines.push(Line { text, is_field: true });
    };
    field("time", &line.time.map_or_else(|| "none".to_owned(), |time| time.to_string()));
    field("level", NAMES.get(line.level).copied().unwrap_or("none"));
    for (name, value) in line.labels.iter().chain(&line.metadata) {
        field(name, value);
    }
    if line.is_binary {
        field("bytes", "not UTF-8; the exact ones are in the entry, Y copies it");
    }
    lines.push(Line { text: String::new(), is_field: true });
    let pretty = pretty(&line.message);
    let message = pretty.as_deref().unwrap_or(&line.message);
    lines.extend(
        message.split('\n').map(|part| Line { text: clean(part, MAX_BYTES), is_field: false }),
    );
    if line.left_out > 0 {
        let text =
            format!("... and {} more bytes; w writes all of it", count(line.left_out as u64));
        lines.push(Line { text, is_field: true });
    }
    lines
}

/// JSON with one value on each line, its keys in their order; `None` for anything else.
fn pretty(message: &str) -> Option<String> {
    let text = message.trim();
    if !text.starts_with(['{', '[']) {
        return None;
    }
    // Checked, and then only indented: numbers and the order of keys stay as they are.
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if in_text {
            out.push(character);
            in_text = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            continue;
        }
        match character {
            '"' => {
                in_text = true;
                out.push(character);
            }
            '{' | '[' => {
                while rest.peek().is_some_and(|next| next.is_whitespace()) {
                    rest.next();
                }
                out.push(character);
                if let Some(end) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    indent(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                indent(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(character);
                indent(&mut out, depth);
            }
            ':' => out.push_str(": "),
            character if character.is_whitespace() => {}
            other => out.push(other),
        }
        if out.len() > 4 * MAX_BYTES {
            return None;
        }
    }
    Some(out)
}

fn indent(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_nothing_else_is_changed() {
        let text = r#"{"b":1.0,"a":[ ],"c":{"x":"y\" {,}:"},"d":[1, null]}"#;
        let expected = "{\n  \"b\": 1.0,\n  \"a\": [],\n  \"c\": {\n    \"x\": \"y\\\" {,}:\"\n  },\n  \"d\": [\n    1,\n    null\n  ]\n}";
        assert_eq!(pretty(text).as_deref(), Some(expected));
        for text in ["plain", "{no", "[1,]", "12"] {
            assert_eq!(pretty(text), None);
        }
    }
}
