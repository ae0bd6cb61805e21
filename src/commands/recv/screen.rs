//! The screen of `logtap recv`: what the receiver says about itself, for the terminal.

use std::io::{self, IsTerminal as _};
use std::sync::mpsc;

use logtap_recv::{Handle, Store};
use logtap_tui::{Ended, Options, Source, Statistics, Theme, TuiError};
use signal_hook::iterator::Signals;

use crate::error::CommandError;
use crate::output::{Printer, takes_unicode, wants_no_colour};

/// Whether there is a terminal to show a screen on and to take keys from.
pub(super) fn is_possible() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|name| name == "dumb" || name.is_empty());
    io::stdout().is_terminal() && io::stdin().is_terminal() && !dumb
}

/// A receiver that runs, and who may end it.
pub(super) struct Receiver<'a> {
    pub(super) store: &'a Store,
    pub(super) server: &'a Handle,
    pub(super) signals: &'a mut Signals,
    /// receiver --warnings--> screen
    pub(super) notices_rx: &'a mpsc::Receiver<String>,
    pub(super) disk_cap: u64,
    pub(super) redaction: Option<String>,
    pub(super) printer: &'a Printer,
}

/// Shows the screen until somebody quits or the receiver ends.
pub(super) fn show(receiver: &mut Receiver<'_>, address: &str) -> Ended {
    let options = Options {
        directory: receiver.store.directory().to_owned(),
        address: address.to_owned(),
        theme: Theme { colour: !wants_no_colour() },
        ascii: !takes_unicode(),
    };
    logtap_tui::run(options, receiver)
}

/// A screen that could not be, or could not go on.
pub(super) fn failed(error: TuiError) -> CommandError {
    CommandError::caused(error).hinted("--headless runs without a screen")
}

impl Source for Receiver<'_> {
    fn statistics(&mut self, label: Option<&str>) -> Statistics {
        let counts = self.store.counts();
        let talkers = label.map(|label| self.store.talkers(label)).unwrap_or_default();
        Statistics {
            lines: counts.lines,
            bytes: counts.bytes,
            repeated: counts.skipped,
            // What was dropped because the user chose so, and what nobody could be asked to send again.
            dropped: counts.dropped + counts.lost,
            refused: self.server.refused(),
            connections: self.server.connections(),
            disk_bytes: self.store.disk_bytes(),
            disk_cap: Some(self.disk_cap),
            redaction: self.redaction.clone(),
            label_names: self.store.label_names(),
            talkers: talkers.values,
            other_talkers: talkers.others,
        }
    }

    fn notices(&mut self) -> Vec<String> {
        self.notices_rx.try_iter().collect()
    }

    fn note(&mut self, text: String) {
        self.printer.note(format_args!("logtap: {text}"));
    }

    fn is_over(&mut self) -> bool {
        self.signals.pending().next().is_some() || self.server.is_finished()
    }
}
