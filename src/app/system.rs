//! The real clock and the real randomness.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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

    #[allow(clippy::disallowed_methods, reason = "this is the Clock")]
    fn steady(&self) -> OffsetDateTime {
        static FIRST: OnceLock<(OffsetDateTime, Instant)> = OnceLock::new();
        let (time, instant) = FIRST.get_or_init(|| (self.now(), Instant::now()));
        *time + instant.elapsed()
    }
}

/// Random bytes of a comment's id.
const ID_BYTES: usize = 10;
/// Ids for which random bytes are fetched at once: a system call for each costs 0.8 µs.
const ID_COUNT: usize = 64;

thread_local! {
    /// Random bytes for the next ids of this thread. Ids are no secrets.
    static CHANCE: RefCell<Chance> = const { RefCell::new(Chance { bytes: [0; ID_BYTES * ID_COUNT], left: 0 }) };
}

/// Random bytes, each given out once.
struct Chance {
    bytes: [u8; ID_BYTES * ID_COUNT],
    left: usize,
}

impl Chance {
    fn take(&mut self) -> [u8; ID_BYTES] {
        if self.left == 0 {
            getrandom::fill(&mut self.bytes).expect("the operating system gives random bytes");
            self.left = ID_COUNT;
        }
        self.left -= 1;
        let start = self.left * ID_BYTES;
        let mut taken = [0; ID_BYTES];
        taken.copy_from_slice(&self.bytes[start..start + ID_BYTES]);
        taken
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
        let bytes = CHANCE.with_borrow_mut(Chance::take);
        CommentId::from_uuid(Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
    }
}
