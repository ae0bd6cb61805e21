//! Configuration files: `~/.logtap/config.yaml`, and over it, key by key, `./.logtap.yaml`.
//!
//! What is said nearer to the command wins: flag, environment, local file, home file, built-in. A value
//! from a file becomes the default of its flag, so it is checked and shown in `--help` as any other.
//! A file of the current directory cannot weaken what the user asks for, and what it changes is told (`local`).
//! The keys are the predecessor's. A file that cannot be read or has a key that nobody knows is an
//! error of the commands that would use it, and of no other command.

mod local;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use clap::parser::ValueSource;
use serde_json::Value;

use crate::error::{CommandError, Kind};

/// Key in the files, the command it is for, and that command's argument.
const KEYS: [(&str, &str, &str); 7] = [
    ("recv.addr", "recv", "listen"),
    ("recv.dir", "recv", "dir"),
    ("recv.disk_cap", "recv", "max_disk"),
    ("recv.redact", "recv", "redact"),
    ("recv.redact_patterns", "recv", "redact_patterns"),
    ("recv.webhooks", "recv", "webhook"),
    ("recv.webhook_events", "recv", "webhook_events"),
];

/// What such a file looks like.
const FORM: &str =
    "it has sections with keys, such as `recv: {addr: \"127.0.0.1:3100\", dir: ./capture}`";

/// Keys of the predecessor for which there is nothing here yet: a file with them can be shared.
const FOREIGN_KEYS: [&str; 5] =
    ["tap.namespace", "tap.cpu", "tap.memory", "defaults.timeout", "defaults.verbose"];

/// The key that gives a command's argument its value, if one may, and where it stands.
pub(crate) fn source_of(command: &str, argument: &str) -> Option<String> {
    let (key, ..) = KEYS.iter().find(|(_, known, id)| *known == command && *id == argument)?;
    Some(format!("`{key}` in ~/.logtap/config.yaml or ./.logtap.yaml"))
}

/// The values of one key.
type Values = Vec<String>;

/// The command line with the defaults that the files give to the command that is asked for, and what is to
/// be told about them.
pub(crate) fn configured(
    command: clap::Command,
    arguments: &[OsString],
) -> Result<(clap::Command, Vec<String>), CommandError> {
    let name = arguments.get(1).and_then(|word| word.to_str());
    let Some(name) = name.filter(|name| KEYS.iter().any(|(_, command, _)| command == name)) else {
        return Ok((command, Vec::new()));
    };
    let values = |path: &Path| match read(path)? {
        Some(text) => parse(&text, path),
        None => Ok(BTreeMap::new()),
    };
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = match home {
        Some(home) => values(&Path::new(&home).join(".logtap/config.yaml"))?,
        None => BTreeMap::new(),
    };
    let local = values(Path::new(".logtap.yaml"))?;
    if local.is_empty() {
        return Ok((with_defaults(command, &home), Vec::new()));
    }
    let asked = asked(command.clone(), name, arguments, home);
    let (followed, notes) = local::follow(local, &asked);
    let mut values = asked.home;
    values.extend(followed);
    Ok((with_defaults(command, &values), notes))
}

/// What is asked for without the file of the directory. What is wrong with the arguments is told later.
fn asked(
    command: clap::Command,
    name: &str,
    arguments: &[OsString],
    home: BTreeMap<&'static str, Values>,
) -> local::Asked {
    let matches = command.ignore_errors(true).try_get_matches_from(arguments).ok();
    let matches = matches.as_ref().and_then(|matches| matches.subcommand_matches(name));
    let is_given = |argument: &str| {
        let source = matches.and_then(|matches| matches.value_source(argument));
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    let given = KEYS.iter().filter(|(_, command, id)| *command == name && is_given(id));
    let given = given.map(|(key, ..)| *key).collect();
    local::Asked { home, given, has_webhook_auth: is_given("webhook_auth") }
}

fn read(path: &Path) -> Result<Option<String>, CommandError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => {
            let text = format!("failed to read configuration `{}`: {error}", path.display());
            let (kind, hint) = match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::IsADirectory => {
                    (Kind::Arguments, "it is a file of YAML, in UTF-8")
                }
                _ => (
                    Kind::of(&error),
                    "make it readable for this user, move it away, or set HOME to this user's directory",
                ),
            };
            Err(CommandError::new(kind, text).hinted(hint))
        }
    }
}

/// The keys of a file with their values.
fn parse(text: &str, path: &Path) -> Result<BTreeMap<&'static str, Values>, CommandError> {
    let wrong = |what: String| {
        let text = format!("configuration `{}`: {what}", path.display());
        CommandError::new(Kind::Arguments, text)
    };
    if is_empty(text) {
        return Ok(BTreeMap::new());
    }
    let sections: BTreeMap<String, Option<BTreeMap<String, Value>>> =
        serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()).hinted(FORM))?;
    let mut values = BTreeMap::new();
    for (section, keys) in sections {
        for (key, value) in keys.unwrap_or_default() {
            let full = format!("{section}.{key}");
            if FOREIGN_KEYS.contains(&full.as_str()) {
                continue;
            }
            let Some((known, ..)) = KEYS.iter().find(|(known, ..)| *known == full) else {
                return Err(wrong(format!("key `{full}` is not known")).hinted(suggestion(&full)));
            };
            let texts = texts(&value).ok_or_else(|| {
                wrong(format!("the value of `{full}` must be a text, a number or a list of them"))
                    .hinted(FORM)
            })?;
            // No pattern at all would keep in silence what somebody wanted taken out.
            if texts.is_empty() && *known == "recv.redact" {
                return Err(wrong(format!("`{full}` names no pattern"))
                    .hinted("`true` takes all of them, `false` none"));
            }
            if !texts.is_empty() {
                values.insert(*known, texts);
            }
        }
    }
    Ok(values)
}

