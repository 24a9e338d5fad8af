//! What the use cases need from the outside: records, limits, recent content, time and chance.
//!
//! Every implementation of a port passes the port's one test suite (`tests/it/store.rs`,
//! `tests/it/limits.rs`, `tests/it/recent.rs`).

pub mod accounts;
pub mod models;
pub mod operations;
pub mod privacy;
pub mod recent;
pub mod replicas;
pub mod review;
pub mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

pub use self::recent::{RecentAnswer, RecentComment, RecentContent, RecentText};
pub use crate::domain::{AuthorRecord, ContentPrint, Neighbours};
use crate::domain::{
    BlindSubmission, CheckedComment, CommentId, Fingerprint, KeyScope, Label, LimitRule, RequestId,
    Site, SiteId, SitePolicy, State,
};

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Something of this name is there already.
    #[error("already there")]
    AlreadyExists,
    /// There is nothing of this name.
    #[error("not found")]
    NotFound,
    /// The thing changed since the caller read it.
    #[error("changed since it was read")]
    Conflict,
    /// The store cannot be used now; trying again later may help.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A record in the store cannot be read by this version.
    #[error("a stored record is unreadable: {0}")]
    Corrupt(String),
}

/// An API key as it is stored: never the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// A short public id, for listing and revoking.
    pub id: Uuid,
    /// The site it belongs to.
    pub site: SiteId,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// What it may be used for.
    pub scopes: Vec<KeyScope>,
    /// What its owner calls it.
    pub display_name: String,
    /// When it was created.
    pub create_time: OffsetDateTime,
    /// When it was revoked, if it was.
    pub revoke_time: Option<OffsetDateTime>,
    /// When it was last used, if it was; a minute late.
    pub use_time: Option<OffsetDateTime>,
}

/// A request id together with a keyed digest of what was asked under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestMark {
    /// The caller's id.
    pub id: RequestId,
    /// Digest of the submission, to notice an id used for two different ones.
    pub digest: Fingerprint,
}

/// What happened to a check that was to be recorded.
#[derive(Debug)]
pub enum RecordedCheck {
    /// It is on disk.
    New,
    /// The same request was recorded before: this is its digest and its comment.
    Repeated(Fingerprint, Box<CheckedComment>),
}

/// Who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reporter {
    /// The site's software, by `SubmitFeedback`.
    Site,
    /// A moderator.
    Moderator,
    /// An administrator.
    Administrator,
    /// A reader's report.
    Reader,
    /// An import of older data.
    Import,
}

impl Reporter {
    /// All reporters.
    pub const ALL: [Self; 5] =
        [Self::Site, Self::Moderator, Self::Administrator, Self::Reader, Self::Import];

    /// The kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Moderator => "moderator",
            Self::Administrator => "administrator",
            Self::Reader => "reader",
            Self::Import => "import",
        }
    }
}

/// An entry of the append-only label ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelEntry {
    /// The comment.
    pub comment: CommentId,
    /// Its site.
    pub site: SiteId,
    /// What it really was.
    pub label: Label,
    /// Who said so.
    pub reporter: Reporter,
    /// The reporter's name, if the caller gave one: an account name, never an address.
    pub reporter_name: Option<String>,
    /// Why, in a person's words.
    pub note: Option<String>,
    /// When.
    pub time: OffsetDateTime,
}

/// What feedback changed.
#[derive(Debug)]
pub struct AppliedLabel {
    /// The position of the entry in the ledger, from 1.
    pub position: i64,
    /// Where the comment stood before.
    pub state_before: State,
    /// The comment as it stands now.
    pub comment: Box<CheckedComment>,
}

/// An entry of the append-only audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place in the log, from 1.
    pub position: i64,
    /// When.
    pub time: OffsetDateTime,
    /// Who: an account, a key or a reporter. Never an address.
    pub actor: String,
    /// What was done, verb and noun in kebab-case: `create-site`, `update-site`, `create-key`,
    /// `revoke-key`, `label-comment`, `create-moderator`, `log-in`, `create-webhook`,
    /// `erase-author`, `export-author`, `export-site`, `rotate-fingerprint-key`.
    pub action: String,
    /// What it was done to, by its resource name.
    pub subject: String,
    /// How the subject was before: a word or JSON.
    pub before: Option<String>,
    /// How it was after.
    pub after: Option<String>,
    /// Why, in a person's words.
    pub note: Option<String>,
}

