//! `logtap inject`: the injector, for who has no `logtap-injector` at hand.

use std::io::Write as _;

use logtap_injector::InjectArgs;

use crate::error::{CommandError, Kind};
use crate::exit::Exit;
use crate::output::Printer;

pub(crate) fn run(args: &InjectArgs, printer: &mut Printer) -> Result<Exit, CommandError> {
    let path = logtap_injector::inject(args).map_err(|error| {
        let (kind, remedy) = (Kind::of_exit_code(error.exit_code()), error.remedy());
        CommandError::new(kind, error).hinted(remedy)
    })?;
    let answers = printer.answers();
    answers.write_all(path.as_os_str().as_encoded_bytes())?;
    answers.write_all(b"\n")?;
    Ok(Exit::OK)
}
