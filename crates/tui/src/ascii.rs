//! The screen for a terminal whose locale has no UTF-8: every cell becomes a character of ASCII.
//!
//! Lines, bars and arrows become what looks like them, all else a question mark. Nothing is moved: a wide character keeps
//! its two columns.

use ratatui::buffer::Buffer;

/// Replaces what such a terminal cannot show.
pub(crate) fn reduce(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let symbol = replacement(cell.symbol());
            cell.set_symbol(symbol);
        }
    }
}

fn replacement(symbol: &str) -> &'static str {
    let Some(first) = symbol.chars().next() else { return " " };
    match first {
        // Box drawing: lines, then whatever has corners.
        '\u{2500}' | '\u{2501}' | '\u{2504}' | '\u{2550}' => "-",
        '\u{2502}' | '\u{2503}' | '\u{2551}' | '\u{258c}' => "|",
        '\u{250c}'..='\u{257f}' => "+",
        // Blocks by their height, and shades.
        '\u{2581}' | '\u{2582}' => "_",
        '\u{2583}' | '\u{2584}' => ".",
        '\u{2585}' | '\u{2586}' => ":",
        '\u{2587}'..='\u{258b}' => "#",
        '\u{2591}' | '\u{2592}' => ".",
        '\u{2593}' => "#",
        '\u{2190}' => "<",
        '\u{2191}' => "^",
        '\u{2192}' | '\u{203a}' => ">",
        '\u{2193}' => "v",
        '\u{2026}' => "~",
        '\u{b5}' => "u",
        '\u{b7}' | '\u{2022}' => ".",
        // What stands for control characters, and for the end of a line.
        '\u{2400}'..='\u{2426}' => "^",
        '\u{23ce}' => "$",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn every_cell_is_ascii_and_stays_where_it_was() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 1));
        buffer.set_string(0, 0, "\u{2502}a\u{2500}\u{2588}\u{65e5}b\u{2192}\u{241b}", Style::new());
        reduce(&mut buffer);
        let text: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(text, "|a-#? b>^   ");
    }
}
