//! Puts the parts together: from a configuration to listening ports, from there to the end.

mod background;
mod certificates;
mod crash;
mod demo;
pub mod diagnosis;
mod first_start;
mod records;
mod system;
mod workers;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use crash::keep_crashes_silent;
pub use demo::fill_demo;
pub use first_start::{FirstAdministrator, FirstSite, FirstStart, recover_key};

use crate::classifier::Model;
use crate::config::Config;
use crate::grpc::{GrpcLimits, GrpcService, WireAnswers};
use crate::http::{self, Akismet, Console, ConsoleOptions, Readiness};
use crate::limits::{
    FallbackLimiter, FallbackOptions, MemoryLimiter, MemoryLimits, MemoryRecent, RecentOptions,
    RedisConnection, RedisLimiter, RedisLog, RedisOptions, RedisTime, RefilledRecent, SharedRecent,
};
use crate::moderation::accounts::{AccountPorts, Accounts, Lives};
use crate::moderation::ports::{Limiter, RecentContent, Store};
use crate::moderation::{CallRate, Moderation, Ports, Scorer};
use crate::telemetry;
use crate::tls::Certificates;
use crate::webhooks::{HttpsSender, SenderOptions};
use certificates::PortCertificates;
use records::Records;
use system::{SystemClock, SystemRandom};
use workers::Workers;

/// How often the store is asked whether it can write, for readiness.
const READINESS_PERIOD: Duration = Duration::from_secs(1);
/// How long the store may take to answer that. An fsync on a busy disk takes some milliseconds.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(String),
    /// A port cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
    },
    /// The data folder or the database cannot be used.
    #[error("{0}")]
    Storage(String),
}

/// The service, listening but not yet serving.
pub struct App {
    config: Config,
    grpc: TcpListener,
    http: TcpListener,
    service: GrpcService,
    moderation: Arc<Moderation>,
    store: Arc<dyn Store>,
    metrics: PrometheusHandle,
    model_version: String,
    first_start: FirstStart,
    console: Console,
    akismet: Akismet,
    certificates: PortCertificates,
    first_administrator: Option<FirstAdministrator>,
}

impl App {
    /// Opens the ports and the store, makes the first site if there is none, and loads the
    /// model.
    ///
    /// # Errors
    /// [`BindError`]: one line that says what to change.
    pub async fn bind(config: Config, metrics: PrometheusHandle) -> Result<Self, BindError> {
        config.validate().map_err(BindError::Config)?;
        if let Some(exposure) = config.exposure() {
            tracing::warn!("{exposure}; chmod o-r it");
        }
        let certificates = PortCertificates::read(&config.server).map_err(BindError::Config)?;
        let grpc = listen(config.server.grpc_address)?;
        let http = listen(config.server.http_address)?;
        // Before the store, so that a start that the model makes fail makes no database.
        let model = load_model(&config)?;
        let records = Records::open(&config).await?;
        let moderation = Arc::new(moderation(&config, &records, model)?);
        let loaded = moderation.load_models().await;
        loaded.map_err(|error| BindError::Storage(format!("the models: {error}")))?;
        let model_version = moderation.model_version().to_owned();
        first_start::await_turn(&moderation).await?;
        let accounts = Arc::new(accounts(&config, &records));
        let invited = accounts.first_administrator().await;
        let invited = invited
            .map_err(|error| BindError::Storage(format!("the first administrator: {error}")))?;
        let console_url = console_url(&config, &http);
        let options =
            ConsoleOptions { public_url: config.console.public_origin(), tls: speaks_tls(&config) };
        let limits = grpc_limits(&config);
        let mut app = Self {
            service: GrpcService::new(moderation.clone(), accounts.clone(), &console_url, limits),
            akismet: Akismet::new(
                moderation.clone(),
                console_url.clone(),
                options.public_url.is_some(),
            ),
            console: Console::new(moderation.clone(), accounts, options),
            certificates,
            first_administrator: invited
                .map(|invited| FirstAdministrator::new(&console_url, &invited)),
            moderation: moderation.clone(),
            config,
            grpc,
            http,
            store: records.store,
            metrics,
            model_version,
            first_start: FirstStart::No,
        };
        app.first_start = first_start::ensure(
            &moderation,
            &app.config.storage.first_site(),
            app.grpc_url(),
            app.http_address(),
        )
        .await?;
        first_start::end_turn(&moderation).await;
        Ok(app)
    }

