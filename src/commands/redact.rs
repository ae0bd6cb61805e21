//! `logtap redact`: what redaction would take out of a text, before anybody relies on it; and the one
//! place where the options of redaction become a policy.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logtap_recv::Redactor;
use logtap_recv::redact::{CustomError, CustomPatterns, Patterns};
use logtap_units::show::plural;
use serde::Serialize;

use crate::error::{CommandError, Kind};
use crate::exit::Exit;
use crate::output::Printer;

/// More changed lines than this are counted, not listed, in JSON.
const MAX_LISTED: usize = 100_000;

/// Take personal data and secrets out of text, or show what would go
#[derive(clap::Args)]
#[command(after_help = "Examples:
  logtap redact --test < app.log            what `recv --redact` would take out, and how often
  logtap redact --test --redact=email,ssn app.log
  logtap redact < app.log > shareable.log

Patterns: credit_card, email, jwt, bearer, ip_v4, ssn, phone, api_key, private_key, \
url_password, secret, iban, ip_v6. The same patterns work in `logtap recv --redact` and \
`logtap run --redact`.")]
pub(crate) struct RedactArgs {
    /// Files to read [default: standard input]
    file: Vec<PathBuf>,
    /// Show only the lines that change, and count per pattern
    #[arg(long)]
    test: bool,
    #[command(flatten)]
    redaction: RedactionArgs,
    /// Print the test as one JSON object
    #[arg(long, requires = "test")]
    pub(crate) json: bool,
}

/// What is to be redacted, where a command comes behind it. (`recv` takes the same from its configuration,
/// and the value behind a blank.)
#[derive(clap::Args)]
pub(crate) struct RedactionArgs {
    /// Take personal data and secrets out: all patterns, or those named, with commas between them
    #[arg(
        long,
        value_name = "LIST",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    redact: Option<String>,
    /// YAML file with redaction patterns of your own (`name`, `pattern`, `replacement`)
    #[arg(long, value_name = "FILE")]
    redact_patterns: Option<PathBuf>,
}

impl RedactionArgs {
    /// What was asked for, as it can be asked for again from another directory.
    pub(crate) fn words(&self) -> (Option<String>, Option<PathBuf>) {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        (self.redact.clone(), self.redact_patterns.as_ref().map(absolute))
    }

    /// The policy that they make.
    pub(crate) fn policy(&self) -> Result<Arc<Redactor>, CommandError> {
        policy(self.redact.as_deref(), self.redact_patterns.as_deref())
    }

    /// Whether nothing is asked for.
    fn is_empty(&self) -> bool {
        self.redact.is_none() && self.redact_patterns.is_none()
    }
}

/// What `redact --test` found.
#[derive(Default, Serialize)]
struct Report {
    lines: u64,
    changed: u64,
    counts: std::collections::BTreeMap<String, u64>,
    changes: Vec<Change>,
}

#[derive(Serialize)]
struct Change {
    line: u64,
    patterns: Vec<String>,
    text: String,
}

pub(crate) fn run(args: &RedactArgs, printer: &mut Printer) -> Result<Exit, CommandError> {
    // Here everything is redacted if nothing is said, for what else should the command do?
    let redactor = match args.redaction.is_empty() {
        true => policy(Some("true"), None)?,
        false => args.redaction.policy()?,
    };
    let names = redactor.names();
    let mut report = Report::default();
    let mut read = |input: &mut dyn BufRead, name: &Path, printer: &mut Printer| {
        pass(input, name, &redactor, &names, args, &mut report, printer)
    };
    if args.file.is_empty() {
        read(&mut io::stdin().lock(), Path::new("standard input"), printer)?;
    }
    for path in &args.file {
        let file = File::open(path).map_err(|error| cannot_read(path, &error))?;
        read(&mut BufReader::with_capacity(1 << 18, file), path, printer)?;
    }
    if args.test && args.json {
        printer.json(&report)?;
    } else if args.test {
        printer.finish()?;
        printer.note(format_args!(
            "logtap: {} of {} would change",
            report.changed,
            plural(report.lines, "line")
        ));
        for (name, count) in &report.counts {
            printer.note(format_args!("  {name:<14} {count:>10}"));
        }
    }
    Ok(Exit::OK)
}

