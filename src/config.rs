//! Configuration: one struct a section, read from a file, variables and flags, validated once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Everything an operator can set. Flags go before `REPLYGUARD_…` variables, those before the
/// file, and the file before these defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Ports and what calls may cost.
    pub server: ServerConfig,
    /// Where records are kept.
    pub storage: StorageConfig,
    /// Where rate limits are counted.
    pub limits: LimitsConfig,
    /// Which model scores.
    pub model: ModelConfig,
    /// When models of sites are trained without being asked for.
    pub training: TrainingConfig,
    /// The moderators' console.
    pub console: ConsoleConfig,
    /// How decisions are sent to sites.
    pub webhooks: WebhooksConfig,
    /// Logs.
    pub telemetry: TelemetryConfig,
}

/// Ports and what calls may cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where gRPC listens. Beyond loopback only if set so.
    pub grpc_address: SocketAddr,
    /// Where HTTP listens: console, health, metrics.
    pub http_address: SocketAddr,
    /// Certificates (PEM) of the HTTP port, which then speaks TLS. Needs `http_key_file`.
    pub http_certificate_file: Option<PathBuf>,
    /// The key (PEM) of the first of them.
    pub http_key_file: Option<PathBuf>,
    /// Threads that serve gRPC; 0: one a core.
    pub worker_count: usize,
    /// Connections at once; further ones wait to be accepted.
    pub connection_count_max: usize,
    /// Longest time for a call.
    pub call_timeout_ms: u64,
    /// How long calls may go on after the signal to stop.
    pub drain_timeout_ms: u64,
    /// Whether answers are gzipped for callers that take it.
    pub compress_answers: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            grpc_address: SocketAddr::from(([127, 0, 0, 1], 50_051)),
            http_address: SocketAddr::from(([127, 0, 0, 1], 8_080)),
            http_certificate_file: None,
            http_key_file: None,
            worker_count: 0,
            connection_count_max: 4_096,
            call_timeout_ms: 10_000,
            drain_timeout_ms: 10_000,
            compress_answers: false,
        }
    }
}

/// Where records are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// The folder of the database; made if it is not there.
    pub data_dir: PathBuf,
    /// `postgres://…`: the database that several replicas share. Absent: SQLite in `data_dir`.
    pub database_url: Option<String>,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self { data_dir: PathBuf::from("data"), database_url: None }
    }
}

impl StorageConfig {
    /// The SQLite database.
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("replyguard.sqlite3")
    }

    /// The key of the first site, readable by its owner alone.
    pub fn first_site(&self) -> PathBuf {
        self.data_dir.join("first-site.json")
    }
}

/// Where rate limits are counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// `redis://…` for one server, `redis+cluster://…` for a cluster. Absent: in this process.
    pub redis_url: Option<String>,
}

/// Which model scores.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// A model file. Absent: the base model inside the binary.
    pub file: Option<PathBuf>,
}

/// When models of sites are trained without being asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Seconds between trainings of a site's model; 0: only when asked for.
    pub interval_s: u64,
    /// New labels that a site needs before its model is trained again.
    pub label_count_min: usize,
    /// Whether a model that the hold-out speaks for is promoted at once.
    pub promotes: bool,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self { interval_s: 0, label_count_min: 50, promotes: false }
    }
}

/// The longest life of a session: a week.
const SESSION_LIFE_S_MAX: u64 = 7 * 86_400;
/// The longest life of an invitation: a week.
const INVITATION_LIFE_S_MAX: u64 = 7 * 86_400;

/// The moderators' console.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleConfig {
    /// Where browsers reach the HTTP port through a proxy: `https://moderation.example.org`. With
    /// it, the proxy's word (`X-Forwarded-For`) says who the client is. Absent: no proxy.
    pub public_url: Option<String>,
    /// How long a session goes on at the longest.
    pub session_life_s: u64,
    /// How long a session goes on that is not used.
    pub session_idle_s: u64,
    /// How long an invitation to set a password can be used.
    pub invitation_life_s: u64,
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        Self {
            public_url: None,
            session_life_s: 43_200,
            session_idle_s: 7_200,
            invitation_life_s: 172_800,
        }
    }
}

