//! The suite that every store passes.
//!
//! A backend joins with one line: `store_suite!(name, Backend)`, where `Backend` knows how to make
//! an empty place and how to open it, again and again.

use std::sync::Arc;

use replyguard::domain::{KeyScope, Label, SitePolicy, State};
use replyguard::moderation::ports::{
    AuthorRecord, RecordedCheck, Reporter, Store, StoreError, Window,
};
use replyguard::storage::{SqliteOptions, SqliteStore};
use tempfile::TempDir;
use time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::postgres::{Database, shared};
use crate::support::records::{
    comment, comment_id, fingerprint, key, label, request, request_id, site, site_id, start,
};

/// A place for one test's records.
pub trait Backend {
    /// An empty place.
    fn new() -> Self;
    /// Opens the place; what was stored in it before is there.
    async fn open(&self) -> Arc<dyn Store>;
}

macro_rules! store_suite {
    ($name:ident, $backend:ty) => {
        store_suite!($name, $backend: [
            sites_are_kept,
            sites_are_listed_in_pages,
            sites_change_by_revision,
            keys_say_when_they_end,
            comments_read_back_whole,
            comments_of_other_sites_are_not_seen,
            a_comment_needs_its_site_and_a_new_id,
            a_request_is_recorded_once,
            a_request_is_remembered_for_24_hours,
            requests_of_sites_do_not_meet,
            concurrent_requests_get_the_first_answer,
            authors_are_counted,
            authors_are_counted_under_concurrency,
            a_label_moves_a_comment,
            labels_change_author_counts,
            labels_need_a_comment_of_the_site,
            ledger_and_audit_log_are_listed_in_pages,
            recent_comments_are_newest_first,
            labelled_comments_are_newest_label_first,
            campaigns_have_their_last_label,
            samples_keep_to_their_window,
            refused_jobs_do_not_concern_their_neighbours,
            records_outlive_the_store,
            a_closed_store_is_unavailable,
        ]);
    };
    ($name:ident, $backend:ty: [$($test:ident,)*]) => {
        mod $name {
            use super::Backend;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(<$backend>::new()).await;
                }
            )*
        }
    };
}

store_suite!(sqlite, super::Sqlite);
store_suite!(postgres, super::Postgres);

/// A folder for an SQLite file.
pub struct Sqlite(TempDir);

impl Backend for Sqlite {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> Arc<dyn Store> {
        let path = self.0.path().join("replyguard.db");
        Arc::new(SqliteStore::open(&path, SqliteOptions::default()).await.unwrap())
    }
}

/// A database of the shared server.
pub struct Postgres(Database<'static>);

impl Backend for Postgres {
    fn new() -> Self {
        Self(shared().database())
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.0.open().await)
    }
}

/// An open store with the sites `blog` and `news`.
async fn open_with_sites(place: &impl Backend) -> Arc<dyn Store> {
    let store = place.open().await;
    for id in ["blog", "news"] {
        store.create_site(site(id), "test").await.unwrap();
    }
    store
}

async fn record(store: &dyn Store, site: &str, n: u64, author: Option<u64>, state: State) {
    let recorded = store.record_check(&comment(site, n, author, state), None).await.unwrap();
    assert!(matches!(recorded, RecordedCheck::New));
}

async fn sites_are_kept(place: impl Backend) {
    let store = place.open().await;
    assert!(store.get_site(&site_id("blog")).await.unwrap().is_none());
    store.create_site(site("blog"), "admin").await.unwrap();
    let error = store.create_site(site("blog"), "admin").await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists), "{error}");
    let found = store.get_site(&site_id("blog")).await.unwrap().unwrap();
    let expected = site("blog");
    assert_eq!(found.display_name, expected.display_name);
    assert_eq!(found.policy, expected.policy);
    assert_eq!(found.secret.as_bytes(), expected.secret.as_bytes());
    assert_eq!((found.revision, found.create_time), (1, start()));
    let log = store.list_audit_entries(&site_id("blog"), None, 9).await.unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!((log[0].actor.as_str(), log[0].action.as_str()), ("admin", "create-site"));
    assert!(log[0].after.as_ref().unwrap().contains("The blog"));
}

