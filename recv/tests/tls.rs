//! TLS as clients see it: trusted or not, with a certificate of their own, and after a renewal.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its functions too")]

#[path = "support/receiver.rs"]
mod receiver;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use logtap_recv::{Config, StoreOptions, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use receiver::{JSON, Receiver, json};

/// A root of certificates.
struct Root(CertifiedIssuer<'static, KeyPair>);

impl Root {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes a certificate of this root for `localhost`, and its key.
    fn issue(&self, certificate: &Path, key: &Path) {
        let pair = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let issued = parameters.signed_by(&pair, &self.0).unwrap();
        fs::write(key, pair.serialize_pem()).unwrap();
        fs::write(certificate, issued.pem()).unwrap();
    }
}

/// Asks with TLS; the text of the answer, or why there is none.
fn ask(
    receiver: &Receiver,
    root: &Root,
    own: Option<(&Path, &Path)>,
    request: &str,
) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    roots.add(root.0.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(certificate).unwrap()],
                PrivateKeyDer::from_pem_file(key).unwrap(),
            )
            .unwrap(),
    };
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(receiver.server.address()).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        // An answer without a farewell is an answer.
        Err(_) if !answer.is_empty() => {}
        Err(error) => return Err(error.to_string()),
    }
    Ok(String::from_utf8(answer).unwrap())
}

fn push() -> String {
    let body = json("over TLS");
    format!(
        "POST /loki/api/v1/push HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {}{JSON}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn certificates_are_used_and_renewed() {
    let files = tempfile::tempdir().unwrap();
    let (certificate, key) = (files.path().join("tls.crt"), files.path().join("tls.key"));
    let (first, second) = (Root::new(), Root::new());
    first.issue(&certificate, &key);
    let tls = TlsFiles { certificate: certificate.clone(), key: key.clone(), client_roots: None };
    let (notices_tx, notices_rx) = mpsc::channel();
    let config = Config { tls: Some(tls), notices: Some(notices_tx), ..Config::default() };
    let receiver = Receiver::start(config, StoreOptions::default());

    assert!(ask(&receiver, &first, None, &push()).unwrap().starts_with("HTTP/1.1 204"));
    assert!(ask(&receiver, &second, None, &push()).is_err(), "nobody trusts it");
    let notice = notices_rx.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(notice.starts_with("TLS with 127.0.0.1 failed: "), "{notice}");

    // Half of a renewal: the old certificate stays.
    fs::write(&key, "no key").unwrap();
    assert!(ask(&receiver, &first, None, &push()).unwrap().starts_with("HTTP/1.1 204"));
    let notice = notices_rx.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(notice.ends_with("the certificate from before stays in use"), "{notice}");
    second.issue(&certificate, &key);
    assert!(ask(&receiver, &second, None, &push()).unwrap().starts_with("HTTP/1.1 204"));

    // Who does not speak TLS is told so.
    let (status, _, text) = receiver.push(JSON, json("plain").as_bytes());
    assert_eq!((status, text.as_str()), (400, "this port speaks TLS: use https://\n"));
    let notice = notices_rx.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(notice.contains("use https:// there"), "{notice}");
    assert_eq!(receiver.text().lines().count(), 3);
}

#[test]
fn clients_can_be_asked_for_a_certificate() {
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name);
    let (servers, clients) = (Root::new(), Root::new());
    servers.issue(&path("tls.crt"), &path("tls.key"));
    clients.issue(&path("client.crt"), &path("client.key"));
    fs::write(path("clients.crt"), clients.0.pem()).unwrap();
    let tls = TlsFiles {
        certificate: path("tls.crt"),
        key: path("tls.key"),
        client_roots: Some(path("clients.crt")),
    };
    let config = Config { tls: Some(tls), ..Config::default() };
    let receiver = Receiver::start(config, StoreOptions::default());
    let (certificate, key) = (path("client.crt"), path("client.key"));
    let known = Some((certificate.as_path(), key.as_path()));
    assert!(ask(&receiver, &servers, known, &push()).unwrap().starts_with("HTTP/1.1 204"));
    assert!(ask(&receiver, &servers, None, &push()).is_err());
    let (certificate, key) = (path("tls.crt"), path("tls.key"));
    let stranger = Some((certificate.as_path(), key.as_path()));
    assert!(ask(&receiver, &servers, stranger, &push()).is_err());
    // A root is no client, although it is known.
    let root_key = path("clients.key");
    fs::write(&root_key, clients.0.key().serialize_pem()).unwrap();
    let root = path("clients.crt");
    assert!(ask(&receiver, &servers, Some((&root, &root_key)), &push()).is_err());
    assert_eq!(receiver.text().lines().count(), 1);
}
