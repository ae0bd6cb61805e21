//! logtap, the command: parse, run, end.
//!
//! Logic lives in the libraries; here is only what a person sees. Nothing but this file ends the
//! process.

mod capture_argument;
mod commands;
mod config;
mod error;
mod exit;
mod output;
mod usage_error;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};
use logtap_arguments::Origins;

use crate::commands::Cli;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Printer;

fn main() -> ExitCode {
    let mut printer = Printer::new();
    let words: Vec<_> = std::env::args_os().collect();
    let (command, notes) = match config::configured(Cli::command(), &words) {
        Ok(configured) => configured,
        // Help helps with a broken configuration too.
        Err(_) if words.iter().any(|word| word == "--help" || word == "-h") => {
            (Cli::command(), Vec::new())
        }
        Err(failure) => {
            printer.failure(&failure, usage_error::wants_json(&words));
            return ExitCode::from(failure.exit_code());
        }
    };
    let parsed = command
        .try_get_matches_from(words)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return refuse(&error, &printer),
    };
    for note in notes {
        printer.note(format_args!("logtap: {note}"));
    }
    let wants_json = cli.wants_json();
    let outcome = commands::run(cli, &mut printer);
    let outcome = outcome.and_then(|ending| printer.finish().map(|()| ending));
    match outcome {
        Ok(Exit::Code(code)) => ExitCode::from(code),
        Ok(Exit::Signal(signal)) => commands::run::repeat_death(signal),
        Err(failure) => {
            let origins = Origins::find(&Cli::command(), &matches, config::source_of);
            let hints = origins.hints(&failure.to_string());
            let failure = hints.into_iter().fold(failure, CommandError::hinted);
            printer.failure(&failure, wants_json);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Help and version are answers; everything else is a mistake in the arguments.
fn refuse(error: &clap::Error, printer: &Printer) -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    let failure = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match error.print() {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => CommandError::from(error),
        },
        // No word at all: the help says more than an error would.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            printer.note(error.render());
            return ExitCode::from(error::code_of_bad_arguments(words.get(1)));
        }
        _ => usage_error::explain(error, &words, &Cli::command()),
    };
    printer.failure(&failure, usage_error::wants_json(&words));
    ExitCode::from(failure.exit_code())
}
