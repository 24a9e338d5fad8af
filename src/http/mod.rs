//! The HTTP port. Only this module knows axum.

pub mod client;
mod akismet;
mod body;
mod calls;
mod console;
mod ops;
mod peer;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use axum::middleware::from_fn;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

pub use akismet::Akismet;
#[cfg(any(test, fuzzing))]
pub use akismet::fuzz_akismet;
pub use axum::Router;
pub use console::{CONSOLE_PATH, Console, ConsoleOptions};
pub use ops::Readiness;

use crate::tls::Certificates;
use peer::Peer;

/// How long a client may take for the headers of a request, the first byte included.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that are kept of a request's headers before it is refused.
const HEADER_BYTES_MAX: usize = 64 << 10;
/// How long a client may leave unread what it was sent (RFC 5482), so that who reads nothing keeps
/// no connection. It counts from when nothing more arrived there.
#[cfg(target_os = "linux")]
const UNREAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Headers of a request. WordPress sends 6, browsers behind two proxies 30.
const HEADER_COUNT_MAX: usize = 100;

/// All that the HTTP port answers.
pub fn router(
    readiness: watch::Receiver<Readiness>,
    metrics: PrometheusHandle,
    console: Console,
    akismet: Akismet,
) -> Router {
    let observed = console::router(console).merge(akismet::router(akismet));
    ops::router(readiness, metrics).merge(observed.layer(from_fn(calls::observe)))
}

/// Serves a router until `shutdown`, at most `connection_count_max` connections at once; further
/// ones wait. Then requests under way are answered.
///
/// axum's own server has neither limit.
///
/// # Errors
/// None at present; single connections are only logged.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Certificates>,
    connection_count_max: usize,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let permits = Arc::new(Semaphore::new(connection_count_max));
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            () = &mut shutdown => break,
        };
        let (stream, peer, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file handles, mostly: accepting again at once would spin.
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let router = router.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request
        });
        let service = TowerToHyperService::new(router);
        let (tls, watcher) = (tls.clone(), graceful.watcher());
        tokio::spawn(async move {
            let mut builder = http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(HEADER_BYTES_MAX)
                .max_headers(HEADER_COUNT_MAX);
            let served = match tls {
                None => {
                    let connection = builder.serve_connection(TokioIo::new(stream), service);
                    watcher.watch(connection).await
                }
                Some(tls) => {
                    let stream = match tls.accept(stream).await {
                        Ok(stream) => stream,
                        Err(error) => {
                            tracing::debug!(error = %error, "a TLS handshake did not succeed");
                            return;
                        }
                    };
                    let connection = builder.serve_connection(TokioIo::new(stream), service);
                    watcher.watch(connection).await
                }
            };
            if let Err(error) = served {
                tracing::debug!(error = %error, "an HTTP connection ended early");
            }
            drop(permit);
        });
    }
    graceful.shutdown().await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Peer, OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD_TIMEOUT))?;
    Ok((stream, Peer(address), permit))
}
