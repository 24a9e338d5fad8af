//! Deliveries of webhooks as rows: what is read and what is written of them.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::domain::{DeliveryId, SiteId, WebhookId};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::webhooks::{
    AttemptRecord, DeliveryRecord, DeliveryState, WebhookChange, WebhookRecord,
};
use crate::storage::values::{corrupt, millis};

use super::db::{Db, Values};
use super::rows::{get, time, time_or_none, word};
use super::webhook_rows::{self as webhooks, Change};

/// Deliveries removed at once.
const FORGET_COUNT: i64 = 100;
/// How long a replica may take for an attempt before another one makes it: sending is given up
/// after ten seconds.
const LEASE: Duration = Duration::from_secs(30);

/// The columns that [`read_delivery`] reads.
const DELIVERY_COLUMNS: &str = "deliveries.number, deliveries.id, first_position, last_position, \
     decision_count, state, replay, attempt_count, deliveries.create_time, begin_time, \
     attempt_time, next_attempt_time, status, failure";

fn read_delivery(row: &Row) -> Result<DeliveryRecord, StoreError> {
    Ok(DeliveryRecord {
        number: get(row, 0)?,
        id: DeliveryId::from_uuid(get::<Uuid>(row, 1)?),
        first_position: get(row, 2)?,
        last_position: get(row, 3)?,
        decision_count: get::<i64>(row, 4)? as u64,
        state: word(row, 5)?,
        replay: get(row, 6)?,
        attempt_count: u32::try_from(get::<i64>(row, 7)?).map_err(corrupt)?,
        create_time: time(row, 8)?,
        begin_time: time(row, 9)?,
        attempt_time: time_or_none(row, 10)?,
        next_attempt_time: time_or_none(row, 11)?,
        status: get::<Option<i32>>(row, 12)?.map(u16::try_from).transpose().map_err(corrupt)?,
        failure: get(row, 13)?,
    })
}

/// The deliveries of a webhook, newest first.
pub(super) async fn deliveries(
    db: &Db,
    site_number: i64,
    webhook: WebhookId,
    state: Option<DeliveryState>,
    before: i64,
    count_max: usize,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    let sql = format!(
        "SELECT {DELIVERY_COLUMNS} FROM deliveries \
         WHERE webhook = (SELECT number FROM webhooks WHERE site = $1 AND id = $2) \
             AND ($3::text IS NULL OR state = $3) AND number < $4 ORDER BY number DESC LIMIT $5"
    );
    let state = state.map(DeliveryState::as_str);
    let values: Values<'_> =
        &[&site_number, webhook.as_uuid(), &state, &before, &(count_max as i64)];
    db.all(&sql, values, read_delivery).await
}

/// A delivery of a webhook.
pub(super) async fn delivery(
    db: &Db,
    site_number: i64,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Option<DeliveryRecord>, StoreError> {
    let sql = format!(
        "SELECT {DELIVERY_COLUMNS} FROM deliveries \
         WHERE id = $3 AND webhook = (SELECT number FROM webhooks WHERE site = $1 AND id = $2)"
    );
    db.first(&sql, &[&site_number, webhook.as_uuid(), id.as_uuid()], read_delivery).await
}

/// Dead deliveries of all webhooks.
pub(super) async fn dead_count(db: &Db) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM deliveries WHERE state = 'dead'";
    let count: Option<i64> = db.first(sql, &[], |row| get(row, 0)).await?;
    Ok(count.unwrap_or_default() as u64)
}

/// See `WebhookStore::next_delivery`. The webhook is this replica's alone until the attempt is
/// noted, or for [`LEASE`]; while another one has it, there is nothing to do.
pub(super) async fn next_delivery(
    db: &Db,
    replica: Uuid,
    webhook: WebhookId,
    id: DeliveryId,
    decision_count_max: usize,
    now: OffsetDateTime,
) -> Result<Option<DeliveryRecord>, StoreError> {
    let sql = "SELECT number, site, position FROM webhooks WHERE id = $1 AND NOT disabled \
             AND (lease_holder IS NULL OR lease_holder = $2 OR lease_until <= clock_timestamp()) \
         FOR UPDATE SKIP LOCKED";
    let read = |row: &Row| Ok(Own { number: get(row, 0)?, site: get(row, 1)?, told: get(row, 2)? });
    let own = db.first(sql, &[webhook.as_uuid(), &replica], read).await?;
    let Some(own) = own else { return Ok(None) };
    let sql = format!(
        "SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE webhook = $1 \
         AND state = 'pending' AND next_attempt_time <= $2 ORDER BY replay DESC, number LIMIT 1"
    );
    let mut next = db.first(&sql, &[&own.number, &millis(now)], read_delivery).await?;
    if next.is_none() {
        next = new_delivery(db, &own, id, decision_count_max, now).await?;
    }
    if next.is_some() {
        let sql = "UPDATE webhooks SET lease_holder = $2, \
                 lease_until = clock_timestamp() + make_interval(secs => $3) WHERE number = $1";
        db.execute(sql, &[&own.number, &replica, &LEASE.as_secs_f64()]).await?;
    }
    Ok(next)
}

