//! Limits counted in this process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::domain::SiteId;
use crate::moderation::ports::{LimitAnswer, LimitKey, LimitOutcome, Limiter};

use super::gcra::Pace;

/// Locks, chosen by site: the keys of one call are under one lock, so all or nothing is free.
const SHARD_COUNT: usize = 8;

/// How much the limiter may remember.
#[derive(Debug, Clone, Copy)]
pub struct MemoryLimits {
    /// Keys in each of the two generations of each of the 8 shards. The default takes at most
    /// 42 MiB when all sites together are flooded, and 5 MiB when one is: 131,072 keys, where
    /// 1,000 comments a second by as many authors touch 90,000 in the 15 s of the flood rule.
    pub generation_count_max: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { generation_count_max: 65_536 }
    }
}

/// GCRA over a bounded table in this process.
///
/// A key costs 24 bytes and its place in a hash table. When a shard has seen more keys than it
/// may keep, it forgets those that were not used for longest (by half of the table, in constant
/// time): a forgotten key may send one more burst. Nothing else is lost and nothing grows.
pub struct MemoryLimiter {
    shards: Vec<Mutex<Shard>>,
    limits: MemoryLimits,
}

/// The arrival times of a share of the sites. Keys are used in `young`; when that is full it
/// becomes `old` and what was old is forgotten.
#[derive(Default)]
struct Shard {
    young: HashMap<u128, i64>,
    old: HashMap<u128, i64>,
}

impl Shard {
    fn get(&self, key: u128) -> Option<i64> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    fn put(&mut self, key: u128, arrival_us: i64, count_max: usize) {
        if self.young.len() >= count_max && !self.young.contains_key(&key) {
            // The old table's memory is used again.
            self.old.clear();
            std::mem::swap(&mut self.young, &mut self.old);
        }
        self.young.insert(key, arrival_us);
    }
}

impl MemoryLimiter {
    /// A limiter that has counted nothing.
    pub fn new(limits: MemoryLimits) -> Self {
        Self { shards: (0..SHARD_COUNT).map(|_| Mutex::default()).collect(), limits }
    }

    /// Takes one from every key if all allow it. The keys of a call differ.
    pub fn take_now(&self, site: &SiteId, keys: &[LimitKey], now: OffsetDateTime) -> LimitOutcome {
        let now_us = (now.unix_timestamp_nanos() / 1_000) as i64;
        let index = xxh3_64(site.as_str().as_bytes()) as usize % SHARD_COUNT;
        let mut shard = self.shards[index].lock().unwrap_or_else(PoisonError::into_inner);
        let arrival = |shard: &Shard, key: &LimitKey| {
            let pace = Pace::new(key.rule);
            (pace, pace.arrival(shard.get(table_key(site, key)), now_us))
        };
        let over = keys
            .iter()
            .map(|key| {
                let (pace, arrival_us) = arrival(&shard, key);
                (pace.wait(arrival_us, now_us), key.kind)
            })
            // The first of the longest, as in Redis.
            .fold(
                (0, None),
                |worst, (wait, kind)| {
                    if wait > worst.0 { (wait, Some(kind)) } else { worst }
                },
            );
        if let (wait_us, Some(kind)) = over {
            let retry_after = Duration::from_micros(wait_us.unsigned_abs());
            return LimitOutcome::Limited { kind, retry_after };
        }
        for key in keys {
            let (pace, arrival_us) = arrival(&shard, key);
            let count_max = self.limits.generation_count_max;
            shard.put(table_key(site, key), arrival_us + pace.interval_us, count_max);
        }
        LimitOutcome::Allowed
    }
}

#[async_trait]
impl Limiter for MemoryLimiter {
    async fn take(&self, site: &SiteId, keys: &[LimitKey], now: OffsetDateTime) -> LimitAnswer {
        LimitAnswer { outcome: self.take_now(site, keys, now), degraded: false }
    }
}

/// Site, kind and value in 128 bits. Values are fingerprints under a secret key, so nobody can
/// look for two that collide.
fn table_key(site: &SiteId, key: &LimitKey) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(site.as_str().as_bytes());
    hash.update(&[0]);
    hash.update(key.kind.as_str().as_bytes());
    hash.update(&[0]);
    hash.update(key.value.as_bytes());
    hash.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Fingerprint, LimitRule};
    use crate::moderation::ports::LimitKind;

    #[test]
    fn memory_is_bounded_and_what_is_used_is_kept() {
        let limiter = MemoryLimiter::new(MemoryLimits { generation_count_max: 100 });
        let site: SiteId = "blog".parse().unwrap();
        let key = |n: u128| LimitKey {
            kind: LimitKind::Author,
            value: Fingerprint::from_bytes(n.to_be_bytes()),
            rule: LimitRule { burst: 1_000, period_ms: 60_000 },
        };
        for n in 1..10_000 {
            let keys = [key(0), key(n)];
            let outcome = limiter.take_now(&site, &keys, OffsetDateTime::UNIX_EPOCH);
            // Key 0 is used in every call, so it is never forgotten.
            assert_eq!(outcome == LimitOutcome::Allowed, n <= 1_000, "call {n}");
        }
        let kept: usize = limiter
            .shards
            .iter()
            .map(|shard| {
                let shard = shard.lock().unwrap();
                shard.young.len() + shard.old.len()
            })
            .sum();
        assert!(kept <= 200, "{kept} keys");
    }
}
