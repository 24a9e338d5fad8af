//! What is read from disk. Each function is one statement on a reading connection.

use std::cmp::Reverse;

use rusqlite::{Connection, Params, Row, params};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::domain::{CheckedComment, CommentId, Fingerprint, SiteId};
use crate::moderation::ports::{
    AuditEntry, AuthorRecord, KeyRecord, LabelEntry, RecentComment, SampledComment, StoreError,
    Window,
};
use crate::storage::values::CAMPAIGN_COMMENT_COUNT_MAX;

use super::cache::SiteKey;
use super::error::from_sqlite;
use super::rows::{
    self, AUDIT_COLUMNS, AUTHOR_COLUMNS, COMMENT_COLUMNS, KEY_COLUMNS, LABEL_COLUMNS,
    RECENT_COLUMNS, SITE_COLUMNS, StoredSite, millis,
};

/// How long a request id is remembered.
pub(super) const REQUEST_LIFE: Duration = Duration::hours(24);

/// The hour since 1970 of an instant in milliseconds.
pub(super) fn hour(millis: i64) -> i64 {
    millis.div_euclid(3_600_000)
}

/// The rows of a query, each read by `read`.
pub(super) fn all<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = db.prepare_cached(sql).map_err(from_sqlite)?;
    let mut rows = statement.query(params).map_err(from_sqlite)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// The first row of a query, read by `read`.
pub(super) fn first<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = db.prepare_cached(sql).map_err(from_sqlite)?;
    let mut rows = statement.query(params).map_err(from_sqlite)?;
    rows.next().map_err(from_sqlite)?.map(read).transpose()
}

