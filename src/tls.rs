//! TLS of both ports: certificates in files, which are read again when they change.
//!
//! Handshakes that are under way go on with what they began with. Files that do not fit together,
//! such as a certificate whose key is not written yet, change nothing.

use std::fmt::Display;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
pub use tokio_rustls::server::TlsStream;

/// How long a handshake may take. On a slow line it takes three round trips.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a port's certificates are, all PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain, the port's own certificate first.
    pub certificates: PathBuf,
    /// The key of the first of them.
    pub key: PathBuf,
    /// Certificates that sign those of clients, which then need one. Absent: clients need none.
    pub client_ca: Option<PathBuf>,
}

/// What tells whether files changed: each one's inode, length and time of change.
type Stamps = Vec<Option<(u64, u64, i64, i64)>>;

struct Current {
    config: Arc<ServerConfig>,
    expiry_time: OffsetDateTime,
    /// Of the files when they were last looked at, whether they were good or not.
    stamps: Stamps,
}

struct Shared {
    files: TlsFiles,
    protocols: Vec<Vec<u8>>,
    current: RwLock<Current>,
}

/// A port's certificates as they are now. Clones share them.
#[derive(Clone)]
pub struct Certificates(Arc<Shared>);

impl Certificates {
    /// Reads the files. `protocols` are those of the port in ALPN's words, the preferred first.
    ///
    /// # Errors
    /// One sentence that names the file, and nothing of what is in it.
    pub fn read(files: TlsFiles, protocols: &[&str]) -> Result<Self, String> {
        let protocols: Vec<_> = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stamps = stamps(&files);
        let (config, expiry_time) = server_config(&files, &protocols)?;
        let current = RwLock::new(Current { config, expiry_time, stamps });
        Ok(Self(Arc::new(Shared { files, protocols, current })))
    }

    /// Reads the files again, if one of them changed since the last time. With an error,
    /// everything stays as it was.
    ///
    /// # Errors
    /// As those of [`Self::read`], once for each change.
    pub fn read_again(&self) -> Result<bool, String> {
        let stamps = stamps(&self.0.files);
        let known = |current: &Current| current.stamps == stamps;
        if known(&self.0.current.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(false);
        }
        let read = server_config(&self.0.files, &self.0.protocols);
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        current.stamps = stamps;
        let (config, expiry_time) = read?;
        (current.config, current.expiry_time) = (config, expiry_time);
        Ok(true)
    }

    /// When the first certificate ends.
    pub fn expiry_time(&self) -> OffsetDateTime {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).expiry_time
    }

    /// Answers a handshake.
    ///
    /// # Errors
    /// The client's or the network's, and `TimedOut` after [`HANDSHAKE_TIMEOUT`].
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = {
            let current = self.0.current.read().unwrap_or_else(PoisonError::into_inner);
            current.config.clone()
        };
        let shaken = TlsAcceptor::from(config).accept(stream);
        tokio::time::timeout(HANDSHAKE_TIMEOUT, shaken)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

fn named(path: &Path, error: &dyn Display) -> String {
    format!("{}: {error}", path.display())
}

fn stamps(files: &TlsFiles) -> Stamps {
    let paths = [Some(&files.certificates), Some(&files.key), files.client_ca.as_ref()];
    let stamp = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
    };
    paths.into_iter().flatten().map(stamp).collect()
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let chain: Vec<_> = read.map_err(|error| named(path, &error))?;
    if chain.is_empty() {
        return Err(named(path, &"there is no certificate in it"));
    }
    Ok(chain)
}

fn server_config(
    files: &TlsFiles,
    protocols: &[Vec<u8>],
) -> Result<(Arc<ServerConfig>, OffsetDateTime), String> {
    let chain = read_certificates(&files.certificates)?;
    let (_, expiry_time) =
        validity(&chain[0]).map_err(|error| named(&files.certificates, &error))?;
    let private = PrivateKeyDer::from_pem_file(&files.key);
    let private = private.map_err(|error| named(&files.key, &error))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in read_certificates(path)? {
                roots.add(certificate).map_err(|error| named(path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|e| named(path, &e))?)
        }
    };
    let config = builder.with_single_cert(chain, private);
    let mut config = config.map_err(|error| named(&files.certificates, &error))?;
    config.alpn_protocols = protocols.to_vec();
    if files.client_ca.is_some() {
        // Of a session that is taken up again no certificate is looked at, so it would outlive that
        // of the client: each connection shakes hands anew.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok((Arc::new(config), expiry_time))
}

/// From when to when a certificate is good.
fn validity(certificate: &CertificateDer<'_>) -> Result<(OffsetDateTime, OffsetDateTime), String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_| "this is no X.509 certificate".to_owned())?;
    let time = |seconds| {
        OffsetDateTime::from_unix_timestamp(seconds)
            .map_err(|_| "the certificate is good at no time".to_owned())
    };
    let validity = parsed.validity();
    Ok((time(validity.not_before.timestamp())?, time(validity.not_after.timestamp())?))
}

/// From when to when the first certificate in a file (PEM), the port's own, is good.
///
/// # Errors
/// One sentence that names the file: it cannot be read, or there is none in it.
pub fn validity_in(path: &Path) -> Result<(OffsetDateTime, OffsetDateTime), String> {
    let chain = read_certificates(path)?;
    validity(&chain[0]).map_err(|error| named(path, &error))
}
