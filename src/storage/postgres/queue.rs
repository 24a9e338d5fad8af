//! The entries of the review queue: the held comments of a campaign in one row.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::domain::{CommentId, State};
use crate::moderation::ports::StoreError;

use super::db::Db;

/// Makes the entries of campaigns anew after their comments moved.
///
/// The rows are locked first, in the order of the table, and written if there are none yet: a
/// check that holds a comment of the campaign at the same time adds it before, so that the counts
/// see it, or after, on top of them.
pub(super) async fn refresh(
    db: &Db,
    site_number: i64,
    campaigns: &BTreeSet<CommentId>,
) -> Result<(), StoreError> {
    if campaigns.is_empty() {
        return Ok(());
    }
    let campaigns: Vec<Uuid> = campaigns.iter().map(|campaign| *campaign.as_uuid()).collect();
    let sql = "INSERT INTO queue_entries AS known (site, campaign, comment, held_count, \
             uncertainty, probability, first_time, last_time, usefulness) \
         SELECT $1, campaign, campaign, 0, 0, 0, 0, 0, 0 FROM unnest($2::uuid[]) AS campaign \
         ORDER BY campaign \
         ON CONFLICT (site, campaign) DO UPDATE SET held_count = known.held_count";
    db.execute(sql, &[&site_number, &campaigns]).await?;
    let held = State::Held.as_str();
    // A comment without a score is sorted before all others.
    let sql = "UPDATE queue_entries SET comment = now.comment, held_count = now.held_count, \
             uncertainty = now.uncertainty, probability = now.probability, \
             first_time = now.first_time, last_time = now.last_time, \
             usefulness = usefulness(now.uncertainty, now.held_count, now.first_time) \
         FROM (SELECT campaign, (array_agg(id ORDER BY id DESC))[1] AS comment, \
                 count(*) AS held_count, max(uncertainty) AS uncertainty, \
                 max(coalesce(probability, 2)) AS probability, min(check_time) AS first_time, \
                 max(check_time) AS last_time \
             FROM comments WHERE site = $1 AND campaign = ANY($2::uuid[]) AND state = $3 \
             GROUP BY campaign) AS now \
         WHERE queue_entries.site = $1 AND queue_entries.campaign = now.campaign";
    db.execute(sql, &[&site_number, &campaigns, &held]).await?;
    let sql = "WITH gone AS (\
             DELETE FROM queue_entries WHERE site = $1 AND campaign = ANY($2::uuid[]) \
                 AND NOT EXISTS (SELECT 1 FROM comments WHERE comments.site = $1 \
                     AND comments.campaign = queue_entries.campaign AND comments.state = $3) \
             RETURNING campaign) \
         DELETE FROM claims USING gone \
         WHERE claims.site = $1 AND claims.campaign = gone.campaign";
    db.execute(sql, &[&site_number, &campaigns, &held]).await.map(drop)
}
