//! What every request of the HTTP port has: an id of the caller's, in the log and in the answer, a
//! trace, and its place in the metrics.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;

use crate::telemetry::{CALL_ID_HEADER, Observed, Surface, count_request};

/// How a path is called that no route has.
const NO_ROUTE: &str = "none";

/// Observes a request.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let method = request.method().clone();
    let headers = request.headers();
    let surface = Surface::Http { method: method.as_str(), route };
    let observed = Observed::begin(surface, |name| headers.get(name)?.to_str().ok());
    let mut response = observed.instrument(next.run(request)).await;
    let status = response.status().as_u16();
    observed.answered_http(status);
    count_request(route, status, begin.elapsed());
    if let Ok(id) = HeaderValue::from_str(observed.id().as_str()) {
        response.headers_mut().insert(CALL_ID_HEADER, id);
    }
    response
}
