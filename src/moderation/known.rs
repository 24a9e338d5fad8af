//! Comments that were sent before, found again by those who know no name of theirs.

use super::check::blind;
use super::ports::review::{ListOrder, ReviewedComment};
use super::{Moderation, ModerationError};
use crate::domain::{
    BlindSubmission, CheckedComment, CommentFilter, CommentId, RawSubmission, Site,
};
use crate::text::Analysis;

/// Comments looked at to find one that was sent before.
const LOOK_BACK: usize = 100;

impl Moderation {
    /// The last check of a comment that was sent before: the same page, author and text. The
    /// last hundred by this author on this page are looked at.
    ///
    /// # Errors
    /// `Invalid`, `Unavailable`.
    pub async fn find_check(
        &self,
        site: &Site,
        raw: RawSubmission,
    ) -> Result<Option<ReviewedComment>, ModerationError> {
        let submission = blind(site, raw, true)?;
        let hash = content_hash(&submission);
        let author = submission.email.as_ref().map(|email| email.folded_fingerprint);
        let filter = CommentFilter {
            page_uri: submission.page_uri.clone(),
            author,
            ..CommentFilter::default()
        };
        if filter == CommentFilter::default() {
            return Ok(None);
        }
        let store = &self.review_store;
        let found = store.list_comments(&site.id, filter, ListOrder::Newest, None, LOOK_BACK).await;
        let found = found.map_err(ModerationError::Unavailable)?.rows;
        Ok(found.into_iter().find(|reviewed| {
            says_same(&reviewed.comment, &submission, hash)
                && reviewed.comment.submission.author == submission.author
        }))
    }

    /// The check that still speaks of what is sent now: that of `id` if nothing was edited since,
    /// else the last one like it. An edited comment has none, whatever its id says.
    ///
    /// # Errors
    /// `Invalid`, `Unavailable`.
    pub async fn find_unedited(
        &self,
        site: &Site,
        raw: RawSubmission,
        id: Option<CommentId>,
    ) -> Result<Option<ReviewedComment>, ModerationError> {
        let submission = blind(site, raw.clone(), true)?;
        let hash = content_hash(&submission);
        let same = |known: &ReviewedComment| is_same(&known.comment, &submission, hash);
        if let Some(id) = id {
            let found = self.review_store.get_reviewed(&site.id, id).await;
            let found = found.map_err(ModerationError::Unavailable)?;
            if let Some(found) = found.filter(same) {
                return Ok(Some(found));
            }
        }
        Ok(self.find_check(site, raw).await?.filter(same))
    }
}

fn content_hash(submission: &BlindSubmission) -> u64 {
    Analysis::new(submission).print.content_hash
}

/// Whether a comment has the text that was sent. Its hash tells that also of one that is written
/// a little differently, but is that of the release that checked it; the text itself stays.
fn says_same(known: &CheckedComment, sent: &BlindSubmission, content_hash: u64) -> bool {
    known.content_hash == content_hash || known.submission.text == sent.text
}

/// Whether a comment says what was sent, in the same author's name and with the same website.
fn is_same(known: &CheckedComment, sent: &BlindSubmission, content_hash: u64) -> bool {
    let author = |of: &BlindSubmission| of.email.as_ref().map(|email| email.folded_fingerprint);
    let kept = &known.submission;
    says_same(known, sent, content_hash)
        && kept.author == sent.author
        && author(kept) == author(sent)
        && kept.url == sent.url
        && kept.url_unreadable == sent.url_unreadable
}
