//! One GET, for probes.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Bytes of an answer that are read.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Status and body of an `http` URL.
///
/// # Errors
/// One sentence: the URL is none, nobody answers, or the answer is no HTTP.
pub async fn get(url: &str) -> Result<(u16, String), String> {
    let uri: Uri = url.parse().map_err(|error| format!("no URL: {error}"))?;
    if uri.scheme_str() != Some("http") {
        return Err("an http URL is expected".into());
    }
    let authority = uri.authority().ok_or("the URL has no host")?.clone();
    let address = (authority.host(), authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let text = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority.as_str())
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(text)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
