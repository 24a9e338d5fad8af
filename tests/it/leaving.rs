//! Callers who leave while what they asked for is written, who try again, undos that break off, and what
//! is told to and heard from other processes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use async_trait::async_trait;
use futures_util::future::join_all;
use replyguard::classifier::base_model;
use replyguard::domain::{
    Action, CommentId, ContentPrint, DecisionId, Label, RawSubmission, RetentionPolicy, Site,
    SiteId, SitePolicy, State,
};
use replyguard::grpc::WireAnswers;
use replyguard::limits::{MemoryLimiter, MemoryLimits, MemoryRecent, RecentOptions};
use replyguard::moderation::ports::replicas::{News, Replicas};
use replyguard::moderation::ports::review::{ReviewStore, Target};
use replyguard::moderation::ports::{
    Clock, Random, RecentAnswer, RecentContent, RecentText, Reporter, Store, StoreError,
};
use replyguard::moderation::{
    Actor, CheckOptions, DecisionRequest, Feedback, Moderation, ModerationError, Ports,
    RetractionRequest, Reviewer, Scorer, Selection,
};
use replyguard::storage::SqliteStore;
use replyguard::webhooks::{HttpsSender, SenderOptions};
use rusqlite::{Connection, Row};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::backend::sqlite;
use crate::support::records::{comment, comment_id, label, request, request_id, site, start};
use crate::support::service::wait_for;

/// More than two parts of a decision.
const COUNT: u64 = 600;

/// An index that notes what it is told, and can be out of order.
struct Index {
    memory: MemoryRecent,
    broken: AtomicBool,
    inserted_count: AtomicUsize,
    forgotten_count: AtomicUsize,
    labels: Mutex<Vec<Label>>,
}

#[async_trait]
impl RecentContent for Index {
    async fn find(&self, site: &SiteId, print: &ContentPrint) -> Result<RecentAnswer, StoreError> {
        self.memory.find(site, print).await
    }

    async fn insert(&self, site: &SiteId, text: RecentText) -> Result<(), StoreError> {
        self.inserted_count.fetch_add(1, Ordering::Relaxed);
        self.memory.insert(site, text).await
    }

    async fn set_label(
        &self,
        site: &SiteId,
        print: ContentPrint,
        label: Label,
    ) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("out of order".into()));
        }
        self.labels.lock().unwrap().push(label);
        self.memory.set_label(site, print, label).await
    }

    async fn forget_site(&self, site: &SiteId) -> Result<(), StoreError> {
        self.forgotten_count.fetch_add(1, Ordering::Relaxed);
        self.memory.forget_site(site).await
    }
}

/// A clock that stands so long after the first comments.
struct Standing(Duration);

impl Clock for Standing {
    fn now(&self) -> OffsetDateTime {
        start() + self.0
    }
}

/// Another process, which says all this at once and counts how often it is told of a site.
#[derive(Default)]
struct Other {
    news: Mutex<VecDeque<News>>,
    told_count: AtomicUsize,
}

