//! The command line: one word for each command, its arguments in its own file.

use clap::{Parser, Subcommand};

use crate::commands;

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
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Run(Box<commands::run::RunArgs>),
    Recv(Box<commands::recv::RecvArgs>),
    Collector(Box<logtap_collector::command::CollectorArgs>),
    Inspect(commands::inspect::InspectArgs),
    Grep(commands::grep::GrepArgs),
    Redact(commands::redact::RedactArgs),
    Doctor(commands::doctor::DoctorArgs),
    Library(commands::library::LibraryArgs),
    Inject(logtap_injector::InjectArgs),
    Completion(commands::completion::CompletionArgs),
    /// Copy standard input to standard output for processes that outlive `logtap run`
    #[command(name = commands::run::CARRY, hide = true)]
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
            Command::Doctor(args) => args.json,
            _ => false,
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
}
