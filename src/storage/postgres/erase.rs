//! Removing comments with all that hangs on them. Each function runs inside a transaction, and
//! locks in the order that all transactions keep to: the site, comments, requests, the queue,
//! authors' records, long work.

use std::collections::BTreeSet;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::domain::{CommentId, Fingerprint, Label, State};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::privacy::{Holdings, Whose};
use crate::storage::record::{self, SubmissionColumns};
use crate::storage::values::millis;

use super::authors::{self, AuthorChange};
use super::db::{Db, Values};
use super::operations::forget_reports;
use super::queries::id_bound;
use super::queue;
use super::rows::{bytes_or_none, comment_id, get, word, word_or_none};

/// Which comments are removed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Doomed {
    /// Those of somebody.
    Of(Whose),
    /// Those that were checked before.
    Before(OffsetDateTime),
}

/// A value of a condition.
pub(super) type Bound = Box<dyn ToSql + Sync + Send>;

/// The column that tells whose a comment or example is, and its value.
pub(super) fn owner(whose: Whose) -> (&'static str, Bound) {
    match whose {
        Whose::Author(author) => ("author", Box::new(author.as_bytes().to_vec())),
        Whose::Comment(id) => ("id", Box::new(*id.as_uuid())),
    }
}

impl Doomed {
    /// As a condition with the parameter `$2`.
    fn condition(self) -> (String, Bound) {
        match self {
            Self::Of(whose) => {
                let (column, value) = owner(whose);
                (format!("{column} = $2"), value)
            }
            // Ids sort by check time to the millisecond.
            Self::Before(time) => ("id < $2".into(), Box::new(id_bound(time, 0))),
        }
    }
}

/// A comment that is removed.
struct Target {
    number: i64,
    id: Uuid,
    check_time: i64,
    state: State,
    label: Option<Label>,
    author: Option<[u8; 16]>,
    campaign: CommentId,
    body: Vec<u8>,
}

fn target(row: &Row) -> Result<Target, StoreError> {
    Ok(Target {
        number: get(row, 0)?,
        id: get(row, 1)?,
        check_time: get(row, 2)?,
        state: word(row, 3)?,
        label: word_or_none(row, 4)?,
        author: bytes_or_none(row, 5)?,
        campaign: comment_id(row, 6)?,
        body: get(row, 7)?,
    })
}

/// How comments are removed.
#[derive(Clone, Copy)]
pub(super) struct Removal {
    pub site_number: i64,
    /// Whether those whose label counts become examples.
    pub keep_labelled: bool,
    pub time: OffsetDateTime,
}

impl Removal {
    /// Removes at most `count_max` comments, the oldest first.
    pub async fn comments(
        self,
        db: &Db,
        doomed: Doomed,
        count_max: usize,
    ) -> Result<Holdings, StoreError> {
        db.lock_site(self.site_number).await?;
        let (condition, value) = doomed.condition();
        let sql = format!(
            "SELECT number, id, check_time, state, label, author, campaign, body FROM comments \
             WHERE site = $1 AND {condition} ORDER BY id LIMIT $3 FOR UPDATE"
        );
        let values: Values<'_> = &[&self.site_number, &*value, &(count_max as i64)];
        let targets = db.all(&sql, values, target).await?;
        if targets.is_empty() {
            return Ok(Holdings::default());
        }
        let keeps = |target: &&Target| self.keep_labelled && target.label.is_some();
        let kept: Vec<&Target> = targets.iter().filter(keeps).collect();
        self.keep(db, &kept).await?;
        let lost = targets.iter().filter(|target| !keeps(target)).map(|target| target.id);
        let lost: Vec<Uuid> = lost.collect();
        let label_count = self.take_back(db, &lost).await?;
        self.delete(db, &targets).await?;
        let held = targets.iter().filter(|target| target.state == State::Held);
        let campaigns: BTreeSet<_> = held.map(|target| target.campaign).collect();
        queue::refresh(db, self.site_number, &campaigns).await?;
        self.count_authors(db, &targets).await?;
        self.forget_reports(db, &lost).await?;
        Ok(Holdings { comment_count: targets.len() as u64, example_count: 0, label_count })
    }

    /// Removes at most `count_max` examples of somebody.
    pub async fn examples(
        self,
        db: &Db,
        whose: Whose,
        count_max: usize,
    ) -> Result<Holdings, StoreError> {
        let (column, value) = owner(whose);
        let sql = format!(
            "DELETE FROM examples WHERE number IN (SELECT number FROM examples \
             WHERE site = $1 AND {column} = $2 ORDER BY id LIMIT $3) RETURNING id"
        );
        let values: Values<'_> = &[&self.site_number, &*value, &(count_max as i64)];
        let ids: Vec<Uuid> = db.all(&sql, values, |row| get(row, 0)).await?;
        let example_count = ids.len() as u64;
        let label_count = self.take_back(db, &ids).await?;
        self.forget_reports(db, &ids).await?;
        Ok(Holdings { comment_count: 0, example_count, label_count })
    }

    /// Makes comments examples of the ledger, under their ids. The authors' fingerprints stay, so
    /// that an erasure finds them.
    async fn keep(self, db: &Db, kept: &[&Target]) -> Result<(), StoreError> {
        let mut bodies = Vec::with_capacity(kept.len());
        for target in kept {
            let columns = SubmissionColumns {
                author: target.author.map(Fingerprint::from_bytes),
                ip: None,
                page_uri: None,
                lang: None,
            };
            let body = record::decode(&target.body, columns)?;
            bodies.push(record::encode_submission(&body.submission));
        }
        let numbers: Vec<i64> = kept.iter().map(|target| target.number).collect();
        let sql = "INSERT INTO examples \
             (site, id, source, author, content_hash, page_uri, lang, body) \
             SELECT site, id, 'site', author, content_hash, page_uri, lang, kept.body \
             FROM unnest($1::bigint[], $2::bytea[]) AS kept (number, body) \
             JOIN comments ON comments.number = kept.number ORDER BY id \
             ON CONFLICT (site, id) DO NOTHING";
        db.execute(sql, &[&numbers, &bodies]).await.map(drop)
    }

