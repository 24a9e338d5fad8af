//! A site's software that takes webhooks: HTTPS on a free port, with a certificate of its own.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ServerConfig};

/// What a receiver does with the next message.
#[derive(Debug, Clone)]
pub enum Answer {
    /// This status, with these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// Nothing, for good.
    Hang,
}

/// What arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Arrived {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

#[derive(Default)]
struct State {
    arrived: Vec<Arrived>,
    /// What to do with the next messages; then 204.
    answers: VecDeque<Answer>,
}

/// A receiver that runs until it is dropped.
pub struct Receiver {
    state: Arc<Mutex<State>>,
    port: u16,
    certificate: NamedTempFile,
    key: NamedTempFile,
    task: AbortHandle,
}

impl Receiver {
    /// Starts one. Its certificate is for `localhost` alone.
    pub async fn start() -> Self {
        let names = ["localhost".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let mut certificate = NamedTempFile::new().unwrap();
        certificate.write_all(cert.pem().as_bytes()).unwrap();
        let mut key_file = NamedTempFile::new().unwrap();
        key_file.write_all(signing_key.serialize_pem().as_bytes()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let task = tokio::spawn(accept(listener, acceptor, state.clone())).abort_handle();
        Self { state, port, certificate, key: key_file, task }
    }

    /// The file of the certificate, for those who trust it.
    pub fn certificate(&self) -> &str {
        self.certificate.path().to_str().unwrap()
    }

    /// The file of the key, for a server with the same certificate.
    pub fn key(&self) -> &str {
        self.key.path().to_str().unwrap()
    }

    pub fn uri(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// What to do with the next messages.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.lock().unwrap().answers.extend(answers);
    }

    /// All that arrived so far.
    pub fn arrived(&self) -> Vec<Arrived> {
        self.state.lock().unwrap().arrived.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<Mutex<State>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (acceptor, state) = (acceptor.clone(), state.clone());
        tokio::spawn(async move {
            // Who does not trust the certificate hangs up here.
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| take(request, state.clone()));
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn take(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let answer = {
        let mut state = state.lock().unwrap();
        let path = head.uri.to_string();
        state.arrived.push(Arrived { path, headers: head.headers, body });
        state.answers.pop_front()
    };
    let (status, headers) = match answer {
        None => (204, Vec::new()),
        Some(Answer::Status(status, headers)) => (status, headers),
        Some(Answer::Hang) => {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            (204, Vec::new())
        }
    };
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(Bytes::from_static(b"thank you"))).unwrap())
}