async fn sites_are_listed_in_pages(place: impl Backend) {
    let store = place.open().await;
    for id in ["c", "a", "d", "b"] {
        store.create_site(site(id), "test").await.unwrap();
    }
    let ids = |sites: Vec<replyguard::domain::Site>| -> Vec<String> {
        sites.into_iter().map(|site| site.id.to_string()).collect()
    };
    assert_eq!(ids(store.list_sites(None, 3).await.unwrap()), ["a", "b", "c"]);
    assert_eq!(ids(store.list_sites(Some(&site_id("c")), 3).await.unwrap()), ["d"]);
    assert!(store.list_sites(Some(&site_id("d")), 3).await.unwrap().is_empty());
}

async fn sites_change_by_revision(place: impl Backend) {
    let store = open_with_sites(&place).await;
    let blog = site_id("blog");
    let policy = SitePolicy { hold_all: true, ..SitePolicy::default() };
    let change = |revision| {
        store.update_site(&blog, revision, "New".into(), policy.clone(), "admin", start())
    };
    let after = change(Some(1)).await.unwrap();
    assert_eq!((after.revision, after.policy.hold_all), (2, true));
    let stale = change(Some(1)).await.err().unwrap();
    assert!(matches!(stale, StoreError::Conflict), "{stale}");
    assert_eq!(change(None).await.unwrap().revision, 3);
    assert_eq!(*store.get_site(&blog).await.unwrap().unwrap().display_name, *"New");
    let absent = store
        .update_site(&site_id("x"), None, "X".into(), policy.clone(), "admin", start())
        .await
        .err()
        .unwrap();
    assert!(matches!(absent, StoreError::NotFound), "{absent}");
    let log = store.list_audit_entries(&blog, None, 9).await.unwrap();
    let actions: Vec<_> = log.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["update-site", "update-site", "create-site"]);
    assert!(log[1].before.as_ref().unwrap().contains("The blog"));
    let other = store.get_site(&site_id("news")).await.unwrap().unwrap();
    assert_eq!(other.revision, 1);
}

async fn keys_say_when_they_end(place: impl Backend) {
    let store = open_with_sites(&place).await;
    store.create_key(key("blog", 1), "admin").await.unwrap();
    store.create_key(key("blog", 2), "admin").await.unwrap();
    store.create_key(key("news", 3), "admin").await.unwrap();
    let orphan = store.create_key(key("nowhere", 4), "admin").await.unwrap_err();
    assert!(matches!(orphan, StoreError::NotFound), "{orphan}");
    let taken = store.create_key(key("news", 1), "admin").await.unwrap_err();
    assert!(matches!(taken, StoreError::AlreadyExists), "{taken}");

    let found = store.find_key(&[1; 32]).await.unwrap().unwrap();
    assert_eq!(*found, key("blog", 1));
    assert_eq!(found.scopes, [KeyScope::Check, KeyScope::Review]);
    assert!(store.find_key(&[9; 32]).await.unwrap().is_none());
    assert_eq!(store.list_keys(&site_id("blog")).await.unwrap(), [key("blog", 1), key("blog", 2)]);

    let foreign =
        store.revoke_key(&site_id("news"), key("blog", 1).id, "admin", start(), start()).await;
    assert!(matches!(foreign.unwrap_err(), StoreError::NotFound));
    let later = start() + Duration::hours(1);
    let blog = site_id("blog");
    let id = key("blog", 1).id;
    let end = later + Duration::days(1);
    let ending = store.revoke_key(&blog, id, "admin", later, end).await.unwrap();
    assert_eq!(ending.revoke_time, Some(end), "an end may lie ahead");
    assert_eq!(store.find_key(&[1; 32]).await.unwrap().unwrap().revoke_time, Some(end));
    let revoked = store.revoke_key(&blog, id, "admin", later, later).await.unwrap();
    assert_eq!(revoked.revoke_time, Some(later), "and is brought forward");
    let again = store.revoke_key(&blog, id, "admin", end, end).await.unwrap();
    assert_eq!(again, revoked, "but never put off");
    store.note_key_uses(vec![(key("blog", 2).id, later)]).await.unwrap();
    let uses: Vec<_> =
        store.list_keys(&blog).await.unwrap().into_iter().map(|key| key.use_time).collect();
    assert_eq!(uses, [None, Some(later)]);
    assert_eq!(store.find_key(&[1; 32]).await.unwrap().unwrap().revoke_time, Some(later));
    assert!(store.find_key(&[2; 32]).await.unwrap().is_some());
    let log = store.list_audit_entries(&blog, None, 9).await.unwrap();
    let actions: Vec<_> = log.iter().map(|entry| entry.action.as_str()).collect();
    let wanted = ["revoke-key", "revoke-key", "create-key", "create-key", "create-site"];
    assert_eq!(actions, wanted);
    assert!(log[0].after.is_none() && log[1].after.as_ref().unwrap().contains("revoke_time"));
    assert_eq!(log[1].time, later);
    assert!(store.list_keys(&site_id("nowhere")).await.unwrap().is_empty());
}

