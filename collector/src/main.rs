//! `logtap-collector`: the collector alone, for a sidecar. All of it is in the library.
#![expect(clippy::print_stderr, reason = "a program of its own, with nobody above it to print")]

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use logtap_arguments::{EXIT_CODE, Mistake, Origins, explain, is_answer};
use logtap_collector::command::{CollectorArgs, log_to_stderr, run};
use logtap_units::visible::written_to;

/// Drain a tap directory and push its lines
#[derive(Parser)]
#[command(name = "logtap-collector", version, max_term_width = 100)]
struct Program {
    #[command(flatten)]
    args: CollectorArgs,
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
    log_to_stderr();
    let Err(error) = run(&program.args) else { return ExitCode::SUCCESS };
    let origins = Origins::find(&Program::command(), &matches, |_, _| None);
    let text = error.with_causes();
    let remedy = error.remedy().map(str::to_owned);
    let hints = remedy.into_iter().chain(origins.hints(&text)).collect();
    tell(&Mistake { text, hints });
    ExitCode::from(error.exit_code())
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
