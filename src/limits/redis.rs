//! Limits counted in Redis or Redis Cluster, so that several replicas count together.
//!
//! One script call, one round trip, for all keys of a comment. The keys are
//! `replyguard:{site}:kind:fingerprint`; the braces put all keys of a site into one hash slot, so
//! that the script runs on a cluster. A key expires when it no longer limits anything. Nothing
//! here may reach Redis but fingerprints.

use std::time::Duration;

use async_trait::async_trait;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, ErrorKind, IntoConnectionInfo, RedisError, Script, ServerErrorKind};
use time::OffsetDateTime;

use crate::domain::SiteId;
use crate::moderation::ports::{LimitKey, LimitOutcome};

use super::fallback::{SharedError, SharedLimiter};
use super::gcra::Pace;

/// Waiting longer for an answer is useless: the caller's deadline is 25 ms.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(20);
/// The same where the caller's clock counts: a suite is about counting, and machines are slow at
/// times.
const PATIENT_RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than any connection within a data centre takes; connecting goes on in the background.
const CONNECTION_TIMEOUT: Duration = Duration::from_millis(100);
/// After so long without an acknowledgement by the peer's kernel a connection is given up
/// (`TCP_USER_TIMEOUT`): otherwise a cable that was pulled is noticed only after minutes.
const PEER_TIMEOUT: Duration = Duration::from_secs(2);

/// GCRA for all keys or none; see [`super::gcra`] for the arithmetic.
///
/// Arguments: the time in microseconds or an empty text for Redis's own, then interval and
/// tolerance of each key. Answers with the index of the key that takes longest to clear (0: all
/// allow it) and the microseconds until then.
const SCRIPT: &str = r"
local now
if ARGV[1] == '' then
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1000000 + tonumber(time[2])
else
    now = tonumber(ARGV[1])
end
local held = redis.call('MGET', unpack(KEYS))
local arrivals, worst, index = {}, 0, 0
for i = 1, #KEYS do
    local interval, tolerance = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
    local arrival = held[i] and tonumber(held[i]) or now
    arrival = math.max(now, math.min(arrival, now + tolerance + interval))
    local wait = arrival - tolerance - now
    if wait > worst then
        worst, index = wait, i
    end
    arrivals[i] = arrival + interval
end
if index == 0 then
    for i = 1, #KEYS do
        local life = math.ceil((arrivals[i] - now) / 1000)
        redis.call('SET', KEYS[i], string.format('%.0f', arrivals[i]), 'PX', life)
    end
end
return {index, worst}
";

/// Whose clock counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisTime {
    /// Redis's own, so that the replicas' clocks need not agree. For production.
    Server,
    /// The caller's, so that a test can move it.
    Caller,
}

impl RedisTime {
    fn response_timeout(self) -> Duration {
        match self {
            Self::Server => RESPONSE_TIMEOUT,
            Self::Caller => PATIENT_RESPONSE_TIMEOUT,
        }
    }
}

/// GCRA in Redis. It can fail; [`super::FallbackLimiter`] makes a limiter of it that cannot.
pub struct RedisLimiter {
    connection: Connection,
    script: Script,
    time: RedisTime,
}

#[derive(Clone)]
enum Connection {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
}

impl RedisLimiter {
    /// A limiter that connects when it is first used, so Redis need not be there yet. Must be
    /// called inside a tokio runtime, where the connection then lives.
    ///
    /// `url`: `redis://[user:password@]host[:port][/db]` for one server;
    /// `redis+cluster://[user:password@]host[:port][,host[:port]…]` for some nodes of a cluster.
    ///
    /// # Errors
    /// If the address cannot be read.
    pub fn connect(url: &str, time: RedisTime) -> Result<Self, RedisError> {
        let connection = match url.strip_prefix("redis+cluster://") {
            Some(nodes) => Connection::Cluster(connect_cluster(nodes, time.response_timeout())?),
            None => Connection::Single(connect_single(url, time.response_timeout())?),
        };
        Ok(Self { connection, script: Script::new(SCRIPT), time })
    }

    async fn call(&self, site: &SiteId, keys: &[LimitKey], now: OffsetDateTime) -> Answer {
        let call = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(keys.len());
            for key in keys {
                command.arg(redis_key(site, key));
            }
            match self.time {
                RedisTime::Server => command.arg(""),
                RedisTime::Caller => command.arg((now.unix_timestamp_nanos() / 1_000) as i64),
            };
            for key in keys {
                let pace = Pace::new(key.rule);
                command.arg(pace.interval_us).arg(pace.tolerance_us);
            }
            command
        };
        let answer = self.query(call("EVALSHA", self.script.get_hash())).await;
        match answer {
            // A server that was restarted does not know the script; EVAL teaches it to the very
            // node that holds the keys.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.query(call("EVAL", SCRIPT)).await
            }
            answer => answer,
        }
    }

    async fn query(&self, command: Cmd) -> Answer {
        async fn on(mut connection: impl ConnectionLike, command: Cmd) -> Answer {
            command.query_async(&mut connection).await
        }
        match self.connection.clone() {
            Connection::Single(connection) => on(connection, command).await,
            Connection::Cluster(connection) => on(connection, command).await,
        }
    }
}

/// The script's answer: index of the key and microseconds to wait.
type Answer = Result<(usize, u64), RedisError>;

fn connect_single(url: &str, response_timeout: Duration) -> Result<ConnectionManager, RedisError> {
    let info = url.into_connection_info()?.set_tcp_settings(tcp_settings());
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_response_timeout(Some(response_timeout))
        .set_connection_timeout(Some(CONNECTION_TIMEOUT));
    ConnectionManager::new_lazy_with_config(Client::open(info)?, config)
}

fn connect_cluster(
    nodes: &str,
    response_timeout: Duration,
) -> Result<ClusterConnection, RedisError> {
    let (user, hosts) = match nodes.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), nodes),
    };
    let urls = hosts.split(',').map(|host| format!("redis://{user}{host}"));
    let client = ClusterClient::builder(urls)
        .tcp_settings(tcp_settings())
        // One more try, for a slot that has moved to another node.
        .retries(1)
        .max_retry_wait(5)
        .min_retry_wait(1)
        .build()?;
    let config = ClusterConfig::new()
        .set_response_timeout(response_timeout)
        .set_connection_timeout(CONNECTION_TIMEOUT);
    Ok(client.get_pending_async_connection_with_config(config))
}

fn tcp_settings() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(PEER_TIMEOUT);
    settings
}

fn redis_key(site: &SiteId, key: &LimitKey) -> String {
    format!("replyguard:{{{site}}}:{}:{}", key.kind.as_str(), key.value)
}

#[async_trait]
impl SharedLimiter for RedisLimiter {
    async fn take(
        &self,
        site: &SiteId,
        keys: &[LimitKey],
        now: OffsetDateTime,
    ) -> Result<LimitOutcome, SharedError> {
        if keys.is_empty() {
            return Ok(LimitOutcome::Allowed);
        }
        let (index, wait_us) =
            self.call(site, keys, now).await.map_err(|error| SharedError(error.to_string()))?;
        match index.checked_sub(1).map(|index| keys.get(index)) {
            None => Ok(LimitOutcome::Allowed),
            Some(Some(key)) => Ok(LimitOutcome::Limited {
                kind: key.kind,
                retry_after: Duration::from_micros(wait_us),
            }),
            Some(None) => Err(SharedError("an answer about a key that was not asked".into())),
        }
    }
}
