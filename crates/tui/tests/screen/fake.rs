//! Stands in for the loop and the capture's files: performs what a state asks for on a list of lines.

use std::rc::Rc;
use std::time::Duration;

use logtap_capture::{Timestamp, all_hold};
use logtap_tui::Theme;
use logtap_tui::draw::draw;
use logtap_tui::state::{
    Effect, Event, Goal, Page, Place, Progress, Request, Row, SegmentKey, ShownLine, Sought, State,
    Statistics, Tally, Tick, Title,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseEvent, MouseEventKind};

/// 2024-01-15T10:19:59Z.
const START: i64 = 1_705_313_999_000_000_000;

/// A state, the lines behind it, and what it asked for that is not about lines.
pub(crate) struct Fake {
    pub(crate) state: State,
    pub(crate) lines: Vec<Rc<ShownLine>>,
    pub(crate) asked: Vec<Effect>,
    pub(crate) seconds: u64,
}

/// A line as a receiver would store it, of one of three senders.
pub(crate) fn line(number: usize, level: usize, message: &str) -> ShownLine {
    let app = ["web", "checkout", "db"][number % 3];
    ShownLine {
        time: Some(Timestamp(START + number as i64 * 250_000_000)),
        labels: vec![("app".into(), app.into()), ("pod".into(), format!("{app}-0"))],
        metadata: vec![("pid".into(), "42".into())],
        message: message.into(),
        level,
        is_binary: false,
        left_out: 0,
        raw: Some(format!("{{\"msg\":\"{message}\"}}")),
    }
}

impl Fake {
    /// So many lines, every tenth of them an error.
    pub(crate) fn with_lines(count: usize, width: u16, height: u16) -> Self {
        let lines = (0..count).map(|number| match number % 10 {
            7 => line(number, 5, &format!("ERROR order {number} refused by 192.0.2.7:443")),
            _ => line(number, 3, &format!("INFO GET /items/{number} took={number}ms \"ok\"")),
        });
        Self::new(lines.collect(), width, height)
    }

    pub(crate) fn new(lines: Vec<ShownLine>, width: u16, height: u16) -> Self {
        let title = Title {
            address: "127.0.0.1:3100".into(),
            directory: "./capture".into(),
            theme: Theme { colour: true },
        };
        let state = State::new(title, width, height);
        let lines = lines.into_iter().map(Rc::new).collect();
        let mut fake = Self { state, lines, asked: Vec::new(), seconds: 0 };
        fake.tick();
        fake
    }

    /// A second passes.
    pub(crate) fn tick(&mut self) {
        self.seconds += 1;
        let shown = self.shown();
        let mut tally = Tally { hits: vec![0; self.state.spec.rules.len()], ..Tally::default() };
        for line in &self.lines {
            for (rule, hits) in self.state.spec.rules.iter().zip(&mut tally.hits) {
                *hits += u64::from(rule.pattern.is_in(line.message.as_bytes()));
            }
            tally.levels[line.level] += 1;
        }
        tally.kept = shown.len() as u64;
        tally.found = shown.iter().filter(|number| self.is(Goal::Match, **number)).count() as u64;
        let lines = self.lines.len() as u64;
        let tick = Tick {
            now: Duration::from_secs(self.seconds),
            statistics: Statistics {
                lines: lines * self.seconds,
                bytes: lines * 200 * self.seconds,
                repeated: 12,
                dropped: 0,
                refused: 3,
                connections: 4,
                disk_bytes: 4_100_000_000,
                disk_cap: Some(5_000_000_000),
                redaction: None,
                label_names: vec!["app".into(), "pod".into()],
                talkers: [("web", 5), ("checkout", 3), ("db", 1)]
                    .map(|(name, share)| (name.to_owned(), lines * share * self.seconds))
                    .to_vec(),
                other_talkers: 0,
            },
            progress: Progress {
                active: self.state.spec.needs_survey(),
                done: 10,
                total: 10,
                tally,
                damaged: None,
            },
            removed: 0,
            exporting: None,
        };
        self.event(Event::Tick(Box::new(tick)));
    }

    pub(crate) fn event(&mut self, event: Event) {
        let mut effects = self.state.update(event);
        while !effects.is_empty() {
            let mut next = Vec::new();
            for effect in effects {
                let event = match effect {
                    Effect::Page(request) => {
                        Event::Page(self.page(&request, self.state.log_height()))
                    }
                    Effect::Seek(seek) => {
                        Event::Sought(self.seek(seek.goal, &seek.from, seek.forward))
                    }
                    Effect::Spec => continue,
                    other => {
                        self.asked.push(other);
                        continue;
                    }
                };
                next.extend(self.state.update(event));
            }
            effects = next;
        }
    }

