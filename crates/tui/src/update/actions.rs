//! What the keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::draw::last_top;
use crate::draw::log::rows_in_sight;
use crate::keys::{Action, action};
use crate::state::{Effect, Goal, Keep, LevelSet, Mode, Prompt, Purpose, Request, Seek, State};

/// Cells that an arrow moves long lines by.
const PAN: usize = 16;

impl State {
    pub(super) fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        match self.mode.clone() {
            Mode::Normal => {}
            Mode::Prompt(prompt) => return self.prompt_key(prompt, key),
            Mode::Help(_) | Mode::Detail(_) | Mode::Warnings(_) => return self.overlay_key(key),
            Mode::Levels => return self.levels_key(key),
            Mode::Mark | Mode::Jump => return self.mark_key(key),
            Mode::GoTo => {
                self.mode = Mode::Normal;
                if key.code == KeyCode::Char('g') {
                    return self.act(Action::Top);
                }
            }
        }
        match action(key) {
            Some(action) => self.act(action),
            None => Vec::new(),
        }
    }

    fn act(&mut self, action: Action) -> Vec<Effect> {
        // Wrapped lines are fewer on a page, and none may be passed over.
        let page = rows_in_sight(self).max(1) as isize;
        let half = (page / 2).max(1);
        match action {
            Action::Down => return self.move_by(1),
            Action::Up => return self.move_by(-1),
            Action::HalfDown => return self.scroll_by(half),
            Action::HalfUp => return self.scroll_by(-half),
            Action::PageDown => return self.scroll_by(page),
            Action::PageUp => return self.scroll_by(-page),
            Action::Left => self.pan = self.pan.saturating_sub(PAN),
            Action::Right => {
                if self.wrap {
                    self.tell("long lines are wrapped; W cuts them".to_owned(), false);
                } else {
                    self.pan += PAN;
                }
            }
            Action::Bottom => return self.begin_follow(),
            Action::GoTo => self.mode = Mode::GoTo,
            Action::Top => {
                self.leave_follow();
                return self.ask(Request::Head, Keep::Anchor);
            }
            Action::Follow => {
                if !self.follow {
                    return self.begin_follow();
                }
                self.leave_follow();
            }
            Action::Search => self.prompt(Purpose::Search),
            Action::Label => self.prompt(Purpose::Label),
            Action::Time => self.prompt(Purpose::Time),
            Action::Export => {
                if self.exporting.is_some() {
                    self.tell("an export is under way; Esc gives it up".to_owned(), false);
                } else {
                    self.prompt(Purpose::Export);
                }
            }
            Action::Next => return self.seek(Goal::Match, true),
            Action::Previous => return self.seek(Goal::Match, false),
            Action::NextError => return self.seek(Goal::Error, true),
            Action::PreviousError => return self.seek(Goal::Error, false),
            Action::Back => return self.back(),
            Action::Levels => {
                self.mode = Mode::Levels;
                return self.count_levels();
            }
            Action::SetMark => self.mode = Mode::Mark,
            Action::JumpMark => self.mode = Mode::Jump,
            Action::Copy => return self.copy(false),
            Action::CopyRaw => return self.copy(true),
            Action::Detail => {
                if self.chosen().is_some() {
                    self.leave_follow();
                    self.mode = Mode::Detail(0);
                }
            }
            Action::Wrap => {
                self.wrap = !self.wrap;
                self.pan = 0;
            }
            Action::TimeStyle => self.time_style = self.time_style.next(),
            Action::Talkers => self.next_talkers(),
            Action::Panel => {
                self.panel = !self.panel;
                return self.show_again();
            }
            Action::Mouse => {
                self.mouse = !self.mouse;
                let state = if self.mouse { "on" } else { "off: the terminal selects text" };
                self.tell(format!("mouse {state}"), false);
                return vec![Effect::Mouse(self.mouse)];
            }
            Action::Warnings => {
                self.notice = None;
                self.mode = Mode::Warnings(0);
            }
            Action::Help => self.mode = Mode::Help(0),
            Action::Redraw => return vec![Effect::Redraw],
            Action::Suspend => return vec![Effect::Suspend],
            Action::Quit => return vec![Effect::Quit],
        }
        Vec::new()
    }

    /// Moves the cursor; the page only where the cursor is at its edge.
    fn move_by(&mut self, lines: isize) -> Vec<Effect> {
        if self.follow && lines > 0 {
            return Vec::new();
        }
        self.leave_follow();
        let Some(chosen) = self.chosen() else { return Vec::new() };
        let place = chosen.place.clone();
        let moved = self.cursor.checked_add_signed(lines);
        if let Some(row) = moved.filter(|row| *row < self.page.rows.len()) {
            self.cursor = row;
            return Vec::new();
        }
        let at_edge = if lines > 0 { self.page.at_end } else { self.page.at_start };
        if at_edge && lines < 0 {
            return Vec::new();
        }
        let row = if lines > 0 { self.log_height().saturating_sub(1) } else { 0 };
        self.ask(Request::Around { place, moved: lines, row }, Keep::Anchor)
    }

    fn scroll_by(&mut self, lines: isize) -> Vec<Effect> {
        if self.follow && lines > 0 {
            return Vec::new();
        }
        self.leave_follow();
        let Some(chosen) = self.chosen() else { return Vec::new() };
        let request =
            Request::Around { place: chosen.place.clone(), moved: lines, row: self.cursor };
        self.ask(request, Keep::Anchor)
    }

    fn begin_follow(&mut self) -> Vec<Effect> {
        self.follow = true;
        self.seeking = None;
        self.ask(Request::Tail, Keep::Anchor)
    }

    /// Jumps to the next one; while following to the newest, since there is nothing further down.
    pub(super) fn seek(&mut self, goal: Goal, forward: bool) -> Vec<Effect> {
        if goal == Goal::Match && self.spec.search.is_none() {
            self.tell("nothing to find yet: / searches".to_owned(), false);
            return Vec::new();
        }
        let Some(chosen) = self.chosen() else { return Vec::new() };
        let mut from = chosen.place.clone();
        if self.follow {
            // The last line may be one.
            from.offset += 1;
        }
        let seek = Seek { goal, from, forward: forward && !self.follow };
        let mut effects = self.count_levels();
        self.seeking = Some(seek.clone());
        effects.push(Effect::Seek(seek));
        effects
    }

    /// Has levels counted, which is not done before somebody wants to know.
    fn count_levels(&mut self) -> Vec<Effect> {
        if self.spec.needs_survey() {
            return Vec::new();
        }
        self.spec.counting = true;
        vec![Effect::Spec]
    }

    /// Takes back what was done last: one thing at a time.
    fn back(&mut self) -> Vec<Effect> {
        if self.seeking.take().is_some() {
            self.tell("search stopped".to_owned(), false);
            return Vec::new();
        }
        if self.exporting.is_some() {
            return vec![Effect::StopExport];
        }
        if self.notice.take().is_some_and(|notice| notice.is_bad) {
            return Vec::new();
        }
        let spec = &mut self.spec;
        if spec.search.take().is_none()
            && spec.rules.pop().is_none()
            && std::mem::replace(&mut spec.levels, LevelSet::ALL) == LevelSet::ALL
            && std::mem::take(&mut spec.labels).is_empty()
            && !std::mem::take(&mut spec.counting)
        {
            return Vec::new();
        }
        self.show_by_spec()
    }

    fn prompt(&mut self, purpose: Purpose) {
        let text = match purpose {
            Purpose::Label => {
                let pairs: Vec<String> = self.spec.labels.iter().map(ToString::to_string).collect();
                pairs.join(",")
            }
            _ => String::new(),
        };
        // What was told before is not about what is typed now.
        self.notice = None;
        self.mode = Mode::Prompt(Prompt::new(purpose, &text));
    }

    fn copy(&mut self, raw: bool) -> Vec<Effect> {
        let Some(chosen) = self.chosen() else { return Vec::new() };
        let line = &chosen.line;
        let text = if raw { line.raw.clone() } else { Some(line.message.clone()) };
        match text.filter(|_| line.left_out == 0) {
            Some(text) => vec![Effect::Copy(text)],
            None => {
                self.tell("too long for the clipboard; w exports".to_owned(), true);
                Vec::new()
            }
        }
    }

    fn next_talkers(&mut self) {
        let names = &self.statistics.label_names;
        let now = self.talker_label().and_then(|label| names.iter().position(|n| n == label));
        let next = now.map_or(0, |place| place + 1);
        self.talker_label = names.get(next).or_else(|| names.first()).cloned();
    }

    fn overlay_key(&mut self, key: KeyEvent) -> Vec<Effect> {
        let page = isize::from((self.height / 2).max(1).cast_signed());
        let moved = match action(key) {
            Some(Action::Down) => 1,
            Some(Action::Up) => -1,
            Some(Action::HalfDown | Action::PageDown) => page,
            Some(Action::HalfUp | Action::PageUp) => -page,
            Some(Action::Top | Action::GoTo) => isize::MIN,
            Some(Action::Bottom) => isize::MAX,
            Some(
                action @ (Action::Copy
                | Action::CopyRaw
                | Action::Next
                | Action::Previous
                | Action::NextError
                | Action::PreviousError),
            ) if matches!(self.mode, Mode::Detail(_)) => return self.act(action),
            // Another line in full.
            Some(arrow @ (Action::Left | Action::Right))
                if matches!(self.mode, Mode::Detail(_)) =>
            {
                self.mode = Mode::Detail(0);
                return self.move_by(if arrow == Action::Right { 1 } else { -1 });
            }
            Some(Action::Quit) if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return vec![Effect::Quit];
            }
            Some(Action::Suspend) => return vec![Effect::Suspend],
            Some(Action::Redraw) => return vec![Effect::Redraw],
            _ => {
                self.mode = Mode::Normal;
                return Vec::new();
            }
        };
        self.scroll_window(moved);
        Vec::new()
    }

    /// Scrolls the window that is open; whether there is one with a text.
    pub(super) fn scroll_window(&mut self, rows: isize) -> bool {
        let last = last_top(self);
        let Some(top) = self.mode.top() else { return false };
        *top = top.saturating_add_signed(rows).min(last);
        true
    }

    fn levels_key(&mut self, key: KeyEvent) -> Vec<Effect> {
        match key.code {
            KeyCode::Char(digit @ '0'..='7') => {
                let level = digit as usize - '0' as usize;
                self.spec.levels = self.spec.levels.toggled(level);
                self.show_by_spec()
            }
            KeyCode::Char('a') => {
                self.spec.levels = LevelSet::ALL;
                self.show_by_spec()
            }
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                vec![Effect::Quit]
            }
            _ => {
                self.mode = Mode::Normal;
                Vec::new()
            }
        }
    }

    fn mark_key(&mut self, key: KeyEvent) -> Vec<Effect> {
        let is_set = self.mode == Mode::Mark;
        self.mode = Mode::Normal;
        let KeyCode::Char(letter @ 'a'..='z') = key.code else {
            if key.code != KeyCode::Esc {
                self.tell("marks are letters from a to z".to_owned(), true);
            }
            return Vec::new();
        };
        if is_set {
            if let Some(place) = self.chosen().map(|row| row.place.clone()) {
                self.marks.insert(letter, place);
                self.tell(format!("mark {letter} set"), false);
            }
            return Vec::new();
        }
        match self.marks.get(&letter).cloned() {
            Some(place) => {
                self.leave_follow();
                self.jumped = Some((letter, place.clone()));
                self.go_to(place, self.log_height() / 2)
            }
            None => {
                self.tell(format!("there is no mark {letter}"), true);
                Vec::new()
            }
        }
    }
}
