//! `logtap collector`: the collector, for who has no `logtap-collector` at hand.

use logtap_collector::CollectorError;
use logtap_collector::command::{self, CollectorArgs};

use crate::commands::Ending;
use crate::failure::{CommandError, Kind};

pub(crate) fn run(args: &CollectorArgs) -> Result<Ending, CommandError> {
    command::log_to_stderr();
    command::run(args).map_err(failed)?;
    Ok(Ending::OK)
}

/// The same kinds as the lean program has exit codes for.
pub(crate) fn failed(error: CollectorError) -> CommandError {
    let kind = match &error {
        CollectorError::BadLabel { .. }
        | CollectorError::ReservedLabel { .. }
        | CollectorError::SpoolTooSmall { .. }
        | CollectorError::NotMemory { .. }
        | CollectorError::Sink { .. } => Kind::Arguments,
        CollectorError::Unsafe { .. } => Kind::Permission,
        CollectorError::Listen { .. } => Kind::Network,
        _ => return CommandError::caused(error),
    };
    CommandError::new(kind, error)
}
