//! The port of the review queue.

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::domain::{AuthorRecord, CommentFilter, CommentId, DecisionId, Fingerprint, SiteId};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::review::{
    BoundedCount, Claim, CommentOutcome, Cursor, DayCounts, Decided, DecidedComment,
    DecisionRecord, ListOrder, NewDecision, Page, QueueAge, QueueEntry, QueueOrder, ReviewStore,
    ReviewedComment, Target,
};

use super::db::transaction;
use super::store::PostgresStore;
use super::{
    claims, days, decision_queries, decisions, lists, queries, review_queries as read, words,
};

/// Comments whose words are put into the index in one transaction.
const INDEX_EACH: usize = 200;

impl PostgresStore {
    /// Puts the words of comments into the index one by one, so that one whose words PostgreSQL
    /// refuses keeps no other from being found. That one is found by everything but its words.
    async fn index_one_by_one(&self, count_max: usize) -> Result<usize, StoreError> {
        let numbers = words::pending(&self.db().await?, count_max).await?;
        for number in &numbers {
            match transaction!(self, |db| words::index_one(&db, *number, true).await) {
                // Why is for PostgreSQL's log: its sentence may quote the comment.
                Err(StoreError::Corrupt(_)) => {
                    transaction!(self, |db| words::index_one(&db, *number, false).await)?;
                    tracing::warn!(
                        comment.number = number,
                        "PostgreSQL refuses the words of a comment, which cannot be searched for"
                    );
                }
                done => done?,
            }
        }
        Ok(numbers.len())
    }
}

#[async_trait]
impl ReviewStore for PostgresStore {
    async fn list_queue(
        &self,
        site: &SiteId,
        order: QueueOrder,
        cursor: Option<Cursor>,
        count_max: usize,
    ) -> Result<Page<QueueEntry>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Page::default()) };
        read::queue(&db, number, site, order, cursor.as_ref(), count_max).await
    }

    async fn queue_count(&self, site: &SiteId, bound: u64) -> Result<BoundedCount, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else {
            return Ok(BoundedCount::default());
        };
        read::queue_count(&db, number, bound).await
    }

    async fn list_comments(
        &self,
        site: &SiteId,
        filter: CommentFilter,
        order: ListOrder,
        cursor: Option<Cursor>,
        count_max: usize,
    ) -> Result<Page<ReviewedComment>, StoreError> {
        if filter.signal.is_some() || !filter.words.is_empty() {
            // What was checked just now is to be found too; a long way behind, it is enough.
            self.index_words(INDEX_EACH).await?;
        }
        let Some(stored) = self.stored_site(site).await? else { return Ok(Page::default()) };
        let db = self.patient_db().await?;
        lists::comments(&db, stored.number, site, &filter, order, cursor.as_ref(), count_max).await
    }

    async fn get_reviewed(
        &self,
        site: &SiteId,
        id: CommentId,
    ) -> Result<Option<ReviewedComment>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(None) };
        read::reviewed(&db, number, site, id).await
    }

    async fn campaign_counts(
        &self,
        site: &SiteId,
        campaign: CommentId,
    ) -> Result<(u64, u64), StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok((0, 0)) };
        read::campaign_counts(&db, number, campaign).await
    }

    async fn author_counts(
        &self,
        site: &SiteId,
        author: Fingerprint,
    ) -> Result<AuthorRecord, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else {
            return Ok(AuthorRecord::default());
        };
        queries::author(&db, number, author).await
    }

    async fn decide(
        &self,
        decision: NewDecision,
        targets: Vec<Target>,
    ) -> Result<Decided, StoreError> {
        let number = self.site_number(&decision.site).await?;
        transaction!(self, |db| decisions::decide(&db, number, &decision, &targets).await)
    }

    async fn undo(
        &self,
        decision: NewDecision,
        undoes: DecisionId,
        before: Option<i64>,
        count_max: usize,
    ) -> Result<Decided, StoreError> {
        let number = self.site_number(&decision.site).await?;
        transaction!(self, |db| {
            decisions::undo(&db, number, &decision, undoes, before, count_max).await
        })
    }

    async fn get_decision(
        &self,
        site: &SiteId,
        id: DecisionId,
    ) -> Result<Option<DecisionRecord>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(None) };
        decision_queries::decision(&db, number, id).await
    }

    async fn list_decisions(
        &self,
        site: &SiteId,
        before: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<DecisionRecord>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        let before = before.unwrap_or(i64::MAX);
        decision_queries::decisions(&db, number, before, count_max).await
    }

    async fn comment_decisions(
        &self,
        site: &SiteId,
        id: CommentId,
    ) -> Result<Vec<DecidedComment>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        decision_queries::comment_decisions(&db, number, id).await
    }

    async fn decided_comments(
        &self,
        site: &SiteId,
        after: i64,
        count_max: usize,
    ) -> Result<Vec<DecidedComment>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        decision_queries::decided_comments(&db, number, after, count_max).await
    }

    async fn decided_position(&self, site: &SiteId) -> Result<i64, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(0) };
        decision_queries::decided_position(&db, number).await
    }

    async fn held_comments(
        &self,
        site: &SiteId,
        after: i64,
        count_max: usize,
    ) -> Result<Vec<(i64, ReviewedComment)>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        read::held_comments(&db, number, site, after, count_max).await
    }

    async fn comment_number(&self, site: &SiteId) -> Result<i64, StoreError> {
        // Of all sites: what comes after it is what matters.
        let Some((db, _)) = self.site_db(site).await? else { return Ok(0) };
        read::settled_number(&db).await
    }

    async fn claim(
        &self,
        site: &SiteId,
        campaign: CommentId,
        claim: Claim,
        now: OffsetDateTime,
    ) -> Result<Claim, StoreError> {
        let number = self.site_number(site).await?;
        claims::claim(&self.db().await?, number, campaign, claim, now).await
    }

    async fn release(
        &self,
        site: &SiteId,
        campaign: CommentId,
        actor: &str,
    ) -> Result<(), StoreError> {
        let number = self.site_number(site).await?;
        claims::release(&self.db().await?, number, campaign, actor).await
    }

    async fn day_counts(
        &self,
        site: &SiteId,
        since: OffsetDateTime,
    ) -> Result<Vec<DayCounts>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        days::day_counts(&db, number, since).await
    }

    async fn queue_age(&self, site: &SiteId, now: OffsetDateTime) -> Result<QueueAge, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else {
            return Ok(QueueAge::default());
        };
        read::queue_age(&db, number, now).await
    }

    async fn outcomes(
        &self,
        site: &SiteId,
        since: OffsetDateTime,
        count_max: usize,
    ) -> Result<Vec<CommentOutcome>, StoreError> {
        let Some(stored) = self.stored_site(site).await? else { return Ok(Vec::new()) };
        let db = self.patient_db().await?;
        read::outcomes(&db, stored.number, since, count_max).await
    }

    async fn index_words(&self, count_max: usize) -> Result<usize, StoreError> {
        let mut count = 0;
        while count < count_max {
            let each = INDEX_EACH.min(count_max - count);
            let done = match transaction!(self, |db| words::index(&db, each).await) {
                Err(StoreError::Corrupt(_)) => self.index_one_by_one(each).await?,
                done => done?,
            };
            if done == 0 {
                break;
            }
            count += done;
        }
        Ok(count)
    }
}
