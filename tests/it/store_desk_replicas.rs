//! Two replicas on one database: what moderators, followers and webhooks see of each other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration as Patience;

use replyguard::domain::{
    Action, CheckedComment, CommentFilter, DecisionId, DeliveryId, State, WebhookId, WebhookSecret,
    usefulness,
};
use replyguard::moderation::ports::accounts::{
    AccountRecord, AccountStore, InvitationRecord, PasswordHash, Role,
};
use replyguard::moderation::ports::review::{
    ListOrder, NewDecision, QueueOrder, ReviewStore, Target,
};
use replyguard::moderation::ports::webhooks::{
    AttemptRecord, DeliveryState, WebhookRecord, WebhookStore,
};
use replyguard::moderation::ports::{Store, StoreError};
use replyguard::storage::PostgresStore;
use time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::postgres::{Database, shared};
use crate::support::records::{comment, comment_id, site, site_id, start};

/// How long to wait for what another replica or the server does, on a busy machine.
const PATIENCE: Patience = Patience::from_secs(30);

/// Two replicas on a database with the site `blog`.
async fn replicas() -> (Database<'static>, [Arc<PostgresStore>; 2]) {
    let database = shared().database();
    let stores = [Arc::new(database.open().await), Arc::new(database.open().await)];
    stores[0].create_site(site("blog"), "test").await.unwrap();
    (database, stores)
}

fn decision(n: u64, action: Action) -> NewDecision {
    NewDecision {
        id: DecisionId::from_uuid(Uuid::from_u128(u128::from(n))),
        site: site_id("blog"),
        action,
        actor: "jane".into(),
        administrator: false,
        note: None,
        time: start() + Duration::HOUR,
    }
}

fn target(n: u64) -> Target {
    Target { comment: comment_id(n), revision: None }
}

/// The `n`th comment, held, of the campaign of another.
fn held(n: u64, campaign: u64) -> CheckedComment {
    CheckedComment {
        campaign: comment_id(campaign),
        ..comment("blog", n, Some(n % 5), State::Held)
    }
}

/// The last bytes of a comment's id.
fn number(comment: &CheckedComment) -> u64 {
    comment.id.as_uuid().as_u128() as u64 & 0xFFFF_FFFF
}

