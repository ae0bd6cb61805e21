//! `logtap collector`: the collector, for who has no `logtap-collector` at hand.

use logtap_collector::CollectorError;
use logtap_collector::command::{self, CollectorArgs};

use crate::error::{CommandError, Kind};
use crate::exit::Exit;

pub(crate) fn run(args: &CollectorArgs) -> Result<Exit, CommandError> {
    command::log_to_stderr();
    command::run(args).map_err(failed)?;
    Ok(Exit::OK)
}

/// The same as a failure of ours.
pub(crate) fn failed(error: CollectorError) -> CommandError {
    let kind = Kind::of_exit_code(error.exit_code());
    let remedy = error.remedy();
    let failure = CommandError::new(kind, error);
    remedy.into_iter().fold(failure, CommandError::hinted)
}
