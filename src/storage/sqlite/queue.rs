//! The entries of the review queue: the held comments of a campaign in one row.

use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::{CommentId, State, usefulness};
use crate::moderation::ports::StoreError;

use super::commands::execute;
use super::error::from_sqlite;
use super::rows::CommentRow;

/// How a comment without a score is sorted: before all others.
const UNSCORED: f64 = 2.0;

/// An entry before it is written.
struct Entry {
    comment: [u8; 16],
    held_count: i64,
    uncertainty: f64,
    probability: f64,
    first_time: i64,
    last_time: i64,
}

/// Adds a comment that was just held to its campaign's entry.
pub(super) fn add(db: &Connection, site_number: i64, row: &CommentRow) -> Result<(), StoreError> {
    let sql = "SELECT held_count, uncertainty, probability, first_time, last_time, comment \
         FROM queue_entries WHERE site = ?1 AND campaign = ?2";
    let campaign = row.campaign.as_uuid().as_bytes();
    let mut statement = db.prepare_cached(sql).map_err(from_sqlite)?;
    let known: Option<(i64, f64, f64, i64, i64, [u8; 16])> = statement
        .query_row(params![site_number, campaign], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })
        .optional()
        .map_err(from_sqlite)?;
    let probability = row.probability.unwrap_or(UNSCORED);
    let id = *row.id.as_uuid().as_bytes();
    let (held_count, uncertainty, highest, first_time, last_time, comment) =
        known.unwrap_or((0, 0.0, 0.0, row.check_time, row.check_time, id));
    let entry = Entry {
        // Of one millisecond, as `refresh` would choose.
        comment: comment.max(id),
        held_count: held_count + 1,
        uncertainty: row.uncertainty.max(uncertainty),
        probability: probability.max(highest),
        first_time: first_time.min(row.check_time),
        last_time: last_time.max(row.check_time),
    };
    write(db, site_number, campaign, &entry)
}

/// Makes a campaign's entry anew after its comments moved.
pub(super) fn refresh(
    db: &Connection,
    site_number: i64,
    campaign: CommentId,
) -> Result<(), StoreError> {
    let campaign = campaign.as_uuid().as_bytes();
    let sql = "SELECT max(id), count(*), max(uncertainty), max(coalesce(probability, ?4)), \
         min(check_time), max(check_time) FROM comments INDEXED BY comments_by_campaign \
         WHERE site = ?1 AND campaign = ?2 AND state = ?3";
    let held = State::Held.as_str();
    let mut statement = db.prepare_cached(sql).map_err(from_sqlite)?;
    let entry = statement
        .query_row(params![site_number, campaign, held, UNSCORED], |row| {
            if row.get::<_, i64>(1)? == 0 {
                return Ok(None);
            }
            Ok(Some(Entry {
                comment: row.get(0)?,
                held_count: row.get(1)?,
                uncertainty: row.get(2)?,
                probability: row.get(3)?,
                first_time: row.get(4)?,
                last_time: row.get(5)?,
            }))
        })
        .map_err(from_sqlite)?;
    match entry {
        Some(entry) => write(db, site_number, campaign, &entry),
        None => {
            let sql = "DELETE FROM queue_entries WHERE site = ?1 AND campaign = ?2";
            execute(db, sql, params![site_number, campaign])?;
            let sql = "DELETE FROM claims WHERE site = ?1 AND campaign = ?2";
            execute(db, sql, params![site_number, campaign])
        }
    }
}

fn write(
    db: &Connection,
    site_number: i64,
    campaign: &[u8; 16],
    entry: &Entry,
) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO queue_entries (site, campaign, comment, held_count, \
         uncertainty, probability, first_time, last_time, usefulness) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let place = usefulness(entry.uncertainty, entry.held_count as u64, entry.first_time);
    let values = params![
        site_number,
        campaign,
        entry.comment,
        entry.held_count,
        entry.uncertainty,
        entry.probability,
        entry.first_time,
        entry.last_time,
        place
    ];
    execute(db, sql, values)
}
