//! How many calls a key may make, counted in this process alone: a limit against clients that run
//! wild, not a quota.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use time::OffsetDateTime;
use uuid::Uuid;

/// Keys that are counted; the longest unused falls out, and begins anew.
const KEY_COUNT_MAX: NonZeroUsize = NonZeroUsize::new(20_000).expect("not zero");

/// A rate of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallRate {
    /// Calls a second in the long run; at least 1.
    pub per_s: u32,
    /// Calls at once; at least 1.
    pub burst_count: u32,
}

impl CallRate {
    fn interval_ns(self) -> i64 {
        1_000_000_000 / i64::from(self.per_s.max(1))
    }

    /// How early a call may be.
    fn tolerance_ns(self) -> i64 {
        self.interval_ns().saturating_mul(i64::from(self.burst_count.max(1)) - 1)
    }
}

/// When the next call of each key would be due at its rate (generic cell rate algorithm), in
/// nanoseconds since 1970.
pub(super) struct CallLimits(Mutex<LruCache<Uuid, i64>>);

impl Default for CallLimits {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KEY_COUNT_MAX)))
    }
}

impl CallLimits {
    /// Counts a call of a key.
    ///
    /// # Errors
    /// How long to wait, if it comes too early; it is then not counted.
    pub(super) fn take(
        &self,
        rate: CallRate,
        key: Uuid,
        now: OffsetDateTime,
    ) -> Result<(), Duration> {
        let now = i64::try_from(now.unix_timestamp_nanos()).unwrap_or(i64::MAX / 2);
        let (interval, tolerance) = (rate.interval_ns(), rate.tolerance_ns());
        let mut arrivals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = arrivals.get(&key).copied().unwrap_or(now);
        // Not later than one call too many would bring it, in case the clock was set back.
        let arrival = known.clamp(now, now.saturating_add(tolerance).saturating_add(interval));
        let wait = arrival - now - tolerance;
        if wait > 0 {
            return Err(Duration::from_nanos(wait.unsigned_abs()));
        }
        arrivals.put(key, arrival.saturating_add(interval));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-28 12:00 UTC);
    const RATE: CallRate = CallRate { per_s: 4, burst_count: 3 };

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let limits = CallLimits::default();
        let key = Uuid::from_u128(1);
        for _ in 0..3 {
            assert_eq!(limits.take(RATE, key, NOW), Ok(()));
        }
        let wait = limits.take(RATE, key, NOW).unwrap_err();
        assert_eq!(wait, Duration::from_millis(250));
        assert_eq!(limits.take(RATE, Uuid::from_u128(2), NOW), Ok(()), "keys do not meet");
        let due = NOW + wait;
        assert_eq!(limits.take(RATE, key, due), Ok(()));
        assert!(limits.take(RATE, key, due).is_err());
    }

    #[test]
    fn a_clock_that_is_set_back_delays_by_one_interval_at_most() {
        let limits = CallLimits::default();
        let key = Uuid::from_u128(1);
        for _ in 0..3 {
            limits.take(RATE, key, NOW).unwrap();
        }
        let wait = limits.take(RATE, key, NOW - Duration::from_secs(3_600)).unwrap_err();
        assert_eq!(wait, Duration::from_millis(250));
    }

    #[test]
    fn extreme_rates_do_not_overflow() {
        let limits = CallLimits::default();
        for rate in [
            CallRate { per_s: u32::MAX, burst_count: u32::MAX },
            CallRate { per_s: 0, burst_count: 0 },
            CallRate { per_s: 1, burst_count: u32::MAX },
        ] {
            assert_eq!(limits.take(rate, Uuid::from_u128(7), NOW), Ok(()));
        }
    }
}
