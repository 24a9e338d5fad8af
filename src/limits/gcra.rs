//! The generic cell rate algorithm (ITU-T I.371, annex A: virtual scheduling).
//!
//! Each key has one number, its *theoretical arrival time*: when the next comment would be due if
//! comments came exactly at their rate. A comment may be early by the tolerance. All times are
//! whole microseconds; the Lua script of [`super::redis`] does the same arithmetic.

use crate::domain::LimitRule;

/// The largest tolerance, a year: keeps every sum exact in the 53 bits of a Lua number.
const TOLERANCE_MAX_US: i64 = 366 * 24 * 3_600 * 1_000_000;

/// A rule in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// Between two comments at the steady rate.
    pub interval_us: i64,
    /// How early a comment may come: `burst - 1` intervals.
    pub tolerance_us: i64,
}

impl Pace {
    /// The pace of a rule; a burst or period of 0 counts as 1.
    pub fn new(rule: LimitRule) -> Self {
        let interval_us = i64::from(rule.period_ms.max(1)) * 1_000;
        let tolerance_us = interval_us.saturating_mul(i64::from(rule.burst.max(1)) - 1);
        Self { interval_us, tolerance_us: tolerance_us.min(TOLERANCE_MAX_US) }
    }

    /// The arrival time that counts at `now`, for a key that holds `arrival_us`.
    ///
    /// It is not before `now` (an unused rate is not saved up beyond the burst), and not later
    /// than one comment too many would bring it: a clock that was set back or a rule that became
    /// looser delays by one interval at most.
    pub fn arrival(self, arrival_us: Option<i64>, now_us: i64) -> i64 {
        let latest = now_us + self.tolerance_us + self.interval_us;
        arrival_us.map_or(now_us, |arrival| arrival.clamp(now_us, latest))
    }

    /// How long to wait before a comment conforms; at most zero if it does now.
    pub fn wait(self, arrival_us: i64, now_us: i64) -> i64 {
        arrival_us - self.tolerance_us - now_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_rule_does_not_overflow() {
        let pace = Pace::new(LimitRule { burst: u32::MAX, period_ms: u32::MAX });
        assert_eq!(pace.tolerance_us, TOLERANCE_MAX_US);
        assert!(pace.arrival(Some(i64::MAX), 1 << 51) < 1 << 53);
        let pace = Pace::new(LimitRule { burst: 0, period_ms: 0 });
        assert_eq!(pace, Pace { interval_us: 1_000, tolerance_us: 0 });
    }

    #[test]
    fn a_clock_set_back_delays_by_one_interval() {
        let pace = Pace::new(LimitRule { burst: 3, period_ms: 10 });
        let arrival = pace.arrival(Some(9_000_000), 1_000);
        assert_eq!(pace.wait(arrival, 1_000), pace.interval_us);
    }
}