    /// Types keys: characters as they are, and `<enter>` and its like.
    pub(crate) fn press(&mut self, keys: &str) {
        let mut rest = keys;
        while let Some(character) = rest.chars().next() {
            let named = [
                ("<enter>", KeyCode::Enter),
                ("<esc>", KeyCode::Esc),
                ("<up>", KeyCode::Up),
                ("<down>", KeyCode::Down),
                ("<left>", KeyCode::Left),
                ("<right>", KeyCode::Right),
                ("<home>", KeyCode::Home),
                ("<end>", KeyCode::End),
                ("<pgup>", KeyCode::PageUp),
                ("<pgdn>", KeyCode::PageDown),
                ("<back>", KeyCode::Backspace),
            ];
            let found =
                named.iter().find_map(|(name, code)| Some((rest.strip_prefix(name)?, *code)));
            let (after, code, modifiers) = match (found, rest.strip_prefix("<c-")) {
                (Some((after, code)), _) => (after, code, KeyModifiers::NONE),
                (None, Some(after)) => {
                    let letter = after.chars().next().expect("a letter");
                    (&after[2..], KeyCode::Char(letter), KeyModifiers::CONTROL)
                }
                (None, None) => {
                    let after = &rest[character.len_utf8()..];
                    (after, KeyCode::Char(character), KeyModifiers::NONE)
                }
            };
            self.event(Event::Key(KeyEvent::new(code, modifiers)));
            rest = after;
        }
    }

    pub(crate) fn mouse(&mut self, kind: MouseEventKind, column: u16, row: u16) {
        let modifiers = KeyModifiers::NONE;
        self.event(Event::Mouse(MouseEvent { kind, column, row, modifiers }));
    }

    /// Number of the chosen line.
    pub(crate) fn chosen(&self) -> usize {
        self.state.chosen().expect("there are lines").place.offset as usize
    }

    /// Numbers of the first and last line on the page.
    pub(crate) fn span(&self) -> (usize, usize) {
        let number = |row: Option<&Row>| row.expect("there are lines").place.offset as usize;
        (number(self.state.page.rows.first()), number(self.state.page.rows.last()))
    }

    /// The whole screen as text.
    pub(crate) fn screen(&self) -> String {
        let backend = TestBackend::new(self.state.width, self.state.height);
        let mut terminal = Terminal::new(backend).expect("a buffer");
        terminal.draw(|frame| draw(&self.state, frame.buffer_mut())).expect("a buffer");
        terminal.backend().to_string()
    }

    /// The screen as cells.
    pub(crate) fn cells(&self) -> ratatui::buffer::Buffer {
        let area = ratatui::layout::Rect::new(0, 0, self.state.width, self.state.height);
        let mut buffer = ratatui::buffer::Buffer::empty(area);
        draw(&self.state, &mut buffer);
        buffer
    }

    fn shown(&self) -> Vec<usize> {
        let spec = &self.state.spec;
        let is_shown = |line: &ShownLine| {
            let labels = all_hold(&spec.labels, |name| {
                line.labels.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
            });
            let rules = spec
                .rules
                .iter()
                .all(|rule| rule.pattern.is_in(line.message.as_bytes()) != rule.hide);
            labels && rules && spec.levels.has(line.level)
        };
        (0..self.lines.len()).filter(|number| is_shown(&self.lines[*number])).collect()
    }

    fn is(&self, goal: Goal, number: usize) -> bool {
        let line = &self.lines[number];
        match goal {
            Goal::Error => line.level >= 5,
            Goal::Match => {
                let search = self.state.spec.search.as_ref();
                search.is_some_and(|search| search.is_in(line.message.as_bytes()))
            }
        }
    }

    fn place(number: usize) -> Place {
        let segment = SegmentKey { stem: "s".into(), second: false };
        Place { segment, offset: number as u64 }
    }

    fn page(&self, request: &Request, height: usize) -> Page {
        let shown = self.shown();
        let (anchor, row) = match request {
            Request::Tail => (shown.len().saturating_sub(1), height.saturating_sub(1)),
            Request::Head => (0, 0),
            Request::Around { place, moved, row } => {
                let at = shown.partition_point(|number| (*number as u64) < place.offset);
                let last = shown.len().saturating_sub(1);
                (at.min(last).saturating_add_signed(*moved).min(last), *row)
            }
        };
        let latest = shown.len().saturating_sub(height);
        let first = anchor.saturating_sub(row).min(latest);
        let rows: Vec<Row> = shown
            .iter()
            .skip(first)
            .take(height)
            .map(|number| Row {
                place: Self::place(*number),
                line: Rc::clone(&self.lines[*number]),
            })
            .collect();
        let behind = first + rows.len();
        Page {
            anchor: anchor - first.min(anchor),
            at_start: first == 0,
            at_end: behind == shown.len(),
            waiting: false,
            percent: (behind * 100).checked_div(shown.len()).unwrap_or(100) as u8,
            rows,
        }
    }

    fn seek(&self, goal: Goal, from: &Place, forward: bool) -> Sought {
        let from = from.offset as usize;
        let found: Vec<usize> =
            self.shown().into_iter().filter(|number| self.is(goal, *number)).collect();
        let at = if forward {
            found.iter().position(|number| *number > from)
        } else {
            found.iter().rposition(|number| *number < from)
        };
        match at {
            Some(at) => Sought::Found(Self::place(found[at]), Some(at as u64 + 1)),
            None => Sought::Nothing,
        }
    }
}
