//! Stops asking Redis while it does not answer, and notices by itself when it answers again.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::fallback::{FallbackOptions, SharedError};

/// Stops asking what does not answer. There is no jitter: a probe is one call a second.
pub(super) struct Breaker {
    /// What is shared, for log and metrics: `rate-limit` or `recent-content`.
    what: &'static str,
    options: FallbackOptions,
    state: Mutex<BreakerState>,
}

struct BreakerState {
    /// Since the last success.
    failure_count: u32,
    is_open: bool,
    /// While open: when the next call may try. Moved on when a call is let through, so a probe
    /// that never comes back (its caller went away) does not block the next.
    probe_time: Instant,
}

impl Breaker {
    /// A closed one.
    pub(super) fn new(what: &'static str, options: FallbackOptions) -> Self {
        let state = BreakerState { failure_count: 0, is_open: false, probe_time: Instant::now() };
        let breaker = Self { what, options, state: Mutex::new(state) };
        breaker.show(false);
        breaker
    }

    /// What the call answers, if it may be made and answers within `deadline`.
    pub(super) async fn ask<T>(
        &self,
        deadline: Duration,
        call: impl Future<Output = Result<T, SharedError>>,
    ) -> Option<T> {
        if !self.admits() {
            return None;
        }
        let failure = match tokio::time::timeout(deadline, call).await {
            Ok(Ok(answer)) => {
                self.succeeded();
                return Some(answer);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {deadline:?}"),
        };
        self.failed(&failure);
        None
    }

    /// Whether it is open: nothing is asked but a probe a second.
    pub(super) fn is_open(&self) -> bool {
        self.state().is_open
    }

    fn show(&self, open: bool) {
        let value = f64::from(u8::from(open));
        metrics::gauge!("replyguard_redis_breaker_open", "part" => self.what).set(value);
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this call may be made.
    fn admits(&self) -> bool {
        let mut state = self.state();
        if !state.is_open {
            return true;
        }
        let now = Instant::now();
        let probe = now >= state.probe_time;
        if probe {
            state.probe_time = now + self.options.retry_interval;
        }
        probe
    }

    fn succeeded(&self) {
        let mut state = self.state();
        state.failure_count = 0;
        if state.is_open {
            state.is_open = false;
            self.show(false);
            tracing::info!(part = self.what, "Redis answers again");
        }
    }

    fn failed(&self, failure: &str) {
        let mut state = self.state();
        state.failure_count = state.failure_count.saturating_add(1);
        if !state.is_open && state.failure_count >= self.options.failure_count_max {
            state.is_open = true;
            state.probe_time = Instant::now() + self.options.retry_interval;
            self.show(true);
            tracing::warn!(
                part = self.what,
                failure,
                "Redis does not answer; this process goes on alone"
            );
        }
    }
}
