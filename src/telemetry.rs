//! Logs, metrics and traces. None ever holds a comment's text, an address or an IP.

mod calls;
mod traces;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::filter::Directive;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{LogFormat, TelemetryConfig};
use crate::domain::{Degraded, Verdict};
pub use calls::{CALL_ID_HEADER, CallId, Observed, Surface, TRACE_TARGET};
pub use traces::Traces;

/// Starts logging to standard error, and sending traces if a collector is configured.
///
/// # Errors
/// A sentence if the filter cannot be read, the collector's address cannot be used, or logging was
/// started before.
pub fn start_logging(config: &TelemetryConfig) -> Result<Option<Traces>, String> {
    let filter = log_filter(config)?;
    // Spans of traces are not for logs.
    let untraced: Directive =
        format!("{TRACE_TARGET}=off").parse().map_err(|_| "no filter".to_owned())?;
    let filter = filter.add_directive(untraced);
    let Some(traces) = Traces::start(config)? else {
        // One filter for all: what it turns off costs nothing where it stands.
        let registry = Registry::default().with(filter).with(lines(config.log_format));
        registry.try_init().map_err(|error| error.to_string())?;
        return Ok(None);
    };
    let lines = lines(config.log_format).with_filter(filter);
    let registry = Registry::default().with(lines).with(traces.layer());
    registry.try_init().map_err(|error| error.to_string())?;
    Ok(Some(traces))
}

/// Whether logging can start with these settings.
///
/// # Errors
/// A sentence if the filter cannot be read.
pub fn check_logging(config: &TelemetryConfig) -> Result<(), String> {
    log_filter(config).map(drop)
}

/// What is logged.
fn log_filter(config: &TelemetryConfig) -> Result<EnvFilter, String> {
    EnvFilter::try_new(&config.log)
        .map_err(|error| format!("telemetry.log: `{}` is no filter: {error}", config.log))
}

/// What writes log lines.
fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    // A line that cannot be written (the disk is full) is lost. Told of on standard error, which
    // cannot be written either, it would end the call that logged it.
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
    }
}

/// Upper bounds of the duration histogram, in seconds: from a scored comment (20 µs) to a call's
/// own limit (10 s).
const DURATION_BOUNDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];

/// Starts collecting metrics for this process.
///
/// # Errors
/// A sentence if metrics were started before.
pub fn start_metrics() -> Result<PrometheusHandle, String> {
    let durations = Matcher::Suffix("duration_seconds".into());
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(durations, &DURATION_BOUNDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| error.to_string())?;
    metrics::describe_counter!("replyguard_calls_total", "gRPC calls by method and outcome");
    metrics::describe_histogram!("replyguard_call_duration_seconds", "gRPC calls by method");
    metrics::describe_counter!("replyguard_verdicts_total", "Checked comments by verdict");
    metrics::describe_counter!(
        "replyguard_degraded_total",
        "Checked comments by the part of the service that did not do its work"
    );
    metrics::describe_gauge!(
        "replyguard_redis_breaker_open",
        "Whether Redis is given up for now, by what it is asked for"
    );
    metrics::describe_counter!(
        "replyguard_log_ins_total",
        "Attempts to sign in to the console by outcome: ok, refused, limited, failed"
    );
    metrics::describe_counter!(
        "replyguard_webhook_attempts_total",
        "Attempts to deliver to a webhook by outcome: delivered, or why not"
    );
    metrics::describe_gauge!(
        "replyguard_webhook_dead_deliveries",
        "Deliveries to webhooks that were given up and not replayed"
    );
    metrics::describe_counter!(
        "replyguard_retention_removed_total",
        "Rows that retention removed by kind: comments, audit-entries, deliveries"
    );
    metrics::describe_counter!("replyguard_labels_total", "Labels by reporter and label");
    metrics::describe_gauge!(
        "replyguard_drift_index",
        "Population stability index of a site's last comments; from 0.25 on they changed, NaN where \
         that is not measured"
    );
    describe_rest();
    begin_at_zero();
    Ok(handle)
}

