//! Erasing and exporting what a person wrote, exporting a site, and the key of its fingerprints.

use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};

use super::leaving::to_the_end;
use super::ports::StoreError;
use super::ports::privacy::{Act, ExportKind, Holdings, StoredExample, Whose};
use super::ports::review::{DecidedComment, ReviewedComment};
use super::{Actor, Moderation, ModerationError};
use crate::domain::{CommentId, EmailAddress, Fingerprint, Site, SiteSecret};

/// Comments that are erased in one transaction: some tens of milliseconds, in which checks wait.
const ERASE_CHUNK: usize = 250;
/// Comments read at once for an export.
const EXPORT_CHUNK: usize = 200;

/// How somebody is named whose data are meant.
pub enum AuthorSelector {
    /// By e-mail address; what leads to the same mailbox is meant too.
    Email(String),
    /// By something that the author wrote: all of that author or, without an address, this alone.
    Comment(CommentId),
    /// By the fingerprint of the folded address.
    Fingerprint(Fingerprint),
}

/// A part of an export.
pub enum ExportRecord {
    /// The site and its policy.
    Site(Arc<Site>),
    /// A comment and what was decided on it, oldest first.
    Comment(Box<ReviewedComment>, Vec<DecidedComment>),
    /// An example of the ledger that is no comment of the site, or is none any more.
    Example(Box<StoredExample>),
}

impl Moderation {
    /// Whose data a selector means. That there are none is no error, so that nobody learns from it
    /// who wrote on a site.
    ///
    /// # Errors
    /// `Invalid` for what is no address, `NotFound` for a comment that is not there, `Unavailable`.
    pub async fn whose(
        &self,
        site: &Site,
        selector: AuthorSelector,
    ) -> Result<Whose, ModerationError> {
        match selector {
            AuthorSelector::Fingerprint(fingerprint) => Ok(Whose::Author(fingerprint)),
            AuthorSelector::Email(address) => {
                let address = EmailAddress::parse(address.trim()).map_err(|_| {
                    let text = "This is not an e-mail address.";
                    ModerationError::field("author_email", "invalid-email", text)
                })?;
                Ok(Whose::Author(address.folded_fingerprint(&site.secret)))
            }
            AuthorSelector::Comment(id) => {
                let whose = Some(Whose::Comment(id));
                let comment = self.privacy_store.stored_comments(&site.id, whose, None, 1).await;
                let comment = comment.map_err(ModerationError::Unavailable)?.pop();
                let example = self.privacy_store.stored_examples(&site.id, whose, None, 1).await;
                let example = example.map_err(ModerationError::Unavailable)?.pop();
                let submission = comment.map(|reviewed| reviewed.comment.submission);
                let submission = submission.or(example.map(|example| example.submission));
                let submission = submission.ok_or(ModerationError::NotFound("comment"))?;
                let author = submission.email.map(|email| email.folded_fingerprint);
                Ok(author.map_or(Whose::Comment(id), Whose::Author))
            }
        }
    }

