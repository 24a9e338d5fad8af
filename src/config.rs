//! Configuration: one struct a section, read from a file, variables and flags, validated once.

mod telemetry;

use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use telemetry::{LogFormat, TelemetryConfig};

/// Everything an operator can set. Flags go before `REPLYGUARD_…` variables, those before the
/// file, and the file before these defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Ports and what calls may cost.
    pub server: ServerConfig,
    /// Where records are kept.
    pub storage: StorageConfig,
    /// Where rate limits are counted, and how replicas tell each other of recent content.
    pub limits: LimitsConfig,
    /// Which model scores.
    pub model: ModelConfig,
    /// When models of sites are trained without being asked for.
    pub training: TrainingConfig,
    /// The moderators' console.
    pub console: ConsoleConfig,
    /// How decisions are sent to sites.
    pub webhooks: WebhooksConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// The file that this was read from.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

/// Ports and what calls may cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where gRPC listens. Beyond loopback only if set so.
    pub grpc_address: SocketAddr,
    /// Where HTTP listens: console, health, metrics.
    pub http_address: SocketAddr,
    /// Certificates (PEM) of the gRPC port, which then speaks TLS. Needs `grpc_key_file`.
    pub grpc_certificate_file: Option<PathBuf>,
    /// The key (PEM) of the first of them.
    pub grpc_key_file: Option<PathBuf>,
    /// Certificates (PEM) that sign those of callers, who then need one besides their key.
    pub grpc_client_ca_file: Option<PathBuf>,
    /// Certificates (PEM) of the HTTP port, which then speaks TLS. Needs `http_key_file`.
    pub http_certificate_file: Option<PathBuf>,
    /// The key (PEM) of the first of them.
    pub http_key_file: Option<PathBuf>,
    /// Threads that serve gRPC; 0: one a core.
    pub worker_count: usize,
    /// Connections at once; further ones wait to be accepted.
    pub connection_count_max: usize,
    /// How long a gRPC connection is kept on which no call is under way.
    pub grpc_idle_timeout_s: u64,
    /// Longest time for a call.
    pub call_timeout_ms: u64,
    /// How long calls are still taken after the signal to stop, while readiness says no, so that
    /// load balancers send them elsewhere.
    pub drain_delay_ms: u64,
    /// How long calls may go on after that.
    pub drain_timeout_ms: u64,
    /// Whether answers are gzipped for callers that take it.
    pub compress_answers: bool,
}

/// The most connections at once: no process gets as many file handles, and far greater numbers
/// are more than can be counted.
const CONNECTION_COUNT_MAX: usize = 1_000_000;
/// The longest life of a connection without a call, ten years: an instant of the far future is
/// more than the system's clock can say.
const GRPC_IDLE_TIMEOUT_S_MAX: u64 = 10 * 366 * 86_400;
/// The longest wait for load balancers: five minutes.
const DRAIN_DELAY_MS_MAX: u64 = 300_000;

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            grpc_address: SocketAddr::from(([127, 0, 0, 1], 50_051)),
            http_address: SocketAddr::from(([127, 0, 0, 1], 8_080)),
            grpc_certificate_file: None,
            grpc_key_file: None,
            grpc_client_ca_file: None,
            http_certificate_file: None,
            http_key_file: None,
            worker_count: 0,
            connection_count_max: 4_096,
            grpc_idle_timeout_s: 600,
            call_timeout_ms: 10_000,
            drain_delay_ms: 0,
            drain_timeout_ms: 10_000,
            compress_answers: false,
        }
    }
}