#[async_trait]
impl Replicas for Other {
    async fn next_news(&self) -> News {
        let next = self.news.lock().unwrap().pop_front();
        match next {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }

    async fn tell_relabelled(&self, _: &SiteId) -> Result<(), StoreError> {
        self.told_count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn hold(&self, _: &str) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn release(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Ids that none of the recorded comments has.
#[derive(Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn bytes32(&self) -> [u8; 32] {
        [7; 32]
    }

    fn uuid(&self) -> Uuid {
        Uuid::from_u128(1_000_000 + u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }

    fn comment_id(&self, _: OffsetDateTime) -> CommentId {
        CommentId::from_uuid(self.uuid())
    }
}

/// The use cases over a store with the site `blog`.
struct Desk {
    moderation: Arc<Moderation>,
    store: Arc<SqliteStore>,
    index: Arc<Index>,
    random: Arc<Counting>,
    site: Site,
    folder: TempDir,
}

impl Desk {
    async fn new() -> Self {
        Self::beside(Arc::new(Other::default()), Duration::HOUR).await
    }

    /// Beside another process, so long after the first comments.
    async fn beside(replicas: Arc<dyn Replicas>, age: Duration) -> Self {
        let (store, folder) = sqlite().await;
        let index = Arc::new(Index {
            memory: MemoryRecent::new(RecentOptions::default()),
            broken: AtomicBool::new(false),
            inserted_count: AtomicUsize::new(0),
            forgotten_count: AtomicUsize::new(0),
            labels: Mutex::default(),
        });
        let random = Arc::new(Counting::default());
        let ports = Ports {
            store: store.clone(),
            model_store: store.clone(),
            review_store: store.clone(),
            privacy_store: store.clone(),
            webhook_store: store.clone(),
            webhook_sender: Arc::new(HttpsSender::new(&SenderOptions::default()).unwrap()),
            operation_store: store.clone(),
            answers: Arc::new(WireAnswers),
            replicas,
            limiter: Arc::new(MemoryLimiter::new(MemoryLimits::default())),
            recent: index.clone(),
            clock: Arc::new(Standing(age)),
            random: random.clone(),
        };
        let moderation = Arc::new(Moderation::new(ports, Scorer::new(Arc::new(base_model()))));
        Self { moderation, store, index, random, site: site("blog"), folder }
    }

    /// The same with so many held comments.
    async fn with_held(count: u64) -> Self {
        let desk = Self::new().await;
        desk.hold(count).await;
        desk
    }

    /// Records so many held comments.
    async fn hold(&self, count: u64) {
        let record = async |n| {
            let held = comment("blog", n, None, State::Held);
            self.store.record_check(&held, None).await.unwrap();
        };
        join_all((1..=count).map(record)).await;
    }

    /// The database, beside the store.
    fn database(&self) -> Connection {
        Connection::open(self.folder.path().join("records.sqlite3")).unwrap()
    }

    /// How many comments stand there.
    fn count(&self, state: State) -> u64 {
        let sql = "SELECT count(*) FROM comments WHERE state = ?1";
        let read = |row: &Row<'_>| row.get::<_, i64>(0);
        self.database().query_row(sql, [state.as_str()], read).unwrap() as u64
    }

    fn forgotten_count(&self) -> usize {
        self.index.forgotten_count.load(Ordering::Relaxed)
    }

    fn labels(&self) -> Vec<Label> {
        self.index.labels.lock().unwrap().clone()
    }

    async fn reject_one(&self) -> Result<(), ModerationError> {
        let target = Target { comment: comment_id(1), revision: None };
        let (reviewer, note) = (jane(), String::new());
        let decided =
            self.moderation.decide_comment(&reviewer, &self.site, target, Action::RejectSpam, note);
        decided.await.map(|_| ())
    }

    /// Rejects everything that is held.
    async fn reject_all(&self) -> DecisionId {
        let done = self.moderation.decide(&jane(), &self.site, all_held(), |_| ()).await.unwrap();
        assert_eq!(done.decided_count, COUNT);
        done.decision
    }

    async fn undo(&self, decision: DecisionId) -> Result<(u64, u64), ModerationError> {
        let (reviewer, note) = (jane(), String::new());
        let undone = self.moderation.undo(&reviewer, &self.site, decision, note, |_| ()).await?;
        Ok((undone.decided_count, undone.passed_count))
    }

    async fn is_undone(&self, decision: DecisionId) -> bool {
        let record = self.store.get_decision(&self.site.id, decision).await.unwrap().unwrap();
        record.undone.is_some()
    }
}

fn jane() -> Reviewer {
    Reviewer { actor: Actor::moderator("jane"), administrator: false }
}

fn all_held() -> DecisionRequest {
    let selection = Selection::Filter("state:held".into());
    DecisionRequest { selection, action: Action::RejectSpam, note: String::new() }
}

/// Lets the work go on as far as it can at once; whether it is done.
async fn poll_once<F: Future>(work: &mut Pin<Box<F>>) -> bool {
    std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_ready())).await
}

/// Begins the work and leaves as soon as `condition` holds; it holds before the work is done.
async fn leave_when<F: Future>(work: F, condition: impl Fn() -> bool) {
    let mut work = Box::pin(work);
    while !condition() {
        assert!(!poll_once(&mut work).await, "it ended before its caller left");
        tokio::task::yield_now().await;
    }
}

/// Waits until it is so.
async fn until(what: &str, condition: impl Fn() -> bool) {
    wait_for(what, async || condition().then_some(())).await;
}

#[tokio::test]
async fn a_decision_teaches_though_its_caller_left() {
    let desk = Desk::with_held(1).await;
    let mut work = Box::pin(desk.reject_one());
    assert!(!poll_once(&mut work).await);
    drop(work);
    until("the label", || desk.labels() == [Label::Spam]).await;
    assert_eq!(desk.count(State::Rejected), 1);
}

#[tokio::test]
async fn deciding_again_teaches_what_did_not_arrive() {
    let desk = Desk::with_held(1).await;
    desk.index.broken.store(true, Ordering::Relaxed);
    desk.reject_one().await.unwrap();
    assert_eq!(desk.labels(), []);
    desk.index.broken.store(false, Ordering::Relaxed);
    let again = desk.reject_one().await;
    assert!(matches!(again, Err(ModerationError::NothingToDo)), "{again:?}");
    assert_eq!(desk.labels(), [Label::Spam]);
}

#[tokio::test]
async fn feedback_teaches_though_its_caller_left() {
    let desk = Desk::with_held(1).await;
    let feedback = Feedback {
        label: Label::Ham,
        reporter: Reporter::Site,
        reporter_name: String::new(),
        note: String::new(),
    };
    let mut work = Box::pin(desk.moderation.submit_feedback(&desk.site, comment_id(1), feedback));
    assert!(!poll_once(&mut work).await);
    drop(work);
    until("the label", || desk.labels() == [Label::Ham]).await;
    assert_eq!(desk.count(State::Approved), 1);
}

#[tokio::test]
async fn a_retracted_label_is_lent_to_none_though_its_caller_left() {
    let desk = Desk::with_held(1).await;
    desk.store.append_label(label("blog", 1, Label::Ham)).await.unwrap();
    let (administrator, what) = (jane().actor, RetractionRequest::Comment(comment_id(1)));
    let work = desk.moderation.retract_examples(&administrator, &desk.site, what, None);
    let mut work = Box::pin(work);
    assert!(!poll_once(&mut work).await);
    drop(work);
    until("the index to forget", || desk.forgotten_count() == 1).await;
    let sql = "SELECT count(*) FROM labels WHERE retracts IS NOT NULL";
    let count: i64 = desk.database().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn a_new_fingerprint_key_clears_memory_though_its_caller_left() {
    let desk = Desk::with_held(1).await;
    let administrator = jane().actor;
    let work = desk.moderation.rotate_fingerprint_key(&administrator, &desk.site, String::new());
    let mut work = Box::pin(work);
    assert!(!poll_once(&mut work).await);
    drop(work);
    until("the index to forget", || desk.forgotten_count() == 1).await;
    let site = desk.store.get_site(&desk.site.id).await.unwrap().unwrap();
    assert_eq!(site.revision, 2);
}

fn question() -> RawSubmission {
    RawSubmission {
        text: "Which of the two varnishes would you take for a table that stands outside?".into(),
        author: "Jane".into(),
        email: "jane@example.org".into(),
        ..RawSubmission::default()
    }
}

/// A check with the `n`th request id.
fn asked(n: u64) -> CheckOptions {
    CheckOptions { request: Some(request_id(n)), lenient: true, ..CheckOptions::default() }
}

/// Whether somebody is to be polled again.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_first_try_that_ends_meanwhile_makes_its_retry_no_flood() {
    // One thread that reads from disk, so that a read can be kept waiting: one that ends at once
    // would be over at the first poll.
    let runtime =
        Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let desk = Desk::new().await;
        // An id of the day before, so that it is looked for on disk and not found.
        let mut old = comment("blog", 1, None, State::Held);
        old.check_time = start() - Duration::DAY;
        desk.store.record_check(&old, Some(request(1, 1))).await.unwrap();

        // The first is counted and cannot be written yet when its caller leaves.
        let other = desk.database();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let id_count = || desk.random.0.load(Ordering::Relaxed);
        let before = id_count();
        let first = desk.moderation.check(&desk.site, question(), asked(1));
        leave_when(first, || id_count() > before).await;
        // The retry looks for it before it is there, and learns that only after it is.
        let (begin, wait) = std::sync::mpsc::channel::<()>();
        let reading = tokio::task::spawn_blocking(move || wait.recv());
        let mut retry = Box::pin(desk.moderation.check(&desk.site, question(), asked(1)));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        assert!(retry.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        begin.send(()).unwrap();
        reading.await.unwrap().unwrap();
        until("the look for the first", || woken.0.load(Ordering::Relaxed)).await;
        other.execute_batch("ROLLBACK").unwrap();
        until("the first", || desk.index.inserted_count.load(Ordering::Relaxed) == 1).await;
        assert!(retry.await.unwrap().repeated);
    });
}

