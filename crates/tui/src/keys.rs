//! The keys: one table for what they do and for what the help says about them.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below says what they do")]
pub enum Action {
    Down,
    Up,
    HalfDown,
    HalfUp,
    PageDown,
    PageUp,
    Left,
    Right,
    Bottom,
    /// The first half of `gg`.
    GoTo,
    Top,
    Follow,
    Search,
    Next,
    Previous,
    NextError,
    PreviousError,
    Back,
    Label,
    Levels,
    Time,
    SetMark,
    JumpMark,
    Export,
    Copy,
    CopyRaw,
    Detail,
    Wrap,
    TimeStyle,
    Talkers,
    Panel,
    Mouse,
    Warnings,
    Help,
    Redraw,
    Suspend,
    Quit,
}

/// A line of the help.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The keys as they are written.
    pub keys: &'static str,
    /// What they do.
    pub meaning: &'static str,
}

const fn binding(keys: &'static str, meaning: &'static str) -> Binding {
    Binding { keys, meaning }
}

/// All keys, in the order of the help.
pub const BINDINGS: [Binding; 32] = [
    binding("j k \u{2193} \u{2191}", "one line down, up"),
    binding("d u", "half a page down, up"),
    binding("PgDn PgUp", "a page down, up"),
    binding("\u{2190} \u{2192}", "to the left, right of long lines"),
    binding("G End", "to the end, and follow"),
    binding("gg Home", "to the first line of the capture"),
    binding("f Space", "follow, or stand still; nothing is lost"),
    binding("/text", "find: a regex, case counts if it has capitals"),
    binding("n N", "next, previous match"),
    binding("/!re", "hide lines that match"),
    binding("/=re", "keep only lines that match; filters stack"),
    binding("l k=v", "only lines with this label; empty for all"),
    binding("L", "levels with their counts; digits hide and show"),
    binding("e E", "next, previous error"),
    binding("t time", "to a time: 10:42, 10:42:07, 2026-11-21T10:42, -5m"),
    binding("m a-z", "mark this line"),
    binding("' a-z", "to a mark"),
    binding("Esc", "stop searching, drop the match, the last filter"),
    binding("Enter", "this line in full, JSON indented"),
    binding("y Y", "copy the message, the whole entry"),
    binding("w path", "write the lines that are shown as a capture"),
    binding("W", "wrap long lines"),
    binding("T", "time: clock, full, none"),
    binding("s", "top talkers by the next label"),
    binding("S", "statistics on, off"),
    binding("M", "mouse on, off (off: the terminal selects)"),
    binding("wheel click", "scroll; choose a line, again: in full"),
    binding("!", "warnings, the newest first"),
    binding("?", "this help"),
    binding("Ctrl-L", "draw the screen anew"),
    binding("Ctrl-Z", "suspend"),
    binding("q Ctrl-C", "quit: stops the receiver, keeps the capture"),
];

/// What a key asks for outside of prompts.
pub fn action(key: KeyEvent) -> Option<Action> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return Some(match key.code {
            KeyCode::Char('c') => Action::Quit,
            KeyCode::Char('l') => Action::Redraw,
            KeyCode::Char('z') => Action::Suspend,
            KeyCode::Char('d') => Action::HalfDown,
            KeyCode::Char('u') => Action::HalfUp,
            KeyCode::Char('f') => Action::PageDown,
            KeyCode::Char('b') => Action::PageUp,
            _ => return None,
        });
    }
    Some(match key.code {
        KeyCode::Char('j') | KeyCode::Down => Action::Down,
        KeyCode::Char('k') | KeyCode::Up => Action::Up,
        KeyCode::Char('d') => Action::HalfDown,
        KeyCode::Char('u') => Action::HalfUp,
        KeyCode::PageDown => Action::PageDown,
        KeyCode::PageUp => Action::PageUp,
        KeyCode::Left => Action::Left,
        KeyCode::Right => Action::Right,
        KeyCode::Char('G') | KeyCode::End => Action::Bottom,
        KeyCode::Char('g') => Action::GoTo,
        KeyCode::Home => Action::Top,
        KeyCode::Char('f' | ' ') => Action::Follow,
        KeyCode::Char('/') => Action::Search,
        KeyCode::Char('n') => Action::Next,
        KeyCode::Char('N') => Action::Previous,
        KeyCode::Char('e') => Action::NextError,
        KeyCode::Char('E') => Action::PreviousError,
        KeyCode::Esc => Action::Back,
        KeyCode::Char('l') => Action::Label,
        KeyCode::Char('L') => Action::Levels,
        KeyCode::Char('t') => Action::Time,
        KeyCode::Char('m') => Action::SetMark,
        KeyCode::Char('\'') => Action::JumpMark,
        KeyCode::Char('w') => Action::Export,
        KeyCode::Char('y') => Action::Copy,
        KeyCode::Char('Y') => Action::CopyRaw,
        KeyCode::Enter => Action::Detail,
        KeyCode::Char('W') => Action::Wrap,
        KeyCode::Char('T') => Action::TimeStyle,
        KeyCode::Char('s') => Action::Talkers,
        KeyCode::Char('S') => Action::Panel,
        KeyCode::Char('M') => Action::Mouse,
        KeyCode::Char('!') => Action::Warnings,
        KeyCode::Char('?') => Action::Help,
        KeyCode::Char('q') => Action::Quit,
        _ => return None,
    })
}
