//! The arguments of `run`, and what they mean once they are put together.
//!
//! Everything is checked here, before the command starts; nothing is looked up later.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{ValueEnum, ValueHint};
use logtap_analysis::Timestamp;
use logtap_collector::command::AccessArgs;
use logtap_collector::sinks::LokiConfig;
use logtap_recv::Redactor;
use logtap_units::read::{self, UnitError};
use logtap_wire::pattern;

use super::summary_file::SummaryFile;
use crate::commands::collector::failed;
use crate::commands::redact;
use crate::commands::undelivered::Owner;
use crate::error::{CommandError, Kind};

/// How long a write to a full ring waits: longer than any sink hiccup, shorter than for ever.
const FULL_WAIT: u32 = 10_000;

/// Run a command and keep what it prints, and what it writes to chosen files, in a capture
#[derive(clap::Args)]
#[command(after_help = "Examples:
  logtap run -- ./server --port 8080
  logtap run --file '/var/log/app/*.log' -- ./legacy-app
  logtap run --redact -- ./server
  logtap run --collapse-progress -- pip install numpy
  logtap run --suppress=stdout --to http://loki:3100 --label env=test -- make test
  logtap run --to https://loki.example --ca ca.pem --token-file token -- ./server

The command sees the same terminal, input and signals as without logtap, and `logtap run` ends \
as it did. A program that cannot be preloaded (static, Go, setuid) goes through a pipe or a \
pseudo-terminal instead, and its files are followed as they grow; the summary says so.

One `logtap run` inside another: the inner one taps its command, the outer one everything else.")]
pub(crate) struct RunArgs {
    /// Tap standard output (both streams are tapped if neither is named)
    #[arg(long)]
    stdout: bool,
    /// Tap standard error
    #[arg(long)]
    stderr: bool,
    /// Tap what is written to this file too; `*`, `?`, `[...]` and `**` match as in a shell
    #[arg(long, value_name = "PATH-OR-GLOB")]
    file: Vec<OsString>,
    /// Keep what is tapped from its original destination: everything, or only what is named
    #[arg(
        long,
        value_name = "WHAT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "all",
        value_parser = Suppressed::parse
    )]
    suppress: Option<Suppressed>,
    /// Directory of the capture [default: ./capture, or ./capture-2 and so on]
    #[arg(long, value_name = "DIR", conflicts_with = "to")]
    dir: Option<PathBuf>,
    /// Push to Loki or to a `logtap recv` there instead of keeping a capture here
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Label of every line, as NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_label)]
    label: Vec<(String, String)>,
    #[command(flatten)]
    redaction: redact::RedactionArgs,
    /// What a write does when the tap is full: wait as on a slow pipe, or drop the copy and count it
    #[arg(long, value_enum, default_value = "wait")]
    on_full: OnFull,
    /// Keep only the last state of a progress line, which is drawn again and again behind carriage returns
    #[arg(long)]
    collapse_progress: bool,
    /// How long to wait for processes that outlive the command, such as 500ms or 1m; 0 for not at all
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_linger)]
    linger: Duration,
    /// Print no summary
    #[arg(short, long)]
    quiet: bool,
    /// Write the summary to this file, as JSON
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// Print the summary as one JSON object, the last line of standard error
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    access: AccessArgs,
    /// The command and its arguments
    #[arg(
        value_name = "CMD",
        required = true,
        trailing_var_arg = true,
        value_hint = ValueHint::CommandWithArguments
    )]
    command: Vec<OsString>,
}

/// What a write does when the ring is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnFull {
    /// It waits, but not for ever.
    Wait,
    /// The copy is dropped and counted.
    Drop,
}

/// What is kept from its original destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Suppressed {
    /// Standard output.
    pub(crate) stdout: bool,
    /// Standard error.
    pub(crate) stderr: bool,
    /// The files.
    pub(crate) file: bool,
    /// All that is tapped, whatever that is.
    all: bool,
}

