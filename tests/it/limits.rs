//! The suite of every limiter, and what happens when Redis dies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use replyguard::domain::{Fingerprint, LimitRule, SiteId};
use replyguard::limits::{
    FallbackLimiter, FallbackOptions, MemoryLimiter, MemoryLimits, RedisConnection, RedisLimiter,
    RedisOptions, RedisTime,
};
use replyguard::moderation::ports::{LimitAnswer, LimitKey, LimitKind, LimitOutcome, Limiter};
use time::OffsetDateTime;

use crate::support::redis::RedisServer;
use crate::support::service::wait_for;

fn memory() -> MemoryLimiter {
    MemoryLimiter::new(MemoryLimits::default())
}

/// A limiter over Redis whose clock is the caller's, so that a test can move it. It waits longer
/// than in production: the suite is about counting, and machines are slow at times.
fn shared(redis: &RedisServer) -> FallbackLimiter<RedisLimiter> {
    let connection = RedisConnection::open(&redis.patient_options()).unwrap();
    let limiter = RedisLimiter::new(connection, RedisTime::Caller);
    let patient =
        FallbackOptions { deadline: Duration::from_secs(5), ..FallbackOptions::default() };
    FallbackLimiter::new(limiter, memory(), patient)
}

/// A limiter as in production.
fn impatient(redis: &RedisServer) -> FallbackLimiter<RedisLimiter> {
    let connection = RedisConnection::open(&RedisOptions::new(redis.url())).unwrap();
    let limiter = RedisLimiter::new(connection, RedisTime::Server);
    FallbackLimiter::new(limiter, memory(), FallbackOptions::default())
}

