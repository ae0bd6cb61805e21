//! `logtap inject`: the injector, for who has no `logtap-injector` at hand.

use logtap_injector::InjectArgs;

use crate::commands::Ending;
use crate::failure::{CommandError, Kind};
use crate::output::Printer;

pub(crate) fn run(args: &InjectArgs, printer: &mut Printer) -> Result<Ending, CommandError> {
    let path = logtap_injector::inject(args).map_err(|error| {
        let (kind, remedy) = (Kind::of_exit_code(error.exit_code()), error.remedy());
        CommandError::new(kind, error).hinted(remedy)
    })?;
    printer.line(path.display())?;
    Ok(Ending::OK)
}
