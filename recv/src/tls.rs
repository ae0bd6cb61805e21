//! TLS of the server: certificate and key from files, read again when the files change.
//!
//! A change that cannot be used is reported and the old certificate stays: a half-written file must
//! not take the receiver down. Refuses TLS before 1.2.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those that lead to its root, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Roots of clients' certificates, PEM. With it, a client without a certificate is refused.
    pub client_roots: Option<PathBuf>,
}

/// Files that TLS cannot be served with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("failed to read {what} from `{}`", .path.display())]
    Unreadable {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("failed to read {what} from `{}`: {reason}", .path.display())]
    File {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Certificate and key do not belong together, or are of a kind that cannot be used.
    #[error("failed to use certificate `{}` with key `{}`: {reason}", .certificate.display(), .key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// What tells that a file is another one, or has other content.
type Mark = Option<(SystemTime, u64, u64)>;

/// The configuration for new connections, as new as its files.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    current: Mutex<(Vec<Mark>, Arc<ServerConfig>)>,
}

impl Tls {
    /// Reads the files.
    pub(crate) fn read(files: TlsFiles) -> Result<Self, TlsError> {
        let marks = marks(&files);
        let config = Arc::new(configure(&files)?);
        Ok(Self { files, current: Mutex::new((marks, config)) })
    }

    /// The configuration for a new connection, and what went wrong where changed files could not be
    /// used. Such a change is tried once.
    pub(crate) fn current(&self) -> (Arc<ServerConfig>, Option<TlsError>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = marks(&self.files);
        let mut failure = None;
        if marks != current.0 {
            current.0 = marks;
            match configure(&self.files) {
                Ok(config) => current.1 = Arc::new(config),
                Err(error) => failure = Some(error),
            }
        }
        (Arc::clone(&current.1), failure)
    }
}

fn marks(files: &TlsFiles) -> Vec<Mark> {
    use std::os::unix::fs::MetadataExt as _;
    let paths = [Some(&files.certificate), Some(&files.key), files.client_roots.as_ref()];
    let mark = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
    };
    paths.into_iter().flatten().map(mark).collect()
}

fn configure(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let chain = certificates(&files.certificate, "a certificate")?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key, "a private key")?)
        .map_err(|error| unusable("a private key", &files.key, &error))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| pair(files, error))?;
    let builder = match &files.client_roots {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let what = "roots of client certificates";
            let mut roots = RootCertStore::empty();
            for root in certificates(path, what)? {
                roots.add(root).map_err(|error| unusable(what, path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| unusable(what, path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| pair(files, error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |error: &dyn std::fmt::Display| unusable(what, path, error);
    let found = CertificateDer::pem_slice_iter(&read(path, what)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(&error))?;
    if found.is_empty() {
        return Err(failed(&io::Error::other("there is none in it")));
    }
    Ok(found)
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable {
        what,
        path: path.to_owned(),
        source,
    })
}

fn unusable(what: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { what, path: path.to_owned(), reason: reason.to_string() }
}

fn pair(files: &TlsFiles, reason: impl std::fmt::Display) -> TlsError {
    TlsError::Pair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn write(directory: &Path) -> TlsFiles {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = directory.join("tls.crt");
        let key = directory.join("tls.key");
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        TlsFiles { certificate, key, client_roots: None }
    }

    #[test]
    fn changed_files_are_read_again_and_broken_ones_do_no_harm() {
        let directory = tempfile::tempdir().unwrap();
        let tls = Tls::read(write(directory.path())).unwrap();
        let (first, _) = tls.current();
        assert!(Arc::ptr_eq(&first, &tls.current().0));
        write(directory.path());
        let (second, failure) = tls.current();
        assert!(!Arc::ptr_eq(&first, &second) && failure.is_none());
        fs::write(directory.path().join("tls.key"), "no key").unwrap();
        let (third, failure) = tls.current();
        assert!(Arc::ptr_eq(&second, &third));
        let failure = failure.unwrap().to_string();
        assert!(failure.contains("tls.key`"), "{failure}");
        assert!(tls.current().1.is_none(), "said once");
    }

    #[test]
    fn files_that_do_not_fit_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let files = write(directory.path());
        let error = |files: TlsFiles| Tls::read(files).err().unwrap().to_string();
        let missing = TlsFiles { key: directory.path().join("nowhere"), ..files.clone() };
        assert!(error(missing).contains("a private key from `"));
        let swapped = TlsFiles { certificate: files.key.clone(), ..files.clone() };
        assert!(error(swapped).contains("there is none in it"));
        let other = tempfile::tempdir().unwrap();
        let mixed = TlsFiles { key: write(other.path()).key, ..files.clone() };
        assert!(error(mixed).starts_with("failed to use certificate"));
        let empty = directory.path().join("empty");
        fs::write(&empty, "").unwrap();
        let roots = TlsFiles { client_roots: Some(empty), ..files };
        assert!(error(roots).contains("roots of client certificates"));
    }
}
