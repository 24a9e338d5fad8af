//! What moderators need from the outside: the queue, lists, decisions, claims.
//!
//! Every implementation passes `tests/it/store_review.rs`.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::StoreError;
use crate::domain::{
    Action, AuthorRecord, CheckedComment, CommentFilter, CommentId, ContentPrint, DecisionId,
    Fingerprint, Label, SiteId, State, Verdict,
};

/// The order of the review queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum QueueOrder {
    /// Uncertain, influential and long waiting ones first; see [`crate::domain::usefulness`].
    #[default]
    Usefulness,
    /// The longest waiting first.
    Oldest,
    /// The last ones first.
    Newest,
    /// The highest scores first.
    Score,
}

impl QueueOrder {
    /// All orders.
    pub const ALL: [Self; 4] = [Self::Usefulness, Self::Oldest, Self::Newest, Self::Score];

    /// The kebab-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usefulness => "usefulness",
            Self::Oldest => "oldest",
            Self::Newest => "newest",
            Self::Score => "score",
        }
    }
}

/// The order of a list of comments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ListOrder {
    /// The last ones first.
    #[default]
    Newest,
    /// The first ones first.
    Oldest,
    /// The highest scores first.
    Score,
}

impl ListOrder {
    /// All orders.
    pub const ALL: [Self; 3] = [Self::Newest, Self::Oldest, Self::Score];

    /// The kebab-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Score => "score",
        }
    }
}

/// A place in a list: what it is sorted by, and what settles ties. Opaque to callers.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    /// The value of the order.
    pub key: f64,
    /// The number or id of the row.
    pub tie: Vec<u8>,
}

/// A page of a list, and where the next begins if there is more.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The place after the last row.
    pub next: Option<Cursor>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), next: None }
    }
}

/// The held comments of one campaign: one entry of the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueEntry {
    /// Its campaign.
    pub campaign: CommentId,
    /// How many of it are held.
    pub held_count: u64,
    /// When the first of them was checked.
    pub first_time: OffsetDateTime,
    /// When the last was.
    pub last_time: OffsetDateTime,
    /// The last of them.
    pub comment: ReviewedComment,
}

/// A comment as moderators see it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewedComment {
    /// The comment.
    pub comment: CheckedComment,
    /// What a person called it.
    pub label: Option<Label>,
    /// Counts its changes; an outdated decision is refused by it.
    pub revision: i64,
    /// Who looks at its campaign now.
    pub claim: Option<Claim>,
}

/// Who looks at a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The moderator.
    pub actor: String,
    /// Until when, unless the claim is renewed.
    pub expire_time: OffsetDateTime,
}

/// A decision that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDecision {
    /// A fresh id. Several calls may add comments to one decision.
    pub id: DecisionId,
    /// The site.
    pub site: SiteId,
    /// What is done. Not `Feedback` and not `Undo`.
    pub action: Action,
    /// Who decides.
    pub actor: String,
    /// Whether an administrator does.
    pub administrator: bool,
    /// Why, in a person's words.
    pub note: Option<String>,
    /// When.
    pub time: OffsetDateTime,
}

/// A comment to decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The comment.
    pub comment: CommentId,
    /// The revision that the decision was made on; nothing: whatever it is now.
    pub revision: Option<i64>,
}

/// Why a comment was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Passed {
    /// There is none.
    NotFound,
    /// It changed since the caller, or the decision to be undone, saw it.
    Changed,
    /// It stands there already, for the same reason.
    NothingToDo,
    /// Another moderator looks at it.
    Claimed,
}

impl Passed {
    /// The kebab-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::Changed => "changed-meanwhile",
            Self::NothingToDo => "nothing-to-do",
            Self::Claimed => "claimed",
        }
    }
}

/// What a part of a decision did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decided {
    /// What it did to comments.
    pub comments: Vec<DecidedComment>,
    /// The prints of their texts.
    pub prints: Vec<ContentPrint>,
    /// Those that were passed over.
    pub passed: Vec<(CommentId, Passed)>,
    /// Where a long undo goes on; nothing if it is done.
    pub next: Option<i64>,
}

