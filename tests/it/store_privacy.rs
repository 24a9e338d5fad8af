//! The suite that every store passes of erasure, export and retention.

use std::path::{Path, PathBuf};

use replyguard::domain::{
    Action, AuthorRecord, CommentFilter, DecisionId, DeliveryId, Label, SiteSecret, State,
    WebhookId, WebhookSecret,
};
use replyguard::moderation::ports::models::{ImportedExample, ModelStore};
use replyguard::moderation::ports::privacy::{Act, ExportKind, Holdings, PrivacyStore, Whose};
use replyguard::moderation::ports::review::{
    ListOrder, NewDecision, QueueOrder, ReviewStore, Target,
};
use replyguard::moderation::ports::webhooks::{
    AttemptRecord, DeliveryState, WebhookRecord, WebhookStore,
};
use replyguard::moderation::ports::{Store, StoreError};
use replyguard::storage::{SqliteOptions, SqliteStore};
use tempfile::TempDir;
use time::Duration;
use uuid::Uuid;

use crate::support::backend::{on_each_store, sqlite};
use crate::support::records::{
    comment, comment_id, fingerprint, label, request, request_id, site_id, start,
};

fn database(place: &TempDir) -> PathBuf {
    place.path().join("records.sqlite3")
}

on_each_store!(
    an_author_is_erased_with_all_that_hangs_on_them,
    one_comment_without_an_address_is_erased_alone,
    long_erasures_go_on_where_they_ended,
    an_erasure_beside_another_ends_with_nothing_left,
    the_ledger_keeps_its_positions,
    what_is_new_comes_after_what_was_erased,
    decisions_on_erased_comments_are_not_told,
    old_comments_go_and_young_ones_stay,
    labelled_comments_may_stay_as_examples,
    the_audit_log_ends_where_retention_says,
    ended_deliveries_go,
    exports_are_told_in_pages_and_audited,
    a_new_key_replaces_the_one_before,
);

/// A store of all kinds.
trait All: Store + ModelStore + ReviewStore + WebhookStore + PrivacyStore {}
impl<S: Store + ModelStore + ReviewStore + WebhookStore + PrivacyStore> All for S {}

fn act() -> Act {
    Act { actor: "key:1".into(), note: Some("asked for".into()), time: start() }
}

/// Erases to the end, in steps of `count_max`, and answers with the sum and the number of steps.
async fn erase(store: &impl All, whose: Whose, count_max: usize) -> (Holdings, usize) {
    let mut sum = Holdings::default();
    for step in 0.. {
        let part = store.erase(&site_id("blog"), whose, count_max, act()).await.unwrap();
        if part.is_empty() {
            return (sum, step);
        }
        sum.add(part);
    }
    unreachable!()
}

async fn record(store: &impl All, n: u64, author: Option<u64>, state: State) {
    store.record_check(&comment("blog", n, author, state), None).await.unwrap();
}

fn imported(n: u64, author: u64) -> ImportedExample {
    let recorded = comment("blog", n, Some(author), State::Approved);
    let mut submission = recorded.submission;
    submission.ip = None;
    ImportedExample {
        id: comment_id(n + 1_000),
        label: Label::Spam,
        source: "old".into(),
        time: start(),
        content_hash: recorded.content_hash,
        submission,
    }
}

fn decision(n: u128, note: Option<&str>) -> NewDecision {
    NewDecision {
        id: DecisionId::from_uuid(Uuid::from_u128(n)),
        site: site_id("blog"),
        action: Action::Approve,
        actor: "jane".into(),
        administrator: false,
        note: note.map(str::to_owned),
        time: start(),
    }
}

fn target(n: u64) -> Target {
    Target { comment: comment_id(n), revision: None }
}

