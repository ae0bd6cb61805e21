//! Mistakes in the arguments, told as every other failure is: the value in backticks, then what to do.
//!
//! What is wrong is found out by the parser; here it gets its words. Refuses to print: `main` does.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::configuration;
use crate::failure::{CommandError, kind_of_bad_arguments};

/// Whether failures are to be told as JSON, before the arguments are understood. What stands behind `--` is another
/// program's.
pub(crate) fn wants_json(words: &[OsString]) -> bool {
    words.iter().take_while(|word| *word != "--").any(|word| word == "--json")
}

/// A mistake in its words, with what can be done about it.
pub(crate) fn explain(
    error: &clap::Error,
    words: &[OsString],
    command: &clap::Command,
) -> CommandError {
    let name = words.get(1).and_then(|word| word.to_str()).unwrap_or_default();
    let command = command.find_subcommand(name);
    let argument = texts(error, ContextKind::InvalidArg);
    let argument = argument.first().map(String::as_str).unwrap_or_default();
    let mut failure = CommandError::new(
        kind_of_bad_arguments(words.get(1)),
        cause(error, argument).unwrap_or_else(|| plain(error)),
    );
    for hint in hints(error) {
        failure = failure.hinted(hint);
    }
    let is_a_value = matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation);
    if is_a_value
        && let Some(source) = command.and_then(|command| elsewhere(command, argument, words))
    {
        failure = failure.hinted(source);
    }
    if error.kind() == ErrorKind::UnknownArgument && name == "run" {
        failure = failure.hinted("what belongs to the command that is run stands behind `--`");
    }
    if let Some(usage) = usage(error) {
        failure = failure.hinted(format!("usage: {usage}"));
    }
    failure.hinted(match command {
        Some(command) => format!("`logtap {} --help` explains every argument", command.get_name()),
        None => "`logtap --help` lists the commands".to_owned(),
    })
}

/// What is wrong; nothing where the parser has no more to say than its own text.
fn cause(error: &clap::Error, argument: &str) -> Option<String> {
    let value = texts(error, ContextKind::InvalidValue).into_iter().next();
    Some(match error.kind() {
        ErrorKind::InvalidValue => match value.filter(|value| !value.is_empty()) {
            Some(value) => format!("`{value}` is no value of `{argument}`"),
            None => format!("`{argument}` needs a value"),
        },
        ErrorKind::ValueValidation => {
            let value = value?;
            let why = std::error::Error::source(error)?.to_string();
            if why.contains(&format!("`{value}`")) {
                format!("{}: {why}", flag(argument))
            } else {
                format!("`{value}` is no value of `{argument}`: {why}")
            }
        }
        ErrorKind::UnknownArgument => format!("`{argument}` is no argument here"),
        ErrorKind::InvalidSubcommand => {
            let name = texts(error, ContextKind::InvalidSubcommand).into_iter().next()?;
            format!("`{name}` is no command")
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = texts(error, ContextKind::InvalidArg);
            let missing: Vec<_> = missing.iter().map(|name| format!("`{name}`")).collect();
            format!("{} must be given", missing.join(" and "))
        }
        ErrorKind::ArgumentConflict => {
            let others = texts(error, ContextKind::PriorArg);
            match others.first() {
                Some(other) if other != argument => {
                    format!("`{argument}` cannot be used together with `{other}`")
                }
                _ => format!("`{argument}` can be given only once"),
            }
        }
        ErrorKind::TooManyValues | ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues => {
            format!("`{argument}` takes another number of values")
        }
        ErrorKind::NoEquals => format!("the value of `{argument}` stands behind a `=`"),
        ErrorKind::InvalidUtf8 => "an argument is no text (UTF-8)".to_owned(),
        _ => return None,
    })
}

/// The parser's own first line.
fn plain(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

fn hints(error: &clap::Error) -> Vec<String> {
    let mut hints = Vec::new();
    let suggested =
        [ContextKind::SuggestedValue, ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand];
    for name in suggested.into_iter().flat_map(|kind| texts(error, kind)) {
        hints.push(format!("did you mean `{name}`?"));
    }
    let values = texts(error, ContextKind::ValidValue);
    if !values.is_empty() {
        hints.push(format!("it is one of {}", values.join(", ")));
    }
    hints
}

/// The usage line, without the word.
fn usage(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return None };
    let usage = usage.to_string();
    let usage = usage.trim().strip_prefix("Usage:")?.split_whitespace().collect::<Vec<_>>();
    Some(usage.join(" "))
}

/// Where a value comes from that nobody typed.
fn elsewhere(command: &clap::Command, argument: &str, words: &[OsString]) -> Option<String> {
    let flag = flag(argument);
    let typed = words.iter().filter_map(|word| word.to_str()).any(|word| {
        word == flag || word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('='))
    });
    let long = flag.strip_prefix("--")?;
    let known = command.get_arguments().find(|known| known.get_long() == Some(long))?;
    if typed {
        return None;
    }
    if let Some(variable) = known.get_env()
        && std::env::var_os(variable).is_some()
    {
        return Some(format!(
            "the value comes from the environment variable `{}`",
            variable.display()
        ));
    }
    let key = configuration::key_of(command.get_name(), known.get_id().as_str())?;
    Some(format!("the value comes from `{key}` in ~/.logtap/config.yaml or ./.logtap.yaml"))
}

/// `--max-file` of `--max-file <SIZE>`.
fn flag(argument: &str) -> &str {
    argument.split([' ', '=', '[']).next().unwrap_or(argument)
}

fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Cli;

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
