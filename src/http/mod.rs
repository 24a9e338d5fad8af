//! The HTTP port. Only this module knows axum.

pub mod client;
mod ops;

pub use ops::{Readiness, router};

pub use axum::Router;

/// Serves a router until `shutdown`.
///
/// # Errors
/// The operating system's.
pub async fn serve(
    listener: tokio::net::TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}
