//! The port of the review queue, on top of writer and readers.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use time::OffsetDateTime;

use crate::domain::{
    AuthorRecord, CommentFilter, CommentId, DecisionId, Fingerprint, Label, SiteId, State, Verdict,
};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::review::{
    BoundedCount, Claim, CommentOutcome, Cursor, DayCounts, Decided, DecidedComment,
    DecisionRecord, ListOrder, NewDecision, Page, QueueAge, QueueEntry, QueueOrder, ReviewStore,
    ReviewedComment, Target,
};

use super::cache::author_key;
use super::error::from_sqlite;
use super::queries::{all, first, id_bound};
use super::rows::{Word, comment_id, millis};
use super::store::SqliteStore;
use super::writer::{Batch, Undo};
use super::{claims, days, decision_queries, decisions, queries, review_queries as read, words};

/// Comments whose words are put into the index in one transaction: some milliseconds. Each makes a
/// segment of the index, and merging segments costs as much as making them, so not too few.
const INDEX_EACH: usize = 500;

#[async_trait]
impl ReviewStore for SqliteStore {
    async fn list_queue(
        &self,
        site: &SiteId,
        order: QueueOrder,
        cursor: Option<Cursor>,
        count_max: usize,
    ) -> Result<Page<QueueEntry>, StoreError> {
        let owner = site.clone();
        self.read_site(site, move |db, number| {
            read::queue(db, number, &owner, order, cursor.as_ref(), count_max)
        })
        .await
    }

    async fn queue_count(&self, site: &SiteId, bound: u64) -> Result<BoundedCount, StoreError> {
        self.read_site(site, move |db, number| {
            let sql = "SELECT count(*) FROM \
                 (SELECT 1 FROM queue_entries WHERE site = ?1 LIMIT ?2)";
            let read = |row: &Row<'_>| row.get::<_, i64>(0).map_err(from_sqlite);
            let count =
                first(db, sql, params![number, bound as i64 + 1], read)?.unwrap_or(0) as u64;
            Ok(BoundedCount { count: count.min(bound), more: count > bound })
        })
        .await
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
        let owner = site.clone();
        self.read_site(site, move |db, number| {
            read::comments(db, number, &owner, &filter, order, cursor.as_ref(), count_max)
        })
        .await
    }

    async fn get_reviewed(
        &self,
        site: &SiteId,
        id: CommentId,
    ) -> Result<Option<ReviewedComment>, StoreError> {
        let owner = site.clone();
        self.read_site(site, move |db, number| read::reviewed(db, number, &owner, id)).await
    }

    async fn campaign_counts(
        &self,
        site: &SiteId,
        campaign: CommentId,
    ) -> Result<(u64, u64), StoreError> {
        self.read_site(site, move |db, number| {
            let sql = "SELECT count(*), coalesce(sum(state = 'held'), 0) FROM comments \
                 INDEXED BY comments_by_campaign WHERE site = ?1 AND campaign = ?2";
            let read =
                |row: &Row<'_>| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64));
            let values = params![number, campaign.as_uuid().as_bytes()];
            let found = first(db, sql, values, |row| read(row).map_err(from_sqlite))?;
            Ok(found.unwrap_or_default())
        })
        .await
    }

    async fn author_counts(
        &self,
        site: &SiteId,
        author: Fingerprint,
    ) -> Result<AuthorRecord, StoreError> {
        self.read_site(site, move |db, number| queries::author(db, &author_key(number, author)))
            .await
    }

