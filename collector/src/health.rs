//! `/healthz`, `/readyz` and `/metrics` over plain HTTP/1.1, one request a connection.
//!
//! Not a web server: it reads the first line of a request and answers. For a kubelet and a Prometheus.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::counts::Counts;
use crate::error::CollectorError;
use crate::shared::Shared;

/// How much of a request is read.
const MAX_REQUEST: usize = 4096;
/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// A drain thread that has not been over its rings for so long is not healthy.
const LONGEST_PASS: Duration = Duration::from_secs(10);

/// What a collector shows of itself while it works.
#[derive(Clone, Debug)]
pub struct Monitor {
    shared: Arc<Shared>,
}

impl Monitor {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Whether the rings are looked after.
    pub fn is_healthy(&self) -> bool {
        self.shared.last_pass().is_some_and(|at| at.elapsed() < LONGEST_PASS)
    }

    /// Whether lines reach the sink.
    pub fn is_ready(&self) -> bool {
        self.is_healthy() && !self.shared.is_failing()
    }

    /// Answers requests on this address, from a thread of its own, as long as the process lives.
    pub fn serve(self, address: &str) -> Result<SocketAddr, CollectorError> {
        let failed = |source| CollectorError::Listen { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        std::thread::Builder::new()
            .name("logtap-health".to_owned())
            .spawn(move || {
                for client in listener.incoming() {
                    // One client that misbehaves is no reason to stop, nor to tell.
                    if let Err(error) = client.and_then(|client| self.answer(client)) {
                        tracing::debug!(%error, "a health request failed");
                    }
                }
            })
            .map_err(CollectorError::Thread)?;
        Ok(bound)
    }

    fn answer(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_write_timeout(Some(PATIENCE))?;
        let until = Instant::now() + PATIENCE;
        let mut request = [0; MAX_REQUEST];
        let mut read = 0;
        while !request[..read].windows(4).any(|end| end == b"\r\n\r\n") && read < request.len() {
            // For the whole request, not for each byte of it: the next client waits.
            let left = until.saturating_duration_since(Instant::now());
            client.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match client.read(&mut request[read..])? {
                0 => break,
                more => read += more,
            }
        }
        let line = request[..read].split(|&byte| byte == b'\r').next().unwrap_or_default();
        let mut words = line.split(|&byte| byte == b' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = path.split(|&byte| byte == b'?').next().unwrap_or_default();
        let (status, body) = if method != b"GET" && method != b"HEAD" {
            ("405 Method Not Allowed", "only GET\n".to_owned())
        } else {
            match path {
                b"/healthz" => verdict(self.is_healthy()),
                b"/readyz" | b"/ready" => verdict(self.is_ready()),
                b"/metrics" => ("200 OK", self.metrics()),
                _ => ("404 Not Found", "try /healthz, /readyz or /metrics\n".to_owned()),
            }
        };
        let shown = if method == b"HEAD" { "" } else { &body };
        write!(
            client,
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{shown}",
            body.len()
        )
    }

    /// The counts in Prometheus' text form.
    fn metrics(&self) -> String {
        let counts = self.counts();
        let totals = counts.totals;
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, value: u64| {
            // Writing to a string cannot fail.
            write!(
                text,
                "# HELP logtap_collector_{name} {help}\n# TYPE logtap_collector_{name} {kind}\n\
                 logtap_collector_{name} {value}\n"
            )
            .unwrap_or_default();
        };
        for (name, help, value) in [
            ("lines_total", "Lines assembled.", counts.lines),
            ("delivered_lines_total", "Lines acknowledged by the sink.", counts.delivered_lines),
            (
                "collapsed_states_total",
                "States of redrawn lines left out.",
                counts.collapsed_states,
            ),
            ("collapsed_bytes_total", "Their bytes.", counts.collapsed_bytes),
            ("refused_lines_total", "Lines the sink refused; dropped.", counts.refused_lines),
            ("push_retries_total", "Pushes that failed and were tried again.", counts.retries),
            ("records_total", "Writes taken over.", totals.records),
            ("bytes_total", "Bytes taken over.", totals.bytes),
            ("lost_records_total", "Writes that found no room in a ring.", totals.lost_records),
            ("lost_bytes_total", "Bytes that found no room in a ring.", totals.lost_bytes),
            (
                "unringed_lost_records_total",
                "Writes of processes without a ring that were lost.",
                counts.unringed_lost_records,
            ),
            ("unringed_lost_bytes_total", "Their bytes.", counts.unringed_lost_bytes),
            ("torn_records_total", "Writes whose writer died in the middle.", totals.torn_records),
            ("late_records_total", "Writes that came after later ones.", counts.late_records),
            ("rings_total", "Rings seen.", counts.rings),
            ("hostile_files_total", "Files that broke the rules.", counts.hostile),
            ("foreign_datagrams_total", "Datagrams that were no frames.", counts.foreign_datagrams),
            (
                "control_repairs_total",
                "Times the control page had to be put back in order.",
                counts.control_repairs,
            ),
            (
                "corrupt_counters_total",
                "Counters in shared files that cannot be true; not added up.",
                counts.corrupt_counters,
            ),
        ] {
            metric(name, "counter", help, value);
        }
        metric("rings", "gauge", "Rings being read.", self.shared.rings_now());
        metric("ready", "gauge", "Whether lines reach the sink.", u64::from(self.is_ready()));
        text
    }
}

fn verdict(good: bool) -> (&'static str, String) {
    if good {
        ("200 OK", "ok\n".to_owned())
    } else {
        ("503 Service Unavailable", "not now\n".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "{request}\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn requests_are_answered() {
        let shared = Arc::new(Shared::default());
        let address = Monitor::new(Arc::clone(&shared)).serve("127.0.0.1:0").unwrap();
        assert!(get(address, "GET /healthz HTTP/1.1").starts_with("HTTP/1.1 503 "));
        shared.passed(true);
        assert!(get(address, "GET /healthz?verbose HTTP/1.1").ends_with("\r\n\r\nok\n"));
        assert!(get(address, "HEAD /readyz HTTP/1.1").ends_with("\r\n\r\n"));
        shared.push_failed(true);
        assert!(get(address, "GET /readyz HTTP/1.1").starts_with("HTTP/1.1 503 "));
        shared.update_counts(|counts| counts.lines = 17);
        assert!(
            get(address, "GET /metrics HTTP/1.1").contains("\nlogtap_collector_lines_total 17\n")
        );
        assert!(get(address, "POST /metrics HTTP/1.1").starts_with("HTTP/1.1 405 "));
        assert!(get(address, "GET / HTTP/1.1").starts_with("HTTP/1.1 404 "));
        assert!(get(address, "nonsense").starts_with("HTTP/1.1 405 "));
    }
}
