//! logtap-injector: copies the preload library into a shared volume and ends.
#![expect(clippy::print_stderr, reason = "a program of its own, with nobody above it to print")]

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use logtap_injector::InjectArgs;

#[derive(Parser)]
#[command(name = "logtap-injector", version, about)]
struct Injector {
    #[command(flatten)]
    args: InjectArgs,
}

fn main() -> ExitCode {
    let Err(failure) = logtap_injector::inject(&Injector::parse().args) else {
        return ExitCode::SUCCESS;
    };
    eprint!("error: {failure}");
    let mut cause = failure.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!("\nhint: {}", failure.remedy());
    ExitCode::from(failure.exit_code())
}
