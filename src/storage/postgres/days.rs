//! Counts of days.

use time::OffsetDateTime;
use tokio_postgres::Row;

use crate::domain::State;
use crate::moderation::ports::StoreError;
use crate::moderation::ports::review::DayCounts;
use crate::storage::values::millis;

use super::db::Db;
use super::rows::get;

/// Where decisions count, besides the shards of those who record checks: so neither waits for the
/// other's COMMIT.
const SHARD: i16 = 16;

/// The columns of `daily_counts` that decisions count in, in the order of [`DayChange`].
const COLUMNS: [&str; 4] = [
    "held_approved_count",
    "held_rejected_count",
    "rejected_approved_count",
    "approved_rejected_count",
];

/// One more, or one fewer, in a column of a day.
#[derive(Debug, Clone, Copy)]
pub(super) struct DayChange {
    day: i64,
    column: usize,
    change: i64,
}

impl DayChange {
    /// A person moved a comment, at a time in milliseconds, from where the filter had put it;
    /// `change` is -1 if that is taken back. Nothing if it is not counted.
    pub fn decision(time: i64, [from, to]: [State; 2], change: i64) -> Option<Self> {
        let column = match (from, to) {
            (State::Held, State::Approved) => 0,
            (State::Held, State::Rejected) => 1,
            (State::Rejected, State::Approved) => 2,
            (State::Approved, State::Rejected) => 3,
            _ => return None,
        };
        Some(Self { day: day(time), column, change })
    }
}

/// The day since 1970 of an instant in milliseconds.
fn day(millis: i64) -> i64 {
    millis.div_euclid(86_400_000)
}

/// Adds the changes to a site's days in one statement, in the order of the table.
pub(super) async fn write(
    db: &Db,
    site_number: i64,
    changes: &[DayChange],
) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let days: Vec<i64> = changes.iter().map(|change| change.day).collect();
    let column = |column: usize| -> Vec<i64> {
        let count = |change: &DayChange| if change.column == column { change.change } else { 0 };
        changes.iter().map(count).collect()
    };
    let sums: Vec<String> = COLUMNS.iter().map(|column| format!("sum({column})::bigint")).collect();
    let set: Vec<String> = COLUMNS
        .iter()
        .map(|column| format!("{column} = known.{column} + excluded.{column}"))
        .collect();
    let names = COLUMNS.join(", ");
    let sql = format!(
        "INSERT INTO daily_counts AS known (site, day, shard, {names}) \
         SELECT $1::bigint, day, $2::smallint, {sums} \
         FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) \
             AS change (day, {names}) \
         GROUP BY day ORDER BY day ON CONFLICT (site, day, shard) DO UPDATE SET {set}",
        sums = sums.join(", "),
        set = set.join(", ")
    );
    let [a, b, c, d] = [0, 1, 2, 3].map(column);
    db.execute(&sql, &[&site_number, &SHARD, &days, &a, &b, &c, &d]).await.map(drop)
}

/// The counts of a site's days since a time.
pub(super) async fn day_counts(
    db: &Db,
    site_number: i64,
    since: OffsetDateTime,
) -> Result<Vec<DayCounts>, StoreError> {
    let sql = "SELECT day, sum(approve_count)::bigint, sum(hold_count)::bigint, \
             sum(reject_count)::bigint, sum(held_approved_count)::bigint, \
             sum(held_rejected_count)::bigint, sum(rejected_approved_count)::bigint, \
             sum(approved_rejected_count)::bigint \
         FROM daily_counts WHERE site = $1 AND day >= $2 GROUP BY day ORDER BY day";
    let read = |row: &Row| {
        // A count is below zero only where days before this version were counted otherwise.
        let count = |column| Ok::<_, StoreError>(get::<i64>(row, column)?.max(0) as u64);
        Ok(DayCounts {
            day: get(row, 0)?,
            approve_count: count(1)?,
            hold_count: count(2)?,
            reject_count: count(3)?,
            held_approved_count: count(4)?,
            held_rejected_count: count(5)?,
            rejected_approved_count: count(6)?,
            approved_rejected_count: count(7)?,
        })
    };
    db.all(sql, &[&site_number, &day(millis(since))], read).await
}
