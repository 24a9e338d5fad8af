//! What ends by time, with a clock that the test moves.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use replyguard::domain::CommentId;
use replyguard::moderation::ModerationError;
use replyguard::moderation::accounts::{AccountPorts, Accounts, Lives, LogInError};
use replyguard::moderation::ports::{Clock, Random};
use replyguard::storage::{SqliteOptions, SqliteStore};
use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::PASSWORD;

const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const HOUR: Duration = Duration::from_secs(3_600);

struct TestClock(Mutex<OffsetDateTime>);

impl TestClock {
    fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

/// Never the same twice.
#[derive(Default)]
struct Counting(AtomicU8);

impl Random for Counting {
    fn bytes32(&self) -> [u8; 32] {
        [self.0.fetch_add(1, Ordering::Relaxed); 32]
    }

    fn uuid(&self) -> Uuid {
        Uuid::from_bytes([self.0.fetch_add(1, Ordering::Relaxed); 16])
    }

    fn comment_id(&self, _: OffsetDateTime) -> CommentId {
        CommentId::from_uuid(self.uuid())
    }
}

async fn accounts(folder: &TempDir) -> (Accounts, Arc<TestClock>) {
    let path = folder.path().join("replyguard.sqlite3");
    let store = Arc::new(SqliteStore::open(&path, SqliteOptions::default()).await.unwrap());
    let clock = Arc::new(TestClock(Mutex::new(datetime!(2026-11-24 12:00 UTC))));
    let ports = AccountPorts {
        accounts: store.clone(),
        store,
        clock: clock.clone(),
        random: Arc::new(Counting::default()),
    };
    let lives = Lives { session: 12 * HOUR, idle: 2 * HOUR, invitation: 48 * HOUR };
    (Accounts::new(ports, lives), clock)
}

#[tokio::test]
async fn sessions_end_when_idle_and_after_their_life() {
    let folder = TempDir::new().unwrap();
    let (accounts, clock) = accounts(&folder).await;
    let invited = accounts.first_administrator().await.unwrap().unwrap();
    let idle = accounts.accept(&invited.token, PASSWORD).await.unwrap().token;
    clock.pass(2 * HOUR - Duration::from_secs(1));
    assert!(accounts.session(idle.clone()).await.unwrap().is_some());
    clock.pass(2 * HOUR - Duration::from_secs(1));
    assert!(accounts.session(idle.clone()).await.unwrap().is_some(), "use keeps it alive");
    clock.pass(HOUR);
    assert!(accounts.peek_session(idle.clone()).await.unwrap().is_some());
    clock.pass(HOUR);
    assert!(accounts.peek_session(idle.clone()).await.unwrap().is_none(), "an open page is no use");
    assert!(accounts.session(idle.clone()).await.unwrap().is_none());
    assert!(accounts.first_administrator().await.unwrap().is_none());

    let busy = accounts.log_in("administrator", PASSWORD, IP).await.unwrap().token;
    for _ in 0..11 {
        clock.pass(HOUR);
        assert!(accounts.session(busy.clone()).await.unwrap().is_some());
    }
    clock.pass(HOUR);
    assert!(accounts.session(busy).await.unwrap().is_none(), "however busy");
}

#[tokio::test]
async fn invitations_end_and_guesses_wait() {
    let folder = TempDir::new().unwrap();
    let (accounts, clock) = accounts(&folder).await;
    let first = accounts.first_administrator().await.unwrap().unwrap();
    clock.pass(48 * HOUR);
    let over = accounts.accept(&first.token, PASSWORD).await;
    assert!(matches!(over, Err(ModerationError::NotFound("invitation"))));
    let second = accounts.first_administrator().await.unwrap().unwrap();
    assert_eq!(first.account.id, second.account.id);
    clock.pass(48 * HOUR - Duration::from_secs(1));
    accounts.accept(&second.token, PASSWORD).await.unwrap();
    let again = accounts.accept(&second.token, PASSWORD).await;
    assert!(matches!(again, Err(ModerationError::NotFound("invitation"))));

    for _ in 0..5 {
        let refused = accounts.log_in("administrator", "wrong", IP).await;
        assert!(matches!(refused, Err(LogInError::Refused)));
    }
    let limited = accounts.log_in("administrator", PASSWORD, IP).await;
    assert!(matches!(limited, Err(LogInError::Limited(wait)) if wait == Duration::from_secs(1)));
    let noted = accounts.audit_entries(None, 1).await.unwrap().remove(0);
    assert_eq!((noted.actor.as_str(), noted.action.as_str()), ("console", "refuse-log-ins"));
    assert_eq!(noted.subject, first.account.resource_name());
    clock.pass(Duration::from_secs(1));
    assert!(accounts.log_in("administrator", PASSWORD, IP).await.is_ok());
}
