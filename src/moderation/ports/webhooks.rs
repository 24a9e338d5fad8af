//! What webhooks need from the outside: where they are kept, and who sends.
//!
//! Every implementation of the store passes `tests/it/store_webhooks.rs`.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::StoreError;
use crate::domain::{CommentId, DeliveryId, SiteId, WebhookId, WebhookSecret, WebhookUri};

/// A webhook as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookRecord {
    /// Its id.
    pub id: WebhookId,
    /// The site whose decisions it tells.
    pub site: SiteId,
    /// Where to.
    pub uri: WebhookUri,
    /// What signs.
    pub secret: WebhookSecret,
    /// What signed before, and signs too until a time.
    pub previous: Option<(WebhookSecret, OffsetDateTime)>,
    /// Whether nothing is sent.
    pub disabled: bool,
    /// The position of the last decided comment that is in a delivery.
    pub position: i64,
    /// Counts its changes.
    pub revision: i64,
    /// When it was created.
    pub create_time: OffsetDateTime,
    /// Deliveries that are dead.
    pub dead_count: u64,
    /// The key that goes with each message, if it is a callback of Akismet's client: it hears of
    /// the comments alone that it asked to be called back about, in its own words.
    pub akismet_key: Option<String>,
}

/// A change of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookChange {
    /// The revision that it was read with; nothing: whatever it is.
    pub revision: Option<i64>,
    /// Where to, from now on.
    pub uri: WebhookUri,
    /// Whether nothing is sent from now on. What is decided meanwhile is sent later.
    pub disabled: bool,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// It is tried, or waits to be tried again.
    Pending,
    /// The receiver has it.
    Delivered,
    /// It was given up. It can be replayed.
    Dead,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Dead];

    /// The kebab-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// A message to a webhook and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// Its place among all deliveries of the service.
    pub number: i64,
    /// Its id; the same at each attempt.
    pub id: DeliveryId,
    /// The position of its first decided comment.
    pub first_position: i64,
    /// The position of its last.
    pub last_position: i64,
    /// How many decided comments it has.
    pub decision_count: u64,
    /// Where it stands.
    pub state: DeliveryState,
    /// Whether somebody asked for it again.
    pub replay: bool,
    /// How often it was tried since `begin_time`.
    pub attempt_count: u32,
    /// When it was made.
    pub create_time: OffsetDateTime,
    /// When its attempts began.
    pub begin_time: OffsetDateTime,
    /// When it was last tried.
    pub attempt_time: Option<OffsetDateTime>,
    /// When it is tried next.
    pub next_attempt_time: Option<OffsetDateTime>,
    /// How the last attempt was answered (HTTP).
    pub status: Option<u16>,
    /// Why the last attempt failed, a kebab-case word.
    pub failure: Option<String>,
}

/// What an attempt leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// When it was made.
    pub time: OffsetDateTime,
    /// Where the delivery stands after it.
    pub state: DeliveryState,
    /// When to try again, if it is pending.
    pub next_attempt_time: Option<OffsetDateTime>,
    /// How it was answered.
    pub status: Option<u16>,
    /// Why it failed.
    pub failure: Option<&'static str>,
    /// Whether the webhook is to be disabled: the receiver said that it is gone.
    pub disables: bool,
    /// Delivered deliveries that are older are removed.
    pub forget_before: OffsetDateTime,
}

