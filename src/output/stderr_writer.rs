//! Notes for a person whom nobody may wait for: a thread writes them, what it cannot write is counted and told.
//!
//! A pipe that nobody reads takes a few notes and then nothing, for ever. Who serves others meanwhile hands its notes
//! over here. It never waits but at its end, and there only as long as notes still get away.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Notes that wait to be written; further ones are left out.
const QUEUE: usize = 256;
/// Bytes of one note; longer ones are cut.
const MAX_BYTES: usize = 16 << 10;
/// How long the end waits for an output that says that it takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the end waits for an output that says that it takes something, and takes nothing.
const LONG_PATIENCE: Duration = Duration::from_secs(20);
/// How often the end looks.
const STEP: Duration = Duration::from_millis(50);

/// Where notes are handed over. Its drop waits until they are written, or cannot be.
pub(crate) struct StderrWriter {
    /// whoever notes --notes--> the thread that writes
    notes_tx: Option<SyncSender<Note>>,
    /// Nothing comes: it is closed when all is written.
    written_rx: Receiver<()>,
    progress: Arc<Progress>,
    /// Whether the output takes something now.
    is_open: fn() -> bool,
}

struct Note {
    /// Notes that were left out just before this one.
    left_out: u64,
    text: String,
}

#[derive(Default)]
struct Progress {
    left_out: AtomicU64,
    written: AtomicU64,
}

impl StderrWriter {
    /// Writes notes to stderr from now on.
    pub(crate) fn start() -> io::Result<Self> {
        Self::on(io::stderr(), stderr_is_open)
    }

    fn on(output: impl Write + Send + 'static, is_open: fn() -> bool) -> io::Result<Self> {
        let (notes_tx, notes_rx) = sync_channel(QUEUE);
        let (done_tx, written_rx) = sync_channel(0);
        let progress = Arc::new(Progress::default());
        let shared = Arc::clone(&progress);
        thread::Builder::new().name("logtap-notes".to_owned()).spawn(move || {
            write(output, &notes_rx, &shared);
            drop(done_tx);
        })?;
        Ok(Self { notes_tx: Some(notes_tx), written_rx, progress, is_open })
    }

    /// Hands one over, with its end of line. Never waits.
    pub(crate) fn put(&self, mut text: String) {
        if text.len() > MAX_BYTES {
            text.truncate(text.floor_char_boundary(MAX_BYTES));
            text.push_str("...\n");
        }
        let left_out = self.progress.left_out.swap(0, Ordering::Relaxed);
        let Some(notes) = &self.notes_tx else { return };
        match notes.try_send(Note { left_out, text }) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.progress.left_out.fetch_add(left_out + 1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for StderrWriter {
    fn drop(&mut self) {
        self.notes_tx = None;
        let mut seen = self.progress.written.load(Ordering::Relaxed);
        let (mut moved, mut open) = (Instant::now(), Instant::now());
        while self.written_rx.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout) {
            let (written, now) = (self.progress.written.load(Ordering::Relaxed), Instant::now());
            if std::mem::replace(&mut seen, written) != written {
                (moved, open) = (now, now);
            }
            // An output that would take something waits for our thread, which may wait for a processor.
            if (self.is_open)() {
                open = now;
            }
            if now - open >= PATIENCE || now - moved >= LONG_PATIENCE {
                return;
            }
        }
    }
}

/// Writes notes as they come, until no more can come. Where one cannot be written there is nobody to tell.
fn write(mut output: impl Write, notes_rx: &Receiver<Note>, progress: &Progress) {
    let mut put = |text: String| {
        let _written = output.write_all(text.as_bytes());
        progress.written.fetch_add(1, Ordering::Relaxed);
    };
    let told = |count: u64| {
        format!("logtap: warning: notes left out because nobody read them here: {count}\n")
    };
    for Note { left_out, text } in notes_rx {
        if left_out > 0 {
            put(told(left_out));
        }
        put(text);
    }
    let left_out = progress.left_out.swap(0, Ordering::Relaxed);
    if left_out > 0 {
        put(told(left_out));
    }
}

/// Whether writing to stderr gets on: it takes something, or fails at once.
fn stderr_is_open() -> bool {
    let stderr = io::stderr();
    let mut events = [PollFd::new(&stderr, PollFlags::OUT)];
    poll(&mut events, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Takes one note for each permission.
    struct Gate {
        entered_tx: Sender<String>,
        permissions_rx: Receiver<()>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8(bytes.to_vec()).expect("text");
            self.entered_tx.send(text).expect("the test reads");
            self.permissions_rx.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gate() -> (Gate, Receiver<String>, Sender<()>) {
        let (entered_tx, entered_rx) = channel();
        let (permissions_tx, permissions_rx) = channel();
        (Gate { entered_tx, permissions_rx }, entered_rx, permissions_tx)
    }

    #[test]
    fn what_finds_no_room_is_counted_and_told_at_its_place() {
        let (gate, entered_rx, permissions_tx) = gate();
        let notes = StderrWriter::on(gate, || true).expect("a thread");
        notes.put("first\n".to_owned());
        assert_eq!(entered_rx.recv_timeout(LONG).expect("it is written"), "first\n");
        for number in 0..QUEUE + 3 {
            notes.put(format!("{number}\n"));
        }
        // One goes out, the next one is taken: there is room for one more.
        permissions_tx.send(()).expect("a gate");
        assert_eq!(entered_rx.recv_timeout(LONG).expect("it is written"), "0\n");
        notes.put("last\n".to_owned());
        notes.put("too late\n".to_owned());
        for _ in 0..QUEUE + 10 {
            permissions_tx.send(()).expect("a gate");
        }
        drop(notes);
        let mut expected: Vec<_> = (1..QUEUE).map(|number| format!("{number}\n")).collect();
        let told = |count| {
            format!("logtap: warning: notes left out because nobody read them here: {count}\n")
        };
        expected.extend([told(3), "last\n".to_owned(), told(1)]);
        for text in expected {
            assert_eq!(entered_rx.recv_timeout(LONG).expect("it is written"), text);
        }
    }

    #[test]
    fn an_output_that_takes_nothing_does_not_hold_up_the_end() {
        let (gate, entered_rx, permissions_tx) = gate();
        let notes = StderrWriter::on(gate, || false).expect("a thread");
        notes.put("first\n".to_owned());
        notes.put("second\n".to_owned());
        assert_eq!(entered_rx.recv_timeout(LONG).expect("it is written"), "first\n");
        drop(notes);
        assert!(entered_rx.try_recv().is_err(), "it was not waited for");
        drop(permissions_tx);
    }

    #[test]
    fn a_long_note_is_cut() {
        let (gate, entered_rx, permissions_tx) = gate();
        let notes = StderrWriter::on(gate, || true).expect("a thread");
        notes.put("é".repeat(MAX_BYTES));
        let text = entered_rx.recv_timeout(LONG).expect("it is written");
        assert!(text.len() <= MAX_BYTES + 4 && text.ends_with("é...\n"));
        drop(permissions_tx);
        drop(notes);
    }
}