/// Where the lines go.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    /// The first free name here.
    NextCapture,
    /// This directory.
    Capture(PathBuf),
    /// A Loki push address, and how to get in there.
    Push(Box<LokiConfig>),
}

/// How the summary is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// For a person.
    Text,
    /// For a program.
    Json,
    /// Not at all.
    Nothing,
}

/// What `run` is to do, checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    /// A `:` list of patterns, absolute; empty for none.
    pub(crate) files: Vec<u8>,
    pub(crate) suppressed: Suppressed,
    pub(crate) destination: Destination,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) redactor: Arc<Redactor>,
    /// What was asked for of it.
    redaction: (Option<String>, Option<PathBuf>),
    pub(crate) on_full: String,
    pub(crate) linger: Duration,
    /// Only the last state of a redrawn line is kept.
    pub(crate) collapse_progress: bool,
    pub(crate) told: Told,
    pub(crate) summary_file: Option<SummaryFile>,
    pub(crate) command: Vec<OsString>,
}

impl Settings {
    /// Puts the arguments together, or says what makes no sense.
    pub(crate) fn resolve(args: &RunArgs) -> Result<Self, CommandError> {
        let both = !args.stdout && !args.stderr;
        let (stdout, stderr) = (args.stdout || both, args.stderr || both);
        let has_files = !args.file.is_empty();
        let suppressed = args.suppress.unwrap_or_default().among(stdout, stderr, has_files)?;
        let here = env::current_dir().map_err(CommandError::caused)?;
        let name = Path::new(&args.command[0]).file_name().unwrap_or(&args.command[0]);
        let mut labels = vec![("app".to_owned(), name.to_string_lossy().into_owned())];
        labels.extend(args.label.iter().cloned());
        Ok(Self {
            stdout,
            stderr,
            files: patterns(checked(&args.file)?, &here),
            suppressed,
            destination: args.destination()?,
            labels,
            redactor: args.redaction.policy()?,
            redaction: args.redaction.words(),
            on_full: match args.on_full {
                OnFull::Wait => format!("wait:{FULL_WAIT}"),
                OnFull::Drop => "drop".to_owned(),
            },
            linger: args.linger,
            collapse_progress: args.collapse_progress,
            told: match (args.json, args.quiet) {
                (true, _) => Told::Json,
                (false, true) => Told::Nothing,
                (false, false) => Told::Text,
            },
            summary_file: args.summary.as_deref().map(SummaryFile::check).transpose()?,
            command: args.command.clone(),
        })
    }
}

impl Settings {
    /// Whose lines these are, for whoever has to deliver what this run cannot.
    pub(crate) fn owner(&self, capture: Option<&Path>, to: Option<String>) -> Owner {
        let absolute = |path: &Path| std::path::absolute(path).ok()?.to_str().map(str::to_owned);
        let (redact, redact_patterns) = self.redaction.clone();
        Owner {
            pid: std::process::id(),
            started: Timestamp::now().0,
            command: self.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            capture: capture.and_then(absolute),
            to,
            labels: self.labels.clone(),
            redact,
            redact_patterns,
            source: Some(logtap_collector::new_source()),
        }
    }
}

impl RunArgs {
    fn destination(&self) -> Result<Destination, CommandError> {
        let Some(address) = &self.to else {
            if let Some(flag) = self.access.typed() {
                let text = format!("`{flag}` is for pushes, and nothing is pushed without `--to`");
                return Err(CommandError::new(Kind::Run, text)
                    .hinted("add --to URL, or leave it out: a capture here needs no access"));
            }
            return Ok(match &self.dir {
                Some(directory) => Destination::Capture(directory.clone()),
                None => Destination::NextCapture,
            });
        };
        let mut loki = LokiConfig::new(address);
        self.access.apply(&mut loki).map_err(failed)?;
        Ok(Destination::Push(Box::new(loki)))
    }
}

