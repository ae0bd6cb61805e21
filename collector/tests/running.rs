//! The collector as a process of its own, so that its memory and its limits can be looked at.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::memory_sink::wait_until;

/// A collector that writes JSON lines to its standard output, and what came out of it.
pub(crate) struct Running {
    child: Child,
    out: Arc<Mutex<Out>>,
    address: String,
}

#[derive(Default)]
struct Out {
    /// The texts of lines, if they are kept.
    texts: Vec<String>,
    /// How many lines, and bytes of their texts.
    lines: u64,
    bytes: u64,
    /// Bytes of the longest text.
    longest: u64,
    log: Vec<String>,
}

impl Running {
    /// Starts it on a directory; `shell` is run by a shell before it, to set limits.
    pub(crate) fn start(tap: &Path, shell: &str, more: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{shell}\nexec \"$0\" \"$@\""));
        command.arg(env!("CARGO_BIN_EXE_logtap-collector")).arg("--tap").arg(tap);
        command.args(["--to", "-", "--listen", "127.0.0.1:0", "--batch-age", "10"]).args(more);
        Self::spawn(&mut command)
    }

    /// Runs a command that ends in a collector.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = Arc::new(Mutex::new(Out::default()));
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let lines = Arc::clone(&out);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n') {
                let line = line.unwrap();
                let text = message(&line);
                let mut out = lines.lock().unwrap();
                out.lines += 1;
                out.bytes += text.len() as u64;
                out.longest = out.longest.max(text.len() as u64);
                if text.len() < 1000 {
                    out.texts.push(String::from_utf8_lossy(text).into_owned());
                }
            }
        });
        let lines = Arc::clone(&out);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                lines.lock().unwrap().log.push(line.unwrap());
            }
        });
        let mut running = Self { child, out, address: String::new() };
        wait_until(|| {
            let log = running.log();
            let found = log.iter().find_map(|line| line.split_once("address="));
            let ended = running.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {log:?}");
            if let Some((_, address)) = found {
                address.clone_into(&mut running.address);
            }
            found.is_some()
        });
        running
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The texts of the lines so far, but for very long ones.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.out.lock().unwrap().texts.clone()
    }

    /// How many lines came so far, and how many bytes of text.
    pub(crate) fn taken(&self) -> (u64, u64) {
        let out = self.out.lock().unwrap();
        (out.lines, out.bytes)
    }

    /// The bytes of the longest text so far.
    pub(crate) fn longest(&self) -> u64 {
        self.out.lock().unwrap().longest
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.out.lock().unwrap().log.clone()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// One of its counters.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.read_to_string(&mut answer).unwrap();
        let value = answer.lines().find_map(|line| {
            line.strip_prefix("logtap_collector_")?.strip_prefix(name)?.trim().parse().ok()
        });
        value.unwrap_or_else(|| panic!("no `{name}` in {answer}"))
    }

    /// The most memory that it ever had, in KiB.
    pub(crate) fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Asks it to stop and waits for that.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "{:?}", self.log());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After a test that failed.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

/// The text of a line, for texts without escapes.
fn message(line: &[u8]) -> &[u8] {
    let start = b"\"msg\":\"";
    let Some(at) = line.windows(start.len()).position(|bytes| bytes == start) else { return &[] };
    let text = &line[at + start.len()..];
    let end = memchr::memchr(b'"', text).unwrap_or(text.len());
    &text[..end]
}
