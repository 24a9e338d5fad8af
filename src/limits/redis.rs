//! Limits counted in Redis or Redis Cluster, so that several replicas count together.
//!
//! One script call, one round trip, for all keys of a comment. The keys are
//! `replyguard:{site}:kind:fingerprint`; the braces put all keys of a site into one hash slot, so
//! that the script runs on a cluster. A key expires when it no longer limits anything. Nothing
//! here may reach Redis but fingerprints.

use std::time::Duration;

use async_trait::async_trait;
use redis::{RedisError, Script};
use time::OffsetDateTime;

use crate::domain::SiteId;
use crate::moderation::ports::{LimitKey, LimitOutcome};

use super::connection::RedisConnection;
use super::fallback::{SharedError, SharedLimiter};
use super::gcra::Pace;

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

/// GCRA in Redis. It can fail; [`super::FallbackLimiter`] makes a limiter of it that cannot.
pub struct RedisLimiter {
    connection: RedisConnection,
    script: Script,
    time: RedisTime,
}

impl RedisLimiter {
    /// A limiter over this connection.
    pub fn new(connection: RedisConnection, time: RedisTime) -> Self {
        Self { connection, script: Script::new(SCRIPT), time }
    }

    async fn call(&self, site: &SiteId, keys: &[LimitKey], now: OffsetDateTime) -> Answer {
        let fill = |command: &mut redis::Cmd| {
            command.arg(keys.len());
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
        };
        self.connection.run(&self.script, SCRIPT, fill).await
    }
}

/// The script's answer: index of the key and microseconds to wait.
type Answer = Result<(usize, u64), RedisError>;

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
