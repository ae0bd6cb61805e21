//! The Loki push API, as a client: protobuf and snappy, or JSON.
//!
//! One request at a time over one connection that is kept. Nothing is followed elsewhere. Only what a
//! server calls invalid is refused for ever; missing rights and wrong paths can be put right while the
//! lines wait.

use std::path::{Path, PathBuf};
use std::time::Duration;

use logtap_loki::{
    Batch, LINES_HEADER, SOURCE_HEADER, compress_snappy, encode_push, encode_push_json,
};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Certificate, Client, Identity, Response, StatusCode, Url, redirect};

use crate::error::CollectorError;
use crate::sink::{PushError, Sink};

/// Where Loki takes pushes.
const PUSH_PATH: &str = "/loki/api/v1/push";
/// How much of an error's body is read.
const MAX_REASON: usize = 1024;
/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// What helps where the server does not let us in.
const WHO_PUSHES: &str = "; --token-file, or --user with a password, says who pushes";
/// What helps where we do not let the server be one.
const WHOM_TO_TRUST: &str = "; --ca names a file with the certificate to trust";

/// Where and how to push.
#[derive(Clone, Debug)]
pub struct LokiConfig {
    /// Address of the server, or the full address of its push route.
    pub url: String,
    /// How batches are encoded.
    pub format: PushFormat,
    /// `X-Scope-OrgID`.
    pub tenant: Option<String>,
    /// How to say who we are. Overrides a user and password in the address.
    pub auth: Auth,
    /// Longest time for one push.
    pub timeout: Duration,
    /// Certificates in PEM form to trust beside the system's.
    pub ca: Option<PathBuf>,
    /// What a server gets that asks for a certificate.
    pub certificate: Option<ClientCertificate>,
}

/// A certificate of our own, and its key: files in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate and those that lead to its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How batches are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PushFormat {
    /// Protocol buffers, compressed with snappy.
    #[default]
    Protobuf,
    /// JSON. Cannot carry bytes that are not UTF-8.
    Json,
}

/// How a client says who it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Auth {
    /// Not at all, or as the address says.
    #[default]
    None,
    /// By name and password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// By token.
    Bearer(String),
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(...)",
            Self::Bearer(_) => "Bearer(...)",
        })
    }
}

impl LokiConfig {
    /// The defaults for an address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            format: PushFormat::default(),
            tenant: None,
            auth: Auth::None,
            timeout: Duration::from_secs(30),
            ca: None,
            certificate: None,
        }
    }
}

/// Pushes to a Loki, or to a receiver of ours.
#[derive(Debug)]
pub struct LokiSink {
    client: Client,
    runtime: tokio::runtime::Runtime,
    url: Url,
    format: PushFormat,
    tenant: Option<String>,
    auth: Auth,
    body: Vec<u8>,
}

impl LokiSink {
    /// Checks the configuration. Connects only when there is something to push.
    pub fn new(config: LokiConfig) -> Result<Self, CollectorError> {
        let LokiConfig { url, format, tenant, auth, timeout, ca, certificate } = config;
        let failed = |reason: String| CollectorError::Sink { reason };
        let url = push_url(&url)?;
        // Fails only where another part of the program has installed one already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut client = Client::builder()
            .user_agent(concat!("logtap/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(timeout)
            .pool_max_idle_per_host(1)
            .http1_only();
        if is_loopback(&url) {
            client = client.no_proxy();
        }
        if let Some(path) = ca {
            let pem = read(&path)?;
            let certificates = Certificate::from_pem_bundle(&pem)
                .map_err(|error| failed(format!("`{}`: {}", path.display(), chain(&error))))?;
            if certificates.is_empty() {
                return Err(CollectorError::NoCertificate { path });
            }
            client = client.tls_certs_merge(certificates);
        } else if url.scheme() == "http" {
            // An image without certificates can still push without TLS.
            client = client.tls_certs_only([]);
        }
        let client = match certificate {
            // Whether key and certificate belong together turns out when the client is made.
            Some(own) => {
                client.identity(identity(&own)?).build().map_err(|error| own.no_pair(&error))
            }
            None => client.build().map_err(|error| failed(chain(&error))),
        }?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { client, runtime, url, format, tenant, auth, body: Vec::new() })
    }

    /// Where it pushes to, without a password.
    pub fn address(&self) -> String {
        let mut url = self.url.clone();
        // Every http address can have a password, and so lose it.
        match url.set_password(None) {
            Ok(()) => url.to_string(),
            Err(()) => String::new(),
        }
    }

    fn request(&mut self, batch: &Batch) -> reqwest::RequestBuilder {
        let mut request = self.client.post(self.url.clone());
        self.body.clear();
        match self.format {
            PushFormat::Protobuf => {
                encode_push(batch, &mut self.body);
                request = request
                    .header(CONTENT_TYPE, "application/x-protobuf")
                    .header(CONTENT_ENCODING, "snappy")
                    .body(compress_snappy(&self.body));
            }
            PushFormat::Json => {
                encode_push_json(batch, &mut self.body);
                request = request
                    .header(CONTENT_TYPE, "application/json")
                    .body(std::mem::take(&mut self.body));
            }
        }
        if let Some(origin) = &batch.origin {
            let (source, lines) = origin.headers();
            request = request.header(SOURCE_HEADER, source).header(LINES_HEADER, lines);
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Scope-OrgID", tenant);
        }
        match &self.auth {
            Auth::None => request,
            Auth::Basic { user, password } => request.basic_auth(user, Some(password)),
            Auth::Bearer(token) => request.bearer_auth(token),
        }
    }
}

impl Sink for LokiSink {
    fn push(&mut self, batch: &Batch) -> Result<(), PushError> {
        let request = self.request(batch);
        self.runtime.block_on(async {
            let response = request
                .send()
                .await
                .map_err(|error| PushError::Retry { reason: unsent(&error), after: None })?;
            judge(response).await
        })
    }
}

/// What the answer means.
async fn judge(response: Response) -> Result<(), PushError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    let text = read_start(response).await;
    let text = text.trim();
    let mut reason = if text.is_empty() { status.to_string() } else { format!("{status}: {text}") };
    if matches!(status.as_u16(), 401 | 403) {
        reason.push_str(WHO_PUSHES);
    }
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return Err(PushError::TooLarge { reason });
    }
    let passing = status.is_server_error()
        || status.is_redirection()
        || matches!(status.as_u16(), 401 | 403 | 404 | 407 | 408 | 425 | 429);
    Err(if passing { PushError::Retry { reason, after } } else { PushError::Refused { reason } })
}