    async fn decide(
        &self,
        decision: NewDecision,
        targets: Vec<Target>,
    ) -> Result<Decided, StoreError> {
        let work = move |batch: &mut Batch<'_>| decisions::decide(batch, &decision, &targets);
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn undo(
        &self,
        decision: NewDecision,
        undoes: DecisionId,
        before: Option<i64>,
        count_max: usize,
    ) -> Result<Decided, StoreError> {
        let work = move |batch: &mut Batch<'_>| {
            decisions::undo(batch, &decision, undoes, before, count_max)
        };
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn get_decision(
        &self,
        site: &SiteId,
        id: DecisionId,
    ) -> Result<Option<DecisionRecord>, StoreError> {
        self.read_site(site, move |db, number| decision_queries::decision(db, number, id)).await
    }

    async fn list_decisions(
        &self,
        site: &SiteId,
        before: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<DecisionRecord>, StoreError> {
        let before = before.unwrap_or(i64::MAX);
        self.read_site(site, move |db, number| {
            decision_queries::decisions(db, number, before, count_max)
        })
        .await
    }

    async fn comment_decisions(
        &self,
        site: &SiteId,
        id: CommentId,
    ) -> Result<Vec<DecidedComment>, StoreError> {
        self.read_site(site, move |db, number| decision_queries::comment_decisions(db, number, id))
            .await
    }

    async fn decided_comments(
        &self,
        site: &SiteId,
        after: i64,
        count_max: usize,
    ) -> Result<Vec<DecidedComment>, StoreError> {
        self.read_site(site, move |db, number| {
            decision_queries::decided_comments(db, number, after, count_max)
        })
        .await
    }

    async fn decided_position(&self, site: &SiteId) -> Result<i64, StoreError> {
        let sql = "SELECT max(position) FROM decided_comments WHERE site = ?1";
        self.read_site(site, move |db, number| last(db, sql, number)).await
    }

    async fn held_comments(
        &self,
        site: &SiteId,
        after: i64,
        count_max: usize,
    ) -> Result<Vec<(i64, ReviewedComment)>, StoreError> {
        let owner = site.clone();
        self.read_site(site, move |db, number| {
            read::held_comments(db, number, &owner, after, count_max)
        })
        .await
    }

    async fn comment_number(&self, site: &SiteId) -> Result<i64, StoreError> {
        // Of all sites: what comes after it is what matters.
        let sql = "SELECT max(number) FROM comments WHERE ?1 IS NOT NULL";
        self.read_site(site, move |db, number| last(db, sql, number)).await
    }

    async fn claim(
        &self,
        site: &SiteId,
        campaign: CommentId,
        claim: Claim,
        now: OffsetDateTime,
    ) -> Result<Claim, StoreError> {
        let (owner, Claim { actor, expire_time }) = (site.clone(), claim.clone());
        let work = move |batch: &mut Batch<'_>| {
            claims::claim(batch, &owner, campaign, &actor, expire_time, now)
        };
        self.writer().submit(Undo::Savepoint, work).await?;
        let found =
            self.read_site(site, move |db, number| read::claim(db, number, campaign)).await?;
        Ok(found.unwrap_or(claim))
    }

    async fn release(
        &self,
        site: &SiteId,
        campaign: CommentId,
        actor: &str,
    ) -> Result<(), StoreError> {
        let (site, actor) = (site.clone(), actor.to_owned());
        let work = move |batch: &mut Batch<'_>| claims::release(batch, &site, campaign, &actor);
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn day_counts(
        &self,
        site: &SiteId,
        since: OffsetDateTime,
    ) -> Result<Vec<DayCounts>, StoreError> {
        self.read_site(site, move |db, number| days::day_counts(db, number, millis(since))).await
    }

    async fn queue_age(&self, site: &SiteId, now: OffsetDateTime) -> Result<QueueAge, StoreError> {
        self.read_site(site, move |db, number| read::queue_age(db, number, now)).await
    }

    async fn outcomes(
        &self,
        site: &SiteId,
        since: OffsetDateTime,
        count_max: usize,
    ) -> Result<Vec<CommentOutcome>, StoreError> {
        self.read_site(site, move |db, number| outcomes(db, number, since, count_max)).await
    }

    async fn index_words(&self, count_max: usize) -> Result<usize, StoreError> {
        let mut count = 0;
        while count < count_max {
            let each = INDEX_EACH.min(count_max - count);
            let (from, rows) = self
                .read(move |db| {
                    let from = words::mark(db)?;
                    Ok((from, words::after(db, from, each)?))
                })
                .await?;
            if rows.is_empty() {
                break;
            }
            count += rows.len();
            let work = move |batch: &mut Batch<'_>| words::add(batch, from, &rows);
            self.writer().submit(Undo::Savepoint, work).await?;
        }
        Ok(count)
    }
}

/// The last number of a query; 0 if there is none.
fn last(db: &Connection, sql: &str, site_number: i64) -> Result<i64, StoreError> {
    let read = |row: &Row<'_>| row.get::<_, Option<i64>>(0).map_err(from_sqlite);
    Ok(first(db, sql, [site_number], read)?.flatten().unwrap_or_default())
}

fn outcomes(
    db: &Connection,
    site_number: i64,
    since: OffsetDateTime,
    count_max: usize,
) -> Result<Vec<CommentOutcome>, StoreError> {
    let sql = "SELECT id, probability, verdict, state, label FROM comments \
         WHERE site = ?1 AND id >= ?2 ORDER BY id DESC LIMIT ?3";
    let read = |row: &Row<'_>| -> rusqlite::Result<CommentOutcome> {
        Ok(CommentOutcome {
            id: comment_id(row, 0)?,
            probability: row.get(1)?,
            verdict: row.get::<_, Word<Verdict>>(2)?.0,
            state: row.get::<_, Word<State>>(3)?.0,
            label: row.get::<_, Option<Word<Label>>>(4)?.map(|word| word.0),
        })
    };
    let values = params![site_number, id_bound(since, 0), count_max as i64];
    all(db, sql, values, |row| read(row).map_err(from_sqlite))
}