async fn an_author_is_erased_with_all_that_hangs_on_them(store: &impl All) {
    let blog = site_id("blog");
    let mark = Some(request(1, 9));
    store.record_check(&comment("blog", 1, Some(7), State::Held), mark).await.unwrap();
    record(store, 2, Some(7), State::Approved).await;
    record(store, 3, Some(8), State::Held).await;
    store.record_check(&comment("news", 4, Some(7), State::Held), None).await.unwrap();
    store.append_label(label("blog", 2, Label::Ham)).await.unwrap();
    store.import_examples(&blog, vec![imported(5, 7)], "key:1", start()).await.unwrap();
    store.index_words(100).await.unwrap();
    let whose = Whose::Author(fingerprint(7));
    let all = Holdings { comment_count: 2, example_count: 1, label_count: 2 };
    assert_eq!(store.holdings(&blog, whose).await.unwrap(), all);

    assert_eq!(erase(store, whose, 100).await, (all, 1));
    assert_eq!(store.holdings(&blog, whose).await.unwrap(), Holdings::default());
    for n in [1, 2] {
        assert_eq!(store.get_comment(&blog, comment_id(n)).await.unwrap(), None);
    }
    assert!(store.get_comment(&blog, comment_id(3)).await.unwrap().is_some());
    let news = site_id("news");
    assert!(store.get_comment(&news, comment_id(4)).await.unwrap().is_some(), "a foreign site");
    assert!(store.find_request(&blog, request_id(1), start()).await.unwrap().is_none());
    let record = store.author_record(&blog, fingerprint(7)).await.unwrap();
    assert_eq!(record, AuthorRecord::default());
    assert_eq!(store.author_counts(&blog, fingerprint(7)).await.unwrap(), record);
    let queue = store.list_queue(&blog, QueueOrder::Newest, None, 10).await.unwrap();
    let waiting: Vec<_> = queue.rows.iter().map(|entry| entry.comment.comment.id).collect();
    assert_eq!(waiting, [comment_id(3)]);
    let filter = CommentFilter::parse("scanner").unwrap();
    let found = store.list_comments(&blog, filter, ListOrder::Newest, None, 10).await.unwrap();
    let found: Vec<_> = found.rows.iter().map(|reviewed| reviewed.comment.id).collect();
    assert_eq!(found, [comment_id(3)], "words of what was erased lead nowhere");
    let last = &store.list_audit_entries(&blog, None, 1).await.unwrap()[0];
    assert_eq!((&*last.action, &*last.subject), ("erase-author", "sites/blog"));
    let counts = r#"{"comment_count":2,"example_count":1,"label_count":2}"#;
    assert_eq!(last.after.as_deref(), Some(counts));
    assert_eq!((&*last.actor, last.note.as_deref()), ("key:1", Some("asked for")));
    assert_eq!(erase(store, whose, 100).await, (Holdings::default(), 0), "once is enough");
    assert_eq!(store.list_audit_entries(&blog, None, 1).await.unwrap()[0], *last);
    let nowhere = store.erase(&site_id("other"), whose, 10, act()).await;
    assert!(matches!(nowhere, Err(StoreError::NotFound)));
}

async fn one_comment_without_an_address_is_erased_alone(store: &impl All) {
    record(store, 1, None, State::Approved).await;
    record(store, 2, None, State::Approved).await;
    let whose = Whose::Comment(comment_id(1));
    let one = Holdings { comment_count: 1, ..Holdings::default() };
    assert_eq!(store.holdings(&site_id("blog"), whose).await.unwrap(), one);
    assert_eq!(erase(store, whose, 10).await, (one, 1));
    assert!(store.get_comment(&site_id("blog"), comment_id(2)).await.unwrap().is_some());
}

async fn long_erasures_go_on_where_they_ended(store: &impl All) {
    for n in 1..=5 {
        record(store, n, Some(7), State::Approved).await;
    }
    let (erased, steps) = erase(store, Whose::Author(fingerprint(7)), 2).await;
    assert_eq!((erased.comment_count, steps), (5, 3));
    let log = store.list_audit_entries(&site_id("blog"), None, 3).await.unwrap();
    assert!(log.iter().all(|entry| entry.action == "erase-author"), "one for each transaction");
    // Who writes again is a new author.
    record(store, 6, Some(7), State::Approved).await;
    let record = store.author_record(&site_id("blog"), fingerprint(7)).await.unwrap();
    assert_eq!(record, AuthorRecord { approved_count: 1, ..AuthorRecord::default() });
}