async fn comments_read_back_whole(place: impl Backend) {
    let store = open_with_sites(&place).await;
    let full = comment("blog", 1, Some(1), State::Held);
    let mut bare = comment("blog", 2, None, State::Approved);
    bare.score = None;
    bare.submission.author = None;
    bare.submission.url = None;
    bare.submission.ip = None;
    bare.submission.page_uri = None;
    bare.submission.page_publish_time = None;
    bare.submission.lang = None;
    bare.submission.text = "\u{202e}\u{0}zwölf 'quotes' \"and\" \\ \u{1F600}\n".into();
    bare.degraded.clear();
    bare.signals.clear();
    for expected in [full, bare] {
        store.record_check(&expected, None).await.unwrap();
        let found = store.get_comment(&site_id("blog"), expected.id).await.unwrap();
        assert_eq!(found, Some(expected));
    }
}

async fn comments_of_other_sites_are_not_seen(place: impl Backend) {
    let store = open_with_sites(&place).await;
    record(&*store, "blog", 1, Some(1), State::Rejected).await;
    let (blog, news) = (site_id("blog"), site_id("news"));
    assert!(store.get_comment(&news, comment_id(1)).await.unwrap().is_none());
    assert!(store.get_comment(&site_id("nowhere"), comment_id(1)).await.unwrap().is_none());
    assert_eq!(store.recent_comments(&news, 9).await.unwrap(), []);
    assert_eq!(store.author_record(&news, fingerprint(1)).await.unwrap(), AuthorRecord::default());
    store.append_label(label("blog", 1, Label::Spam)).await.unwrap();
    assert_eq!(store.list_labels(&news, 0, 9).await.unwrap(), []);
    assert_eq!(store.labelled_comments(&news, 9).await.unwrap(), []);
    assert_eq!(store.list_audit_entries(&news, None, 9).await.unwrap().len(), 1);
    assert_eq!(store.recent_comments(&blog, 9).await.unwrap().len(), 1);
}

async fn a_comment_needs_its_site_and_a_new_id(place: impl Backend) {
    let store = open_with_sites(&place).await;
    let orphan = store.record_check(&comment("nowhere", 1, None, State::Held), None).await;
    assert!(matches!(orphan.unwrap_err(), StoreError::NotFound));
    record(&*store, "blog", 1, Some(1), State::Held).await;
    let taken =
        store.record_check(&comment("blog", 1, Some(1), State::Held), Some(request(1, 1))).await;
    assert!(matches!(taken.unwrap_err(), StoreError::AlreadyExists));
    let record = store.author_record(&site_id("blog"), fingerprint(1)).await.unwrap();
    assert_eq!(record.held_count, 1, "what is refused is not counted");
    let request = store.find_request(&site_id("blog"), request_id(1), start()).await.unwrap();
    assert!(request.is_none(), "what is refused leaves no request id");
}

async fn a_request_is_recorded_once(place: impl Backend) {
    let store = open_with_sites(&place).await;
    let (blog, now) = (site_id("blog"), start());
    assert!(store.find_request(&blog, request_id(1), now).await.unwrap().is_none());
    let first = comment("blog", 1, Some(1), State::Held);
    store.record_check(&first, Some(request(1, 10))).await.unwrap();
    let second = comment("blog", 2, Some(1), State::Approved);
    let RecordedCheck::Repeated(digest, found) =
        store.record_check(&second, Some(request(1, 11))).await.unwrap()
    else {
        panic!("recorded twice");
    };
    assert_eq!((digest, *found), (fingerprint(10), first.clone()));
    assert!(store.get_comment(&blog, comment_id(2)).await.unwrap().is_none());
    let (digest, found) = store.find_request(&blog, request_id(1), now).await.unwrap().unwrap();
    assert_eq!((digest, *found), (fingerprint(10), first));
    let record = store.author_record(&blog, fingerprint(1)).await.unwrap();
    assert_eq!((record.held_count, record.approved_count), (1, 0));
}

