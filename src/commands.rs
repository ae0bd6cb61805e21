//! One file a command.

mod chosen_capture;
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
mod undelivered;

use crate::args::{Cli, Command};
use crate::failure::CommandError;
use crate::output::Printer;

/// How the process is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With this exit code.
    Code(u8),
    /// By this signal, as the command that was run.
    Signal(i32),
}

impl Ending {
    /// All went well.
    pub(crate) const OK: Self = Self::Code(0);
}

/// Runs the command that was asked for.
pub(crate) fn dispatch(cli: Cli, printer: &mut Printer) -> Result<Ending, CommandError> {
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
        Command::Completion(args) => completion::run(&args, printer),
        Command::Carry => {
            run::carry();
            Ok(Ending::OK)
        }
    }
}
