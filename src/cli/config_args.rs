//! The configuration as flags and variables, over the file.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Failure;
use crate::config::{Config, LogFormat};

/// Every setting that is given as a flag or a variable; those not given come from the file, and
/// from the defaults (docs/replyguard.toml).
#[derive(Args)]
pub(super) struct ConfigArgs {
    /// A configuration file in TOML
    #[arg(long, env = "REPLYGUARD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where gRPC listens [default: 127.0.0.1:50051]
    #[arg(long, env = "REPLYGUARD_GRPC_ADDRESS", value_name = "IP:PORT")]
    grpc_address: Option<SocketAddr>,
    /// Where HTTP listens: console, health and metrics [default: 127.0.0.1:8080]
    #[arg(long, env = "REPLYGUARD_HTTP_ADDRESS", value_name = "IP:PORT")]
    http_address: Option<SocketAddr>,
    /// The data folder [default: data]
    #[arg(long, env = "REPLYGUARD_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Keep records in PostgreSQL, for several replicas: postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, env = "REPLYGUARD_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Count rate limits and share recent content in Redis: redis://HOST:PORT or
    /// redis+cluster://HOST:PORT; with TLS rediss://HOST:PORT or rediss+cluster://HOST:PORT
    #[arg(long, env = "REPLYGUARD_REDIS_URL", value_name = "URL", hide_env_values = true)]
    redis_url: Option<String>,
    /// Certificates (PEM) that Redis's is checked against, in place of those of the web
    #[arg(long, env = "REPLYGUARD_REDIS_CA_FILE", value_name = "FILE")]
    redis_ca_file: Option<PathBuf>,
    /// A file whose first line is Redis's password
    #[arg(long, env = "REPLYGUARD_REDIS_PASSWORD_FILE", value_name = "FILE")]
    redis_password_file: Option<PathBuf>,
    /// gRPC calls a second with one key; 0: no limit
    #[arg(long, env = "REPLYGUARD_KEY_CALLS_PER_S", value_name = "N")]
    key_calls_per_s: Option<u32>,
    /// gRPC calls at once with one key [default: 100]
    #[arg(long, env = "REPLYGUARD_KEY_BURST_COUNT", value_name = "N")]
    key_burst_count: Option<u32>,
    /// Score with this model file [default: the base model inside the binary]
    #[arg(long, env = "REPLYGUARD_MODEL_FILE", value_name = "FILE")]
    model_file: Option<PathBuf>,
    /// Threads that serve gRPC; 0: one a core
    #[arg(long, env = "REPLYGUARD_WORKER_COUNT", value_name = "N")]
    worker_count: Option<usize>,
    /// Connections at once
    #[arg(long, env = "REPLYGUARD_CONNECTION_COUNT_MAX", value_name = "N")]
    connection_count_max: Option<usize>,
    /// How long a gRPC connection is kept without a call, in seconds [default: 600]
    #[arg(long, env = "REPLYGUARD_GRPC_IDLE_TIMEOUT_S", value_name = "S")]
    grpc_idle_timeout_s: Option<u64>,
    /// Longest time for a call, in milliseconds
    #[arg(long, env = "REPLYGUARD_CALL_TIMEOUT_MS", value_name = "MS")]
    call_timeout_ms: Option<u64>,
    /// How long calls are still taken after SIGTERM while /readyz says no, in milliseconds
    #[arg(long, env = "REPLYGUARD_DRAIN_DELAY_MS", value_name = "MS")]
    drain_delay_ms: Option<u64>,
    /// How long calls may go on after that, in milliseconds
    #[arg(long, env = "REPLYGUARD_DRAIN_TIMEOUT_MS", value_name = "MS")]
    drain_timeout_ms: Option<u64>,
    /// Gzip answers for callers that take it
    #[arg(long, env = "REPLYGUARD_COMPRESS_ANSWERS", value_name = "BOOL")]
    compress_answers: Option<bool>,
    /// Train each site's model again after so many seconds, such as 86400; 0: only when asked for
    #[arg(long, env = "REPLYGUARD_TRAINING_INTERVAL_S", value_name = "S")]
    training_interval_s: Option<u64>,
    /// New labels that a site needs before its model is trained again
    #[arg(long, env = "REPLYGUARD_TRAINING_LABEL_COUNT_MIN", value_name = "N")]
    training_label_count_min: Option<usize>,
    /// Promote a model that the hold-out speaks for at once
    #[arg(long, env = "REPLYGUARD_TRAINING_PROMOTES", value_name = "BOOL")]
    training_promotes: Option<bool>,
    /// Where browsers reach the console through a proxy: https://HOST
    #[arg(long, env = "REPLYGUARD_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// How long a moderator stays signed in at the longest, in seconds [default: 43200]
    #[arg(long, env = "REPLYGUARD_SESSION_LIFE_S", value_name = "S")]
    session_life_s: Option<u64>,
    /// How long a moderator stays signed in who does nothing, in seconds [default: 7200]
    #[arg(long, env = "REPLYGUARD_SESSION_IDLE_S", value_name = "S")]
    session_idle_s: Option<u64>,
    /// How long the link of an invitation can be used, in seconds [default: 172800]
    #[arg(long, env = "REPLYGUARD_INVITATION_LIFE_S", value_name = "S")]
    invitation_life_s: Option<u64>,
    /// Certificates (PEM) of the gRPC port, which then speaks TLS; with --grpc-key-file
    #[arg(long, env = "REPLYGUARD_GRPC_CERTIFICATE_FILE", value_name = "FILE")]
    grpc_certificate_file: Option<PathBuf>,
    /// The key (PEM) of the first of them
    #[arg(long, env = "REPLYGUARD_GRPC_KEY_FILE", value_name = "FILE")]
    grpc_key_file: Option<PathBuf>,
    /// Certificates (PEM) that sign those of gRPC's callers, who then need one
    #[arg(long, env = "REPLYGUARD_GRPC_CLIENT_CA_FILE", value_name = "FILE")]
    grpc_client_ca_file: Option<PathBuf>,
    /// Certificates (PEM) of the HTTP port, which then speaks TLS; with --http-key-file
    #[arg(long, env = "REPLYGUARD_HTTP_CERTIFICATE_FILE", value_name = "FILE")]
    http_certificate_file: Option<PathBuf>,
    /// The key (PEM) of the first of them
    #[arg(long, env = "REPLYGUARD_HTTP_KEY_FILE", value_name = "FILE")]
    http_key_file: Option<PathBuf>,
    /// Whether webhooks may lead into the service's own network [default: false]
    #[arg(long, env = "REPLYGUARD_WEBHOOK_PRIVATE_TARGETS", value_name = "BOOL")]
    webhook_private_targets: Option<bool>,
    /// Certificates (PEM) that webhooks trust besides those of the web
    #[arg(long, env = "REPLYGUARD_WEBHOOK_CA_FILE", value_name = "FILE")]
    webhook_ca_file: Option<PathBuf>,
    /// What to log, as a filter: info, replyguard=debug,warn
    #[arg(long, env = "REPLYGUARD_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How log lines look
    #[arg(long, env = "REPLYGUARD_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<Format>,
    /// Send traces to this collector by OTLP over gRPC: http://HOST:PORT; with TLS
    /// https://HOST:PORT
    #[arg(long, env = "REPLYGUARD_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Certificates (PEM) that the collector's is checked against, in place of those of the web
    #[arg(long, env = "REPLYGUARD_OTLP_CA_FILE", value_name = "FILE")]
    otlp_ca_file: Option<PathBuf>,
    /// Which share of the calls that bring no trace of their own is traced, 0 to 1 [default: 1]
    #[arg(long, env = "REPLYGUARD_OTLP_SAMPLE_RATIO", value_name = "RATIO")]
    otlp_sample_ratio: Option<f64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For machines
    Json,
}

