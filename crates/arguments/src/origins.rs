//! Where the values come from that nobody typed: the environment, or a file of defaults.
//!
//! Many mistakes are found only when a value is used. Who never typed it must be told where it stands.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

/// Values that nobody typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<Origin>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    flag: String,
    value: String,
    source: String,
}

impl Origins {
    /// Looks for them. `source_of` is as in [`explain`](crate::explain).
    pub fn find(
        program: &Command,
        matches: &ArgMatches,
        source_of: impl Fn(&str, &str) -> Option<String>,
    ) -> Self {
        let found = matches.subcommand().and_then(|(name, matches)| {
            program.find_subcommand(name).map(|command| (command, matches))
        });
        let (command, matches) = found.unwrap_or((program, matches));
        let mut origins = Vec::new();
        for argument in command.get_arguments() {
            let id = argument.get_id().as_str();
            let Some(long) = argument.get_long() else { continue };
            let Ok(Some(values)) = matches.try_get_raw(id) else { continue };
            let values: Vec<OsString> = values.map(ToOwned::to_owned).collect();
            let source = match matches.value_source(id) {
                Some(ValueSource::EnvVariable) => argument
                    .get_env()
                    .map(|name| format!("the environment variable `{}`", name.display())),
                // What is built in is a default as well.
                Some(ValueSource::DefaultValue)
                    if !argument.get_default_values().iter().eq(&values) =>
                {
                    source_of(command.get_name(), id)
                }
                _ => None,
            };
            let Some(source) = source else { continue };
            let value = values.join(",".as_ref()).to_string_lossy().into_owned();
            origins.push(Origin { flag: format!("--{long}"), value, source });
        }
        Self(origins)
    }

    /// Hints for a message that names some of them, by value or by flag.
    pub fn hints(&self, message: &str) -> Vec<String> {
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let is_named = |origin: &&Origin| {
            let named = |text: &str| {
                !text.is_empty() && quoted.iter().any(|part| part.trim_start_matches("--") == text)
            };
            origin.value.split(',').chain([origin.value.as_str()]).any(|value| named(value.trim()))
                || named(origin.flag.trim_start_matches("--"))
                || message.split([' ', ':', ',']).any(|word| word == origin.flag)
        };
        self.0
            .iter()
            .filter(is_named)
            .map(|Origin { flag, source, .. }| format!("the value of `{flag}` comes from {source}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(flag: &str, value: &str) -> Origin {
        let (flag, value) = (flag.to_owned(), value.to_owned());
        Origin { flag, value, source: "elsewhere".to_owned() }
    }

    #[test]
    fn a_value_or_a_flag_that_is_named_is_traced() {
        let origins = Origins(vec![
            origin("--redact", "email,foo"),
            origin("--auth", "hunter2"),
            origin("--dir", "/a b"),
        ]);
        for (message, expected) in [
            ("`foo` is no redaction pattern", Some("--redact")),
            ("--auth has no credential", Some("--auth")),
            ("failed to open `/a b`: No such file", Some("--dir")),
            ("`--auth` and more", Some("--auth")),
            ("`/a` is not there", None),
            ("foo, hunter2", None),
        ] {
            let expected =
                expected.map(|flag| format!("the value of `{flag}` comes from elsewhere"));
            assert_eq!(origins.hints(message), Vec::from_iter(expected), "{message}");
        }
    }
}
