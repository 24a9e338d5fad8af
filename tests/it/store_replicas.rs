//! What several processes on one PostgreSQL database see of each other, and what they do when the
//! database or the way to it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use replyguard::domain::{Action, DecisionId, Label, SitePolicy, State, usefulness};
use replyguard::moderation::ports::models::{ModelChange, ModelState, ModelStore};
use replyguard::moderation::ports::privacy::PrivacyStore;
use replyguard::moderation::ports::replicas::{News, Replicas};
use replyguard::moderation::ports::review::{NewDecision, ReviewStore, Target};
use replyguard::moderation::ports::{RecordedCheck, Store, StoreError};
use replyguard::storage::{PostgresAddress, PostgresError, PostgresOptions, PostgresStore};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::postgres::{Database, PostgresServer, shared};
use crate::support::records::{
    comment, comment_id, fingerprint, key, label, model, request, request_id, site, site_id, start,
};
use crate::support::service::wait_for;

/// News come in milliseconds; what is only forgotten with age is kept for 30 seconds.
const SOON: Duration = Duration::from_secs(10);

/// Two replicas on one database with the site `blog`.
async fn two(place: &Database<'_>) -> (PostgresStore, PostgresStore) {
    let (first, second) = (place.open().await, place.open().await);
    first.create_site(site("blog"), "test").await.unwrap();
    (first, second)
}

/// Replicas whose leases pass on quickly.
async fn open_hasty(place: &Database<'_>) -> PostgresStore {
    let options = PostgresOptions {
        connection_count_max: 4,
        call_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        lease_life: Duration::from_secs(2),
        ..PostgresOptions::default()
    };
    PostgresStore::open(&place.address(), options).await.unwrap()
}

async fn set_hold_all(store: &PostgresStore, hold_all: bool) {
    let policy = SitePolicy { hold_all, ..SitePolicy::default() };
    store
        .update_site(&site_id("blog"), None, "Blog".into(), policy, "test", start())
        .await
        .unwrap();
}

async fn await_hold_all(store: &PostgresStore, hold_all: bool) {
    let begin = Instant::now();
    wait_for("the other replica's policy", || async {
        let found = store.get_site(&site_id("blog")).await.unwrap().unwrap();
        (found.policy.hold_all == hold_all).then_some(())
    })
    .await;
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}

