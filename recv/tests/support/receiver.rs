//! A receiver of one test, and how to speak with it byte by byte.
#![allow(dead_code, reason = "not every test binary uses all of it")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use logtap_recv::{Config, Handle, Store, StoreOptions, serve};
use tempfile::TempDir;

/// A receiver of one test.
pub(crate) struct Receiver {
    pub(crate) directory: TempDir,
    pub(crate) store: Arc<Store>,
    pub(crate) server: Handle,
}

impl Receiver {
    /// Starts one on a free port.
    pub(crate) fn start(config: Config, options: StoreOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::create(directory.path(), options).unwrap());
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = serve(Config { listen, ..config }, Arc::clone(&store)).unwrap();
        Self { directory, store, server }
    }

    /// One without settings.
    pub(crate) fn plain() -> Self {
        Self::start(Config::default(), StoreOptions::default())
    }

    /// Status, headers and body of the answer to a request.
    pub(crate) fn ask(&self, head: &str, body: &[u8]) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        let head = format!("{head}\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // A server that refuses a body may close before it has all of it.
        drop(stream.write_all(body));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    /// The answer to a push.
    pub(crate) fn push(&self, headers: &str, body: &[u8]) -> (u16, String, String) {
        let length = body.len();
        let head = format!("POST /loki/api/v1/push HTTP/1.1\r\nContent-Length: {length}{headers}");
        self.ask(&head, body)
    }

    /// The answer to a question.
    pub(crate) fn get(&self, path: &str) -> (u16, String, String) {
        self.ask(&format!("GET {path} HTTP/1.1"), b"")
    }

    /// Stops the server, leaves the store as it is and reads the raw capture.
    pub(crate) fn text(self) -> String {
        self.server.stop().unwrap();
        raw_text(self.directory.path())
    }
}

/// The text of the raw segments of a capture, without the marks of batches.
pub(crate) fn raw_text(directory: &Path) -> String {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    names.sort();
    let text: String = names.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let unmarked = |line: &str| match line.rfind(",\"batch\":{") {
        Some(mark) => format!("{}}}\n", &line[..mark]),
        None => format!("{line}\n"),
    };
    text.lines().map(unmarked).collect()
}

/// The header of a JSON body.
pub(crate) const JSON: &str = "\r\nContent-Type: application/json";
/// The header of a protobuf body.
pub(crate) const PROTOBUF: &str = "\r\nContent-Type: application/x-protobuf";

/// A push of one line.
pub(crate) fn json(line: &str) -> String {
    format!(
        "{{\"streams\":[{{\"stream\":{{\"app\":\"web\"}},\"values\":[[\"1000000000\",\"{line}\"]]}}]}}"
    )
}