async fn a_request_is_remembered_for_24_hours(place: impl Backend) {
    let store = open_with_sites(&place).await;
    let blog = site_id("blog");
    let mut first = comment("blog", 0, None, State::Held);
    first.check_time = start();
    store.record_check(&first, Some(request(1, 10))).await.unwrap();
    let day = Duration::hours(24);
    let moment = Duration::milliseconds(1);
    let find = |now| store.find_request(&blog, request_id(1), now);
    assert!(find(start() + day - moment).await.unwrap().is_some());
    assert!(find(start() + day).await.unwrap().is_none());

    let mut late = comment("blog", 1, None, State::Held);
    late.check_time = start() + day - moment;
    let repeated = store.record_check(&late, Some(request(1, 10))).await.unwrap();
    assert!(matches!(repeated, RecordedCheck::Repeated(..)));
    let mut next = comment("blog", 2, None, State::Held);
    next.check_time = start() + day;
    let recorded = store.record_check(&next, Some(request(1, 12))).await.unwrap();
    assert!(matches!(recorded, RecordedCheck::New));
    let (digest, found) = find(start() + day).await.unwrap().unwrap();
    assert_eq!((digest, found.id), (fingerprint(12), comment_id(2)));
}

async fn requests_of_sites_do_not_meet(place: impl Backend) {
    let store = open_with_sites(&place).await;
    for (site, n) in [("blog", 1), ("news", 2)] {
        let recorded = store
            .record_check(&comment(site, n, None, State::Held), Some(request(1, 1)))
            .await
            .unwrap();
        assert!(matches!(recorded, RecordedCheck::New));
    }
}

async fn concurrent_requests_get_the_first_answer(place: impl Backend) {
    let store = open_with_sites(&place).await;
    let mut tasks = JoinSet::new();
    for n in 0..200 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            // Twenty requests, each sent ten times.
            let sent = comment("blog", n, Some(n % 20), State::Held);
            let mark = request(n % 20, n % 20);
            match store.record_check(&sent, Some(mark)).await.unwrap() {
                RecordedCheck::New => (n % 20, comment_id(n), true),
                RecordedCheck::Repeated(digest, found) => {
                    assert_eq!(digest, fingerprint(n % 20));
                    (n % 20, found.id, false)
                }
            }
        });
    }
    let mut answers = tasks.join_all().await;
    answers.sort();
    for group in answers.chunk_by(|a, b| a.0 == b.0) {
        assert_eq!(group.len(), 10);
        assert!(group.iter().all(|answer| answer.1 == group[0].1), "one answer for all");
        assert_eq!(group.iter().filter(|answer| answer.2).count(), 1, "recorded once");
        let author = fingerprint(group[0].0);
        let record = store.author_record(&site_id("blog"), author).await.unwrap();
        assert_eq!(record.held_count, 1);
    }
    assert_eq!(store.recent_comments(&site_id("blog"), 999).await.unwrap().len(), 20);
}

async fn authors_are_counted(place: impl Backend) {
    let store = open_with_sites(&place).await;
    let blog = site_id("blog");
    let of = |author| store.author_record(&blog, fingerprint(author));
    assert_eq!(of(1).await.unwrap(), AuthorRecord::default());
    record(&*store, "blog", 1, Some(1), State::Held).await;
    record(&*store, "blog", 2, Some(1), State::Approved).await;
    record(&*store, "blog", 3, Some(1), State::Approved).await;
    record(&*store, "blog", 4, Some(2), State::Rejected).await;
    record(&*store, "blog", 5, None, State::Rejected).await;
    let expected = AuthorRecord { approved_count: 2, held_count: 1, ..AuthorRecord::default() };
    assert_eq!(of(1).await.unwrap(), expected);
    let expected = AuthorRecord { rejected_count: 1, ..AuthorRecord::default() };
    assert_eq!(of(2).await.unwrap(), expected);
    assert_eq!(of(3).await.unwrap(), AuthorRecord::default());
}

