//! Webhooks and deliveries as rows: what is read and what is written of them.

use rusqlite::{Connection, Row, params};
use serde_json::json;
use time::OffsetDateTime;

use crate::domain::{CommentId, DeliveryId, SiteId, WebhookId, WebhookSecret};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::webhooks::{
    AttemptRecord, DeliveryRecord, DeliveryState, WebhookChange, WebhookRecord,
};

use super::commands::{Audit, execute, stored_site};
use super::error::from_sqlite;
use super::queries::{all, first};
use super::rows::{Word, corrupt, millis, time, time_or_none};
use super::writer::Batch;

/// The columns that [`read_webhook`] reads.
const WEBHOOK_COLUMNS: &str = "webhooks.id, sites.id, webhooks.uri, webhooks.secret, \
     webhooks.previous_secret, webhooks.previous_until, webhooks.disabled, webhooks.position, \
     webhooks.revision, webhooks.create_time, webhooks.akismet_key, (SELECT count(*) FROM deliveries \
     WHERE deliveries.webhook = webhooks.number AND deliveries.state = 'dead')";

/// Deliveries removed at once.
const FORGET_COUNT: i64 = 100;

fn read_webhook(row: &Row<'_>) -> Result<WebhookRecord, StoreError> {
    let site: String = row.get(1).map_err(from_sqlite)?;
    let uri: String = row.get(2).map_err(from_sqlite)?;
    let (site, uri) = (site.parse().map_err(corrupt)?, uri.parse().map_err(corrupt)?);
    let read = || -> rusqlite::Result<WebhookRecord> {
        let secret = row.get::<_, Option<[u8; 32]>>(4)?.map(WebhookSecret::from_bytes);
        Ok(WebhookRecord {
            id: webhook_id(row, 0)?,
            site,
            uri,
            secret: WebhookSecret::from_bytes(row.get(3)?),
            previous: secret.zip(time_or_none(row, 5)?),
            disabled: row.get(6)?,
            position: row.get(7)?,
            revision: row.get(8)?,
            create_time: time(row, 9)?,
            akismet_key: row.get(10)?,
            dead_count: row.get::<_, i64>(11)? as u64,
        })
    };
    read().map_err(from_sqlite)
}

fn webhook_id(row: &Row<'_>, column: usize) -> rusqlite::Result<WebhookId> {
    Ok(WebhookId::from_uuid(uuid::Uuid::from_bytes(row.get(column)?)))
}

/// The columns that [`read_delivery`] reads.
const DELIVERY_COLUMNS: &str = "deliveries.number, deliveries.id, first_position, last_position, \
     decision_count, state, replay, attempt_count, deliveries.create_time, begin_time, \
     attempt_time, next_attempt_time, status, failure";

fn read_delivery(row: &Row<'_>) -> Result<DeliveryRecord, StoreError> {
    let read = || -> rusqlite::Result<DeliveryRecord> {
        Ok(DeliveryRecord {
            number: row.get(0)?,
            id: DeliveryId::from_uuid(uuid::Uuid::from_bytes(row.get(1)?)),
            first_position: row.get(2)?,
            last_position: row.get(3)?,
            decision_count: row.get::<_, i64>(4)? as u64,
            state: row.get::<_, Word<DeliveryState>>(5)?.0,
            replay: row.get(6)?,
            attempt_count: row.get(7)?,
            create_time: time(row, 8)?,
            begin_time: time(row, 9)?,
            attempt_time: time_or_none(row, 10)?,
            next_attempt_time: time_or_none(row, 11)?,
            status: row.get(12)?,
            failure: row.get(13)?,
        })
    };
    read().map_err(from_sqlite)
}

/// A webhook of a site.
pub(super) fn webhook(
    db: &Connection,
    site_number: i64,
    id: WebhookId,
) -> Result<Option<WebhookRecord>, StoreError> {
    let sql = format!(
        "SELECT {WEBHOOK_COLUMNS} FROM webhooks JOIN sites ON sites.number = webhooks.site \
         WHERE webhooks.site = ?1 AND webhooks.id = ?2"
    );
    first(db, &sql, params![site_number, id.as_uuid().as_bytes()], read_webhook)
}

