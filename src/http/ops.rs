//! What the operator's monitoring asks for: health, readiness, metrics.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

/// Whether this process can answer calls now, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Calls are answered.
    Ready,
    /// Calls would fail for this reason.
    NotReady(String),
}

struct Ops {
    readiness: watch::Receiver<Readiness>,
    metrics: PrometheusHandle,
}

/// The routes `/healthz`, `/readyz` and `/metrics`.
pub(super) fn router(readiness: watch::Receiver<Readiness>, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(Arc::new(Ops { readiness, metrics }))
}

async fn ready(State(ops): State<Arc<Ops>>) -> Response {
    match &*ops.readiness.borrow() {
        Readiness::Ready => "ready\n".into_response(),
        Readiness::NotReady(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response()
        }
    }
}

async fn render(State(ops): State<Arc<Ops>>) -> Response {
    let form = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (form, ops.metrics.render()).into_response()
}
