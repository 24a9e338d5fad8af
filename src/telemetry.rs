//! Logs and metrics. Neither ever holds a comment's text, an address or an IP.

use std::io::IsTerminal;
use std::time::Instant;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, TelemetryConfig};

/// Starts logging to standard error.
///
/// # Errors
/// A sentence if the filter cannot be read, or if logging was started before.
pub fn start_logging(config: &TelemetryConfig) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| format!("telemetry.log: `{}` is no filter: {error}", config.log))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.log_format {
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
        LogFormat::Text => subscriber.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    started.map_err(|error| error.to_string())
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
        "Population stability index of a site's last comments; from 0.25 on they changed"
    );
    Ok(handle)
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
