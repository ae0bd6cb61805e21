//! The command line: one variant for each command, whose arguments and code are in a file of its own.

pub(crate) mod collector;
pub(crate) mod completion;
pub(crate) mod doctor;
pub(crate) mod grep;
pub(crate) mod inject;
pub(crate) mod inspect;
pub(crate) mod library;
mod place;
mod processes;
pub(crate) mod recover;
pub(crate) mod recv;
pub(crate) mod redact;
pub(crate) mod run;
mod run_directories;
mod undelivered;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Printer;

/// Tap the logs of programs that cannot be changed, into a capture that can be watched, searched and
/// shared
#[derive(Parser)]
#[command(
    name = "logtap",
    version,
    max_term_width = 100,
    after_help = "Examples:
  logtap run -- ./server --port 8080    tap a program, keep what it prints in ./capture
  logtap inspect                        what the newest capture here holds
  logtap grep 'error|timeout'           search it

Exit codes: 0 ok, 1 internal, 2 bad arguments, 3 not found, 4 permission, 5 network, 6 findings. \
`logtap run` ends as its command did; its own failures are 125, and 126 and 127 for a command that \
cannot be run or is not there."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(Box<run::RunArgs>),
    Recv(Box<recv::RecvArgs>),
    Collector(Box<logtap_collector::command::CollectorArgs>),
    Inspect(inspect::InspectArgs),
    Grep(grep::GrepArgs),
    Redact(redact::RedactArgs),
    Recover(Box<recover::RecoverArgs>),
    Doctor(doctor::DoctorArgs),
    Library(library::LibraryArgs),
    Inject(logtap_injector::InjectArgs),
    Completion(completion::CompletionArgs),
    /// Copy standard input to standard output for processes that outlive `logtap run`
    #[command(name = run::CARRY, hide = true)]
    Carry,
}

impl Cli {
    /// Whether failures are to be told as JSON too.
    pub(crate) fn wants_json(&self) -> bool {
        match &self.command {
            Command::Run(args) => args.json,
            Command::Inspect(args) => args.json,
            Command::Grep(args) => args.json,
            Command::Redact(args) => args.json,
            Command::Recover(args) => args.json,
            Command::Doctor(args) => args.json,
            _ => false,
        }
    }
}

/// Runs the command that was asked for.
pub(crate) fn run(cli: Cli, printer: &mut Printer) -> Result<Exit, CommandError> {
    match cli.command {
        Command::Run(args) => run::run(&args, printer),
        Command::Recv(args) => recv::run(&args, printer),
        Command::Redact(args) => redact::run(&args, printer),
        Command::Collector(args) => collector::run(&args),
        Command::Inspect(args) => inspect::run(&args, printer),
        Command::Grep(args) => grep::run(&args, printer),
        Command::Recover(args) => recover::run(&args, printer),
        Command::Doctor(args) => doctor::run(&args, printer),
        Command::Library(args) => library::run(&args, printer),
        Command::Inject(args) => inject::run(&args, printer),
        Command::Completion(args) => completion::run(&args, &Cli::command(), printer),
        Command::Carry => {
            run::carry();
            Ok(Exit::OK)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The words of an example up to a comment, a pipe or a redirection, as a shell would make them.
    fn words(example: &str) -> Vec<String> {
        let (mut words, mut quoted) = (Vec::new(), false);
        let mut word = String::new();
        let end = example.find("   ").unwrap_or(example.len());
        for character in example.split_at(end).0.chars().chain([' ']) {
            match character {
                '\'' => quoted = !quoted,
                '|' | '<' | '>' if !quoted => break,
                ' ' if !quoted && !word.is_empty() => words.push(std::mem::take(&mut word)),
                ' ' if !quoted => {}
                other => word.push(other),
            }
        }
        words
    }

    #[test]
    fn every_example_can_be_typed_as_it_is_printed() {
        let program = Cli::command();
        let mut tried = 0;
        for command in std::iter::once(&program).chain(program.get_subcommands()) {
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for example in examples.lines().filter_map(|line| line.strip_prefix("  logtap ")) {
                let words = std::iter::once("logtap".to_owned()).chain(words(example));
                let parsed = Cli::command().try_get_matches_from(words);
                assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
                tried += 1;
            }
        }
        assert!(tried >= 25, "{tried}");
    }
}
