//! The suite that every store of long work passes, and what several processes make of it.

use replyguard::domain::{Label, SiteId, SiteSecret, State};
use replyguard::moderation::ports::models::{ModelStore, Retraction};
use replyguard::moderation::ports::operations::{
    OperationRecord, OperationStore, Standing, WorkKind, WorkStage, WorkState,
};
use replyguard::moderation::ports::privacy::{Act, PrivacyStore, Whose};
use replyguard::moderation::ports::replicas::{News, Replicas};
use replyguard::moderation::ports::{Store, StoreError};
use replyguard::storage::{PostgresOptions, PostgresStore, SqliteOptions, SqliteStore};
use tempfile::TempDir;
use time::Duration;
use uuid::Uuid;

use crate::support::backend::on_each_store;
use crate::support::postgres::{Database, shared};
use crate::support::records::{
    comment, comment_id, fingerprint, label, model, site, site_id, start,
};
use crate::support::service::wait_for;

on_each_store!(
    a_site_has_one_at_a_time,
    progress_is_noted_until_the_end,
    work_is_cancelled_where_it_is_done,
    what_ended_is_kept_for_a_while,
    what_lists_labels_is_forgotten_alone,
    work_ends_without_its_answer_when_labels_are_erased,
    retention_disturbs_work_only_where_labels_go,
    sites_see_nothing_of_each_other,
);

/// More than any test ends.
const MANY: usize = 99;

trait All: Store + ModelStore + PrivacyStore + OperationStore {}
impl<S: Store + ModelStore + PrivacyStore + OperationStore> All for S {}

fn operation(site: &str, n: u64, kind: WorkKind) -> OperationRecord {
    OperationRecord {
        id: Uuid::from_u128(u128::from(n)),
        site: site_id(site),
        kind,
        stage: WorkStage::Waiting,
        example_count: 0,
        create_time: start() + Duration::minutes(n as i64),
        state: WorkState::Running,
    }
}

fn id(n: u64) -> Uuid {
    Uuid::from_u128(u128::from(n))
}

fn blog() -> SiteId {
    site_id("blog")
}

async fn begin(store: &impl OperationStore, n: u64) -> bool {
    store.begin_operation(operation("blog", n, WorkKind::Train), MANY).await.unwrap()
}

/// An operation from its begin to its end.
async fn done(store: &impl OperationStore, n: u64, kind: WorkKind) {
    assert!(store.begin_operation(operation("blog", n, kind), MANY).await.unwrap());
    assert!(store.end_operation(id(n), Some(vec![n as u8])).await.unwrap());
}

async fn found(store: &impl OperationStore) -> Vec<(Uuid, WorkState)> {
    let found = store.operations(&blog(), None).await.unwrap();
    found.into_iter().map(|one| (one.id, one.state)).collect()
}

async fn a_site_has_one_at_a_time(store: &impl All) {
    assert_eq!(found(store).await, []);
    assert!(begin(store, 1).await);
    assert!(!begin(store, 2).await, "one runs");
    let other = operation("news", 3, WorkKind::Prove);
    assert!(store.begin_operation(other.clone(), MANY).await.unwrap(), "sites are apart");
    assert_eq!(store.operations(&site_id("news"), None).await.unwrap(), [other]);
    assert!(store.end_operation(id(1), Some(vec![7, 8])).await.unwrap());
    assert!(begin(store, 2).await);
    let expected = [(id(2), WorkState::Running), (id(1), WorkState::Ended(vec![7, 8]))];
    assert_eq!(found(store).await, expected);
    let nowhere = operation("nowhere", 4, WorkKind::Train);
    let refused = store.begin_operation(nowhere, MANY).await;
    assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
}

async fn progress_is_noted_until_the_end(store: &impl All) {
    assert_eq!(store.note_progress(id(1), WorkStage::Fitting, 9).await.unwrap(), Standing::Lost);
    assert!(begin(store, 1).await);
    let noted = store.note_progress(id(1), WorkStage::Fitting, 9).await.unwrap();
    assert_eq!(noted, Standing::Wanted);
    let expected = OperationRecord {
        stage: WorkStage::Fitting,
        example_count: 9,
        ..operation("blog", 1, WorkKind::Train)
    };
    assert_eq!(store.operations(&blog(), Some(id(1))).await.unwrap(), [expected]);
    assert!(store.end_operation(id(1), None).await.unwrap());
    assert_eq!(found(store).await, [(id(1), WorkState::Interrupted)]);
    assert!(!store.end_operation(id(1), Some(vec![1])).await.unwrap(), "what ended has ended");
    assert_eq!(store.note_progress(id(1), WorkStage::Storing, 9).await.unwrap(), Standing::Lost);
    assert_eq!(found(store).await, [(id(1), WorkState::Interrupted)]);
    assert_eq!(store.operations(&blog(), Some(id(2))).await.unwrap(), []);
}