/// The webhooks of a site in the order of their creation.
pub(super) fn webhooks(
    db: &Connection,
    site_number: i64,
) -> Result<Vec<WebhookRecord>, StoreError> {
    let sql = format!(
        "SELECT {WEBHOOK_COLUMNS} FROM webhooks JOIN sites ON sites.number = webhooks.site \
         WHERE webhooks.site = ?1 ORDER BY webhooks.number"
    );
    all(db, &sql, [site_number], read_webhook)
}

/// Webhooks that have something to send.
pub(super) fn due(
    db: &Connection,
    now: OffsetDateTime,
    count_max: usize,
) -> Result<Vec<WebhookRecord>, StoreError> {
    let sql = format!(
        "SELECT {WEBHOOK_COLUMNS} FROM webhooks JOIN sites ON sites.number = webhooks.site \
         WHERE NOT webhooks.disabled AND (\
             EXISTS (SELECT 1 FROM deliveries WHERE deliveries.webhook = webhooks.number \
                 AND state = 'pending' AND next_attempt_time <= ?1) \
             OR (NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.webhook = webhooks.number \
                 AND state = 'pending' AND NOT replay) \
                 AND EXISTS (SELECT 1 FROM decided_comments \
                     WHERE decided_comments.site = webhooks.site \
                     AND decided_comments.position > webhooks.position))) \
         ORDER BY webhooks.number LIMIT ?2"
    );
    all(db, &sql, params![millis(now), count_max as i64], read_webhook)
}

/// The deliveries of a webhook, newest first.
pub(super) fn deliveries(
    db: &Connection,
    site_number: i64,
    webhook: WebhookId,
    state: Option<DeliveryState>,
    before: i64,
    count_max: usize,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    let sql = format!(
        "SELECT {DELIVERY_COLUMNS} FROM deliveries \
         WHERE webhook = (SELECT number FROM webhooks WHERE site = ?1 AND id = ?2) \
             AND (?3 IS NULL OR state = ?3) AND number < ?4 ORDER BY number DESC LIMIT ?5"
    );
    let state = state.map(DeliveryState::as_str);
    let id = webhook.as_uuid().as_bytes();
    all(db, &sql, params![site_number, id, state, before, count_max as i64], read_delivery)
}

/// A delivery of a webhook.
pub(super) fn delivery(
    db: &Connection,
    site_number: i64,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Option<DeliveryRecord>, StoreError> {
    let sql = format!(
        "SELECT {DELIVERY_COLUMNS} FROM deliveries \
         WHERE id = ?3 AND webhook = (SELECT number FROM webhooks WHERE site = ?1 AND id = ?2)"
    );
    let ids = (webhook.as_uuid().as_bytes(), id.as_uuid().as_bytes());
    first(db, &sql, params![site_number, ids.0, ids.1], read_delivery)
}

/// Dead deliveries of all webhooks.
pub(super) fn dead_count(db: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM webhooks JOIN deliveries \
         ON deliveries.webhook = webhooks.number AND deliveries.state = 'dead'";
    let read = |row: &Row<'_>| row.get::<_, i64>(0).map_err(from_sqlite);
    Ok(first(db, sql, [], read)?.unwrap_or(0) as u64)
}

/// A webhook as the audit log shows it, also to those who do not administer it: without its secret,
/// and without the query of its address, which may hold another one.
fn webhook_json(webhook: &WebhookRecord) -> String {
    json!({ "uri": webhook.uri.without_query(), "disabled": webhook.disabled }).to_string()
}

/// Who changes a webhook when, and how the log calls it.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    pub actor: &'a str,
    pub time: OffsetDateTime,
    pub action: &'static str,
}

