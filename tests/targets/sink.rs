//! A sink of raw bytes in this process: takes connections, reads them when it is told to, and dies when it is told to.

use std::io::Read as _;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::running::lines;

/// A listening socket and what came over each of its connections.
pub(super) struct Sink {
    path: PathBuf,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
}

/// What came over one connection.
type Text = Arc<Mutex<Vec<u8>>>;

#[derive(Default)]
struct State {
    is_over: AtomicBool,
    is_reading: AtomicBool,
    connections: Mutex<Vec<(UnixStream, Text)>>,
}

impl Sink {
    /// Listens, and reads all that comes.
    pub(super) fn start(path: &Path) -> Self {
        let sink = Self::stuck(path);
        sink.read_on();
        sink
    }

    /// Listens, and reads nothing for now.
    pub(super) fn stuck(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let state = Arc::new(State::default());
        let accepting = {
            let state = Arc::clone(&state);
            std::thread::spawn(move || state.accept(&listener))
        };
        Self { path: path.to_owned(), state, accepting: Some(accepting) }
    }

    /// Reads from now on.
    pub(super) fn read_on(&self) {
        self.state.is_reading.store(true, Ordering::Release);
    }

    /// How many connections there were.
    pub(super) fn connections(&self) -> usize {
        self.state.connections.lock().expect("no panic").len()
    }

    /// What came over each connection.
    pub(super) fn received(&self) -> Vec<Vec<u8>> {
        let connections = self.state.connections.lock().expect("no panic");
        connections.iter().map(|(_, text)| text.lock().expect("no panic").clone()).collect()
    }

    /// All lines, connection by connection.
    pub(super) fn lines(&self) -> Vec<String> {
        let received = self.received();
        let lines = received.iter().flat_map(|text| lines(text));
        lines.map(|line| String::from_utf8(line).expect("text")).collect()
    }

    /// Waits until the lines are as they should be.
    pub(super) fn wait_for(
        &self,
        what: &str,
        mut enough: impl FnMut(&[String]) -> bool,
    ) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = self.lines();
            if enough(&lines) {
                return lines;
            }
            let last = lines.len().saturating_sub(5);
            assert!(
                Instant::now() < deadline,
                "never {what}: {} lines, the last {:?}",
                lines.len(),
                &lines[last..]
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for exactly these lines.
    pub(super) fn expect(&self, expected: &[&str]) {
        self.wait_for(&format!("{expected:?}"), |lines| lines == expected);
    }

    /// Ends, with all its connections, and takes its name away.
    pub(super) fn kill(mut self) -> Vec<Vec<u8>> {
        self.end();
        self.received()
    }

    fn end(&mut self) {
        self.state.is_over.store(true, Ordering::Release);
        std::fs::remove_file(&self.path).ok();
        if let Some(accepting) = self.accepting.take() {
            accepting.join().expect("no panic");
        }
        for (connection, _) in self.state.connections.lock().expect("no panic").iter() {
            // One that the other side has ended cannot be ended again.
            connection.shutdown(Shutdown::Both).ok();
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.end();
    }
}

impl State {
    fn accept(self: &Arc<Self>, listener: &UnixListener) {
        listener.set_nonblocking(true).expect("a socket");
        while !self.is_over.load(Ordering::Acquire) {
            let Ok((connection, _)) = listener.accept() else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            let text = Arc::new(Mutex::new(Vec::new()));
            let reader = connection.try_clone().expect("a duplicate");
            let own = (Arc::clone(self), Arc::clone(&text));
            self.connections.lock().expect("no panic").push((connection, text));
            std::thread::spawn(move || own.0.read(reader, &own.1));
        }
    }

    fn read(&self, mut connection: UnixStream, text: &Mutex<Vec<u8>>) {
        let mut block = vec![0; 64 << 10];
        loop {
            while !self.is_reading.load(Ordering::Acquire) {
                if self.is_over.load(Ordering::Acquire) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            match connection.read(&mut block) {
                Ok(0) | Err(_) => return,
                Ok(length) => text.lock().expect("no panic").extend_from_slice(&block[..length]),
            }
        }
    }
}