/// What a decision did to one comment.
#[derive(Debug, Clone, PartialEq)]
pub struct DecidedComment {
    /// Its place among all of the service, from 1.
    pub position: i64,
    /// The decision.
    pub decision: DecisionId,
    /// The comment.
    pub comment: CommentId,
    /// What was done.
    pub action: Action,
    /// Who did it.
    pub actor: String,
    /// Why, in a person's words.
    pub note: Option<String>,
    /// Where the comment stood.
    pub state_before: State,
    /// Where it stands since.
    pub state_after: State,
    /// What a person had called it.
    pub label_before: Option<Label>,
    /// What it is called since.
    pub label_after: Option<Label>,
    /// When.
    pub time: OffsetDateTime,
}

/// A decision as it is listed.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionRecord {
    /// Its place among the decisions of the service.
    pub number: i64,
    /// Its id.
    pub id: DecisionId,
    /// What was done.
    pub action: Action,
    /// Who decided.
    pub actor: String,
    /// Why, in a person's words.
    pub note: Option<String>,
    /// When.
    pub time: OffsetDateTime,
    /// How many comments it moved.
    pub comment_count: u64,
    /// The decision that it took back.
    pub undoes: Option<DecisionId>,
    /// The decision that took it back.
    pub undone: Option<DecisionId>,
}

/// What happened on one day of UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DayCounts {
    /// The day, counted from 1970.
    pub day: i64,
    /// Comments that the filter approved.
    pub approve_count: u64,
    /// Comments that it held.
    pub hold_count: u64,
    /// Comments that it rejected.
    pub reject_count: u64,
    /// Held ones that people approved.
    pub held_approved_count: u64,
    /// Held ones that people rejected.
    pub held_rejected_count: u64,
    /// Rejected ones that people approved: the filter was overturned.
    pub rejected_approved_count: u64,
    /// Approved ones that people rejected: the filter was overturned.
    pub approved_rejected_count: u64,
}

/// How long the entries of a queue wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueAge {
    /// Entries under an hour, six hours, a day, three days, a week, and longer.
    pub counts: [u64; 6],
    /// When the first of them was checked.
    pub oldest_time: Option<OffsetDateTime>,
}

/// Upper ends of the steps of [`QueueAge::counts`] but the last, in hours.
pub const QUEUE_AGE_HOURS: [i64; 5] = [1, 6, 24, 72, 168];

/// How many of something there are, counted no further than a bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BoundedCount {
    /// How many, at most the bound.
    pub count: u64,
    /// Whether there are more.
    pub more: bool,
}

