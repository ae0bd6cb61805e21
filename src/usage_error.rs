//! Mistakes in the arguments as failures of ours: the words are `logtap_arguments`', the exit code is the command's.
//!
//! Refuses to print: `main` does.

use std::ffi::OsString;

use logtap_arguments::Mistake;

use crate::config;
use crate::error::{CommandError, kind_of_bad_arguments};

/// Whether failures are to be told as JSON, before the arguments are understood. What stands behind `--` is another
/// program's.
pub(crate) fn wants_json(words: &[OsString]) -> bool {
    words.iter().take_while(|word| *word != "--").any(|word| word == "--json")
}

/// A mistake in its words, with what can be done about it.
pub(crate) fn explain(
    error: &clap::Error,
    words: &[OsString],
    program: &clap::Command,
) -> CommandError {
    let Mistake { text, hints } =
        logtap_arguments::explain(error, words, program, config::source_of);
    let failure = CommandError::new(kind_of_bad_arguments(words.get(1)), text);
    hints.into_iter().fold(failure, CommandError::hinted)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::commands::Cli;

    fn told(line: &str) -> String {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let error = Cli::command().try_get_matches_from(&words).unwrap_err();
        let failure = explain(&error, &words, &Cli::command());
        format!("{failure}\n{}", failure.hints().join("\n"))
    }

    #[test]
    fn the_value_is_named_and_so_is_a_remedy() {
        for (line, parts) in [
            (
                "logtap runn",
                &["`runn` is no command", "did you mean `run`?", "lists the commands"][..],
            ),
            (
                "logtap inspect --foo",
                &["`--foo` is no argument here", "logtap inspect [OPTIONS] [DIR]"],
            ),
            ("logtap grep x --coutn", &["`--coutn` is no argument", "did you mean `--count`?"]),
            (
                "logtap grep x --format tetx",
                &[
                    "`tetx` is no value of `--format <FORMAT>`",
                    "did you mean `text`?",
                    "it is one of json, text",
                ],
            ),
            ("logtap grep x --from noon", &["`noon` is no value of `--from <TIME>`: a time is"]),
            ("logtap recv --dir c --max-file x", &["--max-file: `x` is no size, such as"]),
            (
                "logtap recv --dir c --max-connections 0",
                &["`0` is no value of `--max-connections <NUMBER>`"],
            ),
            (
                "logtap recv --dir c --tls-cert x",
                &["`--tls-key <FILE>` must be given", "usage: logtap recv "],
            ),
            (
                "logtap run --dir a --to b true",
                &["`--dir <DIR>` cannot be used together with `--to <URL>`"],
            ),
            ("logtap recv --dir c --dir d", &["`--dir <DIR>` can be given only once"]),
            ("logtap run --redact-patterns", &["`--redact-patterns <FILE>` needs a value"]),
            ("logtap run --port 80 true", &["`--port` is no argument here", "stands behind `--`"]),
            ("logtap run", &["`<CMD>...` must be given", "logtap run --help"]),
        ] {
            let told = told(line);
            for part in parts {
                assert!(told.contains(part), "{line}: `{part}` is not in\n{told}");
            }
            assert!(!told.contains("error:") && !told.contains("  "), "{line}: {told}");
        }
    }

    #[test]
    fn json_is_asked_for_before_the_other_program_begins() {
        let wants =
            |line: &str| wants_json(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(wants("logtap run --json -- x"));
        assert!(!wants("logtap run -- x --json"));
    }
}
