//! What the SQLite store does when the process is killed, the disk is full, or the file is not
//! its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use replyguard::domain::State;
use replyguard::moderation::ports::models::ModelStore;
use replyguard::moderation::ports::{Store, StoreError};
use replyguard::storage::{OpenError, SqliteOptions, SqliteStore};
use tokio::task::JoinSet;

use crate::support::records::{
    comment, comment_id, fingerprint, model, request, request_id, site, site_id, start,
};

/// Names the database for the child of [`what_was_acknowledged_survives_a_kill`].
const CHILD_DATABASE: &str = "REPLYGUARD_TEST_CHILD_DATABASE";

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, SqliteOptions::default()).await.unwrap()
}

async fn open_error(path: &Path) -> OpenError {
    SqliteStore::open(path, SqliteOptions::default()).await.err().expect("it opened")
}

/// Runs in a process of its own, which is killed: records comments and prints the number of
/// each as soon as it is acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of what_was_acknowledged_survives_a_kill"]
async fn child_records_until_it_is_killed() {
    let path = std::env::var(CHILD_DATABASE).expect("started by its parent");
    let store = Arc::new(open(Path::new(&path)).await);
    let first = store.recent_comments(&site_id("blog"), 1).await.unwrap();
    let from = first.first().map_or(0, |last| (last.check_time - start()).whole_milliseconds());
    let mut tasks = JoinSet::new();
    for task in 0..16u64 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for n in (from as u64 + 1 + task..).step_by(16) {
                let sent = comment("blog", n, Some(n), State::Held);
                store.record_check(&sent, Some(request(n, n))).await.unwrap();
                println!("acknowledged {n}");
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replyguard.db");
    let store = open(&path).await;
    store.create_site(site("blog"), "test").await.unwrap();
    store.close().await;
    drop(store);
    let mut acknowledged = Vec::new();
    for round in 1..=3 {
        acknowledged.extend(record_and_kill(&path, 150 * round));
        let store = open(&path).await;
        let blog = site_id("blog");
        for &n in &acknowledged {
            let found = store.get_comment(&blog, comment_id(n)).await.unwrap();
            assert_eq!(found, Some(comment("blog", n, Some(n), State::Held)), "round {round}");
            let now = start() + time::Duration::milliseconds(n as i64);
            assert!(store.find_request(&blog, request_id(n), now).await.unwrap().is_some());
            assert_eq!(store.author_record(&blog, fingerprint(n)).await.unwrap().held_count, 1);
        }
        store.close().await;
    }
    let db = rusqlite::Connection::open(&path).unwrap();
    let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

/// Starts the child, kills it after `count` acknowledgements, and answers with all it gave.
fn record_and_kill(path: &Path, count: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["store_faults::child_records_until_it_is_killed", "--exact"])
        .args(["--ignored", "--nocapture"])
        .env(CHILD_DATABASE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let number = |line: String| line.strip_prefix("acknowledged ")?.parse().ok();
    let mut acknowledged: Vec<u64> =
        lines.by_ref().map_while(Result::ok).filter_map(number).take(count).collect();
    assert_eq!(acknowledged.len(), count, "the child ended early");
    child.kill().unwrap();
    child.wait().unwrap();
    // The last line may be cut.
    let rest = lines.map_while(Result::ok).collect::<Vec<_>>();
    let whole = rest.len().saturating_sub(1);
    acknowledged.extend(rest.into_iter().take(whole).filter_map(number));
    acknowledged
}

#[tokio::test]
async fn only_one_process_owns_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/down/replyguard.db");
    let store = open(&path).await;
    let error = open_error(&path).await;
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    assert!(error.to_string().ends_with("replyguard.db is in use by another replyguard process"));
    store.close().await;
    open(&path).await.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("replyguard.db")).await;
    store.create_site(site("blog"), "test").await.unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?}", entry.path());
        count += 1;
    }
    assert!(count >= 3, "database, WAL and lock");
}

#[tokio::test]
async fn newer_and_foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let newer = folder.path().join("newer.db");
    open(&newer).await.close().await;
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = open_error(&newer).await;
    assert!(matches!(error, OpenError::NewerSchema { found: 99, .. }), "{error}");

    let foreign = folder.path().join("foreign.db");
    let db = rusqlite::Connection::open(&foreign).unwrap();
    db.execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
    drop(db);
    let error = open_error(&foreign).await;
    assert!(matches!(error, OpenError::Foreign(_)), "{error}");

    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is no database, but it is long enough to look like one".repeat(99))
        .unwrap();
    let error = open_error(&text).await;
    assert!(matches!(error, OpenError::Sqlite { .. }), "{error}");
}