impl ServerConfig {
    fn validate(&self) -> Result<(), String> {
        if !(1..=CONNECTION_COUNT_MAX).contains(&self.connection_count_max) {
            let expected = format!("1 to {CONNECTION_COUNT_MAX} is expected");
            return Err(format!("server.connection_count_max: {expected}"));
        }
        if self.call_timeout_ms == 0 {
            return Err("server.call_timeout_ms: at least 1 is expected".into());
        }
        if self.drain_delay_ms > DRAIN_DELAY_MS_MAX {
            return Err(format!("server.drain_delay_ms: at most {DRAIN_DELAY_MS_MAX} is expected"));
        }
        if self.worker_count > 1_024 {
            return Err("server.worker_count: at most 1024 is expected".into());
        }
        if self.grpc_address == self.http_address && self.grpc_address.port() != 0 {
            return Err("server.http_address: gRPC listens there already".into());
        }
        if !(1..=GRPC_IDLE_TIMEOUT_S_MAX).contains(&self.grpc_idle_timeout_s) {
            let expected = format!("1 to {GRPC_IDLE_TIMEOUT_S_MAX} is expected");
            return Err(format!("server.grpc_idle_timeout_s: {expected}"));
        }
        if self.http_certificate_file.is_some() != self.http_key_file.is_some() {
            return Err("server.http_key_file: both a certificate and a key are expected".into());
        }
        if self.grpc_certificate_file.is_some() != self.grpc_key_file.is_some() {
            return Err("server.grpc_key_file: both a certificate and a key are expected".into());
        }
        if self.grpc_client_ca_file.is_some() && self.grpc_key_file.is_none() {
            return Err("server.grpc_client_ca_file: grpc_certificate_file is expected too".into());
        }
        Ok(())
    }
}

/// Where records are kept.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
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

/// Without what a URL may hold: a password.
impl fmt::Debug for StorageConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { data_dir, database_url } = self;
        f.debug_struct("StorageConfig")
            .field("data_dir", data_dir)
            .field("database_url", &database_url.as_ref().map(|_| "(set)"))
            .finish()
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

/// Where rate limits are counted, and how replicas tell each other of recent content.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// `redis://…` for one server, `redis+cluster://…` for a cluster; `rediss://…` and
    /// `rediss+cluster://…` with TLS. Absent: in this process.
    pub redis_url: Option<String>,
    /// Certificates (PEM) that Redis's is checked against, in place of those of the web.
    pub redis_ca_file: Option<PathBuf>,
    /// A file whose first line is Redis's password, so that it stands in no address.
    pub redis_password_file: Option<PathBuf>,
    /// gRPC calls a second with one key, counted in each process; 0: no limit.
    pub key_calls_per_s: u32,
    /// gRPC calls at once with one key.
    pub key_burst_count: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            redis_url: None,
            redis_ca_file: None,
            redis_password_file: None,
            key_calls_per_s: 0,
            key_burst_count: 100,
        }
    }
}

/// Without what a URL may hold: a password.
impl fmt::Debug for LimitsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            redis_url,
            redis_ca_file,
            redis_password_file,
            key_calls_per_s,
            key_burst_count,
        } = self;
        f.debug_struct("LimitsConfig")
            .field("redis_url", &redis_url.as_ref().map(|_| "(set)"))
            .field("redis_ca_file", redis_ca_file)
            .field("redis_password_file", redis_password_file)
            .field("key_calls_per_s", key_calls_per_s)
            .field("key_burst_count", key_burst_count)
            .finish()
    }
}

/// The schemes of Redis's addresses.
const REDIS_SCHEMES: [&str; 4] = ["redis://", "rediss://", "redis+cluster://", "rediss+cluster://"];