    /// Where gRPC listens.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc.local_addr().unwrap_or(self.config.server.grpc_address)
    }

    /// Where clients on this machine find gRPC: `IP:PORT`, or `https://IP:PORT` with TLS.
    pub fn grpc_url(&self) -> String {
        match self.certificates.grpc {
            None => self.grpc_address().to_string(),
            Some(_) => format!("https://{}", self.grpc_address()),
        }
    }

    /// Where HTTP listens.
    pub fn http_address(&self) -> SocketAddr {
        self.http.local_addr().unwrap_or(self.config.server.http_address)
    }

    /// The version of the model that scores.
    pub fn model_version(&self) -> &str {
        &self.model_version
    }

    /// Whether this start made the first site.
    pub fn first_start(&self) -> &FirstStart {
        &self.first_start
    }

    /// Where browsers find the console.
    pub fn console_url(&self) -> String {
        console_url(&self.config, &self.http)
    }

    /// The link for the first administrator, as long as none has set a password.
    pub fn first_administrator(&self) -> Option<&FirstAdministrator> {
        self.first_administrator.as_ref()
    }

    /// Serves until `stop`, then says for the drain delay that it is not ready, refuses new calls,
    /// ends those under way within the drain timeout and closes the store. A port that is served
    /// no more is as good as `stop`, so that whoever watches the process starts it again.
    ///
    /// # Errors
    /// Of the operating system, while starting threads; a port that was served no more.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        // First it says that it leaves, then it leaves.
        let (leaving, draining) = (CancellationToken::new(), CancellationToken::new());
        let (readiness, watched) = watch::channel(Readiness::NotReady("starting".into()));
        let watcher = tokio::spawn(watch_store(
            self.store.clone(),
            self.service.clone(),
            readiness,
            leaving.clone(),
        ));
        let listener = tokio::net::TcpListener::from_std(self.http)?;
        let router = http::router(watched, self.metrics.clone(), self.console, self.akismet);
        let connection_count_max = self.config.server.connection_count_max;
        let PortCertificates { grpc, http } = self.certificates.clone();
        let mut ops = http_task(listener, router, http, connection_count_max, draining.clone());
        let upkeep = tokio::spawn(upkeep(self.metrics, draining.clone()));
        let mut background = background::start(&self.moderation, &self.config.training, &draining);
        background.push(certificates::watch(self.certificates, draining.clone())?);
        let mut workers =
            Workers::start(self.service, (self.grpc, grpc), &self.config.server, &draining)?;
        telemetry::tell_version(&self.model_version);
        tracing::info!(model.version = %self.model_version, "ready");
        let deaf = tokio::select! {
            () = stop => None,
            () = workers.accepting_ends() => Some("gRPC"),
            _ = &mut ops => Some("HTTP"),
        };
        if let Some(port) = deaf {
            tracing::error!(port, "nobody accepts connections any more: stopping");
        }
        leaving.cancel();
        tokio::time::sleep(Duration::from_millis(self.config.server.drain_delay_ms)).await;
        draining.cancel();
        self.moderation.cancel_all();
        self.moderation.end_watches();
        let drain = Duration::from_millis(self.config.server.drain_timeout_ms);
        workers.join(drain).await;
        if deaf != Some("HTTP") {
            let _ = tokio::time::timeout(drain, ops).await;
        }
        let _ = watcher.await;
        let _ = upkeep.await;
        for task in background {
            let _ = tokio::time::timeout(drain, task).await;
        }
        if tokio::time::timeout(drain, self.store.close()).await.is_err() {
            tracing::error!("the store did not close in time; what was acknowledged is on disk");
        }
        tracing::info!("stopped");
        match deaf {
            None => Ok(()),
            Some(port) => Err(io::Error::other(format!("the {port} port was served no more"))),
        }
    }
}

/// The use cases over these records.
fn moderation(config: &Config, records: &Records, model: Model) -> Result<Moderation, BindError> {
    let redis = redis(config)?;
    let ports = Ports {
        store: records.store.clone(),
        model_store: records.models.clone(),
        review_store: records.reviews.clone(),
        privacy_store: records.privacy.clone(),
        webhook_store: records.webhooks.clone(),
        replicas: records.replicas.clone(),
        webhook_sender: webhook_sender(config)?,
        operation_store: records.operations.clone(),
        answers: Arc::new(WireAnswers),
        limiter: limiter(redis.clone()),
        recent: recent(redis, records.store.clone()),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    };
    let per_s = config.limits.key_calls_per_s;
    let rate = CallRate { per_s, burst_count: config.limits.key_burst_count };
    let rate = Some(rate).filter(|rate| rate.per_s > 0);
    Ok(Moderation::new(ports, Scorer::new(Arc::new(model))).with_call_rate(rate))
}

/// Who sends webhooks' messages.
fn webhook_sender(config: &Config) -> Result<Arc<HttpsSender>, BindError> {
    let options = SenderOptions {
        private_targets: config.webhooks.private_targets,
        ca_file: config.webhooks.ca_file.clone(),
        ..SenderOptions::default()
    };
    let sender = HttpsSender::new(&options);
    sender.map(Arc::new).map_err(|error| BindError::Config(format!("webhooks.ca_file: {error}")))
}

/// Whether the HTTP port speaks TLS itself.
fn speaks_tls(config: &Config) -> bool {
    config.server.http_certificate_file.is_some()
}

