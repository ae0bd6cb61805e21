//! What the benches of the receiver push: mixed lines of about 200 bytes, the same in every run.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};

use logtap_loki::Batch;

/// Lines of a batch.
pub(crate) const LINES_PER_PUSH: usize = 5_000;

/// Lines of logfmt, of JSON and of an access log, in turns.
pub(crate) fn batch(seed: usize) -> Batch {
    let mut batch = Batch::new();
    for app in ["api", "web", "edge"] {
        let labels = [("app", app), ("namespace", "shop"), ("pod", "shop-7f9c6d5b4-x2x9z")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        batch.streams.push(labels.to_vec());
    }
    let mut random = 0x9E37_79B9_7F4A_7C15_u64 ^ (seed as u64) << 32;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for number in 0..LINES_PER_PUSH {
        let time = 1_705_313_999_000_000_000 + ((seed * LINES_PER_PUSH + number) * 1_000) as i64;
        let (id, status, took) = (next(1 << 48), 200 + next(4) * 100, next(100_000));
        let line = match number % 3 {
            0 => format!(
                "time=2024-01-15T10:19:59.{:06}Z level=info msg=\"request finished\" \
                 request_id={id:012x} method=GET path=/api/v1/orders/{} status={status} \
                 duration={}.{:03}ms bytes={} caller=handler.go:{}",
                next(1_000_000),
                next(100_000),
                took / 1000,
                took % 1000,
                next(60_000),
                next(900)
            ),
            1 => format!(
                "{{\"level\":\"info\",\"ts\":1705313999.{:06},\"logger\":\"cart\",\"msg\":\"item added\",\
                 \"order\":\"{id:012x}\",\"sku\":\"SKU-{}\",\"quantity\":{},\"latency_ms\":{},\"cache\":\"hit\"}}",
                next(1_000_000),
                next(1_000_000),
                next(10),
                next(1_000)
            ),
            _ => format!(
                "10.{}.{}.{} - - [15/Jan/2024:10:19:59 +0000] \"GET /static/app.{id:08x}.js HTTP/1.1\" \
                 {status} {} \"https://shop.example/cart\" \"Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0.0.0\"",
                next(256),
                next(256),
                next(256),
                next(100_000)
            ),
        };
        batch.push((number % 3) as u32, time, 0, line.as_bytes());
    }
    batch
}

/// A connection to the receiver that sends one push after the other.
pub(crate) struct Sender {
    connection: TcpStream,
    answers: BufReader<TcpStream>,
    line: String,
}

impl Sender {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let connection = TcpStream::connect(address).expect("the receiver listens");
        connection.set_nodelay(true).expect("a socket option");
        let answers = BufReader::new(connection.try_clone().expect("a socket"));
        Self { connection, answers, line: String::new() }
    }

    /// Sends a body and waits until it is acknowledged.
    pub(crate) fn push(&mut self, kind: &str, body: &[u8]) {
        let head = format!(
            "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.connection.write_all(head.as_bytes()).expect("a head is sent");
        self.connection.write_all(body).expect("a body is sent");
        self.line.clear();
        self.answers.read_line(&mut self.line).expect("an answer");
        assert!(self.line.contains(" 204 "), "{}", self.line);
        while self.line != "\r\n" {
            self.line.clear();
            self.answers.read_line(&mut self.line).expect("a header");
        }
    }
}
