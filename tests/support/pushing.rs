//! Requests to a receiver over a plain socket, as a client that shares no code with it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::PATIENCE;

/// An answer of a receiver.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its headers, in small letters.
    pub(crate) head: String,
    /// Its body.
    pub(crate) body: String,
}

/// One request on a connection of its own.
pub(crate) fn request(port: u16, method: &str, path: &str, body: &[u8]) -> Answer {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("the receiver listens");
    connection.set_read_timeout(Some(PATIENCE)).expect("a socket takes a limit");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).expect("the receiver reads");
    connection.write_all(body).expect("the receiver reads");
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).expect("the receiver answers");
    let text = String::from_utf8(answer).expect("answers are text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// The value of a metric that has no labels, or with them as they are written.
pub(crate) fn metric(port: u16, name: &str) -> u64 {
    let text = request(port, "GET", "/metrics", b"").body;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// Pushes lines of one stream `app=test`, numbered from a time.
pub(crate) fn push(port: u16, from: u64, lines: &[&str]) -> Answer {
    let values: Vec<_> =
        (from..).zip(lines).map(|(time, line)| [time.to_string(), (*line).to_owned()]).collect();
    let body = serde_json::json!({"streams": [{"stream": {"app": "test"}, "values": values}]});
    request(port, "POST", "/loki/api/v1/push", body.to_string().as_bytes())
}