/// Why nothing could be sent, and what helps where that is known.
fn unsent(error: &(dyn std::error::Error + 'static)) -> String {
    let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    let is_unknown = std::iter::successors(Some(error), |error| cause(*error))
        .any(|error| error.downcast_ref() == Some(&unknown));
    chain(error) + if is_unknown { WHOM_TO_TRUST } else { "" }
}

/// What is behind an error. An error of the system names as its cause not the error that it carries, but that one's.
fn cause<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a (dyn std::error::Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(carried) => Some(carried),
        None => error.source(),
    }
}

/// The beginning of a body, as text.
async fn read_start(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_REASON {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            // What could not be read is not worth another error.
            Ok(None) | Err(_) => break,
        }
    }
    bytes.truncate(MAX_REASON);
    String::from_utf8_lossy(&bytes).replace(char::is_control, " ")
}

fn read(path: &Path) -> Result<Vec<u8>, CollectorError> {
    std::fs::read(path).map_err(|source| CollectorError::File { path: path.to_owned(), source })
}

/// The form in which the client takes certificate and key: one text.
fn identity(own: &ClientCertificate) -> Result<Identity, CollectorError> {
    let mut pem = read(&own.certificate)?;
    pem.push(b'\n');
    pem.extend(read(&own.key)?);
    Identity::from_pem(&pem).map_err(|error| own.no_pair(&error))
}

impl ClientCertificate {
    fn no_pair(&self, error: &dyn std::error::Error) -> CollectorError {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        CollectorError::Access {
            reason: format!(
                "`{certificate}` and `{key}` are no certificate with its key: {}",
                chain(error)
            ),
            remedy: "both are files in PEM form (`-----BEGIN CERTIFICATE-----`, `-----BEGIN PRIVATE KEY-----`)",
        }
    }
}

/// The push route of an address: one that ends in a push route stays, what is a base of one gets it behind.
fn push_url(text: &str) -> Result<Url, CollectorError> {
    /// Where the route's version begins, which may be a part of the base.
    const VERSION: [&str; 2] = ["/loki/api/v1", "/loki/api"];
    let failed = |reason: String| CollectorError::Sink { reason };
    let mut url =
        Url::parse(text).map_err(|error| failed(format!("`{text}` is no address: {error}")))?;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        return Err(failed(format!("`{text}` is neither an http nor an https address")));
    }
    let base = url.path().trim_end_matches('/');
    if !base.ends_with("/push") {
        let begun = VERSION.into_iter().find(|begun| base.ends_with(begun)).unwrap_or_default();
        let base = base.strip_suffix(begun).unwrap_or(base);
        let path = format!("{base}{PUSH_PATH}");
        url.set_path(&path);
    } else if base.len() < url.path().len() {
        let path = base.to_owned();
        url.set_path(&path);
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_its_push_route() {
        for (text, expected) in [
            ("http://h:3100", "http://h:3100/loki/api/v1/push"),
            ("https://h/", "https://h/loki/api/v1/push"),
            ("http://h/loki/api/v1/push", "http://h/loki/api/v1/push"),
            ("http://h/insert/push?x=1", "http://h/insert/push?x=1"),
            ("http://h/insert", "http://h/insert/loki/api/v1/push"),
            ("http://h/insert/?a=b", "http://h/insert/loki/api/v1/push?a=b"),
            ("http://h/loki/api/v1/push/", "http://h/loki/api/v1/push"),
            ("http://h/x/loki/api/v1/", "http://h/x/loki/api/v1/push"),
            ("http://h/api/prom/push", "http://h/api/prom/push"),
            ("http://h/pushing", "http://h/pushing/loki/api/v1/push"),
        ] {
            assert_eq!(push_url(text).unwrap().as_str(), expected);
        }
        for bad in ["h:3100", "ftp://h/", "/x", "", "unix:///x"] {
            assert!(push_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let mut config = LokiConfig::new("http://me:secret@h");
        config.auth = Auth::Bearer("secret".to_owned());
        let sink = LokiSink::new(config.clone()).unwrap();
        assert_eq!(sink.address(), "http://me@h/loki/api/v1/push");
        assert!(!format!("{:?}", config.auth).contains("secret"));
    }

    #[test]
    fn only_this_machine_is_never_reached_by_a_proxy() {
        for (url, expected) in [
            ("http://127.0.0.1:1/", true),
            ("http://[::1]:1/", true),
            ("http://localhost/", true),
            ("http://10.0.0.1/", false),
            ("http://localhost.example/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
