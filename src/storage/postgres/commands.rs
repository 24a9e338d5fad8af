//! What is written about sites and keys. Each function runs inside a transaction.

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Site, SiteId, SitePolicy};
use crate::moderation::ports::{KeyRecord, StoreError};
use crate::storage::values::{corrupt, millis};

use super::audit::Audit;
use super::db::Db;
use super::listener::Told;
use super::queries;
use super::rows::get;

/// A site as the audit log shows it; without its secret.
fn site_json(site: &Site) -> String {
    json!({ "display_name": site.display_name, "policy": site.policy }).to_string()
}

pub(super) async fn create_site(db: &Db, site: &Site, actor: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO sites (id, display_name, secret, policy, revision, create_time) \
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING number";
    let policy = serde_json::to_string(&site.policy).map_err(corrupt)?;
    let create_time = millis(site.create_time);
    let secret = site.secret.as_bytes().as_slice();
    let values: super::db::Values<'_> =
        &[&site.id.as_str(), &site.display_name, &secret, &policy, &site.revision, &create_time];
    let site_number = db.first(sql, values, |row| get(row, 0)).await?;
    Audit {
        site_number,
        time: site.create_time,
        actor,
        action: "create-site",
        subject: site.id.name(),
        before: None,
        after: Some(site_json(site)),
        note: None,
    }
    .write(db)
    .await?;
    db.tell(&Told::Site(site.id.clone())).await
}

/// The change that [`update_site`] makes.
pub(super) struct SiteChange<'a> {
    pub revision: Option<i64>,
    pub display_name: &'a str,
    pub policy: &'a SitePolicy,
    pub actor: &'a str,
    pub time: OffsetDateTime,
}

pub(super) async fn update_site(
    db: &Db,
    id: &SiteId,
    change: &SiteChange<'_>,
) -> Result<Site, StoreError> {
    let before = queries::site_for_update(db, id).await?;
    if change.revision.is_some_and(|revision| revision != before.site.revision) {
        return Err(StoreError::Conflict);
    }
    let sql = "UPDATE sites SET display_name = $2, policy = $3, revision = revision + 1 \
         WHERE number = $1";
    let policy = serde_json::to_string(change.policy).map_err(corrupt)?;
    db.execute(sql, &[&before.number, &change.display_name, &policy]).await?;
    let after = queries::site(db, id).await?.ok_or(StoreError::NotFound)?;
    Audit {
        site_number: Some(before.number),
        time: change.time,
        actor: change.actor,
        action: "update-site",
        subject: id.name(),
        before: Some(site_json(&before.site)),
        after: Some(site_json(&after.site)),
        note: None,
    }
    .write(db)
    .await?;
    db.tell(&Told::Site(id.clone())).await?;
    Ok(Site::clone(&after.site))
}

/// A key as the audit log shows it; without its hash.
fn key_json(key: &KeyRecord) -> String {
    json!({ "display_name": key.display_name, "scopes": key.scopes }).to_string()
}

fn key_name(key: &KeyRecord) -> String {
    format!("{}/keys/{}", key.site.name(), key.id)
}

pub(super) async fn create_key(
    db: &Db,
    site_number: i64,
    key: &KeyRecord,
    actor: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO keys (id, site, hash, scopes, display_name, create_time, revoke_time) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let scopes = serde_json::to_string(&key.scopes).map_err(corrupt)?;
    let (create_time, revoke_time) = (millis(key.create_time), key.revoke_time.map(millis));
    let values: super::db::Values<'_> = &[
        &key.id,
        &site_number,
        &key.hash.as_slice(),
        &scopes,
        &key.display_name,
        &create_time,
        &revoke_time,
    ];
    db.execute(sql, values).await?;
    Audit {
        site_number: Some(site_number),
        time: key.create_time,
        actor,
        action: "create-key",
        subject: key_name(key),
        before: None,
        after: Some(key_json(key)),
        note: None,
    }
    .write(db)
    .await?;
    db.tell(&Told::Key(key.hash)).await
}

pub(super) async fn revoke_key(
    db: &Db,
    site_number: i64,
    id: Uuid,
    actor: &str,
    time: OffsetDateTime,
) -> Result<KeyRecord, StoreError> {
    let found = queries::key_for_update(db, site_number, id).await?.ok_or(StoreError::NotFound)?;
    if found.revoke_time.is_some() {
        return Ok(found);
    }
    let sql = "UPDATE keys SET revoke_time = $2 WHERE id = $1";
    db.execute(sql, &[&id, &millis(time)]).await?;
    Audit {
        site_number: Some(site_number),
        time,
        actor,
        action: "revoke-key",
        subject: key_name(&found),
        before: Some(key_json(&found)),
        after: None,
        note: None,
    }
    .write(db)
    .await?;
    db.tell(&Told::Key(found.hash)).await?;
    queries::key_for_update(db, site_number, id).await?.ok_or(StoreError::NotFound)
}

/// Notes when keys were last used; several replicas may say it, and the latest counts.
pub(super) async fn note_key_uses(
    db: &Db,
    uses: &[(Uuid, OffsetDateTime)],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = uses.iter().map(|(id, _)| *id).collect();
    let times: Vec<i64> = uses.iter().map(|(_, time)| millis(*time)).collect();
    let sql = "UPDATE keys SET use_time = greatest(keys.use_time, used.time) \
         FROM (SELECT id, max(time) AS time FROM unnest($1::uuid[], $2::bigint[]) \
             AS used (id, time) GROUP BY id ORDER BY id) AS used \
         WHERE keys.id = used.id";
    db.execute(sql, &[&ids, &times]).await.map(drop)
}

/// Writes something small, to see whether the store can.
pub(super) async fn ping(db: &Db) -> Result<(), StoreError> {
    db.execute("UPDATE pings SET count = count + 1 WHERE number = 1", &[]).await.map(drop)
}