impl Change<'_> {
    fn audit(
        self,
        db: &Connection,
        site_number: i64,
        subject: String,
        before: Option<String>,
        after: Option<String>,
    ) -> Result<(), StoreError> {
        let Self { actor, time, action } = self;
        Audit { site_number, time, actor, action, subject, before, after, note: None }.write(db)
    }
}

pub(super) fn create(
    batch: &mut Batch<'_>,
    webhook: &WebhookRecord,
    count_max: usize,
    actor: &str,
) -> Result<(), StoreError> {
    let (db, site_number) = (batch.db, stored_site(batch, &webhook.site)?.number);
    if webhooks(db, site_number)?.len() >= count_max {
        return Err(StoreError::Conflict);
    }
    let sql = "INSERT INTO webhooks (site, id, uri, secret, disabled, position, revision, \
         create_time, akismet_key) VALUES (?1, ?2, ?3, ?4, ?5, \
         coalesce((SELECT max(position) FROM decided_comments WHERE site = ?1), 0), ?6, ?7, ?8)";
    let values = params![
        site_number,
        webhook.id.as_uuid().as_bytes(),
        webhook.uri.as_str(),
        webhook.secret.as_bytes(),
        webhook.disabled,
        webhook.revision,
        millis(webhook.create_time),
        webhook.akismet_key
    ];
    execute(db, sql, values)?;
    let change = Change { actor, time: webhook.create_time, action: "create-webhook" };
    let subject = webhook.id.name(&webhook.site);
    change.audit(db, site_number, subject, None, Some(webhook_json(webhook)))
}

/// See `WebhookStore::await_akismet`.
pub(super) fn await_akismet(
    batch: &mut Batch<'_>,
    webhook: &WebhookRecord,
    count_max: usize,
    comment: CommentId,
    page_id: &str,
) -> Result<(), StoreError> {
    let (db, site_number) = (batch.db, stored_site(batch, &webhook.site)?.number);
    // The client may have a new key since; what it asked before goes out with that too.
    let sql = "UPDATE webhooks SET akismet_key = ?3 WHERE site = ?1 AND uri = ?2 \
         AND akismet_key <> ?3";
    execute(db, sql, params![site_number, webhook.uri.as_str(), webhook.akismet_key])?;
    let sql = "SELECT number FROM webhooks WHERE site = ?1 AND uri = ?2 \
         AND akismet_key IS NOT NULL ORDER BY number LIMIT 1";
    let read = |row: &Row<'_>| row.get::<_, i64>(0).map_err(from_sqlite);
    let values = params![site_number, webhook.uri.as_str()];
    let number = match first(db, sql, values, read)? {
        Some(number) => number,
        None => {
            create(batch, webhook, count_max, "akismet")?;
            first(db, sql, values, read)?.ok_or(StoreError::NotFound)?
        }
    };
    let sql = "INSERT OR REPLACE INTO akismet_waits (webhook, comment, page_id) \
         VALUES (?1, ?2, ?3)";
    execute(db, sql, params![number, comment.as_uuid().as_bytes(), page_id])
}

/// See `WebhookStore::akismet_waits`.
pub(super) fn akismet_waits(
    db: &Connection,
    webhook: WebhookId,
    comments: &[CommentId],
) -> Result<Vec<(CommentId, String)>, StoreError> {
    let sql = "SELECT page_id FROM akismet_waits \
         WHERE webhook = (SELECT number FROM webhooks WHERE id = ?1) AND comment = ?2";
    let read = |row: &Row<'_>| row.get::<_, String>(0).map_err(from_sqlite);
    let id = webhook.as_uuid().as_bytes();
    let mut found = Vec::new();
    for comment in comments {
        let values = params![id, comment.as_uuid().as_bytes()];
        found.extend(first(db, sql, values, read)?.map(|page_id| (*comment, page_id)));
    }
    Ok(found)
}

