//! What moderators read of the queue: its pages, single comments, and those that are new in it.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::domain::{CommentId, SiteId, State};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::review::{
    BoundedCount, Claim, CommentOutcome, Cursor, Page, QUEUE_AGE_HOURS, QueueAge, QueueEntry,
    QueueOrder, ReviewedComment,
};
use crate::storage::values::{corrupt, millis};

use super::db::{Db, Values};
use super::queries::id_bound;
use super::rows::{self, COMMENT_COLUMNS, comment_id, get, time, time_or_none, word, word_or_none};

/// The columns that [`listed`] reads, of `comments` with [`CLAIMS`].
pub(super) fn listed_columns() -> String {
    format!("{COMMENT_COLUMNS}, label, revision, comments.number, claimer, claimed_until")
}

/// How many columns [`listed`] reads.
const LISTED_COUNT: usize = 22;

/// Who claimed each comment's campaign, be it expired or not.
pub(super) const CLAIMS: &str = "LEFT JOIN (SELECT site AS claim_site, \
     campaign AS claim_campaign, actor AS claimer, expire_time AS claimed_until FROM claims) \
     AS claim ON claim_site = comments.site AND claim_campaign = comments.campaign";

/// A reviewed comment with what lists are sorted by.
pub(super) struct Listed {
    pub number: i64,
    pub probability: Option<f64>,
    pub reviewed: ReviewedComment,
}

pub(super) fn listed(site: &SiteId, row: &Row) -> Result<Listed, StoreError> {
    let comment = rows::comment(site, row)?;
    let claim = match (get::<Option<String>>(row, 20)?, time_or_none(row, 21)?) {
        (Some(actor), Some(expire_time)) => Some(Claim { actor, expire_time }),
        _ => None,
    };
    let probability = comment.score.as_ref().map(|score| score.probability);
    let (label, revision) = (word_or_none(row, 17)?, get(row, 18)?);
    let reviewed = ReviewedComment { comment, label, revision, claim };
    Ok(Listed { number: get(row, 19)?, probability, reviewed })
}

/// A comment of a site.
pub(super) async fn reviewed(
    db: &Db,
    site_number: i64,
    site: &SiteId,
    id: CommentId,
) -> Result<Option<ReviewedComment>, StoreError> {
    let columns = listed_columns();
    let sql = format!(
        "SELECT {columns} FROM comments {CLAIMS} WHERE comments.site = $1 AND comments.id = $2"
    );
    let found = db.first(&sql, &[&site_number, id.as_uuid()], |row| listed(site, row)).await?;
    Ok(found.map(|listed| listed.reviewed))
}

/// Held comments recorded after a number, with their numbers.
pub(super) async fn held_comments(
    db: &Db,
    site_number: i64,
    site: &SiteId,
    after: i64,
    count_max: usize,
) -> Result<Vec<(i64, ReviewedComment)>, StoreError> {
    let settled = settled_number(db).await?;
    let columns = listed_columns();
    let sql = format!(
        "SELECT {columns} FROM comments {CLAIMS} \
         WHERE comments.site = $1 AND state = $2 AND comments.number > $3 \
             AND comments.number <= $4 ORDER BY comments.number LIMIT $5"
    );
    let held = State::Held.as_str();
    let values: Values<'_> = &[&site_number, &held, &after, &settled, &(count_max as i64)];
    let found = db.all(&sql, values, |row| listed(site, row)).await?;
    Ok(found.into_iter().map(|listed| (listed.number, listed.reviewed)).collect())
}

/// The number up to which all comments are visible that ever will be.
///
/// Numbers are drawn before COMMIT, so they do not become visible in order. Whoever records locks
/// a mark first (`recorder`): the last number before its own. So no comment under way has a number
/// of at most the lowest mark, if the numbers are looked at before the marks, and what is read is
/// read after both.
pub(super) async fn settled_number(db: &Db) -> Result<i64, StoreError> {
    let sql = "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END \
         FROM comments_number_seq";
    let drawn: i64 = db.first(sql, &[], |row| get(row, 0)).await?.unwrap_or_default();
    let sql = "SELECT min(((classid::bigint & 65535) << 32) | objid::bigint) FROM pg_locks \
         WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 16 = $1 \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let mark: Option<i64> =
        db.first(sql, &[&(MARKS >> 48)], |row| get(row, 0)).await?.unwrap_or_default();
    Ok(mark.map_or(drawn, |mark| mark.min(drawn)))
}

/// The first 16 bits of the keys of marks; the rest is a number of a comment.
pub(super) const MARKS: i64 = 0x7271 << 48;

