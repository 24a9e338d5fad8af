//! Whether calls are under way on a connection, from their headers to the last byte of the answer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::body::{Bytes, Frame, SizeHint};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use super::connection::Peer;

/// The calls of one connection.
pub(super) struct Activity {
    begin: Instant,
    call_count: AtomicUsize,
    /// Milliseconds from `begin` to the end of the last call, and one more; 0: there was none.
    last_end_ms: AtomicU64,
}

impl Activity {
    /// A connection that begins now.
    pub(super) fn new(begin: Instant) -> Self {
        Self { begin, call_count: AtomicUsize::new(0), last_end_ms: AtomicU64::new(0) }
    }

    /// Whether a call is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.call_count.load(Ordering::Relaxed) > 0
    }

    /// When the last call ended.
    pub(super) fn last_end(&self) -> Option<Instant> {
        let ms = self.last_end_ms.load(Ordering::Relaxed);
        ms.checked_sub(1).map(|ms| self.begin + Duration::from_millis(ms))
    }
}

/// A call under way; it ends when this is dropped.
struct UnderWay(Arc<Activity>);

impl UnderWay {
    fn begin(activity: Arc<Activity>) -> Self {
        activity.call_count.fetch_add(1, Ordering::Relaxed);
        Self(activity)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let elapsed = self.0.begin.elapsed().as_millis();
        let ms = u64::try_from(elapsed).unwrap_or(u64::MAX - 1) + 1;
        self.0.last_end_ms.store(ms, Ordering::Relaxed);
        self.0.call_count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts the calls of each connection.
#[derive(Clone)]
pub(super) struct CountCalls;

impl<S> Layer<S> for CountCalls {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting(inner)
    }
}

/// A service whose calls are counted.
#[derive(Clone)]
pub(super) struct Counting<S>(S);

impl<S> Service<Request<Body>> for Counting<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, ctx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(ctx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let peer = request.extensions().get::<Peer>();
        let under_way = peer.map(|peer| UnderWay::begin(peer.activity.clone()));
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(match under_way {
                Some(under_way) => answer.map(|body| CountedBody::around(body, under_way)),
                None => answer,
            })
        })
    }
}

/// The body of an answer that ends its call.
struct CountedBody {
    body: Body,
    _under_way: UnderWay,
}

impl CountedBody {
    fn around(body: Body, under_way: UnderWay) -> Body {
        // An answer without a body is over.
        match hyper::body::Body::is_end_stream(&body) {
            true => body,
            false => Body::new(Self { body, _under_way: under_way }),
        }
    }
}

impl hyper::body::Body for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(ctx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