pub(super) fn update(
    batch: &mut Batch<'_>,
    site: &SiteId,
    id: WebhookId,
    wanted: &WebhookChange,
    change: Change<'_>,
) -> Result<WebhookRecord, StoreError> {
    let (db, site_number) = (batch.db, stored_site(batch, site)?.number);
    let before = webhook(db, site_number, id)?.ok_or(StoreError::NotFound)?;
    if wanted.revision.is_some_and(|revision| revision != before.revision) {
        return Err(StoreError::Conflict);
    }
    let sql = "UPDATE webhooks SET uri = ?3, disabled = ?4, revision = revision + 1 \
         WHERE site = ?1 AND id = ?2";
    let bytes = id.as_uuid().as_bytes();
    execute(db, sql, params![site_number, bytes, wanted.uri.as_str(), wanted.disabled])?;
    // Whoever mends an address does not want to wait for what is tried again in an hour.
    let sql = "UPDATE deliveries SET next_attempt_time = ?2, begin_time = ?2, attempt_count = 0 \
         WHERE state = 'pending' AND webhook = (SELECT number FROM webhooks WHERE id = ?1)";
    execute(db, sql, params![bytes, millis(change.time)])?;
    let after = webhook(db, site_number, id)?.ok_or(StoreError::NotFound)?;
    let jsons = [&before, &after].map(|webhook| Some(webhook_json(webhook)));
    let [before, after_json] = jsons;
    change.audit(db, site_number, id.name(site), before, after_json)?;
    Ok(after)
}

pub(super) fn rotate(
    batch: &mut Batch<'_>,
    site: &SiteId,
    id: WebhookId,
    secret: &WebhookSecret,
    previous_until: OffsetDateTime,
    change: Change<'_>,
) -> Result<WebhookRecord, StoreError> {
    let (db, site_number) = (batch.db, stored_site(batch, site)?.number);
    let sql = "UPDATE webhooks SET previous_secret = secret, previous_until = ?4, secret = ?3, \
         revision = revision + 1 WHERE site = ?1 AND id = ?2";
    let bytes = id.as_uuid().as_bytes();
    execute(db, sql, params![site_number, bytes, secret.as_bytes(), millis(previous_until)])?;
    let after = webhook(db, site_number, id)?.ok_or(StoreError::NotFound)?;
    change.audit(db, site_number, id.name(site), None, None)?;
    Ok(after)
}

pub(super) fn delete(
    batch: &mut Batch<'_>,
    site: &SiteId,
    id: WebhookId,
    change: Change<'_>,
) -> Result<(), StoreError> {
    let (db, site_number) = (batch.db, stored_site(batch, site)?.number);
    let before = webhook(db, site_number, id)?.ok_or(StoreError::NotFound)?;
    let sql = "DELETE FROM webhooks WHERE site = ?1 AND id = ?2";
    execute(db, sql, params![site_number, id.as_uuid().as_bytes()])?;
    change.audit(db, site_number, id.name(site), Some(webhook_json(&before)), None)
}

/// See `WebhookStore::next_delivery`.
pub(super) fn next_delivery(
    batch: &mut Batch<'_>,
    webhook: WebhookId,
    id: DeliveryId,
    decision_count_max: usize,
    now: OffsetDateTime,
) -> Result<Option<DeliveryRecord>, StoreError> {
    let db = batch.db;
    let found = "(SELECT number FROM webhooks WHERE id = ?1 AND NOT disabled)";
    let sql = format!(
        "SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE webhook = {found} \
         AND state = 'pending' AND next_attempt_time <= ?2 ORDER BY replay DESC, number LIMIT 1"
    );
    let bytes = webhook.as_uuid().as_bytes();
    if let Some(waiting) = first(db, &sql, params![bytes, millis(now)], read_delivery)? {
        return Ok(Some(waiting));
    }
    let sql = format!(
        "INSERT INTO deliveries (webhook, id, first_position, last_position, decision_count, \
             state, create_time, begin_time, next_attempt_time) \
         SELECT number, ?2, min(fresh.position), max(fresh.position), count(*), 'pending', ?3, ?3, ?3 \
         FROM webhooks JOIN (\
             SELECT decided_comments.position FROM decided_comments, webhooks AS own \
             WHERE own.id = ?1 AND decided_comments.site = own.site \
                 AND decided_comments.position > own.position \
             ORDER BY decided_comments.position LIMIT ?4) AS fresh \
         WHERE webhooks.id = ?1 AND NOT webhooks.disabled AND NOT EXISTS (\
             SELECT 1 FROM deliveries WHERE deliveries.webhook = {found} \
                 AND state = 'pending' AND NOT replay) \
         GROUP BY webhooks.number"
    );
    let made = id.as_uuid().as_bytes();
    execute(db, &sql, params![bytes, made, millis(now), decision_count_max as i64])?;
    if db.changes() == 0 {
        return Ok(None);
    }
    let sql = "UPDATE webhooks SET position = \
         (SELECT last_position FROM deliveries WHERE id = ?2) WHERE id = ?1";
    execute(db, sql, params![bytes, made])?;
    let sql = format!("SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE id = ?1");
    first(db, &sql, [made], read_delivery)
}

