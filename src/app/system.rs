//! The real clock and the real randomness.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use uuid::{Builder, Uuid};

use crate::domain::CommentId;
use crate::moderation::ports::{Clock, Random};

/// The operating system's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the Clock")]
    fn now(&self) -> OffsetDateTime {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        OffsetDateTime::UNIX_EPOCH + since_epoch
    }
}

/// The operating system's random source.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn bytes32(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        bytes
    }

    #[allow(clippy::disallowed_methods, reason = "this is the Random")]
    fn uuid(&self) -> Uuid {
        Uuid::new_v4()
    }

    fn comment_id(&self, time: OffsetDateTime) -> CommentId {
        let millis = u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        let chance = self.uuid();
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&chance.as_bytes()[..10]);
        CommentId::from_uuid(Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
    }
}
