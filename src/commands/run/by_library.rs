//! A run by the usual way: the library in the command, rings between it and the collector.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use logtap_wire::identity::Streams;
use logtap_wire::pattern;

use super::descendants::Watcher;
use super::follow_thread::{FedFiles, Troubles};
use super::live::Live;
use super::preload::Ground;
use super::receiver::Receiver;
use super::settings::Settings;
use super::spawn::{Plan, Signals, spawn};
use super::target::{Target, not_started};
use super::wait::{Rest, linger, supervise};
use crate::commands::processes;
use crate::error::CommandError;
use crate::exit::Exit;

/// Runs the command to its end and until no ring is held, within the time to linger. With what to tell of
/// followed files.
pub(crate) fn run(
    settings: &Settings,
    target: &Target,
    signals: &Signals,
    streams: Streams,
    ground: &Ground,
    receiver: &Receiver,
) -> Result<(Exit, Watcher, Troubles), CommandError> {
    let files =
        (!settings.files.is_empty()).then(|| FedFiles::new(&settings.files, receiver.opener()));
    let mut watcher = Watcher::new(&ground.library, streams);
    let mut live = Live::new(settings, &streams);
    let plan = Plan {
        path: &target.path,
        words: &settings.command,
        environment: ground.environment(settings, streams),
        stdout: None,
        stderr: None,
    };
    let command = spawn(plan, signals).map_err(|error| not_started(&target.path, &error))?;

    let ending = supervise(command, signals, |_| {
        live.tick(|| receiver.collector.counts());
        watcher.tick()
    });
    watcher.look();
    linger(signals, settings.linger, || {
        if receiver.collector.is_quiet() {
            Rest::Nothing
        } else if processes::living_descendants() == 0 && !receiver.collector.is_failing() {
            Rest::OnItsWay
        } else {
            Rest::MayGrow
        }
    });
    live.clear();
    let mut troubles = Troubles::default();
    if let Some(mut files) = files {
        // Only if there was a program without the library: others may write to the same files.
        watcher.report_all(&receiver.collector.programs());
        if watcher.found_any() {
            let tapped = receiver.collector.tapped_files();
            files.look(|path| is_tapped(path, &settings.files, &tapped));
            troubles = files.troubles();
        }
    }
    Ok((ending, watcher, troubles))
}

/// Whether what was written to a file came through rings, as far as paths tell: then so did what was
/// written to all files of its pattern, which are one log before and after a rotation.
fn is_tapped(path: &Path, patterns: &[u8], tapped: &BTreeSet<Vec<u8>>) -> bool {
    let path = path.as_os_str().as_bytes();
    pattern::split(patterns)
        .filter(|one| pattern::matches(one, path))
        .any(|one| tapped.iter().any(|tapped| pattern::matches(one, tapped)))
}
