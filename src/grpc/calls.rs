//! What every gRPC call has: an id of the caller's, in the log and in the answer, and a trace.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use prost_reflect::DescriptorPool;
use tonic::Status;
use tonic::codegen::http::{HeaderValue, Request, Response};
use tower::{Layer, Service};

use super::proto;
use crate::telemetry::{CALL_ID_HEADER, Observed, Surface};

/// How every method is called that no contract has.
const UNKNOWN: &str = "unknown";

/// The methods that traces name: those of our contract and of health checks.
static METHODS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let sets = [proto::DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET];
    let pools = sets.into_iter().filter_map(|set| DescriptorPool::decode(set).ok());
    let mut methods = HashSet::new();
    for service in pools.flat_map(|pool| pool.services().collect::<Vec<_>>()) {
        let name = |method: &str| format!("{}/{method}", service.full_name());
        methods.extend(service.methods().map(|method| name(method.name())));
    }
    methods
});

/// Puts [`Calls`] around a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallLayer;

impl<S> Layer<S> for CallLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Calls<S> {
        Calls { inner }
    }
}

/// A service whose calls are observed.
#[derive(Debug, Clone)]
pub(super) struct Calls<S> {
    inner: S,
}

impl<S, B, A> Service<Request<B>> for Calls<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Future: Send + 'static,
{
    type Response = Response<A>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<A>, S::Error>> + Send>>;

    fn poll_ready(&mut self, ctx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(ctx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let headers = request.headers();
        let path = request.uri().path().trim_start_matches('/');
        let surface = Surface::Grpc { method: METHODS.get(path).map_or(UNKNOWN, String::as_str) };
        let observed = Observed::begin(surface, |name| headers.get(name)?.to_str().ok());
        let work = observed.instrument(self.inner.call(request));
        Box::pin(async move {
            let mut response = work.await?;
            // An answer's own code stands in its trailers, and is 0; errors have no body.
            let code = response.headers().get(Status::GRPC_STATUS);
            let code = code.and_then(|code| code.to_str().ok()?.parse().ok()).unwrap_or(0);
            observed.answered_grpc(code);
            if let Ok(id) = HeaderValue::from_str(observed.id().as_str()) {
                response.headers_mut().insert(CALL_ID_HEADER, id);
            }
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_those_of_the_contract() {
        assert!(METHODS.contains("replyguard.v1.CommentService/CheckComment"));
        assert!(METHODS.contains("google.longrunning.Operations/GetOperation"));
        assert!(METHODS.contains("grpc.health.v1.Health/Check"));
    }
}
