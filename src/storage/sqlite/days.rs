//! Counts of days, gathered over a batch and written together before its COMMIT.

use rusqlite::{Connection, Row, params};

use crate::domain::{State, Verdict};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::review::DayCounts;

use super::commands::execute;
use super::error::from_sqlite;
use super::queries::all;
use super::writer::Batch;

/// The columns of `daily_counts` that are counted, in the order of [`DayChange`].
const COLUMNS: [&str; 7] = [
    "approve_count",
    "hold_count",
    "reject_count",
    "held_approved_count",
    "held_rejected_count",
    "rejected_approved_count",
    "approved_rejected_count",
];

/// One more, or one fewer, in a column of a site's day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DayChange {
    site_number: i64,
    day: i64,
    column: usize,
    change: i64,
}

impl DayChange {
    /// A comment of this verdict was checked at a time in milliseconds.
    pub fn verdict(site_number: i64, time: i64, verdict: Verdict) -> Self {
        let column = match verdict {
            Verdict::Approve => 0,
            Verdict::Hold => 1,
            Verdict::Reject => 2,
        };
        Self { site_number, day: day(time), column, change: 1 }
    }

    /// A person moved a comment from where the filter had put it; `change` is -1 if that is taken
    /// back. Nothing if it is not counted.
    pub fn decision(
        site_number: i64,
        time: i64,
        [from, to]: [State; 2],
        change: i64,
    ) -> Option<Self> {
        let column = match (from, to) {
            (State::Held, State::Approved) => 3,
            (State::Held, State::Rejected) => 4,
            (State::Rejected, State::Approved) => 5,
            (State::Approved, State::Rejected) => 6,
            _ => return None,
        };
        Some(Self { site_number, day: day(time), column, change })
    }
}

/// The day since 1970 of an instant in milliseconds.
pub(super) fn day(millis: i64) -> i64 {
    millis.div_euclid(86_400_000)
}

/// Writes what the jobs of the batch counted: one row a site and day.
pub(super) fn write(batch: &mut Batch<'_>) -> Result<(), StoreError> {
    let mut changes = std::mem::take(&mut batch.day_changes);
    changes.sort_unstable();
    for group in changes.chunk_by(|a, b| (a.site_number, a.day) == (b.site_number, b.day)) {
        let mut sums = [0i64; COLUMNS.len()];
        for change in group {
            sums[change.column] += change.change;
        }
        add(batch.db, group[0].site_number, group[0].day, sums)?;
    }
    Ok(())
}

fn add(
    db: &Connection,
    site_number: i64,
    day: i64,
    sums: [i64; COLUMNS.len()],
) -> Result<(), StoreError> {
    let set: Vec<String> = (3..)
        .zip(COLUMNS)
        .map(|(parameter, column)| format!("{column} = {column} + ?{parameter}"))
        .collect();
    let sql = format!(
        "INSERT INTO daily_counts (site, day, {}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
         ON CONFLICT DO UPDATE SET {}",
        COLUMNS.join(", "),
        set.join(", ")
    );
    let [a, b, c, d, e, f, g] = sums;
    execute(db, &sql, params![site_number, day, a, b, c, d, e, f, g])
}

/// The counts of a site's days since a time in milliseconds.
pub(super) fn day_counts(
    db: &Connection,
    site_number: i64,
    since: i64,
) -> Result<Vec<DayCounts>, StoreError> {
    let sql = format!(
        "SELECT day, {} FROM daily_counts WHERE site = ?1 AND day >= ?2 ORDER BY day",
        COLUMNS.join(", ")
    );
    let read = |row: &Row<'_>| -> rusqlite::Result<DayCounts> {
        // A count is below zero only where days before this version were counted otherwise.
        let count = |column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)?.max(0) as u64);
        Ok(DayCounts {
            day: row.get(0)?,
            approve_count: count(1)?,
            hold_count: count(2)?,
            reject_count: count(3)?,
            held_approved_count: count(4)?,
            held_rejected_count: count(5)?,
            rejected_approved_count: count(6)?,
            approved_rejected_count: count(7)?,
        })
    };
    all(db, &sql, params![site_number, day(since)], |row| read(row).map_err(from_sqlite))
}
