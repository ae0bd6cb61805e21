//! What is printed, and where: answers on stdout, everything else on stderr.
//!
//! Colour only on a terminal and never where NO_COLOR is set; every text is readable without it. What others wrote
//! reaches a terminal only as it can be shown ([`logtap_units::visible`]): no command can forget that, since all that is
//! printed goes through here. A pipe or a file gets the bytes as they are.

mod stderr_writer;

use std::cell::{Cell, OnceCell};
use std::env;
use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use logtap_units::visible::{VisibleWriter, shown, shown_json, written_to};
use serde::Serialize;

use self::stderr_writer::StderrWriter;
use crate::error::CommandError;

/// Whether the user wants no colours anywhere.
pub(crate) fn wants_no_colour() -> bool {
    env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Whether the terminal takes more than ASCII, as its locale says. Where that says nothing, as in most containers, it does.
pub(crate) fn takes_unicode() -> bool {
    is_of_unicode(["LC_ALL", "LC_CTYPE", "LANG"].map(|name| env::var(name).unwrap_or_default()))
}

/// The first of these that is not empty is the locale (POSIX, "Environment Variables").
fn is_of_unicode(variables: [String; 3]) -> bool {
    let locale = variables.into_iter().find(|value| !value.is_empty());
    locale.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// The two outputs of a command. Standard output is not locked: what a command starts may write there too.
pub(crate) struct Printer {
    stdout: VisibleWriter<BufWriter<Stdout>>,
    colour: bool,
    /// Whether stderr is a terminal that takes nothing any more.
    is_stuck: Cell<bool>,
    /// Writes to stderr where nobody may wait for it.
    notes: OnceCell<StderrWriter>,
}

impl Printer {
    /// Both outputs of this process.
    pub(crate) fn new() -> Self {
        let dumb = env::var_os("TERM").is_some_and(|name| name == "dumb");
        let refused = wants_no_colour();
        Self {
            stdout: VisibleWriter::new(
                BufWriter::with_capacity(64 << 10, io::stdout()),
                io::stdout().is_terminal(),
            ),
            colour: io::stderr().is_terminal() && !dumb && !refused,
            is_stuck: Cell::new(false),
            notes: OnceCell::new(),
        }
    }

    /// Where answers go. A terminal gets what acts on it made visible.
    pub(crate) fn answers(&mut self) -> &mut impl Write {
        &mut self.stdout
    }

    /// Lets answers through to a terminal as they are, because the user has asked for that.
    pub(crate) fn let_through(&mut self) -> Result<(), CommandError> {
        Ok(self.stdout.let_through()?)
    }

    /// Whether a message in an answer has to be made visible.
    pub(crate) const fn makes_visible(&self) -> bool {
        self.stdout.is_active()
    }

    /// One line of an answer: an end of a line in it is shown as one.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), CommandError> {
        if self.makes_visible() {
            let text = text.to_string();
            return Ok(writeln!(self.stdout, "{}", shown(&text))?);
        }
        Ok(writeln!(self.stdout, "{text}")?)
    }

    /// A line of JSON, or JSON of several lines: what acts on a terminal is escaped, so that it stays the same JSON.
    pub(crate) fn json_text(&mut self, text: &str) -> io::Result<()> {
        let shown = if self.makes_visible() { shown_json(text) } else { text.into() };
        writeln!(self.stdout.direct()?, "{shown}")
    }

    /// An answer for programs.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), CommandError> {
        let text = serde_json::to_string_pretty(value).map_err(CommandError::caused)?;
        Ok(self.json_text(&text)?)
    }

    /// A line for a person, or several. Where it cannot be written there is nobody to tell.
    pub(crate) fn note(&self, text: impl Display) {
        let text = text.to_string();
        self.put(&written_to(&io::stderr(), &text));
    }

    /// A note that can be shown already.
    fn put(&self, text: &str) {
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
        match StderrWriter::start() {
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
        let on_terminal = io::stderr().is_terminal();
        if as_json {
            if let Ok(text) = serde_json::to_string(&failure.report()) {
                self.put(&if on_terminal { shown_json(&text) } else { text.as_str().into() });
            }
            return;
        }
        let text = failure.to_string();
        let text = if on_terminal { shown(&text) } else { text.as_str().into() };
        self.put(&format!("{} {text}", self.emphasised("error:")));
        for hint in failure.hints() {
            let hint = if on_terminal { shown(hint) } else { hint.as_str().into() };
            self.put(&format!("hint: {hint}"));
        }
    }

    fn emphasised(&self, word: &str) -> String {
        if self.colour { format!("\x1b[1;31m{word}\x1b[0m") } else { word.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_says_what_a_terminal_takes() {
        for (all, ctype, lang, expected) in [
            ("", "", "", true),
            ("", "", "C", false),
            ("", "", "C.UTF-8", true),
            ("C", "", "de_DE.utf8", false),
            ("", "en_US.UTF-8", "C", true),
            ("", "", "de_DE.ISO-8859-1", false),
        ] {
            let variables = [all, ctype, lang].map(str::to_owned);
            assert_eq!(is_of_unicode(variables), expected, "{all} {ctype} {lang}");
        }
    }
}
