//! The connection to Redis or Redis Cluster that limits and recent content share: with or without
//! TLS, made when it is first used, and made again by itself when it broke.
//!
//! The library notices connections that broke. Those that work and are of no use any more are
//! noticed here: to a server that lost its place to another one behind the same name, and with a
//! password that was changed.
//!
//! Passwords stay in here: no error repeats an address.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    Client, Cmd, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError, Script,
    ServerErrorKind, TlsCertificates,
};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_rustls::rustls::crypto::ring;

/// Waiting longer for an answer is useless: the caller's deadline is 25 ms.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(20);
/// Longer than any connection within a data centre takes, its TLS handshake included; connecting
/// goes on in the background.
const CONNECTION_TIMEOUT: Duration = Duration::from_millis(100);
/// A handshake of TLS on a busy machine; a cluster makes one for each node.
const TLS_CONNECTION_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a call to a cluster may go on in the background: to find the node that took over.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(2);
/// After so long without an acknowledgement by the peer's kernel a connection is given up
/// (`TCP_USER_TIMEOUT`): otherwise a cable that was pulled is noticed only after minutes.
const PEER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a connection is made anew at most: a failover takes seconds, and until it is over each
/// new connection may lead to the same server.
const RENEW_INTERVAL: Duration = Duration::from_secs(1);

/// Where Redis is and how it is reached.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://[user:password@]host[:port][/db]` for one server, `rediss://…` with TLS;
    /// `redis+cluster://[user:password@]host[:port][,host[:port]…]` for some nodes of a cluster,
    /// `rediss+cluster://…` with TLS.
    pub url: String,
    /// Certificates (PEM) that are trusted in place of those of the web.
    pub ca_file: Option<PathBuf>,
    /// A file whose first line is the password, in place of one in the address.
    pub password_file: Option<PathBuf>,
    /// How long an answer may take.
    pub response_timeout: Duration,
}

impl RedisOptions {
    /// What is usual, for this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_file: None,
            password_file: None,
            response_timeout: RESPONSE_TIMEOUT,
        }
    }
}

/// A connection; a clone is the same one, also after it was made anew.
#[derive(Clone)]
pub struct RedisConnection(Arc<Shared>);

/// What clones share.
struct Shared {
    options: RedisOptions,
    /// Where connections are made anew, and then live.
    home: Handle,
    state: Mutex<State>,
}

struct State {
    kind: Kind,
    /// What it was made with.
    password: Option<String>,
    /// Before that it is not made anew.
    renew_time: Instant,
}

#[derive(Clone)]
enum Kind {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
}

/// An address, taken apart.
struct Address {
    /// One server, or some nodes of a cluster.
    servers: Vec<ConnectionInfo>,
    cluster: bool,
    tls: bool,
}

/// How to connect, with what its files hold now.
struct Plan {
    address: Address,
    roots: Option<TlsCertificates>,
    password: Option<String>,
    response_timeout: Duration,
}

impl RedisConnection {
    /// A connection that is made when it is first used, so Redis need not be there yet. Must be
    /// called inside a tokio runtime, where the connection then lives.
    ///
    /// # Errors
    /// One sentence that begins with the setting and never repeats the address.
    pub fn open(options: &RedisOptions) -> Result<Self, String> {
        let plan = Plan::read(options)?;
        let password = plan.password.clone();
        let kind = plan.connect().map_err(|_| match options.ca_file.is_some() {
            true => "limits.redis_ca_file: not certificates that Redis's TLS can use",
            false => UNREADABLE,
        })?;
        let state = State { kind, password, renew_time: Instant::now() };
        let (options, home) = (options.clone(), Handle::current());
        Ok(Self(Arc::new(Shared { options, home, state: Mutex::new(state) })))
    }

