//! What is written. Each function runs inside the writer's transaction.

use rusqlite::{Connection, params};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::domain::{Fingerprint, Site, SiteId, SitePolicy, State};
use crate::moderation::ports::{KeyRecord, RecordedCheck, RequestMark, StoreError};

use super::authors::AuthorChange;
use super::cache::{Effect, author_key};
use super::days::DayChange;
use super::error::from_sqlite;
use super::queries;
use super::queue;
use super::rows::{CommentRow, StoredSite, corrupt, millis};
use super::writer::Batch;

/// The site, from memory or disk.
pub(super) fn stored_site(batch: &Batch<'_>, id: &SiteId) -> Result<StoredSite, StoreError> {
    match batch.caches.sites.get(id) {
        Ok(site) => Ok(site),
        Err(_) => queries::site(batch.db, id)?.ok_or(StoreError::NotFound),
    }
}

/// An entry of the audit log that is about to be written.
pub(super) struct Audit<'a> {
    pub site_number: i64,
    pub time: OffsetDateTime,
    pub actor: &'a str,
    pub action: &'static str,
    pub subject: String,
    pub before: Option<String>,
    pub after: Option<String>,
    pub note: Option<&'a str>,
}

impl Audit<'_> {
    pub fn write(self, db: &Connection) -> Result<(), StoreError> {
        let sql = "INSERT INTO audit_entries \
             (site, time, actor, action, subject, before, after, note) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        execute(
            db,
            sql,
            params![
                self.site_number,
                millis(self.time),
                self.actor,
                self.action,
                self.subject,
                self.before,
                self.after,
                self.note
            ],
        )
    }
}

/// Executes a statement that is used again and again.
pub(super) fn execute(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached(sql).map_err(from_sqlite)?;
    statement.execute(params).map(drop).map_err(from_sqlite)
}

/// A site as the audit log shows it; without its secret.
fn site_json(site: &Site) -> String {
    json!({ "display_name": site.display_name, "policy": site.policy }).to_string()
}

pub(super) fn create_site(
    batch: &mut Batch<'_>,
    site: Site,
    actor: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO sites (id, display_name, secret, policy, revision, create_time) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let policy = serde_json::to_string(&site.policy).map_err(corrupt)?;
    let create_time = millis(site.create_time);
    let values = params![
        site.id.as_str(),
        site.display_name,
        site.secret.as_bytes(),
        policy,
        site.revision,
        create_time
    ];
    execute(batch.db, sql, values)?;
    Audit {
        site_number: batch.db.last_insert_rowid(),
        time: site.create_time,
        actor,
        action: "create-site",
        subject: site.id.name(),
        before: None,
        after: Some(site_json(&site)),
        note: None,
    }
    .write(batch.db)?;
    let stored = queries::site(batch.db, &site.id)?.ok_or(StoreError::NotFound)?;
    batch.effects.push(Effect::Site(stored));
    Ok(())
}

/// The change that [`update_site`] makes.
pub(super) struct SiteChange {
    pub revision: Option<i64>,
    pub display_name: String,
    pub policy: SitePolicy,
    pub actor: String,
    pub time: OffsetDateTime,
}

pub(super) fn update_site(
    batch: &mut Batch<'_>,
    id: &SiteId,
    change: SiteChange,
) -> Result<Site, StoreError> {
    // Read from disk: an earlier job of this batch may have changed it.
    let before = queries::site(batch.db, id)?.ok_or(StoreError::NotFound)?;
    if change.revision.is_some_and(|revision| revision != before.site.revision) {
        return Err(StoreError::Conflict);
    }
    let sql = "UPDATE sites SET display_name = ?2, policy = ?3, revision = revision + 1 \
         WHERE number = ?1";
    let policy = serde_json::to_string(&change.policy).map_err(corrupt)?;
    execute(batch.db, sql, params![before.number, change.display_name, policy])?;
    let after = queries::site(batch.db, id)?.ok_or(StoreError::NotFound)?;
    Audit {
        site_number: before.number,
        time: change.time,
        actor: &change.actor,
        action: "update-site",
        subject: id.name(),
        before: Some(site_json(&before.site)),
        after: Some(site_json(&after.site)),
        note: None,
    }
    .write(batch.db)?;
    let site = Site::clone(&after.site);
    batch.effects.push(Effect::Site(after));
    Ok(site)
}

/// A key as the audit log shows it; without its hash.
fn key_json(key: &KeyRecord) -> String {
    json!({ "display_name": key.display_name, "scopes": key.scopes }).to_string()
}

/// An instant as text, for the audit log.
fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}

fn key_name(key: &KeyRecord) -> String {
    format!("{}/keys/{}", key.site.name(), key.id)
}

pub(super) fn create_key(
    batch: &mut Batch<'_>,
    key: &KeyRecord,
    actor: &str,
) -> Result<(), StoreError> {
    let site_number = stored_site(batch, &key.site)?.number;
    let sql = "INSERT INTO keys (id, site, hash, scopes, display_name, create_time, revoke_time) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let values = params![
        key.id.as_bytes(),
        site_number,
        key.hash,
        serde_json::to_string(&key.scopes).map_err(corrupt)?,
        key.display_name,
        millis(key.create_time),
        key.revoke_time.map(millis)
    ];
    execute(batch.db, sql, values)?;
    Audit {
        site_number,
        time: key.create_time,
        actor,
        action: "create-key",
        subject: key_name(key),
        before: None,
        after: Some(key_json(key)),
        note: None,
    }
    .write(batch.db)?;
    batch.effects.push(Effect::KeyChanged(key.hash));
    Ok(())
}