/// Webhooks and their deliveries.
///
/// Workload: a look for what is due each second and after each decision; the deliveries of one
/// webhook one after the other.
#[async_trait]
pub trait WebhookStore: Send + Sync + 'static {
    /// Stores a new webhook, which begins after what was decided so far, with an audit entry.
    /// `NotFound` without the site; `Conflict` if the site has `count_max` already.
    async fn create_webhook(
        &self,
        webhook: WebhookRecord,
        count_max: usize,
        actor: &str,
    ) -> Result<(), StoreError>;
    /// Notes that a client of Akismet wants to hear of a comment at the webhook's address, under
    /// `page_id`; stores the webhook if the site has none of that address for such clients, else
    /// gives that one the new key. Errors as those of `create_webhook`.
    async fn await_akismet(
        &self,
        webhook: WebhookRecord,
        count_max: usize,
        comment: CommentId,
        page_id: &str,
    ) -> Result<(), StoreError>;
    /// Those of some comments that a client of Akismet wants to hear of, with its page ids.
    async fn akismet_waits(
        &self,
        webhook: WebhookId,
        comments: Vec<CommentId>,
    ) -> Result<Vec<(CommentId, String)>, StoreError>;
    /// A webhook of a site.
    async fn get_webhook(
        &self,
        site: &SiteId,
        id: WebhookId,
    ) -> Result<Option<WebhookRecord>, StoreError>;
    /// The webhooks of a site in the order of their creation.
    async fn list_webhooks(&self, site: &SiteId) -> Result<Vec<WebhookRecord>, StoreError>;
    /// Changes a webhook, with an audit entry. What waits to be tried again is tried at once.
    /// `NotFound`; `Conflict` if it changed since.
    async fn update_webhook(
        &self,
        site: &SiteId,
        id: WebhookId,
        change: WebhookChange,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<WebhookRecord, StoreError>;
    /// Gives a webhook a new secret; the one before signs too until `previous_until`. `NotFound`.
    async fn rotate_webhook_secret(
        &self,
        site: &SiteId,
        id: WebhookId,
        secret: WebhookSecret,
        previous_until: OffsetDateTime,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<WebhookRecord, StoreError>;
    /// Removes a webhook and its deliveries, with an audit entry. `NotFound`.
    async fn delete_webhook(
        &self,
        site: &SiteId,
        id: WebhookId,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// Webhooks that have something to send now, at most `count_max`.
    async fn due_webhooks(
        &self,
        now: OffsetDateTime,
        count_max: usize,
    ) -> Result<Vec<WebhookRecord>, StoreError>;
    /// The delivery that a webhook has to try now: one that somebody asked for again, else the
    /// one that waits, else a new one with this id of at most `decision_count_max` decided
    /// comments. A delivery of what was decided begins when the one before it has ended.
    async fn next_delivery(
        &self,
        webhook: WebhookId,
        id: DeliveryId,
        decision_count_max: usize,
        now: OffsetDateTime,
    ) -> Result<Option<DeliveryRecord>, StoreError>;
    /// Notes an attempt.
    async fn end_attempt(&self, id: DeliveryId, attempt: AttemptRecord) -> Result<(), StoreError>;
    /// The deliveries of a webhook before a number (nothing: the last ones), newest first, only
    /// of a state if one is given.
    async fn list_deliveries(
        &self,
        site: &SiteId,
        webhook: WebhookId,
        state: Option<DeliveryState>,
        before: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<DeliveryRecord>, StoreError>;
    /// A delivery of a webhook.
    async fn get_delivery(
        &self,
        site: &SiteId,
        webhook: WebhookId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRecord>, StoreError>;
    /// Makes a delivery due again, with an audit entry. `NotFound`; `Conflict` if it is pending.
    async fn replay_delivery(
        &self,
        site: &SiteId,
        webhook: WebhookId,
        id: DeliveryId,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<DeliveryRecord, StoreError>;
    /// Dead deliveries of all webhooks.
    async fn dead_delivery_count(&self) -> Result<u64, StoreError>;
}

/// A signed message that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookMessage {
    /// Where to.
    pub uri: WebhookUri,
    /// Names and values of headers besides those that every request has.
    pub headers: Vec<(&'static str, String)>,
    /// The body, JSON.
    pub body: Vec<u8>,
}

/// What a receiver said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The status (HTTP).
    pub status: u16,
    /// Seconds after which it wants to be asked again.
    pub retry_after_s: Option<u64>,
}

/// Why nothing was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The address is not encrypted, and the operator did not allow that.
    #[error("https is expected")]
    Unencrypted,
    /// The name leads into the service's own network, and the operator did not allow that.
    #[error("the address is loopback, link-local or private")]
    PrivateTarget,
    /// The name could not be resolved.
    #[error("the host name cannot be resolved")]
    Unresolved,
    /// Nobody takes connections there.
    #[error("nobody takes the connection")]
    Unreachable,
    /// The certificate is not one for this host.
    #[error("the certificate is not trusted")]
    Untrusted,
    /// No answer came in time.
    #[error("no answer came in time")]
    TimedOut,
    /// What came was no HTTP.
    #[error("the answer is no HTTP")]
    Garbled,
}

impl SendError {
    /// The kebab-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unencrypted => "unencrypted",
            Self::PrivateTarget => "private-target",
            Self::Unresolved => "unresolved",
            Self::Unreachable => "unreachable",
            Self::Untrusted => "untrusted-certificate",
            Self::TimedOut => "timed-out",
            Self::Garbled => "garbled-answer",
        }
    }
}

/// Sends messages: one POST each, without following redirects.
#[async_trait]
pub trait WebhookSender: Send + Sync + 'static {
    /// Whether an address may be a webhook's at all, as far as it shows without asking for names.
    fn accepts(&self, uri: &WebhookUri) -> Result<(), SendError>;
    /// Sends a message and waits for the answer, some seconds at most.
    async fn send(&self, message: WebhookMessage) -> Result<Receipt, SendError>;
}