    /// Runs a script with what `fill` adds: the number of keys, the keys, the arguments. One round
    /// trip, and another one for a server that does not know the script yet.
    pub(super) async fn run<T: FromRedisValue + Send + 'static>(
        &self,
        script: &Script,
        code: &str,
        fill: impl Fn(&mut Cmd),
    ) -> Result<T, RedisError> {
        let call = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script);
            fill(&mut command);
            command
        };
        match self.query(call("EVALSHA", script.get_hash())).await {
            // A server that was restarted does not know the script; EVAL teaches it to the very
            // node that holds the keys.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.query(call("EVAL", code)).await
            }
            answer => answer,
        }
    }

    async fn query<T>(&self, command: Cmd) -> Result<T, RedisError>
    where
        T: FromRedisValue + Send + 'static,
    {
        let kind = self.0.state().kind.clone();
        match kind {
            Kind::Single(connection) => self.ask(connection, command).await,
            Kind::Cluster(connection) => {
                // It goes on when the caller stops waiting: only a call that meets its end shows
                // the client that a node is dead and that another one has its slots.
                let this = self.clone();
                let call = tokio::spawn(async move { this.ask(connection, command).await });
                call.await.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
            }
        }
    }

    async fn ask<T: FromRedisValue>(
        &self,
        mut connection: impl ConnectionLike,
        command: Cmd,
    ) -> Result<T, RedisError> {
        let answer = command.query_async(&mut connection).await;
        if let Err(error) = &answer {
            self.renew_after(error);
        }
        answer
    }

    /// Begins to make the connection anew if that may help against the error. Whoever asks
    /// meanwhile gets what the one before answers.
    fn renew_after(&self, error: &RedisError) {
        let shared = &self.0;
        // A cluster's client finds out by itself which node has taken over.
        let useless = is_useless(error) && matches!(shared.state().kind, Kind::Single(_));
        if !useless && shared.options.password_file.is_none() {
            return;
        }
        let now = Instant::now();
        let mut state = shared.state();
        if now < state.renew_time {
            return;
        }
        state.renew_time = now + RENEW_INTERVAL;
        drop(state);
        let shared = shared.clone();
        self.0.home.spawn(async move { shared.renew(useless).await });
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the connection anew if it is of no use or its password was changed.
    async fn renew(&self, useless: bool) {
        let plan = match Plan::read(&self.options) {
            Ok(plan) => plan,
            Err(error) => {
                tracing::warn!(error, "the connection to Redis cannot be made anew");
                return;
            }
        };
        if !useless && plan.password == self.state().password {
            return;
        }
        let password = plan.password.clone();
        match plan.connect_now().await {
            Ok(kind) => {
                let mut state = self.state();
                (state.kind, state.password) = (kind, password);
                drop(state);
                tracing::info!("the connection to Redis was made anew");
            }
            // The next call that fails begins again.
            Err(error) => {
                let reason = error.category();
                tracing::debug!(reason, "the connection to Redis could not be made anew");
            }
        }
    }
}

/// Whether a server answers, but will answer nothing else on this connection: it became a replica,
/// or did not take the password. The library keeps both.
fn is_useless(error: &RedisError) -> bool {
    let demoted = matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
    );
    // Before Redis 7, a script's error has that of its command in its text.
    let demoted = demoted || error.detail().is_some_and(|detail| detail.contains("READONLY "));
    let refused = error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"));
    demoted || refused
}

/// An error of the library may repeat the address, and with it a password.
const UNREADABLE: &str = "limits.redis_url: not an address of Redis";

impl Plan {
    fn read(options: &RedisOptions) -> Result<Self, String> {
        let password = options.password_file.as_deref().map(first_line).transpose();
        let password = password.map_err(|error| format!("limits.redis_password_file: {error}"))?;
        let address =
            Address::parse(&options.url, password.as_deref()).map_err(|_| UNREADABLE.to_owned())?;
        let roots = options.ca_file.as_deref().map(certificates).transpose();
        let roots = roots.map_err(|error| format!("limits.redis_ca_file: {error}"))?;
        if address.tls {
            // Others in this process may have chosen already; it is the same choice.
            let _ = ring::default_provider().install_default();
        }
        Ok(Self { address, roots, password, response_timeout: options.response_timeout })
    }

    /// A connection that is made when it is first used.
    fn connect(self) -> Result<Kind, RedisError> {
        if self.address.cluster {
            return self.cluster().map(Kind::Cluster);
        }
        let (client, config) = self.single()?;
        ConnectionManager::new_lazy_with_config(client, config).map(Kind::Single)
    }

    /// A connection that is there already; to a cluster, one that is being made.
    async fn connect_now(self) -> Result<Kind, RedisError> {
        if self.address.cluster {
            return self.connect();
        }
        let (client, config) = self.single()?;
        ConnectionManager::new_with_config(client, config).await.map(Kind::Single)
    }

    fn single(mut self) -> Result<(Client, ConnectionManagerConfig), RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_response_timeout(Some(self.response_timeout))
            .set_connection_timeout(Some(self.address.connection_timeout()));
        let absent = || RedisError::from((ErrorKind::InvalidClientConfig, "no server"));
        let server = self.address.servers.pop().ok_or_else(absent)?;
        let client = match self.roots {
            Some(roots) => Client::build_with_tls(server, roots)?,
            None => Client::open(server)?,
        };
        Ok((client, config))
    }

    fn cluster(self) -> Result<ClusterConnection, RedisError> {
        let connection_timeout = self.address.connection_timeout();
        let mut client = ClusterClient::builder(self.address.servers)
            .tcp_settings(tcp_settings())
            // For a slot that has moved to another node, whose first connection breaks as well.
            .retries(3)
            .max_retry_wait(5)
            .min_retry_wait(1);
        if let Some(roots) = self.roots {
            client = client.certs(roots);
        }
        // Callers wait for as long as they like; see `RedisConnection::query`.
        let config = ClusterConfig::new()
            .set_response_timeout(self.response_timeout.max(CLUSTER_TIMEOUT))
            .set_connection_timeout(connection_timeout);
        Ok(client.build()?.get_pending_async_connection_with_config(config))
    }
}

