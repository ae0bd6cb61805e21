//! Colours, of the sixteen that every terminal has; without them where they are not wanted.

use ratatui::style::{Color, Modifier, Style};

/// Whether there are colours. Every text is readable without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Whether there are colours.
    pub colour: bool,
}

impl Theme {
    fn of(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    pub(crate) fn dim(self) -> Style {
        // Some palettes have no grey that can be told from their background; fainter than the text it always is.
        if self.colour { Style::new().add_modifier(Modifier::DIM) } else { Style::new() }
    }

    pub(crate) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(crate) fn rate(self) -> Style {
        self.of(Color::Cyan)
    }

    pub(crate) fn good(self) -> Style {
        self.of(Color::Green)
    }

    pub(crate) fn warning(self) -> Style {
        self.of(Color::Yellow)
    }

    pub(crate) fn bad(self) -> Style {
        self.of(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(crate) fn badge(self) -> Style {
        if self.colour {
            Style::new().fg(Color::Black).bg(Color::Cyan)
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    pub(crate) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(crate) fn found(self) -> Style {
        if self.colour {
            Style::new().fg(Color::Black).bg(Color::Yellow)
        } else {
            Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
        }
    }

    /// Of a level as a number.
    pub(crate) fn level(self, level: usize) -> Style {
        match level {
            1 | 2 => self.dim(),
            3 => self.of(Color::Green),
            4 => self.of(Color::Yellow),
            5.. => self.bad(),
            _ => Style::new(),
        }
    }

    pub(crate) fn time(self) -> Style {
        self.dim()
    }

    pub(crate) fn sender(self) -> Style {
        self.of(Color::LightBlue)
    }

    pub(crate) fn number(self) -> Style {
        self.of(Color::Cyan)
    }

    pub(crate) fn address(self) -> Style {
        self.of(Color::Magenta)
    }

    pub(crate) fn link(self) -> Style {
        self.of(Color::LightBlue).add_modifier(Modifier::UNDERLINED)
    }

    pub(crate) fn text(self) -> Style {
        self.of(Color::Green)
    }
}
