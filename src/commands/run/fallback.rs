//! The way for programs that cannot be preloaded: a pipe or a pseudo-terminal in between.
//!
//! What the program writes is copied on to where it would have gone, then handed to a listener:
//! like the library, the listener hears only what was really written. Where the original was a
//! terminal the program gets one too, one for each stream, so that the two can be told apart.

use std::env;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::{InputModes, LocalModes, OptionalActions, OutputModes};

/// Bytes copied at once; a pipe holds as many.
const CHUNK: usize = 64 << 10;

/// The word by which this program calls itself to copy on.
pub(crate) const CARRY: &str = "carry-on-after-run";

/// Hears what was written, piece by piece.
pub(crate) type Listener = Box<dyn FnMut(&[u8]) + Send>;

/// A stream that goes through us.
pub(crate) struct Detour {
    /// What the program gets.
    outlet: Option<OwnedFd>,
    inlet: OwnedFd,
    original: OwnedFd,
    kind: Kind,
}

/// What is in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A pipe.
    Pipe,
    /// A pseudo-terminal.
    Terminal,
}

/// A thread that copies.
pub(crate) struct Copier {
    thread: JoinHandle<Option<Leftover>>,
    stop: OwnedFd,
    terminal: Option<Terminals>,
}

/// A stream that somebody can still write to when we end.
pub(crate) struct Leftover {
    inlet: OwnedFd,
    original: OwnedFd,
}

struct Terminals {
    ours: OwnedFd,
    original: OwnedFd,
}

impl Detour {
    /// Prepares the way for a stream that would have gone to `original`.
    pub(crate) fn around(original: BorrowedFd<'_>) -> io::Result<Self> {
        let is_terminal = rustix::termios::isatty(original);
        let (inlet, outlet) = if is_terminal { terminal_like(original)? } else { pipe()? };
        Ok(Self {
            outlet: Some(outlet),
            inlet,
            original: original.try_clone_to_owned()?,
            kind: if is_terminal { Kind::Terminal } else { Kind::Pipe },
        })
    }

    /// The end for the program. To be taken once, before [`Self::copy`].
    pub(crate) fn take_outlet(&mut self) -> Option<OwnedFd> {
        self.outlet.take()
    }

    /// What is in between.
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Copies until the program and its children have closed their end, or until stopped. With
    /// `silent` nothing reaches the original.
    pub(crate) fn copy(self, silent: bool, mut listener: Listener) -> io::Result<Copier> {
        let Self { inlet, original, kind, .. } = self;
        let terminal = match kind {
            Kind::Pipe => None,
            Kind::Terminal => {
                Some(Terminals { ours: inlet.try_clone()?, original: original.try_clone()? })
            }
        };
        let (stopped, stop) = pipe()?;
        let thread = thread::Builder::new().name("copier".into()).spawn(move || {
            let mut buffer = vec![0; CHUNK];
            loop {
                let length = match next_piece(&inlet, &stopped, &mut buffer) {
                    Next::Piece(length) => length,
                    Next::End => return None,
                    Next::Stopped if silent => return None,
                    Next::Stopped => return Some(Leftover { inlet, original }),
                };
                let piece = &buffer[..length];
                let written = if silent { length } else { write_all(original.as_fd(), piece) };
                listener(&piece[..written]);
                if written < length {
                    // The reader of the original is gone: closing our end tells the program.
                    return None;
                }
            }
        })?;
        Ok(Copier { thread, stop, terminal })
    }
}

impl Copier {
    /// Hands the size of the real terminal on.
    pub(crate) fn resize(&self) {
        if let Some(Terminals { ours, original }) = &self.terminal
            && let Ok(size) = rustix::termios::tcgetwinsize(original)
        {
            let _best_effort = rustix::termios::tcsetwinsize(ours, size);
        }
    }

    /// Whether nobody can write to the stream any more.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Copies what is there, then ends, even where processes still hold their end: then that is left.
    pub(crate) fn stop(self) -> Option<Leftover> {
        drop(self.stop);
        drop(self.terminal);
        self.thread.join().ok().flatten()
    }
}

impl Leftover {
    /// Lets a process of its own copy on, so that a daemon which was left behind can write as it could
    /// without us. It ends with the last writer.
    pub(crate) fn carry_on(self) -> io::Result<()> {
        let Self { inlet, original } = self;
        Command::new(env::current_exe()?)
            .arg(CARRY)
            .stdin(Stdio::from(inlet))
            .stdout(Stdio::from(original))
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map(drop)
    }
}

/// Copies standard input to standard output until either ends.
pub(crate) fn carry() {
    super::spawn::unblock_signals();
    let (inlet, original) = (io::stdin(), io::stdout());
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = match rustix::io::read(&inlet, &mut *buffer) {
            Ok(0) => return,
            Ok(length) => length,
            Err(Errno::INTR) => continue,
            Err(_) => return,
        };
        if write_all(original.as_fd(), &buffer[..length]) < length {
            return;
        }
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?)
}

/// A pseudo-terminal that looks like the original to the program and changes no byte: the
/// original will do what a terminal does to output.
fn terminal_like(original: BorrowedFd<'_>) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::openpt(flags)?;
    rustix::pty::grantpt(&ours)?;
    rustix::pty::unlockpt(&ours)?;
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
    let mut modes = rustix::termios::tcgetattr(original)?;
    modes.output_modes.remove(OutputModes::OPOST);
    modes.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG | LocalModes::TOSTOP);
    modes.input_modes.remove(InputModes::IXON);
    rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &modes)?;
    if let Ok(size) = rustix::termios::tcgetwinsize(original) {
        rustix::termios::tcsetwinsize(&ours, size)?;
    }
    Ok((ours, theirs))
}

