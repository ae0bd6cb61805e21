//! The help texts: every command has one with examples, and the first is written down here.

use crate::support::workspace::{command, logtap};

fn help(words: &[&str]) -> String {
    let output = command(logtap()).args(words).output().expect("logtap starts");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("help is text")
}

#[test]
fn the_first_page() {
    insta::assert_snapshot!(help(&["--help"]), @r"
    Tap the logs of programs that cannot be changed, into a capture that can be watched, searched and
    shared

    Usage: logtap <COMMAND>

    Commands:
      run         Run a command and keep what it prints, and what it writes to chosen files, in a
                  capture
      recv        Receive pushes from collectors or any Loki client and keep them in a capture
      collector   Drain a tap directory and push its lines
      inspect     Show how large a capture is, what labels it has and when its lines are from
      grep        Print the lines whose message, or a value of whose labels, matches a pattern
      redact      Take personal data and secrets out of text, or show what would go
      recover     List what runs could not deliver, or deliver it
      doctor      Find out whether a program, a process or a directory can be tapped, how, and why not
      library     Print the path of the preload library, after putting it there
      inject      Copy the preload library into a directory that applications can load it from
      completion  Print a script that completes logtap's commands and options in a shell
      help        Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Examples:
      logtap run -- ./server --port 8080    tap a program, keep what it prints in ./capture
      logtap inspect                        what the newest capture here holds
      logtap grep 'error|timeout'           search it

    Exit codes: 0 ok, 1 internal, 2 bad arguments, 3 not found, 4 permission, 5 network, 6 findings.
    `logtap run` ends as its command did; its own failures are 125, and 126 and 127 for a command that
    cannot be run or is not there.
    ");
}

#[test]
fn every_command_explains_itself() {
    let first = help(&["--help"]);
    let commands: Vec<&str> = first
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() >= 8, "{commands:?}");
    for name in commands {
        let text = help(&[name, "--help"]);
        assert!(text.contains("Usage: logtap"), "{name}: {text}");
        assert!(text.contains("\nExamples:\n  "), "{name}: {text}");
        let summary = text.lines().next().unwrap_or_default();
        assert!(
            !summary.ends_with('.') && summary.starts_with(char::is_uppercase),
            "{name}: {summary}"
        );
    }
}

#[test]
fn the_version_is_one_line() {
    assert_eq!(help(&["--version"]), concat!("logtap ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn completion_knows_the_commands() {
    let script = help(&["completion", "bash"]);
    assert!(script.contains("inspect") && script.contains("--suppress"));
    assert!(!script.contains("carry-on"), "what no person is to call is not offered");
}