#[tokio::test]
async fn opening_again_migrates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replyguard.db");
    for _ in 0..2 {
        open(&path).await.close().await;
        let db = rusqlite::Connection::open(&path).unwrap();
        let version: i32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, replyguard::storage::sqlite::SCHEMA_VERSION);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_makes_it_unavailable_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replyguard.db");
    let options = SqliteOptions { page_count_max: Some(100), ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, options).await.unwrap();
    store.create_site(site("blog"), "test").await.unwrap();
    let mut recorded = 0;
    let error = loop {
        let sent = comment("blog", recorded, Some(recorded), State::Held);
        match store.record_check(&sent, Some(request(recorded, 1))).await {
            Ok(_) => recorded += 1,
            Err(error) => break error,
        }
        assert!(recorded < 10_000, "100 pages took 10,000 comments");
    };
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("full"), "{error}");
    let blog = site_id("blog");
    assert!(store.get_comment(&blog, comment_id(recorded)).await.unwrap().is_none());
    let author = fingerprint(recorded);
    assert_eq!(store.author_record(&blog, author).await.unwrap().held_count, 0);
    let request = store.find_request(&blog, request_id(recorded), start()).await.unwrap();
    assert!(request.is_none());

    // The operator makes room; the running store notices by itself.
    let db = rusqlite::Connection::open(&path).unwrap();
    db.busy_timeout(Duration::from_secs(5)).unwrap();
    db.execute("DELETE FROM comments WHERE number > 5", []).unwrap();
    drop(db);
    let sent = comment("blog", recorded, Some(recorded), State::Held);
    store.record_check(&sent, None).await.unwrap();
    assert!(store.get_comment(&blog, comment_id(recorded)).await.unwrap().is_some());
    assert_eq!(store.author_record(&blog, author).await.unwrap().held_count, 1);
    store.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_does_not_fit_on_the_disk_leaves_nothing_and_disturbs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replyguard.db");
    let options = SqliteOptions { page_count_max: Some(100), ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, options).await.unwrap();
    store.create_site(site("blog"), "test").await.unwrap();
    let small = store.create_model(model("blog-1"), vec![1; 100], "key:1", None).await.unwrap();
    // 4 MB on 100 pages of 4 KiB.
    let error =
        store.create_model(model("blog-2"), vec![2; 4 << 20], "key:1", None).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("full")), "{error}");
    let blog = site_id("blog");
    assert_eq!(store.list_models(&blog).await.unwrap(), [small]);
    assert!(store.get_model(&blog, "blog-2").await.unwrap().is_none());
    let (_, artifact) = store.get_model(&blog, "blog-1").await.unwrap().unwrap();
    assert_eq!(artifact, [1; 100]);
    let sent = comment("blog", 1, None, State::Held);
    store.record_check(&sent, None).await.unwrap();
    let audit = store.list_audit_entries(&blog, None, 10).await.unwrap();
    assert!(!audit.iter().any(|entry| entry.subject.contains("blog-2")), "{audit:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_queue_slows_callers_down_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { queue_length: 1, batch_count_max: 3, ..SqliteOptions::default() };
    let path = folder.path().join("replyguard.db");
    let store = Arc::new(SqliteStore::open(&path, options).await.unwrap());
    store.create_site(site("blog"), "test").await.unwrap();
    let mut tasks = JoinSet::new();
    for n in 0..100 {
        let store = Arc::clone(&store);
        let sent = comment("blog", n, Some(n), State::Held);
        tasks.spawn(async move { store.record_check(&sent, None).await.unwrap() });
    }
    tasks.join_all().await;
    assert_eq!(store.recent_comments(&site_id("blog"), 999).await.unwrap().len(), 100);
}

/// Answers come through a task of the caller's own runtime.
#[test]
fn runtimes_that_share_a_thread_are_all_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replyguard.db");
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let store = first.block_on(open(&path));
    first.block_on(store.create_site(site("blog"), "test")).unwrap();
    let record = |n| {
        let store = &store;
        async move { store.record_check(&comment("blog", n, Some(n), State::Held), None).await }
    };
    second.block_on(record(1)).unwrap();
    first.block_on(record(2)).unwrap();
    drop(second);
    runtime().block_on(record(3)).unwrap();
    first.block_on(record(4)).unwrap();
    let recent = first.block_on(store.recent_comments(&site_id("blog"), 9)).unwrap();
    assert_eq!(recent.len(), 4);
}