async fn an_erasure_beside_another_ends_with_nothing_left(store: &impl All) {
    let whose = Whose::Author(fingerprint(7));
    for n in 1..=60 {
        record(store, n, Some(7), State::Approved).await;
    }
    // Both find the same rows, and one comes too late for them.
    let to_the_end = async || {
        let (erased, _) = erase(store, whose, 5).await;
        let left = store.holdings(&site_id("blog"), whose).await.unwrap();
        assert!(left.is_empty(), "said to be erased: {left:?}");
        erased.comment_count
    };
    let (one, two) = tokio::join!(to_the_end(), to_the_end());
    assert_eq!(one + two, 60);
}

async fn the_ledger_keeps_its_positions(store: &impl All) {
    let blog = site_id("blog");
    for (n, author) in [(1, 7), (2, 8), (3, 7)] {
        record(store, n, Some(author), State::Held).await;
        store.append_label(label("blog", n, Label::Spam)).await.unwrap();
    }
    erase(store, Whose::Author(fingerprint(7)), 10).await;
    let examples = store.ledger_examples(&blog, 0, None, 10).await.unwrap();
    let examples: Vec<_> = examples.iter().map(|one| (one.position, one.id)).collect();
    assert_eq!(examples, [(2, comment_id(2))]);
    let entries = store.ledger_entries(&blog, 0, 10).await.unwrap();
    let retracts: Vec<_> = entries.iter().map(|one| (one.position, one.retracts)).collect();
    assert_eq!(retracts.len(), 5, "nothing is taken out, what counted is taken back");
    assert_eq!(retracts[..3], [(1, None), (2, None), (3, None)]);
    let mut taken: Vec<_> = retracts[3..].iter().filter_map(|(_, retracts)| *retracts).collect();
    taken.sort_unstable();
    assert_eq!(taken, [1, 3]);
    let labels = store.list_labels(&blog, 0, 10).await.unwrap();
    let notes: Vec<_> = labels.iter().map(|(_, entry)| entry.note.is_some()).collect();
    assert_eq!(notes, [false, true, false], "a note on what was erased may quote it");
}

async fn what_is_new_comes_after_what_was_erased(store: &impl All) {
    let blog = site_id("blog");
    record(store, 1, Some(7), State::Held).await;
    record(store, 2, Some(8), State::Held).await;
    store.index_words(100).await.unwrap();
    let before = store.comment_number(&blog).await.unwrap();
    erase(store, Whose::Author(fingerprint(8)), 10).await;
    record(store, 3, Some(9), State::Held).await;
    record(store, 4, Some(9), State::Held).await;
    let news = store.held_comments(&blog, before, 10).await.unwrap();
    let news: Vec<_> = news.iter().map(|(_, reviewed)| reviewed.comment.id).collect();
    assert_eq!(news, [comment_id(3), comment_id(4)], "who watches misses nothing");
    let filter = CommentFilter::parse("scanner").unwrap();
    let found = store.list_comments(&blog, filter, ListOrder::Oldest, None, 10).await.unwrap();
    let found: Vec<_> = found.rows.iter().map(|reviewed| reviewed.comment.id).collect();
    assert_eq!(found, [comment_id(1), comment_id(3), comment_id(4)]);
}

async fn decisions_on_erased_comments_are_not_told(store: &impl All) {
    let blog = site_id("blog");
    for (n, author) in [(1, 7), (2, 8), (3, 7)] {
        record(store, n, Some(author), State::Held).await;
    }
    store.decide(decision(1, Some("she asked")), vec![target(1)]).await.unwrap();
    let both = vec![target(2), target(3)];
    store.decide(decision(2, Some("fine")), both).await.unwrap();
    erase(store, Whose::Author(fingerprint(7)), 10).await;
    let told = store.decided_comments(&blog, 0, 10).await.unwrap();
    let told: Vec<_> = told.iter().map(|decided| decided.comment).collect();
    assert_eq!(told, [comment_id(2)]);
    let decisions = store.list_decisions(&blog, None, 10).await.unwrap();
    let notes: Vec<_> = decisions.iter().map(|one| one.note.as_deref()).collect();
    assert_eq!(notes, [Some("fine"), None], "a note on one comment goes with it");
    let undo = NewDecision { action: Action::Undo, ..decision(3, None) };
    let undone = store.undo(undo, decision(2, None).id, None, 10).await.unwrap();
    assert_eq!(undone.comments.len(), 1, "an undo gives back what is left");
}