/// Every implementation with nothing counted.
async fn implementations() -> (RedisServer, Vec<(&'static str, Arc<dyn Limiter>)>) {
    let redis = RedisServer::start().await;
    let limiters: Vec<(_, Arc<dyn Limiter>)> =
        vec![("memory", Arc::new(memory())), ("redis", Arc::new(shared(&redis)))];
    for (name, limiter) in &limiters {
        let key = key(LimitKind::Page, 250, 1_000_000, 1);
        wait_for("the limiter's connection", || async {
            let answer = limiter.take(&site("warm-up"), &[key], at(0)).await;
            (!answer.degraded).then_some(())
        })
        .await;
        assert!(!name.is_empty());
    }
    (redis, limiters)
}

fn site(name: &str) -> SiteId {
    name.parse().unwrap()
}

/// So many milliseconds after some instant.
fn at(ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap() + time::Duration::milliseconds(ms)
}

fn key(kind: LimitKind, value: u8, burst: u32, period_ms: u32) -> LimitKey {
    let value = Fingerprint::from_bytes([value; 16]);
    LimitKey { kind, value, rule: LimitRule { burst, period_ms } }
}

fn allowed(answer: LimitAnswer) -> bool {
    assert!(!answer.degraded, "the shared counters were asked");
    answer.outcome == LimitOutcome::Allowed
}

#[tokio::test]
async fn a_burst_passes_and_then_one_in_each_period() {
    let (_redis, limiters) = implementations().await;
    for (name, limiter) in limiters {
        let keys = [key(LimitKind::Ip, 1, 3, 15_000)];
        let site = site("blog");
        for _ in 0..3 {
            assert!(allowed(limiter.take(&site, &keys, at(0)).await), "{name}");
        }
        let fourth = limiter.take(&site, &keys, at(0)).await.outcome;
        let expected =
            LimitOutcome::Limited { kind: LimitKind::Ip, retry_after: Duration::from_secs(15) };
        assert_eq!(fourth, expected, "{name}");
        let early = limiter.take(&site, &keys, at(14_000)).await.outcome;
        let expected =
            LimitOutcome::Limited { kind: LimitKind::Ip, retry_after: Duration::from_secs(1) };
        assert_eq!(early, expected, "{name}");
        assert!(allowed(limiter.take(&site, &keys, at(15_000)).await), "{name}");
        assert!(!allowed(limiter.take(&site, &keys, at(15_000)).await), "{name}");
        assert!(allowed(limiter.take(&site, &keys, at(30_001)).await), "{name}");
    }
}

#[tokio::test]
async fn over_one_limit_counts_against_none() {
    let (_redis, limiters) = implementations().await;
    for (name, limiter) in limiters {
        let site = site("blog");
        let (tight, wide) =
            (key(LimitKind::Author, 2, 1, 10_000), key(LimitKind::Page, 3, 2, 60_000));
        assert!(allowed(limiter.take(&site, &[tight, wide], at(0)).await), "{name}");
        for _ in 0..5 {
            let answer = limiter.take(&site, &[tight, wide], at(1)).await;
            assert!(!allowed(answer), "{name}");
        }
        assert!(
            allowed(limiter.take(&site, &[wide], at(2)).await),
            "{name}: refused ones cost nothing"
        );
        let both = limiter.take(&site, &[tight, wide], at(3)).await.outcome;
        let LimitOutcome::Limited { kind, retry_after } = both else { panic!("{name}") };
        assert_eq!(kind, LimitKind::Page, "{name}: the longest wait is told");
        assert!(retry_after > Duration::from_secs(59), "{name}: {retry_after:?}");
    }
}

#[tokio::test]
async fn sites_kinds_and_values_are_apart() {
    let (_redis, limiters) = implementations().await;
    for (name, limiter) in limiters {
        let one = key(LimitKind::Ip, 4, 1, 60_000);
        let others = [
            ("other", one),
            ("blog", key(LimitKind::IpPrefix, 4, 1, 60_000)),
            ("blog", key(LimitKind::Ip, 5, 1, 60_000)),
        ];
        assert!(allowed(limiter.take(&site("blog"), &[one], at(0)).await), "{name}");
        for (other, key) in others {
            assert!(allowed(limiter.take(&site(other), &[key], at(0)).await), "{name} {other}");
        }
        assert!(!allowed(limiter.take(&site("blog"), &[one], at(0)).await), "{name}");
        assert!(
            allowed(limiter.take(&site("blog"), &[], at(0)).await),
            "{name}: no keys, no limit"
        );
    }
}

#[tokio::test]
async fn many_callers_never_get_more_than_the_burst() {
    let (_redis, limiters) = implementations().await;
    for (name, limiter) in limiters {
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(async move {
                    let keys = [key(LimitKind::Site, 6, 10, 60_000)];
                    allowed(limiter.take(&site("blog"), &keys, at(0)).await)
                })
            })
            .collect();
        let mut passed = 0;
        for task in tasks {
            passed += usize::from(task.await.unwrap());
        }
        assert_eq!(passed, 10, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// In no stretch of time do more pass than the burst and one for each period.
    #[test]
    fn never_more_than_burst_and_rate(
        burst in 1u32..6, period_ms in 1u32..500, gaps in prop::collection::vec(0i64..400, 1..80)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let limiter = memory();
        let keys = [key(LimitKind::Ip, 7, burst, period_ms)];
        let mut now = 0;
        let mut passed: Vec<i64> = Vec::new();
        for gap in gaps {
            now += gap;
            let answer = runtime.block_on(limiter.take(&site("blog"), &keys, at(now)));
            match answer.outcome {
                LimitOutcome::Allowed => passed.push(now),
                LimitOutcome::Limited { retry_after, .. } => {
                    prop_assert!(retry_after > Duration::ZERO);
                    prop_assert!(retry_after <= Duration::from_millis(u64::from(period_ms)));
                }
            }
        }
        for (first, begin) in passed.iter().enumerate() {
            for (last, end) in passed.iter().enumerate().skip(first) {
                let count = (last - first + 1) as i64;
                let most = i64::from(burst) + (end - begin) / i64::from(period_ms);
                prop_assert!(count <= most, "{count} in {} ms", end - begin);
            }
        }
    }
}

/// Takes from a limiter as in production, and checks that it answers within the deadline.
async fn take_in_time(limiter: &dyn Limiter, value: u8) -> LimitAnswer {
    let keys = [key(LimitKind::Ip, value, 1_000_000, 1)];
    let begin = Instant::now();
    let answer = limiter.take(&site("blog"), &keys, OffsetDateTime::UNIX_EPOCH).await;
    // The limiter's own deadline is 25 ms; the rest is for a busy machine.
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    assert_eq!(answer.outcome, LimitOutcome::Allowed);
    answer
}

/// Eight callers at once take until the answers are as `degraded` says.
async fn load_until(limiter: &Arc<FallbackLimiter<RedisLimiter>>, degraded: bool) {
    let tasks: Vec<_> = (0..8)
        .map(|value| {
            let limiter = limiter.clone();
            tokio::spawn(async move {
                wait_for(&format!("answers with degraded = {degraded}"), || async {
                    let answer = take_in_time(&*limiter, value).await;
                    (answer.degraded == degraded).then_some(())
                })
                .await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn redis_killed_frozen_and_restarted_under_load() {
    let mut redis = RedisServer::start().await;
    let limiter = Arc::new(impatient(&redis));
    load_until(&limiter, false).await;
    for _ in 0..2 {
        redis.kill();
        load_until(&limiter, true).await;
        wait_for("the breaker to open", || async {
            take_in_time(&*limiter, 1).await;
            limiter.is_open().then_some(())
        })
        .await;
        redis.restart().await;
        load_until(&limiter, false).await;
        assert!(!limiter.is_open(), "it recovers by itself");

        redis.freeze();
        load_until(&limiter, true).await;
        redis.thaw();
        load_until(&limiter, false).await;
    }
}

#[tokio::test]
async fn redis_that_was_never_there_is_found_when_it_comes() {
    let mut redis = RedisServer::start().await;
    redis.kill();
    let limiter = Arc::new(impatient(&redis));
    load_until(&limiter, true).await;
    redis.restart().await;
    load_until(&limiter, false).await;
}

#[tokio::test]
async fn limits_still_hold_while_redis_is_away() {
    let mut redis = RedisServer::start().await;
    let limiter = shared(&redis);
    let keys = [key(LimitKind::Author, 9, 1, 15_000)];
    assert!(allowed(limiter.take(&site("blog"), &keys, at(0)).await));
    redis.kill();
    let answer = limiter.take(&site("blog"), &keys, at(1)).await;
    assert!(answer.degraded);
    assert!(matches!(answer.outcome, LimitOutcome::Limited { .. }), "{answer:?}");
}

#[tokio::test]
async fn keys_in_redis_share_a_slot_and_expire() {
    let redis = RedisServer::start().await;
    let limiter = impatient(&redis);
    let keys = [key(LimitKind::Ip, 1, 1, 15_000), key(LimitKind::Author, 2, 1, 15_000)];
    wait_for("an answer of Redis", || async {
        let answer = limiter.take(&site("blog"), &keys, OffsetDateTime::UNIX_EPOCH).await;
        (!answer.degraded).then_some(())
    })
    .await;
    let names = redis.cli(&["KEYS", "*"]);
    let names: Vec<&str> = names.split_whitespace().collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let slots: std::collections::BTreeSet<String> =
        names.iter().map(|name| redis.cli(&["CLUSTER", "KEYSLOT", name])).collect();
    assert!(names.iter().all(|name| name.contains("{blog}")), "{names:?}");
    assert_eq!(slots.len(), 1, "one hash tag, one slot");
    for name in names {
        let ttl: i64 = redis.cli(&["PTTL", name]).trim().parse().unwrap();
        assert!(ttl > 0 && ttl <= 30_000, "{name} expires in {ttl} ms");
    }
}
