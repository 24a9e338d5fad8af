//! Who looks at what. Each function runs inside the writer's transaction.

use rusqlite::{Connection, params};
use time::OffsetDateTime;

use crate::domain::{CommentId, SiteId};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::review::NewDecision;

use super::commands::{execute, stored_site};
use super::queries::first;
use super::rows::millis;
use super::writer::Batch;

/// Claims a campaign, unless another has it; answers with who has it then.
pub(super) fn claim(
    batch: &mut Batch<'_>,
    site: &SiteId,
    campaign: CommentId,
    actor: &str,
    expire_time: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let site_number = stored_site(batch, site)?.number;
    let sql = "INSERT INTO claims (site, campaign, actor, expire_time) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT DO UPDATE SET actor = ?3, expire_time = ?4 \
         WHERE actor = ?3 OR expire_time <= ?5";
    let campaign = campaign.as_uuid().as_bytes();
    let (until, now) = (millis(expire_time), millis(now));
    execute(batch.db, sql, params![site_number, campaign, actor, until, now])
}

pub(super) fn release(
    batch: &mut Batch<'_>,
    site: &SiteId,
    campaign: CommentId,
    actor: &str,
) -> Result<(), StoreError> {
    let site_number = stored_site(batch, site)?.number;
    let sql = "DELETE FROM claims WHERE site = ?1 AND campaign = ?2 AND actor = ?3";
    execute(batch.db, sql, params![site_number, campaign.as_uuid().as_bytes(), actor])
}

/// Whether somebody else than who decides has claimed a campaign.
pub(super) fn claimed_by_another(
    db: &Connection,
    site: i64,
    campaign: CommentId,
    decision: &NewDecision,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM claims \
         WHERE site = ?1 AND campaign = ?2 AND actor <> ?3 AND expire_time > ?4";
    let campaign = campaign.as_uuid().as_bytes();
    let values = params![site, campaign, decision.actor, millis(decision.time)];
    Ok(first(db, sql, values, |_| Ok(()))?.is_some())
}