fn pass(
    input: &mut dyn BufRead,
    name: &Path,
    redactor: &Redactor,
    names: &[String],
    args: &RedactArgs,
    report: &mut Report,
    printer: &mut Printer,
) -> Result<(), CommandError> {
    let mut text = Vec::new();
    let mut lines = redactor.lines();
    loop {
        text.clear();
        if input.read_until(b'\n', &mut text).map_err(|error| cannot_read(name, &error))? == 0 {
            return Ok(());
        }
        let line = text.strip_suffix(b"\n").unwrap_or(&text);
        report.lines += 1;
        let mut hits = Vec::new();
        let redacted = lines.redact(line, |place| hits.push(place));
        for name in hits.iter().filter_map(|place| names.get(*place)) {
            *report.counts.entry(name.clone()).or_default() += 1;
        }
        report.changed += u64::from(redacted.is_some());
        match redacted {
            Some(redacted) if args.json => {
                if report.changes.len() < MAX_LISTED {
                    let patterns = hits.iter().filter_map(|place| names.get(*place).cloned());
                    report.changes.push(Change {
                        line: report.lines,
                        patterns: patterns.collect(),
                        text: String::from_utf8_lossy(&redacted).into_owned(),
                    });
                }
            }
            Some(redacted) if args.test => {
                let answers = printer.answers();
                write!(answers, "{}:", report.lines)?;
                answers.write_all(&redacted)?;
                answers.write_all(b"\n")?;
            }
            None if args.test => {}
            redacted => {
                let answers = printer.answers();
                answers.write_all(redacted.as_deref().unwrap_or(line))?;
                let end = text.get(line.len()..).unwrap_or_default();
                answers.write_all(end)?;
            }
        }
    }
}

/// Makes a policy of what was given as `--redact` and `--redact-patterns`.
pub(crate) fn policy(
    list: Option<&str>,
    patterns: Option<&Path>,
) -> Result<Arc<Redactor>, CommandError> {
    // From a variable of a script that is not set, and then everything would be kept in silence.
    let names_none = |list: &&str| list.split(',').all(|name| name.trim().is_empty());
    if let Some(list) = list.filter(names_none) {
        let text = format!("`--redact={list}` names no pattern");
        return Err(CommandError::new(Kind::Arguments, text)
            .hinted("--redact alone takes all of them, --redact=false none"));
    }
    let built_in = list.map_or(Ok(Patterns::NONE), Patterns::parse).map_err(|error| {
        CommandError::new(Kind::Arguments, error).hinted(
            "--redact alone takes all of them; patterns of your own: --redact-patterns FILE",
        )
    })?;
    let custom = patterns.map(CustomPatterns::read).transpose().map_err(|error| match error {
        CustomError::Read { .. } => {
            CommandError::caused(error).hinted("name a readable file of YAML")
        }
        error => CommandError::new(Kind::Arguments, error).hinted(
            "try the patterns on a sample: logtap redact --test --redact-patterns FILE < sample",
        ),
    })?;
    Ok(Arc::new(Redactor::new(built_in, custom)))
}

/// One line about what is redacted.
pub(crate) fn describe(redactor: &Redactor) -> String {
    match redactor.names().join(", ") {
        names if names.is_empty() => "redaction: off".to_owned(),
        names => format!("redaction: {names}"),
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> CommandError {
    let text = format!("failed to read `{}`: {error}", path.display());
    let kind = match error.kind() {
        // One who cannot be read from is no reader that went away.
        io::ErrorKind::BrokenPipe => Kind::Internal,
        io::ErrorKind::IsADirectory => Kind::Arguments,
        _ => Kind::of(error),
    };
    CommandError::new(kind, text).hinted("name files of text, or none to read standard input")
}