async fn remove_before(store: &impl All, n: i64, keep_labelled: bool) -> u64 {
    let before = start() + Duration::milliseconds(n);
    let blog = site_id("blog");
    store.remove_comments(&blog, before, keep_labelled, 2, start()).await.unwrap()
}

async fn old_comments_go_and_young_ones_stay(store: &impl All) {
    let blog = site_id("blog");
    for n in 1..=4 {
        record(store, n, Some(7), State::Held).await;
    }
    store.append_label(label("blog", 1, Label::Spam)).await.unwrap();
    assert_eq!(remove_before(store, 4, false).await, 2, "so many at once");
    assert_eq!(store.get_comment(&blog, comment_id(2)).await.unwrap(), None, "the oldest first");
    assert!(store.get_comment(&blog, comment_id(3)).await.unwrap().is_some());
    assert_eq!(remove_before(store, 4, false).await, 1);
    assert_eq!(remove_before(store, 4, false).await, 0);
    assert!(store.get_comment(&blog, comment_id(4)).await.unwrap().is_some());
    let record = store.author_record(&blog, fingerprint(7)).await.unwrap();
    assert_eq!(record, AuthorRecord { held_count: 1, ..AuthorRecord::default() });
    assert_eq!(store.ledger_examples(&blog, 0, None, 10).await.unwrap(), []);
    let days = store.day_counts(&blog, start() - Duration::DAY).await.unwrap();
    assert_eq!(days.iter().map(|day| day.hold_count).sum::<u64>(), 4, "counts name nobody");
}

async fn labelled_comments_may_stay_as_examples(store: &impl All) {
    let blog = site_id("blog");
    for n in 1..=2 {
        record(store, n, Some(7), State::Held).await;
    }
    store.append_label(label("blog", 1, Label::Spam)).await.unwrap();
    let before = store.ledger_examples(&blog, 0, None, 10).await.unwrap();
    assert_eq!(remove_before(store, 3, true).await, 2);
    assert_eq!(store.get_comment(&blog, comment_id(1)).await.unwrap(), None);
    let mut after = store.ledger_examples(&blog, 0, None, 10).await.unwrap();
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].submission.ip, None, "no model learns from it");
    after[0].submission.ip = before[0].submission.ip;
    assert_eq!(after, before, "models go on learning the same");
    let whose = Whose::Author(fingerprint(7));
    let kept = store.stored_examples(&blog, Some(whose), None, 10).await.unwrap();
    assert_eq!((kept[0].id, kept[0].source.as_str()), (comment_id(1), "site"));
    assert_eq!(kept[0].label, Some(Label::Spam));
    let (erased, _) = erase(store, whose, 10).await;
    assert_eq!(erased, Holdings { comment_count: 0, example_count: 1, label_count: 1 });
    assert_eq!(store.ledger_examples(&blog, 0, None, 10).await.unwrap(), []);
}

async fn the_audit_log_ends_where_retention_says(store: &impl All) {
    let blog = site_id("blog");
    for n in 1..=3 {
        let time = start() + Duration::hours(n);
        let act = Act { time, ..act() };
        store.note_export(&blog, ExportKind::Site, act).await.unwrap();
    }
    let before = start() + Duration::hours(2);
    // The site's creation is the first entry.
    assert_eq!(store.remove_audit_entries(&blog, before, 1).await.unwrap(), 1);
    assert_eq!(store.remove_audit_entries(&blog, before, 10).await.unwrap(), 1);
    assert_eq!(store.remove_audit_entries(&blog, before, 10).await.unwrap(), 0);
    let left = store.list_audit_entries(&blog, None, 10).await.unwrap();
    let left: Vec<_> = left.iter().map(|entry| entry.time - start()).collect();
    assert_eq!(left, [Duration::hours(3), Duration::hours(2)]);
    assert_eq!(store.list_audit_entries(&site_id("news"), None, 10).await.unwrap().len(), 1);
}

