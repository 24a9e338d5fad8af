//! Sends what is due, several webhooks at once and each in order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{attempt, message};
use crate::domain::{CommentId, DeliveryId, State, WebhookId};
use crate::moderation::Moderation;
use crate::moderation::ports::StoreError;
use crate::moderation::ports::review::DecidedComment;
use crate::moderation::ports::webhooks::{
    AttemptRecord, DeliveryState, Receipt, WebhookMessage, WebhookRecord,
};

/// Decided comments of one message: with the longest notes, some 250 kB.
const DECISION_COUNT_MAX: usize = 100;
/// Messages under way at once.
const MESSAGE_COUNT_MAX: usize = 16;
/// How often is looked without being told: waits end, and other processes decide.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

impl Moderation {
    /// Sends what is due, until it is dropped. Of a message under way nothing is noted then, so
    /// that it is sent again.
    pub async fn deliver_webhooks(self: Arc<Self>) {
        let mut busy = HashSet::new();
        let mut tasks: JoinSet<WebhookId> = JoinSet::new();
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            for webhook in self.webhooks_to_serve(&busy).await {
                busy.insert(webhook.id);
                let moderation = self.clone();
                tasks.spawn(async move {
                    let id = webhook.id;
                    if let Err(error) = moderation.deliver(&webhook).await {
                        tracing::warn!(%error, "a webhook could not be served");
                        tokio::time::sleep(LOOK_PERIOD).await;
                    }
                    id
                });
            }
            tokio::select! {
                Some(ended) = tasks.join_next() => match ended {
                    Ok(id) => { busy.remove(&id); }
                    // Which one it was is not known: all are looked at again.
                    Err(error) => {
                        tracing::error!(%error, "a webhook's task broke");
                        busy.clear();
                    }
                },
                _ = changes.changed() => {}
                () = tokio::time::sleep(LOOK_PERIOD) => {}
            }
        }
    }

    /// Webhooks with something to send, as many as may be served besides the busy ones.
    async fn webhooks_to_serve(&self, busy: &HashSet<WebhookId>) -> Vec<WebhookRecord> {
        let room = MESSAGE_COUNT_MAX.saturating_sub(busy.len());
        if room == 0 {
            return Vec::new();
        }
        let count_max = MESSAGE_COUNT_MAX + busy.len();
        match self.webhook_store.due_webhooks(self.clock.now(), count_max).await {
            Ok(due) => {
                due.into_iter().filter(|webhook| !busy.contains(&webhook.id)).take(room).collect()
            }
            Err(error) => {
                tracing::warn!(%error, "no look for due webhooks");
                Vec::new()
            }
        }
    }

    /// One attempt of a webhook's next delivery.
    async fn deliver(&self, webhook: &WebhookRecord) -> Result<(), StoreError> {
        let fresh = DeliveryId::from_uuid(self.random.uuid());
        let store = &self.webhook_store;
        let now = self.clock.now();
        let next = store.next_delivery(webhook.id, fresh, DECISION_COUNT_MAX, now).await?;
        let Some(delivery) = next else { return Ok(()) };
        let count = delivery.decision_count as usize;
        let after = delivery.first_position - 1;
        let mut decided = self.review_store.decided_comments(&webhook.site, after, count).await?;
        decided.retain(|decided| decided.position <= delivery.last_position);
        let message = match &webhook.akismet_key {
            Some(key) => self.akismet_message(webhook, key, &decided).await?,
            // All that was decided was erased meanwhile.
            None if decided.is_empty() => None,
            None => {
                let time = delivery.create_time;
                let body = message::decisions_body(&webhook.site, time, decided);
                Some(message::signed(webhook, delivery.id, body, now))
            }
        };
        let sent = match message {
            Some(message) => self.webhook_sender.send(message).await,
            // Nothing in it is for this receiver.
            None => Ok(Receipt { status: 204, retry_after_s: None }),
        };
        let chance = f64::from(self.random.bytes32()[0]) / 255.0;
        let attempt = attempt::judged(&delivery, sent, self.clock.now(), chance);
        tell(webhook, &attempt);
        store.end_attempt(delivery.id, attempt).await
    }

    /// What a client of Akismet hears of these decisions: where each comment that it asked for
    /// stands now, since its message has no time by which an older word could be told. Nothing if
    /// none is left that it has a word for.
    async fn akismet_message(
        &self,
        webhook: &WebhookRecord,
        key: &str,
        decided: &[DecidedComment],
    ) -> Result<Option<WebhookMessage>, StoreError> {
        let ids = decided.iter().map(|one| one.comment).collect();
        let waits = self.webhook_store.akismet_waits(webhook.id, ids).await?;
        let mut pages: HashMap<CommentId, String> = waits.into_iter().collect();
        let mut told = Vec::new();
        for one in decided {
            let Some(page_id) = pages.remove(&one.comment) else { continue };
            let found = self.store.get_comment(&webhook.site, one.comment).await?;
            if let Some(comment) = found.filter(|comment| comment.state != State::Held) {
                told.push((comment.id, comment.state, page_id));
            }
        }
        Ok((!told.is_empty()).then(|| message::akismet(webhook, key, &told)))
    }

    /// Dead deliveries of all webhooks.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn dead_delivery_count(&self) -> Result<u64, StoreError> {
        self.webhook_store.dead_delivery_count().await
    }
}

/// Counts an attempt and logs what an operator should see.
fn tell(webhook: &WebhookRecord, attempt: &AttemptRecord) {
    let outcome = attempt.failure.unwrap_or("delivered");
    metrics::counter!("replyguard_webhook_attempts_total", "outcome" => outcome).increment(1);
    let name = webhook.id.name(&webhook.site);
    match attempt.state {
        DeliveryState::Delivered => {}
        DeliveryState::Pending if attempt.disables => {
            tracing::warn!(webhook = name, "the receiver says that it is gone: disabled");
        }
        DeliveryState::Pending => tracing::info!(webhook = name, outcome, "tried again later"),
        DeliveryState::Dead => tracing::warn!(webhook = name, outcome, "a delivery is given up"),
    }
}
