//! One POST: resolve, judge, connect, encrypt, send, read the answer's head.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use tokio_util::task::AbortOnDropHandle;

use super::target::is_public;
use crate::domain::WebhookUri;
use crate::moderation::ports::webhooks::{Receipt, SendError, WebhookMessage, WebhookSender};

/// Addresses of a name that are tried.
const ADDRESS_COUNT_MAX: usize = 4;
/// How long one of them may take to take the connection: all four together stay within the time of
/// a message, so one that is silent leaves the others their turn. Twice the second after which a
/// lost first packet is sent again.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of an answer's body that are taken, so that the receiver can end in peace.
const BODY_BYTES_MAX: usize = 64 << 10;
/// How long its body is waited for, after the time for the message.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// How messages are sent.
#[derive(Debug, Clone)]
pub struct SenderOptions {
    /// Whether addresses of the service's own network may be used, and http to them.
    pub private_targets: bool,
    /// Certificates (PEM) to trust besides those of the web.
    pub ca_file: Option<PathBuf>,
    /// The time for a message, from the name to the head of the answer.
    pub timeout: Duration,
}

impl Default for SenderOptions {
    fn default() -> Self {
        Self { private_targets: false, ca_file: None, timeout: Duration::from_secs(10) }
    }
}

/// Sends messages over HTTP/1.1 and TLS.
pub struct HttpsSender {
    tls: TlsConnector,
    private_targets: bool,
    timeout: Duration,
}

impl HttpsSender {
    /// A sender with these options.
    ///
    /// # Errors
    /// One sentence: the file of certificates cannot be read.
    pub fn new(options: &SenderOptions) -> Result<Self, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = &options.ca_file {
            add_certificates(&mut roots, path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            private_targets: options.private_targets,
            timeout: options.timeout,
        })
    }

    /// Whether a message may go to this address.
    fn passes(&self, uri: &WebhookUri, address: IpAddr) -> Result<(), SendError> {
        match (is_public(address), self.private_targets) {
            (false, false) => Err(SendError::PrivateTarget),
            (true, _) if !uri.is_encrypted() => Err(SendError::Unencrypted),
            _ => Ok(()),
        }
    }

    /// The addresses of the host that may be used, as far as they are tried.
    async fn resolve(&self, uri: &WebhookUri) -> Result<Vec<SocketAddr>, SendError> {
        let found = tokio::net::lookup_host((uri.host(), uri.port())).await;
        let found: Vec<_> = found.map_err(|_| SendError::Unresolved)?.collect();
        let mut refused = SendError::Unresolved;
        let mut passed = Vec::new();
        for address in found {
            match self.passes(uri, address.ip()) {
                Ok(()) => passed.push(address),
                Err(error) => refused = error,
            }
        }
        passed.truncate(ADDRESS_COUNT_MAX);
        if passed.is_empty() { Err(refused) } else { Ok(passed) }
    }

    async fn exchange(&self, message: WebhookMessage) -> Result<Answer, SendError> {
        self.accepts(&message.uri)?;
        let addresses = self.resolve(&message.uri).await?;
        let stream = connect(&addresses, ADDRESS_TIMEOUT).await?;
        if !message.uri.is_encrypted() {
            return post(stream, message).await;
        }
        let name = ServerName::try_from(message.uri.host()).map_err(|_| SendError::Unresolved)?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| tls_error(&error))?;
        post(stream, message).await
    }
}

#[async_trait]
impl WebhookSender for HttpsSender {
    fn accepts(&self, uri: &WebhookUri) -> Result<(), SendError> {
        if !uri.is_encrypted() && !self.private_targets {
            return Err(SendError::Unencrypted);
        }
        uri.host().parse().map_or(Ok(()), |address| self.passes(uri, address))
    }

    async fn send(&self, message: WebhookMessage) -> Result<Receipt, SendError> {
        let sent = tokio::time::timeout(self.timeout, self.exchange(message)).await;
        let answer = sent.unwrap_or(Err(SendError::TimedOut))?;
        Ok(answer.end().await)
    }
}

/// An answer whose head has come.
struct Answer {
    receipt: Receipt,
    body: Incoming,
    /// Carries the body, and ends with the answer.
    _connection: AbortOnDropHandle<Result<(), hyper::Error>>,
}

