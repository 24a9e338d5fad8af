//! Long work. What runs is of this process: see [`interrupt_all`].

use async_trait::async_trait;
use rusqlite::{Connection, Params, Row, params};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::SiteId;
use crate::moderation::ports::StoreError;
use crate::moderation::ports::operations::{OperationRecord, OperationStore, Standing, WorkStage};
use crate::storage::values::work_state;

use super::commands::stored_site;
use super::error::from_sqlite;
use super::queries::{all, first};
use super::rows::{Word, millis, time};
use super::store::SqliteStore;
use super::writer::{Batch, Undo};

/// Notes when the file is opened that who worked before is gone.
pub(super) fn interrupt_all(db: &Connection) -> rusqlite::Result<()> {
    db.execute("UPDATE operations SET state = 'interrupted' WHERE state = 'running'", []).map(drop)
}

/// Forgets what lists or learns labels of a site, in the transaction that removes some of them.
/// What ran has an empty answer then, by which it is told from work whose process is gone.
pub(super) fn forget_reports(db: &Connection, site_number: i64) -> Result<(), StoreError> {
    let sql = "UPDATE operations SET state = 'interrupted', answer = x'' \
         WHERE site = ?1 AND state = 'running'";
    execute(db, sql, [site_number])?;
    let sql = "DELETE FROM operations \
         WHERE site = ?1 AND kind IN ('evaluate', 'prove') AND state = 'ended'";
    execute(db, sql, [site_number]).map(drop)
}

/// Whether work runs.
pub(super) fn runs(db: &Connection, id: Uuid) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM operations WHERE id = ?1 AND state = 'running'";
    Ok(first(db, sql, [id.as_bytes()], |_| Ok(()))?.is_some())
}

fn record(site: &SiteId, row: &Row<'_>) -> Result<OperationRecord, StoreError> {
    let state: String = row.get(5).map_err(from_sqlite)?;
    let state = work_state(&state, row.get(6).map_err(from_sqlite)?)?;
    let read = || -> rusqlite::Result<OperationRecord> {
        Ok(OperationRecord {
            site: site.clone(),
            id: Uuid::from_bytes(row.get(0)?),
            kind: row.get::<_, Word<_>>(1)?.0,
            stage: row.get::<_, Word<_>>(2)?.0,
            example_count: row.get::<_, i64>(3)? as u64,
            create_time: time(row, 4)?,
            state,
        })
    };
    read().map_err(from_sqlite)
}

/// Executes a statement; answers with how many rows it touched.
fn execute(db: &Connection, sql: &str, params: impl Params) -> Result<usize, StoreError> {
    let mut statement = db.prepare_cached(sql).map_err(from_sqlite)?;
    statement.execute(params).map_err(from_sqlite)
}

fn begin(
    batch: &mut Batch<'_>,
    record: &OperationRecord,
    kept_count: i64,
) -> Result<bool, StoreError> {
    let site_number = stored_site(batch, &record.site)?.number;
    let sql = "INSERT INTO operations (site, id, kind, state, stage, example_count, create_time) \
         VALUES (?1, ?2, ?3, 'running', ?4, ?5, ?6) \
         ON CONFLICT (site) WHERE state = 'running' DO NOTHING";
    let values = params![
        site_number,
        record.id.as_bytes(),
        record.kind.as_str(),
        record.stage.as_str(),
        record.example_count as i64,
        millis(record.create_time)
    ];
    if execute(batch.db, sql, values)? == 0 {
        return Ok(false);
    }
    let sql = "DELETE FROM operations WHERE site = ?1 AND state <> 'running' AND number NOT IN \
         (SELECT number FROM operations WHERE site = ?1 AND state <> 'running' \
          ORDER BY number DESC LIMIT ?2)";
    execute(batch.db, sql, params![site_number, kept_count])?;
    Ok(true)
}

impl SqliteStore {
    /// A change of operations.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer().submit(Undo::Savepoint, move |batch: &mut Batch<'_>| work(batch.db)).await
    }
}

#[async_trait]
impl OperationStore for SqliteStore {
    async fn begin_operation(
        &self,
        record: OperationRecord,
        kept_count: usize,
    ) -> Result<bool, StoreError> {
        let work = move |batch: &mut Batch<'_>| begin(batch, &record, kept_count as i64);
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn note_progress(
        &self,
        id: Uuid,
        stage: WorkStage,
        example_count: u64,
    ) -> Result<Standing, StoreError> {
        self.change(move |db| {
            let sql = "UPDATE operations SET stage = ?2, example_count = ?3 \
                 WHERE id = ?1 AND state = 'running' RETURNING cancelled";
            let values = params![id.as_bytes(), stage.as_str(), example_count as i64];
            let cancelled = first(db, sql, values, |row| row.get(0).map_err(from_sqlite))?;
            Ok(Standing::of(cancelled))
        })
        .await
    }

    async fn end_operation(&self, id: Uuid, answer: Option<Vec<u8>>) -> Result<bool, StoreError> {
        self.change(move |db| {
            let sql = "UPDATE operations SET answer = ?2, \
                     state = CASE WHEN ?2 IS NULL THEN 'interrupted' ELSE 'ended' END \
                 WHERE id = ?1 AND state = 'running'";
            Ok(execute(db, sql, params![id.as_bytes(), answer])? == 1)
        })
        .await
    }

    async fn operations(
        &self,
        site: &SiteId,
        id: Option<Uuid>,
    ) -> Result<Vec<OperationRecord>, StoreError> {
        let owner = site.clone();
        let read = move |db: &Connection, number| {
            let sql = "SELECT id, kind, stage, example_count, create_time, state, answer \
                 FROM operations WHERE site = ?1 AND (?2 IS NULL OR id = ?2) \
                 ORDER BY number DESC";
            let values = params![number, id.map(Uuid::into_bytes)];
            all(db, sql, values, |row| record(&owner, row))
        };
        self.read_site(site, read).await
    }

    async fn cancel_operation(&self, site: &SiteId, id: Uuid) -> Result<(), StoreError> {
        let site = site.clone();
        let work = move |batch: &mut Batch<'_>| {
            let sql = "UPDATE operations SET cancelled = 1 \
                 WHERE site = ?1 AND id = ?2 AND state = 'running'";
            let number = stored_site(batch, &site)?.number;
            execute(batch.db, sql, params![number, id.as_bytes()]).map(drop)
        };
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn forget_operation(&self, site: &SiteId, id: Uuid) -> Result<bool, StoreError> {
        let Some(number) = self.stored_site(site).await?.map(|stored| stored.number) else {
            return Ok(false);
        };
        self.change(move |db| {
            let sql = "DELETE FROM operations WHERE site = ?1 AND id = ?2 AND state <> 'running'";
            Ok(execute(db, sql, params![number, id.as_bytes()])? == 1)
        })
        .await
    }

    async fn forget_operations(&self, before: OffsetDateTime) -> Result<u64, StoreError> {
        let sql = "DELETE FROM operations WHERE state <> 'running' AND create_time < ?1";
        self.change(move |db| Ok(execute(db, sql, [millis(before)])? as u64)).await
    }
}
