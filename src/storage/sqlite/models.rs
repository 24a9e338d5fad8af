//! The registry of models, and the port of models on top of it and of the ledger.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::SiteId;
use crate::moderation::ports::StoreError;
use crate::moderation::ports::models::{
    ImportedExample, LedgerEntry, LedgerExample, ModelChange, ModelRecord, ModelState, ModelStore,
    Retraction,
};

use super::commands::{Audit, execute, stored_site};
use super::error::from_sqlite;
use super::ledger::{
    examples_at, import_examples, ledger_entries, ledger_examples, retract_labels,
};
use super::operations::runs;
use super::queries::{all, first};
use super::rows::{Word, corrupt, millis, time, time_or_none};
use super::store::SqliteStore;
use super::writer::{Batch, Undo};

/// The columns that [`model_record`] reads, of `models JOIN sites`.
const MODEL_COLUMNS: &str = "sites.id, version, state, models.create_time, promote_time, \
     ledger_position, base_version, ham_count, spam_count, report";

fn model_record(row: &Row<'_>) -> Result<ModelRecord, StoreError> {
    let site: String = row.get(0).map_err(from_sqlite)?;
    let site = site.parse().map_err(corrupt)?;
    let read = || -> rusqlite::Result<ModelRecord> {
        Ok(ModelRecord {
            site,
            version: row.get(1)?,
            state: row.get::<_, Word<_>>(2)?.0,
            create_time: time(row, 3)?,
            promote_time: time_or_none(row, 4)?,
            ledger_position: row.get(5)?,
            base_version: row.get(6)?,
            ham_count: row.get::<_, i64>(7)? as u64,
            spam_count: row.get::<_, i64>(8)? as u64,
            report: row.get(9)?,
        })
    };
    read().map_err(from_sqlite)
}

fn model(
    db: &Connection,
    site_number: i64,
    version: &str,
) -> Result<Option<ModelRecord>, StoreError> {
    let sql = format!(
        "SELECT {MODEL_COLUMNS} FROM models JOIN sites ON sites.number = models.site \
         WHERE models.site = ?1 AND version = ?2"
    );
    first(db, &sql, params![site_number, version], model_record)
}

fn create_model(
    batch: &mut Batch<'_>,
    record: &ModelRecord,
    artifact: &[u8],
    actor: &str,
    operation: Option<Uuid>,
) -> Result<ModelRecord, StoreError> {
    let site_number = stored_site(batch, &record.site)?.number;
    if let Some(id) = operation
        && !runs(batch.db, id)?
    {
        return Err(StoreError::Conflict);
    }
    if let Some(known) = model(batch.db, site_number, &record.version)? {
        return Ok(known);
    }
    let sql = "INSERT INTO models (site, version, state, create_time, ledger_position, \
             base_version, ham_count, spam_count, report, artifact) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let values = params![
        site_number,
        record.version,
        record.state.as_str(),
        millis(record.create_time),
        record.ledger_position,
        record.base_version,
        record.ham_count as i64,
        record.spam_count as i64,
        record.report,
        artifact
    ];
    execute(batch.db, sql, values)?;
    Audit {
        site_number,
        time: record.create_time,
        actor,
        action: "train-model",
        subject: model_name(record),
        before: None,
        after: Some(record.state.as_str().to_owned()),
        note: None,
    }
    .write(batch.db)?;
    model(batch.db, site_number, &record.version)?.ok_or(StoreError::NotFound)
}

fn model_name(record: &ModelRecord) -> String {
    format!("{}/models/{}", record.site.name(), record.version)
}

fn change_model(batch: &mut Batch<'_>, change: &ModelChange) -> Result<ModelRecord, StoreError> {
    let site_number = stored_site(batch, &change.site)?.number;
    let db = batch.db;
    let before = model(db, site_number, &change.version)?.ok_or(StoreError::NotFound)?;
    let replaced = match change.state {
        ModelState::Active => Some(ModelState::Retired),
        ModelState::Shadow => Some(ModelState::Candidate),
        ModelState::Candidate | ModelState::Retired => None,
    };
    if let Some(replaced) = replaced {
        let sql = "UPDATE models SET state = ?3 WHERE site = ?1 AND state = ?2 AND version <> ?4";
        let (state, replaced) = (change.state.as_str(), replaced.as_str());
        execute(db, sql, params![site_number, state, replaced, change.version])?;
    }
    if change.rolls_back {
        let decides = before.promote_time.filter(|_| change.state == ModelState::Active);
        let sql = "UPDATE models SET promote_time = NULL WHERE site = ?1 AND promote_time > ?2";
        execute(db, sql, params![site_number, decides.map_or(i64::MIN, millis)])?;
    }
    let promoted = change.promote_time.map(millis);
    let sql = "UPDATE models SET state = ?3, promote_time = coalesce(?4, promote_time) \
         WHERE site = ?1 AND version = ?2";
    let state = change.state.as_str();
    execute(db, sql, params![site_number, change.version, state, promoted])?;
    Audit {
        site_number,
        time: change.time,
        actor: &change.actor,
        action: "change-model",
        subject: model_name(&before),
        before: Some(before.state.as_str().to_owned()),
        after: Some(change.state.as_str().to_owned()),
        note: change.note.as_deref(),
    }
    .write(db)?;
    model(db, site_number, &change.version)?.ok_or(StoreError::NotFound)
}

