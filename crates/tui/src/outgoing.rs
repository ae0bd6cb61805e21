//! What is on its way to the terminal, which may take nothing for a while, or never again: stopped by a key, a
//! multiplexer that hangs, a link that is dead.
//!
//! Nobody waits for it longer than a moment: signals and keys are looked at whatever the terminal does.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

/// Bytes at a time where a terminal that takes a part of them would be waited for.
const SMALL: usize = 128;

/// Bytes that wait, to be written to from several places.
#[derive(Clone, Default)]
pub(crate) struct Waiting(Arc<Mutex<Vec<u8>>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Throws away what waits.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }
}

impl Write for Waiting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The terminal's end of it.
pub(crate) struct Outgoing {
    terminal: File,
    /// Whether a write never waits.
    is_free: bool,
    pub(crate) waiting: Waiting,
}

impl Outgoing {
    /// To the terminal that stdout is.
    pub(crate) fn to_stdout() -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        options.write(true).custom_flags(flags.bits().cast_signed());
        // Opened anew: the shell and others share the one that is there, and must not find it changed.
        let (terminal, is_free) = match options.open("/proc/self/fd/1") {
            Ok(terminal) => (terminal, true),
            // Not this user's, or nothing is mounted there.
            Err(_) => (io::stdout().as_fd().try_clone_to_owned()?.into(), false),
        };
        Ok(Self { terminal, is_free, waiting: Waiting::default() })
    }

    /// Another handle of the terminal.
    pub(crate) fn terminal(&self) -> io::Result<File> {
        self.terminal.try_clone()
    }

    /// Hands over what waits, as long as the terminal takes something within `patience` and all of it within `limit`.
    /// Whether nothing waits any more.
    pub(crate) fn pass(&mut self, patience: Duration, limit: Duration) -> io::Result<bool> {
        let end = Instant::now() + limit;
        let mut waiting = self.waiting.lock();
        let mut done = 0;
        let outcome = loop {
            let rest = waiting.get(done..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(true);
            }
            let left = end.saturating_duration_since(Instant::now());
            if !is_ready(self.terminal.as_fd(), patience.min(left))? {
                break Ok(false);
            }
            let length = if self.is_free { rest.len() } else { rest.len().min(SMALL) };
            match self.terminal.write(rest.get(..length).unwrap_or_default()) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => done += taken,
                // It is asked again whether it takes something, until the time is up.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !left.is_zero() => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        waiting.drain(..done);
        outcome
    }
}

/// Waits until something can be written.
fn is_ready(terminal: BorrowedFd<'_>, patience: Duration) -> io::Result<bool> {
    let mut polled = [PollFd::new(&terminal, PollFlags::OUT)];
    let patience = Timespec {
        tv_sec: patience.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: patience.subsec_nanos().into(),
    };
    match poll(&mut polled, Some(&patience)) {
        Ok(ready) => Ok(ready > 0),
        // A signal is to be looked at.
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(10);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_a_terminal_does_not_take_waits_and_is_not_waited_for() {
        let (mut theirs, ours) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&ours, true).unwrap();
        let terminal = File::from(std::os::fd::OwnedFd::from(ours));
        let mut outgoing = Outgoing { terminal, is_free: true, waiting: Waiting::default() };
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
        outgoing.waiting.clone().write_all(&bytes).unwrap();
        assert!(!outgoing.pass(MOMENT, LONG).unwrap(), "nobody reads");
        let left = outgoing.waiting.lock().len();
        assert!(left > 0 && left < bytes.len());
        assert!(!outgoing.pass(MOMENT, Duration::ZERO).unwrap());
        let length = bytes.len();
        let reader = std::thread::spawn(move || {
            let mut read = vec![0; length];
            theirs.read_exact(&mut read).map(|()| read)
        });
        assert!(outgoing.pass(LONG, LONG).unwrap(), "somebody reads");
        assert_eq!(reader.join().unwrap().unwrap(), bytes, "in order, and nothing twice");
        assert!(outgoing.pass(LONG, LONG).is_ok_and(|done| done), "nothing waits");
        outgoing.waiting.clone().write_all(b"x").unwrap();
        assert!(outgoing.pass(LONG, LONG).is_err(), "the reader has gone");
    }
}