    /// How much is stored of somebody on a site.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn holdings(&self, site: &Site, whose: Whose) -> Result<Holdings, ModerationError> {
        let holdings = self.privacy_store.holdings(&site.id, whose).await;
        holdings.map_err(ModerationError::Unavailable)
    }

    /// Erases everything of somebody on a site, for good. It goes on to the end if the caller
    /// stops waiting; after an error, calling again does the rest. The next training gives the
    /// model that never saw it.
    ///
    /// # Errors
    /// `Invalid` note, `NotFound`, `Unavailable`.
    pub async fn erase_author(
        self: &Arc<Self>,
        actor: &Actor,
        site: &Arc<Site>,
        whose: Whose,
        note: String,
    ) -> Result<Holdings, ModerationError> {
        let note = super::note(note)?;
        let (moderation, site, actor) = (self.clone(), site.clone(), actor.as_str().to_owned());
        let task = tokio::spawn(async move {
            let mut erased = Holdings::default();
            let outcome = moderation.erase_all(&site, whose, &actor, note, &mut erased).await;
            if !erased.is_empty() {
                moderation.forget_traces(&site).await;
                moderation.erased.notify_one();
            }
            outcome.map(|()| erased)
        });
        let broken = |error: tokio::task::JoinError| StoreError::Unavailable(error.to_string());
        let outcome = task.await.unwrap_or_else(|error| Err(broken(error)));
        outcome.map_err(ModerationError::store("site"))
    }

    async fn erase_all(
        &self,
        site: &Site,
        whose: Whose,
        actor: &str,
        note: Option<String>,
        erased: &mut Holdings,
    ) -> Result<(), StoreError> {
        loop {
            let act = Act { actor: actor.into(), note: note.clone(), time: self.clock.now() };
            let part = self.privacy_store.erase(&site.id, whose, ERASE_CHUNK, act).await?;
            if part.is_empty() {
                return Ok(());
            }
            erased.add(part);
        }
    }

    /// Forgets what memory has of comments of a site that are no longer stored.
    pub(super) async fn forget_traces(&self, site: &Site) {
        if let Err(error) = self.recent.forget_site(&site.id).await {
            tracing::warn!(site.id = %site.id, error = %error, "recent content keeps a print of what was removed");
        }
        self.changes.tell();
    }

    /// Waits until something was erased here that is still to be overwritten.
    pub async fn erased(&self) {
        self.erased.notified().await;
    }

    /// Everything that is stored of somebody on a site, record by record.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`; the stream's likewise.
    pub async fn export_author(
        self: &Arc<Self>,
        actor: &Actor,
        site: &Arc<Site>,
        whose: Whose,
    ) -> Result<ExportStream, ModerationError> {
        self.note_export(actor, site, ExportKind::Author).await?;
        Ok(self.export(site.clone(), Some(whose), Stage::Comments(None)))
    }

    /// A site with all its comments, labels and examples, and its policy.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`; the stream's likewise.
    pub async fn export_site(
        self: &Arc<Self>,
        actor: &Actor,
        site: &Arc<Site>,
    ) -> Result<ExportStream, ModerationError> {
        self.note_export(actor, site, ExportKind::Site).await?;
        Ok(self.export(site.clone(), None, Stage::Site))
    }

    async fn note_export(
        &self,
        actor: &Actor,
        site: &Site,
        what: ExportKind,
    ) -> Result<(), ModerationError> {
        let act = Act { actor: actor.as_str().into(), note: None, time: self.clock.now() };
        let noted = self.privacy_store.note_export(&site.id, what, act).await;
        noted.map_err(ModerationError::store("site"))
    }

    fn export(
        self: &Arc<Self>,
        site: Arc<Site>,
        whose: Option<Whose>,
        begin: Stage,
    ) -> ExportStream {
        let moderation = self.clone();
        let pages = stream::try_unfold(begin, move |stage| {
            let (moderation, site) = (moderation.clone(), site.clone());
            async move { moderation.export_page(&site, whose, stage).await }
        });
        let records = pages.flat_map(|page| match page {
            Ok(records) => stream::iter(records.into_iter().map(Ok)).left_stream(),
            Err(error) => stream::iter([Err(error)]).right_stream(),
        });
        Box::pin(records)
    }

    /// The records of one page, and where the next begins.
    async fn export_page(
        &self,
        site: &Arc<Site>,
        whose: Option<Whose>,
        stage: Stage,
    ) -> Result<Option<(Vec<ExportRecord>, Stage)>, ModerationError> {
        let store = &self.privacy_store;
        match stage {
            Stage::Site => {
                Ok(Some((vec![ExportRecord::Site(site.clone())], Stage::Comments(None))))
            }
            Stage::Comments(after) => {
                let page = store.stored_comments(&site.id, whose, after, EXPORT_CHUNK).await;
                let page = page.map_err(ModerationError::Unavailable)?;
                let next = match page.last() {
                    Some(last) => Stage::Comments(Some(last.comment.id)),
                    None => Stage::Examples(None),
                };
                let mut records = Vec::with_capacity(page.len());
                for mut reviewed in page {
                    // Who looks at it now says nothing about it.
                    reviewed.claim = None;
                    let id = reviewed.comment.id;
                    let decided = self.review_store.comment_decisions(&site.id, id).await;
                    let decided = decided.map_err(ModerationError::Unavailable)?;
                    records.push(ExportRecord::Comment(Box::new(reviewed), decided));
                }
                Ok(Some((records, next)))
            }
            Stage::Examples(after) => {
                let page = store.stored_examples(&site.id, whose, after, EXPORT_CHUNK).await;
                let page = page.map_err(ModerationError::Unavailable)?;
                let Some(last) = page.last().map(|example| example.id) else { return Ok(None) };
                let record = |example| ExportRecord::Example(Box::new(example));
                Ok(Some((page.into_iter().map(record).collect(), Stage::Examples(Some(last)))))
            }
        }
    }

    /// Draws a new key for the site's fingerprints and drops the one before: what was recorded
    /// says nothing any more about who wrote it, every author starts anew, and an erasure finds
    /// older comments by name alone, not by address. A check that is sent again with the same
    /// request id meanwhile is refused as another. It goes on to the end if the caller stops
    /// waiting.
    ///
    /// # Errors
    /// `Invalid` note, `NotFound`, `Unavailable`.
    pub async fn rotate_fingerprint_key(
        self: &Arc<Self>,
        actor: &Actor,
        site: &Site,
        note: String,
    ) -> Result<Site, ModerationError> {
        let secret = SiteSecret::from_bytes(self.random.bytes32());
        let note = super::note(note)?;
        let act = Act { actor: actor.as_str().into(), note, time: self.clock.now() };
        let (moderation, id) = (self.clone(), site.id.clone());
        to_the_end(async move {
            let rotated = moderation.privacy_store.rotate_fingerprint_key(&id, secret, act).await;
            let rotated = rotated.map_err(ModerationError::store("site"))?;
            moderation.forget_traces(&rotated).await;
            moderation.erased.notify_one();
            Ok(rotated)
        })
        .await
    }
}

/// The records of an export as they are read.
pub type ExportStream =
    std::pin::Pin<Box<dyn Stream<Item = Result<ExportRecord, ModerationError>> + Send>>;

/// How far an export has come.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Site,
    Comments(Option<CommentId>),
    Examples(Option<CommentId>),
}
