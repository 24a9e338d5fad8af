//! The suite that every store of webhooks passes.

use replyguard::domain::{Action, DecisionId, DeliveryId, State, WebhookId, WebhookSecret};
use replyguard::moderation::ports::review::{NewDecision, ReviewStore, Target};
use replyguard::moderation::ports::webhooks::{
    AttemptRecord, DeliveryRecord, DeliveryState, WebhookChange, WebhookRecord, WebhookStore,
};
use replyguard::moderation::ports::{Store, StoreError};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::support::backend::on_each_store;
use crate::support::records::{comment, comment_id, site_id, start};

on_each_store!(
    webhooks_are_kept_with_their_site,
    changes_need_the_last_revision,
    deliveries_take_what_was_decided_in_order,
    the_next_waits_for_the_one_before,
    dead_ones_are_replayed_beside_the_others,
    old_deliveries_are_forgotten,
    a_callback_outlives_its_key,
);

/// A store of all kinds.
trait All: Store + ReviewStore + WebhookStore {}
impl<S: Store + ReviewStore + WebhookStore> All for S {}

fn webhook(site: &str, n: u128) -> WebhookRecord {
    WebhookRecord {
        id: WebhookId::from_uuid(Uuid::from_u128(n)),
        site: site_id(site),
        uri: "https://blog.example.org/hook".parse().unwrap(),
        secret: WebhookSecret::from_bytes([n as u8; 32]),
        previous: None,
        disabled: false,
        position: 0,
        revision: 1,
        create_time: start(),
        dead_count: 0,
        akismet_key: None,
    }
}

async fn create(store: &impl All, webhook: &WebhookRecord) {
    store.create_webhook(webhook.clone(), 20, "test").await.unwrap();
}

/// Records the `n`th comment of a site as held and decides on it.
async fn decide(store: &impl All, site: &str, n: u64) {
    store.record_check(&comment(site, n, None, State::Held), None).await.unwrap();
    let decision = NewDecision {
        id: DecisionId::from_uuid(Uuid::from_u128(1_000 + u128::from(n))),
        site: site_id(site),
        action: Action::Approve,
        actor: "jane".into(),
        administrator: false,
        note: None,
        time: start(),
    };
    let target = Target { comment: comment_id(n), revision: None };
    assert_eq!(store.decide(decision, vec![target]).await.unwrap().comments.len(), 1);
}

fn fresh(n: u128) -> DeliveryId {
    DeliveryId::from_uuid(Uuid::from_u128(n))
}

async fn next(
    store: &impl All,
    webhook: &WebhookRecord,
    n: u128,
    now: OffsetDateTime,
) -> Option<DeliveryRecord> {
    store.next_delivery(webhook.id, fresh(n), 2, now).await.unwrap()
}

fn attempt(state: DeliveryState, time: OffsetDateTime) -> AttemptRecord {
    let failed = state != DeliveryState::Delivered;
    AttemptRecord {
        time,
        state,
        next_attempt_time: (state == DeliveryState::Pending).then_some(time + Duration::MINUTE),
        status: Some(if failed { 500 } else { 200 }),
        failure: failed.then_some("refused"),
        disables: false,
        forget_before: time - Duration::days(7),
    }
}

async fn due(store: &impl All, now: OffsetDateTime) -> Vec<WebhookId> {
    let due = store.due_webhooks(now, 100).await.unwrap();
    due.into_iter().map(|webhook| webhook.id).collect()
}