impl Address {
    fn parse(url: &str, password: Option<&str>) -> Result<Self, RedisError> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let tls = scheme.starts_with("rediss");
        let (user, hosts) = match rest.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), rest),
        };
        let cluster = scheme.ends_with("+cluster");
        let hosts: Vec<&str> = if cluster { hosts.split(',').collect() } else { vec![hosts] };
        let scheme = scheme.trim_end_matches("+cluster");
        let server = |host: &str| {
            let info = format!("{scheme}://{user}{host}").into_connection_info()?;
            // What the library is called is of no use, and a user who may do little may not say it.
            let mut settings = info.redis_settings().clone().set_skip_set_lib_name();
            if let Some(password) = password {
                settings = settings.set_password(password);
            }
            Ok(info.set_redis_settings(settings).set_tcp_settings(tcp_settings()))
        };
        let servers: Result<_, RedisError> = hosts.into_iter().map(server).collect();
        Ok(Self { servers: servers?, cluster, tls })
    }

    fn connection_timeout(&self) -> Duration {
        if self.tls { TLS_CONNECTION_TIMEOUT } else { CONNECTION_TIMEOUT }
    }
}

fn tcp_settings() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(PEER_TIMEOUT);
    settings
}

fn first_line(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(format!("{}: its first line is empty", path.display())),
    }
}

fn certificates(path: &Path) -> Result<TlsCertificates, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if !String::from_utf8_lossy(&bytes).contains("-----BEGIN CERTIFICATE-----") {
        return Err(format!("{}: there is no certificate in it", path.display()));
    }
    Ok(TlsCertificates { client_tls: None, root_cert: Some(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(options: &RedisOptions) -> String {
        RedisConnection::open(options).err().expect("it opened")
    }

    #[test]
    fn errors_name_the_setting_and_hide_the_password() {
        let mut options = RedisOptions::new("redis://jo:hush@[::1");
        assert_eq!(error(&options), "limits.redis_url: not an address of Redis");
        options.url = "redis+cluster://jo:hush@a:1,b:x".into();
        assert_eq!(error(&options), "limits.redis_url: not an address of Redis");
        let file = tempfile::NamedTempFile::new().unwrap();
        options = RedisOptions::new("rediss://localhost");
        options.password_file = Some(file.path().to_owned());
        assert!(error(&options).starts_with("limits.redis_password_file: "));
        options.password_file = None;
        options.ca_file = Some(file.path().to_owned());
        assert!(error(&options).starts_with("limits.redis_ca_file: "));
        assert!(error(&options).ends_with("there is no certificate in it"));
        options.ca_file = Some("nowhere.pem".into());
        assert!(error(&options).starts_with("limits.redis_ca_file: nowhere.pem: "));
    }

    #[test]
    fn servers_that_answer_may_be_of_no_use() {
        let server = |kind: ServerErrorKind, text: &str| {
            RedisError::from((ErrorKind::Server(kind), "An error was signalled", text.to_owned()))
        };
        let demoted = "You can't write against a read only replica.";
        assert!(is_useless(&server(ServerErrorKind::ReadOnly, demoted)));
        let in_script = format!("Error running script: @user_script: 17: -READONLY {demoted}");
        assert!(is_useless(&server(ServerErrorKind::ResponseError, &in_script)));
        assert!(is_useless(&(ErrorKind::AuthenticationFailed, "refused").into()));
        assert!(!is_useless(&server(ServerErrorKind::NoScript, "No matching script.")));
        assert!(!is_useless(&(ErrorKind::Io, "the connection broke").into()));
    }

    #[test]
    fn a_cluster_has_several_nodes_and_one_user() {
        let address = Address::parse("rediss+cluster://jo:a%20b@one,two:7001", Some("c")).unwrap();
        assert!(address.cluster && address.tls);
        let users: Vec<_> = address
            .servers
            .iter()
            .map(|server| (server.redis_settings().username(), server.redis_settings().password()))
            .collect();
        assert_eq!(users, [(Some("jo"), Some("c")), (Some("jo"), Some("c"))]);
        let address = Address::parse("redis://:a%40b@one/3", None).unwrap();
        assert!(!address.cluster && !address.tls);
        let settings = address.servers[0].redis_settings();
        assert_eq!((settings.password(), settings.db()), (Some("a@b"), 3));
    }
}
