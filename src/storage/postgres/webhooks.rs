//! The port of webhooks.

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::domain::{CommentId, DeliveryId, SiteId, WebhookId, WebhookSecret};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::webhooks::{
    AttemptRecord, DeliveryRecord, DeliveryState, WebhookChange, WebhookRecord, WebhookStore,
};

use super::db::transaction;
use super::delivery_rows as deliveries;
use super::store::PostgresStore;
use super::webhook_rows::{self as rows, Change};

#[async_trait]
impl WebhookStore for PostgresStore {
    async fn create_webhook(
        &self,
        webhook: WebhookRecord,
        count_max: usize,
        actor: &str,
    ) -> Result<(), StoreError> {
        let number = self.site_number(&webhook.site).await?;
        transaction!(self, |db| rows::create(&db, number, &webhook, count_max, actor).await)
    }

    async fn await_akismet(
        &self,
        webhook: WebhookRecord,
        count_max: usize,
        comment: CommentId,
        page_id: &str,
    ) -> Result<(), StoreError> {
        let number = self.site_number(&webhook.site).await?;
        transaction!(self, |db| {
            rows::await_akismet(&db, number, &webhook, count_max, comment, page_id).await
        })
    }

    async fn akismet_waits(
        &self,
        webhook: WebhookId,
        comments: Vec<CommentId>,
    ) -> Result<Vec<(CommentId, String)>, StoreError> {
        rows::akismet_waits(&self.db().await?, webhook, &comments).await
    }

    async fn get_webhook(
        &self,
        site: &SiteId,
        id: WebhookId,
    ) -> Result<Option<WebhookRecord>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(None) };
        rows::webhook(&db, number, id).await
    }

    async fn list_webhooks(&self, site: &SiteId) -> Result<Vec<WebhookRecord>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        rows::webhooks(&db, number).await
    }

    async fn update_webhook(
        &self,
        site: &SiteId,
        id: WebhookId,
        change: WebhookChange,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<WebhookRecord, StoreError> {
        let number = self.site_number(site).await?;
        let by = Change { actor, time, action: "update-webhook" };
        transaction!(self, |db| rows::update(&db, number, (site, id), &change, by).await)
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
        let number = self.site_number(site).await?;
        let by = Change { actor, time, action: "rotate-webhook-secret" };
        transaction!(self, |db| {
            rows::rotate(&db, number, (site, id), &secret, previous_until, by).await
        })
    }

    async fn delete_webhook(
        &self,
        site: &SiteId,
        id: WebhookId,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let number = self.site_number(site).await?;
        let by = Change { actor, time, action: "delete-webhook" };
        transaction!(self, |db| rows::delete(&db, number, (site, id), by).await)
    }

    async fn due_webhooks(
        &self,
        now: OffsetDateTime,
        count_max: usize,
    ) -> Result<Vec<WebhookRecord>, StoreError> {
        rows::due(&self.db().await?, self.replica(), now, count_max).await
    }

    async fn next_delivery(
        &self,
        webhook: WebhookId,
        id: DeliveryId,
        decision_count_max: usize,
        now: OffsetDateTime,
    ) -> Result<Option<DeliveryRecord>, StoreError> {
        let replica = self.replica();
        transaction!(self, |db| {
            deliveries::next_delivery(&db, replica, webhook, id, decision_count_max, now).await
        })
    }

    async fn end_attempt(&self, id: DeliveryId, attempt: AttemptRecord) -> Result<(), StoreError> {
        let replica = self.replica();
        transaction!(self, |db| deliveries::end_attempt(&db, replica, id, &attempt).await)
    }

    async fn list_deliveries(
        &self,
        site: &SiteId,
        webhook: WebhookId,
        state: Option<DeliveryState>,
        before: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        let before = before.unwrap_or(i64::MAX);
        deliveries::deliveries(&db, number, webhook, state, before, count_max).await
    }

    async fn get_delivery(
        &self,
        site: &SiteId,
        webhook: WebhookId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRecord>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(None) };
        deliveries::delivery(&db, number, webhook, id).await
    }

    async fn replay_delivery(
        &self,
        site: &SiteId,
        webhook: WebhookId,
        id: DeliveryId,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<DeliveryRecord, StoreError> {
        let number = self.site_number(site).await?;
        let by = Change { actor, time, action: "replay-delivery" };
        transaction!(self, |db| deliveries::replay(&db, number, (site, webhook), id, by).await)
    }

    async fn dead_delivery_count(&self) -> Result<u64, StoreError> {
        deliveries::dead_count(&self.db().await?).await
    }
}