/// Where browsers find the console that listens there.
fn console_url(config: &Config, http: &TcpListener) -> String {
    let direct = || {
        let mut address = http.local_addr().unwrap_or(config.server.http_address);
        if address.ip().is_unspecified() {
            // It listens everywhere, so also on this machine.
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let scheme = if speaks_tls(config) { "https" } else { "http" };
        format!("{scheme}://{address}")
    };
    config.console.public_origin().unwrap_or_else(direct) + http::CONSOLE_PATH
}

/// The use cases of the console's people, over the same records.
fn accounts(config: &Config, records: &Records) -> Accounts {
    let ports = AccountPorts {
        accounts: records.accounts.clone(),
        store: records.store.clone(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    };
    let lives = Lives {
        session: Duration::from_secs(config.console.session_life_s),
        idle: Duration::from_secs(config.console.session_idle_s),
        invitation: Duration::from_secs(config.console.invitation_life_s),
    };
    Accounts::new(ports, lives)
}

fn listen(address: SocketAddr) -> Result<TcpListener, BindError> {
    let listener = TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|cause| BindError::Listen { address, cause })
}

fn load_model(config: &Config) -> Result<Model, BindError> {
    let read = |path| read_model(path).map_err(BindError::Config);
    config.model.file.as_deref().map_or_else(|| Ok(crate::classifier::base_model()), read)
}

/// The model in a file.
///
/// # Errors
/// One line that names the file and what is wrong; also if it is no regular file, since nobody may
/// ever write to a pipe.
pub fn read_model(path: &Path) -> Result<Model, String> {
    let read = || {
        let regular = std::fs::metadata(path)?.is_file();
        if regular { std::fs::read(path) } else { Err(io::Error::other("it is no regular file")) }
    };
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    Model::from_bytes(&read().map_err(|error| named(&error))?).map_err(|error| named(&error))
}

/// The connection to Redis, if there is to be one.
fn redis(config: &Config) -> Result<Option<RedisConnection>, BindError> {
    let limits = &config.limits;
    let Some(url) = &limits.redis_url else { return Ok(None) };
    let options = RedisOptions {
        ca_file: limits.redis_ca_file.clone(),
        password_file: limits.redis_password_file.clone(),
        ..RedisOptions::new(url)
    };
    RedisConnection::open(&options).map(Some).map_err(BindError::Config)
}

fn limiter(redis: Option<RedisConnection>) -> Arc<dyn Limiter> {
    let own = MemoryLimiter::new(MemoryLimits::default());
    let Some(connection) = redis else { return Arc::new(own) };
    let shared = RedisLimiter::new(connection, RedisTime::Server);
    Arc::new(FallbackLimiter::new(shared, own, FallbackOptions::default()))
}

fn recent(redis: Option<RedisConnection>, store: Arc<dyn Store>) -> Arc<dyn RecentContent> {
    let memory = MemoryRecent::new(RecentOptions::default());
    match redis {
        None => Arc::new(RefilledRecent::new(memory, store)),
        Some(connection) => {
            let log = RedisLog::new(connection);
            Arc::new(SharedRecent::new(memory, store, log, FallbackOptions::default()))
        }
    }
}

fn grpc_limits(config: &Config) -> GrpcLimits {
    GrpcLimits {
        call_timeout: Duration::from_millis(config.server.call_timeout_ms),
        compress_answers: config.server.compress_answers,
        ..GrpcLimits::default()
    }
}

/// Reports readiness for as long as the process serves.
async fn watch_store(
    store: Arc<dyn Store>,
    service: GrpcService,
    readiness: watch::Sender<Readiness>,
    leaving: CancellationToken,
) {
    loop {
        let state = match tokio::time::timeout(PING_TIMEOUT, store.ping()).await {
            Ok(Ok(())) => Readiness::Ready,
            Ok(Err(error)) => Readiness::NotReady(error.to_string()),
            Err(_) => Readiness::NotReady("the store does not answer".into()),
        };
        service.report(state == Readiness::Ready).await;
        readiness.send_if_modified(|current| {
            let changed = *current != state;
            *current = state;
            changed
        });
        tokio::select! {
            () = tokio::time::sleep(READINESS_PERIOD) => {}
            () = leaving.cancelled() => break,
        }
    }
    service.report(false).await;
    readiness.send_replace(Readiness::NotReady("draining".into()));
}

/// Lets the metrics drop what nobody asked for, so that memory stays flat, and reads the process's
/// own figures.
async fn upkeep(metrics: PrometheusHandle, draining: CancellationToken) {
    let process = telemetry::ProcessMetrics::start();
    loop {
        process.collect();
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(5)) => metrics.run_upkeep(),
            () = draining.cancelled() => return,
        }
    }
}

fn http_task(
    listener: tokio::net::TcpListener,
    router: http::Router,
    tls: Option<Certificates>,
    connection_count_max: usize,
    draining: CancellationToken,
) -> tokio::task::JoinHandle<io::Result<()>> {
    let draining = async move { draining.cancelled().await };
    tokio::spawn(http::serve(listener, router, tls, connection_count_max, draining))
}
