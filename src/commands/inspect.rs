//! `logtap inspect`: what a capture holds, at a glance.

use logtap_analysis::{Bucket, InspectReport, LabelValue, Timestamp, inspect};
use logtap_units::show::{plural, size};

use super::run::keep::command;
use super::undelivered;
use crate::capture_argument::{self, CaptureArgs};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Printer, takes_unicode};

/// Values of a label that are shown.
const SHOWN_VALUES: usize = 10;
/// Columns of the timeline.
const COLUMNS: usize = 60;
const GLYPHS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The same for a terminal that takes ASCII alone.
const ASCII_GLYPHS: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];

/// Show how large a capture is, what labels it has and when its lines are from
#[derive(clap::Args)]
#[command(after_help = "Examples:
  logtap inspect                 the newest capture in this directory
  logtap inspect ./capture --json")]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    capture: CaptureArgs,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print names and values to a terminal as they are, whatever that does to it
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

pub(crate) fn run(args: &InspectArgs, printer: &mut Printer) -> Result<Exit, CommandError> {
    let directory = args.capture.directory()?;
    let report = inspect(&directory, None).map_err(capture_argument::unreadable)?;
    if args.json {
        printer.json(&report)?;
    } else {
        if args.raw {
            printer.let_through()?;
        }
        let is_ascii = printer.makes_visible() && !takes_unicode();
        for line in text(&report, if is_ascii { ASCII_GLYPHS } else { GLYPHS }) {
            printer.line(line)?;
        }
    }
    for left in undelivered::of_capture(&directory) {
        printer.note(format_args!(
            "warning: lines of this capture were not stored: `{}` delivers them",
            command(&left.directory)
        ));
    }
    for damage in &report.damaged {
        printer.note(format_args!("warning: {damage}"));
    }
    Ok(Exit::OK)
}

fn text(report: &InspectReport, glyphs: [char; 8]) -> Vec<String> {
    let mut lines = vec![row("capture", &report.dir)];
    if let (Some(from), Some(to)) = (report.data_from, report.data_to) {
        lines.push(row("period", &format!("{from} to {to}{}", lasting(from, to))));
    }
    let unparsed = match report.unparsed_lines {
        0 => String::new(),
        lines => format!(", of them {} without labels and time (no entry)", plural(lines, "line")),
    };
    lines.push(row("lines", &format!("{}{unparsed}", plural(report.total_lines, "line"))));
    let on_disk = format!("{} in {}", size(report.disk_size), plural(report.files as u64, "file"));
    let data = if report.total_bytes == report.disk_size {
        on_disk
    } else {
        format!("{on_disk}, {} before compression", size(report.total_bytes))
    };
    lines.push(row("size", &data));
    if report.live {
        lines.push(row("state", "live, or not shut down cleanly"));
    }
    for (name, values) in &report.labels {
        lines.push(String::new());
        lines.push(format!("{name}:"));
        lines.extend(label(values, report.total_lines));
    }
    if report.timeline.len() > 1 {
        lines.push(String::new());
        let estimate = if report.timeline_is_estimate { ", an estimate" } else { "" };
        lines.push(format!("timeline, {}{estimate}:", report.bucket_width));
        lines.extend(timeline(&report.timeline, glyphs));
    }
    lines
}

fn row(name: &str, value: &str) -> String {
    format!("{name:<8} {value}")
}

fn lasting(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.0.saturating_sub(from.0) as f64 / 1e9;
    match seconds {
        ..1.0 => String::new(),
        1.0..120.0 => format!(" ({seconds:.0} s)"),
        120.0..7200.0 => format!(" ({:.0} min)", seconds / 60.0),
        _ => format!(" ({:.1} h)", seconds / 3600.0),
    }
}

fn label(values: &[LabelValue], total: u64) -> Vec<String> {
    let shown = &values[..values.len().min(SHOWN_VALUES)];
    let width = shown.iter().map(|value| value.value.chars().count()).max().unwrap_or(0);
    let mut lines: Vec<_> = shown
        .iter()
        .map(|value| {
            let share = value.lines as f64 * 100.0 / total.max(1) as f64;
            let share = if share < 0.05 { "< 0.1".to_owned() } else { format!("{share:.1}") };
            format!(
                "  {:width$}  {:>16}  {:>10}  {share:>5} %",
                value.value,
                plural(value.lines, "line"),
                size(value.bytes)
            )
        })
        .collect();
    if values.len() > shown.len() {
        lines.push(format!("  and {} more", plural((values.len() - shown.len()) as u64, "value")));
    }
    lines
}

/// Rows of glyphs, each with the time at which it begins. Many rows in which nothing happened become one.
fn timeline(buckets: &[Bucket], glyphs: [char; 8]) -> Vec<String> {
    let most = buckets.iter().map(|bucket| bucket.lines).max().unwrap_or(0).max(1);
    let glyph = |lines: u64| match lines {
        0 => ' ',
        lines => {
            let level = u128::from(lines) * (glyphs.len() as u128 - 1) / u128::from(most);
            glyphs.get(level as usize).copied().unwrap_or('#')
        }
    };
    let mut lines = Vec::new();
    let mut silent = false;
    for row in buckets.chunks(COLUMNS) {
        if row.iter().all(|bucket| bucket.lines == 0) {
            if !silent {
                lines.push("  ...".to_owned());
            }
            silent = true;
            continue;
        }
        silent = false;
        let begins = row.first().map(|bucket| bucket.time.to_string()).unwrap_or_default();
        let minute = begins.get(..16).unwrap_or(&begins).replace('T', " ");
        let shown: String = row.iter().map(|bucket| glyph(bucket.lines)).collect();
        lines.push(format!("  {minute}  {}", shown.trim_end()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_shows_ups_and_downs() {
        let bucket =
            |minute: i64, lines| Bucket { time: Timestamp(minute * 60_000_000_000), lines };
        let buckets = [bucket(0, 1), bucket(1, 0), bucket(2, 70), bucket(3, 35)];
        assert_eq!(timeline(&buckets, GLYPHS), ["  1970-01-01 00:00  ▁ █▄"]);
        assert_eq!(timeline(&buckets, ASCII_GLYPHS), ["  1970-01-01 00:00  _ #-"]);
    }

    #[test]
    fn a_long_silence_takes_one_row() {
        let last = 5 * COLUMNS;
        let lines = |place| u64::from(place == 0 || place == last);
        let minute = |place: usize| Timestamp(place as i64 * 60_000_000_000);
        let buckets: Vec<_> =
            (0..=last).map(|place| Bucket { time: minute(place), lines: lines(place) }).collect();
        assert_eq!(
            timeline(&buckets, GLYPHS),
            ["  1970-01-01 00:00  █", "  ...", "  1970-01-01 05:00  █"]
        );
    }

    #[test]
    fn rare_values_are_not_rounded_to_nothing() {
        let values = [("a", 99_999), ("b", 1)].map(|(value, lines)| LabelValue {
            value: value.to_owned(),
            lines,
            bytes: lines,
        });
        let lines = label(&values, 100_000);
        assert!(lines[0].ends_with("100.0 %"), "{lines:?}");
        assert!(lines[1].ends_with("< 0.1 %"), "{lines:?}");
    }
}