fn plain<T>(
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> impl Fn(&Row<'_>) -> Result<T, StoreError> {
    move |row| read(row).map_err(from_sqlite)
}

/// The site with this id.
pub(super) fn site(db: &Connection, id: &SiteId) -> Result<Option<StoredSite>, StoreError> {
    let sql = format!("SELECT {SITE_COLUMNS} FROM sites WHERE id = ?1");
    first(db, &sql, [id.as_str()], rows::stored_site)
}

/// Sites in order of id.
pub(super) fn sites(
    db: &Connection,
    after: &str,
    count_max: usize,
) -> Result<Vec<StoredSite>, StoreError> {
    let sql = format!("SELECT {SITE_COLUMNS} FROM sites WHERE id > ?1 ORDER BY id LIMIT ?2");
    all(db, &sql, params![after, count_max as i64], rows::stored_site)
}

/// The keys of a site, oldest first.
pub(super) fn keys(db: &Connection, site_number: i64) -> Result<Vec<KeyRecord>, StoreError> {
    let sql = format!(
        "SELECT {KEY_COLUMNS} FROM keys JOIN sites ON sites.number = keys.site \
         WHERE keys.site = ?1 ORDER BY keys.create_time, keys.number"
    );
    all(db, &sql, [site_number], rows::key)
}

/// A key of a site by id, revoked or not.
pub(super) fn key(
    db: &Connection,
    site_number: i64,
    id: Uuid,
) -> Result<Option<KeyRecord>, StoreError> {
    let sql = format!(
        "SELECT {KEY_COLUMNS} FROM keys JOIN sites ON sites.number = keys.site \
         WHERE keys.site = ?1 AND keys.id = ?2"
    );
    first(db, &sql, params![site_number, id.as_bytes()], rows::key)
}

/// The key with this hash, revoked or not.
pub(super) fn key_by_hash(
    db: &Connection,
    hash: &[u8; 32],
) -> Result<Option<KeyRecord>, StoreError> {
    let sql = format!(
        "SELECT {KEY_COLUMNS} FROM keys JOIN sites ON sites.number = keys.site \
         WHERE keys.hash = ?1"
    );
    first(db, &sql, [hash], rows::key)
}

/// A comment of a site.
pub(super) fn comment(
    db: &Connection,
    site_number: i64,
    site: &SiteId,
    id: CommentId,
) -> Result<Option<CheckedComment>, StoreError> {
    let sql = format!("SELECT {COMMENT_COLUMNS} FROM comments WHERE site = ?1 AND id = ?2");
    let params = params![site_number, id.as_uuid().as_bytes()];
    first(db, &sql, params, |row| rows::comment(site, row))
}

/// The greatest number of a comment; 0 if there is none.
pub(super) fn last_comment(db: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT max(number) FROM comments";
    let last = first(db, sql, [], |row| row.get::<_, Option<i64>>(0).map_err(from_sqlite))?;
    Ok(last.flatten().unwrap_or_default())
}

/// What was recorded under a request id within [`REQUEST_LIFE`] before `now`.
pub(super) fn request(
    db: &Connection,
    key: &SiteKey,
    site: &SiteId,
    now: OffsetDateTime,
) -> Result<Option<(Fingerprint, Box<CheckedComment>)>, StoreError> {
    let oldest = millis(now - REQUEST_LIFE);
    let sql = "SELECT digest, comment FROM requests \
         WHERE hour = ?1 AND site = ?2 AND id = ?3 AND time > ?4";
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let mut found = None;
    // Most repetitions come soon. The hour to come is for callers whose clock is ahead.
    for hour in (hour(oldest)..=hour(millis(now)) + 1).rev() {
        found = first(db, sql, params![hour, key.0, key.1, oldest], plain(read))?;
        if found.is_some() {
            break;
        }
    }
    let Some((digest, comment_id)) = found else {
        return Ok(None);
    };
    let comment_id = CommentId::from_uuid(Uuid::from_bytes(comment_id));
    let found = comment(db, key.0, site, comment_id)?;
    Ok(found.map(|comment| (Fingerprint::from_bytes(digest), Box::new(comment))))
}

/// An author's record; that of nobody if there is none.
pub(super) fn author(db: &Connection, key: &SiteKey) -> Result<AuthorRecord, StoreError> {
    let sql =
        format!("SELECT {AUTHOR_COLUMNS} FROM author_records WHERE site = ?1 AND author = ?2");
    let found = first(db, &sql, params![key.0, key.1], plain(rows::author_record))?;
    Ok(found.unwrap_or_default())
}

/// The last comments of a site, newest first.
pub(super) fn recent_comments(
    db: &Connection,
    site_number: i64,
    count_max: usize,
) -> Result<Vec<RecentComment>, StoreError> {
    let sql =
        format!("SELECT {RECENT_COLUMNS} FROM comments WHERE site = ?1 ORDER BY id DESC LIMIT ?2");
    all(db, &sql, params![site_number, count_max as i64], plain(rows::recent_comment))
}

/// Comments of a site within a window.
pub(super) fn sample_comments(
    db: &Connection,
    site_number: i64,
    site: &SiteId,
    window: Window,
    count_max: usize,
) -> Result<Vec<SampledComment>, StoreError> {
    // Ids sort by check time to the millisecond, so the index on them finds the window.
    let (bounds, order) = match window {
        Window::First => ([[0; 16], [0xFF; 16]], "ASC"),
        Window::Before(time) => ([[0; 16], id_bound(time, 0)], "DESC"),
        Window::After(time) => ([id_bound(time, 0xFF), [0xFF; 16]], "DESC"),
    };
    let sql = format!(
        "SELECT {COMMENT_COLUMNS} FROM comments WHERE site = ?1 AND id > ?2 AND id < ?3 \
         ORDER BY id {order} LIMIT ?4"
    );
    let parameters = params![site_number, bounds[0], bounds[1], count_max as i64];
    all(db, &sql, parameters, |row| {
        let comment = rows::comment(site, row)?;
        Ok(SampledComment {
            check_time: comment.check_time,
            submission: comment.submission,
            probability: comment.score.map(|score| score.probability),
        })
    })
}

/// A UUIDv7 of this millisecond with all other bits filled.
pub(super) fn id_bound(time: OffsetDateTime, filling: u8) -> [u8; 16] {
    let mut id = [filling; 16];
    id[..6].copy_from_slice(&millis(time).max(0).to_be_bytes()[2..]);
    id
}

/// The comments of a site that were labelled, the newest label first.
pub(super) fn labelled_comments(
    db: &Connection,
    site_number: i64,
    count_max: usize,
) -> Result<Vec<RecentComment>, StoreError> {
    let sql = format!(
        "SELECT {RECENT_COLUMNS} FROM comments WHERE site = ?1 AND label IS NOT NULL \
         ORDER BY label_time DESC, id DESC LIMIT ?2"
    );
    all(db, &sql, params![site_number, count_max as i64], plain(rows::recent_comment))
}

/// The comment of each campaign that was labelled last; the newest label first.
pub(super) fn campaign_labels(
    db: &Connection,
    site_number: i64,
    campaigns: &[CommentId],
) -> Result<Vec<RecentComment>, StoreError> {
    // The first ones of each state, so that a campaign of a hundred thousand costs no more than others.
    let early = |state| {
        format!(
            "SELECT * FROM (SELECT label_time, {RECENT_COLUMNS} FROM comments WHERE site = ?1 \
             AND campaign = ?2 AND state = '{state}' ORDER BY number \
             LIMIT {CAMPAIGN_COMMENT_COUNT_MAX})"
        )
    };
    let sql = format!(
        "SELECT {RECENT_COLUMNS}, label_time FROM ({} UNION ALL {}) WHERE label IS NOT NULL \
         ORDER BY label_time DESC, id DESC LIMIT 1",
        early("approved"),
        early("rejected")
    );
    let mut found = Vec::new();
    for campaign in campaigns {
        let read = plain(|row| Ok((row.get::<_, i64>(6)?, rows::recent_comment(row)?)));
        found.extend(all(db, &sql, params![site_number, campaign.as_uuid().as_bytes()], read)?);
    }
    found.sort_by_key(|(time, comment): &(i64, RecentComment)| Reverse((*time, comment.id)));
    Ok(found.into_iter().map(|(_, comment)| comment).collect())
}

/// The label ledger of a site after `position`, oldest first.
pub(super) fn labels(
    db: &Connection,
    site_number: i64,
    site: &SiteId,
    position: i64,
    count_max: usize,
) -> Result<Vec<(i64, LabelEntry)>, StoreError> {
    let sql = format!(
        "SELECT {LABEL_COLUMNS} FROM labels WHERE site = ?1 AND position > ?2 \
         AND retracts IS NULL \
         ORDER BY position LIMIT ?3"
    );
    let params = params![site_number, position, count_max as i64];
    all(db, &sql, params, plain(|row| rows::label_entry(site, row)))
}

/// The audit log of a site before `position`, newest first.
pub(super) fn audit_entries(
    db: &Connection,
    site_number: i64,
    position: i64,
    count_max: usize,
) -> Result<Vec<AuditEntry>, StoreError> {
    let sql = format!(
        "SELECT {AUDIT_COLUMNS} FROM audit_entries WHERE site = ?1 AND position < ?2 \
         ORDER BY position DESC LIMIT ?3"
    );
    let params = params![site_number, position, count_max as i64];
    all(db, &sql, params, plain(rows::audit_entry))
}

/// Tables whose keys are held in a filter.
#[derive(Debug, Clone, Copy)]
pub(super) enum KeyTable {
    /// Author records by author.
    Authors,
    /// Requests by id.
    Requests,
}

/// Passes every key of a table to `found`.
pub(super) fn scan_keys(
    db: &Connection,
    table: KeyTable,
    found: &mut dyn FnMut(SiteKey),
) -> Result<(), StoreError> {
    let sql = match table {
        KeyTable::Authors => "SELECT site, author FROM author_records",
        KeyTable::Requests => "SELECT site, id FROM requests",
    };
    let mut statement = db.prepare(sql).map_err(from_sqlite)?;
    let mut rows = statement.query([]).map_err(from_sqlite)?;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        found((row.get(0).map_err(from_sqlite)?, row.get(1).map_err(from_sqlite)?));
    }
    Ok(())
}

/// How many keys a table has.
pub(super) fn count_keys(db: &Connection, table: KeyTable) -> Result<usize, StoreError> {
    let sql = match table {
        KeyTable::Authors => "SELECT count(*) FROM author_records",
        KeyTable::Requests => "SELECT count(*) FROM requests",
    };
    let count: i64 = db.query_row(sql, [], |row| row.get(0)).map_err(from_sqlite)?;
    Ok(count as usize)
}
