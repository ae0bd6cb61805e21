//! What `run` has to tell when it is over, for a person and for a program.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use logtap_collector::{StreamSummary, Totals};
use logtap_units::show::{plural, size};
use serde::{Serialize, Serializer};

use super::descendants::Unreached;
use super::keep::{Kept, command};
use crate::commands::undelivered::Undelivered;
use crate::exit::Exit;

/// Streams that the form for a person names; that for programs has all.
const MOST_SHOWN: usize = 10;

/// What is said where all was caught.
const NOTHING_LOST: &str = "nothing lost";

/// The whole story of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Story {
    /// The command's words.
    pub(crate) command: Vec<String>,
    /// How its output was reached.
    pub(crate) way: Way,
    /// Why not by the library, if it was not.
    pub(crate) reason: Option<String>,
    /// Its exit code, if it had one.
    pub(crate) exit_code: Option<u8>,
    /// The signal that ended it, if one did.
    pub(crate) signal: Option<i32>,
    /// From its start to the end of `run`.
    pub(crate) seconds: f64,
    /// The capture directory.
    #[serde(serialize_with = "as_text")]
    pub(crate) capture: Option<PathBuf>,
    /// The address that was pushed to.
    pub(crate) pushed_to: Option<String>,
    /// What was caught, together.
    pub(crate) total: Totals,
    /// What was caught, by stream and file.
    pub(crate) streams: Vec<StreamSummary>,
    /// How often redaction has replaced something, by pattern.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) redactions: BTreeMap<String, u64>,
    /// States of redrawn lines that were left out, because that was asked for.
    pub(crate) collapsed_states: u64,
    /// How often followed files were truncated: lines may be missing.
    pub(crate) truncations: u64,
    /// Lines that the capture or the address did not take in time.
    pub(crate) undelivered_lines: u64,
    /// Lines that it refused for ever.
    pub(crate) refused_lines: u64,
    /// The last reason for either.
    pub(crate) last_error: Option<String>,
    /// Where lines are that were not delivered, and how they are sent later.
    pub(crate) recover: Vec<Recover>,
    /// Programs whose output did not pass the tap.
    pub(crate) unreached: Vec<Unreached>,
    /// Processes of the command that still run.
    pub(crate) still_running: usize,
    /// What stays for them until they end.
    #[serde(serialize_with = "as_texts")]
    pub(crate) kept: Vec<PathBuf>,
    /// Whatever else the reader should know.
    pub(crate) notes: Vec<String>,
}

/// Lines that are kept somewhere.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Recover {
    /// The directory.
    #[serde(serialize_with = "path_as_text")]
    pub(crate) directory: PathBuf,
    /// How many lines; unknown where they are in rings still.
    pub(crate) lines: Option<u64>,
    /// The command that delivers them.
    pub(crate) command: String,
}

impl Recover {
    /// What is kept and what is left in rings.
    pub(crate) fn all(kept: &Kept, left: Option<Undelivered>) -> Vec<Self> {
        let kept_lines = kept.directory.clone().map(|directory| Self {
            command: command(&directory),
            directory,
            lines: Some(kept.refused + kept.undelivered),
        });
        let left = left.map(|left| Self {
            command: command(&left.directory),
            directory: left.directory,
            lines: None,
        });
        kept_lines.into_iter().chain(left).collect()
    }
}

/// How a command's output is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    /// By the library.
    Preload,
    /// Through a pipe.
    Pipe,
    /// Through a pseudo-terminal.
    Terminal,
}

impl Story {
    /// Notes how the command ended.
    pub(crate) const fn ended(mut self, ending: Exit) -> Self {
        match ending {
            Exit::Code(code) => self.exit_code = Some(code),
            Exit::Signal(number) => self.signal = Some(number),
        }
        self
    }

    /// Lines that did not arrive, by what became of them.
    fn missing(&self) -> Vec<String> {
        let told = |lines: u64, what: &str| {
            (lines > 0).then(|| format!("{} {what}", plural(lines, "line")))
        };
        let refused = told(self.refused_lines, "refused");
        let undelivered = told(self.undelivered_lines, "not delivered");
        refused.into_iter().chain(undelivered).collect()
    }

    /// Whether all has arrived, in a word; else what has not.
    fn outcome(&self) -> String {
        let mut missing = self.missing();
        if missing.is_empty() || self.total.lost_records + self.total.torn_records > 0 {
            missing.insert(0, lost(&self.total));
        }
        if self.truncations > 0 {
            missing.retain(|what| what != NOTHING_LOST);
            missing.push("lines may be missing".to_owned());
        }
        missing.join(", ")
    }

