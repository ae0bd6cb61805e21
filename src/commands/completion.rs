//! `logtap completion`: a script that completes logtap's words in a shell.

use clap_complete::Shell;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Printer;

/// Print a script that completes logtap's commands and options in a shell
#[derive(clap::Args)]
#[command(after_help = "Examples:
  source <(logtap completion bash)        in ~/.bashrc
  source <(logtap completion zsh)         in ~/.zshrc, behind `compinit`
  logtap completion fish > ~/.config/fish/completions/logtap.fish")]
pub(crate) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

/// Writes the script for this command line.
pub(crate) fn run(
    args: &CompletionArgs,
    all: &clap::Command,
    printer: &mut Printer,
) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut for_people(all), "logtap", &mut script);
    std::io::Write::write_all(printer.answers(), &script)?;
    Ok(Exit::OK)
}

/// The command line without what no person is to call: the scripts of some shells offer that too.
fn for_people(all: &clap::Command) -> clap::Command {
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let commands: Vec<_> = shown.collect();
    clap::Command::new("logtap").version(env!("CARGO_PKG_VERSION")).subcommands(commands)
}