impl Answer {
    /// Takes what little of the body may still come. What it says is not needed, so an answer whose
    /// body does not end is as good as its head.
    async fn end(self) -> Receipt {
        let body = Limited::new(self.body, BODY_BYTES_MAX).collect();
        let _ = tokio::time::timeout(BODY_TIMEOUT, body).await;
        self.receipt
    }
}

fn add_certificates(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    let mut count = 0;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        count += 1;
    }
    if count == 0 { Err("there is no certificate in it".into()) } else { Ok(()) }
}

/// A connection to the first address that takes one within `patience`.
async fn connect(addresses: &[SocketAddr], patience: Duration) -> Result<TcpStream, SendError> {
    for address in addresses {
        let taken = tokio::time::timeout(patience, TcpStream::connect(address)).await;
        if let Ok(Ok(stream)) = taken {
            return Ok(stream);
        }
    }
    Err(SendError::Unreachable)
}

/// What a failed handshake means.
fn tls_error(error: &io::Error) -> SendError {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(_)) => SendError::Untrusted,
        _ => SendError::Garbled,
    }
}

/// Sends a message; answers once the head of the answer is there.
async fn post<S>(stream: S, message: WebhookMessage) -> Result<Answer, SendError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let garbled = |_| SendError::Garbled;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|_| SendError::Garbled)?;
    // Ends with this function, also when its time is over, or with the answer.
    let connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let mut request = Request::post(message.uri.path_and_query())
        .header(header::HOST, message.uri.authority())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("replyguard/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close");
    for (name, value) in message.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(message.body)));
    let request = request.map_err(|_| SendError::Unresolved)?;
    let response = sender.send_request(request).await.map_err(garbled)?;
    let receipt = receipt(&response);
    Ok(Answer { receipt, body: response.into_body(), _connection: connection })
}

fn receipt(response: &Response<Incoming>) -> Receipt {
    let retry_after = response.headers().get(header::RETRY_AFTER);
    // A date is not taken: waits grow without it too.
    let seconds = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Receipt { status: response.status().as_u16(), retry_after_s: seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(private_targets: bool, uri: &str) -> Result<(), SendError> {
        let options = SenderOptions { private_targets, ..SenderOptions::default() };
        HttpsSender::new(&options).unwrap().accepts(&uri.parse().unwrap())
    }

    #[test]
    fn addresses_that_show_it_are_refused_at_once() {
        assert_eq!(accepts(false, "https://blog.example.org/"), Ok(()));
        assert_eq!(accepts(false, "http://blog.example.org/"), Err(SendError::Unencrypted));
        for private in ["https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/"] {
            assert_eq!(accepts(false, private), Err(SendError::PrivateTarget), "{private}");
            assert_eq!(accepts(true, private), Ok(()), "{private}");
        }
        assert_eq!(accepts(true, "http://10.0.0.1/"), Ok(()));
        assert_eq!(accepts(true, "http://1.1.1.1/"), Err(SendError::Unencrypted));
    }

    /// An address that answers no packet: what waits for its listener is as much as it takes. The
    /// listener and the connections keep it so.
    async fn silent() -> (SocketAddr, tokio::net::TcpListener, Vec<TcpStream>) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        let brief = Duration::from_millis(200);
        while let Ok(stream) = tokio::time::timeout(brief, TcpStream::connect(address)).await {
            waiting.push(stream.unwrap());
        }
        (address, listener, waiting)
    }

    #[tokio::test]
    async fn a_silent_address_leaves_the_next_its_turn() {
        let (silent, _listener, _waiting) = silent().await;
        let healthy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = healthy.local_addr().unwrap();
        let patience = Duration::from_millis(200);
        let stream = connect(&[silent, address], patience).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        let nobody = connect(&[silent], patience).await;
        assert_eq!(nobody.err(), Some(SendError::Unreachable));
        assert!(ADDRESS_TIMEOUT * ADDRESS_COUNT_MAX as u32 <= SenderOptions::default().timeout);
    }

    #[test]
    fn bad_files_of_certificates_are_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no certificate").unwrap();
        let options =
            SenderOptions { ca_file: Some(file.path().to_owned()), ..SenderOptions::default() };
        let error = HttpsSender::new(&options).err().unwrap();
        assert!(error.ends_with("there is no certificate in it"), "{error}");
    }
}
