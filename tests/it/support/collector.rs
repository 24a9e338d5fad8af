//! A collector of traces: OTLP over gRPC on a free port.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tonic::metadata::MetadataMap;
use tonic::transport::{Identity, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// A collector that keeps what arrives, until it is dropped.
pub struct Collector {
    arrived: Arrived,
    address: String,
    task: AbortHandle,
}

#[derive(Clone, Default)]
struct Arrived(Arc<Mutex<Vec<(MetadataMap, ExportTraceServiceRequest)>>>);

#[tonic::async_trait]
impl TraceService for Arrived {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let headers = request.metadata().clone();
        self.0.lock().unwrap().push((headers, request.into_inner()));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Starts one.
    pub async fn start() -> Self {
        Self::serve("http", tonic::transport::Server::builder()).await
    }

    /// Starts one that speaks TLS, as `localhost`, with this certificate and key (PEM).
    pub async fn start_with_tls((certificate, key): (String, String)) -> Self {
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        Self::serve("https", tonic::transport::Server::builder().tls_config(tls).unwrap()).await
    }

    async fn serve(scheme: &str, mut server: tonic::transport::Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("{scheme}://{}", listener.local_addr().unwrap());
        let arrived = Arrived::default();
        let service = TraceServiceServer::new(arrived.clone());
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let served = server.add_service(service).serve_with_incoming(incoming);
        Self { arrived, address, task: tokio::spawn(served).abort_handle() }
    }

    /// `http://127.0.0.1:{port}`, or `https://` with TLS.
    pub fn endpoint(&self) -> String {
        self.address.clone()
    }

    /// Headers that came with what arrived, by name.
    pub fn header(&self, name: &str) -> Vec<String> {
        let arrived = self.arrived.0.lock().unwrap();
        let of = |(headers, _): &(MetadataMap, _)| headers.get(name)?.to_str().map(Into::into).ok();
        arrived.iter().filter_map(of).collect()
    }

    /// Everything that arrived, as it would be read.
    pub fn everything(&self) -> String {
        format!("{:#?}", self.arrived.0.lock().unwrap())
    }

    /// The spans that arrived.
    pub fn spans(&self) -> Vec<Span> {
        let arrived = self.arrived.0.lock().unwrap();
        let resources = arrived.iter().flat_map(|(_, request)| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| &scope.spans).cloned().collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An attribute of a span, as text; empty if it has none of that name.
pub fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}").replace("None", ""),
    }
}