async fn webhooks_are_kept_with_their_site(store: &impl All) {
    let (first, second, foreign) = (webhook("blog", 1), webhook("blog", 2), webhook("news", 3));
    for webhook in [&first, &second, &foreign] {
        create(store, webhook).await;
    }
    let blog = site_id("blog");
    assert_eq!(store.list_webhooks(&blog).await.unwrap(), vec![first.clone(), second.clone()]);
    assert_eq!(store.get_webhook(&blog, first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.get_webhook(&blog, foreign.id).await.unwrap(), None);
    let full = store.create_webhook(webhook("blog", 4), 2, "test").await;
    assert!(matches!(full, Err(StoreError::Conflict)));
    let nowhere = store.create_webhook(webhook("other", 4), 2, "test").await;
    assert!(matches!(nowhere, Err(StoreError::NotFound)));
    let deleted = store.delete_webhook(&blog, foreign.id, "test", start()).await;
    assert!(matches!(deleted, Err(StoreError::NotFound)));
    store.delete_webhook(&blog, first.id, "test", start()).await.unwrap();
    assert_eq!(store.list_webhooks(&blog).await.unwrap(), vec![second]);
    assert_eq!(store.get_webhook(&site_id("news"), foreign.id).await.unwrap(), Some(foreign));
}

async fn changes_need_the_last_revision(store: &impl All) {
    let (blog, made) = (site_id("blog"), webhook("blog", 1));
    create(store, &made).await;
    let uri = "https://other.example.org/".parse().unwrap();
    let change = WebhookChange { revision: Some(1), uri, disabled: true };
    let changed = store.update_webhook(&blog, made.id, change.clone(), "test", start()).await;
    let changed = changed.unwrap();
    assert_eq!((changed.revision, changed.disabled), (2, true));
    assert_eq!(changed.uri.as_str(), "https://other.example.org/");
    let again = store.update_webhook(&blog, made.id, change.clone(), "test", start()).await;
    assert!(matches!(again, Err(StoreError::Conflict)));
    let foreign = store.update_webhook(&site_id("news"), made.id, change, "test", start()).await;
    assert!(matches!(foreign, Err(StoreError::NotFound)));

    let secret = WebhookSecret::from_bytes([9; 32]);
    let until = start() + Duration::DAY;
    let rotated = store
        .rotate_webhook_secret(&blog, made.id, secret.clone(), until, "test", start())
        .await
        .unwrap();
    assert_eq!((rotated.secret, rotated.previous), (secret, Some((made.secret, until))));
    let actions: Vec<_> = store
        .list_audit_entries(&blog, None, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.action)
        .collect();
    let expected = ["rotate-webhook-secret", "update-webhook", "create-webhook", "create-site"];
    assert_eq!(actions, expected);
}

async fn deliveries_take_what_was_decided_in_order(store: &impl All) {
    // What was decided before is not told.
    decide(store, "blog", 1).await;
    let made = webhook("blog", 1);
    create(store, &made).await;
    assert!(due(store, start()).await.is_empty());
    assert_eq!(next(store, &made, 1, start()).await, None);

    for n in 2..5 {
        decide(store, "blog", n).await;
    }
    decide(store, "news", 5).await;
    assert_eq!(due(store, start()).await, [made.id]);
    let first = next(store, &made, 2, start()).await.unwrap();
    assert_eq!((first.id, first.decision_count, first.attempt_count), (fresh(2), 2, 0));
    let blog = site_id("blog");
    let told = store.decided_comments(&blog, first.first_position - 1, 2).await.unwrap();
    assert_eq!(told.last().unwrap().position, first.last_position);
    let ids: Vec<_> = told.iter().map(|told| told.comment).collect();
    assert_eq!(ids, [comment_id(2), comment_id(3)]);
    // Asked again, it is the same one.
    assert_eq!(next(store, &made, 3, start()).await.unwrap().id, first.id);
    store.end_attempt(first.id, attempt(DeliveryState::Delivered, start())).await.unwrap();
    let second = next(store, &made, 4, start()).await.unwrap();
    assert_eq!((second.id, second.decision_count), (fresh(4), 1));
    store.end_attempt(second.id, attempt(DeliveryState::Delivered, start())).await.unwrap();
    assert_eq!(next(store, &made, 5, start()).await, None);
    assert!(due(store, start()).await.is_empty());
    let listed = store.list_deliveries(&blog, made.id, None, None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.id).collect::<Vec<_>>(), [fresh(4), fresh(2)]);
    let before = Some(listed[0].number);
    let page = store.list_deliveries(&blog, made.id, None, before, 10).await.unwrap();
    assert_eq!(page, listed[1..]);
    assert_eq!(
        store.list_deliveries(&site_id("news"), made.id, None, None, 9).await.unwrap(),
        vec![]
    );
}

async fn the_next_waits_for_the_one_before(store: &impl All) {
    let made = webhook("blog", 1);
    create(store, &made).await;
    for n in 1..4 {
        decide(store, "blog", n).await;
    }
    let first = next(store, &made, 1, start()).await.unwrap();
    store.end_attempt(first.id, attempt(DeliveryState::Pending, start())).await.unwrap();
    let later = start() + Duration::MINUTE;
    assert!(due(store, later - Duration::SECOND).await.is_empty());
    assert_eq!(next(store, &made, 2, later - Duration::SECOND).await, None);
    assert_eq!(due(store, later).await, [made.id]);
    let again = next(store, &made, 3, later).await.unwrap();
    assert_eq!((again.id, again.attempt_count, again.status), (first.id, 1, Some(500)));
    assert_eq!(again.failure.as_deref(), Some("refused"));

    // While it is disabled, nothing is due; enabling it makes it due at once.
    let blog = site_id("blog");
    store.end_attempt(first.id, attempt(DeliveryState::Pending, later)).await.unwrap();
    for (disabled, expected) in [(true, vec![]), (false, vec![made.id])] {
        let change = WebhookChange { revision: None, uri: made.uri.clone(), disabled };
        store.update_webhook(&blog, made.id, change, "test", later).await.unwrap();
        assert_eq!(due(store, later).await, expected);
        assert_eq!(next(store, &made, 4, later).await.is_some(), !disabled);
    }
    // A receiver that is gone disables it.
    let gone = AttemptRecord { disables: true, ..attempt(DeliveryState::Pending, later) };
    store.end_attempt(first.id, gone).await.unwrap();
    assert!(store.get_webhook(&blog, made.id).await.unwrap().unwrap().disabled);
}

