//! What holds for every page: headers against embedding, sniffing and foreign scripts, and where
//! a request comes from.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::{Console, cookies};

/// Nothing but our own files; no inline style or script; nobody embeds us.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";

/// Sent with every answer. The referrer stays on the console, since invitations are links;
/// `no-referrer` would take the origin from our own forms.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// A year; browsers then never come by http again.
const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000";

/// Puts the headers on every answer. Pages are kept by no cache; assets say otherwise themselves.
/// A message that a page has shown is removed.
pub(super) async fn guard(
    State(console): State<Console>,
    request: Request,
    next: Next,
) -> Response {
    let flashed = cookies::read(request.headers(), cookies::FLASH).is_some();
    let mut response = next.run(request).await;
    let is_page = response.status() == StatusCode::OK;
    let headers = response.headers_mut();
    if flashed && is_page && !headers.contains_key(header::CACHE_CONTROL) {
        headers.append(header::SET_COOKIE, cookies::remove(&console, cookies::FLASH));
    }
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if console.is_https() {
        let value = HeaderValue::from_static(STRICT_TRANSPORT_SECURITY);
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    let fresh = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(fresh);
    response
}

/// Whether a request that changes something was sent by one of our own pages, as far as the
/// browser says. Those that say nothing are caught by the form's token.
pub(super) fn is_own(console: &Console, headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    match console.public_url() {
        Some(url) => origin.as_bytes().eq_ignore_ascii_case(url.as_bytes()),
        None => {
            let host = headers.get(header::HOST).map_or(&b""[..], HeaderValue::as_bytes);
            let origin = origin.as_bytes();
            let plain = origin.strip_prefix(b"http://");
            // This port may speak TLS itself, or a proxy before it that nobody told us of.
            let own = plain.or_else(|| origin.strip_prefix(b"https://"));
            own.is_some_and(|own| !host.is_empty() && own.eq_ignore_ascii_case(host))
        }
    }
}

/// Whether a method only reads.
pub(super) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