async fn authors_are_counted_under_concurrency(place: impl Backend) {
    let store = open_with_sites(&place).await;
    let mut tasks = JoinSet::new();
    for task in 0..16u64 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let blog = site_id("blog");
            for n in 0..25 {
                let author = fingerprint(task % 4);
                let before = store.author_record(&blog, author).await.unwrap().held_count;
                let sent = comment("blog", task * 1_000 + n, Some(task % 4), State::Held);
                store.record_check(&sent, None).await.unwrap();
                // What was acknowledged is counted from then on.
                let after = store.author_record(&blog, author).await.unwrap().held_count;
                assert!(after > before, "{before} then {after}");
            }
        });
    }
    tasks.join_all().await;
    for author in 0..4 {
        let record = store.author_record(&site_id("blog"), fingerprint(author)).await.unwrap();
        assert_eq!(record.held_count, 100);
    }
}

async fn a_label_moves_a_comment(place: impl Backend) {
    let store = open_with_sites(&place).await;
    let blog = site_id("blog");
    record(&*store, "blog", 1, Some(1), State::Held).await;
    let applied = store.append_label(label("blog", 1, Label::Spam)).await.unwrap();
    assert_eq!((applied.position, applied.state_before), (1, State::Held));
    let mut expected = comment("blog", 1, Some(1), State::Held);
    expected.state = State::Rejected;
    assert_eq!(*applied.comment, expected);
    assert_eq!(store.get_comment(&blog, comment_id(1)).await.unwrap().unwrap(), expected);
    let mut other = label("blog", 1, Label::Ham);
    other.reporter = Reporter::Site;
    other.reporter_name = None;
    other.note = None;
    let applied = store.append_label(other.clone()).await.unwrap();
    assert_eq!((applied.position, applied.state_before), (2, State::Rejected));
    assert_eq!(applied.comment.state, State::Approved);
    let ledger = store.list_labels(&blog, 0, 9).await.unwrap();
    assert_eq!(ledger, [(1, label("blog", 1, Label::Spam)), (2, other)]);
    let log = store.list_audit_entries(&blog, None, 9).await.unwrap();
    assert_eq!(log.len(), 3);
    assert_eq!(log[0].actor, "site");
    let entry = &log[1];
    assert_eq!(entry.actor, "moderator:jane");
    assert_eq!(entry.action, "label-comment");
    assert_eq!(entry.subject, comment_id(1).name(&blog));
    assert_eq!(entry.before.as_deref(), Some("held"));
    assert_eq!(entry.after.as_deref(), Some("rejected"));
    assert_eq!(entry.note.as_deref(), Some("seen before"));
    assert_eq!(entry.time, label("blog", 1, Label::Spam).time);
}

async fn labels_change_author_counts(place: impl Backend) {
    let store = open_with_sites(&place).await;
    record(&*store, "blog", 1, Some(1), State::Held).await;
    let counts = async || {
        let record = store.author_record(&site_id("blog"), fingerprint(1)).await.unwrap();
        let states = (record.approved_count, record.held_count, record.rejected_count);
        (states, record.spam_label_count, record.ham_label_count)
    };
    assert_eq!(counts().await, ((0, 1, 0), 0, 0));
    for (next, expected) in [
        (Label::Spam, ((0, 0, 1), 1, 0)),
        (Label::Spam, ((0, 0, 1), 1, 0)),
        (Label::Ham, ((1, 0, 0), 0, 1)),
    ] {
        store.append_label(label("blog", 1, next)).await.unwrap();
        assert_eq!(counts().await, expected, "after {next:?}");
    }
}

async fn labels_need_a_comment_of_the_site(place: impl Backend) {
    let store = open_with_sites(&place).await;
    record(&*store, "blog", 1, Some(1), State::Held).await;
    for entry in [
        label("blog", 2, Label::Spam),
        label("news", 1, Label::Spam),
        label("nowhere", 1, Label::Spam),
    ] {
        let error = store.append_label(entry).await.unwrap_err();
        assert!(matches!(error, StoreError::NotFound), "{error}");
    }
    assert_eq!(store.list_labels(&site_id("blog"), 0, 9).await.unwrap(), []);
}

