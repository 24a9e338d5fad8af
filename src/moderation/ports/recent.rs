//! What was lately seen: the index of recent content and what it is filled from.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::StoreError;
use crate::domain::{CommentId, ContentPrint, Label, Neighbours, SiteId};

/// A recent comment, to fill the index of recent content after a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentComment {
    /// The comment.
    pub id: CommentId,
    /// When it was checked.
    pub check_time: OffsetDateTime,
    /// Its prints.
    pub print: ContentPrint,
    /// The campaign that it is of.
    pub campaign: CommentId,
    /// What a person called it, if one did.
    pub label: Option<Label>,
}

/// A text for the index of recent content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecentText {
    /// Its prints.
    pub print: ContentPrint,
    /// The comment whose text it is, if it is in the records: an index that was just read back
    /// from them must not count it again.
    pub comment: Option<CommentId>,
    /// The campaign that it is of, if that is known.
    pub campaign: Option<CommentId>,
    /// What a person called it, if one did.
    pub label: Option<Label>,
}

/// What an index of recent content answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecentAnswer {
    /// The neighbours that it knows.
    pub neighbours: Neighbours,
    /// Whether other processes could not be asked: what they saw and learned in the last seconds
    /// is missing.
    pub degraded: bool,
}

/// A bounded window of recent texts, per site.
///
/// Workload: one look-up and one insertion a comment; some thousand texts a site. A shared
/// implementation must answer within 25 ms even when the others cannot be asked.
#[async_trait]
pub trait RecentContent: Send + Sync + 'static {
    /// The neighbours of a text.
    async fn find(&self, site: &SiteId, print: &ContentPrint) -> Result<RecentAnswer, StoreError>;
    /// Adds a text; the oldest one falls out.
    async fn insert(&self, site: &SiteId, text: RecentText) -> Result<(), StoreError>;
    /// Notes what a person called a text, adding it to the window if it fell out of it. Texts too
    /// short to be compared lend their label to no other.
    async fn set_label(
        &self,
        site: &SiteId,
        print: ContentPrint,
        label: Label,
    ) -> Result<(), StoreError>;
    /// Forgets what is known of a site, because its labels changed otherwise; it is read back from
    /// the records when it is next asked for.
    async fn forget_site(&self, site: &SiteId) -> Result<(), StoreError>;
    /// As [`Self::set_label`], for what another process tells: nobody else is told of it, since
    /// that process told all.
    async fn hear_label(
        &self,
        site: &SiteId,
        print: ContentPrint,
        label: Label,
    ) -> Result<(), StoreError> {
        self.set_label(site, print, label).await
    }
    /// As [`Self::forget_site`], for what another process tells: nobody else is told of it.
    async fn hear_forget(&self, site: &SiteId) -> Result<(), StoreError> {
        self.forget_site(site).await
    }
}
