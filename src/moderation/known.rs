//! Comments that were sent before, found again by those who know no name of theirs.

use std::sync::Arc;

use super::check::blind;
use super::ports::review::{ListOrder, ReviewedComment};
use super::{Moderation, ModerationError};
use crate::checks::Facts;
use crate::domain::{
    BlindSubmission, CheckedComment, CommentFilter, CommentId, Degraded, RawSubmission, Site,
    State, Verdict,
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
        Ok(self.sent_before(site, &submission).await?.into_iter().next())
    }

    /// Where a comment stands that is asked for again: as somebody decided, else as it is judged
    /// now. Nothing if it is not known, or was edited since, whatever `id` says.
    ///
    /// # Errors
    /// `Invalid`, `Unavailable`.
    pub async fn check_again(
        self: &Arc<Self>,
        site: &Site,
        raw: RawSubmission,
        id: Option<CommentId>,
    ) -> Result<Option<CheckedComment>, ModerationError> {
        let sent = blind(site, raw, true)?;
        let Some(known) = self.find_unedited(site, &sent, id).await? else { return Ok(None) };
        if is_decided(&known) {
            return Ok(Some(known.comment));
        }
        self.recheck(site, sent, known.comment).await.map(Some)
    }

    /// Judges a comment once more that nobody decided on. Its earlier check stands where the
    /// verdict is the same, or there is none because something could not be asked; else the new
    /// one is recorded.
    async fn recheck(
        self: &Arc<Self>,
        site: &Site,
        sent: BlindSubmission,
        known: CheckedComment,
    ) -> Result<CheckedComment, ModerationError> {
        // Who asks again does not know what the form told; what is not kept, it does.
        let submission = BlindSubmission {
            user_agent: sent.user_agent,
            referrer: sent.referrer,
            ..known.submission.clone()
        };
        let judged = self.judged(site, submission, Some(known.state)).await;
        let broken = |part: &Degraded| {
            matches!(part, Degraded::History | Degraded::Model | Degraded::Deadline)
        };
        let is_open = judged.verdict == Verdict::Hold && judged.degraded.iter().any(broken);
        if is_open || judged.verdict == known.verdict {
            return Ok(known);
        }
        // Its text is among recent content already.
        let recorded = self.leavers.finish(self.clone().record(judged, None, None, None)).await?;
        Ok(recorded.comment)
    }

    /// The check that still speaks of what is sent now: that of `id`, else the last one like it.
    /// One that somebody decided on goes before one that nobody did: where a comment was judged
    /// otherwise later, both are there.
    async fn find_unedited(
        &self,
        site: &Site,
        submission: &BlindSubmission,
        id: Option<CommentId>,
    ) -> Result<Option<ReviewedComment>, ModerationError> {
        let hash = content_hash(submission);
        let same = |known: &ReviewedComment| is_same(&known.comment, submission, hash);
        let mut named = None;
        if let Some(id) = id {
            let found = self.review_store.get_reviewed(&site.id, id).await;
            named = found.map_err(ModerationError::Unavailable)?.filter(same);
        }
        if named.as_ref().is_some_and(is_decided) {
            return Ok(named);
        }
        let mut others = self.sent_before(site, submission).await?;
        others.retain(same);
        let decided = others.iter().position(is_decided);
        let decided = decided.map(|place| others.swap_remove(place));
        Ok(decided.or(named).or_else(|| others.into_iter().next()))
    }

    /// The checks of the same text by the same author on the same page, the last first.
    async fn sent_before(
        &self,
        site: &Site,
        submission: &BlindSubmission,
    ) -> Result<Vec<ReviewedComment>, ModerationError> {
        let hash = content_hash(submission);
        let author = submission.email.as_ref().map(|email| email.folded_fingerprint);
        let filter = CommentFilter {
            page_uri: submission.page_uri.clone(),
            author,
            ..CommentFilter::default()
        };
        if filter == CommentFilter::default() {
            return Ok(Vec::new());
        }
        let store = &self.review_store;
        let found = store.list_comments(&site.id, filter, ListOrder::Newest, None, LOOK_BACK).await;
        let mut found = found.map_err(ModerationError::Unavailable)?.rows;
        found.retain(|reviewed| {
            says_same(&reviewed.comment, submission, hash)
                && reviewed.comment.submission.author == submission.author
        });
        Ok(found)
    }
}

/// Whether somebody decided on a comment, so that no judgement is asked for.
fn is_decided(reviewed: &ReviewedComment) -> bool {
    reviewed.label.is_some() || reviewed.comment.state != State::from(reviewed.comment.verdict)
}

/// Takes the check of a comment that nobody decided on, and that stands in `state`, out of what is
/// known of its text and its author.
pub(super) fn leave_out(facts: &mut Facts, state: State) {
    let neighbours = &mut facts.neighbours;
    // It may have fallen out of recent content.
    if neighbours.exact_count > 0 {
        neighbours.exact_count -= 1;
        neighbours.near_count = neighbours.near_count.saturating_sub(1);
    }
    if let Some(author) = &mut facts.author {
        let count = match state {
            State::Approved => &mut author.approved_count,
            State::Held => &mut author.held_count,
            State::Rejected => &mut author.rejected_count,
        };
        *count = count.saturating_sub(1);
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

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::domain::{AuthorRecord, Neighbours};

    #[test]
    fn the_check_of_a_comment_is_no_evidence_against_it() {
        let mut facts = Facts::unknown(OffsetDateTime::UNIX_EPOCH);
        leave_out(&mut facts, State::Rejected);
        assert_eq!(facts, Facts::unknown(OffsetDateTime::UNIX_EPOCH), "nothing is known");
        facts.neighbours = Neighbours { exact_count: 1, near_count: 3, ..Neighbours::default() };
        let record = AuthorRecord { approved_count: 1, rejected_count: 2, ..Default::default() };
        facts.author = Some(record);
        leave_out(&mut facts, State::Rejected);
        assert_eq!((facts.neighbours.exact_count, facts.neighbours.near_count), (0, 2));
        assert_eq!(facts.author, Some(AuthorRecord { rejected_count: 1, ..record }));
        leave_out(&mut facts, State::Approved);
        assert_eq!(facts.neighbours.near_count, 2, "its text fell out of recent content");
        let expected = AuthorRecord { approved_count: 0, rejected_count: 1, ..record };
        assert_eq!(facts.author, Some(expected));
    }
}
