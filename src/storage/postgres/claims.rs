//! Who looks at what.

use std::collections::HashSet;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::CommentId;
use crate::moderation::ports::StoreError;
use crate::moderation::ports::review::{Claim, NewDecision};
use crate::storage::values::millis;

use super::db::Db;
use super::rows::{comment_id, get, time};

/// Claims a campaign, unless another has it; answers with who has it then.
pub(super) async fn claim(
    db: &Db,
    site_number: i64,
    campaign: CommentId,
    claim: Claim,
    now: OffsetDateTime,
) -> Result<Claim, StoreError> {
    let sql = "INSERT INTO claims AS known (site, campaign, actor, expire_time) \
         VALUES ($1, $2, $3, $4) ON CONFLICT (site, campaign) DO UPDATE \
         SET actor = excluded.actor, expire_time = excluded.expire_time \
         WHERE known.actor = excluded.actor OR known.expire_time <= $5";
    let (until, now) = (millis(claim.expire_time), millis(now));
    db.execute(sql, &[&site_number, campaign.as_uuid(), &claim.actor, &until, &now]).await?;
    let sql = "SELECT actor, expire_time FROM claims WHERE site = $1 AND campaign = $2";
    let values: super::db::Values<'_> = &[&site_number, campaign.as_uuid()];
    let read = |row: &_| Ok(Claim { actor: get(row, 0)?, expire_time: time(row, 1)? });
    Ok(db.first(sql, values, read).await?.unwrap_or(claim))
}

pub(super) async fn release(
    db: &Db,
    site_number: i64,
    campaign: CommentId,
    actor: &str,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM claims WHERE site = $1 AND campaign = $2 AND actor = $3";
    db.execute(sql, &[&site_number, campaign.as_uuid(), &actor]).await.map(drop)
}

/// Those of some campaigns that somebody else than who decides has claimed.
pub(super) async fn claimed_by_others(
    db: &Db,
    site_number: i64,
    campaigns: &[Uuid],
    decision: &NewDecision,
) -> Result<HashSet<CommentId>, StoreError> {
    let sql = "SELECT campaign FROM claims WHERE site = $1 AND campaign = ANY($2::uuid[]) \
         AND actor <> $3 AND expire_time > $4";
    let now = millis(decision.time);
    let values: super::db::Values<'_> = &[&site_number, &campaigns, &decision.actor, &now];
    let claimed = db.all(sql, values, |row| comment_id(row, 0)).await?;
    Ok(claimed.into_iter().collect())
}
