//! A shared limiter made safe: a deadline, a circuit breaker, and this process's own counters
//! for the time when the shared ones cannot be asked.
//!
//! The contract: every call answers within the deadline, whatever the shared limiter does. While
//! it fails, this process counts alone and says so (`degraded`). It is used again by itself.

use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::domain::SiteId;
use crate::moderation::ports::{LimitAnswer, LimitKey, LimitOutcome, Limiter};

use super::breaker::Breaker;
use super::memory::MemoryLimiter;

/// Why Redis did not answer, for the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SharedError(pub String);

/// A limiter outside of this process, which may fail or not answer at all.
#[async_trait]
pub trait SharedLimiter: Send + Sync + 'static {
    /// As [`Limiter::take`].
    async fn take(
        &self,
        site: &SiteId,
        keys: &[LimitKey],
        now: OffsetDateTime,
    ) -> Result<LimitOutcome, SharedError>;
}

/// When the shared limiter is given up and tried again.
#[derive(Debug, Clone, Copy)]
pub struct FallbackOptions {
    /// How long a call may take. A healthy Redis answers in 0.1 ms.
    pub deadline: Duration,
    /// After so many failures in a row the breaker opens.
    pub failure_count_max: u32,
    /// While the breaker is open, one call in this time tries the shared limiter.
    pub retry_interval: Duration,
}

impl Default for FallbackOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(25),
            failure_count_max: 5,
            retry_interval: Duration::from_secs(1),
        }
    }
}

/// The limiter for a shared backend.
pub struct FallbackLimiter<S> {
    shared: S,
    own: MemoryLimiter,
    breaker: Breaker,
    deadline: Duration,
}

impl<S: SharedLimiter> FallbackLimiter<S> {
    /// A limiter that asks `shared`, and counts in `own` as well, so that an author who was just
    /// limited there is limited here too when it fails.
    pub fn new(shared: S, own: MemoryLimiter, options: FallbackOptions) -> Self {
        Self {
            shared,
            own,
            breaker: Breaker::new("rate-limit", options),
            deadline: options.deadline,
        }
    }

    /// Whether the shared limiter is given up for now.
    pub fn is_open(&self) -> bool {
        self.breaker.is_open()
    }

    async fn take_shared(
        &self,
        site: &SiteId,
        keys: &[LimitKey],
        now: OffsetDateTime,
    ) -> Option<LimitOutcome> {
        self.breaker.ask(self.deadline, self.shared.take(site, keys, now)).await
    }
}

#[async_trait]
impl<S: SharedLimiter> Limiter for FallbackLimiter<S> {
    async fn take(&self, site: &SiteId, keys: &[LimitKey], now: OffsetDateTime) -> LimitAnswer {
        match self.take_shared(site, keys, now).await {
            Some(outcome) => {
                if outcome == LimitOutcome::Allowed {
                    // Counted, not asked: the shared counters have decided.
                    self.own.take_now(site, keys, now);
                }
                LimitAnswer { outcome, degraded: false }
            }
            None => LimitAnswer { outcome: self.own.take_now(site, keys, now), degraded: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Fingerprint, LimitRule};
    use crate::limits::MemoryLimits;
    use crate::moderation::ports::LimitKind;
    use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
    use tokio::time::Instant;

    const ANSWER: u8 = 0;
    const FAIL: u8 = 1;
    const HANG: u8 = 2;

    /// A shared limiter that does as it is told and counts its calls.
    #[derive(Default)]
    struct Puppet {
        manner: AtomicU8,
        call_count: AtomicU32,
    }

    #[async_trait]
    impl SharedLimiter for std::sync::Arc<Puppet> {
        async fn take(
            &self,
            _: &SiteId,
            _: &[LimitKey],
            _: OffsetDateTime,
        ) -> Result<LimitOutcome, SharedError> {
            self.call_count.fetch_add(1, Ordering::Relaxed);
            match self.manner.load(Ordering::Relaxed) {
                ANSWER => Ok(LimitOutcome::Allowed),
                FAIL => Err(SharedError("refused".into())),
                _ => std::future::pending().await,
            }
        }
    }

    struct Bench {
        puppet: std::sync::Arc<Puppet>,
        limiter: FallbackLimiter<std::sync::Arc<Puppet>>,
    }

    impl Bench {
        fn new() -> Self {
            let puppet = std::sync::Arc::new(Puppet::default());
            let own = MemoryLimiter::new(MemoryLimits::default());
            let shared = std::sync::Arc::clone(&puppet);
            let limiter = FallbackLimiter::new(shared, own, FallbackOptions::default());
            Self { puppet, limiter }
        }

        fn tell(&self, manner: u8) {
            self.puppet.manner.store(manner, Ordering::Relaxed);
            self.puppet.call_count.store(0, Ordering::Relaxed);
        }

        fn call_count(&self) -> u32 {
            self.puppet.call_count.load(Ordering::Relaxed)
        }

        async fn take(&self) -> LimitAnswer {
            let key = LimitKey {
                kind: LimitKind::Ip,
                value: Fingerprint::from_bytes([1; 16]),
                rule: LimitRule { burst: 3, period_ms: 60_000 },
            };
            let site = "blog".parse().unwrap();
            self.limiter.take(&site, &[key], OffsetDateTime::UNIX_EPOCH).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_backend_costs_its_deadline_only_until_the_breaker_opens() {
        let bench = Bench::new();
        bench.tell(HANG);
        let start = Instant::now();
        for _ in 0..5 {
            assert!(bench.take().await.degraded);
        }
        assert_eq!(start.elapsed(), Duration::from_millis(125));
        assert!(bench.limiter.is_open());
        for _ in 0..100 {
            assert!(bench.take().await.degraded);
        }
        assert_eq!(start.elapsed(), Duration::from_millis(125));
        assert_eq!(bench.call_count(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_a_second_probes_and_the_first_success_closes() {
        let bench = Bench::new();
        bench.tell(FAIL);
        for _ in 0..5 {
            bench.take().await;
        }
        bench.tell(FAIL);
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(1)).await;
            for _ in 0..10 {
                assert!(bench.take().await.degraded);
            }
        }
        assert_eq!(bench.call_count(), 3, "one probe a second");
        bench.tell(ANSWER);
        assert!(bench.take().await.degraded, "not yet time for a probe");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!bench.take().await.degraded);
        assert!(!bench.limiter.is_open());
        assert!(!bench.take().await.degraded);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_never_returns_does_not_block_the_next() {
        let bench = Bench::new();
        bench.tell(FAIL);
        for _ in 0..5 {
            bench.take().await;
        }
        bench.tell(HANG);
        tokio::time::advance(Duration::from_secs(1)).await;
        let abandoned = tokio::time::timeout(Duration::from_millis(1), bench.take()).await;
        assert!(abandoned.is_err());
        bench.tell(ANSWER);
        assert!(bench.take().await.degraded);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!bench.take().await.degraded);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_counted_before_a_failure_counts_after_it() {
        let bench = Bench::new();
        for _ in 0..3 {
            assert_eq!(bench.take().await.outcome, LimitOutcome::Allowed);
        }
        bench.tell(FAIL);
        let answer = bench.take().await;
        assert!(answer.degraded);
        assert!(matches!(answer.outcome, LimitOutcome::Limited { .. }), "{answer:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_must_be_in_a_row() {
        let bench = Bench::new();
        for _ in 0..10 {
            bench.tell(FAIL);
            assert!(bench.take().await.degraded);
            bench.tell(ANSWER);
            assert!(!bench.take().await.degraded);
        }
        assert!(!bench.limiter.is_open());
    }
}
