//! One line that counts while the command runs, where the terminal has nothing else to show.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use logtap_collector::Counts;
use logtap_wire::identity::Streams;

use super::settings::{Settings, Told};
use logtap_units::show::{plural, size};

const PAUSE: Duration = Duration::from_millis(500);
/// Without a line nothing is to be done.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Back to the first column and clear the line.
const CLEAR: &str = "\r\x1b[K";

/// The line, or nothing where it would disturb.
pub(crate) struct Live {
    next: Option<Instant>,
    shown: bool,
}

impl Live {
    /// Shown only on a terminal that none of the command's streams reaches.
    pub(crate) fn new(settings: &Settings, streams: &Streams) -> Self {
        let quiet = settings.told != Told::Text || !io::stderr().is_terminal();
        let reached = !settings.suppressed.stderr
            || (!settings.suppressed.stdout && (streams.are_one() || io::stdout().is_terminal()));
        Self { next: (!quiet && !reached).then(Instant::now), shown: false }
    }

    /// Shows the counts if it is time to.
    pub(crate) fn tick(&mut self, counts: impl FnOnce() -> Counts) {
        let now = Instant::now();
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        self.next = Some(now + PAUSE);
        self.shown = true;
        let counts = counts();
        let line = format!("{} ({})", plural(counts.lines, "line"), size(counts.totals.bytes));
        let _nobody_to_tell = write!(io::stderr(), "{CLEAR}logtap: {line}");
    }

    /// How long until it wants to be called again.
    pub(crate) fn pause(&self) -> Duration {
        if self.next.is_some() { PAUSE } else { LONGEST_PAUSE }
    }

    /// Takes the line away.
    pub(crate) fn clear(self) {
        if self.shown {
            let _nobody_to_tell = write!(io::stderr(), "{CLEAR}");
        }
    }
}
