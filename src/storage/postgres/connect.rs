//! How connections are made: by whom, with which certificates, and what they are told.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Connect, Manager, ManagerConfig, Pool, PoolConfig, RecyclingMethod, Runtime, Timeouts,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, Notification};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::error::PostgresError;
use super::options::{PostgresAddress, PostgresOptions};

/// How often a silent server's machine is asked whether it is there; the system's own are 75 seconds.
const PROBE_INTERVAL: Duration = Duration::from_secs(3);
/// How long what was sent may stay without an answer of that machine: three such probes.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Makes connections. Their work is done on the runtime that opened the store: the threads that
/// serve calls come and go with their own.
#[derive(Clone)]
pub(super) struct Connector {
    tls: MakeRustlsConnect,
    runtime: Handle,
}

impl Connector {
    pub fn new(address: &PostgresAddress) -> Result<Self, PostgresError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = &address.ca_file {
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| {
                    PostgresError::Certificates(format!("{}: {error}", path.display()))
                })?;
            let (count, _) = roots.add_parsable_certificates(certificates);
            if count == 0 {
                let text = format!("{}: no certificate in it", path.display());
                return Err(PostgresError::Certificates(text));
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| PostgresError::Certificates(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: MakeRustlsConnect::new(config), runtime: Handle::current() })
    }

    /// A connection of its own, which passes on what it is notified of.
    pub async fn connect_to_listen(
        &self,
        config: &Config,
    ) -> Result<(Client, JoinHandle<()>, mpsc::UnboundedReceiver<Notification>), Error> {
        let (client, connection) = config.connect(self.tls.clone()).await?;
        let (heard, notes) = mpsc::unbounded_channel();
        let task = self.runtime.spawn(listen(connection, heard));
        Ok((client, task, notes))
    }
}

/// One connection, whose work is done until the client is dropped.
pub(in crate::storage) async fn connect_alone(
    address: &PostgresAddress,
) -> Result<Client, PostgresError> {
    let config = config(address, &PostgresOptions::default());
    let connected = Connector::new(address)?.connect_to_listen(&config).await;
    let (client, _, _) = connected.map_err(|error| PostgresError::Unreachable {
        place: address.to_string(),
        cause: super::error::plain(&error),
    })?;
    Ok(client)
}

/// Does a connection's work until it ends, which `notes` shows by being closed.
async fn listen<S, T>(mut connection: Connection<S, T>, notes: mpsc::UnboundedSender<Notification>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match std::future::poll_fn(|ctx| connection.poll_message(ctx)).await {
            Some(Ok(AsyncMessage::Notification(note))) => {
                if notes.send(note).is_err() {
                    return;
                }
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return,
        }
    }
}

type Connecting<'a> =
    Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'a>>;

impl Connect for Connector {
    fn connect(&self, config: &Config) -> Connecting<'_> {
        let config = config.clone();
        Box::pin(async move {
            let (client, connection) = config.connect(self.tls.clone()).await?;
            let task = self.runtime.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error = %super::error::plain(&error), "a connection ended");
                }
            });
            Ok((client, task))
        })
    }
}

/// The address with what is said when a connection is made.
pub(super) fn config(address: &PostgresAddress, options: &PostgresOptions) -> Config {
    let mut config = address.config.clone();
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(options.connect_timeout);
    }
    config.keepalives_idle(Duration::from_secs(10));
    config
}

/// The same for the connection that listens. It has nothing to say for long, so that a way that
/// was lost in silence is only found by asking. What others do on theirs may take longer.
pub(super) fn listening_config(address: &PostgresAddress, options: &PostgresOptions) -> Config {
    let mut config = config(address, options);
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(PROBE_INTERVAL);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE_MAX);
    }
    config
}

/// The pool of connections.
pub(super) fn pool(
    address: &PostgresAddress,
    connector: Connector,
    options: &PostgresOptions,
) -> Result<Pool, PostgresError> {
    let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_connect(config(address, options), connector, manager_config);
    let timeouts = Timeouts {
        wait: Some(options.call_timeout),
        create: Some(options.connect_timeout),
        recycle: Some(options.connect_timeout),
    };
    let limits = PoolConfig {
        max_size: options.connection_count_max.max(options.writer_count + 2),
        timeouts,
        ..PoolConfig::default()
    };
    Pool::builder(manager)
        .config(limits)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| PostgresError::Address(error.to_string()))
}