async fn ended_deliveries_go(store: &impl All) {
    let blog = site_id("blog");
    let webhook = WebhookRecord {
        id: WebhookId::from_uuid(Uuid::from_u128(1)),
        site: blog.clone(),
        uri: "https://blog.example.org/hook".parse().unwrap(),
        secret: WebhookSecret::from_bytes([1; 32]),
        previous: None,
        disabled: false,
        position: 0,
        revision: 1,
        create_time: start(),
        dead_count: 0,
        akismet_key: None,
    };
    store.create_webhook(webhook.clone(), 20, "test").await.unwrap();
    for n in 1..=2 {
        record(store, n, Some(7), State::Held).await;
        store.decide(decision(n.into(), None), vec![target(n)]).await.unwrap();
        let id = DeliveryId::from_uuid(Uuid::from_u128(n.into()));
        let time = start() + Duration::days(n as i64);
        let delivery = store.next_delivery(webhook.id, id, 1, time).await.unwrap().unwrap();
        if n == 1 {
            let attempt = AttemptRecord {
                time,
                state: DeliveryState::Dead,
                next_attempt_time: None,
                status: Some(500),
                failure: Some("refused"),
                disables: false,
                forget_before: start(),
            };
            store.end_attempt(delivery.id, attempt).await.unwrap();
        }
    }
    let late = start() + Duration::days(9);
    assert_eq!(store.remove_deliveries(&site_id("news"), late, 10).await.unwrap(), 0);
    assert_eq!(store.remove_deliveries(&blog, start(), 10).await.unwrap(), 0, "too young");
    assert_eq!(store.remove_deliveries(&blog, late, 10).await.unwrap(), 1);
    let left = store.list_deliveries(&blog, webhook.id, None, None, 10).await.unwrap();
    let left: Vec<_> = left.iter().map(|delivery| delivery.state).collect();
    assert_eq!(left, [DeliveryState::Pending], "what is not delivered yet stays");
}

async fn exports_are_told_in_pages_and_audited(store: &impl All) {
    let blog = site_id("blog");
    for (n, author) in [(1, 7), (2, 8), (3, 7)] {
        record(store, n, Some(author), State::Approved).await;
    }
    store.append_label(label("blog", 3, Label::Ham)).await.unwrap();
    store.import_examples(&blog, vec![imported(5, 7), imported(6, 8)], "k", start()).await.unwrap();
    let whose = Some(Whose::Author(fingerprint(7)));
    let first = store.stored_comments(&blog, whose, None, 1).await.unwrap();
    assert_eq!(first[0].comment, comment("blog", 1, Some(7), State::Approved));
    let rest = store.stored_comments(&blog, whose, Some(comment_id(1)), 10).await.unwrap();
    assert_eq!((rest.len(), rest[0].comment.id), (1, comment_id(3)));
    assert_eq!(rest[0].label, Some(Label::Ham));
    let all = store.stored_comments(&blog, None, None, 10).await.unwrap();
    let all: Vec<_> = all.iter().map(|reviewed| reviewed.comment.id).collect();
    assert_eq!(all, [comment_id(1), comment_id(2), comment_id(3)]);
    let examples = store.stored_examples(&blog, whose, None, 10).await.unwrap();
    assert_eq!(examples.len(), 1);
    assert_eq!(examples[0].submission, imported(5, 7).submission);
    assert_eq!(store.stored_examples(&blog, None, None, 10).await.unwrap().len(), 2);
    store.note_export(&blog, ExportKind::Author, act()).await.unwrap();
    let last = &store.list_audit_entries(&blog, None, 1).await.unwrap()[0];
    assert_eq!((&*last.action, &*last.subject), ("export-author", "sites/blog"));
    let nowhere = store.note_export(&site_id("other"), ExportKind::Site, act()).await;
    assert!(matches!(nowhere, Err(StoreError::NotFound)));
}

