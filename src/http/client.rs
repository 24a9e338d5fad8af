//! One request, for probes.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::{Method, Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::task::AbortOnDropHandle;

/// Bytes of an answer that are read.
const BODY_BYTES_MAX: usize = 64 << 10;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; bytes that are no UTF-8 are replaced.
    pub body: String,
}

/// Status and body of a URL.
///
/// # Errors
/// One sentence: the URL is none, nobody answers, or the answer is no HTTP.
pub async fn get(url: &str) -> Result<(u16, String), String> {
    let answer = send(Method::GET, url, &[], String::new()).await?;
    Ok((answer.status, answer.body))
}

/// Sends a form to a URL, with more headers; a `host` among them goes before the URL's own.
///
/// # Errors
/// As those of [`get`].
pub async fn post(url: &str, headers: &[(&str, &str)], body: String) -> Result<Answer, String> {
    let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    send(Method::POST, url, &[&form, headers].concat(), body).await
}

async fn send(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Result<Answer, String> {
    let uri: Uri = url.parse().map_err(|error| format!("no URL: {error}"))?;
    let authority = uri.authority().ok_or("the URL has no host")?.clone();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let known = request.headers_mut();
    let host = HeaderValue::try_from(authority.as_str()).map_err(|error| error.to_string())?;
    known.insert(header::HOST, host);
    for (name, value) in headers {
        let name = HeaderName::try_from(*name).map_err(|error| error.to_string())?;
        known.insert(name, HeaderValue::try_from(*value).map_err(|error| error.to_string())?);
    }
    let (encrypted, usual_port) = match uri.scheme_str() {
        Some("http") => (false, 80),
        Some("https") => (true, 443),
        _ => return Err("an http or https URL is expected".into()),
    };
    let address = (authority.host(), authority.port_u16().unwrap_or(usual_port));
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    if !encrypted {
        return exchange(TokioIo::new(stream), request).await;
    }
    let name = ServerName::try_from(authority.host().to_owned()).map_err(|e| e.to_string())?;
    let stream = connector()?.connect(name, stream).await.map_err(|error| error.to_string())?;
    exchange(TokioIo::new(stream), request).await
}

/// TLS with the web's certificates.
fn connector() -> Result<TlsConnector, String> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, String>
where
    S: Read + Write + Unpin + Send + 'static,
{
    let text = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(stream).await.map_err(text)?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let response = sender.send_request(request).await.map_err(text)?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}
