//! What is read. Each function is one statement.

use time::{Duration, OffsetDateTime};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::domain::{CheckedComment, CommentId, Fingerprint, RequestId, SiteId};
use crate::moderation::ports::{
    AuditEntry, AuthorRecord, KeyRecord, LabelEntry, RecentComment, SampledComment, StoreError,
    Window,
};
use crate::storage::values::{CAMPAIGN_COMMENT_COUNT_MAX, StoredSite, millis};

use super::db::Db;
use super::rows::{
    self, AUDIT_COLUMNS, AUTHOR_COLUMNS, COMMENT_COLUMNS, KEY_COLUMNS, LABEL_COLUMNS,
    RECENT_COLUMNS, SITE_COLUMNS,
};

/// How long a request id is remembered.
pub(super) const REQUEST_LIFE: Duration = Duration::hours(24);

/// The site with this id.
pub(super) async fn site(db: &Db, id: &SiteId) -> Result<Option<StoredSite>, StoreError> {
    let sql = format!("SELECT {SITE_COLUMNS} FROM sites WHERE id = $1");
    db.first(&sql, &[&id.as_str()], rows::stored_site).await
}

/// The site with this id, for the transaction alone until it ends.
pub(super) async fn site_for_update(db: &Db, id: &SiteId) -> Result<StoredSite, StoreError> {
    let sql = format!("SELECT {SITE_COLUMNS} FROM sites WHERE id = $1 FOR NO KEY UPDATE");
    db.first(&sql, &[&id.as_str()], rows::stored_site).await?.ok_or(StoreError::NotFound)
}

/// Sites in order of id.
pub(super) async fn sites(
    db: &Db,
    after: &str,
    count_max: usize,
) -> Result<Vec<StoredSite>, StoreError> {
    let sql = format!("SELECT {SITE_COLUMNS} FROM sites WHERE id > $1 ORDER BY id LIMIT $2");
    db.all(&sql, &[&after, &(count_max as i64)], rows::stored_site).await
}

/// The keys of a site, oldest first.
pub(super) async fn keys(db: &Db, site_number: i64) -> Result<Vec<KeyRecord>, StoreError> {
    let sql = format!(
        "SELECT {KEY_COLUMNS} FROM keys JOIN sites ON sites.number = keys.site \
         WHERE keys.site = $1 ORDER BY keys.create_time, keys.number"
    );
    db.all(&sql, &[&site_number], rows::key).await
}

/// A key of a site by id, revoked or not, for the transaction alone until it ends.
pub(super) async fn key_for_update(
    db: &Db,
    site_number: i64,
    id: Uuid,
) -> Result<Option<KeyRecord>, StoreError> {
    let sql = format!(
        "SELECT {KEY_COLUMNS} FROM keys JOIN sites ON sites.number = keys.site \
         WHERE keys.site = $1 AND keys.id = $2 FOR UPDATE OF keys"
    );
    db.first(&sql, &[&site_number, &id], rows::key).await
}

/// The key with this hash, revoked or not.
pub(super) async fn key_by_hash(db: &Db, hash: &[u8; 32]) -> Result<Option<KeyRecord>, StoreError> {
    let sql = format!(
        "SELECT {KEY_COLUMNS} FROM keys JOIN sites ON sites.number = keys.site \
         WHERE keys.hash = $1"
    );
    db.first(&sql, &[&hash.as_slice()], rows::key).await
}

/// A comment of a site.
pub(super) async fn comment(
    db: &Db,
    site_number: i64,
    site: &SiteId,
    id: CommentId,
) -> Result<Option<CheckedComment>, StoreError> {
    let sql = format!("SELECT {COMMENT_COLUMNS} FROM comments WHERE site = $1 AND id = $2");
    db.first(&sql, &[&site_number, id.as_uuid()], |row| rows::comment(site, row)).await
}

/// What was recorded under a request id within [`REQUEST_LIFE`] before `now`.
pub(super) async fn request(
    db: &Db,
    site_number: i64,
    site: &SiteId,
    id: RequestId,
    now: OffsetDateTime,
) -> Result<Option<(Fingerprint, Box<CheckedComment>)>, StoreError> {
    let sql = format!(
        "SELECT {COMMENT_COLUMNS}, digest FROM requests JOIN comments \
             ON comments.site = requests.site AND comments.id = requests.comment \
         WHERE requests.site = $1 AND requests.id = $2 AND requests.time > $3"
    );
    let oldest = millis(now - REQUEST_LIFE);
    let read = |row: &Row| {
        let digest = Fingerprint::from_bytes(rows::bytes(row, 17)?);
        Ok((digest, Box::new(rows::comment(site, row)?)))
    };
    db.first(&sql, &[&site_number, id.as_uuid(), &oldest], read).await
}

/// An author's record; that of nobody if there is none.
pub(super) async fn author(
    db: &Db,
    site_number: i64,
    author: Fingerprint,
) -> Result<AuthorRecord, StoreError> {
    let sql =
        format!("SELECT {AUTHOR_COLUMNS} FROM author_records WHERE site = $1 AND author = $2");
    let values: super::db::Values<'_> = &[&site_number, &author.as_bytes().as_slice()];
    Ok(db.first(&sql, values, rows::author_record).await?.unwrap_or_default())
}

