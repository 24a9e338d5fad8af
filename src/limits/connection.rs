//! The connection to Redis or Redis Cluster that limits and recent content share: with or without
//! TLS, made when it is first used, and made again by itself when it broke.
//!
//! Passwords stay in here: no error repeats an address.

use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    Client, Cmd, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError, Script,
    ServerErrorKind, TlsCertificates,
};
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

/// A connection; a clone is the same one.
#[derive(Clone)]
pub struct RedisConnection(Kind);

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

impl RedisConnection {
    /// A connection that is made when it is first used, so Redis need not be there yet. Must be
    /// called inside a tokio runtime, where the connection then lives.
    ///
    /// # Errors
    /// One sentence that begins with the setting and never repeats the address.
    pub fn open(options: &RedisOptions) -> Result<Self, String> {
        let password = options.password_file.as_deref().map(first_line).transpose();
        let password = password.map_err(|error| format!("limits.redis_password_file: {error}"))?;
        // An error of the library may repeat the address, and with it a password.
        let unreadable = |_| "limits.redis_url: not an address of Redis".to_owned();
        let address = Address::parse(&options.url, password.as_deref()).map_err(unreadable)?;
        let roots = options.ca_file.as_deref().map(certificates).transpose();
        let roots = roots.map_err(|error| format!("limits.redis_ca_file: {error}"))?;
        if address.tls {
            // Others in this process may have chosen already; it is the same choice.
            let _ = ring::default_provider().install_default();
        }
        let connected = match address.cluster {
            true => connect_cluster(address, roots, options.response_timeout).map(Kind::Cluster),
            false => connect_single(address, roots, options.response_timeout).map(Kind::Single),
        };
        connected.map(Self).map_err(|error| match options.ca_file.is_some() {
            true => "limits.redis_ca_file: not certificates that Redis's TLS can use".into(),
            false => unreadable(error),
        })
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
        async fn on<T: FromRedisValue>(
            mut connection: impl ConnectionLike,
            command: Cmd,
        ) -> Result<T, RedisError> {
            command.query_async(&mut connection).await
        }
        match self.0.clone() {
            Kind::Single(connection) => on(connection, command).await,
            Kind::Cluster(connection) => {
                // It goes on when the caller stops waiting: only a call that meets its end shows
                // the client that a node is dead and that another one has its slots.
                let call = tokio::spawn(on(connection, command));
                call.await.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
            }
        }
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

fn connect_single(
    mut address: Address,
    roots: Option<TlsCertificates>,
    response_timeout: Duration,
) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_response_timeout(Some(response_timeout))
        .set_connection_timeout(Some(address.connection_timeout()));
    let absent = || RedisError::from((ErrorKind::InvalidClientConfig, "no server"));
    let server = address.servers.pop().ok_or_else(absent)?;
    let client = match roots {
        Some(roots) => Client::build_with_tls(server, roots)?,
        None => Client::open(server)?,
    };
    ConnectionManager::new_lazy_with_config(client, config)
}

fn connect_cluster(
    address: Address,
    roots: Option<TlsCertificates>,
    response_timeout: Duration,
) -> Result<ClusterConnection, RedisError> {
    let connection_timeout = address.connection_timeout();
    let mut client = ClusterClient::builder(address.servers)
        .tcp_settings(tcp_settings())
        // For a slot that has moved to another node, whose first connection breaks as well.
        .retries(3)
        .max_retry_wait(5)
        .min_retry_wait(1);
    if let Some(roots) = roots {
        client = client.certs(roots);
    }
    // Callers wait for as long as they like; see `RedisConnection::query`.
    let response_timeout = response_timeout.max(CLUSTER_TIMEOUT);
    let config = ClusterConfig::new()
        .set_response_timeout(response_timeout)
        .set_connection_timeout(connection_timeout);
    Ok(client.build()?.get_pending_async_connection_with_config(config))
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