pub(super) fn revoke_key(
    batch: &mut Batch<'_>,
    site: &SiteId,
    id: Uuid,
    actor: &str,
    (now, end): (OffsetDateTime, OffsetDateTime),
) -> Result<KeyRecord, StoreError> {
    let site_number = stored_site(batch, site)?.number;
    let found = queries::key(batch.db, site_number, id)?.ok_or(StoreError::NotFound)?;
    // An end that lies ahead can be brought forward, and that is all.
    if found.revoke_time.is_some_and(|known| known <= end) {
        return Ok(found);
    }
    let sql = "UPDATE keys SET revoke_time = ?2 WHERE id = ?1";
    execute(batch.db, sql, params![id.as_bytes(), millis(end)])?;
    Audit {
        site_number,
        time: now,
        actor,
        action: "revoke-key",
        subject: key_name(&found),
        before: Some(key_json(&found)),
        after: (end > now).then(|| json!({ "revoke_time": rfc3339(end) }).to_string()),
        note: None,
    }
    .write(batch.db)?;
    batch.effects.push(Effect::KeyChanged(found.hash));
    queries::key(batch.db, site_number, id)?.ok_or(StoreError::NotFound)
}

/// Notes when keys were last used.
pub(super) fn note_key_uses(
    db: &Connection,
    uses: &[(Uuid, OffsetDateTime)],
) -> Result<(), StoreError> {
    for (id, time) in uses {
        let sql = "UPDATE keys SET use_time = ?2 WHERE id = ?1";
        execute(db, sql, params![id.as_bytes(), millis(*time)])?;
    }
    Ok(())
}

/// Records a check. Runs without a savepoint: whatever is refused is refused before or by the
/// first INSERT.
pub(super) fn record_check(
    batch: &mut Batch<'_>,
    row: &CommentRow,
    request: Option<RequestMark>,
    now: OffsetDateTime,
) -> Result<RecordedCheck, StoreError> {
    let site_number = stored_site(batch, &row.site)?.number;
    let request = request.map(|mark| ((site_number, *mark.id.as_uuid().as_bytes()), mark.digest));
    if let Some((key, _)) = &request
        && (batch.caches.known_requests.may_contain(key) || batch.has_request(key))
        && let Some((digest, comment)) = queries::request(batch.db, key, &row.site, now)?
    {
        return Ok(RecordedCheck::Repeated(digest, comment));
    }
    insert_comment(batch, site_number, row)?;
    if row.state == State::Held {
        queue::add(batch.db, site_number, row)?;
    }
    batch.day_changes.push(DayChange::verdict(site_number, row.check_time, row.verdict));
    if let Some((key, digest)) = request {
        let sql = "INSERT OR REPLACE INTO requests (hour, site, id, time, digest, comment) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let hour = queries::hour(row.check_time);
        let id = row.id.as_uuid().as_bytes();
        let values = params![hour, key.0, key.1, row.check_time, digest.as_bytes(), id];
        execute(batch.db, sql, values)?;
        batch.effects.push(Effect::Request(key));
        batch.latest_time = batch.latest_time.max(Some(now));
    }
    if let Some(author) = row.author {
        let mut change = AuthorChange::default();
        *change.of_state(row.state) += 1;
        batch.author_changes.push((author_key(site_number, author), change));
    }
    Ok(RecordedCheck::New)
}

fn insert_comment(batch: &Batch<'_>, site_number: i64, row: &CommentRow) -> Result<(), StoreError> {
    let floor = batch.caches.comment_floor();
    // SQLite chooses the number but where it would give that of a removed comment again.
    let number = match floor {
        0 => None,
        floor => Some(queries::last_comment(batch.db)?.max(floor) + 1),
    };
    let sql = "INSERT INTO comments (site, id, check_time, verdict, state, discard, probability, \
         model_version, author, ip, ip_prefix, page_uri, lang, content_hash, simhash, body, \
         campaign, uncertainty, number) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, \
         ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";
    let values = params![
        site_number,
        row.id.as_uuid().as_bytes(),
        row.check_time,
        row.verdict.as_str(),
        row.state.as_str(),
        row.discard,
        row.probability,
        row.model_version,
        row.author.as_ref().map(Fingerprint::as_bytes),
        row.ip.as_ref().map(Fingerprint::as_bytes),
        row.ip_prefix.as_ref().map(Fingerprint::as_bytes),
        row.page_uri,
        row.lang,
        row.content_hash as i64,
        row.simhash.to_be_bytes(),
        row.body,
        row.campaign.as_uuid().as_bytes(),
        row.uncertainty,
        number
    ];
    execute(batch.db, sql, values)
}

/// Writes something small, to see whether the store can.
pub(super) fn ping(batch: &mut Batch<'_>) -> Result<(), StoreError> {
    execute(batch.db, "UPDATE pings SET count = count + 1 WHERE number = 1", [])
}

/// Removes at most `count_max` request ids of hours that expired before `now`.
pub(super) fn purge_requests(
    db: &Connection,
    now: OffsetDateTime,
    count_max: usize,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM requests WHERE (hour, site, id) IN \
         (SELECT hour, site, id FROM requests WHERE hour < ?1 LIMIT ?2)";
    let hour = queries::hour(millis(now - queries::REQUEST_LIFE));
    execute(db, sql, params![hour, count_max as i64])
}