impl Suppressed {
    fn parse(text: &str) -> Result<Self, String> {
        let mut suppressed = Self::default();
        for word in text.split(',') {
            match word {
                "all" => suppressed.all = true,
                "stdout" => suppressed.stdout = true,
                "stderr" => suppressed.stderr = true,
                "file" => suppressed.file = true,
                _ => return Err(format!("`{word}` is none of stdout, stderr, file")),
            }
        }
        Ok(suppressed)
    }

    /// Only what is tapped can be suppressed.
    fn among(self, stdout: bool, stderr: bool, file: bool) -> Result<Self, CommandError> {
        if self.all {
            return Ok(Self { stdout, stderr, file, all: true });
        }
        for (wanted, tapped, name, option) in [
            (self.stdout, stdout, "stdout", "--stdout"),
            (self.stderr, stderr, "stderr", "--stderr"),
            (self.file, file, "file", "--file PATH"),
        ] {
            if wanted && !tapped {
                let text = format!("`{name}` is not tapped, so it cannot be suppressed");
                return Err(CommandError::new(Kind::Run, text).hinted(format!("add {option}")));
            }
        }
        Ok(self)
    }
}

/// What cannot be a file's name, or is a directory's, would match nothing in silence.
fn checked(given: &[OsString]) -> Result<&[OsString], CommandError> {
    for pattern in given {
        let path = Path::new(pattern);
        let (text, hint) = if pattern.is_empty() {
            ("`--file` needs a path".to_owned(), "name a file, or several with `*`".to_owned())
        } else if path.is_dir() {
            let below = path.join("*");
            let text = format!("`{}` is a directory, and no file to tap", path.display());
            (text, format!("the files in it are --file '{}'", below.display()))
        } else {
            continue;
        };
        return Err(CommandError::new(Kind::Run, text).hinted(hint));
    }
    Ok(given)
}

/// Makes one `:` list of absolute patterns. A pattern through symbolic links is there twice: as it
/// was given, and as the kernel will know the file.
fn patterns(given: &[OsString], here: &Path) -> Vec<u8> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for pattern in given {
        let pattern = escape_colons(pattern.as_bytes());
        let absolute = if pattern.first() == Some(&b'/') {
            pattern
        } else {
            let pattern = pattern.strip_prefix(b"./").unwrap_or(&pattern);
            [&escape(here.as_os_str()), &b"/"[..], pattern].concat()
        };
        let real = through_links(&absolute);
        for pattern in [Some(absolute), real].into_iter().flatten() {
            if !all.contains(&pattern) {
                all.push(pattern);
            }
        }
    }
    all.join(&b':')
}

/// The pattern with the links in its directories followed, as far as there are no wildcards.
fn through_links(absolute: &[u8]) -> Option<Vec<u8>> {
    let components: Vec<_> = absolute.split(|byte| *byte == b'/').collect();
    let plain = components.iter().take_while(|component| !pattern::is_glob(component)).count();
    // The last component may be a link itself, or may not be there yet.
    let longest = (1..=plain).rev().find_map(|length| {
        let path = unescape(&components[..length].join(&b'/'));
        let real = Path::new(OsStr::from_bytes(&path)).canonicalize().ok()?;
        Some((length, real))
    });
    let (length, real) = longest?;
    let mut pattern = escape(real.as_os_str());
    for component in &components[length..] {
        if pattern.last() != Some(&b'/') {
            pattern.push(b'/');
        }
        pattern.extend_from_slice(component);
    }
    (pattern != absolute).then_some(pattern)
}

/// A colon in what the user gave is part of a name, not a separator.
fn escape_colons(pattern: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(pattern.len());
    let mut literal = false;
    for byte in pattern {
        if *byte == b':' && !literal {
            escaped.push(b'\\');
        }
        literal = *byte == b'\\' && !literal;
        escaped.push(*byte);
    }
    escaped
}