/// The last comments of a site, newest first.
pub(super) async fn recent_comments(
    db: &Db,
    site_number: i64,
    count_max: usize,
) -> Result<Vec<RecentComment>, StoreError> {
    let sql =
        format!("SELECT {RECENT_COLUMNS} FROM comments WHERE site = $1 ORDER BY id DESC LIMIT $2");
    db.all(&sql, &[&site_number, &(count_max as i64)], rows::recent_comment).await
}

/// Comments of a site within a window.
pub(super) async fn sample_comments(
    db: &Db,
    site_number: i64,
    site: &SiteId,
    window: Window,
    count_max: usize,
) -> Result<Vec<SampledComment>, StoreError> {
    // Ids sort by check time to the millisecond, so the index on them finds the window.
    let (bounds, order) = match window {
        Window::First => ([Uuid::nil(), Uuid::max()], "ASC"),
        Window::Before(time) => ([Uuid::nil(), id_bound(time, 0)], "DESC"),
        Window::After(time) => ([id_bound(time, 0xFF), Uuid::max()], "DESC"),
    };
    let sql = format!(
        "SELECT {COMMENT_COLUMNS} FROM comments WHERE site = $1 AND id > $2 AND id < $3 \
         ORDER BY id {order} LIMIT $4"
    );
    let read = |row: &Row| {
        let comment = rows::comment(site, row)?;
        Ok(SampledComment {
            check_time: comment.check_time,
            submission: comment.submission,
            probability: comment.score.map(|score| score.probability),
        })
    };
    db.all(&sql, &[&site_number, &bounds[0], &bounds[1], &(count_max as i64)], read).await
}

/// A UUIDv7 of this millisecond with all other bits filled.
pub(super) fn id_bound(time: OffsetDateTime, filling: u8) -> Uuid {
    let mut id = [filling; 16];
    id[..6].copy_from_slice(&millis(time).max(0).to_be_bytes()[2..]);
    Uuid::from_bytes(id)
}

/// The comments of a site that were labelled, the newest label first.
pub(super) async fn labelled_comments(
    db: &Db,
    site_number: i64,
    count_max: usize,
) -> Result<Vec<RecentComment>, StoreError> {
    let sql = format!(
        "SELECT {RECENT_COLUMNS} FROM comments WHERE site = $1 AND label IS NOT NULL \
         ORDER BY label_time DESC, id DESC LIMIT $2"
    );
    db.all(&sql, &[&site_number, &(count_max as i64)], rows::recent_comment).await
}

/// The comment of each campaign that was labelled last; the newest label first.
pub(super) async fn campaign_labels(
    db: &Db,
    site_number: i64,
    campaigns: &[CommentId],
) -> Result<Vec<RecentComment>, StoreError> {
    // The first ones of each state, so that a campaign of a hundred thousand costs no more than others.
    let sql = format!(
        "SELECT {RECENT_COLUMNS} FROM unnest($2::uuid[]) AS live (first) CROSS JOIN LATERAL ( \
             SELECT {RECENT_COLUMNS}, label_time \
             FROM (VALUES ('approved'), ('rejected')) AS decided (name) CROSS JOIN LATERAL ( \
                 SELECT * FROM comments WHERE site = $1 AND campaign = live.first \
                 AND state = decided.name ORDER BY number LIMIT {CAMPAIGN_COMMENT_COUNT_MAX} \
             ) AS early WHERE label IS NOT NULL ORDER BY label_time DESC, id DESC LIMIT 1 \
         ) AS last ORDER BY label_time DESC, id DESC"
    );
    let campaigns: Vec<Uuid> = campaigns.iter().map(|campaign| *campaign.as_uuid()).collect();
    db.all(&sql, &[&site_number, &campaigns], rows::recent_comment).await
}

/// The label ledger of a site after `position`, oldest first.
pub(super) async fn labels(
    db: &Db,
    site_number: i64,
    site: &SiteId,
    position: i64,
    count_max: usize,
) -> Result<Vec<(i64, LabelEntry)>, StoreError> {
    let sql = format!(
        "SELECT {LABEL_COLUMNS} FROM labels WHERE site = $1 AND position > $2 \
         AND retracts IS NULL ORDER BY position LIMIT $3"
    );
    let values: super::db::Values<'_> = &[&site_number, &position, &(count_max as i64)];
    db.all(&sql, values, |row| rows::label_entry(site, row)).await
}

/// The audit log of a site before `position`, newest first.
pub(super) async fn audit_entries(
    db: &Db,
    site_number: i64,
    position: i64,
    count_max: usize,
) -> Result<Vec<AuditEntry>, StoreError> {
    let sql = format!(
        "SELECT {AUDIT_COLUMNS} FROM audit_entries WHERE site = $1 AND position < $2 \
         ORDER BY position DESC LIMIT $3"
    );
    db.all(&sql, &[&site_number, &position, &(count_max as i64)], rows::audit_entry).await
}