/// What comes next of a stream.
enum Next {
    /// So many bytes.
    Piece(usize),
    /// Nothing, ever.
    End,
    /// Nothing now, and we are to stop.
    Stopped,
}

fn next_piece(inlet: &OwnedFd, stopped: &OwnedFd, buffer: &mut [u8]) -> Next {
    loop {
        let mut waited = [PollFd::new(inlet, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match rustix::event::poll(&mut waited, None) {
            Err(Errno::INTR) => continue,
            Err(_) => return Next::End,
            Ok(_) => {}
        }
        if waited[0].revents().contains(PollFlags::IN) {
            match rustix::io::read(inlet, &mut *buffer) {
                Ok(0) => return Next::End,
                Ok(length) => return Next::Piece(length),
                Err(Errno::INTR | Errno::AGAIN) => {}
                // A pseudo-terminal ends with EIO.
                Err(_) => return Next::End,
            }
        } else if !waited[0].revents().is_empty() {
            return Next::End;
        } else if !waited[1].revents().is_empty() {
            return Next::Stopped;
        }
    }
}

/// Writes all of a piece; how much of it was written.
fn write_all(original: BorrowedFd<'_>, piece: &[u8]) -> usize {
    let mut written = 0;
    while written < piece.len() {
        match rustix::io::write(original, &piece[written..]) {
            Ok(length) => written += length,
            Err(Errno::INTR) => {}
            // The original may be set to non-blocking by whoever shares it.
            Err(Errno::AGAIN) => wait_for_room(original),
            Err(_) => break,
        }
    }
    written
}

fn wait_for_room(original: BorrowedFd<'_>) {
    let limit = Timespec::try_from(Duration::from_secs(1)).ok();
    let mut waited = [PollFd::from_borrowed_fd(original, PollFlags::OUT)];
    let _tried_again_anyway = rustix::event::poll(&mut waited, limit.as_ref());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::sync::{Arc, Mutex};

    fn recorder() -> (Arc<Mutex<Vec<u8>>>, Listener) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let copy = Arc::clone(&heard);
        (heard, Box::new(move |piece| copy.lock().unwrap().extend_from_slice(piece)))
    }

    #[test]
    fn a_pipe_hands_on_every_byte_and_tells_the_listener() {
        let (mut reader, original) = io::pipe().unwrap();
        let mut detour = Detour::around(original.as_fd()).unwrap();
        drop(original);
        assert_eq!(detour.kind(), Kind::Pipe);
        let mut program = File::from(detour.take_outlet().unwrap());
        let (heard, listener) = recorder();
        let copier = detour.copy(false, listener).unwrap();
        let written: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let expected = written.clone();
        let writer = thread::spawn(move || program.write_all(&written).unwrap());
        let mut arrived = vec![0; expected.len()];
        reader.read_exact(&mut arrived).unwrap();
        writer.join().unwrap();
        copier.stop();
        assert!(arrived == expected && *heard.lock().unwrap() == expected);
    }

    #[test]
    fn a_stop_copies_what_is_there_though_somebody_could_still_write() {
        let (mut reader, original) = io::pipe().unwrap();
        let mut detour = Detour::around(original.as_fd()).unwrap();
        drop(original);
        let mut program = File::from(detour.take_outlet().unwrap());
        program.write_all(b"last words").unwrap();
        let (heard, listener) = recorder();
        assert!(detour.copy(false, listener).unwrap().stop().is_some());
        let mut arrived = String::new();
        reader.read_to_string(&mut arrived).unwrap();
        assert_eq!(
            (arrived.as_str(), heard.lock().unwrap().as_slice()),
            ("last words", &b"last words"[..])
        );
        drop(program);
    }

    #[test]
    fn when_the_reader_is_gone_the_program_is_told() {
        let (reader, original) = io::pipe().unwrap();
        drop(reader);
        let mut detour = Detour::around(original.as_fd()).unwrap();
        let mut program = File::from(detour.take_outlet().unwrap());
        let (heard, listener) = recorder();
        let copier = detour.copy(false, listener).unwrap();
        let refused = loop {
            if let Err(error) = program.write_all(b"more") {
                break error;
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
        copier.stop();
        assert!(heard.lock().unwrap().is_empty());
    }

    #[test]
    fn a_terminal_stays_a_terminal_of_the_same_size_and_changes_no_byte() {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let screen = rustix::pty::openpt(flags).unwrap();
        rustix::pty::unlockpt(&screen).unwrap();
        let original = rustix::pty::ioctl_tiocgptpeer(&screen, flags).unwrap();
        let size = rustix::termios::Winsize { ws_row: 33, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&screen, size).unwrap();

        let mut detour = Detour::around(original.as_fd()).unwrap();
        assert_eq!(detour.kind(), Kind::Terminal);
        let outlet = detour.take_outlet().unwrap();
        assert!(rustix::termios::isatty(&outlet));
        assert_eq!(rustix::termios::tcgetwinsize(&outlet).unwrap(), size);
        let mut program = File::from(outlet);
        let (heard, listener) = recorder();
        let copier = detour.copy(false, listener).unwrap();
        program.write_all(b"one\ntwo\n").unwrap();
        let wider = rustix::termios::Winsize { ws_col: 99, ..size };
        rustix::termios::tcsetwinsize(&screen, wider).unwrap();
        copier.resize();
        assert_eq!(rustix::termios::tcgetwinsize(&program).unwrap(), wider);
        drop(program);
        copier.stop();
        assert_eq!(*heard.lock().unwrap(), b"one\ntwo\n");
        let mut arrived = [0; 10];
        File::from(screen).read_exact(&mut arrived).unwrap();
        assert_eq!(&arrived, b"one\r\ntwo\r\n");
    }
}