async fn a_new_key_replaces_the_one_before(store: &impl All) {
    let blog = site_id("blog");
    let new = SiteSecret::from_bytes([9; 32]);
    let rotated = store.rotate_fingerprint_key(&blog, new, act()).await.unwrap();
    assert_eq!(rotated.secret.as_bytes(), &[9; 32]);
    assert_eq!(rotated.revision, 2);
    let read = store.get_site(&blog).await.unwrap().unwrap();
    assert_eq!(read.secret.as_bytes(), &[9; 32]);
    let news = store.get_site(&site_id("news")).await.unwrap().unwrap();
    assert_eq!(news.secret.as_bytes(), &[7; 32]);
    let last = &store.list_audit_entries(&blog, None, 1).await.unwrap()[0];
    assert_eq!((&*last.action, last.after.as_deref()), ("rotate-fingerprint-key", None));
    let other = SiteSecret::from_bytes([9; 32]);
    let nowhere = store.rotate_fingerprint_key(&site_id("other"), other, act()).await;
    assert!(matches!(nowhere, Err(StoreError::NotFound)));
    assert!(store.scrub().await.unwrap());
}

/// Whether bytes stand in a database or beside it.
fn on_disk(place: &Path, bytes: &[u8]) -> bool {
    let files = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| std::fs::read(path).unwrap())
        .any(|content| content.windows(bytes.len()).any(|part| part == bytes))
}

/// An author whose fingerprint stands nowhere by chance.
const ERASED: u64 = 0x5EED_1234_ABCD_9876;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_what_was_erased_is_left_in_the_files() {
    let (store, place) = sqlite().await;
    let blog = site_id("blog");
    let marked = |n: u64, author: u64, word: &str| {
        let mut comment = comment("blog", n, Some(author), State::Held);
        comment.submission.text = format!("{word} {}", comment.submission.text);
        comment.submission.author = Some(format!("{word} name"));
        // Long enough that its record takes pages of its own.
        comment.submission.page_title = Some(format!("{word} ").repeat(1_000));
        comment
    };
    for n in 1..200 {
        let (author, word) = if n % 10 == 0 { (ERASED, "zanzibar") } else { (8, "timbuktu") };
        store.record_check(&marked(n, author, word), Some(request(n, n))).await.unwrap();
        if n % 50 == 0 {
            store.index_words(1_000).await.unwrap();
            store.append_label(label("blog", n, Label::Spam)).await.unwrap();
        }
    }
    let example = ImportedExample {
        submission: marked(300, ERASED, "zanzibar").submission,
        ..imported(300, ERASED)
    };
    store.import_examples(&blog, vec![example], "key:1", start()).await.unwrap();
    assert!(on_disk(place.path(), b"zanzibar"));
    assert!(on_disk(place.path(), fingerprint(ERASED).as_bytes()));
    assert!(on_disk(place.path(), &[7; 32]), "the key of the fingerprints");
    erase(&*store, Whose::Author(fingerprint(ERASED)), 250).await;
    for id in ["blog", "news"] {
        let key = SiteSecret::from_bytes([9; 32]);
        store.rotate_fingerprint_key(&site_id(id), key, act()).await.unwrap();
    }
    assert!(store.scrub().await.unwrap());
    assert!(!on_disk(place.path(), b"zanzibar"), "texts and words");
    assert!(!on_disk(place.path(), fingerprint(ERASED).as_bytes()), "fingerprints");
    assert!(!on_disk(place.path(), &[7; 32]), "the key");
    assert!(on_disk(place.path(), b"timbuktu"), "others are still there");
    let filter = CommentFilter::parse("timbuktu").unwrap();
    let found = store.list_comments(&blog, filter, ListOrder::Newest, None, 500).await.unwrap();
    assert_eq!(found.rows.len(), 180);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_not_given_again_after_a_restart() {
    let (store, place) = sqlite().await;
    let blog = site_id("blog");
    record(&*store, 1, Some(7), State::Held).await;
    let before = store.comment_number(&blog).await.unwrap();
    erase(&*store, Whose::Author(fingerprint(7)), 10).await;
    store.close().await;
    drop(store);
    let store = SqliteStore::open(&database(&place), SqliteOptions::default()).await.unwrap();
    record(&store, 2, Some(8), State::Held).await;
    assert!(store.comment_number(&blog).await.unwrap() > before);
}