impl ConfigArgs {
    /// The file that the configuration begins with.
    pub(super) fn file(&self) -> Option<PathBuf> {
        self.config.clone()
    }

    /// The whole configuration, validated.
    ///
    /// # Errors
    /// One line and exit code 64.
    pub(super) fn read(self) -> Result<Config, Failure> {
        let mut config = match &self.config {
            Some(path) => Config::read(path).map_err(Failure::usage)?,
            None => Config::default(),
        };
        let server = &mut config.server;
        set(&mut server.grpc_address, self.grpc_address);
        set(&mut server.http_address, self.http_address);
        set(&mut server.grpc_certificate_file, self.grpc_certificate_file.map(Some));
        set(&mut server.grpc_key_file, self.grpc_key_file.map(Some));
        set(&mut server.grpc_client_ca_file, self.grpc_client_ca_file.map(Some));
        set(&mut server.grpc_idle_timeout_s, self.grpc_idle_timeout_s);
        set(&mut server.worker_count, self.worker_count);
        set(&mut server.connection_count_max, self.connection_count_max);
        set(&mut server.call_timeout_ms, self.call_timeout_ms);
        set(&mut server.drain_delay_ms, self.drain_delay_ms);
        set(&mut server.drain_timeout_ms, self.drain_timeout_ms);
        set(&mut server.compress_answers, self.compress_answers);
        set(&mut config.storage.data_dir, self.data_dir);
        set(&mut config.storage.database_url, self.database_url.map(Some));
        let limits = &mut config.limits;
        set(&mut limits.redis_url, self.redis_url.map(Some));
        set(&mut limits.redis_ca_file, self.redis_ca_file.map(Some));
        set(&mut limits.redis_password_file, self.redis_password_file.map(Some));
        set(&mut limits.key_calls_per_s, self.key_calls_per_s);
        set(&mut limits.key_burst_count, self.key_burst_count);
        set(&mut config.model.file, self.model_file.map(Some));
        set(&mut config.training.interval_s, self.training_interval_s);
        set(&mut config.training.label_count_min, self.training_label_count_min);
        set(&mut config.training.promotes, self.training_promotes);
        let console = &mut config.console;
        set(&mut console.public_url, self.public_url.map(Some));
        set(&mut console.session_life_s, self.session_life_s);
        set(&mut console.session_idle_s, self.session_idle_s);
        set(&mut console.invitation_life_s, self.invitation_life_s);
        set(&mut config.server.http_certificate_file, self.http_certificate_file.map(Some));
        set(&mut config.server.http_key_file, self.http_key_file.map(Some));
        let webhooks = &mut config.webhooks;
        set(&mut webhooks.private_targets, self.webhook_private_targets);
        set(&mut webhooks.ca_file, self.webhook_ca_file.map(Some));
        set(&mut config.telemetry.log, self.log);
        let format = self.log_format.map(|format| match format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        });
        set(&mut config.telemetry.log_format, format);
        set(&mut config.telemetry.otlp_endpoint, self.otlp_endpoint.map(Some));
        set(&mut config.telemetry.otlp_ca_file, self.otlp_ca_file.map(Some));
        set(&mut config.telemetry.otlp_sample_ratio, self.otlp_sample_ratio);
        config.validate().map_err(Failure::usage)?;
        Ok(config)
    }
}

fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *setting = value;
    }
}
