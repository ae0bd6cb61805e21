//! All that the screen shows. No clock, no terminal, no file.

mod event;

use std::collections::BTreeMap;
use std::time::Duration;

pub use self::event::{Effect, Event, Exporting, Seek, Tick};
pub use crate::page::{Goal, Page, Request, Row, Sought};
pub use crate::place::{Place, SegmentKey};
pub use crate::prompt::{Prompt, Purpose};
pub use crate::rates::Rates;
pub use crate::shown::{MAX_MESSAGE, ShownLine};
pub use crate::spec::{LevelSet, MAX_RULES, Pattern, Rule, Spec};
pub use crate::statistics::Statistics;
pub use crate::survey::Progress;
pub use crate::tally::Tally;
pub use crate::time::TimeStyle;
pub use crate::warnings::{MAX_WARNINGS, Warning, Warnings};

use crate::theme::Theme;

/// What does not change while the screen is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// Where pushes are taken.
    pub address: String,
    /// The capture directory.
    pub directory: String,
    /// Colours or not.
    pub theme: Theme,
}

/// What keys are for at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Moving about.
    Normal,
    /// Typing.
    Prompt(Prompt),
    /// Reading the help, from this line on.
    Help(usize),
    /// Reading one line in full, from this line of it on.
    Detail(usize),
    /// Reading the warnings, from this row of their list on.
    Warnings(usize),
    /// Choosing levels.
    Levels,
    /// The next letter is a mark.
    Mark,
    /// The next letter is a mark to jump to.
    Jump,
    /// A `g` was typed.
    GoTo,
}

impl Mode {
    /// The row that a window with text begins with.
    pub fn top(&mut self) -> Option<&mut usize> {
        match self {
            Self::Help(top) | Self::Detail(top) | Self::Warnings(top) => Some(top),
            _ => None,
        }
    }
}

/// Something to be told at the bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// In one line.
    pub text: String,
    /// Whether something went wrong.
    pub is_bad: bool,
    pub(crate) until: Duration,
}

/// Where the cursor goes on a new page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// To the line that was asked for.
    Anchor,
    /// It stays in its row.
    Row,
}

/// Everything.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct State {
    pub title: Title,
    pub width: u16,
    pub height: u16,
    pub now: Duration,
    pub statistics: Statistics,
    pub rates: Rates,
    pub progress: Progress,
    /// Segments that the disk cap has taken since the start.
    pub removed: u64,
    pub page: Page,
    /// Row of the chosen line.
    pub cursor: usize,
    pub follow: bool,
    /// Lines that there were when following ended.
    pub lines_then: u64,
    pub mode: Mode,
    pub spec: Spec,
    /// Number of the match that was jumped to.
    pub match_number: Option<u64>,
    pub seeking: Option<Seek>,
    pub marks: BTreeMap<char, Place>,
    pub wrap: bool,
    /// Cells by which long lines are moved to the left.
    pub pan: usize,
    pub time_style: TimeStyle,
    pub mouse: bool,
    pub panel: bool,
    pub notice: Option<Notice>,
    pub warnings: Warnings,
    pub exporting: Option<Exporting>,
    pub(crate) talker_label: Option<String>,
    /// Lines that there were when the page was asked for last.
    pub(crate) lines_placed: u64,
    pub(crate) request: Request,
    pub(crate) keep: Keep,
    /// A mark that was jumped to, until its page is there.
    pub(crate) jumped: Option<(char, Place)>,
}

impl State {
    /// At the start: following, everything shown.
    pub fn new(title: Title, width: u16, height: u16) -> Self {
        Self {
            title,
            width,
            height,
            now: Duration::ZERO,
            statistics: Statistics::default(),
            rates: Rates::default(),
            progress: Progress::default(),
            removed: 0,
            page: Page::default(),
            cursor: 0,
            follow: true,
            lines_then: 0,
            mode: Mode::Normal,
            spec: Spec::default(),
            match_number: None,
            seeking: None,
            marks: BTreeMap::new(),
            wrap: false,
            pan: 0,
            time_style: TimeStyle::Clock,
            mouse: true,
            panel: true,
            notice: None,
            warnings: Warnings::default(),
            exporting: None,
            talker_label: None,
            lines_placed: 0,
            request: Request::Tail,
            keep: Keep::Anchor,
            jumped: None,
        }
    }

    /// The label whose values are the top talkers.
    pub fn talker_label(&self) -> Option<&str> {
        const FIRST: [&str; 6] = ["app", "service_name", "service", "container", "job", "pod"];
        let names = &self.statistics.label_names;
        let chosen = self.talker_label.as_ref().filter(|name| names.contains(name));
        let usual = || names.iter().find(|name| FIRST.contains(&name.as_str()));
        chosen.or_else(usual).or_else(|| names.first()).map(String::as_str)
    }

    /// The chosen line.
    pub fn chosen(&self) -> Option<&Row> {
        self.page.rows.get(self.cursor)
    }

    /// Lines that came since following ended.
    pub fn lines_since(&self) -> u64 {
        self.statistics.lines.saturating_sub(self.lines_then)
    }
}