/// Which comments of a site are meant, by the time of their check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The first ones.
    First,
    /// The last ones before a time.
    Before(OffsetDateTime),
    /// The last ones after a time.
    After(OffsetDateTime),
}

/// A comment of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledComment {
    /// When it was checked.
    pub check_time: OffsetDateTime,
    /// What was sent, after hiding.
    pub submission: BlindSubmission,
    /// The probability of spam that was answered; nothing if no model scored.
    pub probability: Option<f64>,
}

/// Sites, keys, comments and labels, durable.
///
/// Workload: `record_check` for every comment (thousands a second, each acknowledged only when
/// it is on disk), `author_record` and `find_request` as often; everything else is rare.
/// A change of state and its audit entry are one transaction.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Stores a new site, and writes an audit entry with `actor`. `AlreadyExists` if the id is
    /// taken.
    async fn create_site(&self, site: Site, actor: &str) -> Result<(), StoreError>;
    /// The site, if it exists. Shared, since a policy can hold long word lists and every check
    /// asks for it.
    async fn get_site(&self, id: &SiteId) -> Result<Option<Arc<Site>>, StoreError>;
    /// At most `count_max` sites in order of id, after `after`.
    async fn list_sites(
        &self,
        after: Option<&SiteId>,
        count_max: usize,
    ) -> Result<Vec<Site>, StoreError>;
    /// Replaces name and policy, and writes an audit entry with `actor`. `NotFound`; `Conflict`
    /// if `revision` is given and is not the stored one. Answers with the site as it is then.
    async fn update_site(
        &self,
        id: &SiteId,
        revision: Option<i64>,
        display_name: String,
        policy: SitePolicy,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<Site, StoreError>;

    /// Stores a key, and writes an audit entry with `actor`. `NotFound` without its site,
    /// `AlreadyExists` if id or hash is taken.
    async fn create_key(&self, key: KeyRecord, actor: &str) -> Result<(), StoreError>;
    /// The keys of a site, oldest first, revoked ones too.
    async fn list_keys(&self, site: &SiteId) -> Result<Vec<KeyRecord>, StoreError>;
    /// Revokes a key of a site from `end` on, which may lie ahead, and writes an audit entry of
    /// `now` with `actor`; an end that is known is only ever brought forward. `NotFound` for a
    /// foreign id.
    async fn revoke_key(
        &self,
        site: &SiteId,
        id: Uuid,
        actor: &str,
        now: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<KeyRecord, StoreError>;
    /// Notes when keys were last used.
    async fn note_key_uses(&self, uses: Vec<(Uuid, OffsetDateTime)>) -> Result<(), StoreError>;
    /// The key with this hash, also one whose `revoke_time` lies behind or ahead.
    async fn find_key(&self, hash: &[u8; 32]) -> Result<Option<Arc<KeyRecord>>, StoreError>;

    /// Records a check; when this returns it is on disk. A request id that is younger than
    /// 24 hours gives back what was recorded under it and records nothing. `NotFound` without
    /// the site, `AlreadyExists` if the comment id is taken.
    async fn record_check(
        &self,
        comment: &CheckedComment,
        request: Option<RequestMark>,
    ) -> Result<RecordedCheck, StoreError>;
    /// What was recorded under this request id within the 24 hours before `now`.
    async fn find_request(
        &self,
        site: &SiteId,
        request: RequestId,
        now: OffsetDateTime,
    ) -> Result<Option<(Fingerprint, Box<CheckedComment>)>, StoreError>;
    /// A comment of this site.
    async fn get_comment(
        &self,
        site: &SiteId,
        id: CommentId,
    ) -> Result<Option<CheckedComment>, StoreError>;
    /// How the author with this folded fingerprint fared on the site.
    async fn author_record(
        &self,
        site: &SiteId,
        author: Fingerprint,
    ) -> Result<AuthorRecord, StoreError>;
    /// The last comments of a site by check time (their ids sort so), newest first.
    async fn recent_comments(
        &self,
        site: &SiteId,
        count_max: usize,
    ) -> Result<Vec<RecentComment>, StoreError>;
    /// Some comments of a site, in no particular order.
    async fn sample_comments(
        &self,
        site: &SiteId,
        window: Window,
        count_max: usize,
    ) -> Result<Vec<SampledComment>, StoreError>;
    /// The comments of a site that a person labelled, the newest label first.
    async fn labelled_comments(
        &self,
        site: &SiteId,
        count_max: usize,
    ) -> Result<Vec<RecentComment>, StoreError>;
    /// Of each campaign the comment labelled last among the first some that were approved or
    /// rejected, if there is one; the newest label first.
    async fn campaign_labels(
        &self,
        site: &SiteId,
        campaigns: &[CommentId],
    ) -> Result<Vec<RecentComment>, StoreError>;
    /// Appends a label to the ledger, moves the comment to the state it asks for (ham:
    /// approved, spam: rejected) and writes the audit entry, all in one transaction.
    /// `NotFound` for a comment that the site does not have.
    async fn append_label(&self, entry: LabelEntry) -> Result<AppliedLabel, StoreError>;
    /// The label ledger of a site after `position`, oldest first, with the positions.
    async fn list_labels(
        &self,
        site: &SiteId,
        position: i64,
        count_max: usize,
    ) -> Result<Vec<(i64, LabelEntry)>, StoreError>;
    /// The audit log of a site before `position` (nothing: its end), newest first.
    async fn list_audit_entries(
        &self,
        site: &SiteId,
        position: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<AuditEntry>, StoreError>;

    /// Whether the store can write now; cheap enough for a readiness probe.
    async fn ping(&self) -> Result<(), StoreError>;
    /// Finishes what is under way and closes. Later calls fail with `Unavailable`.
    async fn close(&self);
}

/// What a limit counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// One IP address.
    Ip,
    /// One network.
    IpPrefix,
    /// One author.
    Author,
    /// One page.
    Page,
    /// One site.
    Site,
    /// One text.
    IdenticalText,
}

impl LimitKind {
    /// The kebab-case name, for keys, metrics and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::IpPrefix => "ip-prefix",
            Self::Author => "author",
            Self::Page => "page",
            Self::Site => "site",
            Self::IdenticalText => "identical-text",
        }
    }
}

