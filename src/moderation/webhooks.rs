//! Webhooks: they tell a site's software what was decided, without being asked.

mod attempt;
mod deliver;
mod message;

use time::Duration;

use super::access::Actor;
use super::ports::StoreError;
use super::ports::webhooks::{
    DeliveryRecord, DeliveryState, SendError, WebhookChange, WebhookRecord,
};
use super::{Moderation, ModerationError};
use crate::domain::{
    CommentId, DeliveryId, Site, SiteId, State, WebhookId, WebhookSecret, WebhookUri,
    WebhookUriError,
};

/// Webhooks of a site.
pub const WEBHOOK_COUNT_MAX: usize = 20;
/// Bytes of a client's own number of a page.
const PAGE_ID_BYTES_MAX: usize = 64;
/// How long the secret before a rotation signs too.
const ROTATION_OVERLAP: Duration = Duration::DAY;

/// A webhook with its secret, which is told only now.
pub struct NewWebhook {
    /// The webhook.
    pub record: WebhookRecord,
    /// What its receiver checks signatures with: `whsec_` and base64.
    pub secret: String,
}

/// How a test was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookTest {
    /// The status (HTTP), if there was an answer.
    pub status: Option<u16>,
    /// Why it failed, a kebab-case word; nothing if it went well.
    pub failure: Option<&'static str>,
}

fn bad_uri(error: WebhookUriError) -> ModerationError {
    let reason = match error {
        WebhookUriError::TooLong => "too-long",
        WebhookUriError::Invalid => "invalid-uri",
        WebhookUriError::Credentials => "credentials",
    };
    ModerationError::field("webhook.uri", reason, &sentence(&error.to_string()))
}

fn refused_uri(error: SendError) -> ModerationError {
    ModerationError::field("webhook.uri", error.as_str(), &sentence(&error.to_string()))
}

/// An error's words as a sentence.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

impl Moderation {
    /// Creates a webhook that tells what is decided from now on.
    ///
    /// # Errors
    /// `Invalid` address, `TooManyWebhooks`, `NotFound`, `Unavailable`.
    pub async fn create_webhook(
        &self,
        actor: &Actor,
        site: &SiteId,
        uri: &str,
    ) -> Result<NewWebhook, ModerationError> {
        let record = self.new_webhook(site, self.webhook_uri(uri)?);
        let store = &self.webhook_store;
        let created = store.create_webhook(record.clone(), WEBHOOK_COUNT_MAX, actor.as_str()).await;
        created.map_err(|error| match error {
            StoreError::Conflict => ModerationError::TooManyWebhooks(WEBHOOK_COUNT_MAX),
            other => ModerationError::store("site")(other),
        })?;
        let secret = message::secret_text(&record.secret);
        Ok(NewWebhook { record, secret })
    }

    fn new_webhook(&self, site: &SiteId, uri: WebhookUri) -> WebhookRecord {
        WebhookRecord {
            id: WebhookId::from_uuid(self.random.uuid()),
            site: site.clone(),
            uri,
            secret: WebhookSecret::from_bytes(self.random.bytes32()),
            previous: None,
            disabled: false,
            position: 0,
            revision: 1,
            create_time: self.clock.now(),
            dead_count: 0,
            akismet_key: None,
        }
    }

    /// Notes that a client of Akismet, who has this key, wants to hear at `uri` what is decided on
    /// a comment; `page_id` is the client's own number of its page. Answers with where the comment
    /// stands then: what was decided before is not told any more.
    ///
    /// # Errors
    /// `Invalid` address, `TooManyWebhooks`, `NotFound`, `Unavailable`.
    pub async fn await_akismet(
        &self,
        site: &Site,
        comment: CommentId,
        key: &str,
        uri: &str,
        page_id: &str,
    ) -> Result<State, ModerationError> {
        let page_id = &page_id[..page_id.floor_char_boundary(PAGE_ID_BYTES_MAX)];
        let record = WebhookRecord {
            akismet_key: Some(key.to_owned()),
            ..self.new_webhook(&site.id, self.webhook_uri(uri)?)
        };
        let store = &self.webhook_store;
        if self.is_stopped(&record).await? {
            let text = "The webhook of this address is disabled.";
            return Err(ModerationError::field("callback", "disabled-webhook", text));
        }
        let noted = store.await_akismet(record, WEBHOOK_COUNT_MAX, comment, page_id).await;
        noted.map_err(|error| match error {
            StoreError::Conflict => ModerationError::TooManyWebhooks(WEBHOOK_COUNT_MAX),
            other => ModerationError::store("site")(other),
        })?;
        Ok(self.comment(site, comment).await?.state)
    }

    /// Whether the webhook that would call an Akismet client back was disabled.
    async fn is_stopped(&self, wanted: &WebhookRecord) -> Result<bool, ModerationError> {
        let known = self.webhooks(&wanted.site).await?;
        let is_its = |one: &&WebhookRecord| one.akismet_key.is_some() && one.uri == wanted.uri;
        Ok(known.iter().find(is_its).is_some_and(|one| one.disabled))
    }

    fn webhook_uri(&self, text: &str) -> Result<WebhookUri, ModerationError> {
        let uri: WebhookUri = text.parse().map_err(bad_uri)?;
        self.webhook_sender.accepts(&uri).map_err(refused_uri)?;
        Ok(uri)
    }

