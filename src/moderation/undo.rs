//! Taking decisions back.

use std::sync::Arc;

use super::decide::{CHUNK, DecisionProgress};
use super::leaving::to_the_end;
use super::ports::review::NewDecision;
use super::review::Reviewer;
use super::{Moderation, ModerationError};
use crate::domain::{Action, DecisionId, Site};

impl Moderation {
    /// Takes a decision back, part by part; `progress` hears of each part. Comments that changed
    /// since are passed over. It goes on to the end if the caller stops waiting; after an error,
    /// calling again takes back the rest.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` if it is undone already, `Unavailable`.
    pub async fn undo(
        self: &Arc<Self>,
        reviewer: &Reviewer,
        site: &Site,
        undoes: DecisionId,
        why: String,
        progress: impl Fn(&DecisionProgress) + Send + 'static,
    ) -> Result<DecisionProgress, ModerationError> {
        let record = self.decision(site, undoes).await?;
        let decision = self.new_decision(reviewer, site, Action::Undo, why)?;
        let done = DecisionProgress::new(decision.id, record.comment_count);
        let moderation = self.clone();
        to_the_end(async move {
            let site = decision.site.clone();
            let undone = moderation.undo_all(decision, undoes, done, progress).await;
            // What was learnt is taken back too, and the index cannot forget single texts. Also
            // after an error: parts were taken back, and the last may have been.
            moderation.forget_recent(&site).await;
            moderation.changes.tell();
            undone
        })
        .await
    }

    async fn undo_all(
        &self,
        decision: NewDecision,
        undoes: DecisionId,
        mut done: DecisionProgress,
        progress: impl Fn(&DecisionProgress) + Send,
    ) -> Result<DecisionProgress, ModerationError> {
        let mut before = None;
        loop {
            let part = self.review_store.undo(decision.clone(), undoes, before, CHUNK).await;
            let part = part.map_err(ModerationError::store("decision"))?;
            before = part.next;
            done.add(part);
            progress(&done);
            if before.is_none() {
                return Ok(done);
            }
        }
    }
}