impl LimitsConfig {
    fn validate(&self) -> Result<(), String> {
        let Some(url) = &self.redis_url else {
            let file = self.redis_ca_file.as_ref().or(self.redis_password_file.as_ref());
            return match file {
                Some(_) => {
                    Err("limits.redis_url: expected, since a file for Redis is given".into())
                }
                None => Ok(()),
            };
        };
        if !REDIS_SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
            return Err(format!(
                "limits.redis_url: one of {} is expected",
                REDIS_SCHEMES.join(" ")
            ));
        }
        if self.redis_ca_file.is_some() && !url.starts_with("rediss") {
            return Err("limits.redis_ca_file: only rediss:// and rediss+cluster:// use it".into());
        }
        Ok(())
    }
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
    /// New labels that a site needs before its model is trained again; none if this version cannot
    /// use the active one.
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
    /// How long a session goes on that is not used; a page that only stays open does not use it.
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
        if self.public_url.is_none() || self.public_origin().is_some() {
            return Ok(());
        }
        Err("console.public_url: scheme and host are expected, such as \
             https://moderation.example.org, without anything after them"
            .into())
    }

    /// The public URL as browsers write it in `Origin`: in small letters, a name of other letters in
    /// Punycode, and without the port that is usual. Nothing if there is none, or if it is more
    /// than scheme, host and port.
    pub fn public_origin(&self) -> Option<String> {
        let text = self.public_url.as_deref()?;
        let (_, host) = text.split_once("://")?;
        let strange = |c: char| "/\\?#@".contains(c) || c.is_whitespace() || c.is_control();
        let url = url::Url::parse(text).ok().filter(|_| !host.contains(strange))?;
        let known = matches!(url.scheme(), "http" | "https");
        known.then(|| url.origin().ascii_serialization())
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

impl Config {
    /// The configuration in a TOML file. A file that everybody may write to is refused: whoever
    /// writes it says where comments go.
    ///
    /// # Errors
    /// One line that names the file and what is wrong.
    pub fn read(path: &Path) -> Result<Self, String> {
        let named = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
        let metadata = std::fs::metadata(path).map_err(|error| named(&error))?;
        if metadata.permissions().mode() & 0o002 != 0 {
            return Err(named(&"everybody may write to this file; chmod o-w it"));
        }
        let config = Self::parse(&text).map_err(|error| named(&error))?;
        Ok(Self { file: Some(path.to_owned()), ..config })
    }

    /// What is wrong with the rights of the configuration file: it holds a password, and others
    /// may read it.
    pub fn exposure(&self) -> Option<String> {
        let path = self.file.as_ref()?;
        // A file that is gone by now exposes nothing.
        let mode = std::fs::metadata(path).ok()?.permissions().mode();
        let exposed = self.holds_password() && mode & 0o004 != 0;
        exposed.then(|| format!("{} holds a password and can be read by others", path.display()))
    }

    /// Whether one of the addresses has a password: before the host, or, in one of PostgreSQL, as a
    /// parameter.
    pub fn holds_password(&self) -> bool {
        let urls = [&self.limits.redis_url, &self.storage.database_url];
        urls.into_iter().flatten().any(|url| {
            let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
            let mut names = url::form_urlencoded::parse(parameters.as_bytes());
            url.contains('@') || names.any(|(name, _)| name == "password")
        })
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
            format!("line {line}: {}", without_texts(&error.message().replace('\n', " ")))
        })
    }

    /// Checks what single fields cannot.
    ///
    /// # Errors
    /// One line for the first problem.
    pub fn validate(&self) -> Result<(), String> {
        self.server.validate()?;
        if let Some(url) = &self.storage.database_url {
            let known = ["postgres://", "postgresql://"];
            if !known.iter().any(|scheme| url.starts_with(scheme)) {
                return Err("storage.database_url: postgres://… is expected".into());
            }
        }
        self.limits.validate()?;
        self.telemetry.validate()?;
        self.console.validate()
    }
}