#[tokio::test]
async fn a_copy_of_what_could_not_be_recorded_is_not_counted_again() {
    let desk = Desk::new().await;
    let broken = "CREATE TRIGGER broken BEFORE INSERT ON comments \
         BEGIN SELECT RAISE(ABORT, 'out of order'); END";
    desk.database().execute_batch(broken).unwrap();
    let first = desk.moderation.check(&desk.site, question(), asked(1)).await;
    assert!(matches!(first, Err(ModerationError::Unavailable(_))), "{first:?}");
    desk.database().execute_batch("DROP TRIGGER broken").unwrap();
    let copy = CheckOptions { earlier: Some(request_id(1)), ..asked(2) };
    desk.moderation.check(&desk.site, question(), copy).await.unwrap();
    // Another comment of hers is.
    let flood = desk.moderation.check(&desk.site, question(), asked(3)).await;
    assert!(matches!(flood, Err(ModerationError::Limited { .. })), "{flood:?}");
}

#[tokio::test]
async fn a_check_is_remembered_though_its_caller_left() {
    let desk = Desk::new().await;
    let raw = question();
    let options = CheckOptions { lenient: true, ..CheckOptions::default() };
    let database = desk.database();
    let count = || -> i64 {
        database.query_row("SELECT count(*) FROM comments", [], |row| row.get(0)).unwrap()
    };
    // Its answer comes by a task of this thread, so it was not there when this looks.
    leave_when(desk.moderation.check(&desk.site, raw, options), || count() == 1).await;
    until("the text", || desk.index.inserted_count.load(Ordering::Relaxed) == 1).await;
}