async fn dead_ones_are_replayed_beside_the_others(store: &impl All) {
    let (blog, made) = (site_id("blog"), webhook("blog", 1));
    create(store, &made).await;
    for n in 1..4 {
        decide(store, "blog", n).await;
    }
    let first = next(store, &made, 1, start()).await.unwrap();
    let replay = || store.replay_delivery(&blog, made.id, first.id, "test", start());
    assert!(matches!(replay().await, Err(StoreError::Conflict)));
    store.end_attempt(first.id, attempt(DeliveryState::Dead, start())).await.unwrap();
    assert_eq!(store.dead_delivery_count().await.unwrap(), 1);
    assert_eq!(store.get_webhook(&blog, made.id).await.unwrap().unwrap().dead_count, 1);
    let dead = Some(DeliveryState::Dead);
    let listed = store.list_deliveries(&blog, made.id, dead, None, 10).await.unwrap();
    assert_eq!(listed.len(), 1);

    // The next goes on, and fails.
    let second = next(store, &made, 2, start()).await.unwrap();
    assert_eq!(second.decision_count, 1);
    store.end_attempt(second.id, attempt(DeliveryState::Pending, start())).await.unwrap();
    // The replayed one does not wait for it.
    let replayed = replay().await.unwrap();
    assert!(replayed.replay && replayed.attempt_count == 0);
    assert_eq!(due(store, start()).await, [made.id]);
    assert_eq!(next(store, &made, 3, start()).await.unwrap().id, first.id);
    store.end_attempt(first.id, attempt(DeliveryState::Pending, start())).await.unwrap();
    // And a replayed one that fails keeps no other from going out.
    let later = start() + Duration::SECOND;
    store.end_attempt(second.id, attempt(DeliveryState::Delivered, later)).await.unwrap();
    decide(store, "blog", 4).await;
    assert_eq!(next(store, &made, 4, later).await.unwrap().id, fresh(4));
    let foreign = store.replay_delivery(&site_id("news"), made.id, first.id, "x", later).await;
    assert!(matches!(foreign, Err(StoreError::NotFound)));
}

async fn old_deliveries_are_forgotten(store: &impl All) {
    let (blog, made) = (site_id("blog"), webhook("blog", 1));
    create(store, &made).await;
    decide(store, "blog", 1).await;
    let first = next(store, &made, 1, start()).await.unwrap();
    store.end_attempt(first.id, attempt(DeliveryState::Delivered, start())).await.unwrap();
    decide(store, "blog", 2).await;
    let later = start() + Duration::days(8);
    let second = next(store, &made, 2, later).await.unwrap();
    store.end_attempt(second.id, attempt(DeliveryState::Dead, later)).await.unwrap();
    let listed = store.list_deliveries(&blog, made.id, None, None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.id).collect::<Vec<_>>(), [second.id]);
    assert_eq!(store.get_delivery(&blog, made.id, first.id).await.unwrap(), None);
}

async fn a_callback_outlives_its_key(store: &impl All) {
    let callback = |site: &str, n: u128, key: &str| WebhookRecord {
        akismet_key: Some(key.into()),
        ..webhook(site, n)
    };
    let (old, new) = ("0123456789ab", "ba9876543210");
    // The site's own webhook at the same address, and another site's callback.
    let (own, foreign) = (webhook("blog", 1), callback("news", 2, old));
    create(store, &own).await;
    let wait = async |callback: &WebhookRecord, n: u64, page_id: &str| {
        store.await_akismet(callback.clone(), 20, comment_id(n), page_id).await.unwrap();
    };
    wait(&foreign, 3, "9").await;
    let first = callback("blog", 4, old);
    wait(&first, 1, "7").await;
    wait(&callback("blog", 5, new), 2, "8").await;
    let keys = async |site: &str| {
        let webhooks = store.list_webhooks(&site_id(site)).await.unwrap();
        webhooks.into_iter().map(|one| (one.id, one.akismet_key)).collect::<Vec<_>>()
    };
    assert_eq!(keys("blog").await, [(own.id, None), (first.id, Some(new.to_owned()))]);
    assert_eq!(keys("news").await, [(foreign.id, Some(old.to_owned()))]);
    // What was asked for with either key is told with the new one.
    let asked = vec![comment_id(1), comment_id(2), comment_id(3)];
    let waits = store.akismet_waits(first.id, asked).await.unwrap();
    assert_eq!(waits, [(comment_id(1), "7".to_owned()), (comment_id(2), "8".to_owned())]);
}
