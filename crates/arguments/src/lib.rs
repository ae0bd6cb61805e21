//! Mistakes in arguments, told as every other failure is: the value in backticks, then where it comes from, then what
//! to do. The same words in `logtap` and in the lean programs.
//!
//! What is wrong is found out by the parser; here it gets its words. Refuses to print and to end the program: `main` does.

mod origins;

use std::ffi::{OsStr, OsString};
use std::fmt;

use clap::error::{ContextKind, ContextValue, ErrorKind};

pub use self::origins::Origins;

/// Exit code of a program whose arguments make no sense.
pub const EXIT_CODE: u8 = 2;

/// A mistake in its words, with what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong, in one fragment.
    pub text: String,
    /// What can be done, the most likely first.
    pub hints: Vec<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.text)?;
        self.hints.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

/// Whether the parser's error is an answer that was asked for: help, or a version.
pub fn is_answer(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// Puts a mistake into words. `words` is the command line, `program` what it was parsed with, and `source_of` names where
/// the value of a subcommand's argument comes from if it is neither the command line nor the environment.
pub fn explain(
    error: &clap::Error,
    words: &[OsString],
    program: &clap::Command,
    source_of: impl Fn(&str, &str) -> Option<String>,
) -> Mistake {
    let words = typed_by_the_user(words);
    let (command, path) = asked_for(program, words);
    let argument = texts(error, ContextKind::InvalidArg);
    let argument = argument.first().map(String::as_str).unwrap_or_default();
    let text = cause(error, argument, words).unwrap_or_else(|| plain(error));
    let mut hints = suggestions(error);
    if let Some(command) = command {
        let priors = texts(error, ContextKind::PriorArg);
        let suspects: Vec<&str> = match error.kind() {
            ErrorKind::InvalidValue | ErrorKind::ValueValidation => vec![argument],
            ErrorKind::ArgumentConflict => {
                std::iter::once(argument).chain(priors.iter().map(String::as_str)).collect()
            }
            _ => Vec::new(),
        };
        hints.extend(
            suspects
                .into_iter()
                .filter_map(|suspect| elsewhere(command, suspect, words, &source_of)),
        );
        let runs_another = command.get_positionals().any(clap::Arg::is_trailing_var_arg_set);
        if error.kind() == ErrorKind::UnknownArgument && runs_another {
            hints.push("what belongs to the command that is run stands behind `--`".to_owned());
        }
    }
    hints.extend(usage(error).map(|usage| format!("usage: {usage}")));
    hints.push(match command {
        Some(_) => format!("`{path} --help` explains every argument"),
        None => format!("`{path} --help` lists the commands"),
    });
    Mistake { text, hints }
}

/// What stands behind `--` is another program's.
fn typed_by_the_user(words: &[OsString]) -> &[OsString] {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    words.get(..end).unwrap_or(words)
}

/// The command whose arguments they are, if that is known, and how one calls it.
fn asked_for<'a>(
    program: &'a clap::Command,
    words: &[OsString],
) -> (Option<&'a clap::Command>, String) {
    let name = program.get_name();
    if !program.has_subcommands() {
        return (Some(program), name.to_owned());
    }
    let word = words.get(1).and_then(|word| word.to_str()).unwrap_or_default();
    match program.find_subcommand(word) {
        Some(command) => (Some(command), format!("{name} {}", command.get_name())),
        None => (None, name.to_owned()),
    }
}

/// What is wrong; nothing where the parser has no more to say than its own text.
fn cause(error: &clap::Error, argument: &str, words: &[OsString]) -> Option<String> {
    let value = texts(error, ContextKind::InvalidValue).into_iter().next();
    Some(match error.kind() {
        ErrorKind::InvalidValue => match value.filter(|value| !value.is_empty()) {
            Some(value) => format!("`{value}` is no value of `{argument}`"),
            None => format!("`{argument}` needs a value"),
        },
        ErrorKind::ValueValidation => {
            let value = value?;
            let why = std::error::Error::source(error)?.to_string();
            if value.is_empty() {
                format!("`{argument}` needs a value: {why}")
            } else if why.contains(&format!("`{value}`")) {
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
        ErrorKind::InvalidUtf8 => match words.iter().find(|word| word.to_str().is_none()) {
            Some(word) => format!("`{}` is no text (UTF-8)", word.display()),
            None => "an argument is no text (UTF-8)".to_owned(),
        },
        _ => return None,
    })
}

/// The parser's own first line.
fn plain(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

fn suggestions(error: &clap::Error) -> Vec<String> {
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
fn elsewhere(
    command: &clap::Command,
    argument: &str,
    words: &[OsString],
    source_of: impl Fn(&str, &str) -> Option<String>,
) -> Option<String> {
    let flag = flag(argument);
    let typed = words.iter().filter_map(|word| word.to_str()).any(|word| {
        word == flag || word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('='))
    });
    if typed {
        return None;
    }
    let long = flag.strip_prefix("--")?;
    let known = command.get_arguments().find(|known| known.get_long() == Some(long))?;
    let variable = known.get_env().filter(|variable| std::env::var_os(variable).is_some());
    let source = match variable.map(OsStr::display) {
        Some(variable) => format!("the environment variable `{variable}`"),
        None => source_of(command.get_name(), known.get_id().as_str())?,
    };
    Some(format!("the value of `{flag}` comes from {source}"))
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
    use clap::Parser;

    use super::*;

    /// One that is set wherever tests run.
    const VARIABLE: &str = "PATH";

    #[derive(Debug, Parser)]
    #[command(name = "lean")]
    struct Program {
        #[arg(long, value_name = "SIZE", env = VARIABLE)]
        size: u64,
        #[arg(long, conflicts_with = "size")]
        none: bool,
    }

    fn told(words: &[&str]) -> String {
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        let program = <Program as clap::CommandFactory>::command();
        let error = Program::try_parse_from(&words).unwrap_err();
        explain(&error, &words, &program, |_, _| None).to_string()
    }

    #[test]
    fn a_program_without_commands_has_its_own_name_in_the_remedy() {
        let text = told(&["lean", "--size", "x"]);
        assert!(text.starts_with("error: `x` is no value of `--size <SIZE>`: "), "{text}");
        assert!(text.ends_with("\nhint: `lean --help` explains every argument"), "{text}");
        assert!(!text.contains("environment"), "{text}");
    }

    #[test]
    fn a_value_that_nobody_typed_is_traced() {
        let from = "hint: the value of `--size` comes from the environment variable `PATH`";
        assert!(told(&["lean"]).contains(from));
        let words = ["lean", "--", "--size", "1"].map(OsString::from);
        assert_eq!(typed_by_the_user(&words), ["lean"], "what stands behind is another's");
    }

    #[test]
    fn what_is_no_text_is_shown_as_far_as_it_is() {
        use std::os::unix::ffi::OsStringExt as _;
        let words = ["lean".into(), "--size".into(), OsString::from_vec(b"1\xff".to_vec())];
        let program = <Program as clap::CommandFactory>::command();
        let error = Program::try_parse_from(&words).unwrap_err();
        let text = explain(&error, &words, &program, |_, _| None).text;
        assert_eq!(text, "`1\u{fffd}` is no text (UTF-8)");
    }
}
