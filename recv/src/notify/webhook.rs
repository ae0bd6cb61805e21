//! Webhooks: notices sent by POST as JSON.
//!
//! Each address has a queue and a task of its own, so that one that is slow or gone delays no other and
//! never the receiver. A notice is tried again after network failures, 429 and 5xx; what is given up is
//! counted and logged. Refuses to take the answer to a redirected question for a delivery (`redirects`). At the end the queues get a bounded time to empty: the stop event arrives.
//!
//! A body may be signed: `X-Logtap-Signature: sha256=` and the HMAC-SHA256 of the body in hex.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use ring::hmac;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::event::{EventKind, Notice};
use super::redirects::to_the_same_host;

/// How many notices wait for one address; more are given up.
const QUEUE: usize = 256;
/// How often one notice is tried.
const ATTEMPTS: u32 = 5;
/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause, whatever the other side asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(5);
const SIGNATURE: &str = "x-logtap-signature";

/// Where notices go, which, and how they say whose they are.
#[derive(Clone, Debug, Default)]
pub struct WebhookOptions {
    /// The addresses.
    pub urls: Vec<String>,
    /// Which events are sent; empty for all.
    pub events: BTreeSet<EventKind>,
    /// How to say who we are.
    pub auth: Option<WebhookAuth>,
}

/// How a notice says whose it is: `bearer:TOKEN` or `hmac-sha256:SECRET`.
#[derive(Clone, PartialEq, Eq)]
pub enum WebhookAuth {
    /// By a token in `Authorization`.
    Bearer(String),
    /// By a signature of the body.
    HmacSha256(String),
}

impl std::fmt::Debug for WebhookAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer(...)",
            Self::HmacSha256(_) => "HmacSha256(...)",
        })
    }
}

impl FromStr for WebhookAuth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The value is a secret, so the message does not repeat it.
        match text.split_once(':') {
            Some(("bearer", token)) if !token.is_empty() => Ok(Self::Bearer(token.to_owned())),
            Some(("hmac-sha256", secret)) if !secret.is_empty() => {
                Ok(Self::HmacSha256(secret.to_owned()))
            }
            Some((scheme @ ("bearer" | "hmac-sha256"), _)) => {
                Err(format!("`{scheme}:` has nothing after the colon"))
            }
            _ => Err("--webhook-auth is `bearer:TOKEN` or `hmac-sha256:SECRET`".to_owned()),
        }
    }
}

/// Options that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// An address that is none.
    #[error("`{url}` is no address for a webhook: {reason}")]
    Address {
        /// The text.
        url: String,
        /// Why not.
        reason: String,
    },
    /// A token that no header can carry.
    #[error("the webhook token has characters that a header cannot carry")]
    Token,
    /// The client could not be made.
    #[error("failed to start webhooks: {0}")]
    Start(String),
}

/// What became of the notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Accepted by the other side.
    pub delivered: u64,
    /// Given up: refused, tried too often, too many waiting, or out of time at the end.
    pub given_up: u64,
}

/// Running webhooks.
#[derive(Debug)]
pub struct Webhooks {
    events: BTreeSet<EventKind>,
    /// receiver --notice--> each address's task
    bodies_tx: Vec<mpsc::Sender<Arc<Vec<u8>>>>,
    /// receiver --time left--> the thread
    stop_tx: oneshot::Sender<Duration>,
    thread: JoinHandle<()>,
    tally: Arc<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    queued: AtomicU64,
    delivered: AtomicU64,
    overflowed: AtomicU64,
}

impl Webhooks {
    /// Checks the options and starts the thread that sends.
    pub fn start(options: WebhookOptions) -> Result<Self, WebhookError> {
        let failed = |error: io::Error| WebhookError::Start(error.to_string());
        let hooks = hooks(&options)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let tally = Arc::new(Tally::default());
        let mut bodies_tx = Vec::new();
        let mut tasks = Vec::new();
        for hook in hooks {
            let (body_tx, body_rx) = mpsc::channel(QUEUE);
            bodies_tx.push(body_tx);
            tasks.push(serve(hook, body_rx, Arc::clone(&tally)));
        }
        let (stop_tx, stop_rx) = oneshot::channel::<Duration>();
        let thread = thread::Builder::new()
            .name("webhooks".to_owned())
            .spawn(move || runtime.block_on(until_sent(tasks, stop_rx)))
            .map_err(failed)?;
        Ok(Self { events: options.events, bodies_tx, stop_tx, thread, tally })
    }