/// What is rarer than calls and verdicts.
fn describe_rest() {
    metrics::describe_counter!(
        "replyguard_http_requests_total",
        "HTTP requests by route and class of status, without those for health and metrics"
    );
    metrics::describe_histogram!(
        "replyguard_http_request_duration_seconds",
        "HTTP requests by route"
    );
    metrics::describe_counter!(
        "replyguard_failed_keys_total",
        "Calls with a key that is none by surface: grpc, akismet"
    );
    metrics::describe_counter!(
        "replyguard_limited_total",
        "Calls that a limit of the port refused by limit: call, failed-key"
    );
    metrics::describe_gauge!(
        "replyguard_certificate_expiry_timestamp_seconds",
        "When the certificate of the port ends, by port"
    );
    metrics::describe_counter!(
        "replyguard_unusable_certificates_total",
        "Changed certificates that could not be used by port; the ones before go on"
    );
    metrics::describe_counter!(
        "replyguard_shadow_disagreements_total",
        "Comments that a model in shadow mode would have judged otherwise"
    );
    metrics::describe_counter!(
        "replyguard_unusable_models_total",
        "Models of sites that this version could not load; the base model decides there"
    );
    metrics::describe_histogram!(
        "replyguard_store_batch_jobs",
        "Writes that one transaction of the store carried"
    );
    metrics::describe_gauge!(
        "replyguard_news_connected",
        "Whether this replica hears what others on the same PostgreSQL database change"
    );
    metrics::describe_gauge!("replyguard_build_info", "1, with the version of program and model");
}

/// Counters that are rare begin at zero, so that the first increase is one: `rate` sees no
/// increase in a series that appears with its first value.
fn begin_at_zero() {
    for verdict in [Verdict::Approve, Verdict::Hold, Verdict::Reject] {
        metrics::counter!("replyguard_verdicts_total", "verdict" => verdict.as_str()).absolute(0);
    }
    for part in Degraded::ALL {
        metrics::counter!("replyguard_degraded_total", "part" => part.as_str()).absolute(0);
    }
    for outcome in ["ok", "refused", "limited", "failed"] {
        metrics::counter!("replyguard_log_ins_total", "outcome" => outcome).absolute(0);
    }
    metrics::counter!("replyguard_webhook_attempts_total", "outcome" => "delivered").absolute(0);
    metrics::counter!("replyguard_shadow_disagreements_total").absolute(0);
    metrics::counter!("replyguard_unusable_models_total").absolute(0);
    for part in ["rate-limit", "recent-content"] {
        metrics::gauge!("replyguard_redis_breaker_open", "part" => part).set(0.0);
    }
}

/// Says which version runs, with which model for sites without one of their own.
pub fn tell_version(model_version: &str) {
    let labels =
        [("version", env!("CARGO_PKG_VERSION").to_owned()), ("model", model_version.to_owned())];
    metrics::gauge!("replyguard_build_info", &labels).set(1.0);
}

/// Counts an answered HTTP request. Routes are ours, so there are few.
pub(crate) fn count_request(route: &str, status: u16, took: Duration) {
    let class = match status {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    let labels = [("route", route.to_owned()), ("status", class.to_owned())];
    metrics::counter!("replyguard_http_requests_total", &labels).increment(1);
    let route = [("route", route.to_owned())];
    metrics::histogram!("replyguard_http_request_duration_seconds", &route)
        .record(took.as_secs_f64());
}

/// The process's own figures (memory, CPU, file handles), fresh with each call. Under the names
/// that Prometheus' client libraries use.
pub struct ProcessMetrics(metrics_process::Collector);

impl ProcessMetrics {
    /// Describes them.
    pub fn start() -> Self {
        let collector = metrics_process::Collector::default();
        collector.describe();
        Self(collector)
    }

    /// Reads them.
    pub fn collect(&self) {
        self.0.collect();
    }
}

/// A call under way, counted and timed when it ends. One that is dropped before, because its
/// caller went away or its deadline passed, counts as `cancelled`.
pub struct Call {
    method: &'static str,
    begin: Instant,
    ended: bool,
}

impl Call {
    /// A call of this method begins.
    pub fn begin(method: &'static str) -> Self {
        Self { method, begin: Instant::now(), ended: false }
    }

    /// It ends, well or for a reason.
    pub fn end(mut self, error: Option<&'static str>) {
        self.ended = true;
        self.count(error.unwrap_or("ok"));
    }

    fn count(&self, outcome: &'static str) {
        metrics::counter!("replyguard_calls_total", "method" => self.method, "outcome" => outcome)
            .increment(1);
        metrics::histogram!("replyguard_call_duration_seconds", "method" => self.method)
            .record(self.begin.elapsed().as_secs_f64());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            self.count("cancelled");
        }
    }
}