async fn ledger_and_audit_log_are_listed_in_pages(place: impl Backend) {
    let store = open_with_sites(&place).await;
    let blog = site_id("blog");
    for n in 0..5 {
        record(&*store, "blog", n, None, State::Held).await;
        store.append_label(label("blog", n, Label::Ham)).await.unwrap();
    }
    let page = store.list_labels(&blog, 2, 2).await.unwrap();
    assert_eq!(page.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(page[0].1.comment, comment_id(2));
    let newest = store.list_audit_entries(&blog, None, 2).await.unwrap();
    let next = store.list_audit_entries(&blog, Some(newest[1].position), 9).await.unwrap();
    let subjects: Vec<_> = newest.iter().chain(&next).map(|entry| entry.subject.clone()).collect();
    let mut expected: Vec<_> = (0..5).rev().map(|n| comment_id(n).name(&blog)).collect();
    expected.push(blog.name());
    assert_eq!(subjects, expected);
}

async fn recent_comments_are_newest_first(place: impl Backend) {
    let store = open_with_sites(&place).await;
    for n in [3, 1, 5, 2, 4] {
        record(&*store, "blog", n, None, State::Held).await;
    }
    store.append_label(label("blog", 4, Label::Spam)).await.unwrap();
    let recent = store.recent_comments(&site_id("blog"), 4).await.unwrap();
    let ids: Vec<_> = recent.iter().map(|comment| comment.id).collect();
    assert_eq!(ids, [5, 4, 3, 2].map(comment_id));
    let labels: Vec<_> = recent.iter().map(|comment| comment.label).collect();
    assert_eq!(labels, [None, Some(Label::Spam), None, None]);
    let expected = comment("blog", 5, None, State::Held);
    assert_eq!(recent[0].check_time, expected.check_time);
    assert_eq!(recent[0].print.content_hash, expected.content_hash);
    assert_eq!(recent[0].print.simhash, expected.simhash);
}

async fn samples_keep_to_their_window(place: impl Backend) {
    let store = open_with_sites(&place).await;
    for n in [3, 1, 5, 2, 4, 0] {
        record(&*store, "blog", n, None, State::Held).await;
    }
    record(&*store, "news", 3, None, State::Held).await;
    let middle = start() + Duration::milliseconds(2);
    for (window, count_max, expected) in [
        (Window::First, 2, vec![0, 1]),
        (Window::Before(middle), 9, vec![0, 1]),
        (Window::Before(middle), 1, vec![1]),
        (Window::After(middle), 9, vec![3, 4, 5]),
        (Window::After(middle), 2, vec![4, 5]),
    ] {
        let found = store.sample_comments(&site_id("blog"), window, count_max).await.unwrap();
        let mut found: Vec<_> = found.iter().map(|one| one.check_time).collect();
        found.sort();
        let times = expected.iter().map(|n| comment("blog", *n, None, State::Held).check_time);
        assert_eq!(found, times.collect::<Vec<_>>(), "{window:?} {count_max}");
    }
}

async fn labelled_comments_are_newest_label_first(place: impl Backend) {
    let store = open_with_sites(&place).await;
    for n in 0..4 {
        record(&*store, "blog", n, None, State::Held).await;
    }
    for (minute, n) in [(1, 2), (2, 0), (3, 3), (4, 2)] {
        let mut entry = label("blog", n, Label::Spam);
        entry.time = start() + Duration::minutes(minute);
        store.append_label(entry).await.unwrap();
    }
    let labelled = store.labelled_comments(&site_id("blog"), 2).await.unwrap();
    let ids: Vec<_> = labelled.iter().map(|comment| comment.id).collect();
    assert_eq!(ids, [2, 3].map(comment_id));
    assert!(labelled.iter().all(|comment| comment.label == Some(Label::Spam)));
}

async fn campaigns_have_their_last_label(place: impl Backend) {
    let store = open_with_sites(&place).await;
    for (n, campaign) in [(0, 0), (1, 0), (2, 0), (3, 3), (4, 3), (5, 5), (6, 6)] {
        let mut comment = comment("blog", n, None, State::Held);
        comment.campaign = comment_id(campaign);
        store.record_check(&comment, None).await.unwrap();
    }
    for (minute, n, kind) in
        [(1, 2, Label::Spam), (3, 1, Label::Ham), (2, 0, Label::Spam), (4, 4, Label::Spam)]
    {
        let mut entry = label("blog", n, kind);
        entry.time = start() + Duration::minutes(minute);
        store.append_label(entry).await.unwrap();
    }
    let campaigns = [0, 5, 3, 9].map(comment_id);
    let found = store.campaign_labels(&site_id("blog"), &campaigns).await.unwrap();
    let found: Vec<_> = found.iter().map(|one| (one.id, one.campaign, one.label)).collect();
    let expected = [(4, 3, Label::Spam), (1, 0, Label::Ham)]
        .map(|(n, campaign, label)| (comment_id(n), comment_id(campaign), Some(label)));
    assert_eq!(found, expected);
    assert_eq!(store.campaign_labels(&site_id("news"), &campaigns).await.unwrap(), []);
    assert_eq!(store.campaign_labels(&site_id("blog"), &[]).await.unwrap(), []);
}

async fn refused_jobs_do_not_concern_their_neighbours(place: impl Backend) {
    let store = open_with_sites(&place).await;
    let mut tasks = JoinSet::new();
    for n in 0..100u64 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            match n % 4 {
                0 => {
                    let absent = store.append_label(label("blog", n + 1_000, Label::Spam)).await;
                    assert!(matches!(absent.unwrap_err(), StoreError::NotFound));
                }
                1 => {
                    let taken = store.create_site(site("blog"), "test").await;
                    assert!(matches!(taken.unwrap_err(), StoreError::AlreadyExists));
                }
                2 => {
                    let orphan = comment("nowhere", n, None, State::Held);
                    let orphan = store.record_check(&orphan, None).await;
                    assert!(matches!(orphan.unwrap_err(), StoreError::NotFound));
                }
                _ => record(&*store, "blog", n, Some(1), State::Held).await,
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(store.recent_comments(&site_id("blog"), 999).await.unwrap().len(), 25);
    let record = store.author_record(&site_id("blog"), fingerprint(1)).await.unwrap();
    assert_eq!(record.held_count, 25);
    assert_eq!(store.list_audit_entries(&site_id("blog"), None, 999).await.unwrap().len(), 1);
}

async fn records_outlive_the_store(place: impl Backend) {
    let store = open_with_sites(&place).await;
    store.create_key(key("blog", 1), "admin").await.unwrap();
    let sent = comment("blog", 1, Some(1), State::Held);
    store.record_check(&sent, Some(request(1, 5))).await.unwrap();
    store.append_label(label("blog", 1, Label::Ham)).await.unwrap();
    store.close().await;
    drop(store);
    let store = place.open().await;
    let blog = site_id("blog");
    assert!(store.get_site(&blog).await.unwrap().is_some());
    assert!(store.find_key(&[1; 32]).await.unwrap().is_some());
    let found = store.get_comment(&blog, comment_id(1)).await.unwrap().unwrap();
    assert_eq!((found.state, found.submission), (State::Approved, sent.submission));
    assert!(store.find_request(&blog, request_id(1), start()).await.unwrap().is_some());
    let record = store.author_record(&blog, fingerprint(1)).await.unwrap();
    assert_eq!((record.approved_count, record.ham_label_count), (1, 1));
    assert_eq!(store.list_labels(&blog, 0, 9).await.unwrap().len(), 1);
    let recorded = store
        .record_check(&comment("blog", 2, Some(1), State::Held), Some(request(1, 5)))
        .await
        .unwrap();
    assert!(matches!(recorded, RecordedCheck::Repeated(..)));
    let entry = store.append_label(label("blog", 1, Label::Spam)).await.unwrap();
    assert_eq!(entry.position, 2);
}

async fn a_closed_store_is_unavailable(place: impl Backend) {
    let store = open_with_sites(&place).await;
    store.ping().await.unwrap();
    store.close().await;
    store.close().await;
    let blog = site_id("blog");
    let unavailable = |result: Result<(), StoreError>| {
        assert!(matches!(result.unwrap_err(), StoreError::Unavailable(_)));
    };
    unavailable(store.ping().await);
    unavailable(store.get_site(&blog).await.map(drop));
    unavailable(store.list_sites(None, 1).await.map(drop));
    unavailable(store.find_key(&[1; 32]).await.map(drop));
    unavailable(store.author_record(&blog, fingerprint(1)).await.map(drop));
    unavailable(store.find_request(&blog, request_id(1), start()).await.map(drop));
    unavailable(store.get_comment(&blog, comment_id(1)).await.map(drop));
    unavailable(store.recent_comments(&blog, 1).await.map(drop));
    unavailable(store.create_site(site("more"), "test").await);
    unavailable(store.record_check(&comment("blog", 1, None, State::Held), None).await.map(drop));
    unavailable(store.append_label(label("blog", 1, Label::Ham)).await.map(drop));
    unavailable(
        store.revoke_key(&blog, Uuid::from_u128(1), "admin", start(), start()).await.map(drop),
    );
}
