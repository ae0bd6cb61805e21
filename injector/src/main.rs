//! logtap-injector: copies the preload library into a shared volume and ends.
#![expect(clippy::print_stderr, reason = "a program of its own, with nobody above it to print")]

use std::error::Error;
use std::io;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use logtap_arguments::{EXIT_CODE, Mistake, Origins, explain, is_answer};
use logtap_injector::{InjectArgs, InjectError};
use logtap_units::visible::written_to;

#[derive(Parser)]
#[command(name = "logtap-injector", version, about, max_term_width = 100)]
struct Program {
    #[command(flatten)]
    args: InjectArgs,
}

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    let parsed = Program::command()
        .try_get_matches_from(&words)
        .and_then(|matches| Ok((Program::from_arg_matches(&matches)?, matches)));
    let (program, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) if is_answer(&error) => return answered(error.print()),
        Err(error) => {
            tell(&explain(&error, &words, &Program::command(), |_, _| None));
            return ExitCode::from(EXIT_CODE);
        }
    };
    let Err(failure) = logtap_injector::inject(&program.args) else { return ExitCode::SUCCESS };
    let origins = Origins::find(&Program::command(), &matches, |_, _| None);
    let text = with_causes(&failure);
    let hints = std::iter::once(failure.remedy().to_owned()).chain(origins.hints(&text)).collect();
    tell(&Mistake { text, hints });
    ExitCode::from(failure.exit_code())
}

fn with_causes(failure: &InjectError) -> String {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What acts on a terminal is made visible: a mistake quotes what it is about.
fn tell(mistake: &Mistake) {
    eprintln!("{}", written_to(&io::stderr(), &mistake.to_string()));
}

/// Who closes our output early has read enough.
fn answered(printed: io::Result<()>) -> ExitCode {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("error: failed to write standard output: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
