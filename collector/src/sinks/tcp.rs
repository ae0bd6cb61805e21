//! JSON lines over TCP. The protocol has no acknowledgement: lines that were on their way when the
//! connection broke may be missing or, as the whole batch is sent again, come twice.

use std::io::Write as _;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use logtap_loki::Batch;

use super::json_lines::render;
use crate::sink::{PushError, Sink};

/// How long connecting and writing may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes JSON lines to a TCP server.
#[derive(Debug)]
pub struct TcpLines {
    address: String,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl TcpLines {
    /// Connects to `HOST:PORT` when there is something to push, and again whenever it must.
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), stream: None, buffer: Vec::new() }
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "no such host");
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => {
                    stream.set_write_timeout(Some(PATIENCE))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Sink for TcpLines {
    fn push(&mut self, batch: &Batch) -> Result<(), PushError> {
        let retry = |error: std::io::Error| PushError::Retry {
            reason: format!("{}: {error}", self.address),
            after: None,
        };
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().map_err(retry)?,
        };
        self.buffer.clear();
        render(batch, &mut self.buffer);
        stream.write_all(&self.buffer).map_err(retry)?;
        self.stream = Some(stream);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_broken_connection_is_made_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sink = TcpLines::new(listener.local_addr().unwrap().to_string());
        let mut batch = Batch::new();
        batch.streams.push(Vec::new());
        batch.push(0, 1, 0, b"x");
        sink.push(&batch).unwrap();
        let read = || {
            let mut line = String::new();
            BufReader::new(listener.accept().unwrap().0).read_line(&mut line).unwrap();
            line
        };
        let first = read();
        assert!(first.contains(r#""msg":"x""#), "{first}");
        // The server hung up; the kernel tells at one of the next writes.
        while sink.push(&batch).is_ok() {}
        sink.push(&batch).unwrap();
        assert_eq!(read(), first);
    }
}
