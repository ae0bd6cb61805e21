//! How the screen changes: a state and an event give the next state and what is to be done.

mod actions;
mod mouse;
mod prompts;

use std::time::Duration;

use logtap_capture::Timestamp;
use ratatui::crossterm::event::KeyEventKind;

use crate::draw::areas::Areas;
use crate::draw::warnings;
use crate::state::{
    Effect, Event, Goal, Keep, Mode, Notice, Page, Place, Request, Sought, State, Tick,
};

/// How long a notice stays.
const NOTICE_TIME: Duration = Duration::from_secs(6);

impl State {
    /// The next state, and what is to be done.
    pub fn update(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.change(event);
        if let Mode::Warnings(top) = self.mode {
            let seen = warnings::in_sight(self, top);
            self.warnings.read(seen);
        }
        effects
    }

    fn change(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Tick(tick) => return self.tick(*tick),
            Event::Key(key) if key.kind != KeyEventKind::Release => return self.key(key),
            Event::Key(_) => {}
            Event::Paste(text) => {
                if let Mode::Prompt(prompt) = &mut self.mode {
                    prompt.insert(&text);
                }
            }
            Event::Mouse(mouse) => return self.mouse_event(mouse),
            Event::Resize(width, height) => {
                (self.width, self.height) = (width, height);
                return self.show_again();
            }
            Event::Page(page) => self.take_page(page),
            Event::Sought(sought) => return self.take_sought(sought),
            Event::Time(Ok(place)) => {
                self.leave_follow();
                return self.go_to(place, self.log_height() / 2);
            }
            Event::Time(Err(text)) => self.tell(text, true),
            Event::Warned(at, text) => self.warn(at, text),
            Event::Told(text, is_bad) => self.tell(text, is_bad),
        }
        Vec::new()
    }

    /// Rows of the log.
    pub fn log_height(&self) -> usize {
        usize::from(Areas::of(self).log.height)
    }

    fn tick(&mut self, tick: Tick) -> Vec<Effect> {
        self.now = tick.now;
        self.statistics = tick.statistics;
        self.progress = tick.progress;
        self.removed = tick.removed;
        self.exporting = tick.exporting;
        let label = self.talker_label().map(str::to_owned);
        self.rates.look(self.now, &self.statistics, label.as_deref());
        if self.notice.as_ref().is_some_and(|notice| notice.until < self.now) {
            self.notice = None;
        }
        let mut effects: Vec<Effect> = self.seeking.clone().map(Effect::Seek).into_iter().collect();
        if self.follow || self.page.waiting {
            effects.push(Effect::Page(self.request.clone()));
        } else if self.page.rows.len() < self.log_height()
            || self.statistics.lines != self.lines_placed
        {
            // More lines have come: the same ones stand elsewhere in the whole.
            effects.extend(self.show_again());
        }
        self.lines_placed = self.statistics.lines;
        effects
    }

    fn take_page(&mut self, page: Page) {
        if let Some((letter, place)) = self.jumped.take_if(|_| !page.waiting)
            && page.rows.get(page.anchor).is_some_and(|row| row.place != place)
        {
            let text =
                format!("the line of mark {letter} is hidden or removed; this is one near it");
            self.tell(text, true);
        }
        let last = page.rows.len().saturating_sub(1);
        self.cursor = match (&self.request, self.keep) {
            (Request::Tail, _) => last,
            (_, Keep::Anchor) => page.anchor.min(last),
            (_, Keep::Row) => self.cursor.min(last),
        };
        self.page = page;
    }

    fn take_sought(&mut self, sought: Sought) -> Vec<Effect> {
        let Some(seek) = self.seeking.take() else { return Vec::new() };
        match sought {
            Sought::Waiting => self.seeking = Some(seek),
            Sought::Nothing => {
                let what = if seek.goal == Goal::Match { "match" } else { "error" };
                let place = if seek.forward { "further down" } else { "further up" };
                let other = match (seek.goal, seek.forward) {
                    (Goal::Match, true) => "N looks further up",
                    (Goal::Match, false) => "n looks further down",
                    (Goal::Error, true) => "E looks further up",
                    (Goal::Error, false) => "e looks further down",
                };
                self.tell(format!("no {what} {place}; {other}"), false);
            }
            Sought::Found(place, number) => {
                self.match_number = number.filter(|_| seek.goal == Goal::Match);
                self.leave_follow();
                if let Mode::Detail(top) = &mut self.mode {
                    *top = 0;
                }
                return self.go_to(place, self.log_height() / 2);
            }
        }
        Vec::new()
    }

    /// Asks for a page; it comes as an event.
    fn ask(&mut self, request: Request, keep: Keep) -> Vec<Effect> {
        self.request = request.clone();
        self.keep = keep;
        vec![Effect::Page(request)]
    }

    fn go_to(&mut self, place: Place, row: usize) -> Vec<Effect> {
        self.ask(Request::Around { place, moved: 0, row }, Keep::Anchor)
    }

    /// Asks for what is on the screen now, since something has changed.
    fn show_again(&mut self) -> Vec<Effect> {
        if self.follow {
            return self.ask(Request::Tail, Keep::Anchor);
        }
        match self.page.rows.first() {
            Some(row) => {
                let place = row.place.clone();
                self.ask(Request::Around { place, moved: 0, row: 0 }, Keep::Row)
            }
            None => vec![Effect::Page(self.request.clone())],
        }
    }

    /// After another spec: the chosen line stays where it is, if it is still shown.
    fn show_by_spec(&mut self) -> Vec<Effect> {
        self.match_number = None;
        self.seeking = None;
        let mut effects = vec![Effect::Spec];
        match self.chosen() {
            Some(chosen) if !self.follow => {
                let place = chosen.place.clone();
                effects.extend(self.go_to(place, self.cursor));
            }
            _ => effects.extend(self.show_again()),
        }
        effects
    }

    fn leave_follow(&mut self) {
        if self.follow {
            self.follow = false;
            self.lines_then = self.statistics.lines;
            // What is on the screen stays; the request for the end must not come again.
            if let Some(row) = self.page.rows.first() {
                let place = row.place.clone();
                self.request = Request::Around { place, moved: 0, row: 0 };
                self.keep = Keep::Row;
            }
        }
    }

    fn tell(&mut self, text: String, is_bad: bool) {
        self.notice = Some(Notice { text, is_bad, until: self.now + NOTICE_TIME });
    }

    fn warn(&mut self, at: Timestamp, text: String) {
        let Mode::Warnings(top) = self.mode else {
            self.warnings.add(at, &text);
            return self.tell(text, true);
        };
        // What is being read stays where it is.
        let reading = warnings::at(self, top).filter(|_| top > 0);
        let known = reading.and_then(|(place, _)| self.warnings.iter().nth(place)).cloned();
        self.warnings.add(at, &text);
        if let (Some((_, row)), Some(known)) = (reading, known)
            && let Some(place) = self.warnings.iter().position(|warning| *warning == known)
        {
            self.mode = Mode::Warnings(warnings::start(self, place) + row);
        }
    }
}