/// Notes an attempt, and forgets deliveries that ended well long ago.
pub(super) fn end_attempt(
    batch: &mut Batch<'_>,
    id: DeliveryId,
    attempt: &AttemptRecord,
) -> Result<(), StoreError> {
    let db = batch.db;
    let sql = "UPDATE deliveries SET state = ?2, attempt_count = attempt_count + 1, \
         attempt_time = ?3, next_attempt_time = ?4, status = ?5, failure = ?6 WHERE id = ?1";
    let bytes = id.as_uuid().as_bytes();
    let next = attempt.next_attempt_time.map(millis);
    let (state, time) = (attempt.state.as_str(), millis(attempt.time));
    execute(db, sql, params![bytes, state, time, next, attempt.status, attempt.failure])?;
    let sql = "DELETE FROM deliveries WHERE number IN (SELECT number FROM deliveries \
         WHERE webhook = (SELECT webhook FROM deliveries WHERE id = ?1) \
             AND state = 'delivered' AND attempt_time < ?2 LIMIT ?3)";
    execute(db, sql, params![bytes, millis(attempt.forget_before), FORGET_COUNT])?;
    if attempt.disables { disable(batch, id, attempt.time) } else { Ok(()) }
}

/// Disables the webhook of a delivery.
fn disable(
    batch: &mut Batch<'_>,
    delivery: DeliveryId,
    time: OffsetDateTime,
) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT {WEBHOOK_COLUMNS} FROM webhooks JOIN sites ON sites.number = webhooks.site \
         WHERE webhooks.number = (SELECT webhook FROM deliveries WHERE id = ?1)"
    );
    let found = first(batch.db, &sql, [delivery.as_uuid().as_bytes()], read_webhook)?;
    let Some(WebhookRecord { site, id, uri, .. }) = found else { return Ok(()) };
    let wanted = WebhookChange { revision: None, uri, disabled: true };
    let change = Change { actor: "webhooks", time, action: "update-webhook" };
    update(batch, &site, id, &wanted, change).map(drop)
}

pub(super) fn replay(
    batch: &mut Batch<'_>,
    site: &SiteId,
    webhook: WebhookId,
    id: DeliveryId,
    change: Change<'_>,
) -> Result<DeliveryRecord, StoreError> {
    let (db, site_number) = (batch.db, stored_site(batch, site)?.number);
    let found = delivery(db, site_number, webhook, id)?.ok_or(StoreError::NotFound)?;
    if found.state == DeliveryState::Pending {
        return Err(StoreError::Conflict);
    }
    let sql = "UPDATE deliveries SET state = 'pending', replay = 1, attempt_count = 0, \
         begin_time = ?2, next_attempt_time = ?2 WHERE id = ?1";
    execute(db, sql, params![id.as_uuid().as_bytes(), millis(change.time)])?;
    let before = Some(found.state.as_str().to_owned());
    change.audit(db, site_number, id.name(site, webhook), before, None)?;
    delivery(db, site_number, webhook, id)?.ok_or(StoreError::NotFound)
}
