//! Webhooks as rows: what is read and what is written of them.

use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::domain::{CommentId, DeliveryId, SiteId, WebhookId, WebhookSecret};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::webhooks::{WebhookChange, WebhookRecord};
use crate::storage::values::{corrupt, millis};

use super::audit::Audit;
use super::db::{Db, Values};
use super::rows::{bytes, bytes_or_none, comment_id, get, time, time_or_none};

/// The columns that [`read_webhook`] reads, of [`WEBHOOKS`].
const WEBHOOK_COLUMNS: &str = "webhooks.id, sites.id, webhooks.uri, webhooks.secret, \
     webhooks.previous_secret, webhooks.previous_until, webhooks.disabled, webhooks.position, \
     webhooks.revision, webhooks.create_time, webhooks.akismet_key, (SELECT count(*) FROM deliveries \
     WHERE deliveries.webhook = webhooks.number AND deliveries.state = 'dead')";

const WEBHOOKS: &str = "webhooks JOIN sites ON sites.number = webhooks.site";

fn read_webhook(row: &Row) -> Result<WebhookRecord, StoreError> {
    let previous = bytes_or_none(row, 4)?.map(WebhookSecret::from_bytes);
    Ok(WebhookRecord {
        id: WebhookId::from_uuid(get::<Uuid>(row, 0)?),
        site: get::<&str>(row, 1)?.parse().map_err(corrupt)?,
        uri: get::<&str>(row, 2)?.parse().map_err(corrupt)?,
        secret: WebhookSecret::from_bytes(bytes(row, 3)?),
        previous: previous.zip(time_or_none(row, 5)?),
        disabled: get(row, 6)?,
        position: get(row, 7)?,
        revision: get(row, 8)?,
        create_time: time(row, 9)?,
        akismet_key: get(row, 10)?,
        dead_count: get::<i64>(row, 11)? as u64,
    })
}

/// A webhook of a site.
pub(super) async fn webhook(
    db: &Db,
    site_number: i64,
    id: WebhookId,
) -> Result<Option<WebhookRecord>, StoreError> {
    let sql = format!(
        "SELECT {WEBHOOK_COLUMNS} FROM {WEBHOOKS} WHERE webhooks.site = $1 AND webhooks.id = $2"
    );
    db.first(&sql, &[&site_number, id.as_uuid()], read_webhook).await
}

/// The webhook of a delivery.
pub(super) async fn webhook_of(
    db: &Db,
    delivery: DeliveryId,
) -> Result<Option<WebhookRecord>, StoreError> {
    let sql = format!(
        "SELECT {WEBHOOK_COLUMNS} FROM {WEBHOOKS} \
         WHERE webhooks.number = (SELECT webhook FROM deliveries WHERE id = $1)"
    );
    db.first(&sql, &[delivery.as_uuid()], read_webhook).await
}

/// The webhooks of a site in the order of their creation.
pub(super) async fn webhooks(db: &Db, site_number: i64) -> Result<Vec<WebhookRecord>, StoreError> {
    let sql = format!(
        "SELECT {WEBHOOK_COLUMNS} FROM {WEBHOOKS} WHERE webhooks.site = $1 \
         ORDER BY webhooks.number"
    );
    db.all(&sql, &[&site_number], read_webhook).await
}

