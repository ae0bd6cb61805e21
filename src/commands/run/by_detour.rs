//! A run without the library: pipes or pseudo-terminals in between, files followed as they grow.

use std::env;
use std::os::fd::{AsFd, OwnedFd};

use logtap_capture::Timestamp;
use logtap_collector::FeederStream;
use logtap_wire::identity::{Recognise, Streams};
use logtap_wire::ring::StreamKind;

use super::fallback::{Copier, Detour, Kind, Leftover, Listener};
use super::follow_thread::{FedFiles, FollowThread, Troubles};
use super::live::Live;
use super::receiver::Receiver;
use super::settings::Settings;
use super::spawn::{Plan, Signals, spawn};
use super::summary::Way;
use super::target::{Target, not_started};
use super::wait::{Rest, linger, supervise};
use crate::error::{CommandError, Kind as Failure};
use crate::exit::Exit;

/// How a run by detour went.
pub(crate) struct Ran {
    pub(crate) ending: Exit,
    pub(crate) way: Way,
    /// Streams that somebody can still write to.
    pub(crate) leftovers: Vec<Leftover>,
    /// What to tell of followed files.
    pub(crate) troubles: Troubles,
}

/// Runs the command to its end and until nobody holds its streams, within the time to linger.
pub(crate) fn run(
    settings: &Settings,
    target: &Target,
    signals: &Signals,
    streams: Streams,
    receiver: &Receiver,
) -> Result<Ran, CommandError> {
    let failed = |error| CommandError::new(Failure::Run, error);
    let is_open = |stream| stream != Recognise::Never;
    let around =
        |descriptor: std::os::fd::BorrowedFd<'_>| Detour::around(descriptor).map_err(failed);
    // Where both streams are one, one detour keeps their order; nothing tells them apart then.
    let joined = settings.stdout && settings.stderr && streams.are_one();
    let mut stdout = match settings.stdout && is_open(streams.stdout) {
        true => Some(around(std::io::stdout().as_fd())?),
        false => None,
    };
    let mut stderr = match settings.stderr && is_open(streams.stderr) && !joined {
        true => Some(around(std::io::stderr().as_fd())?),
        false => None,
    };
    let outlet = |detour: &mut Option<Detour>| detour.as_mut().and_then(Detour::take_outlet);
    let stdout_outlet = outlet(&mut stdout);
    let stderr_outlet = match (&stdout_outlet, joined) {
        (Some(shared), true) => Some(shared.try_clone().map_err(failed)?),
        _ => outlet(&mut stderr),
    };
    let through_terminal =
        [&stdout, &stderr].into_iter().flatten().any(|detour| detour.kind() == Kind::Terminal);

    let files = match settings.files.is_empty() {
        true => None,
        false => Some(FedFiles::new(&settings.files, receiver.opener())),
    };
    let mut live = Live::new(settings, &streams);
    let command = start(settings, target, signals, stdout_outlet, stderr_outlet)?;
    let follower = files.map(FedFiles::start).transpose().map_err(failed)?;
    let mut copiers = Vec::new();
    let suppressed = &settings.suppressed;
    for (detour, kind, silent) in [
        (stdout, StreamKind::Stdout, suppressed.stdout),
        (stderr, StreamKind::Stderr, suppressed.stderr),
    ] {
        if let Some(detour) = detour {
            let listener = listener(receiver, kind, &target.path.display().to_string());
            copiers.push(detour.copy(silent, listener).map_err(failed)?);
        }
    }

    let ending = supervise(command, signals, |resized| {
        if resized {
            copiers.iter().for_each(Copier::resize);
        }
        live.tick(|| receiver.collector.counts());
        live.pause()
    });
    linger(signals, settings.linger, || match copiers.iter().all(Copier::is_finished) {
        true => Rest::Nothing,
        false => Rest::MayGrow,
    });
    live.clear();
    let leftovers = copiers.into_iter().filter_map(Copier::stop).collect();
    let troubles = follower.map_or_else(Troubles::default, FollowThread::stop);
    let way = if through_terminal { Way::Terminal } else { Way::Pipe };
    Ok(Ran { ending, way, leftovers, troubles })
}

fn start(
    settings: &Settings,
    target: &Target,
    signals: &Signals,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
) -> Result<rustix::process::Pid, CommandError> {
    let plan = Plan {
        path: &target.path,
        words: &settings.command,
        environment: env::vars_os().collect(),
        stdout,
        stderr,
    };
    spawn(plan, signals).map_err(|error| not_started(&target.path, &error))
}

fn listener(receiver: &Receiver, kind: StreamKind, executable: &str) -> Listener {
    let feeder = receiver.feeder(FeederStream {
        source: "pipe".to_owned(),
        kind,
        path: Vec::new(),
        pid: 0,
        executable: executable.to_owned(),
        labels: Vec::new(),
    });
    Box::new(move |bytes| {
        if let Some(feeder) = &feeder {
            let _collector_stopped = feeder.write(bytes, Timestamp::now().0);
        }
    })
}
