//! What the answer to a message means: done, again later, or given up.

use time::{Duration, OffsetDateTime};

use crate::moderation::ports::webhooks::{
    AttemptRecord, DeliveryRecord, DeliveryState, Receipt, SendError,
};

/// The wait after the first failed attempt; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::seconds(10);
/// The longest wait between attempts.
const WAIT_MAX: Duration = Duration::HOUR;
/// How long a delivery is tried before it is dead.
const PATIENCE: Duration = Duration::days(3);
/// How long deliveries that ended well are listed.
const MEMORY: Duration = Duration::days(7);
/// The receiver is gone for good (RFC 9110).
const GONE: u16 = 410;

/// What an attempt leaves behind. `chance`, from 0 to 1, spreads the next attempts by a tenth.
pub(super) fn judged(
    delivery: &DeliveryRecord,
    sent: Result<Receipt, SendError>,
    now: OffsetDateTime,
    chance: f64,
) -> AttemptRecord {
    let receipt = sent.ok();
    let status = receipt.map(|receipt| receipt.status);
    let failure = match sent {
        Err(error) => Some(error.as_str()),
        Ok(receipt) => failure(receipt.status),
    };
    let state = match failure {
        None => DeliveryState::Delivered,
        // While the webhook is disabled, nothing is tried, and nothing is lost.
        Some(_) if status == Some(GONE) => DeliveryState::Pending,
        Some(_) if now - delivery.begin_time >= PATIENCE => DeliveryState::Dead,
        Some(_) => DeliveryState::Pending,
    };
    let asked = receipt.and_then(|receipt| receipt.retry_after_s).unwrap_or_default();
    let next = now + wait(delivery.attempt_count, asked, chance);
    AttemptRecord {
        time: now,
        state,
        next_attempt_time: (state == DeliveryState::Pending).then_some(next),
        status,
        failure,
        disables: status == Some(GONE),
        forget_before: now - MEMORY,
    }
}

/// The word for a status that is no success.
pub(super) fn failure(status: u16) -> Option<&'static str> {
    match status {
        200..300 => None,
        300..400 => Some("redirected"),
        GONE => Some("gone"),
        _ => Some("refused"),
    }
}

/// The wait after so many failed attempts, at least what the receiver asked for.
fn wait(attempt_count: u32, asked_s: u64, chance: f64) -> Duration {
    let doubled = FIRST_WAIT * 2_i32.pow(attempt_count.min(20));
    let asked = Duration::seconds(asked_s.min(WAIT_MAX.whole_seconds() as u64) as i64);
    doubled.min(WAIT_MAX).max(asked) * (1.0 + chance / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DeliveryId;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn delivery(attempt_count: u32, age: Duration) -> DeliveryRecord {
        DeliveryRecord {
            number: 1,
            id: DeliveryId::from_uuid(uuid::Uuid::nil()),
            first_position: 1,
            last_position: 1,
            decision_count: 1,
            state: DeliveryState::Pending,
            replay: false,
            attempt_count,
            create_time: NOW - age,
            begin_time: NOW - age,
            attempt_time: None,
            next_attempt_time: Some(NOW),
            status: None,
            failure: None,
        }
    }

    fn answer(status: u16) -> Result<Receipt, SendError> {
        Ok(Receipt { status, retry_after_s: None })
    }

    #[test]
    fn waits_double_up_to_an_hour() {
        let wait_after = |count| {
            let attempt = judged(&delivery(count, Duration::HOUR), answer(500), NOW, 0.0);
            assert_eq!((attempt.state, attempt.failure), (DeliveryState::Pending, Some("refused")));
            (attempt.next_attempt_time.unwrap() - NOW).whole_seconds()
        };
        assert_eq!([0, 1, 2, 8, 9, 60].map(wait_after), [10, 20, 40, 2_560, 3_600, 3_600]);
        let spread = judged(&delivery(0, Duration::ZERO), answer(500), NOW, 1.0);
        assert_eq!(spread.next_attempt_time, Some(NOW + Duration::seconds(11)));
    }

    #[test]
    fn receivers_may_ask_for_time_and_leave() {
        let busy = Ok(Receipt { status: 503, retry_after_s: Some(120) });
        let attempt = judged(&delivery(0, Duration::ZERO), busy, NOW, 0.0);
        assert_eq!(attempt.next_attempt_time, Some(NOW + Duration::minutes(2)));
        let greedy = Ok(Receipt { status: 429, retry_after_s: Some(u64::MAX) });
        let attempt = judged(&delivery(0, Duration::ZERO), greedy, NOW, 0.0);
        assert_eq!(attempt.next_attempt_time, Some(NOW + Duration::HOUR));
        let gone = judged(&delivery(0, Duration::days(9)), answer(410), NOW, 0.0);
        assert!(gone.disables && gone.state == DeliveryState::Pending);
    }

    #[test]
    fn three_days_are_enough() {
        let nobody = Err(SendError::Unreachable);
        let attempt = judged(&delivery(70, Duration::days(3)), nobody, NOW, 0.0);
        assert_eq!((attempt.state, attempt.next_attempt_time), (DeliveryState::Dead, None));
        assert_eq!((attempt.status, attempt.failure), (None, Some("unreachable")));
        let attempt = judged(&delivery(70, Duration::days(3)), answer(204), NOW, 0.0);
        assert_eq!((attempt.state, attempt.failure), (DeliveryState::Delivered, None));
        let moved = judged(&delivery(0, Duration::ZERO), answer(302), NOW, 0.0);
        assert_eq!(moved.failure, Some("redirected"));
    }
}
