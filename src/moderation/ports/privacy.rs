//! What erasure, export and retention need from the outside.
//!
//! Every implementation passes `tests/it/store_privacy.rs`.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::StoreError;
use super::review::ReviewedComment;
use crate::domain::{BlindSubmission, CommentId, Fingerprint, Label, Site, SiteId, SiteSecret};

/// Whose data are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// All of the author whose folded address has this fingerprint.
    Author(Fingerprint),
    /// One comment or imported example, whose author gave no address.
    Comment(CommentId),
}

/// How much is stored of somebody, or was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Comments.
    pub comment_count: u64,
    /// Examples of the ledger that were imported, or kept when their comment's time was over.
    pub example_count: u64,
    /// Labels of these that count.
    pub label_count: u64,
}

impl Holdings {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.comment_count += other.comment_count;
        self.example_count += other.example_count;
        self.label_count += other.label_count;
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An example of the ledger with its text.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredExample {
    /// Its id.
    pub id: CommentId,
    /// Where it comes from; `site` for a comment that was kept for its label.
    pub source: String,
    /// The label that counts; nothing if it was taken back.
    pub label: Option<Label>,
    /// What was sent, after hiding.
    pub submission: BlindSubmission,
}

/// Who does something when, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Who. Never an address.
    pub actor: String,
    /// Why, in a person's words.
    pub note: Option<String>,
    /// When.
    pub time: OffsetDateTime,
}

/// What is exported, as the audit log calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportKind {
    /// What is stored of one author.
    Author,
    /// All comments of a site, its labels and its policy.
    Site,
}

impl ExportKind {
    /// The action of its audit entry: `export-author` or `export-site`.
    pub fn action(self) -> &'static str {
        match self {
            Self::Author => "export-author",
            Self::Site => "export-site",
        }
    }
}

/// Erasure, export and retention.
///
/// Workload: rare, but for retention, which removes as many comments as come. Each call that
/// removes is one transaction of a bounded size, so that checks never wait long.
///
/// With a comment goes all that hangs on it: its words in the search index, its place in the
/// queue, what was decided on it and has not been told yet, what its request id answers, what a
/// client of Akismet waits for, what it added to its author's record, and the notes on its labels
/// and on decisions about it alone. Entries of the ledger keep their positions; those labels that
/// counted are taken back by entries of their own. Long work that may list or learn a label that
/// goes ends without its answer: see [`OperationStore`](super::operations::OperationStore).
#[async_trait]
pub trait PrivacyStore: Send + Sync + 'static {
    /// How much of somebody is stored on the site.
    async fn holdings(&self, site: &SiteId, whose: Whose) -> Result<Holdings, StoreError>;
    /// Comments of the site after the id `after`, in order of id; those of one author if `whose`.
    async fn stored_comments(
        &self,
        site: &SiteId,
        whose: Option<Whose>,
        after: Option<CommentId>,
        count_max: usize,
    ) -> Result<Vec<ReviewedComment>, StoreError>;
    /// Examples of the ledger that have a text of their own after the id `after`, in order of id;
    /// those of one author if `whose`.
    async fn stored_examples(
        &self,
        site: &SiteId,
        whose: Option<Whose>,
        after: Option<CommentId>,
        count_max: usize,
    ) -> Result<Vec<StoredExample>, StoreError>;
    /// Erases at most `count_max` comments and as many examples of somebody, with one audit
    /// entry, `erase-author`, that holds counts and nothing of the author. Answers with what was
    /// erased; when that is nothing, the author's record is gone too. `NotFound` without the site.
    async fn erase(
        &self,
        site: &SiteId,
        whose: Whose,
        count_max: usize,
        act: Act,
    ) -> Result<Holdings, StoreError>;
    /// Removes at most `count_max` comments that were checked before `before`, the oldest first,
    /// and answers with how many there were. With `keep_labelled` those whose label counts become
    /// examples of the ledger under the same ids. Other processes are not told of each such step:
    /// see [`Replicas::tell_relabelled`](super::replicas::Replicas::tell_relabelled).
    async fn remove_comments(
        &self,
        site: &SiteId,
        before: OffsetDateTime,
        keep_labelled: bool,
        count_max: usize,
        now: OffsetDateTime,
    ) -> Result<u64, StoreError>;
    /// Removes at most `count_max` of the first entries of the site's audit log that are older
    /// than `before`, and answers with how many there were.
    async fn remove_audit_entries(
        &self,
        site: &SiteId,
        before: OffsetDateTime,
        count_max: usize,
    ) -> Result<u64, StoreError>;
    /// Removes at most `count_max` deliveries of the site's webhooks that have ended and were
    /// made before `before`, and answers with how many there were.
    async fn remove_deliveries(
        &self,
        site: &SiteId,
        before: OffsetDateTime,
        count_max: usize,
    ) -> Result<u64, StoreError>;
    /// Writes the audit entry of an export. `NotFound` without the site.
    async fn note_export(
        &self,
        site: &SiteId,
        what: ExportKind,
        act: Act,
    ) -> Result<(), StoreError>;
    /// Replaces the key of the site's fingerprints, with the audit entry
    /// `rotate-fingerprint-key`. The one before is not kept. `NotFound`.
    async fn rotate_fingerprint_key(
        &self,
        site: &SiteId,
        secret: SiteSecret,
        act: Act,
    ) -> Result<Site, StoreError>;
    /// Overwrites what was erased, and keys that were replaced, where the disk still has them.
    /// Answers whether nothing is left to do; else try again later.
    async fn scrub(&self) -> Result<bool, StoreError>;
}