#[async_trait]
impl ModelStore for SqliteStore {
    async fn ledger_examples(
        &self,
        site: &SiteId,
        after: i64,
        until: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<LedgerExample>, StoreError> {
        let until = until.unwrap_or(i64::MAX);
        let read =
            move |db: &Connection, number| ledger_examples(db, number, after, until, count_max);
        self.read_site(site, read).await
    }

    async fn examples_at(
        &self,
        site: &SiteId,
        positions: Vec<i64>,
    ) -> Result<Vec<LedgerExample>, StoreError> {
        self.read_site(site, move |db, number| examples_at(db, number, &positions)).await
    }

    async fn ledger_entries(
        &self,
        site: &SiteId,
        after: i64,
        count_max: usize,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        let read = move |db: &Connection, number| ledger_entries(db, number, after, count_max);
        self.read_site(site, read).await
    }

    async fn ledger_position(&self, site: &SiteId) -> Result<i64, StoreError> {
        let sql = "SELECT coalesce(max(position), 0) FROM labels WHERE site = ?1";
        let read = move |db: &Connection, number: i64| {
            db.query_row(sql, [number], |row| row.get(0)).map_err(from_sqlite)
        };
        self.read_site(site, read).await
    }

    async fn import_examples(
        &self,
        site: &SiteId,
        examples: Vec<ImportedExample>,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<u64, StoreError> {
        let (site, actor) = (site.clone(), actor.to_owned());
        let work =
            move |batch: &mut Batch<'_>| import_examples(batch, &site, &examples, &actor, time);
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn retract_labels(
        &self,
        site: &SiteId,
        what: Retraction,
        actor: &str,
        note: Option<String>,
        time: OffsetDateTime,
    ) -> Result<u64, StoreError> {
        let (site, actor) = (site.clone(), actor.to_owned());
        let work =
            move |batch: &mut Batch<'_>| retract_labels(batch, &site, &what, (&actor, note, time));
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn create_model(
        &self,
        record: ModelRecord,
        artifact: Vec<u8>,
        actor: &str,
        operation: Option<Uuid>,
    ) -> Result<ModelRecord, StoreError> {
        let actor = actor.to_owned();
        let work =
            move |batch: &mut Batch<'_>| create_model(batch, &record, &artifact, &actor, operation);
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn list_models(&self, site: &SiteId) -> Result<Vec<ModelRecord>, StoreError> {
        let sql = format!(
            "SELECT {MODEL_COLUMNS} FROM models JOIN sites ON sites.number = models.site \
             WHERE models.site = ?1 ORDER BY models.number DESC"
        );
        let read = move |db: &Connection, number: i64| all(db, &sql, [number], model_record);
        self.read_site(site, read).await
    }

    async fn get_model(
        &self,
        site: &SiteId,
        version: &str,
    ) -> Result<Option<(ModelRecord, Vec<u8>)>, StoreError> {
        let version = version.to_owned();
        let read = move |db: &Connection, number: i64| {
            let Some(record) = model(db, number, &version)? else { return Ok(None) };
            let sql = "SELECT artifact FROM models WHERE site = ?1 AND version = ?2";
            let artifact = db.query_row(sql, params![number, version], |row| row.get(0));
            let artifact: Option<Vec<u8>> = artifact.optional().map_err(from_sqlite)?;
            Ok(artifact.map(|artifact| (record, artifact)))
        };
        self.read_site(site, read).await
    }

    async fn change_model(&self, change: ModelChange) -> Result<ModelRecord, StoreError> {
        let work = move |batch: &mut Batch<'_>| change_model(batch, &change);
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn deciding_models(&self) -> Result<Vec<ModelRecord>, StoreError> {
        let sql = format!(
            "SELECT {MODEL_COLUMNS} FROM models JOIN sites ON sites.number = models.site \
             WHERE state IN ('active', 'shadow') ORDER BY models.number"
        );
        self.read(move |db| all(db, &sql, [], model_record)).await
    }
}