/// A message of the parser without the text that stood in the wrong place, which may be a secret.
fn without_texts(message: &str) -> String {
    for (begin, end) in [("string \"", "\""), ("unknown variant `", "`, expected ")] {
        if let Some((before, rest)) = message.split_once(begin) {
            let what = begin.trim_end_matches(['"', '`', ' ']);
            let after = rest.rsplit_once(end).map_or("", |(_, after)| after);
            let expected = if end == "\"" { "" } else { ", expected " };
            return format!("{before}{what}{expected}{after}");
        }
    }
    message.to_owned()
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
            limits: LimitsConfig { redis_url: Some("http://x".into()), ..Default::default() },
            ..Config::default()
        };
        assert!(bad.validate().unwrap_err().starts_with("limits.redis_url: "));
        let with_ca = |url: &str| {
            let limits = LimitsConfig {
                redis_url: Some(url.into()),
                redis_ca_file: Some("ca.pem".into()),
                ..Default::default()
            };
            Config { limits, ..Config::default() }.validate()
        };
        assert!(with_ca("redis://x").unwrap_err().starts_with("limits.redis_ca_file: "));
        assert_eq!(with_ca("rediss+cluster://x"), Ok(()));
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn counts_and_times_have_bounds() {
        let check = |change: fn(&mut ServerConfig)| {
            let mut config = Config::default();
            change(&mut config.server);
            config.validate()
        };
        assert_eq!(check(|server| server.connection_count_max = 1_000_000), Ok(()));
        for bad in [0, 1_000_001, usize::MAX] {
            let server = ServerConfig { connection_count_max: bad, ..Default::default() };
            let error = Config { server, ..Config::default() }.validate().unwrap_err();
            assert_eq!(error, "server.connection_count_max: 1 to 1000000 is expected");
        }
        assert_eq!(check(|server| server.grpc_idle_timeout_s = 86_400 * 366), Ok(()));
        let error = check(|server| server.grpc_idle_timeout_s = u64::MAX).unwrap_err();
        assert!(error.starts_with("server.grpc_idle_timeout_s: 1 to "), "{error}");
    }

    #[test]
    fn passwords_are_seen_wherever_they_stand() {
        let holds = |url: &str| {
            let mut config = Config::default();
            config.storage.database_url = Some(url.into());
            config.holds_password()
        };
        for url in [
            "postgres://ann:secret@db/guard",
            "postgres://db/guard?user=ann&password=secret",
            "postgres://db/guard?password=secret",
            "postgres://db/guard?%70assword=secret",
        ] {
            assert!(holds(url), "{url}");
        }
        assert!(!holds("postgres://db/guard?user=ann&sslmode=verify-full"));
        assert!(!holds("postgres://password/password"));
    }

    #[test]
    fn collectors_are_scheme_host_and_port() {
        let check = |endpoint: &str, otlp_sample_ratio: f64| {
            let otlp_endpoint = Some(endpoint.into());
            let telemetry =
                TelemetryConfig { otlp_endpoint, otlp_sample_ratio, ..Default::default() };
            Config { telemetry, ..Config::default() }.validate()
        };
        for good in ["http://127.0.0.1:4317", "https://collector.example:4317/", "http://[::1]:9"] {
            assert_eq!(check(good, 0.5), Ok(()), "{good}");
        }
        let otlp_ca_file = Some("ca.pem".into());
        for (endpoint, good) in
            [(Some("https://a"), true), (Some("http://a"), false), (None, false)]
        {
            let telemetry = TelemetryConfig {
                otlp_endpoint: endpoint.map(Into::into),
                otlp_ca_file: otlp_ca_file.clone(),
                ..Default::default()
            };
            let checked = Config { telemetry, ..Config::default() }.validate();
            assert_eq!(checked.is_ok(), good, "{endpoint:?}: {checked:?}");
        }
        for bad in ["127.0.0.1:4317", "ftp://a:4317", "http://", "http://u:p@a:1", "http://a/b"] {
            let error = check(bad, 1.0).unwrap_err();
            assert!(error.starts_with("telemetry.otlp_endpoint: "), "{bad}: {error}");
        }
        for bad in [-0.1, 1.1, f64::NAN] {
            let error = check("http://127.0.0.1:4317", bad).unwrap_err();
            assert!(error.starts_with("telemetry.otlp_sample_ratio: "), "{bad}: {error}");
        }
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
        for bad in [
            "moderation.example.org",
            "https://",
            "https://a/b",
            "https://a/",
            "https:///a",
            "https://me@a",
            "https://a b",
            "https://a?b",
            " https://a ",
            "ftp://a",
        ] {
            let error = check(bad).expect_err(bad);
            assert!(error.starts_with("console.public_url: "), "{bad}: {error}");
        }
    }

    #[test]
    fn public_addresses_become_what_browsers_send() {
        for (url, origin) in [
            ("https://mod.example.org:443", "https://mod.example.org"),
            ("http://mod.example.org:80", "http://mod.example.org"),
            ("HTTPS://Mod.Example.Org:8443", "https://mod.example.org:8443"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://[::1]:443", "https://[::1]"),
        ] {
            let console = ConsoleConfig { public_url: Some(url.into()), ..Default::default() };
            assert_eq!(console.public_origin().as_deref(), Some(origin), "{url}");
        }
        assert_eq!(ConsoleConfig::default().public_origin(), None);
    }
}