    /// Queues a notice for every address, if its event is wanted. Never waits.
    pub fn send(&self, notice: &Notice) {
        if !self.events.is_empty() && !self.events.contains(&notice.event) {
            return;
        }
        let body = match serde_json::to_vec(notice) {
            Ok(body) => Arc::new(body),
            Err(error) => {
                tracing::error!(%error, "notice cannot be written as JSON");
                return;
            }
        };
        for body_tx in &self.bodies_tx {
            self.tally.queued.fetch_add(1, Ordering::Relaxed);
            if body_tx.try_send(Arc::clone(&body)).is_err() {
                self.tally.overflowed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    event = notice.event.name(),
                    "webhook queue is full, notice dropped"
                );
            }
        }
    }

    /// Waits until everything is sent, at most so long; returns what became of all notices.
    pub fn finish(self, within: Duration) -> Deliveries {
        let Self { bodies_tx, stop_tx, thread, tally, .. } = self;
        drop(bodies_tx);
        if stop_tx.send(within).is_err() {
            tracing::debug!("webhooks had nothing left to send");
        }
        if thread.join().is_err() {
            tracing::error!("the webhook thread panicked");
        }
        let delivered = tally.delivered.load(Ordering::Relaxed);
        Deliveries { delivered, given_up: tally.queued.load(Ordering::Relaxed) - delivered }
    }
}

/// One address with its client.
struct Hook {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
    key: Option<hmac::Key>,
}

fn hooks(options: &WebhookOptions) -> Result<Vec<Hook>, WebhookError> {
    // Fails only where another part of the program has installed one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let (mut authorization, mut key) = (None, None);
    match &options.auth {
        Some(WebhookAuth::Bearer(token)) => {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| WebhookError::Token)?;
            value.set_sensitive(true);
            authorization = Some(value);
        }
        Some(WebhookAuth::HmacSha256(secret)) => {
            key = Some(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        }
        None => {}
    }
    let hook = |text: &String| {
        let wrong = |reason: String| WebhookError::Address { url: text.clone(), reason };
        let url = Url::parse(text.trim()).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong("it must begin with http:// or https:// and a host".to_owned()));
        }
        let mut client = Client::builder()
            .user_agent(concat!("logtap/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .redirect(to_the_same_host())
            .pool_max_idle_per_host(1);
        if url.scheme() == "http" {
            // An image without certificates can still notify without TLS.
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(|error| WebhookError::Start(error.to_string()))?;
        Ok(Hook { client, url, authorization: authorization.clone(), key: key.clone() })
    };
    options.urls.iter().map(hook).collect()
}

/// Runs all tasks until they have nothing left, or until the time given at the end is over.
async fn until_sent(
    tasks: Vec<impl Future<Output = ()> + Send + 'static>,
    stop_rx: oneshot::Receiver<Duration>,
) {
    let mut running = JoinSet::new();
    for task in tasks {
        running.spawn(task);
    }
    let all = async { while running.join_next().await.is_some() {} };
    let out_of_time = async {
        // Without a time nobody will wait for us.
        if let Ok(within) = stop_rx.await {
            tokio::time::sleep(within).await;
        }
    };
    tokio::select! {
        () = all => {}
        () = out_of_time => {}
    }
}

async fn serve(hook: Hook, mut body_rx: mpsc::Receiver<Arc<Vec<u8>>>, tally: Arc<Tally>) {
    while let Some(body) = body_rx.recv().await {
        match deliver(&hook, &body).await {
            Ok(()) => {
                tally.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err(reason) => {
                tracing::warn!(url = %shown(&hook.url), reason, "webhook notice given up");
            }
        }
    }
}

async fn deliver(hook: &Hook, body: &[u8]) -> Result<(), String> {
    let mut pause = FIRST_PAUSE;
    let mut attempt = 1;
    loop {
        let (reason, asked) = match attempt_once(hook, body).await {
            Ok(()) => return Ok(()),
            Err(Failure::Final(reason)) => return Err(reason),
            Err(Failure::Passing(reason, asked)) => (reason, asked),
        };
        if attempt == ATTEMPTS {
            return Err(format!("{reason} (tried {ATTEMPTS} times)"));
        }
        attempt += 1;
        tokio::time::sleep(asked.unwrap_or(pause).min(LONGEST_PAUSE)).await;
        pause *= 2;
    }
}

enum Failure {
    /// Trying again is of no use.
    Final(String),
    /// It may help, after so long if the other side has said.
    Passing(String, Option<Duration>),
}

async fn attempt_once(hook: &Hook, body: &[u8]) -> Result<(), Failure> {
    let mut request = hook
        .client
        .post(hook.url.clone())
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_vec());
    if let Some(authorization) = &hook.authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    if let Some(key) = &hook.key {
        request = request.header(SIGNATURE, signature(key, body));
    }
    let answer = request
        .send()
        .await
        .map_err(|error| Failure::Passing(error.without_url().to_string(), None))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let mut reason = format!("answered {status}");
    if status.is_redirection() {
        reason.push_str(
            ", which leads to another host or drops the notice; name its address instead",
        );
    }
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = seconds.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        return Err(Failure::Passing(reason, asked));
    }
    Err(Failure::Final(reason))
}

