//! `logtap grep`: the lines of a capture that match a pattern.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

use clap::ValueEnum;
use logtap_analysis::{GrepError, GrepOptions, Line, damage, grep};
use logtap_units::show::plural;
use logtap_units::visible::{last_state, shown};

use crate::capture_argument::{self, CaptureArgs, FilterArgs};
use crate::error::{CommandError, Kind};
use crate::exit::Exit;
use crate::output::Printer;

/// Print the lines whose message, or a value of whose labels, matches a pattern
#[derive(clap::Args)]
#[command(after_help = "Examples:
  logtap grep 'timeout|refused'
  logtap grep -i error ./capture --label stream=stderr --from 2026-01-15T10:00:00Z
  logtap grep --count . ./capture

The pattern is a regular expression, found anywhere. Lines are printed as text on a terminal and \
as the JSON lines of the capture elsewhere. Lines that continue a match, such as its stack trace, come \
with it and are counted. No match is no failure.")]
pub(crate) struct GrepArgs {
    /// The regular expression
    pattern: String,
    #[command(flatten)]
    capture: CaptureArgs,
    /// Search case-insensitively
    #[arg(short, long)]
    ignore_case: bool,
    #[command(flatten)]
    filter: FilterArgs,
    /// Leave out lines that continue one which matches, such as its stack trace
    #[arg(long)]
    no_continuation: bool,
    /// Print only how many lines match in each file
    #[arg(long)]
    count: bool,
    /// How lines are printed
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Print text with all its bytes: to a terminal too, and of a line that was drawn again and again all of its states
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
}

/// How lines are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As they stand in the capture
    Json,
    /// Time, labels and message
    Text,
}

pub(crate) fn run(args: &GrepArgs, printer: &mut Printer) -> Result<Exit, CommandError> {
    let filter = args.filter.filter()?;
    let directory = args.capture.directory()?;
    let options = GrepOptions {
        pattern: args.pattern.clone(),
        ignore_case: args.ignore_case,
        filter,
        without_continuation: args.no_continuation,
        count_only: args.count,
        threads: None,
    };
    let format = match (args.json, args.format) {
        (true, _) => Format::Json,
        (false, Some(format)) => format,
        (false, None) if io::stdout().is_terminal() => Format::Text,
        (false, None) => Format::Json,
    };
    if args.raw {
        printer.let_through()?;
    }
    let look = match (args.raw, printer.makes_visible()) {
        (true, _) => Look::Exact,
        (false, true) => Look::Visible,
        (false, false) => Look::LastState,
    };
    let mut broken = None;
    let report = grep(&directory, &options, |found| {
        let written = match format {
            Format::Json => as_it_stands(found.line, printer),
            Format::Text => match found.entry() {
                Some(line) => show(&line, look, printer.answers()),
                None => show_message(found.line, look, printer.answers()),
            },
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                broken = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    if let Some(error) = broken {
        return Err(error.into());
    }
    let report = report.map_err(failed)?;
    if args.count {
        for file in &report.files {
            printer.line(format_args!("{}\t{}", file.file, file.matches))?;
        }
    }
    for damage in damage(&directory).iter().chain(&report.damaged) {
        printer.note(format_args!("warning: {damage}"));
    }
    if !report.damaged.is_empty() {
        let text = format!("{} could not be read", plural(report.damaged.len() as u64, "file"));
        printer.finish()?;
        return Err(CommandError::new(Kind::Internal, text)
            .hinted("all other lines were searched; of a damaged file those before the damage"));
    }
    Ok(Exit::OK)
}

/// A line of the capture with its exact bytes, on a terminal too as far as they do nothing to it.
fn as_it_stands(line: &[u8], printer: &mut Printer) -> io::Result<()> {
    match std::str::from_utf8(line) {
        Ok(text) if printer.makes_visible() && text.starts_with('{') => printer.json_text(text),
        _ => {
            let out = printer.answers();
            out.write_all(line)?;
            out.write_all(b"\n")
        }
    }
}

/// How a message is printed as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// All of its bytes.
    Exact,
    /// Its bytes, but only the last state of a line that was drawn again and again.
    LastState,
    /// The last state as it can be shown on a terminal.
    Visible,
}

/// `10:19:59.001 [web stderr] message`.
fn show(line: &Line<'_>, look: Look, out: &mut impl Write) -> io::Result<()> {
    let head = head(line);
    let head = if look == Look::Visible { shown(&head) } else { head.into() };
    out.write_all(head.as_bytes())?;
    show_message(&line.bytes(), look, out)
}

/// Time and source, to stand before a message.
fn head(line: &Line<'_>) -> String {
    let time = line.timestamp.to_string();
    let clock = time.get(11..).unwrap_or(&time).trim_end_matches('Z');
    let (second, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let label = |wanted: &str| {
        let found = line.labels.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_ref()).filter(|value| !value.is_empty())
    };
    let source: Vec<_> =
        [label("app"), label("file").or_else(|| label("stream"))].into_iter().flatten().collect();
    let source = if source.is_empty() { "-".to_owned() } else { source.join(" ") };
    format!("{second}.{fraction:0<3.3} [{source}] ")
}

fn show_message(message: &[u8], look: Look, out: &mut impl Write) -> io::Result<()> {
    match (look, std::str::from_utf8(message)) {
        (Look::LastState, Ok(text)) => out.write_all(last_state(text).as_bytes())?,
        (Look::Exact | Look::LastState, _) => out.write_all(message)?,
        (Look::Visible, _) => {
            let text = String::from_utf8_lossy(message);
            out.write_all(shown(&last_state(&text)).as_bytes())?;
        }
    }
    out.write_all(b"\n")
}

fn failed(error: GrepError) -> CommandError {
    match error {
        GrepError::Pattern { .. } => CommandError::new(Kind::Arguments, error)
            .hinted("a backslash takes a character as it is: `\\(`, `\\.`, `\\[`"),
        GrepError::Capture(error) => capture_argument::unreadable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_as(look: Look, line: &str) -> String {
        let mut out = Vec::new();
        show(&Line::parse(line.as_bytes()).unwrap(), look, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn shown(line: &str) -> String {
        shown_as(Look::LastState, line)
    }

    #[test]
    fn a_line_of_text_has_time_source_and_message() {
        let line = r#"{"ts":"2026-01-15T10:19:59.001234Z","labels":{"app":"web","stream":"stderr"},"msg":"no \"way\""}"#;
        assert_eq!(shown(line), "10:19:59.001 [web stderr] no \"way\"\n");
        let bare = r#"{"ts":"2026-01-15T10:19:59Z","labels":{},"msg":"m"}"#;
        assert_eq!(shown(bare), "10:19:59.000 [-] m\n");
    }

    #[test]
    fn the_last_state_is_shown_unless_all_bytes_are_asked_for() {
        let line = r#"{"ts":"2026-01-15T10:19:59Z","labels":{"app":"a\u001b[2J"},"msg":"1%\r\u001b[K99%\r"}"#;
        let head = "10:19:59.000 [a\x1b[2J] ";
        assert_eq!(shown_as(Look::Exact, line), format!("{head}1%\r\x1b[K99%\r\n"));
        assert_eq!(shown_as(Look::LastState, line), format!("{head}\x1b[K99%\n"));
        let visible = "10:19:59.000 [a\u{241b}[2J] 99%\n";
        assert_eq!(shown_as(Look::Visible, line), visible);
    }
}