/// Whether a file says nothing at all, as one of comments does.
fn is_empty(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#'))
}

fn texts(value: &Value) -> Option<Values> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Bool(value) => Some(vec![value.to_string()]),
        Value::Number(value) => Some(vec![value.to_string()]),
        Value::String(value) => Some(vec![value.clone()]),
        Value::Array(values) => {
            let lists: Option<Vec<_>> = values.iter().map(texts).collect();
            lists.map(|lists| lists.into_iter().flatten().collect())
        }
        Value::Object(_) => None,
    }
}

fn suggestion(wrong: &str) -> String {
    let known = KEYS.iter().map(|(key, ..)| *key).chain(FOREIGN_KEYS);
    let nearest = known.min_by_key(|key| strsim::damerau_levenshtein(key, wrong));
    let is_near = |key: &&str| strsim::damerau_levenshtein(key, wrong) <= 4;
    match nearest.filter(is_near) {
        Some(key) => format!("did you mean `{key}`?"),
        None => {
            let keys: Vec<_> = KEYS.iter().map(|(key, ..)| *key).collect();
            format!("the keys are {}", keys.join(", "))
        }
    }
}

fn with_defaults(command: clap::Command, values: &BTreeMap<&str, Values>) -> clap::Command {
    KEYS.iter().fold(command, |command, (key, subcommand, argument)| {
        let Some(values) = values.get(key).cloned() else { return command };
        command.mut_subcommand(subcommand, |subcommand| {
            subcommand.mut_arg(argument, |argument| {
                // A flag that takes one value has its list in it, with commas.
                let takes_many = matches!(argument.get_action(), clap::ArgAction::Append);
                let values = if takes_many { values } else { vec![values.join(",")] };
                let values = values.into_iter().map(clap::builder::OsStr::from);
                argument.required(false).default_values(values)
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Cli;
    use clap::CommandFactory as _;
    use std::path::PathBuf;

    fn parsed(text: &str) -> Result<BTreeMap<&'static str, Values>, String> {
        parse(text, Path::new("x.yaml")).map_err(|error| format!("{error} {:?}", error.hints()))
    }

    #[test]
    fn every_key_has_its_flag() {
        for (key, subcommand, argument) in KEYS {
            let command = Cli::command();
            let command = command.find_subcommand(subcommand).unwrap();
            let found = command.get_arguments().any(|known| known.get_id() == argument);
            assert!(found, "{key}: `{subcommand}` has no argument `{argument}`");
        }
    }

    #[test]
    fn values_become_defaults() {
        let text = "# mine\nrecv:\n  addr: ':9000'\n  dir: /tmp/c\n  webhooks: [http://a/, http://b/]\n\
                    \x20 redact: [email, phone]\ndefaults:\n  timeout: 5s\ntap:\n";
        let values = parsed(text).unwrap();
        assert_eq!(values["recv.webhooks"], ["http://a/", "http://b/"]);
        let command = with_defaults(Cli::command(), &values);
        let matches = command.try_get_matches_from(["logtap", "recv", "--listen", ":1"]).unwrap();
        let recv = matches.subcommand_matches("recv").unwrap();
        assert_eq!(recv.get_one::<String>("listen").unwrap(), ":1");
        assert_eq!(recv.get_one::<PathBuf>("dir").unwrap(), Path::new("/tmp/c"));
        assert_eq!(recv.get_one::<String>("redact").unwrap(), "email,phone");
        let hooks: Vec<_> = recv.get_many::<String>("webhook").unwrap().collect();
        assert_eq!(hooks, ["http://a/", "http://b/"]);
    }

    #[test]
    fn a_file_of_comments_says_nothing() {
        assert!(parsed("# recv:\n#   addr: x\n\n").unwrap().is_empty());
    }

    #[test]
    fn any_damage_to_a_file_is_taken_or_named() {
        let text = "recv:\n  addr: ':9000'\n  dir: /tmp/c\n  webhooks: [http://a/, &x http://b/]\n\
                    \x20 redact: |\n    email\ndefaults: {timeout: 5s}\n";
        let mut refused = 0;
        for place in (0..text.len()).filter(|place| text.is_char_boundary(*place)) {
            let (before, after) = text.split_at(place);
            let rest = after.get(1..).unwrap_or_default();
            for middle in
                ["", ":", "{", "[", "- ", "\n", "\t", "*x", "&x ", "!", "'", "\0", "\u{e9}"]
            {
                for damaged in [format!("{before}{middle}{rest}"), format!("{before}{middle}")] {
                    if let Err(error) = parsed(&damaged) {
                        assert!(error.starts_with("configuration `x.yaml`: "), "{error}");
                        refused += 1;
                    }
                }
            }
        }
        assert!(refused > 100, "{refused}");
    }

    #[test]
    fn what_is_wrong_is_named_with_a_way_out() {
        for (text, part) in [
            ("recv: {adr: x}", "key `recv.adr` is not known [\"did you mean `recv.addr`?\"]"),
            ("colours: {of: rainbow}", "the keys are recv.addr, "),
            ("recv: {dir: {a: b}}", "the value of `recv.dir` must be a text"),
            ("recv: {redact: []}", "`recv.redact` names no pattern"),
            ("recv: {redact: }", "`recv.redact` names no pattern"),
            ("recv: [", "configuration `x.yaml`: "),
            ("recv: 5", "configuration `x.yaml`: "),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
