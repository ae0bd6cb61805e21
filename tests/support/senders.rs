//! Senders that push numbered lines to a receiver at full speed and know what was acknowledged.
//!
//! Each is a source of its own that sends a batch again, the same lines under the same numbers, until it
//! is acknowledged: what it has sent has to be in a capture once, or be counted as gone.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};

use crate::support::PATIENCE;

/// Numbers that look random and are the same in each run.
pub(crate) struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// The next number below a limit.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A receiver whose address is known as soon as it takes pushes. It is killed when it is forgotten.
pub(crate) struct Receiver {
    child: Child,
    said: Option<BufReader<std::process::ChildStderr>>,
    /// The port that it listens on.
    pub(crate) port: u16,
}

impl Receiver {
    /// Starts it and waits until it says where it listens. The command must ask for port 0.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the receiver");
        let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("a line");
        let address = line.split(' ').find_map(|word| word.strip_prefix("http://127.0.0.1:"));
        let port = address.and_then(|port| port.trim().parse().ok());
        let port = port.unwrap_or_else(|| panic!("the receiver says no address: {line}"));
        Self { child, said: Some(said), port }
    }

    /// Its process.
    pub(crate) fn process(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Ends it with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop, waits until it has, and gives what it said.
    pub(crate) fn stop(mut self) -> String {
        rustix::process::kill_process(self.process(), Signal::TERM).expect("it runs");
        let mut said = String::new();
        if let Some(mut from) = self.said.take() {
            from.read_to_string(&mut said).expect("its last words");
        }
        assert!(self.child.wait().expect("it ends").success(), "{said}");
        said
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // It has ended already where all went well.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// One source of lines.
pub(crate) struct Sender {
    /// Its number, which is also its label `app`.
    pub(crate) number: u64,
    /// The number of its last acknowledged line.
    pub(crate) acknowledged: u64,
    /// The number of the last line that it has ever sent.
    pub(crate) sent: u64,
    /// Pushes that were not taken for want of room.
    pub(crate) refused: u64,
    random: Random,
}

impl Sender {
    /// A source that has sent nothing.
    pub(crate) fn new(number: u64, seed: u64) -> Self {
        let random = Random::new(seed.wrapping_mul(1_000).wrapping_add(number));
        Self { number, acknowledged: 0, sent: 0, refused: 0, random }
    }

    /// Pushes batch after batch until `enough` says so or the receiver is gone; `taken` is told each time
    /// that one is acknowledged.
    pub(crate) fn push_until(
        &mut self,
        port: u16,
        enough: impl Fn(&Self) -> bool,
        taken: impl Fn(),
    ) {
        let Ok(mut connection) = TcpStream::connect(("127.0.0.1", port)) else { return };
        connection.set_read_timeout(Some(PATIENCE)).expect("a socket takes a limit");
        connection.set_nodelay(true).expect("a socket option");
        let mut answers = BufReader::new(connection.try_clone().expect("a socket"));
        while !enough(self) {
            if self.sent == self.acknowledged {
                self.sent += 1 + self.random.below(400);
            }
            let body = self.body();
            let head = format!(
                "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                 X-Logtap-Source: {:032x}\r\nX-Logtap-Lines: {}-{}\r\nContent-Length: {}\r\n\r\n",
                self.number,
                self.acknowledged + 1,
                self.sent,
                body.len()
            );
            let written = connection
                .write_all(head.as_bytes())
                .and_then(|()| connection.write_all(body.as_bytes()));
            if written.is_err() {
                return;
            }
            match status(&mut answers) {
                None => return,
                Some(204) => {
                    self.acknowledged = self.sent;
                    taken();
                }
                Some(429) => self.refused += 1,
                Some(other) => panic!("answered {other}"),
            }
        }
    }

    /// The lines that are not acknowledged yet; the same text for the same number, whenever it is asked.
    fn body(&self) -> String {
        let values: Vec<String> = (self.acknowledged + 1..=self.sent)
            .map(|number| format!("[\"{number}\",\"{}\"]", text(self.number, number)))
            .collect();
        format!(
            "{{\"streams\":[{{\"stream\":{{\"app\":\"{}\"}},\"values\":[{}]}}]}}",
            self.number,
            values.join(",")
        )
    }
}

/// Line `number` of a source: every second source is what no compressor can make much of.
pub(crate) fn text(source: u64, number: u64) -> String {
    let mut random = Random::new(number.wrapping_mul(31).wrapping_add(source));
    let length = 20 + random.below(180);
    let noise = (0..length).map(|place| match source % 2 {
        0 => char::from(b'a' + (place % 7) as u8),
        _ => char::from(b'0' + random.below(64) as u8).to_ascii_lowercase(),
    });
    let noise: String = noise.map(|letter| if letter == '\\' { '/' } else { letter }).collect();
    format!("{number} {noise}")
}

/// The status of the next answer; `None` if the connection ends first.
fn status(answers: &mut impl std::io::BufRead) -> Option<u16> {
    let mut line = String::new();
    answers.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut length = 0_u64;
    while line != "\r\n" {
        line.clear();
        answers.read_line(&mut line).ok().filter(|length| *length > 0)?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    std::io::copy(&mut answers.take(length), &mut std::io::sink()).ok()?;
    Some(status)
}