/// One limit that a comment falls under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitKey {
    /// What is counted.
    pub kind: LimitKind,
    /// Who or what exactly; for `Site` the fingerprint of nothing.
    pub value: Fingerprint,
    /// How fast.
    pub rule: LimitRule,
}

/// Whether a comment is within its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitOutcome {
    /// Within all; counted against each.
    Allowed,
    /// Over at least one; counted against none.
    Limited {
        /// The limit that takes longest to clear.
        kind: LimitKind,
        /// When trying again can succeed.
        retry_after: Duration,
    },
}

/// A limiter's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitAnswer {
    /// Whether the comment may pass.
    pub outcome: LimitOutcome,
    /// Whether the shared counters could not be asked, so that this process counted alone.
    pub degraded: bool,
}

/// Rate limits over several keys at once, all or nothing.
///
/// Workload: one call a comment with up to six keys; must answer within 25 ms whatever happens.
#[async_trait]
pub trait Limiter: Send + Sync + 'static {
    /// Takes one from every key if all allow it. `now` is the caller's clock; a shared backend
    /// may use its own.
    async fn take(&self, site: &SiteId, keys: &[LimitKey], now: OffsetDateTime) -> LimitAnswer;
}

/// The only clock.
pub trait Clock: Send + Sync + 'static {
    /// The time now. It jumps when the machine's clock is set.
    fn now(&self) -> OffsetDateTime;
    /// A time that only passes, for waits within this process: nobody waits an hour longer, and
    /// nothing opens, because a clock was set.
    fn steady(&self) -> OffsetDateTime {
        self.now()
    }
}

/// The only source of chance.
pub trait Random: Send + Sync + 'static {
    /// Fresh bytes of a cryptographic source.
    fn bytes32(&self) -> [u8; 32];
    /// A fresh random UUID (version 4).
    fn uuid(&self) -> Uuid;
    /// A fresh comment id for a check at `time`.
    fn comment_id(&self, time: OffsetDateTime) -> CommentId;
}
