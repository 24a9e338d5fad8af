//! Logs and traces.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Logs and traces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// What to log, as a filter of tracing: `info`, `replyguard=debug,warn`.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Where traces go, by OTLP over gRPC: `http://HOST:PORT`, with TLS `https://HOST:PORT`.
    /// Absent: nowhere, at no cost.
    pub otlp_endpoint: Option<String>,
    /// The certificates (PEM) that the collector's is checked against, in place of the web's.
    pub otlp_ca_file: Option<PathBuf>,
    /// Which share of the calls that bring no trace of their own is traced, 0 to 1.
    pub otlp_sample_ratio: f64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        let log = "info".into();
        Self {
            log,
            log_format: LogFormat::Text,
            otlp_endpoint: None,
            otlp_ca_file: None,
            otlp_sample_ratio: 1.0,
        }
    }
}

impl TelemetryConfig {
    /// Checks what single fields cannot.
    pub(super) fn validate(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.otlp_sample_ratio) {
            return Err("telemetry.otlp_sample_ratio: 0 to 1 is expected".into());
        }
        let tls = self.otlp_endpoint.as_ref().is_some_and(|url| url.starts_with("https:"));
        if self.otlp_ca_file.is_some() && !tls {
            return Err("telemetry.otlp_ca_file: only an endpoint of https:// uses it".into());
        }
        let Some(endpoint) = &self.otlp_endpoint else { return Ok(()) };
        let expected = || {
            "telemetry.otlp_endpoint: the address of a collector is expected, such as \
             http://127.0.0.1:4317 or https://collector.example:4317"
                .to_owned()
        };
        let url = url::Url::parse(endpoint).map_err(|_| expected())?;
        let bare = url.path() == "/" && url.query().is_none() && url.username().is_empty();
        let scheme = matches!(url.scheme(), "http" | "https");
        if scheme && url.has_host() && bare { Ok(()) } else { Err(expected()) }
    }
}
