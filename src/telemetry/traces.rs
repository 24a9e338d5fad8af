//! Traces, sent to a collector by OTLP over gRPC.
//!
//! What is sent are the spans under [`TRACE_TARGET`] with the few fields that they are made with,
//! and no log lines. Spans wait in a queue of bounded length for a thread of their own; when the
//! collector is slow or dead the queue is full and further spans are dropped, so no call ever waits.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider,
};
use tokio::runtime::Runtime;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use super::calls::TRACE_TARGET;
use crate::config::TelemetryConfig;

/// The header with the caller's trace (W3C Trace Context). Its companion `tracestate` may hold
/// anything and is not taken over.
pub(super) const TRACEPARENT: &str = "traceparent";
/// Spans that wait for the collector, at under a kilobyte each; further ones are dropped.
const QUEUE_LENGTH: usize = 4_096;
/// Spans in one message to the collector.
const BATCH_COUNT_MAX: usize = 512;
/// How long a span waits for others.
const BATCH_PERIOD: Duration = Duration::from_secs(1);
/// How long the collector may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last spans may take when the process ends.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// TLS that trusts the certificates of a file, or those of the web.
fn tls(ca_file: Option<&Path>) -> Result<ClientTlsConfig, String> {
    let Some(file) = ca_file else { return Ok(ClientTlsConfig::new().with_webpki_roots()) };
    let unreadable =
        |error: &dyn Display| format!("telemetry.otlp_ca_file: {}: {error}", file.display());
    let pem = std::fs::read(file).map_err(|error| unreadable(&error))?;
    if !CertificateDer::pem_slice_iter(&pem).any(|certificate| certificate.is_ok()) {
        return Err(unreadable(&"no certificate in it"));
    }
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
}

/// What sends traces. [`end`](Self::end) sends what still waits.
pub struct Traces {
    provider: SdkTracerProvider,
    /// The connection lives on threads of its own, so that it does not depend on serving ones.
    runtime: Runtime,
}

impl Traces {
    /// Starts sending to the configured collector, if there is one. It need not be there yet.
    ///
    /// # Errors
    /// A sentence: the address cannot be used, or no thread could be started.
    pub(super) fn start(config: &TelemetryConfig) -> Result<Option<Self>, String> {
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("traces")
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let entered = runtime.enter();
        let mut exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT);
        if endpoint.starts_with("https:") {
            exporter = exporter.with_tls_config(tls(config.otlp_ca_file.as_deref())?);
        }
        let exporter =
            exporter.build().map_err(|error| format!("telemetry.otlp_endpoint: {error}"))?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_LENGTH)
            .with_max_export_batch_size(BATCH_COUNT_MAX)
            .with_scheduled_delay(BATCH_PERIOD)
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        // Nothing of the environment or the machine.
        let resource =
            Resource::builder_empty().with_service_name("replyguard").with_attribute(version);
        let sampler = Sampler::TraceIdRatioBased(config.otlp_sample_ratio);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .with_resource(resource.build())
            .build();
        drop(entered);
        Ok(Some(Self { provider, runtime }))
    }

    /// What takes spans from the code, and only those that are meant for traces.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("replyguard"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(Targets::new().with_target(TRACE_TARGET, LevelFilter::TRACE))
    }

    /// Sends what waits, for two seconds at the most.
    pub fn end(self) {
        // A collector that is not there has been given up on before.
        let _ = self.provider.shutdown_with_timeout(END_TIMEOUT);
        self.runtime.shutdown_background();
    }
}

/// Makes the span part of the caller's trace, if the header is well formed.
pub(super) fn set_parent(span: &Span, traceparent: &str) {
    let context = TraceContextPropagator::new().extract(&Header(traceparent));
    // It fails for spans that no collector sees, which have no parent either.
    let _ = span.set_parent(context);
}

/// The one header.
struct Header<'a>(&'a str);

impl Extractor for Header<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}