fn signature(key: &hmac::Key, body: &[u8]) -> String {
    let mut text = "sha256=".to_owned();
    for byte in hmac::sign(key, body).as_ref() {
        // Writing to a String cannot fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

/// An address without what may be secret in it: of a path, only how it begins, for some services' paths are
/// their passwords.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let (first, rest) = match url.path().trim_start_matches('/').split_once('/') {
        Some((first, _)) => (first, "/..."),
        None => (url.path().trim_start_matches('/'), ""),
    };
    format!("{}://{host}{port}/{first}{rest}", url.scheme())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc as std_mpsc;

    /// A server that gives these answers, one a connection, and passes on what it was sent.
    fn server(answers: &'static [&'static str]) -> (String, std_mpsc::Receiver<(String, String)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?key=secret", listener.local_addr().unwrap());
        let (seen_tx, seen_rx) = std_mpsc::channel();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut head, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                    head.push_str(&line);
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                seen_tx.send((head, String::from_utf8(body).unwrap())).unwrap();
                let text =
                    format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(text.as_bytes()).unwrap();
            }
        });
        (url, seen_rx)
    }

    fn notice(event: EventKind) -> Notice {
        Notice::new(event, "2026-11-21T00:00:00Z".to_owned())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_notice_is_tried_again_signed_and_the_last_one_arrives() {
        let (url, seen_rx) = server(&["503 no\r\nRetry-After: 0", "200 OK", "204 No Content"]);
        let options = WebhookOptions {
            urls: vec![url],
            events: BTreeSet::from([EventKind::Start, EventKind::Stop]),
            auth: Some("hmac-sha256:Jefe".parse().unwrap()),
        };
        let webhooks = Webhooks::start(options).unwrap();
        webhooks.send(&notice(EventKind::Start));
        webhooks.send(&notice(EventKind::Rotation));
        webhooks.send(&notice(EventKind::Stop));
        assert_eq!(webhooks.finish(LONG), Deliveries { delivered: 2, given_up: 0 });
        let seen: Vec<_> = seen_rx.iter().collect();
        let events: Vec<_> = seen.iter().map(|(_, body)| body.split('"').nth(3).unwrap()).collect();
        assert_eq!(events, ["start", "start", "stop"]);
        assert!(seen[0].0.starts_with("POST /hook?key=secret HTTP/1.1"), "{}", seen[0].0);
        let head = seen[0].0.to_ascii_lowercase();
        assert!(head.contains("content-type: application/json"), "{head}");
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
        assert!(
            head.contains(&format!(
                "x-logtap-signature: {}",
                signature(&key, seen[0].1.as_bytes())
            ))
        );
    }

    #[test]
    fn what_is_refused_is_not_tried_again_and_counted() {
        let (url, seen_rx) = server(&["404 Not Found"]);
        let options = WebhookOptions {
            urls: vec![url],
            auth: Some("bearer:a:b".parse().unwrap()),
            ..WebhookOptions::default()
        };
        let webhooks = Webhooks::start(options).unwrap();
        webhooks.send(&notice(EventKind::Alert));
        assert_eq!(webhooks.finish(LONG), Deliveries { delivered: 0, given_up: 1 });
        let head = seen_rx.recv().unwrap().0;
        assert!(head.to_ascii_lowercase().contains("authorization: bearer a:b"), "{head}");
        assert!(seen_rx.recv().is_err());
    }

    #[test]
    fn only_redirects_that_keep_the_body_are_followed() {
        for (answers, delivered) in [
            (&["302 Found\r\nLocation: /elsewhere", "200 OK"][..], 0),
            // Port 9 is another place, where nothing of it must go.
            (&["307 Temporary Redirect\r\nLocation: http://127.0.0.1:9/elsewhere"], 0),
            (&["307 Temporary Redirect\r\nLocation: /elsewhere", "200 OK"], 1),
        ] {
            let (url, seen_rx) = server(answers);
            let options = WebhookOptions { urls: vec![url], ..WebhookOptions::default() };
            let webhooks = Webhooks::start(options).unwrap();
            webhooks.send(&notice(EventKind::Stop));
            let given_up = 1 - delivered;
            assert_eq!(webhooks.finish(LONG), Deliveries { delivered, given_up });
            let first = seen_rx.recv().unwrap();
            if delivered > 0 {
                let (head, body) = seen_rx.recv().unwrap();
                assert!(head.starts_with("POST /elsewhere ") && body == first.1, "{head}");
            }
        }
    }

    #[test]
    fn what_is_shown_of_an_address_is_no_secret() {
        for (url, expected) in [
            (
                "https://me:word@hooks.example/services/T0/XYZ?key=1",
                "https://hooks.example/services/...",
            ),
            ("http://h:8080/hook#x", "http://h:8080/hook"),
            ("http://[::1]/", "http://[::1]/"),
        ] {
            assert_eq!(shown(&Url::parse(url).unwrap()), expected);
        }
    }

    #[test]
    fn the_end_is_not_waited_for_longer_than_allowed() {
        // Nobody answers there.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let options = WebhookOptions { urls: vec![url], ..WebhookOptions::default() };
        let webhooks = Webhooks::start(options).unwrap();
        webhooks.send(&notice(EventKind::Stop));
        let given_up = webhooks.finish(Duration::from_millis(10));
        assert_eq!(given_up, Deliveries { delivered: 0, given_up: 1 });
    }

    #[test]
    fn the_signature_is_the_standards() {
        // RFC 4231, test case 2.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
        assert_eq!(
            signature(&key, b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn wrong_options_are_named_and_secrets_are_not() {
        for (url, part) in [("hook", "relative"), ("ftp://x/", "must begin"), ("http://", "host")] {
            let options = WebhookOptions { urls: vec![url.to_owned()], ..Default::default() };
            let error = Webhooks::start(options).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(&format!("`{url}`")), "{error}");
        }
        assert_eq!(
            "bearer:".parse::<WebhookAuth>().unwrap_err(),
            "`bearer:` has nothing after the colon"
        );
        assert!(!"basic:secret".parse::<WebhookAuth>().unwrap_err().contains("secret"));
        assert_eq!(format!("{:?}", WebhookAuth::Bearer("x".to_owned())), "Bearer(...)");
    }
}