/// A path as a pattern that matches only it.
fn escape(path: &OsStr) -> Vec<u8> {
    let special = |byte: u8| b"\\:*?[".contains(&byte);
    path.as_bytes()
        .iter()
        .flat_map(|byte| special(*byte).then_some(b'\\').into_iter().chain([*byte]))
        .collect()
}

fn unescape(pattern: &[u8]) -> Vec<u8> {
    let mut bytes = pattern.iter();
    let mut path = Vec::with_capacity(pattern.len());
    while let Some(byte) = bytes.next() {
        path.push(if *byte == b'\\' { *bytes.next().unwrap_or(byte) } else { *byte });
    }
    path
}

/// LD_PRELOAD with our library first, once, and everything that was there.
pub(crate) fn preload_list(library: &Path, existing: Option<&OsStr>) -> OsString {
    let name = OsStr::new(logtap_embedded::FILE_NAME);
    let mut list = library.as_os_str().as_bytes().to_vec();
    let existing = existing.unwrap_or_default().as_bytes();
    for entry in existing.split(|byte| b" :\t".contains(byte)).filter(|entry| !entry.is_empty()) {
        // Another copy of ours, from a `logtap run` around this one, would tap the same writes.
        if Path::new(OsStr::from_bytes(entry)).file_name() != Some(name) {
            list.push(b':');
            list.extend_from_slice(entry);
        }
    }
    OsString::from_vec(list)
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a label is NAME=VALUE")?;
    if !logtap_collector::is_label_name(name) {
        return Err(format!(
            "`{name}` cannot name a label (letters, digits and _, no digit first)"
        ));
    }
    if logtap_collector::RESERVED_LABELS.contains(&name) {
        return Err(format!("the label `{name}` is set by logtap itself"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// A number alone is of seconds.
fn parse_linger(text: &str) -> Result<Duration, UnitError> {
    read::duration_or_number(text, Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(given: &[&str], here: &str) -> String {
        let given: Vec<_> = given.iter().map(OsString::from).collect();
        String::from_utf8(patterns(&given, Path::new(here))).unwrap()
    }

    #[test]
    fn patterns_are_absolute_and_colons_are_part_of_names() {
        assert_eq!(list(&["/no/a.log", "*.log"], "/no/x*y"), r"/no/a.log:/no/x\*y/*.log");
        assert_eq!(list(&["./a:b", r"c\:d"], "/no"), r"/no/a\:b:/no/c\:d");
        assert_eq!(list(&[], "/no"), "");
    }

    #[test]
    fn links_are_followed_as_far_as_names_are_plain() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let given = link.join("*.log");
        let expected = format!("{}:{}", given.display(), real.join("*.log").display());
        assert_eq!(list(&[given.to_str().unwrap()], "/"), expected);
    }

    #[test]
    fn our_library_is_listed_once_and_others_stay() {
        let ours = Path::new("/dev/shm/logtap-0-x/liblogtap.so");
        let listed = |existing: &str| preload_list(ours, Some(OsStr::new(existing)));
        assert_eq!(preload_list(ours, None), ours);
        assert_eq!(
            listed("/lib/libjemalloc.so /dev/shm/logtap-0-outer/liblogtap.so:libfaketime.so"),
            "/dev/shm/logtap-0-x/liblogtap.so:/lib/libjemalloc.so:libfaketime.so"
        );
    }

    #[test]
    fn only_what_is_tapped_can_be_suppressed() {
        let parse = |text| Suppressed::parse(text).unwrap();
        assert!(parse("stderr").among(true, false, false).is_err());
        let all = parse("all").among(true, false, true).unwrap();
        assert_eq!((all.stdout, all.stderr, all.file), (true, false, true));
        assert!(Suppressed::parse("stdin").is_err());
    }

    #[test]
    fn lingering_is_a_duration_or_seconds() {
        assert_eq!(parse_linger("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_linger("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_linger("0"), Ok(Duration::ZERO));
        assert!(parse_linger("-1").is_err() && parse_linger("soon").is_err());
    }
}
