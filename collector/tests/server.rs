//! HTTP servers as small as can be.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use logtap_loki::{DecodeOptions, decode_push, decompress_snappy};

/// The answer that acknowledges a push.
pub(crate) const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// A request as the server got it.
pub(crate) struct Request {
    pub(crate) head: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Answers one request after the other with these answers, on as many connections as it takes.
pub(crate) fn server(answers: Vec<&'static str>) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (requests_tx, requests_rx) = channel();
    std::thread::spawn(move || {
        let mut answers = answers.into_iter();
        while let Ok((stream, _)) = listener.accept() {
            let mut stream = BufReader::new(stream);
            while let Some(request) = read(&mut stream) {
                let Some(answer) = answers.next() else { return };
                requests_tx.send(request).unwrap();
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    (url, requests_rx)
}

/// A receiver that keeps each line of each source once, as ours does.
#[derive(Clone, Default)]
pub(crate) struct OnceReceiver {
    lines: Arc<Mutex<BTreeMap<String, BTreeMap<u64, String>>>>,
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let mut request = Request { head, body: Vec::new() };
    let length: usize = request.header("content-length")?.parse().ok()?;
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}

impl OnceReceiver {
    /// Takes pushes on a free port; its address.
    pub(crate) fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let receiver = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                // A sender that is killed leaves half a request, or does not read the answer.
                while let Some(request) = read(&mut stream) {
                    receiver.take(&request);
                    if stream.get_mut().write_all(OK.as_bytes()).is_err() {
                        break;
                    }
                }
            }
        });
        url
    }

    /// All lines of the only source, which must have no hole.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        assert!(lines.len() <= 1, "one source, whatever happens");
        let Some(lines) = lines.values().next() else { return Vec::new() };
        assert!(lines.keys().zip(1..).all(|(number, expected)| *number == expected));
        lines.values().cloned().collect()
    }

    fn take(&self, request: &Request) {
        let source = request.header("x-logtap-source").unwrap().to_owned();
        let (first, last) = request.header("x-logtap-lines").unwrap().split_once('-').unwrap();
        let numbers = first.parse::<u64>().unwrap()..=last.parse::<u64>().unwrap();
        let body = decompress_snappy(&request.body, 1 << 26).unwrap();
        let batch = decode_push(&body, &DecodeOptions::default()).unwrap().batch;
        let mut entries = batch.entries.clone();
        // A push groups its lines by stream; their time stamps grow over all of them.
        entries.sort_by_key(|entry| entry.timestamp);
        assert_eq!(entries.len() as u64, numbers.end() - numbers.start() + 1);
        let mut lines = self.lines.lock().unwrap();
        let lines = lines.entry(source).or_default();
        for (number, entry) in numbers.zip(&entries) {
            let text =
                format!("{} {}", entry.timestamp, String::from_utf8_lossy(batch.line(entry)));
            if let Some(known) = lines.insert(number, text.clone()) {
                assert_eq!(known, text, "line {number} is the same when it comes again");
            }
        }
    }
}