    /// The address of a webhook that is to be called no more: what it had is taken, even if the
    /// settings have come to forbid it.
    async fn disabled_uri(
        &self,
        site: &SiteId,
        id: WebhookId,
        text: &str,
    ) -> Result<WebhookUri, ModerationError> {
        let stored = self.webhook(site, id).await?.uri;
        if stored.as_str() == text { Ok(stored) } else { self.webhook_uri(text) }
    }

    /// A webhook of a site.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn webhook(
        &self,
        site: &SiteId,
        id: WebhookId,
    ) -> Result<WebhookRecord, ModerationError> {
        let found = self.webhook_store.get_webhook(site, id).await;
        let found = found.map_err(ModerationError::Unavailable)?;
        found.ok_or(ModerationError::NotFound("webhook"))
    }

    /// The webhooks of a site, at most [`WEBHOOK_COUNT_MAX`].
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn webhooks(&self, site: &SiteId) -> Result<Vec<WebhookRecord>, ModerationError> {
        self.webhook_store.list_webhooks(site).await.map_err(ModerationError::Unavailable)
    }

    /// Changes where a webhook leads, or whether it is disabled.
    ///
    /// # Errors
    /// `Invalid` address, `NotFound`, `Conflict`, `Unavailable`.
    pub async fn update_webhook(
        &self,
        actor: &Actor,
        site: &SiteId,
        id: WebhookId,
        revision: Option<i64>,
        uri: &str,
        disabled: bool,
    ) -> Result<WebhookRecord, ModerationError> {
        let uri = match disabled {
            true => self.disabled_uri(site, id, uri).await?,
            false => self.webhook_uri(uri)?,
        };
        let change = WebhookChange { revision, uri, disabled };
        let now = self.clock.now();
        let changed =
            self.webhook_store.update_webhook(site, id, change, actor.as_str(), now).await;
        let changed = changed.map_err(ModerationError::store("webhook"))?;
        self.changes.tell();
        Ok(changed)
    }

    /// Gives a webhook a new secret. For a day the one before signs too.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn rotate_webhook_secret(
        &self,
        actor: &Actor,
        site: &SiteId,
        id: WebhookId,
    ) -> Result<NewWebhook, ModerationError> {
        let secret = WebhookSecret::from_bytes(self.random.bytes32());
        let (now, told) = (self.clock.now(), message::secret_text(&secret));
        let until = now + ROTATION_OVERLAP;
        let store = &self.webhook_store;
        let rotated =
            store.rotate_webhook_secret(site, id, secret, until, actor.as_str(), now).await;
        let record = rotated.map_err(ModerationError::store("webhook"))?;
        Ok(NewWebhook { record, secret: told })
    }

    /// Removes a webhook with its deliveries.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn delete_webhook(
        &self,
        actor: &Actor,
        site: &SiteId,
        id: WebhookId,
    ) -> Result<(), ModerationError> {
        let now = self.clock.now();
        let deleted = self.webhook_store.delete_webhook(site, id, actor.as_str(), now).await;
        deleted.map_err(ModerationError::store("webhook"))
    }

    /// Sends a message without decisions, and waits for the answer.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn test_webhook(
        &self,
        site: &SiteId,
        id: WebhookId,
    ) -> Result<WebhookTest, ModerationError> {
        let webhook = self.webhook(site, id).await?;
        let now = self.clock.now();
        let delivery = DeliveryId::from_uuid(self.random.uuid());
        let message = match &webhook.akismet_key {
            Some(key) => message::akismet(&webhook, key, &[]),
            None => message::signed(&webhook, delivery, message::ping_body(site, now), now),
        };
        let sent = self.webhook_sender.send(message).await;
        Ok(match sent {
            Ok(receipt) => WebhookTest {
                status: Some(receipt.status),
                failure: attempt::failure(receipt.status),
            },
            Err(error) => WebhookTest { status: None, failure: Some(error.as_str()) },
        })
    }

    /// The deliveries of a webhook before a number (nothing: the last ones), newest first.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn deliveries(
        &self,
        site: &SiteId,
        webhook: WebhookId,
        state: Option<DeliveryState>,
        before: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<DeliveryRecord>, ModerationError> {
        self.webhook(site, webhook).await?;
        let store = &self.webhook_store;
        let found = store.list_deliveries(site, webhook, state, before, count_max).await;
        found.map_err(ModerationError::Unavailable)
    }

    /// Sends a delivery again that is dead or was delivered.
    ///
    /// # Errors
    /// `NotFound`, `NothingToDo` if it is pending, `Unavailable`.
    pub async fn replay_delivery(
        &self,
        actor: &Actor,
        site: &SiteId,
        webhook: WebhookId,
        id: DeliveryId,
    ) -> Result<DeliveryRecord, ModerationError> {
        let now = self.clock.now();
        let store = &self.webhook_store;
        let replayed = store.replay_delivery(site, webhook, id, actor.as_str(), now).await;
        let replayed = replayed.map_err(|error| match error {
            StoreError::Conflict => ModerationError::NothingToDo,
            other => ModerationError::store("delivery")(other),
        })?;
        self.changes.tell();
        Ok(replayed)
    }
}