/// Webhooks that have something to send, and that no other replica serves now.
///
/// Whether there is something new is asked of the index by site and position, in its order. Asked
/// with `EXISTS`, the server reads the whole table for each webhook that has nothing to tell: 3.4
/// seconds with 400 webhooks and 100,000 decided comments (November 2026), and 0.5 ms like this.
pub(super) async fn due(
    db: &Db,
    replica: Uuid,
    now: OffsetDateTime,
    count_max: usize,
) -> Result<Vec<WebhookRecord>, StoreError> {
    let sql = format!(
        "SELECT {WEBHOOK_COLUMNS} FROM {WEBHOOKS} \
         WHERE NOT webhooks.disabled \
             AND (lease_holder IS NULL OR lease_holder = $3 OR lease_until <= clock_timestamp()) \
             AND (EXISTS (SELECT 1 FROM deliveries \
                 WHERE deliveries.webhook = webhooks.number \
                     AND state = 'pending' AND next_attempt_time <= $1) \
             OR (NOT EXISTS (SELECT 1 FROM deliveries \
                     WHERE deliveries.webhook = webhooks.number \
                         AND state = 'pending' AND NOT replay) \
                 AND webhooks.site = (SELECT next.site FROM decided_comments AS next \
                     WHERE (next.site, next.position) > (webhooks.site, webhooks.position) \
                     ORDER BY next.site, next.position LIMIT 1))) \
         ORDER BY webhooks.number LIMIT $2"
    );
    db.all(&sql, &[&millis(now), &(count_max as i64), &replica], read_webhook).await
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
    pub async fn audit(
        self,
        db: &Db,
        site_number: i64,
        subject: String,
        before: Option<String>,
        after: Option<String>,
    ) -> Result<(), StoreError> {
        let Self { actor, time, action } = self;
        let site_number = Some(site_number);
        Audit { site_number, time, actor, action, subject, before, after, note: None }
            .write(db)
            .await
    }
}

/// See `WebhookStore::create_webhook`.
pub(super) async fn create(
    db: &Db,
    site_number: i64,
    webhook: &WebhookRecord,
    count_max: usize,
    actor: &str,
) -> Result<(), StoreError> {
    // Two at once would each find room for one; and what is decided meanwhile comes after.
    db.lock_site(site_number).await?;
    if webhooks(db, site_number).await?.len() >= count_max {
        return Err(StoreError::Conflict);
    }
    let sql = "INSERT INTO webhooks (site, id, uri, secret, disabled, position, revision, \
         create_time, akismet_key) VALUES ($1, $2, $3, $4, $5, \
         coalesce((SELECT max(position) FROM decided_comments WHERE site = $1), 0), $6, $7, $8)";
    let (uri, secret) = (webhook.uri.as_str(), webhook.secret.as_bytes().as_slice());
    let create_time = millis(webhook.create_time);
    let values: Values<'_> = &[
        &site_number,
        webhook.id.as_uuid(),
        &uri,
        &secret,
        &webhook.disabled,
        &webhook.revision,
        &create_time,
        &webhook.akismet_key,
    ];
    db.execute(sql, values).await?;
    let change = Change { actor, time: webhook.create_time, action: "create-webhook" };
    let subject = webhook.id.name(&webhook.site);
    change.audit(db, site_number, subject, None, Some(webhook_json(webhook))).await
}

/// See `WebhookStore::await_akismet`.
pub(super) async fn await_akismet(
    db: &Db,
    site_number: i64,
    webhook: &WebhookRecord,
    count_max: usize,
    comment: CommentId,
    page_id: &str,
) -> Result<(), StoreError> {
    // The client may have a new key since; what it asked before goes out with that too.
    let sql = "UPDATE webhooks SET akismet_key = $3 WHERE site = $1 AND uri = $2 \
         AND akismet_key <> $3";
    let uri = webhook.uri.as_str();
    db.execute(sql, &[&site_number, &uri, &webhook.akismet_key]).await?;
    let number = match akismet_number(db, site_number, webhook).await? {
        Some(number) => number,
        None => {
            db.lock_site(site_number).await?;
            // Another call may have stored it while the lock was waited for.
            if akismet_number(db, site_number, webhook).await?.is_none() {
                create(db, site_number, webhook, count_max, "akismet").await?;
            }
            akismet_number(db, site_number, webhook).await?.ok_or(StoreError::NotFound)?
        }
    };
    let sql = "INSERT INTO akismet_waits (webhook, comment, page_id) VALUES ($1, $2, $3) \
         ON CONFLICT (webhook, comment) DO UPDATE SET page_id = excluded.page_id";
    db.execute(sql, &[&number, comment.as_uuid(), &page_id]).await.map(drop)
}

/// The row of the webhook of Akismet's clients with this address.
async fn akismet_number(
    db: &Db,
    site_number: i64,
    webhook: &WebhookRecord,
) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT number FROM webhooks \
         WHERE site = $1 AND uri = $2 AND akismet_key IS NOT NULL ORDER BY number LIMIT 1";
    let uri = webhook.uri.as_str();
    db.first(sql, &[&site_number, &uri], |row| get(row, 0)).await
}