/// A page of the queue.
pub(super) async fn queue(
    db: &Db,
    site_number: i64,
    site: &SiteId,
    order: QueueOrder,
    cursor: Option<&Cursor>,
    count_max: usize,
) -> Result<Page<QueueEntry>, StoreError> {
    let (column, kind, compare, direction) = match order {
        QueueOrder::Usefulness => ("usefulness", "double precision", "<", "DESC"),
        QueueOrder::Oldest => ("first_time", "bigint", ">", "ASC"),
        QueueOrder::Newest => ("last_time", "bigint", "<", "DESC"),
        QueueOrder::Score => ("probability", "double precision", "<", "DESC"),
    };
    // Times are whole numbers, and exact as such in a double.
    let after = match cursor {
        None => String::new(),
        Some(_) => {
            format!("AND ({column}, campaign) {compare} (($3::double precision)::{kind}, $4::uuid)")
        }
    };
    let sql = format!(
        "SELECT {columns}, entry_campaign, held_count, first_time, last_time, place \
         FROM (SELECT campaign AS entry_campaign, comment AS entry_comment, held_count, \
                 first_time, last_time, {column}::double precision AS place \
             FROM queue_entries WHERE site = $1 {after} \
             ORDER BY {column} {direction}, campaign {direction} LIMIT $2) AS entry \
         LEFT JOIN comments ON comments.site = $1 AND comments.id = entry_comment {CLAIMS} \
         ORDER BY place {direction}, entry_campaign {direction}",
        columns = listed_columns()
    );
    let tie = match cursor {
        Some(cursor) => Uuid::from_slice(&cursor.tie).map_err(corrupt)?,
        None => Uuid::nil(),
    };
    let key = cursor.map(|cursor| cursor.key).unwrap_or_default();
    let limit = count_max as i64 + 1;
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&site_number, &limit];
    if cursor.is_some() {
        values.extend([&key as &(dyn ToSql + Sync), &tie]);
    }
    let read = |row: &Row| {
        let place = (get(row, LISTED_COUNT + 4)?, comment_id(row, LISTED_COUNT)?);
        Ok((queue_entry(site, row)?, place))
    };
    let mut found: Vec<(Option<QueueEntry>, (f64, CommentId))> =
        db.all(&sql, &values, read).await?;
    let more = found.len() > count_max;
    found.truncate(count_max);
    let next = found.last().filter(|_| more).map(|(_, (key, campaign))| Cursor {
        key: *key,
        tie: campaign.as_uuid().as_bytes().to_vec(),
    });
    Ok(Page { rows: found.into_iter().filter_map(|(entry, _)| entry).collect(), next })
}

/// An entry; nothing if its comment is gone.
fn queue_entry(site: &SiteId, row: &Row) -> Result<Option<QueueEntry>, StoreError> {
    if get::<Option<i64>>(row, 19)?.is_none() {
        return Ok(None);
    }
    Ok(Some(QueueEntry {
        campaign: comment_id(row, LISTED_COUNT)?,
        held_count: get::<i64>(row, LISTED_COUNT + 1)? as u64,
        first_time: time(row, LISTED_COUNT + 2)?,
        last_time: time(row, LISTED_COUNT + 3)?,
        comment: listed(site, row)?.reviewed,
    }))
}

/// How many entries the queue has, counted up to `bound`.
pub(super) async fn queue_count(
    db: &Db,
    site_number: i64,
    bound: u64,
) -> Result<BoundedCount, StoreError> {
    let sql = "SELECT count(*) FROM \
         (SELECT 1 FROM queue_entries WHERE site = $1 LIMIT $2) AS counted";
    let limit = i64::try_from(bound).unwrap_or(i64::MAX).saturating_add(1);
    let count: Option<i64> = db.first(sql, &[&site_number, &limit], |row| get(row, 0)).await?;
    let count = count.unwrap_or_default() as u64;
    Ok(BoundedCount { count: count.min(bound), more: count > bound })
}

/// How many comments a campaign has, and how many of them are held.
pub(super) async fn campaign_counts(
    db: &Db,
    site_number: i64,
    campaign: CommentId,
) -> Result<(u64, u64), StoreError> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE state = $3) FROM comments \
         WHERE site = $1 AND campaign = $2";
    let held = State::Held.as_str();
    let read = |row: &Row| Ok((get::<i64>(row, 0)? as u64, get::<i64>(row, 1)? as u64));
    let found = db.first(sql, &[&site_number, campaign.as_uuid(), &held], read).await?;
    Ok(found.unwrap_or_default())
}

/// How long the entries of a queue wait.
pub(super) async fn queue_age(
    db: &Db,
    site_number: i64,
    now: OffsetDateTime,
) -> Result<QueueAge, StoreError> {
    let now = millis(now);
    let mut age = QueueAge::default();
    let mut until = i64::MAX;
    let ends = QUEUE_AGE_HOURS.map(|hours| now - hours * 3_600_000);
    let sql = "SELECT count(*) FROM queue_entries \
         WHERE site = $1 AND first_time > $2 AND first_time <= $3";
    for (count, from) in age.counts.iter_mut().zip(ends.into_iter().chain([i64::MIN])) {
        let values: Values<'_> = &[&site_number, &from, &until];
        *count = db.first(sql, values, |row| get::<i64>(row, 0)).await?.unwrap_or_default() as u64;
        until = from;
    }
    let sql = "SELECT first_time FROM queue_entries WHERE site = $1 ORDER BY first_time LIMIT 1";
    age.oldest_time = db.first(sql, &[&site_number], |row| time(row, 0)).await?;
    Ok(age)
}

/// What became of the comments checked since a time, the last ones first.
pub(super) async fn outcomes(
    db: &Db,
    site_number: i64,
    since: OffsetDateTime,
    count_max: usize,
) -> Result<Vec<CommentOutcome>, StoreError> {
    let sql = "SELECT id, probability, verdict, state, label FROM comments \
         WHERE site = $1 AND id >= $2 ORDER BY id DESC LIMIT $3";
    let read = |row: &Row| {
        Ok(CommentOutcome {
            id: comment_id(row, 0)?,
            probability: get(row, 1)?,
            verdict: word(row, 2)?,
            state: word(row, 3)?,
            label: word_or_none(row, 4)?,
        })
    };
    let values: Values<'_> = &[&site_number, &id_bound(since, 0), &(count_max as i64)];
    db.all(sql, values, read).await
}
