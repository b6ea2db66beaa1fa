//! TLS with files that may change while we run, and clients that must show a certificate.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::ExternalMetrics;

/// Why metrics are not served to Kubernetes.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds something else.
    #[error("{} is no PEM file with {what}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why it does not.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The files do not go together.
    #[error("the certificate in {} cannot be used with its key and the clients' authority", path.display())]
    Unusable {
        /// The certificate's.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on for external metrics; choose another")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Where certificates and keys are.
pub(super) struct Keys {
    cert: PathBuf,
    key: PathBuf,
    client_ca: PathBuf,
}

impl Keys {
    pub(super) fn of(config: &ExternalMetrics) -> Self {
        let ExternalMetrics { cert_file, key_file, client_ca_file, .. } = config.clone();
        Self { cert: cert_file, key: key_file, client_ca: client_ca_file }
    }

    /// When each of them was written last: whoever renews a certificate writes it anew.
    fn written(&self) -> [Option<SystemTime>; 3] {
        let written = |path: &PathBuf| path.metadata().and_then(|file| file.modified()).ok();
        [&self.cert, &self.key, &self.client_ca].map(written)
    }

    fn load(&self) -> Result<ServerConfig, TlsError> {
        let key = PrivateKeyDer::from_pem_file(&self.key);
        let key = key.map_err(|source| self::file(&self.key, "a private key", source))?;
        let mut authorities = RootCertStore::empty();
        for certificate in certificates(&self.client_ca)? {
            authorities.add(certificate).map_err(|error| self.unusable(error))?;
        }
        let clients = WebPkiClientVerifier::builder(authorities.into()).build();
        let clients = clients.map_err(|error| self.unusable(error))?;
        let config = ServerConfig::builder().with_client_cert_verifier(clients);
        let config = config.with_single_cert(certificates(&self.cert)?, key);
        config.map_err(|error| self.unusable(error))
    }

    fn unusable(&self, error: impl std::error::Error + Send + Sync + 'static) -> TlsError {
        TlsError::Unusable { path: self.cert.clone(), source: error.into() }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| file(path, "a certificate", source);
    let all = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(failed)?;
    if all.is_empty() {
        return Err(failed(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(all)
}

fn file(path: &Path, what: &'static str, source: rustls::pki_types::pem::Error) -> TlsError {
    TlsError::File { path: path.to_owned(), what, source }
}

/// Answers handshakes.
pub(super) struct Handshakes {
    keys: Keys,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    written: [Option<SystemTime>; 3],
    acceptor: TlsAcceptor,
}

impl Handshakes {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] if they cannot be used.
    pub(super) fn new(keys: Keys) -> Result<Self, TlsError> {
        let written = keys.written();
        let acceptor = TlsAcceptor::from(Arc::new(keys.load()?));
        Ok(Self { keys, loaded: Mutex::new(Loaded { written, acceptor }) })
    }

    /// Lets a client in that proves who it is.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        drop(stream.set_nodelay(true));
        let acceptor = self.current();
        acceptor.accept(stream).await
    }

    /// With the files as they are now; with those of before as long as they cannot be used.
    fn current(&self) -> TlsAcceptor {
        let written = self.keys.written();
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.written != written {
            loaded.written = written;
            match self.keys.load() {
                Ok(config) => loaded.acceptor = TlsAcceptor::from(Arc::new(config)),
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    tracing::warn!("external metrics keep the certificate of before: {error:#}");
                }
            }
        }
        loaded.acceptor.clone()
    }
}
