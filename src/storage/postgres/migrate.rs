//! The schema: brought up to date by whoever comes first.

use std::time::Duration;

use tokio_postgres::Row;

use crate::moderation::ports::StoreError;

use super::db::{Db, Ended, Source};
use super::error::PostgresError;
use super::options::PostgresAddress;
use super::rows::get;

/// The migrations in order; the schema's version is how many have run.
const MIGRATIONS: [&str; 8] = [
    include_str!("../../../migrations/postgres/0001_records.sql"),
    include_str!("../../../migrations/postgres/0002_models.sql"),
    include_str!("../../../migrations/postgres/0003_review.sql"),
    include_str!("../../../migrations/postgres/0004_accounts.sql"),
    include_str!("../../../migrations/postgres/0005_webhooks.sql"),
    include_str!("../../../migrations/postgres/0006_key_uses.sql"),
    include_str!("../../../migrations/postgres/0007_privacy.sql"),
    include_str!("../../../migrations/postgres/0008_operations.sql"),
];
/// The schema's version that this program works with.
pub const SCHEMA_VERSION: i32 = MIGRATIONS.len() as i32;

/// The last migration that took something away: a program that does not know it cannot work with what
/// comes after. One that does goes on beside a newer program, and may be started again beside it.
const NEEDED_VERSION: i32 = 7;

/// How long migrations may take: an index over 100 million rows is made in minutes.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Brings the schema up to date and gives the versions before and after. Of several that come at
/// once, one does it and the others wait.
pub(super) async fn migrate(
    source: &Source,
    address: &PostgresAddress,
) -> Result<(i32, i32), PostgresError> {
    let unreachable = |error: StoreError| PostgresError::Unreachable {
        place: address.to_string(),
        cause: error.to_string(),
    };
    let db = Db::begin(source, PATIENCE).await.map_err(unreachable)?;
    let sql = "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0";
    db.batch(sql).await.map_err(unreachable)?;
    db.lock_schema().await.map_err(unreachable)?;
    let found = version(&db, address).await?;
    let mut done = Ok(());
    for sql in MIGRATIONS.iter().skip(found.max(0) as usize) {
        done = db.batch(sql).await;
        if done.is_err() {
            break;
        }
    }
    if done.is_ok() && found < SCHEMA_VERSION {
        done = note_version(&db).await;
    }
    match db.end(done).await {
        Ended::Done(Ok(())) => Ok((found, SCHEMA_VERSION)),
        Ended::Done(Err(error)) | Ended::Again(error) => Err(unreachable(error)),
    }
}

async fn note_version(db: &Db) -> Result<(), StoreError> {
    db.batch("ALTER TABLE replyguard_schema ADD COLUMN IF NOT EXISTS needed_version INTEGER")
        .await?;
    let sql = "INSERT INTO replyguard_schema (number, version, needed_version) \
         VALUES (1, $1, $2) ON CONFLICT (number) DO UPDATE SET version = $1, needed_version = $2";
    db.execute(sql, &[&SCHEMA_VERSION, &NEEDED_VERSION]).await.map(drop)
}

/// The version of the schema; 0 for an empty database, in which the table of it is made.
async fn version(db: &Db, address: &PostgresAddress) -> Result<i32, PostgresError> {
    let place = || address.to_string();
    let unreachable =
        |error: StoreError| PostgresError::Unreachable { place: place(), cause: error.to_string() };
    let Some(found) = stored_version(db).await.map_err(unreachable)? else {
        let sql = "SELECT count(*) FROM pg_class JOIN pg_namespace \
             ON pg_namespace.oid = relnamespace WHERE nspname = current_schema() AND relkind = 'r'";
        let count = db.first(sql, &[], |row| get::<i64>(row, 0)).await.map_err(unreachable)?;
        if count != Some(0) {
            return Err(PostgresError::Foreign(place()));
        }
        let sql = "CREATE TABLE replyguard_schema \
             (number INTEGER PRIMARY KEY CHECK (number = 1), version INTEGER NOT NULL)";
        db.batch(sql).await.map_err(unreachable)?;
        return Ok(0);
    };
    if found.is_too_new() {
        let found = found.version;
        return Err(PostgresError::NewerSchema { place: place(), found, known: SCHEMA_VERSION });
    }
    Ok(found.version)
}

/// What a database says of its schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredVersion {
    /// Its version.
    pub version: i32,
    /// The version that a program has to know to work with it.
    needed: i32,
}

impl StoredVersion {
    /// Whether this program cannot work with it.
    pub fn is_too_new(self) -> bool {
        self.needed.min(self.version) > SCHEMA_VERSION
    }
}

/// The version that a database says it has, if it is ours.
pub(super) async fn stored_version(db: &Db) -> Result<Option<StoredVersion>, StoreError> {
    let sql = "SELECT to_regclass('replyguard_schema') IS NOT NULL";
    if db.first(sql, &[], |row| get::<bool>(row, 0)).await? != Some(true) {
        return Ok(None);
    }
    // Older programs did not say what they need.
    let sql = "SELECT version, \
         coalesce((to_jsonb(replyguard_schema) ->> 'needed_version')::integer, version) \
         FROM replyguard_schema";
    let read = |row: &Row| Ok(StoredVersion { version: get(row, 0)?, needed: get(row, 1)? });
    db.first(sql, &[], read).await
}
