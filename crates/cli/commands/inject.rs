//! `logtap inject`: the injector, for who has no `logtap-injector` at hand.

use logtap_injector::InjectArgs;

use crate::commands::Ending;
use crate::failure::CommandError;
use crate::output::Printer;

pub(crate) fn run(args: &InjectArgs, printer: &mut Printer) -> Result<Ending, CommandError> {
    let path = logtap_injector::inject(args).map_err(CommandError::caused)?;
    printer.line(path.display())?;
    Ok(Ending::OK)
}