/// The review queue, lists of comments, decisions and claims.
///
/// Workload: some page views a second; a decision may cover tens of thousands of comments, in
/// parts of some hundred each. A page of a queue of a million is found by an index.
#[async_trait]
pub trait ReviewStore: Send + Sync + 'static {
    /// A page of the queue after `cursor`.
    async fn list_queue(
        &self,
        site: &SiteId,
        order: QueueOrder,
        cursor: Option<Cursor>,
        count_max: usize,
    ) -> Result<Page<QueueEntry>, StoreError>;
    /// How many entries the queue has, counted up to `bound`.
    async fn queue_count(&self, site: &SiteId, bound: u64) -> Result<BoundedCount, StoreError>;
    /// A page of comments. With words or a signal, a comment is found once its words are in the
    /// index; a call brings it up to date first.
    async fn list_comments(
        &self,
        site: &SiteId,
        filter: CommentFilter,
        order: ListOrder,
        cursor: Option<Cursor>,
        count_max: usize,
    ) -> Result<Page<ReviewedComment>, StoreError>;
    /// A comment of this site.
    async fn get_reviewed(
        &self,
        site: &SiteId,
        id: CommentId,
    ) -> Result<Option<ReviewedComment>, StoreError>;
    /// How many comments a campaign has, and how many of them are held.
    async fn campaign_counts(
        &self,
        site: &SiteId,
        campaign: CommentId,
    ) -> Result<(u64, u64), StoreError>;
    /// How an author fared, by the fingerprint.
    async fn author_counts(
        &self,
        site: &SiteId,
        author: Fingerprint,
    ) -> Result<AuthorRecord, StoreError>;

    /// Moves comments, appends what that teaches to the ledger, and writes an audit entry, all in
    /// one transaction. Those that cannot be moved are passed over. `NotFound` without the site;
    /// `Conflict` if an undo of the decision began: it takes no more comments.
    async fn decide(
        &self,
        decision: NewDecision,
        targets: Vec<Target>,
    ) -> Result<Decided, StoreError>;
    /// Takes at most `count_max` comments of a decision back, the last first, before position
    /// `before`: each gets the state that it had, and the label that counts once what the decision
    /// taught is retracted, or what it took back is appended again as it was: who said it, when and
    /// why. [`super::models::ModelStore::retract_labels`] in between is for good. A comment that
    /// changed since is passed over. The decision counts as undone from the part without
    /// [`Decided::next`] on. Until then another undo may begin, and takes back what is left.
    /// `NotFound`; `Conflict` if it was undone before by another.
    async fn undo(
        &self,
        decision: NewDecision,
        undoes: DecisionId,
        before: Option<i64>,
        count_max: usize,
    ) -> Result<Decided, StoreError>;
    /// A decision.
    async fn get_decision(
        &self,
        site: &SiteId,
        id: DecisionId,
    ) -> Result<Option<DecisionRecord>, StoreError>;
    /// The decisions of a site before a number (nothing: the last ones), newest first.
    async fn list_decisions(
        &self,
        site: &SiteId,
        before: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<DecisionRecord>, StoreError>;
    /// What was done to a comment, oldest first.
    async fn comment_decisions(
        &self,
        site: &SiteId,
        id: CommentId,
    ) -> Result<Vec<DecidedComment>, StoreError>;
    /// What was done to comments of a site after a position, oldest first.
    async fn decided_comments(
        &self,
        site: &SiteId,
        after: i64,
        count_max: usize,
    ) -> Result<Vec<DecidedComment>, StoreError>;
    /// The last position of [`ReviewStore::decided_comments`]; 0 if nothing was done.
    async fn decided_position(&self, site: &SiteId) -> Result<i64, StoreError>;
    /// Comments of a site that were recorded after a number and are held, with their numbers,
    /// oldest first.
    async fn held_comments(
        &self,
        site: &SiteId,
        after: i64,
        count_max: usize,
    ) -> Result<Vec<(i64, ReviewedComment)>, StoreError>;
    /// The last number of [`ReviewStore::held_comments`].
    async fn comment_number(&self, site: &SiteId) -> Result<i64, StoreError>;

    /// Claims a campaign until a time, or renews the claim; answers with the claim that holds,
    /// which is another moderator's if that one came first.
    async fn claim(
        &self,
        site: &SiteId,
        campaign: CommentId,
        claim: Claim,
        now: OffsetDateTime,
    ) -> Result<Claim, StoreError>;
    /// Gives a claim back.
    async fn release(
        &self,
        site: &SiteId,
        campaign: CommentId,
        actor: &str,
    ) -> Result<(), StoreError>;

    /// What happened on each day since a time, oldest first; days without anything are left out.
    async fn day_counts(
        &self,
        site: &SiteId,
        since: OffsetDateTime,
    ) -> Result<Vec<DayCounts>, StoreError>;
    /// How long the queue waits.
    async fn queue_age(&self, site: &SiteId, now: OffsetDateTime) -> Result<QueueAge, StoreError>;
    /// Of the comments checked since a time: score, verdict and what a person decided, for a
    /// back-test; at most `count_max`, the last ones.
    async fn outcomes(
        &self,
        site: &SiteId,
        since: OffsetDateTime,
        count_max: usize,
    ) -> Result<Vec<CommentOutcome>, StoreError>;
    /// Puts the words of at most `count_max` comments into the index; answers with how many.
    async fn index_words(&self, count_max: usize) -> Result<usize, StoreError>;
}

/// What became of a comment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CommentOutcome {
    /// The comment.
    pub id: CommentId,
    /// The score that it got.
    pub probability: Option<f64>,
    /// The machine's answer.
    pub verdict: Verdict,
    /// Where it stands.
    pub state: State,
    /// What a person called it.
    pub label: Option<Label>,
}