async fn work_is_cancelled_where_it_is_done(store: &impl All) {
    assert!(begin(store, 1).await);
    store.cancel_operation(&site_id("news"), id(1)).await.unwrap();
    let standing = || store.note_progress(id(1), WorkStage::Reading, 1);
    assert_eq!(standing().await.unwrap(), Standing::Wanted, "of another site");
    store.cancel_operation(&blog(), id(1)).await.unwrap();
    assert_eq!(standing().await.unwrap(), Standing::Cancelled);
    assert_eq!(found(store).await, [(id(1), WorkState::Running)], "until it has ended");
    assert!(store.end_operation(id(1), Some(Vec::new())).await.unwrap());
    store.cancel_operation(&blog(), id(1)).await.unwrap();
    assert_eq!(found(store).await, [(id(1), WorkState::Ended(Vec::new()))]);
}

async fn what_ended_is_kept_for_a_while(store: &impl All) {
    for n in 1..=5 {
        done(store, n, WorkKind::Train).await;
    }
    assert!(store.forget_operation(&blog(), id(2)).await.unwrap());
    assert!(!store.forget_operation(&blog(), id(2)).await.unwrap());
    assert!(store.begin_operation(operation("blog", 6, WorkKind::Train), 3).await.unwrap());
    assert!(!store.forget_operation(&blog(), id(6)).await.unwrap(), "it runs");
    let ids = async || found(store).await.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(ids().await, [6, 5, 4, 3].map(id));
    let before = start() + Duration::minutes(5);
    assert_eq!(store.forget_operations(before).await.unwrap(), 2);
    assert_eq!(store.forget_operations(start() + Duration::days(1)).await.unwrap(), 1);
    assert_eq!(ids().await, [6].map(id), "what runs stays");
}

/// Records the `n`th comment of a site, by author `n`.
async fn recorded(store: &impl All, site: &str, n: u64) {
    store.record_check(&comment(site, n, Some(n), State::Held), None).await.unwrap();
}

/// Likewise, labelled.
async fn labelled(store: &impl All, site: &str, n: u64) {
    recorded(store, site, n).await;
    store.append_label(label(site, n, Label::Spam)).await.unwrap();
}

/// Erases the `n`th author of a site.
async fn erase(store: &impl All, site: &str, n: u64) {
    let act = Act { actor: "key:1".into(), note: None, time: start() };
    let whose = Whose::Author(fingerprint(n));
    let erased = store.erase(&site_id(site), whose, 9, act).await.unwrap();
    assert_eq!(erased.comment_count, 1);
}

async fn what_lists_labels_is_forgotten_alone(store: &impl All) {
    done(store, 1, WorkKind::Train).await;
    done(store, 2, WorkKind::Evaluate).await;
    done(store, 3, WorkKind::Prove).await;
    labelled(store, "news", 1).await;
    erase(store, "news", 1).await;
    recorded(store, "blog", 2).await;
    erase(store, "blog", 2).await;
    assert_eq!(found(store).await.len(), 3, "of another site, and without a label");
    labelled(store, "blog", 3).await;
    let taken_back = Retraction::Comment(comment_id(3));
    store.retract_labels(&blog(), taken_back, "key:1", None, start()).await.unwrap();
    erase(store, "blog", 3).await;
    let expected = [(id(1), WorkState::Ended(vec![1]))];
    assert_eq!(found(store).await, expected, "labels that were taken back are listed too");
}

async fn work_ends_without_its_answer_when_labels_are_erased(store: &impl All) {
    for (n, kind) in [(1, WorkKind::Evaluate), (2, WorkKind::Prove), (3, WorkKind::Train)] {
        labelled(store, "blog", n).await;
        assert!(store.begin_operation(operation("blog", n, kind), MANY).await.unwrap());
        let other = operation("news", n + 10, kind);
        assert!(store.begin_operation(other, MANY).await.unwrap());
        erase(store, "blog", n).await;
        assert_eq!(found(store).await[0], (id(n), WorkState::Erased));
        let noted = store.note_progress(id(n), WorkStage::Judging, 9).await.unwrap();
        assert_eq!(noted, Standing::Lost, "who works hears of it");
        let late = store.create_model(model("blog-1"), vec![1], "key:1", Some(id(n))).await;
        assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
        assert!(!store.end_operation(id(n), Some(vec![1])).await.unwrap());
        assert_eq!(found(store).await[0], (id(n), WorkState::Erased), "no answer is stored");
        assert!(store.end_operation(id(n + 10), Some(vec![1])).await.unwrap(), "of another site");
    }
    assert_eq!(found(store).await.len(), 3, "it stays known that they ended so");
    assert_eq!(store.list_models(&blog()).await.unwrap(), []);
    assert!(begin(store, 4).await);
    let stored = store.create_model(model("blog-1"), vec![1], "key:1", Some(id(4))).await;
    assert_eq!(stored.unwrap(), model("blog-1"), "while it runs");
    let act = Act { actor: "key:1".into(), note: None, time: start() };
    let secret = SiteSecret::from_bytes([9; 32]);
    store.rotate_fingerprint_key(&blog(), secret, act).await.unwrap();
    assert_eq!(found(store).await[0], (id(4), WorkState::Erased), "with the key, too");
}