/// A webhook that is locked.
struct Own {
    number: i64,
    site: i64,
    /// The position of the last decided comment that is in a delivery.
    told: i64,
}

/// Makes a delivery of what was decided since the last one, if that one ended.
async fn new_delivery(
    db: &Db,
    own: &Own,
    id: DeliveryId,
    decision_count_max: usize,
    now: OffsetDateTime,
) -> Result<Option<DeliveryRecord>, StoreError> {
    let sql = format!(
        "INSERT INTO deliveries (webhook, id, first_position, last_position, decision_count, \
             state, create_time, begin_time, next_attempt_time) \
         SELECT $1, $2, min(fresh.position), max(fresh.position), count(*), 'pending', $3, $3, $3 \
         FROM (SELECT position FROM decided_comments WHERE site = $5 AND position > $6 \
             ORDER BY position LIMIT $4) AS fresh \
         WHERE NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.webhook = $1 \
             AND state = 'pending' AND NOT replay) \
         HAVING count(*) > 0 RETURNING {DELIVERY_COLUMNS}"
    );
    let (now, count_max) = (millis(now), decision_count_max as i64);
    let values: Values<'_> = &[&own.number, id.as_uuid(), &now, &count_max, &own.site, &own.told];
    let made = db.first(&sql, values, read_delivery).await?;
    if let Some(made) = &made {
        let sql = "UPDATE webhooks SET position = $2 WHERE number = $1";
        db.execute(sql, &[&own.number, &made.last_position]).await?;
    }
    Ok(made)
}

/// Notes an attempt, gives the webhook free, and forgets deliveries that ended well long ago.
pub(super) async fn end_attempt(
    db: &Db,
    replica: Uuid,
    id: DeliveryId,
    attempt: &AttemptRecord,
) -> Result<(), StoreError> {
    // The webhook first, like all who lock both.
    let sql = "UPDATE webhooks SET lease_holder = NULL, lease_until = NULL \
         WHERE number = (SELECT webhook FROM deliveries WHERE id = $1) AND lease_holder = $2";
    db.execute(sql, &[id.as_uuid(), &replica]).await?;
    let sql = "UPDATE deliveries SET state = $2, attempt_count = attempt_count + 1, \
         attempt_time = $3, next_attempt_time = $4, status = $5, failure = $6 WHERE id = $1";
    let next = attempt.next_attempt_time.map(millis);
    let (state, time) = (attempt.state.as_str(), millis(attempt.time));
    let status = attempt.status.map(i32::from);
    let values: Values<'_> = &[id.as_uuid(), &state, &time, &next, &status, &attempt.failure];
    db.execute(sql, values).await?;
    let sql = "DELETE FROM deliveries WHERE number IN (SELECT number FROM deliveries \
         WHERE webhook = (SELECT webhook FROM deliveries WHERE id = $1) \
             AND state = 'delivered' AND attempt_time < $2 LIMIT $3)";
    db.execute(sql, &[id.as_uuid(), &millis(attempt.forget_before), &FORGET_COUNT]).await?;
    if attempt.disables { disable(db, id, attempt.time).await } else { Ok(()) }
}

/// Disables the webhook of a delivery.
async fn disable(db: &Db, delivery: DeliveryId, time: OffsetDateTime) -> Result<(), StoreError> {
    let found = webhooks::webhook_of(db, delivery).await?;
    let Some(WebhookRecord { site, id, uri, .. }) = found else { return Ok(()) };
    let sql = "SELECT site FROM webhooks WHERE id = $1";
    let site_number: Option<i64> = db.first(sql, &[id.as_uuid()], |row| get(row, 0)).await?;
    let Some(site_number) = site_number else { return Ok(()) };
    let wanted = WebhookChange { revision: None, uri, disabled: true };
    let change = Change { actor: "webhooks", time, action: "update-webhook" };
    webhooks::update(db, site_number, (&site, id), &wanted, change).await.map(drop)
}

/// See `WebhookStore::replay_delivery`.
pub(super) async fn replay(
    db: &Db,
    site_number: i64,
    (site, webhook): (&SiteId, WebhookId),
    id: DeliveryId,
    change: Change<'_>,
) -> Result<DeliveryRecord, StoreError> {
    let found = delivery(db, site_number, webhook, id).await?.ok_or(StoreError::NotFound)?;
    let sql = "UPDATE deliveries SET state = 'pending', replay = true, attempt_count = 0, \
         begin_time = $2, next_attempt_time = $2 WHERE id = $1 AND state <> 'pending'";
    // Whoever asked for it at the same time made it pending.
    if db.execute(sql, &[id.as_uuid(), &millis(change.time)]).await? == 0 {
        return Err(StoreError::Conflict);
    }
    let before = Some(found.state.as_str().to_owned());
    change.audit(db, site_number, id.name(site, webhook), before, None).await?;
    delivery(db, site_number, webhook, id).await?.ok_or(StoreError::NotFound)
}
