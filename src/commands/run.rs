//! `logtap run`: one command taps a program into a capture.
//!
//! Everything that can be known is checked before the command starts; from then on the command
//! decides how `run` ends. Its own failures are 125, 126 and 127.

mod by_detour;
mod by_library;
mod capture_sink;
mod descendants;
mod fallback;
mod follow;
mod follow_thread;
mod followed;
pub(crate) mod keep;
mod live;
mod preload;
pub(crate) mod receiver;
mod settings;
mod spawn;
mod summary;
mod summary_file;
mod target;
mod uncovered;
mod wait;

use std::time::Instant;

pub(crate) use capture_sink::{CaptureSink, RedactingSink};
pub(crate) use fallback::{CARRY, carry};
pub(crate) use settings::RunArgs;
pub(crate) use spawn::repeat_death;

use logtap_units::show::plural;

use self::descendants::Watcher;
use self::fallback::Leftover;
use self::follow_thread::Troubles;
use self::preload::Ground;
use self::receiver::{Closed, Opened};
use self::settings::{Settings, Told};
use self::spawn::Signals;
use self::summary::{Recover, Story, Way};
use crate::commands::processes;
use crate::commands::undelivered::{self, Undelivered};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Printer;

/// Runs the command and ends as it did.
pub(crate) fn run(args: &RunArgs, printer: &mut Printer) -> Result<Exit, CommandError> {
    let settings = Settings::resolve(args).map_err(CommandError::of_run)?;
    let (ending, story) = tap(&settings).map_err(CommandError::of_run)?;
    tell(&settings, &story, printer);
    Ok(ending)
}

fn tap(settings: &Settings) -> Result<(Exit, Story), CommandError> {
    let target = target::find(&settings.command)?;
    // Every thread that is started from here on has these signals blocked.
    let signals = Signals::take_over().map_err(CommandError::caused)?;
    let destination = Opened::open(settings)?;
    let _without_it_orphans_go_to_init =
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let streams = preload::streams();
    if settings.told == Told::Text
        && let Some(notice) = undelivered::notice()
    {
        Printer::new().note(format_args!("logtap: {notice}"));
    }
    let ground = Ground::prepare()?;
    ground.own(&destination.owner).map_err(CommandError::caused)?;
    let receiver = destination.start(settings, &ground.tap_directory, ground.mode)?;
    let obstacle = target.obstacle.clone().or_else(|| ground.obstacle.clone());

    let started = Instant::now();
    let (mut leftovers, mut troubles) = (Vec::new(), Troubles::default());
    let ran = match &obstacle {
        None => by_library::run(settings, &target, &signals, streams, &ground, &receiver).map(
            |(ending, watcher, told)| {
                troubles = told;
                (ending, Way::Preload, Some(watcher))
            },
        ),
        Some(_) => by_detour::run(settings, &target, &signals, streams, &receiver).map(|ran| {
            leftovers = ran.leftovers;
            troubles = ran.troubles;
            (ran.ending, ran.way, None)
        }),
    };
    let (ending, way, watcher) = match ran {
        Ok(ran) => ran,
        Err(error) => {
            receiver.abandon();
            ground.is_delivered().map_err(CommandError::caused)?;
            drop(ground.give_up());
            return Err(error);
        }
    };
    let still_running = processes::living_descendants();
    let carried =
        leftovers.into_iter().map(Leftover::carry_on).collect::<std::io::Result<Vec<_>>>();
    let closed = receiver.close();
    let left = if closed.is_whole() { None } else { ground.undelivered() };
    if left.is_none()
        && let Err(error) = ground.is_delivered()
    {
        troubles.notes.push(format!("what is left in shared memory stays there: {error}"));
    }
    let seconds = started.elapsed().as_secs_f64();
    let kept = ground.give_up();
    let mut story = story(settings, closed, watcher, left);
    story.way = way;
    story.reason = obstacle;
    story.seconds = seconds;
    story.still_running = still_running;
    story.kept = kept;
    story.truncations = troubles.truncations;
    story.notes.append(&mut troubles.notes);
    if let Err(error) = carried {
        story.notes.push(format!("what they write now fails, for nobody carries it on: {error}"));
    }
    Ok((ending, story.ended(ending)))
}

/// Puts everything together that somebody may want to know.
fn story(
    settings: &Settings,
    closed: Closed,
    watcher: Option<Watcher>,
    left: Option<Undelivered>,
) -> Story {
    let Closed { summary, capture, address, kept, trouble } = closed;
    let recover = Recover::all(&kept, left);
    let undelivered_lines = summary.undelivered_lines + kept.undelivered;
    let refused_lines = summary.counts.refused_lines;
    let mut total = summary.counts.totals;
    total.lost_records = total.lost_records.saturating_add(summary.counts.unringed_lost_records);
    total.lost_bytes = total.lost_bytes.saturating_add(summary.counts.unringed_lost_bytes);
    let unreached = watcher.map_or_else(Vec::new, |mut watcher| {
        watcher.report_all(&summary.programs);
        watcher.finish()
    });
    let mut notes: Vec<_> = trouble.into_iter().collect();
    notes.extend(kept.trouble.map(|error| format!("not all of that could be kept: {error}")));
    notes.extend(uncovered::notes(&summary.rings));
    if summary.counts.corrupt_counters > 0 {
        let corrupt = plural(summary.counts.corrupt_counters, "counter");
        notes.push(format!(
            "{corrupt} of losses in the tap directory cannot be true and not added up: somebody else writes there"
        ));
    }
    for hostile in &summary.hostile {
        notes.push(format!("ignored `{}` in the tap directory: {}", hostile.name, hostile.reason));
    }
    Story {
        command: settings.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        way: Way::Preload,
        reason: None,
        exit_code: None,
        signal: None,
        seconds: 0.0,
        capture,
        pushed_to: address,
        total,
        streams: summary.streams,
        redactions: settings
            .redactor
            .counts()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect(),
        collapsed_states: summary.counts.collapsed_states,
        truncations: 0,
        undelivered_lines,
        refused_lines,
        last_error: kept
            .last_error
            .or(summary.last_error)
            .filter(|_| undelivered_lines + refused_lines > 0),
        recover,
        unreached,
        still_running: 0,
        kept: Vec::new(),
        notes,
    }
}

/// Tells the story. The command's ending stands, whatever becomes of it.
fn tell(settings: &Settings, story: &Story, printer: &Printer) {
    if let Some(file) = &settings.summary_file {
        let written = serde_json::to_string_pretty(story)
            .map_err(std::io::Error::from)
            .and_then(|text| file.write(&(text + "\n")));
        if let Err(error) = written {
            printer.note(format_args!("logtap: failed to write the summary to {file}: {error}"));
        }
    }
    match settings.told {
        Told::Nothing => {}
        Told::Text => printer.note(story.text()),
        Told::Json => match serde_json::to_string(story) {
            Ok(text) => printer.note(text),
            Err(error) => printer.note(format_args!("logtap: failed to make the summary: {error}")),
        },
    }
}