    /// Takes the labels of comments or examples back that count, and answers with how many there
    /// were.
    async fn take_back(self, db: &Db, ids: &[Uuid]) -> Result<u64, StoreError> {
        let sql = "INSERT INTO labels (site, comment, label, reporter, time, retracts) \
             SELECT site, comment, label, 'administrator', $3, position FROM labels AS label \
             WHERE site = $1 AND comment = ANY($2::uuid[]) AND retracts IS NULL AND NOT EXISTS (\
                 SELECT 1 FROM labels AS back WHERE back.retracts = label.position) \
             ORDER BY position";
        let count = db.execute(sql, &[&self.site_number, &ids, &millis(self.time)]).await?;
        self.blank_notes(db, ids).await?;
        Ok(count)
    }

    /// Forgets reports if any of these has labels, counting or taken back: reports may list both.
    async fn forget_reports(self, db: &Db, ids: &[Uuid]) -> Result<(), StoreError> {
        let sql = "SELECT 1 FROM labels WHERE site = $1 AND comment = ANY($2::uuid[]) LIMIT 1";
        match db.first(sql, &[&self.site_number, &ids], |_| Ok(())).await? {
            Some(()) => forget_reports(db, self.site_number).await,
            None => Ok(()),
        }
    }

    async fn blank_notes(self, db: &Db, ids: &[Uuid]) -> Result<(), StoreError> {
        let sql = "UPDATE labels SET note = NULL \
             WHERE site = $1 AND comment = ANY($2::uuid[]) AND note IS NOT NULL";
        db.execute(sql, &[&self.site_number, &ids]).await.map(drop)
    }

    /// Deletes comments and the rows that name them.
    async fn delete(self, db: &Db, targets: &[Target]) -> Result<(), StoreError> {
        let site = self.site_number;
        let ids: Vec<Uuid> = targets.iter().map(|target| target.id).collect();
        let numbers: Vec<i64> = targets.iter().map(|target| target.number).collect();
        let times: Vec<i64> = targets.iter().map(|target| target.check_time).collect();
        // A request has the time of the comment that it was answered with.
        let sql = "DELETE FROM requests \
             WHERE time = ANY($2::bigint[]) AND site = $1 AND comment = ANY($3::uuid[])";
        db.execute(sql, &[&site, &times, &ids]).await?;
        // First what is still to be indexed: whoever is at it is waited for, so that the words are
        // there to be deleted.
        let sql = "DELETE FROM pending_words WHERE number = ANY($1::bigint[])";
        db.execute(sql, &[&numbers]).await?;
        let sql = "DELETE FROM comment_words WHERE site = $1 AND number = ANY($2::bigint[])";
        db.execute(sql, &[&site, &numbers]).await?;
        let sql = "DELETE FROM comments WHERE number = ANY($1::bigint[])";
        db.execute(sql, &[&numbers]).await?;
        self.blank_notes(db, &ids).await?;
        let sql = "UPDATE decisions SET note = NULL WHERE comment_count = 1 AND number IN (\
             SELECT decision FROM decided_comments WHERE site = $1 AND comment = ANY($2::uuid[]))";
        db.execute(sql, &[&site, &ids]).await?;
        let sql = "DELETE FROM decided_comments WHERE site = $1 AND comment = ANY($2::uuid[])";
        db.execute(sql, &[&site, &ids]).await?;
        let sql = "DELETE FROM akismet_waits WHERE comment = ANY($2::uuid[]) AND webhook IN (\
             SELECT number FROM webhooks WHERE site = $1)";
        db.execute(sql, &[&site, &ids]).await.map(drop)
    }

    /// Takes what the comments added out of their authors' records.
    async fn count_authors(self, db: &Db, targets: &[Target]) -> Result<(), StoreError> {
        let changes = targets.iter().filter_map(|target| {
            let mut change = AuthorChange::default();
            *change.of_state(target.state) -= 1;
            if let Some(label) = target.label {
                *change.of_label(label) -= 1;
            }
            Some(((self.site_number, target.author?), change))
        });
        let changes: Vec<_> = changes.collect();
        authors::write(db, &changes).await?;
        let authors: Vec<&[u8]> =
            changes.iter().map(|((_, author), _)| author.as_slice()).collect();
        let sql = "DELETE FROM author_records WHERE site = $1 AND author = ANY($2::bytea[]) \
             AND approved_count = 0 AND held_count = 0 AND rejected_count = 0 \
             AND spam_label_count = 0 AND ham_label_count = 0";
        db.execute(sql, &[&self.site_number, &authors]).await.map(drop)
    }
}

/// Forgets how an author fared, once none of their comments is left.
pub(super) async fn forget_author(
    db: &Db,
    site_number: i64,
    author: Fingerprint,
) -> Result<(), StoreError> {
    let author = author.as_bytes().as_slice();
    // Whoever records a comment of theirs holds the row until it is there to be seen below.
    let sql = "SELECT 1 FROM author_records WHERE site = $1 AND author = $2 FOR UPDATE";
    db.execute(sql, &[&site_number, &author]).await?;
    let sql = "DELETE FROM author_records WHERE site = $1 AND author = $2 AND NOT EXISTS (\
             SELECT 1 FROM comments WHERE comments.site = $1 AND comments.author = $2)";
    db.execute(sql, &[&site_number, &author]).await.map(drop)
}
