//! Waits for the command as a shell's child would: its signals, its stops, its end.
//!
//! A signal from the terminal reaches the command by itself, since both are in one process group;
//! what a process sends to `logtap run` alone is handed on.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use super::spawn::{Arrived, Signals};
use crate::exit::Exit;

/// Time between two questions whether it is quiet.
const STEP: Duration = Duration::from_millis(5);

/// How long to wait for what was written and is not delivered yet, while deliveries succeed.
const DELIVERY_LIMIT: Duration = Duration::from_secs(60);

/// Waits until the command has ended. `tick` is called again and again, says how long it can wait
/// for the next time, and learns whether the terminal's size changed.
pub(crate) fn supervise(
    command: Pid,
    signals: &Signals,
    mut tick: impl FnMut(bool) -> Duration,
) -> Exit {
    let mut resized = false;
    loop {
        if let Some(ending) = reap(command) {
            return ending;
        }
        let arrived = signals.wait(tick(resized));
        resized = arrived.is_some_and(|arrived| arrived.number == libc::SIGWINCH);
        if let Some(signal) = arrived.and_then(to_hand_on) {
            let _gone = rustix::process::kill_process(command, signal);
        }
    }
}

/// What is left to be done when the command has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing.
    Nothing,
    /// Nobody can write any more; what was written is on its way.
    OnItsWay,
    /// Somebody may write more.
    MayGrow,
}

/// Waits until nothing is left: at most the time to linger for what may still be written, longer for
/// what was, and not once somebody asks us to end. Orphans of the command come to us: their ends are
/// taken and forgotten.
pub(crate) fn linger(signals: &Signals, time: Duration, rest: impl Fn() -> Rest) {
    let begun = Instant::now();
    loop {
        while let Ok(Some(_)) = rustix::process::waitpid(None, WaitOptions::NOHANG) {}
        let is_over = match rest() {
            Rest::Nothing => true,
            Rest::OnItsWay => begun.elapsed() >= time.max(DELIVERY_LIMIT),
            Rest::MayGrow => begun.elapsed() >= time,
        };
        if is_over || signals.wait(STEP).is_some_and(asks_to_end) {
            return;
        }
    }
}

fn asks_to_end(arrived: Arrived) -> bool {
    [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP].contains(&arrived.number)
}

fn reap(command: Pid) -> Option<Exit> {
    let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
    while let Ok(Some((pid, status))) = rustix::process::waitpid(None, options) {
        if pid != command {
            continue;
        }
        if let Some(ending) = ending(status) {
            return Some(ending);
        }
        if is_terminal_stop(status) {
            stop_with(command);
        }
    }
    None
}

fn ending(status: WaitStatus) -> Option<Exit> {
    if let Some(signal) = status.terminating_signal() {
        return Some(Exit::Signal(signal));
    }
    status.exit_status().map(|code| Exit::Code(u8::try_from(code & 0xff).unwrap_or(u8::MAX)))
}

/// Ctrl-Z and the like. Not SIGSTOP: who stops the command by hand does not mean the collector, and
/// continues one process only.
fn is_terminal_stop(status: WaitStatus) -> bool {
    status
        .stopping_signal()
        .is_some_and(|number| [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&number))
}

/// Stops as the command did, so that the shell sees a stopped job, and goes on with it.
fn stop_with(command: Pid) {
    let _never_fails = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
    // Only now does the shell want us to go on.
    let _gone = rustix::process::kill_process(command, Signal::CONT);
}

fn to_hand_on(arrived: Arrived) -> Option<Signal> {
    match arrived.number {
        libc::SIGTERM | libc::SIGHUP | libc::SIGUSR1 | libc::SIGUSR2 => {}
        libc::SIGINT | libc::SIGQUIT | libc::SIGTSTP if arrived.from_process => {}
        _ => return None,
    }
    Signal::from_named_raw(arrived.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_terminal_sends_is_not_sent_twice() {
        let arrived = |number, from_process| Arrived { number, from_process };
        assert_eq!(to_hand_on(arrived(libc::SIGINT, false)), None);
        assert_eq!(to_hand_on(arrived(libc::SIGINT, true)), Some(Signal::INT));
        assert_eq!(to_hand_on(arrived(libc::SIGTERM, true)), Some(Signal::TERM));
        assert_eq!(to_hand_on(arrived(libc::SIGWINCH, false)), None);
        assert_eq!(to_hand_on(arrived(libc::SIGCHLD, true)), None);
    }
}