async fn retention_disturbs_work_only_where_labels_go(store: &impl All) {
    recorded(store, "blog", 1).await;
    labelled(store, "blog", 2).await;
    labelled(store, "blog", 3).await;
    assert!(store.begin_operation(operation("blog", 1, WorkKind::Evaluate), MANY).await.unwrap());
    for (n, keep_labelled, expected) in [
        (2, false, WorkState::Running),
        (3, true, WorkState::Running),
        (4, false, WorkState::Erased),
    ] {
        let before = start() + Duration::milliseconds(n);
        let removed = store.remove_comments(&blog(), before, keep_labelled, 9, start()).await;
        assert_eq!(removed.unwrap(), 1);
        assert_eq!(found(store).await, [(id(1), expected)], "{n}");
    }
}

async fn sites_see_nothing_of_each_other(store: &impl All) {
    done(store, 1, WorkKind::Train).await;
    let news = site_id("news");
    assert_eq!(store.operations(&news, None).await.unwrap(), []);
    assert_eq!(store.operations(&news, Some(id(1))).await.unwrap(), []);
    assert!(!store.forget_operation(&news, id(1)).await.unwrap());
    assert_eq!(store.operations(&site_id("nowhere"), None).await.unwrap(), []);
    assert_eq!(found(store).await.len(), 1);
}

#[tokio::test]
async fn work_of_a_process_before_is_interrupted_and_what_ended_stays() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("records.sqlite3");
    let open = || SqliteStore::open(&path, SqliteOptions::default());
    let store = open().await.unwrap();
    store.create_site(site("blog"), "test").await.unwrap();
    done(&store, 1, WorkKind::Evaluate).await;
    assert!(begin(&store, 2).await);
    Store::close(&store).await;
    drop(store);
    let store = open().await.unwrap();
    let expected = [(id(2), WorkState::Interrupted), (id(1), WorkState::Ended(vec![1]))];
    assert_eq!(found(&store).await, expected);
    assert!(begin(&store, 3).await);
}

async fn replica(place: &Database<'_>) -> PostgresStore {
    let options = PostgresOptions {
        connection_count_max: 3,
        lease_life: std::time::Duration::from_secs(2),
        ..PostgresOptions::default()
    };
    PostgresStore::open(&place.address(), options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_see_and_cancel_each_others_work() {
    let place = shared().database();
    let (here, there) = (replica(&place).await, replica(&place).await);
    here.create_site(site("blog"), "test").await.unwrap();
    assert!(begin(&here, 1).await);
    assert!(!begin(&there, 2).await, "one of a site, wherever it runs");
    here.note_progress(id(1), WorkStage::Fitting, 40).await.unwrap();
    let seen = there.operations(&blog(), Some(id(1))).await.unwrap().remove(0);
    assert_eq!((seen.stage, seen.example_count), (WorkStage::Fitting, 40));
    assert!(!there.end_operation(id(1), None).await.unwrap(), "others do not end it");
    assert_eq!(found(&there).await, [(id(1), WorkState::Running)]);
    there.cancel_operation(&blog(), id(1)).await.unwrap();
    let told = async { while here.next_news().await != News::Cancelled(id(1)) {} };
    tokio::time::timeout(std::time::Duration::from_secs(30), told).await.expect("news");
    // Renewed by the listener, it outlives its lease.
    place.sql("UPDATE leases SET expire_time = now() + interval '700 milliseconds'");
    let left = || place.sql("SELECT expire_time > now() + interval '1 second' FROM leases");
    wait_for("the lease to be renewed", || async { (left().trim() == "t").then_some(()) }).await;
    assert_eq!(found(&there).await, [(id(1), WorkState::Running)]);
    assert!(here.end_operation(id(1), Some(vec![5])).await.unwrap());
    assert_eq!(found(&there).await, [(id(1), WorkState::Ended(vec![5]))]);
    assert_eq!(place.sql("SELECT count(*) FROM leases").trim(), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_of_a_replica_that_died_ends_for_good() {
    let place = shared().database();
    let (dead, alive) = (replica(&place).await, replica(&place).await);
    dead.create_site(site("blog"), "test").await.unwrap();
    assert!(begin(&dead, 1).await);
    // Nobody renews it any more.
    place.sql("UPDATE leases SET holder = gen_random_uuid()");
    wait_for("the lease to run out", || async {
        (found(&alive).await == [(id(1), WorkState::Interrupted)]).then_some(())
    })
    .await;
    // If it was alive after all, it hears that nobody waits.
    let noted = dead.note_progress(id(1), WorkStage::Fitting, 9).await.unwrap();
    assert_eq!(noted, Standing::Lost);
    assert!(!dead.end_operation(id(1), Some(vec![1])).await.unwrap());
    assert!(begin(&alive, 2).await, "the next may begin");
    // One that nobody looked at is noticed by the next that begins.
    place.sql("DELETE FROM leases");
    assert!(begin(&dead, 3).await);
    let states: Vec<_> = found(&alive).await.into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [WorkState::Running, WorkState::Interrupted, WorkState::Interrupted]);
}