#[tokio::test]
async fn a_long_decision_and_its_undo_go_on_when_their_callers_leave() {
    let desk = Desk::with_held(COUNT).await;
    let begun = Arc::new(Mutex::new(None));
    let progress = {
        let begun = begun.clone();
        move |done: &replyguard::moderation::DecisionProgress| {
            *begun.lock().unwrap() = Some(done.decision);
        }
    };
    let reviewer = jane();
    let work = desk.moderation.decide(&reviewer, &desk.site, all_held(), progress);
    leave_when(work, || begun.lock().unwrap().is_some()).await;
    until("the decision", || desk.count(State::Rejected) == COUNT).await;
    until("the labels", || desk.labels().len() == COUNT as usize).await;

    let decision = begun.lock().unwrap().unwrap();
    leave_when(desk.undo(decision), || desk.count(State::Held) > 0).await;
    until("the undo", || desk.forgotten_count() == 1).await;
    assert_eq!(desk.count(State::Held), COUNT);
    assert!(desk.is_undone(decision).await);
}

#[tokio::test]
async fn an_undo_that_broke_off_is_ended_by_the_next() {
    let desk = Desk::with_held(COUNT).await;
    let decision = desk.reject_all().await;
    let broken = "CREATE TRIGGER broken BEFORE INSERT ON decided_comments \
         WHEN (SELECT count(*) FROM decided_comments) >= 900 \
         BEGIN SELECT RAISE(ABORT, 'out of order'); END";
    desk.database().execute_batch(broken).unwrap();
    let undone = desk.undo(decision).await;
    assert!(matches!(undone, Err(ModerationError::Unavailable(_))), "{undone:?}");
    assert_eq!(desk.count(State::Held), 250, "the first part");
    assert_eq!(desk.forgotten_count(), 1, "and what it had taught");
    assert!(!desk.is_undone(decision).await, "not all of it");

    desk.database().execute_batch("DROP TRIGGER broken").unwrap();
    assert_eq!(desk.undo(decision).await.unwrap(), (COUNT - 250, 0));
    assert_eq!(desk.count(State::Held), COUNT);
    assert!(desk.is_undone(decision).await);
    let again = desk.undo(decision).await;
    assert!(matches!(again, Err(ModerationError::Conflict("decision"))), "{again:?}");
}

