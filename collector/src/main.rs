//! `logtap-collector`: the collector alone, for a sidecar. All of it is in the library.

use std::process::ExitCode;

use clap::Parser;
use logtap_collector::command::{CollectorArgs, explain, log_to_stderr, run};

/// Drain a tap directory and push its lines
#[derive(Parser)]
#[command(name = "logtap-collector", version)]
struct Command {
    #[command(flatten)]
    args: CollectorArgs,
}

fn main() -> ExitCode {
    let command = Command::parse();
    log_to_stderr();
    match run(&command.args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", explain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}