/// The next news that are neither about other things nor only that some may have been missed.
async fn next_news(store: &PostgresStore) -> News {
    loop {
        match tokio::time::timeout(SOON, store.next_news()).await.expect("news") {
            News::Missed => {}
            news => return news,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_policy_and_a_revoked_key_reach_the_other_replica() {
    let place = shared().database();
    let (first, second) = two(&place).await;
    first.create_key(key("blog", 1), "test").await.unwrap();
    await_hold_all(&second, false).await;
    assert!(second.find_key(&[1; 32]).await.unwrap().is_some());
    set_hold_all(&first, true).await;
    await_hold_all(&second, true).await;
    let begin = Instant::now();
    let revoked = async |store: &PostgresStore| {
        store.find_key(&[1; 32]).await.unwrap().unwrap().revoke_time.is_some()
    };
    let id = key("blog", 1).id;
    first.revoke_key(&site_id("blog"), id, "test", start(), start()).await.unwrap();
    assert!(revoked(&first).await, "at once where it was revoked");
    wait_for("the key to be refused", || async { revoked(&second).await.then_some(()) }).await;
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_caller_left_counts_where_it_was_made() {
    let place = shared().database();
    let store = place.open().await;
    store.create_site(site("blog"), "test").await.unwrap();
    store.create_key(key("blog", 1), "test").await.unwrap();
    // From now on it listens, and keeps what it has read.
    assert_eq!(tokio::time::timeout(SOON, store.next_news()).await.unwrap(), News::Missed);
    assert!(store.find_key(&[1; 32]).await.unwrap().unwrap().revoke_time.is_none());
    let name = store.get_site(&site_id("blog")).await.unwrap().unwrap().display_name.clone();
    assert_eq!(name, "The blog");
    // What is committed and told by this replica, and nobody waits for the answer.
    assert!(store.hold("anything").await.unwrap(), "its name stands there");
    place.sql(
        "UPDATE keys SET revoke_time = 1; UPDATE sites SET display_name = 'Other'; \
         SELECT pg_notify('replyguard_news', holder || told) FROM leases, \
             (VALUES (' site blog'), (' key ' || repeat('01', 32))) AS news (told) \
         WHERE name = 'anything'",
    );
    let begin = Instant::now();
    wait_for("the key to be refused and the new name", || async {
        let key = store.find_key(&[1; 32]).await.unwrap().unwrap();
        let site = store.get_site(&site_id("blog")).await.unwrap().unwrap();
        (key.revoke_time.is_some() && site.display_name == "Other").then_some(())
    })
    .await;
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_tell_of_models_and_labels() {
    let place = shared().database();
    let (first, second) = two(&place).await;
    // Both listen, so that nothing of what follows is missed.
    for store in [&first, &second] {
        assert_eq!(tokio::time::timeout(SOON, store.next_news()).await.unwrap(), News::Missed);
    }
    first.create_model(model("blog-1"), vec![1; 10], "test", None).await.unwrap();
    let change = ModelChange {
        site: site_id("blog"),
        version: "blog-1".into(),
        state: ModelState::Active,
        promote_time: Some(start()),
        rolls_back: false,
        actor: "test".into(),
        note: None,
        time: start(),
    };
    first.change_model(change).await.unwrap();
    // Also to whom it was that changed the model: the answer to its COMMIT may come too late.
    for store in [&first, &second] {
        assert_eq!(next_news(store).await, News::Models(site_id("blog")));
    }
    let sent = comment("blog", 1, Some(1), State::Held);
    second.record_check(&sent, None).await.unwrap();
    second.append_label(label("blog", 1, Label::Spam)).await.unwrap();
    let told = News::Labels(site_id("blog"), vec![(sent.print(), Label::Spam)]);
    assert_eq!(next_news(&first).await, told);
    first.append_label(label("blog", 1, Label::Ham)).await.unwrap();
    let told = News::Labels(site_id("blog"), vec![(sent.print(), Label::Ham)]);
    assert_eq!(next_news(&second).await, told, "and not of its own label before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_on_many_name_all_texts_and_removals_are_told_of_once() {
    let place = shared().database();
    let (first, second) = two(&place).await;
    assert_eq!(tokio::time::timeout(SOON, second.next_news()).await.unwrap(), News::Missed);
    let (blog, count) = (site_id("blog"), 200);
    for n in 1..=count {
        first.record_check(&comment("blog", n, None, State::Held), None).await.unwrap();
    }
    let decision = NewDecision {
        id: DecisionId::from_uuid(Uuid::from_u128(1)),
        site: blog.clone(),
        action: Action::RejectSpam,
        actor: "jane".into(),
        administrator: false,
        note: None,
        time: start(),
    };
    let targets = (1..=count).map(|n| Target { comment: comment_id(n), revision: None });
    first.decide(decision, targets.collect()).await.unwrap();
    let mut told = 0;
    while told < count {
        match next_news(&second).await {
            News::Labels(_, labels) => told += labels.len() as u64,
            other => panic!("{other:?}"),
        }
    }
    let later = start() + time::Duration::days(1);
    while first.remove_comments(&blog, later, false, 50, later).await.unwrap() == 50 {}
    first.tell_relabelled(&blog).await.unwrap();
    first.record_check(&comment("blog", 999, None, State::Held), None).await.unwrap();
    first.append_label(label("blog", 999, Label::Ham)).await.unwrap();
    assert_eq!(next_news(&second).await, News::Relabelled(blog));
    assert!(matches!(next_news(&second).await, News::Labels(..)), "no further ones");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_missed_news_catches_up() {
    let place = shared().database();
    let (first, second) = two(&place).await;
    await_hold_all(&second, false).await;
    for hold_all in [true, false, true] {
        assert_eq!(tokio::time::timeout(SOON, second.next_news()).await.unwrap(), News::Missed);
        place.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        // The first call may find its connection closed.
        wait_for("a connection", || async { first.ping().await.ok() }).await;
        set_hold_all(&first, hold_all).await;
        wait_for("a connection", || async { second.ping().await.ok() }).await;
        await_hold_all(&second, hold_all).await;
    }
    assert_eq!(tokio::time::timeout(SOON, second.next_news()).await.unwrap(), News::Missed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_does_what_only_one_should() {
    let place = shared().database();
    let (first, second) = (open_hasty(&place).await, open_hasty(&place).await);
    assert!(first.hold("training").await.unwrap());
    assert!(first.hold("training").await.unwrap(), "it keeps it");
    assert!(!second.hold("training").await.unwrap());
    assert!(second.hold("drift").await.unwrap(), "another work");
    Replicas::release(&first, "training").await.unwrap();
    assert!(second.hold("training").await.unwrap());
    // It is kept beyond its life by a process that lives: the server's clock says when it ends.
    let expires =
        || place.sql("SELECT extract(epoch FROM expire_time) FROM leases WHERE name = 'training'");
    let before = expires();
    wait_for("the lease to be renewed", || async { (expires() != before).then_some(()) }).await;
    assert!(!first.hold("training").await.unwrap());
    second.close().await;
    assert!(first.hold("training").await.unwrap(), "given up at the end");
    assert!(first.hold("drift").await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_work_of_a_dead_replica_is_taken_over() {
    let place = shared().database();
    let alive = open_hasty(&place).await;
    // A process that was killed: nobody renews its lease any more.
    place.sql(
        "INSERT INTO leases VALUES ('training', gen_random_uuid(), now() + interval '1 second')",
    );
    assert!(!alive.hold("training").await.unwrap());
    wait_for("the lease to end", || async { alive.hold("training").await.unwrap().then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_several_first_starts_makes_the_tables() {
    let place = shared().database();
    let mut opening = JoinSet::new();
    for _ in 0..4 {
        let address = place.address();
        opening.spawn(async move {
            let options = PostgresOptions { connection_count_max: 3, ..PostgresOptions::default() };
            PostgresStore::open(&address, options).await.unwrap()
        });
    }
    for store in opening.join_all().await {
        store.ping().await.unwrap();
    }
    let versions = PostgresStore::migrate(&place.address()).await.unwrap();
    let known = replyguard::storage::postgres::SCHEMA_VERSION;
    assert_eq!(versions, (known, known));
}

#[tokio::test]
async fn newer_and_foreign_databases_are_refused() {
    let place = shared().database();
    place.open().await.close().await;
    // What a newer program added is left alone; only what it took away is missed.
    place.sql("UPDATE replyguard_schema SET version = 99");
    let beside = place.open().await;
    beside.create_site(site("blog"), "test").await.unwrap();
    beside.close().await;
    let versions = place.sql("SELECT version, needed_version FROM replyguard_schema");
    assert!(versions.starts_with("99|"), "it stays what it is: {versions}");
    place.sql("UPDATE replyguard_schema SET needed_version = 99");
    let open = async |place: &Database<'_>| {
        PostgresStore::open(&place.address(), PostgresOptions::default()).await.err().unwrap()
    };
    let error = open(&place).await;
    assert!(matches!(error, PostgresError::NewerSchema { found: 99, .. }), "{error}");
    let foreign = shared().database();
    foreign.sql("CREATE TABLE recipes (name TEXT)");
    let error = open(&foreign).await;
    assert!(matches!(error, PostgresError::Foreign(_)), "{error}");
    assert_eq!(
        foreign.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").trim(),
        "1"
    );
}

/// In a database of another encoding the first comment with a character that it lacks kept all
/// others from being recorded or found.
#[tokio::test]
async fn databases_that_cannot_hold_every_character_are_refused() {
    let server = PostgresServer::start();
    let make = |name: &str, encoding: &str| -> PostgresAddress {
        let sql =
            format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        server.sql("postgres", &sql);
        server.url(name).parse().unwrap()
    };
    let western = make("western", "LATIN1");
    let options = PostgresOptions::default();
    let opened = PostgresStore::open(&western, options.clone()).await.err().unwrap();
    let examined = PostgresStore::examine(&western).await.err().unwrap();
    let migrated = PostgresStore::migrate(&western).await.err().unwrap();
    for error in [opened, examined, migrated] {
        assert!(matches!(error, PostgresError::Encoding { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("LATIN1") && text.contains("ENCODING 'UTF8'"), "{text}");
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(server.sql("western", tables).trim(), "0", "nothing was made in it");
    let bytes = PostgresStore::open(&make("bytes", "SQL_ASCII"), options).await.unwrap();
    bytes.create_site(site("blog"), "test").await.unwrap();
    bytes.close().await;
}

#[tokio::test]
async fn places_in_the_queue_are_those_of_the_domain() {
    let place = shared().database();
    place.open().await.close().await;
    for (uncertainty, count, time) in [(0.0, 1, 0), (3.5, 7, 1_764_000_000_000), (4.0, 0, -5)] {
        let found = place.sql(&format!("SELECT usefulness({uncertainty}, {count}, {time})"));
        let (found, expected) =
            (found.trim().parse::<f64>().unwrap(), usefulness(uncertainty, count, time));
        assert!((found - expected).abs() <= expected.abs() * 1e-12, "{found} {expected}");
    }
}

#[tokio::test]
async fn the_audit_log_is_append_only() {
    let place = shared().database();
    let store = place.open().await;
    store.create_site(site("blog"), "test").await.unwrap();
    let tries = "DO $$ DECLARE tried TEXT; refused INTEGER := 0; BEGIN \
         FOREACH tried IN ARRAY ARRAY['UPDATE audit_entries SET actor = ''x''', \
             'DELETE FROM audit_entries', 'TRUNCATE audit_entries'] LOOP \
             BEGIN EXECUTE tried; EXCEPTION WHEN raise_exception THEN refused := refused + 1; END; \
         END LOOP; IF refused < 3 THEN RAISE 'only % refused', refused; END IF; END $$";
    place.sql(tries);
    assert_eq!(store.list_audit_entries(&site_id("blog"), None, 9).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_unavailable_in_time() {
    let server = PostgresServer::start();
    let place = server.database();
    let store = Arc::new(open_hasty(&place).await);
    store.create_site(site("blog"), "test").await.unwrap();
    store.create_key(key("blog", 1), "test").await.unwrap();
    server.freeze(true);
    let begin = Instant::now();
    let mut calls = JoinSet::new();
    for n in 0..50 {
        let store = Arc::clone(&store);
        calls.spawn(async move {
            let sent = comment("blog", n, Some(n), State::Held);
            let recorded = store.record_check(&sent, Some(request(n, n))).await.err();
            let read = store.get_comment(&site_id("blog"), comment_id(n)).await.err();
            [recorded, read]
        });
    }
    for error in calls.join_all().await.into_iter().flatten() {
        assert!(matches!(error, Some(StoreError::Unavailable(_))), "{error:?}");
    }
    // Two calls one after the other, each with a second and what a busy machine adds.
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    server.freeze(false);
    wait_for("the server to be used again", || async { store.ping().await.ok() }).await;
    let sent = comment("blog", 100, None, State::Held);
    store.record_check(&sent, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_under_load_loses_nothing_acknowledged() {
    let server = PostgresServer::start();
    let place = server.database();
    let store = Arc::new(open_hasty(&place).await);
    store.create_site(site("blog"), "test").await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for task in 0..8u64 {
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        tasks.spawn(async move {
            let mut acknowledged = Vec::new();
            for n in (task..).step_by(8) {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                let sent = comment("blog", n, Some(n), State::Held);
                match store.record_check(&sent, Some(request(n, n))).await {
                    Ok(_) => acknowledged.push(n),
                    Err(StoreError::Unavailable(_)) => {
                        // As a caller does that was told to try again.
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            acknowledged
        });
    }
    for _ in 0..2 {
        let count = || async { store.recent_comments(&site_id("blog"), 10_000).await.ok() };
        let before = wait_for("answers", count).await.len();
        wait_for("more comments", || async {
            (store.recent_comments(&site_id("blog"), 10_000).await.ok()?.len() > before + 50)
                .then_some(())
        })
        .await;
        server.kill();
        server.launch();
    }
    wait_for("the server to be used again", || async { store.ping().await.ok() }).await;
    stop.store(true, Ordering::Release);
    let acknowledged: Vec<u64> = tasks.join_all().await.into_iter().flatten().collect();
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    let blog = site_id("blog");
    for n in acknowledged {
        let expected = comment("blog", n, Some(n), State::Held);
        let found = store.get_comment(&blog, comment_id(n)).await.unwrap();
        assert_eq!(found, Some(expected.clone()));
        let known = store.find_request(&blog, request_id(n), expected.check_time).await.unwrap();
        assert!(known.is_some(), "the request id of {n}");
        assert_eq!(store.author_record(&blog, fingerprint(n)).await.unwrap().held_count, 1);
    }
    let counted = place.sql(
        "SELECT (SELECT sum(held_count) FROM queue_entries) = count(*), \
         (SELECT sum(hold_count) FROM daily_counts) = count(*) FROM comments",
    );
    assert_eq!(counted.trim(), "t|t", "a batch is whole or not there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_answered_once_by_all_replicas() {
    let place = shared().database();
    let (first, second) = two(&place).await;
    let stores = [Arc::new(first), Arc::new(second)];
    let mut tasks = JoinSet::new();
    for n in 0..100 {
        let store = Arc::clone(&stores[(n % 2) as usize]);
        tasks.spawn(async move {
            // Ten requests, each sent five times to either replica.
            let sent = comment("blog", n, Some(n % 10), State::Held);
            match store.record_check(&sent, Some(request(n % 10, 1))).await.unwrap() {
                RecordedCheck::New => (n % 10, comment_id(n), true),
                RecordedCheck::Repeated(_, found) => (n % 10, found.id, false),
            }
        });
    }
    let mut answers = tasks.join_all().await;
    answers.sort();
    for group in answers.chunk_by(|a, b| a.0 == b.0) {
        assert!(group.iter().all(|answer| answer.1 == group[0].1), "one answer for all");
        assert_eq!(group.iter().filter(|answer| answer.2).count(), 1, "recorded once");
    }
    let recent = stores[0].recent_comments(&site_id("blog"), 999).await.unwrap();
    assert_eq!(recent.len(), 10);
}

#[tokio::test]
async fn encrypted_connections_go_to_the_server_that_is_known() {
    let server = PostgresServer::start();
    let place = server.database();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    server.encrypt(&certified.cert.pem(), &certified.signing_key.serialize_pem());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, certified.cert.pem()).unwrap();
    let trusting = format!("sslmode=verify-full&sslrootcert={}", file.display());
    let open = async |host: &str, query: &str| {
        let url = format!("{}?{query}", place.url().replace("127.0.0.1", host));
        let options = PostgresOptions { connection_count_max: 3, ..PostgresOptions::default() };
        PostgresStore::open(&url.parse().unwrap(), options).await
    };
    let store = open("localhost", &trusting).await.unwrap();
    store.ping().await.unwrap();
    store.close().await;
    for (host, query, expected) in [
        ("127.0.0.1", trusting.as_str(), "certificate"),
        ("localhost", "sslmode=require", "certificate"),
        ("localhost", "sslmode=disable", "no encryption"),
    ] {
        let error = open(host, query).await.err().unwrap().to_string();
        assert!(error.contains(expected), "{host} {query}: {error}");
    }
}
