//! Keys, pasted text and the mouse, read in a thread of its own.
//!
//! The library that takes escape sequences apart may wait for the rest of one, or for a terminal that
//! has hung up. In its own thread that cannot keep the receiver from ending. It is built to poll the
//! terminal anew each time, because its usual way forgets keys that come together with a new size.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossterm::event::{self, Event};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Events that wait to be taken.
const MAX_WAITING: usize = 1024;
/// How often the thread looks whether it is to stop.
const STEP: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// How long to wait for the rest of what is being typed; it reads nothing in no time.
const READ_TIME: Duration = Duration::from_millis(2);
/// How long it may take to stop.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is typed.
pub(crate) struct Input {
    /// input thread --what was typed--> the screen's loop
    events_rx: Option<Receiver<Event>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// What came, if anything did.
pub(crate) enum Typed {
    Event(Event),
    Nothing,
    /// The terminal is gone.
    Gone,
}

impl Input {
    /// Starts to read from the terminal that stdin is.
    pub(crate) fn start() -> io::Result<Self> {
        let (events_tx, events_rx) = sync_channel(MAX_WAITING);
        let stop = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("input".to_owned())
            // An error means the same as the end: there is nobody who types.
            .spawn(move || drop(read(&events_tx, &theirs)))?;
        Ok(Self { events_rx: Some(events_rx), stop, thread })
    }

    /// Waits for something.
    pub(crate) fn next(&self, wait: Duration) -> Typed {
        match self.events_rx.as_ref().map(|events_rx| events_rx.recv_timeout(wait)) {
            Some(Ok(event)) => Typed::Event(event),
            Some(Err(RecvTimeoutError::Timeout)) => Typed::Nothing,
            Some(Err(RecvTimeoutError::Disconnected)) | None => Typed::Gone,
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.events_rx = None;
        // What is typed from now on is for the shell.
        let end = Instant::now() + PATIENCE;
        while !self.thread.is_finished() && Instant::now() < end {
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}

fn read(events_tx: &SyncSender<Event>, stop: &AtomicBool) -> io::Result<()> {
    let stdin = io::stdin();
    while !stop.load(Ordering::Relaxed) {
        let mut terminal = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut terminal, Some(&STEP)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        if is_hung_up(&terminal) {
            return Ok(());
        }
        while event::poll(READ_TIME)? {
            if events_tx.send(event::read()?).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn is_hung_up(terminal: &[PollFd<'_>]) -> bool {
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    terminal.iter().any(|terminal| terminal.revents().intersects(gone))
}

/// Whether the terminal that stdin was is gone.
pub(crate) fn is_gone() -> bool {
    let stdin = io::stdin();
    let stdin = stdin.as_fd();
    let mut terminal = [PollFd::new(&stdin, PollFlags::IN)];
    poll(&mut terminal, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok() && is_hung_up(&terminal)
}