async fn wait_until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !done().await {
            tokio::time::sleep(Patience::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_at_a_time_sends() {
    let (database, [one, other]) = replicas().await;
    let webhook = WebhookRecord {
        id: WebhookId::from_uuid(Uuid::from_u128(1)),
        site: site_id("blog"),
        uri: "https://blog.example.org/hook".parse().unwrap(),
        secret: WebhookSecret::from_bytes([7; 32]),
        previous: None,
        disabled: false,
        position: 0,
        revision: 1,
        create_time: start(),
        dead_count: 0,
        akismet_key: None,
    };
    one.create_webhook(webhook.clone(), 20, "test").await.unwrap();
    one.record_check(&held(1, 1), None).await.unwrap();
    other.decide(decision(1, Action::Approve), vec![target(1)]).await.unwrap();

    let next = async |store: &PostgresStore, fresh: u128| {
        let fresh = DeliveryId::from_uuid(Uuid::from_u128(fresh));
        let next = store.next_delivery(webhook.id, fresh, 100, start()).await.unwrap();
        next.map(|delivery| delivery.id)
    };
    let is_due =
        async |store: &PostgresStore| !store.due_webhooks(start(), 9).await.unwrap().is_empty();
    assert!(is_due(&one).await && is_due(&other).await);
    let sent = next(&one, 10).await;
    assert!(sent.is_some());
    assert!(!is_due(&other).await);
    assert_eq!(next(&other, 11).await, None);
    assert_eq!(next(&one, 12).await, sent, "it is still the one's");

    // The one dies: when its time is over, the other makes the attempt.
    database.sql("UPDATE webhooks SET lease_until = now() - interval '1 second'");
    assert!(is_due(&other).await);
    assert_eq!(next(&other, 13).await, sent);
    assert_eq!(next(&one, 14).await, None);
    let delivered = AttemptRecord {
        time: start(),
        state: DeliveryState::Delivered,
        next_attempt_time: None,
        status: Some(200),
        failure: None,
        disables: false,
        forget_before: start() - Duration::DAY,
    };
    other.end_attempt(sent.unwrap(), delivered).await.unwrap();
    one.record_check(&held(2, 2), None).await.unwrap();
    one.decide(decision(2, Action::Approve), vec![target(2)]).await.unwrap();
    assert!(next(&one, 15).await.is_some(), "given free at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_the_queue_misses_nothing() {
    let (database, [one, other]) = replicas().await;
    let blog = site_id("blog");
    one.record_check(&held(1, 1), None).await.unwrap();
    let after = other.comment_number(&blog).await.unwrap();

    // A check has its number and cannot be committed yet, since its entry of the queue is locked.
    let (blocker, connection) =
        tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    blocker.batch_execute("BEGIN; SELECT 1 FROM queue_entries FOR UPDATE").await.unwrap();
    let waiting = tokio::spawn({
        let one = Arc::clone(&one);
        async move { one.record_check(&held(2, 1), None).await.unwrap() }
    });
    let waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() \
         AND wait_event_type = 'Lock' AND query LIKE 'WITH input%'";
    wait_until("a check waits", async || blocker.query(waits, &[]).await.unwrap().len() == 1).await;

    // One that came after it is committed, and is not told before it.
    other.record_check(&held(3, 3), None).await.unwrap();
    assert!(other.get_reviewed(&blog, comment_id(3)).await.unwrap().is_some());
    let told = async || -> Vec<u64> {
        let found = other.held_comments(&blog, after, 9).await.unwrap();
        found.iter().map(|(_, found)| number(&found.comment)).collect()
    };
    assert_eq!(told().await, [0; 0]);
    assert_eq!(other.comment_number(&blog).await.unwrap(), after);
    blocker.batch_execute("COMMIT").await.unwrap();
    waiting.await.unwrap();
    assert_eq!(told().await, [2, 3]);
    drop(blocker);
    connection.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queue_and_followers_are_right_under_concurrency() {
    const COUNT: u64 = 240;
    let (database, stores) = replicas().await;
    let blog = site_id("blog");
    let mut tasks = JoinSet::new();
    for part in 0..6 {
        let store = Arc::clone(&stores[part as usize % 2]);
        tasks.spawn(async move {
            for n in (1..=COUNT).filter(|n| n % 6 == part) {
                store.record_check(&held(n, 1 + n % 4), None).await.unwrap();
                // Every second one is decided on at once, every fourth undone.
                if n % 2 == 0 {
                    let decided = store.decide(decision(n, Action::RejectSpam), vec![target(n)]);
                    assert_eq!(decided.await.unwrap().comments.len(), 1);
                }
                if n % 4 == 0 {
                    let undo = decision(COUNT + n, Action::Undo);
                    let undone = store.undo(undo, decision(n, Action::Undo).id, None, 9);
                    assert_eq!(undone.await.unwrap().comments.len(), 1);
                }
            }
        });
    }
    // Two who follow, from the beginning: what was held when they looked, and what was decided.
    let (mut number_after, mut position_after) = (0, 0);
    let (mut seen, mut decided) = (BTreeSet::new(), 0);
    let all_done = COUNT / 2 + COUNT / 4;
    wait_until("all is told", async || {
        for (number_of, found) in stores[1].held_comments(&blog, number_after, 7).await.unwrap() {
            assert!(number_of > number_after);
            number_after = number_of;
            seen.insert(number(&found.comment));
        }
        for told in stores[1].decided_comments(&blog, position_after, 7).await.unwrap() {
            assert!(told.position > position_after);
            position_after = told.position;
            decided += 1;
        }
        let undecided_seen = seen.iter().filter(|n| *n % 2 == 1).count() as u64;
        undecided_seen == COUNT / 2 && decided == all_done
    })
    .await;
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let wrong = "SELECT * FROM (SELECT campaign, (array_agg(id ORDER BY id DESC))[1], count(*), \
             max(uncertainty), max(probability), min(check_time), max(check_time) \
         FROM comments WHERE state = 'held' GROUP BY campaign) AS held \
         FULL JOIN (SELECT campaign, comment, held_count, uncertainty, probability, first_time, \
             last_time FROM queue_entries) AS entries ON held = entries \
         WHERE held IS NULL OR entries IS NULL";
    assert_eq!(database.sql(wrong).trim(), "", "entries differ from the held comments");
    let days = stores[0].day_counts(&blog, start()).await.unwrap();
    let counted = (days[0].hold_count, days[0].held_rejected_count);
    assert_eq!((days.len(), counted), (1, (COUNT, COUNT / 4)));
    let mut held_count = 0;
    for author in 0..5 {
        let author = crate::support::records::fingerprint(author);
        held_count += u64::from(stores[1].author_record(&blog, author).await.unwrap().held_count);
    }
    assert_eq!(held_count, COUNT - COUNT / 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_in_the_queue_are_those_of_the_domain() {
    let (database, [one, _]) = replicas().await;
    for n in 1..=5 {
        one.record_check(&held(n, if n < 4 { 1 } else { n }), None).await.unwrap();
    }
    // Made by checks, then made anew after a decision.
    for round in [1, 3] {
        let rows = database.sql(
            "SELECT uncertainty, held_count, first_time, usefulness FROM queue_entries ORDER BY 2",
        );
        assert_eq!(rows.lines().count(), 3);
        for row in rows.lines() {
            let values: Vec<f64> = row.split('|').map(|value| value.parse().unwrap()).collect();
            let expected = usefulness(values[0], values[1] as u64, values[2] as i64);
            assert!((values[3] - expected).abs() < 1e-9 * expected.abs(), "{row}: {expected}");
        }
        let undone = decision(round, Action::RejectSpam);
        if one.decide(undone.clone(), vec![target(2), target(4)]).await.unwrap().comments.len() == 2
        {
            one.undo(decision(round + 1, Action::Undo), undone.id, None, 9).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_word_index_is_filled_by_whoever_comes() {
    let (_database, [one, other]) = replicas().await;
    for n in 1..=30 {
        one.record_check(&held(n, n), None).await.unwrap();
    }
    // Each takes what the other has not taken: together all of it, each once.
    let (first, second) = tokio::join!(one.index_words(1_000), other.index_words(1_000));
    let mut count = first.unwrap() + second.unwrap();
    // A row that the other had locked may have been left to it, and given up by it.
    count += one.index_words(1_000).await.unwrap();
    assert_eq!(count, 30);
    let filter = CommentFilter::parse("\"old scanner\" signal:link-count").unwrap();
    let blog = site_id("blog");
    let page = |filter| other.list_comments(&blog, filter, ListOrder::Newest, None, 100);
    assert_eq!(page(filter).await.unwrap().rows.len(), 0, "the signal is another");
    let filter = CommentFilter::parse("\"old scanner\" state:held").unwrap();
    assert_eq!(page(filter).await.unwrap().rows.len(), 30);
    let queue = other.list_queue(&blog, QueueOrder::Oldest, None, 100).await.unwrap();
    assert_eq!(queue.rows.len(), 30);
}

/// One comment whose words PostgreSQL refused kept all after it from being found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_that_are_refused_stop_no_others() {
    let (database, [one, _other]) = replicas().await;
    for n in 1..=5 {
        let mut comment = held(n, n);
        if n == 2 {
            comment.submission.text = "quicksilver".into();
        }
        one.record_check(&comment, None).await.unwrap();
    }
    database.sql(
        "ALTER TABLE comment_words ADD CHECK (NOT words @@ to_tsquery('simple', 'quicksilver'))",
    );
    assert_eq!(one.index_words(1_000).await.unwrap(), 5);
    assert_eq!(database.sql("SELECT count(*) FROM pending_words").trim(), "0");
    let blog = site_id("blog");
    let found = async |line: &str| {
        let filter = CommentFilter::parse(line).unwrap();
        one.list_comments(&blog, filter, ListOrder::Newest, None, 100).await.unwrap().rows.len()
    };
    assert_eq!(found("scanner").await, 4);
    assert_eq!(found("quicksilver").await, 0);
    assert_eq!(found("state:held").await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_used_once_wherever_it_is_used() {
    let (_database, [one, other]) = replicas().await;
    for n in 1..=10u8 {
        let account = AccountRecord {
            id: Uuid::from_u128(n.into()),
            name: format!("jane {n}"),
            role: Role::Moderator,
            sites: vec![site_id("blog")],
            disabled: false,
            password_hash: None,
            revision: 1,
            create_time: start(),
            login_time: None,
        };
        let hash = [n; 32];
        let invitation = InvitationRecord { hash, expire_time: start() + Duration::DAY };
        one.create_account(account, invitation, "test").await.unwrap();
        let password = |text: &str| PasswordHash::from_phc(text.into());
        let (first, second) = tokio::join!(
            one.accept_invitation(&hash, password("one"), start()),
            other.accept_invitation(&hash, password("other"), start()),
        );
        let (won, lost) = if first.is_ok() { (first, second) } else { (second, first) };
        assert!(matches!(lost, Err(StoreError::NotFound)));
        let stored = one.get_account(Uuid::from_u128(n.into())).await.unwrap().unwrap();
        assert_eq!(stored.password_hash, won.unwrap().password_hash);
    }
}