    /// The form for a person: a few lines, the most important first.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "logtap: {} ({}) in {}, {}",
            plural(self.total.lines, "line"),
            size(self.total.bytes),
            duration(Duration::from_secs_f64(self.seconds)),
            self.outcome()
        );
        let name = |stream: &StreamSummary| match &stream.file {
            Some(path) => path.clone(),
            None => stream.stream.to_owned(),
        };
        let listed = largest(&self.streams);
        let width = listed.iter().map(|stream| name(stream).chars().count()).max().unwrap_or(0);
        for stream in &listed {
            let totals = &stream.totals;
            let by = if stream.source == "preload" {
                String::new()
            } else {
                format!("  by {}", stream.source)
            };
            let bad = if totals.lost_records + totals.torn_records > 0 {
                format!("  {}", lost(totals))
            } else {
                String::new()
            };
            line(
                &mut text,
                &format!(
                    "  {:width$}  {:>14}  {:>10}{by}{bad}",
                    name(stream),
                    plural(totals.lines, "line"),
                    size(totals.bytes)
                ),
            );
        }
        let more = self.streams.len() - listed.len();
        if more > 0 {
            line(&mut text, &format!("  and {more} more (all of them with --json)"));
        }
        if !self.redactions.is_empty() {
            let replaced: Vec<_> =
                self.redactions.iter().map(|(name, count)| format!("{name} {count}")).collect();
            line(&mut text, &format!("redacted: {}", replaced.join(", ")));
        }
        if self.collapsed_states > 0 {
            let states = plural(self.collapsed_states, "state");
            line(&mut text, &format!("{states} of progress lines left out (--collapse-progress)"));
        }
        match (&self.reason, self.way) {
            (Some(reason), Way::Pipe) => {
                line(&mut text, &format!("not preloaded ({reason}): through a pipe"));
            }
            (Some(reason), Way::Terminal) => {
                line(&mut text, &format!("not preloaded ({reason}): through a pseudo-terminal"));
            }
            _ => {}
        }
        for Unreached { program, reason, processes, .. } in &self.unreached {
            let times = if *processes > 1 { format!(", {processes} times") } else { String::new() };
            line(&mut text, &format!("not tapped: `{program}`{times}: {reason}"));
        }
        if self.undelivered_lines + self.refused_lines > 0 {
            let why =
                self.last_error.as_deref().map_or(String::new(), |error| format!(": {error}"));
            line(&mut text, &format!("{}{why}", self.missing().join(", ")));
        }
        for Recover { directory, lines, command } in &self.recover {
            let what = lines.map_or("what is left".to_owned(), |lines| plural(lines, "line"));
            let verb = if *lines == Some(1) || lines.is_none() { "is" } else { "are" };
            line(
                &mut text,
                &format!("{what} {verb} kept in {}; send later: {command}", directory.display()),
            );
        }
        for note in &self.notes {
            line(&mut text, note);
        }
        match self.still_running {
            0 => {}
            1 => line(&mut text, "1 process still runs; what it writes now is not captured"),
            more => line(
                &mut text,
                &format!("{more} processes still run; what they write now is not captured"),
            ),
        }
        for path in &self.kept {
            line(
                &mut text,
                &format!("`{}` stays while it is used; a later run removes it", path.display()),
            );
        }
        if let Some(address) = &self.pushed_to {
            line(&mut text, &format!("pushed to {address}"));
        }
        if let Some(directory) = &self.capture {
            let shown = shown(directory);
            line(&mut text, &format!("capture: {shown}   next: logtap inspect {shown}"));
        }
        text
    }
}

/// The largest streams by their bytes, in their order, and before them those that lost something.
fn largest(streams: &[StreamSummary]) -> Vec<&StreamSummary> {
    let mut by_size: Vec<(usize, &StreamSummary)> = streams.iter().enumerate().collect();
    by_size.sort_by_key(|(place, stream)| {
        let Totals { bytes, lost_records, torn_records, .. } = stream.totals;
        let is_whole = lost_records == 0 && torn_records == 0;
        (is_whole, std::cmp::Reverse(bytes), *place)
    });
    by_size.truncate(MOST_SHOWN);
    by_size.sort_by_key(|(place, _)| *place);
    by_size.into_iter().map(|(_, stream)| stream).collect()
}

/// JSON has texts alone: bytes that are none are replaced.
fn as_text<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.to_string_lossy()).serialize(serializer)
}

fn path_as_text<S: Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    path.to_string_lossy().serialize(serializer)
}

fn as_texts<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}

fn line(text: &mut String, content: &str) {
    // A name with a line end in it must not make a line of its own, which would look like one of ours.
    let _never_fails = write!(text, "\nlogtap: {}", content.replace('\n', "\u{23ce}"));
}

/// A path as one would type it here.
fn shown(directory: &std::path::Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| {
        directory.strip_prefix(here).ok().map(|path| format!("./{}", path.display()))
    });
    relative.unwrap_or_else(|| directory.display().to_string())
}

fn lost(totals: &Totals) -> String {
    match (
        totals.lost_records + totals.torn_records,
        totals.lost_bytes.saturating_add(totals.torn_bytes),
    ) {
        (0, _) => NOTHING_LOST.to_owned(),
        (writes, bytes) => format!("{} lost ({})", plural(writes, "write"), size(bytes)),
    }
}

fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story() -> Story {
        let totals = |lines, bytes| Totals { lines, bytes, records: lines, ..Totals::default() };
        let stream = |stream, file: Option<&str>, source: &str, totals| StreamSummary {
            stream,
            file: file.map(str::to_owned),
            source: source.to_owned(),
            totals,
        };
        Story {
            command: vec!["app".into()],
            way: Way::Preload,
            reason: None,
            exit_code: None,
            signal: None,
            seconds: 3.25,
            capture: Some("/captures/one".into()),
            pushed_to: None,
            total: totals(1241, 60_000),
            streams: vec![
                stream("stdout", None, "preload", totals(1240, 59_990)),
                stream("file", Some("/var/log/app.log"), "tail", totals(1, 10)),
            ],
            redactions: BTreeMap::new(),
            collapsed_states: 0,
            truncations: 0,
            undelivered_lines: 0,
            refused_lines: 0,
            last_error: None,
            recover: Vec::new(),
            unreached: Vec::new(),
            still_running: 0,
            kept: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_good_run_is_told_shortly() {
        assert_eq!(
            story().ended(Exit::Code(0)).text(),
            "logtap: 1,241 lines (58.6 KB) in 3.2 s, nothing lost\n\
             logtap:   stdout               1,240 lines     58.6 KB\n\
             logtap:   /var/log/app.log          1 line        10 B  by tail\n\
             logtap: capture: /captures/one   next: logtap inspect /captures/one"
        );
    }

    #[test]
    fn after_a_truncation_nobody_says_that_nothing_is_lost() {
        let mut story = story();
        story.truncations = 1;
        assert!(story.text().contains("in 3.2 s, lines may be missing\n"), "{}", story.text());
        story.total.lost_records = 2;
        let text = story.text();
        assert!(text.contains("2 writes lost (0 B), lines may be missing\n"), "{text}");
    }

    #[test]
    fn of_many_files_the_largest_and_those_with_losses_are_shown() {
        let mut story = story();
        for number in 0..898_u64 {
            let mut stream = story.streams[1].clone();
            stream.file = Some(format!("/var/log/{number}.log"));
            stream.totals.bytes = number;
            stream.totals.lost_records = u64::from(number == 3);
            story.streams.push(stream);
        }
        let text = story.text();
        assert!(text.contains("  and 890 more (all of them with --json)"), "{text}");
        for name in ["stdout ", "/var/log/897.log", "/var/log/890.log", "/var/log/3.log"] {
            assert!(text.contains(name), "{name} is not in\n{text}");
        }
        assert!(!text.contains("/var/log/889.log"), "{text}");
        let all = serde_json::to_string(&story).unwrap();
        assert!(all.contains("/var/log/17.log"), "programs get all");
    }

    #[test]
    fn everything_that_went_wrong_is_told() {
        let mut story = story();
        story.total.lost_records = 2;
        story.total.lost_bytes = 4096;
        story.way = Way::Terminal;
        story.reason = Some("static executable".into());
        story.undelivered_lines = 1;
        story.last_error = Some("disk full".into());
        story.recover.push(Recover {
            directory: "/state/1".into(),
            lines: Some(1),
            command: "logtap recover /state/1".into(),
        });
        story.still_running = 2;
        story.kept = vec!["/dev/shm/x".into()];
        story.unreached.push(Unreached {
            program: "/bin/busybox".into(),
            reason: "static executable".into(),
            pid: 7,
            processes: 3,
        });
        let text = story.text();
        for part in [
            "2 writes lost (4.0 KB)",
            "not preloaded (static executable): through a pseudo-terminal",
            "not tapped: `/bin/busybox`, 3 times: static executable",
            "1 line not delivered: disk full",
            "1 line is kept in /state/1; send later: logtap recover /state/1",
            "2 processes still run",
            "`/dev/shm/x` stays",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn what_was_refused_is_not_told_as_delivered() {
        let mut story = story();
        story.refused_lines = 1000;
        story.last_error = Some("400 Bad Request: no such tenant".into());
        let text = story.text();
        assert!(!text.contains("nothing lost"), "{text}");
        assert!(text.contains("in 3.2 s, 1,000 lines refused\n"), "{text}");
        assert!(text.contains("logtap: 1,000 lines refused: 400 Bad Request: no such"), "{text}");
        story.undelivered_lines = 1;
        story.total.lost_records = 2;
        let text = story.text();
        assert!(
            text.contains("2 writes lost (0 B), 1,000 lines refused, 1 line not delivered\n"),
            "{text}"
        );
    }

    #[test]
    fn the_form_for_programs_is_one_line_of_json() {
        let text = serde_json::to_string(&story().ended(Exit::Signal(9))).unwrap();
        assert!(!text.contains('\n'));
        for part in
            [r#""signal":9"#, r#""exit_code":null"#, r#""way":"preload""#, r#""lost_records":0"#]
        {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}