impl ConsoleConfig {
    fn validate(&self) -> Result<(), String> {
        let lives = [
            ("session_life_s", self.session_life_s, SESSION_LIFE_S_MAX),
            ("session_idle_s", self.session_idle_s, SESSION_LIFE_S_MAX),
            ("invitation_life_s", self.invitation_life_s, INVITATION_LIFE_S_MAX),
        ];
        for (field, life, max) in lives {
            if life == 0 || life > max {
                return Err(format!("console.{field}: 1 to {max} is expected"));
            }
        }
        let Some(url) = &self.public_url else { return Ok(()) };
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let is_host = |host: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
            !host.is_empty() && host.bytes().all(known)
        };
        if host.is_some_and(is_host) {
            return Ok(());
        }
        Err("console.public_url: scheme and host are expected, such as \
             https://moderation.example.org, without anything after them"
            .into())
    }
}

/// How decisions are sent to sites.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhooksConfig {
    /// Whether webhooks may lead into the service's own network (loopback, link-local, private),
    /// there also without TLS. Whoever administers a site could then reach what stands there.
    pub private_targets: bool,
    /// Certificates (PEM) that are trusted besides those of the web.
    pub ca_file: Option<PathBuf>,
}

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

/// Logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// What to log, as a filter of tracing: `info`, `replyguard=debug,warn`.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { log: "info".into(), log_format: LogFormat::Text }
    }
}

impl Config {
    /// The configuration in a TOML file.
    ///
    /// # Errors
    /// One line that names the file and what is wrong.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The configuration in a TOML text.
    ///
    /// # Errors
    /// One line with the line number.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            format!("line {line}: {}", error.message().replace('\n', " "))
        })
    }

    /// Checks what single fields cannot.
    ///
    /// # Errors
    /// One line for the first problem.
    pub fn validate(&self) -> Result<(), String> {
        let server = &self.server;
        if server.connection_count_max == 0 {
            return Err("server.connection_count_max: at least 1 is expected".into());
        }
        if server.call_timeout_ms == 0 {
            return Err("server.call_timeout_ms: at least 1 is expected".into());
        }
        if server.worker_count > 1_024 {
            return Err("server.worker_count: at most 1024 is expected".into());
        }
        if server.grpc_address == server.http_address && server.grpc_address.port() != 0 {
            return Err("server.http_address: gRPC listens there already".into());
        }
        if server.http_certificate_file.is_some() != server.http_key_file.is_some() {
            return Err("server.http_key_file: both a certificate and a key are expected".into());
        }
        if let Some(url) = &self.limits.redis_url {
            let known = ["redis://", "redis+cluster://"];
            if !known.iter().any(|scheme| url.starts_with(scheme)) {
                return Err(format!("limits.redis_url: one of {} is expected", known.join(" ")));
            }
        }
        if let Some(url) = &self.storage.database_url {
            let known = ["postgres://", "postgresql://"];
            if !known.iter().any(|scheme| url.starts_with(scheme)) {
                return Err("storage.database_url: postgres://… is expected".into());
            }
        }
        self.console.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_file_is_the_defaults() {
        let sample = include_str!("../docs/replyguard.toml");
        assert_eq!(Config::parse(sample), Ok(Config::default()));
        let default = toml::to_string(&Config::default()).unwrap();
        let written: toml::Table = default.parse().unwrap();
        for (section, fields) in written {
            for field in fields.as_table().unwrap().keys() {
                assert!(sample.contains(field), "docs/replyguard.toml lacks {section}.{field}");
            }
        }
    }

    #[test]
    fn bad_files_are_one_line_with_its_number() {
        let error = Config::parse("[server]\ngrpc_adress = \"x\"").unwrap_err();
        assert!(error.starts_with("line 2: ") && !error.contains('\n'), "{error}");
        let bad = Config {
            limits: LimitsConfig { redis_url: Some("http://x".into()) },
            ..Config::default()
        };
        assert!(bad.validate().unwrap_err().starts_with("limits.redis_url: "));
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn public_addresses_are_scheme_and_host() {
        let check = |url: &str| {
            let console = ConsoleConfig { public_url: Some(url.into()), ..Default::default() };
            Config { console, ..Config::default() }.validate()
        };
        for good in ["https://moderation.example.org", "http://127.0.0.1:8080", "https://[::1]:8"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["moderation.example.org", "https://", "https://a/b", "https://a/", "ftp://a"] {
            assert!(check(bad).unwrap_err().starts_with("console.public_url: "), "{bad}");
        }
    }
}