/// See `WebhookStore::akismet_waits`.
pub(super) async fn akismet_waits(
    db: &Db,
    webhook: WebhookId,
    comments: &[CommentId],
) -> Result<Vec<(CommentId, String)>, StoreError> {
    let sql = "SELECT comment, page_id FROM akismet_waits \
         WHERE webhook = (SELECT number FROM webhooks WHERE id = $1) \
             AND comment = ANY($2::uuid[]) ORDER BY comment";
    let ids: Vec<Uuid> = comments.iter().map(|comment| *comment.as_uuid()).collect();
    let read = |row: &Row| Ok((comment_id(row, 0)?, get(row, 1)?));
    db.all(sql, &[webhook.as_uuid(), &ids], read).await
}

/// See `WebhookStore::update_webhook`.
pub(super) async fn update(
    db: &Db,
    site_number: i64,
    (site, id): (&SiteId, WebhookId),
    wanted: &WebhookChange,
    change: Change<'_>,
) -> Result<WebhookRecord, StoreError> {
    lock(db, site_number, id).await?;
    let before = webhook(db, site_number, id).await?.ok_or(StoreError::NotFound)?;
    if wanted.revision.is_some_and(|revision| revision != before.revision) {
        return Err(StoreError::Conflict);
    }
    let sql = "UPDATE webhooks SET uri = $3, disabled = $4, revision = revision + 1 \
         WHERE site = $1 AND id = $2";
    let values: Values<'_> = &[&site_number, id.as_uuid(), &wanted.uri.as_str(), &wanted.disabled];
    db.execute(sql, values).await?;
    // Whoever mends an address does not want to wait for what is tried again in an hour.
    let sql = "UPDATE deliveries SET next_attempt_time = $2, begin_time = $2, attempt_count = 0 \
         WHERE state = 'pending' AND webhook = (SELECT number FROM webhooks WHERE id = $1)";
    db.execute(sql, &[id.as_uuid(), &millis(change.time)]).await?;
    let after = webhook(db, site_number, id).await?.ok_or(StoreError::NotFound)?;
    let (old, new) = (Some(webhook_json(&before)), Some(webhook_json(&after)));
    change.audit(db, site_number, id.name(site), old, new).await?;
    Ok(after)
}

/// Keeps other transactions from changing a webhook until this one ends. `NotFound`.
async fn lock(db: &Db, site_number: i64, id: WebhookId) -> Result<(), StoreError> {
    let sql = "SELECT number FROM webhooks WHERE site = $1 AND id = $2 FOR UPDATE";
    let found: Option<i64> =
        db.first(sql, &[&site_number, id.as_uuid()], |row| get(row, 0)).await?;
    found.map(drop).ok_or(StoreError::NotFound)
}

/// See `WebhookStore::rotate_webhook_secret`.
pub(super) async fn rotate(
    db: &Db,
    site_number: i64,
    (site, id): (&SiteId, WebhookId),
    secret: &WebhookSecret,
    previous_until: OffsetDateTime,
    change: Change<'_>,
) -> Result<WebhookRecord, StoreError> {
    let sql = "UPDATE webhooks SET previous_secret = secret, previous_until = $4, secret = $3, \
         revision = revision + 1 WHERE site = $1 AND id = $2";
    let secret = secret.as_bytes().as_slice();
    db.execute(sql, &[&site_number, id.as_uuid(), &secret, &millis(previous_until)]).await?;
    let after = webhook(db, site_number, id).await?.ok_or(StoreError::NotFound)?;
    change.audit(db, site_number, id.name(site), None, None).await?;
    Ok(after)
}

/// See `WebhookStore::delete_webhook`.
pub(super) async fn delete(
    db: &Db,
    site_number: i64,
    (site, id): (&SiteId, WebhookId),
    change: Change<'_>,
) -> Result<(), StoreError> {
    lock(db, site_number, id).await?;
    let before = webhook(db, site_number, id).await?.ok_or(StoreError::NotFound)?;
    let sql = "DELETE FROM webhooks WHERE site = $1 AND id = $2";
    db.execute(sql, &[&site_number, id.as_uuid()]).await?;
    change.audit(db, site_number, id.name(site), Some(webhook_json(&before)), None).await
}
