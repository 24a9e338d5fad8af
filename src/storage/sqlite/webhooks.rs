//! The port of webhooks, on top of writer and readers.

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::domain::{CommentId, DeliveryId, SiteId, WebhookId, WebhookSecret};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::webhooks::{
    AttemptRecord, DeliveryRecord, DeliveryState, WebhookChange, WebhookRecord, WebhookStore,
};

use super::store::SqliteStore;
use super::webhook_rows::{self as rows, Change};
use super::writer::{Batch, Undo};

#[async_trait]
impl WebhookStore for SqliteStore {
    async fn create_webhook(
        &self,
        webhook: WebhookRecord,
        count_max: usize,
        actor: &str,
    ) -> Result<(), StoreError> {
        let actor = actor.to_owned();
        let work = move |batch: &mut Batch<'_>| rows::create(batch, &webhook, count_max, &actor);
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn await_akismet(
        &self,
        webhook: WebhookRecord,
        count_max: usize,
        comment: CommentId,
        page_id: &str,
    ) -> Result<(), StoreError> {
        let page_id = page_id.to_owned();
        let work = move |batch: &mut Batch<'_>| {
            rows::await_akismet(batch, &webhook, count_max, comment, &page_id)
        };
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn akismet_waits(
        &self,
        webhook: WebhookId,
        comments: Vec<CommentId>,
    ) -> Result<Vec<(CommentId, String)>, StoreError> {
        self.read(move |db| rows::akismet_waits(db, webhook, &comments)).await
    }

    async fn get_webhook(
        &self,
        site: &SiteId,
        id: WebhookId,
    ) -> Result<Option<WebhookRecord>, StoreError> {
        self.read_site(site, move |db, number| rows::webhook(db, number, id)).await
    }

    async fn list_webhooks(&self, site: &SiteId) -> Result<Vec<WebhookRecord>, StoreError> {
        self.read_site(site, rows::webhooks).await
    }

    async fn update_webhook(
        &self,
        site: &SiteId,
        id: WebhookId,
        change: WebhookChange,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<WebhookRecord, StoreError> {
        let (site, actor) = (site.clone(), actor.to_owned());
        let work = move |batch: &mut Batch<'_>| {
            let by = Change { actor: &actor, time, action: "update-webhook" };
            rows::update(batch, &site, id, &change, by)
        };
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn rotate_webhook_secret(
        &self,
        site: &SiteId,
        id: WebhookId,
        secret: WebhookSecret,
        previous_until: OffsetDateTime,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<WebhookRecord, StoreError> {
        let (site, actor) = (site.clone(), actor.to_owned());
        let work = move |batch: &mut Batch<'_>| {
            let by = Change { actor: &actor, time, action: "rotate-webhook-secret" };
            rows::rotate(batch, &site, id, &secret, previous_until, by)
        };
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn delete_webhook(
        &self,
        site: &SiteId,
        id: WebhookId,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let (site, actor) = (site.clone(), actor.to_owned());
        let work = move |batch: &mut Batch<'_>| {
            rows::delete(batch, &site, id, Change { actor: &actor, time, action: "delete-webhook" })
        };
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn due_webhooks(
        &self,
        now: OffsetDateTime,
        count_max: usize,
    ) -> Result<Vec<WebhookRecord>, StoreError> {
        self.read(move |db| rows::due(db, now, count_max)).await
    }

    async fn next_delivery(
        &self,
        webhook: WebhookId,
        id: DeliveryId,
        decision_count_max: usize,
        now: OffsetDateTime,
    ) -> Result<Option<DeliveryRecord>, StoreError> {
        let work = move |batch: &mut Batch<'_>| {
            rows::next_delivery(batch, webhook, id, decision_count_max, now)
        };
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn end_attempt(&self, id: DeliveryId, attempt: AttemptRecord) -> Result<(), StoreError> {
        let work = move |batch: &mut Batch<'_>| rows::end_attempt(batch, id, &attempt);
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn list_deliveries(
        &self,
        site: &SiteId,
        webhook: WebhookId,
        state: Option<DeliveryState>,
        before: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        let before = before.unwrap_or(i64::MAX);
        self.read_site(site, move |db, number| {
            rows::deliveries(db, number, webhook, state, before, count_max)
        })
        .await
    }

    async fn get_delivery(
        &self,
        site: &SiteId,
        webhook: WebhookId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRecord>, StoreError> {
        self.read_site(site, move |db, number| rows::delivery(db, number, webhook, id)).await
    }

    async fn replay_delivery(
        &self,
        site: &SiteId,
        webhook: WebhookId,
        id: DeliveryId,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<DeliveryRecord, StoreError> {
        let (site, actor) = (site.clone(), actor.to_owned());
        let work = move |batch: &mut Batch<'_>| {
            let by = Change { actor: &actor, time, action: "replay-delivery" };
            rows::replay(batch, &site, webhook, id, by)
        };
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn dead_delivery_count(&self) -> Result<u64, StoreError> {
        self.read(rows::dead_count).await
    }
}
