//! What is printed, and where: answers on stdout, everything else on stderr.
//!
//! Colour only on a terminal and never where NO_COLOR is set; every text is readable without it.

use std::cell::{Cell, OnceCell};
use std::env;
use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde::Serialize;

use crate::failure::CommandError;
use crate::notes::Notes;

/// Whether the user wants no colours anywhere.
pub(crate) fn wants_no_colour() -> bool {
    env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// The two outputs of a command. Standard output is not locked: what a command starts may write there too.
pub(crate) struct Printer {
    stdout: BufWriter<Stdout>,
    colour: bool,
    /// Whether stderr is a terminal that takes nothing any more.
    is_stuck: Cell<bool>,
    /// Writes to stderr where nobody may wait for it.
    notes: OnceCell<Notes>,
}

impl Printer {
    /// Both outputs of this process.
    pub(crate) fn new() -> Self {
        let dumb = env::var_os("TERM").is_some_and(|name| name == "dumb");
        let refused = wants_no_colour();
        Self {
            stdout: BufWriter::with_capacity(64 << 10, io::stdout()),
            colour: io::stderr().is_terminal() && !dumb && !refused,
            is_stuck: Cell::new(false),
            notes: OnceCell::new(),
        }
    }

    /// Where answers go.
    pub(crate) fn answers(&mut self) -> &mut impl Write {
        &mut self.stdout
    }

    /// One line of an answer.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), CommandError> {
        Ok(writeln!(self.stdout, "{text}")?)
    }

    /// An answer for programs.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), CommandError> {
        let text = serde_json::to_string_pretty(value).map_err(CommandError::caused)?;
        self.line(text)
    }

    /// One line for a person. Where it cannot be written there is nobody to tell.
    pub(crate) fn note(&self, text: impl Display) {
        if self.is_stuck.get() {
            return;
        }
        match self.notes.get() {
            Some(notes) => notes.put(format!("{text}\n")),
            None => {
                let _written = writeln!(io::stderr(), "{text}");
            }
        }
    }

    /// Lets no note be waited for from now on: stderr may be a pipe that nobody reads.
    pub(crate) fn never_wait(&self) {
        if self.notes.get().is_some() {
            return;
        }
        match Notes::to_stderr() {
            Ok(notes) => drop(self.notes.set(notes)),
            Err(error) => {
                self.note(format_args!(
                    "logtap: warning: no thread for notes, so that the end may wait for stderr: {error}"
                ));
            }
        }
    }

    /// Takes it that terminals take nothing any more, so that writing to one would be waiting for ever.
    pub(crate) fn give_up_terminal(&self) {
        self.is_stuck.set(io::stderr().is_terminal());
    }

    /// Writes out what is left of the answers.
    pub(crate) fn finish(&mut self) -> Result<(), CommandError> {
        Ok(self.stdout.flush()?)
    }

    /// Says why a command failed, as the last thing on stderr.
    pub(crate) fn failure(&self, failure: &CommandError, as_json: bool) {
        if failure.is_broken_pipe() {
            return;
        }
        if as_json {
            if let Ok(text) = serde_json::to_string(&failure.report()) {
                self.note(text);
            }
            return;
        }
        self.note(format_args!("{} {failure}", self.emphasised("error:")));
        for hint in failure.hints() {
            self.note(format_args!("hint: {hint}"));
        }
    }

    fn emphasised(&self, word: &str) -> String {
        if self.colour { format!("\x1b[1;31m{word}\x1b[0m") } else { word.to_owned() }
    }
}
