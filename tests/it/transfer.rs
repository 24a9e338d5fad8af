//! Moving an installation from SQLite to PostgreSQL and back.

use std::path::Path;

use replyguard::domain::{Action, DecisionId, Label, State};
use replyguard::moderation::ports::models::ModelStore;
use replyguard::moderation::ports::privacy::{Act, PrivacyStore, Whose};
use replyguard::moderation::ports::review::{NewDecision, ReviewStore, Target};
use replyguard::moderation::ports::{AuditEntry, RequestMark, Store};
use replyguard::storage::transfer::{self, TransferError};
use replyguard::storage::{SqliteOptions, SqliteStore};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::postgres::shared;
use crate::support::records::{
    comment, comment_id, fingerprint, key, label, model, request, request_id, site, site_id, start,
};
use crate::support::service::{Service, command};

/// Comments of the site `blog`: more than one batch.
const COUNT: u64 = 700;

fn quiet(_: &'static str, _: i64, _: i64) {}

async fn sqlite(path: &Path) -> SqliteStore {
    SqliteStore::open(path, SqliteOptions::default()).await.unwrap()
}

/// Two sites with some of everything.
async fn fill(path: &Path) {
    let store = sqlite(path).await;
    for id in ["blog", "news"] {
        store.create_site(site(id), "test").await.unwrap();
    }
    store.create_key(key("blog", 1), "test").await.unwrap();
    for n in 0..COUNT {
        let state = [State::Held, State::Approved, State::Rejected][n as usize % 3];
        let mark: Option<RequestMark> = n.is_multiple_of(2).then(|| request(n, n));
        store.record_check(&comment("blog", n, Some(n % 7), state), mark).await.unwrap();
    }
    store.append_label(label("blog", 1, Label::Spam)).await.unwrap();
    let decision = NewDecision {
        id: DecisionId::from_uuid(Uuid::from_u128(1)),
        site: site_id("blog"),
        action: Action::Approve,
        actor: "anna".into(),
        administrator: false,
        note: Some("a note with a \u{0} in it".into()),
        time: start(),
    };
    let targets = [0, 3].map(|n| Target { comment: comment_id(n), revision: None });
    store.decide(decision.clone(), targets.to_vec()).await.unwrap();
    let undo = NewDecision {
        id: DecisionId::from_uuid(Uuid::from_u128(2)),
        action: Action::Undo,
        note: None,
        ..decision.clone()
    };
    store.undo(undo, decision.id, None, 99).await.unwrap();
    store.create_model(model("blog-1"), vec![7; 100_000], "test", None).await.unwrap();
    store.close().await;
}

/// What both sides must agree about.
#[derive(PartialEq)]
struct Seen {
    comments: Vec<Option<replyguard::domain::CheckedComment>>,
    authors: Vec<replyguard::domain::AuthorRecord>,
    requests: usize,
    labels: usize,
    audit: Vec<AuditEntry>,
    decided: Vec<String>,
    days: Vec<replyguard::moderation::ports::review::DayCounts>,
    artifact: Vec<u8>,
}

impl Seen {
    /// Says what differs by name: all of it is megabytes.
    fn assert_same(&self, expected: &Self) {
        let same = [
            ("comments", self.comments == expected.comments),
            ("authors", self.authors == expected.authors),
            ("requests", self.requests == expected.requests),
            ("labels", self.labels == expected.labels),
            ("audit", self.audit == expected.audit),
            ("decided", self.decided == expected.decided),
            ("days", self.days == expected.days),
            ("artifact", self.artifact == expected.artifact),
        ];
        assert_eq!(same.iter().find(|(_, same)| !same), None);
    }
}

/// PostgreSQL has no words with this character.
fn spelled(text: String) -> String {
    text.replace('\0', "\u{fffd}").replace("\\0", "\u{fffd}")
}

async fn look(store: &(impl Store + ReviewStore + ModelStore)) -> Seen {
    let blog = site_id("blog");
    let (mut comments, mut authors, mut requests) = (Vec::new(), Vec::new(), 0);
    for n in 0..COUNT {
        comments.push(store.get_comment(&blog, comment_id(n)).await.unwrap());
        let found = store.find_request(&blog, request_id(n), start()).await.unwrap();
        requests += usize::from(found.is_some());
    }
    for n in 0..7 {
        authors.push(store.author_record(&blog, fingerprint(n)).await.unwrap());
    }
    let audit = store.list_audit_entries(&blog, None, 99).await.unwrap();
    let decided = store.decided_comments(&blog, 0, 99).await.unwrap();
    assert!(store.find_key(&[1; 32]).await.unwrap().is_some());
    Seen {
        comments,
        authors,
        requests,
        labels: store.ledger_entries(&blog, 0, 99).await.unwrap().len(),
        audit: audit
            .into_iter()
            .map(|entry| AuditEntry { note: entry.note.map(spelled), ..entry })
            .collect(),
        decided: decided.iter().map(|one| spelled(format!("{one:?}"))).collect(),
        days: store.day_counts(&blog, start() - time::Duration::days(9)).await.unwrap(),
        artifact: store.get_model(&blog, "blog-1").await.unwrap().unwrap().1,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_moves_there_and_back() {
    let folder = TempDir::new().unwrap();
    let (path, back) = (folder.path().join("one.sqlite3"), folder.path().join("two.sqlite3"));
    fill(&path).await;
    let place = shared().database();
    let moved = transfer::sqlite_to_postgres(&path, &place.address(), &quiet).await.unwrap();
    let count = |table: &str| moved.iter().find(|(name, _)| *name == table).unwrap().1;
    assert_eq!((count("sites"), count("comments"), count("requests")), (2, 700, 350));

    let before = sqlite(&path).await;
    let shared_store = place.open().await;
    let expected = look(&before).await;
    assert!(expected.comments.iter().all(Option::is_some) && expected.decided.len() >= 4);
    look(&shared_store).await.assert_same(&expected);
    // New rows are numbered after those that came.
    let blog = site_id("blog");
    let last = before.ledger_position(&blog).await.unwrap();
    let applied = shared_store.append_label(label("blog", 2, Label::Ham)).await.unwrap();
    assert!(applied.position > last, "{} {last}", applied.position);
    before.close().await;

    let again = transfer::sqlite_to_postgres(&path, &place.address(), &quiet).await.unwrap_err();
    assert!(matches!(again, TransferError::NotEmpty(_)), "{again}");

    let expected = look(&shared_store).await;
    shared_store.close().await;
    transfer::postgres_to_sqlite(&place.address(), &back, &quiet).await.unwrap();
    let returned = sqlite(&back).await;
    look(&returned).await.assert_same(&expected);
    returned.append_label(label("blog", 3, Label::Ham)).await.unwrap();
    returned.close().await;
}

/// Approves a held comment; answers with the place of that among all that was decided.
async fn approve(store: &impl ReviewStore, decision: u128, n: u64) -> i64 {
    let decision = NewDecision {
        id: DecisionId::from_uuid(Uuid::from_u128(decision)),
        site: site_id("blog"),
        action: Action::Approve,
        actor: "anna".into(),
        administrator: false,
        note: None,
        time: start(),
    };
    let target = Target { comment: comment_id(n), revision: None };
    store.decide(decision, vec![target]).await.unwrap().comments[0].position
}

/// Records a held comment; answers with a number of which it and all before are.
async fn record(store: &(impl Store + ReviewStore), n: u64) -> i64 {
    store.record_check(&comment("blog", n, None, State::Held), None).await.unwrap();
    store.comment_number(&site_id("blog")).await.unwrap()
}

/// Erases comments, and with them what was decided on them.
async fn erase(store: &impl PrivacyStore, comments: &[u64]) {
    for &n in comments {
        let act = Act { actor: "anna".into(), note: None, time: start() };
        let whose = Whose::Comment(comment_id(n));
        let erased = store.erase(&site_id("blog"), whose, 9, act).await.unwrap();
        assert_eq!(erased.comment_count, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_of_what_was_erased_are_not_given_again_after_a_move() {
    let folder = TempDir::new().unwrap();
    let (path, back) = (folder.path().join("one.sqlite3"), folder.path().join("two.sqlite3"));
    fill(&path).await;
    let store = sqlite(&path).await;
    let (decided, recorded) = (approve(&store, 11, 6).await, record(&store, COUNT).await);
    // All that was decided, and the last comment.
    erase(&store, &[0, 3, 6, COUNT]).await;
    store.close().await;
    drop(store);

    let place = shared().database();
    transfer::sqlite_to_postgres(&path, &place.address(), &quiet).await.unwrap();
    let store = place.open().await;
    let (next, fresh) = (approve(&store, 12, 9).await, record(&store, COUNT + 1).await);
    assert!(next > decided, "{next} {decided}");
    assert!(fresh > recorded, "{fresh} {recorded}");
    erase(&store, &[9, COUNT + 1]).await;
    store.close().await;

    // A webhook that is further than the database remembers: an earlier version moved it so.
    let passed = next + 50;
    place.sql(&format!(
        "INSERT INTO webhooks (site, id, uri, secret, position, revision, create_time, disabled) \
         SELECT number, gen_random_uuid(), 'https://example.org/', '', {passed}, 1, 0, false \
         FROM sites WHERE id = 'blog'"
    ));
    transfer::postgres_to_sqlite(&place.address(), &back, &quiet).await.unwrap();
    let store = sqlite(&back).await;
    let (last, newest) = (approve(&store, 13, 12).await, record(&store, COUNT + 2).await);
    assert!(last > passed, "{last} {passed}");
    assert!(newest > fresh, "{newest} {fresh}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_is_cut_short_leaves_nothing_and_can_be_begun_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("one.sqlite3");
    fill(&path).await;
    // A row that PostgreSQL cannot take, far behind the first ones.
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute("UPDATE comments SET campaign = x'0102' WHERE number = 600", []).unwrap();
    let place = shared().database();
    drop(db);
    let error = transfer::sqlite_to_postgres(&path, &place.address(), &quiet).await.unwrap_err();
    let expected = "table comments: a value of the column campaign cannot be moved";
    assert_eq!(error.to_string(), expected);
    assert_eq!(place.sql("SELECT count(*) FROM sites").trim(), "0");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute("UPDATE comments SET campaign = id WHERE number = 600", []).unwrap();
    drop(db);
    transfer::sqlite_to_postgres(&path, &place.address(), &quiet).await.unwrap();
    assert_eq!(place.sql("SELECT count(*) FROM comments").trim(), COUNT.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_moves_a_service() {
    let mut service = Service::start().await;
    service.stop().await;
    let from = format!("sqlite:{}", service.data().join("replyguard.sqlite3").display());
    let place = shared().database();
    let run =
        |from: &str, to: &str| command(&["migrate", "--from", from, "--to", to]).output().unwrap();
    let output = run(&from, &place.url());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("each table has as many"), "{output:?}");
    let again = run(&from, &place.url());
    let text = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && text.contains("is not empty"), "{text}");
    let wrong = run(&from, "postgres://ann:hunter2@127.0.0.1:1/x");
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(!wrong.status.success() && !text.contains("hunter2"), "{text}");
    // The first site's key opens it there.
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let mut known = service.first.clone();
    known.http = "127.0.0.1:1".into();
    std::fs::write(data.join("first-site.json"), serde_json::to_string(&known).unwrap()).unwrap();
    let moved = Service::start_in(folder, &["--database-url", &place.url()]).await;
    let mut client = moved.client().await;
    let sites = replyguard::grpc::proto::ListSitesRequest::default();
    assert_eq!(client.sites.list_sites(sites).await.unwrap().into_inner().sites.len(), 1);
    let migrate = command(&["migrate", "--database-url", &place.url()]).output().unwrap();
    assert!(String::from_utf8_lossy(&migrate.stdout).contains("nothing to do"), "{migrate:?}");
}