#[tokio::test]
async fn a_site_that_is_told_of_many_times_is_read_anew_once() {
    let other = Arc::new(Other::default());
    let desk = Desk::beside(other.clone(), Duration::HOUR).await;
    let relabelled = || News::Relabelled(desk.site.id.clone());
    other.news.lock().unwrap().extend(std::iter::repeat_with(relabelled).take(100));
    let forgotten = || desk.index.forgotten_count.load(Ordering::Relaxed);
    let heard = wait_for("all news to be heard", || async {
        (forgotten() > 0 && other.news.lock().unwrap().is_empty()).then_some(())
    });
    tokio::select! {
        () = desk.moderation.follow_replicas() => {}
        () = heard => {}
    }
    assert_eq!(forgotten(), 1);
}

/// A desk whose 250 held comments are older than its site keeps them, beside another replica.
async fn desk_with_old_comments() -> (Desk, Arc<Other>) {
    let other = Arc::new(Other::default());
    let desk = Desk::beside(other.clone(), Duration::days(9)).await;
    desk.hold(250).await;
    let retention = RetentionPolicy { comment_days: 1, ..RetentionPolicy::default() };
    let policy = SitePolicy { retention, ..SitePolicy::default() };
    let id = &desk.site.id;
    desk.store.update_site(id, None, "Blog".into(), policy, "test", start()).await.unwrap();
    (desk, other)
}

#[tokio::test]
async fn retention_tells_the_others_of_a_site_once() {
    let (desk, other) = desk_with_old_comments().await;
    desk.moderation.apply_retention(&CancellationToken::new()).await.unwrap();
    assert_eq!(desk.count(State::Held), 0);
    assert_eq!(other.told_count.load(Ordering::Relaxed), 1);
    assert_eq!(desk.index.forgotten_count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn retention_that_is_stopped_tells_of_what_it_removed() {
    let (desk, other) = desk_with_old_comments().await;
    let stop = CancellationToken::new();
    let begun = wait_for("a first step", || async {
        (desk.count(State::Held) < 250).then(|| stop.cancel())
    });
    let (applied, ()) = tokio::join!(desk.moderation.apply_retention(&stop), begun);
    applied.unwrap();
    assert_eq!(other.told_count.load(Ordering::Relaxed), 1);
}
