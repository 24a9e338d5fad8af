//! The registry of models, and the port of models on top of it and of the ledger.

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::domain::SiteId;
use crate::moderation::ports::StoreError;
use crate::moderation::ports::models::{
    ImportedExample, LedgerEntry, LedgerExample, ModelChange, ModelRecord, ModelState, ModelStore,
    Retraction,
};
use crate::storage::values::{corrupt, millis};

use super::audit::Audit;
use super::db::{Db, Values, transaction};
use super::ledger;
use super::listener::Told;
use super::operations::runs;
use super::rows::{get, time, time_or_none, word};
use super::store::PostgresStore;

/// The columns that [`model_record`] reads, of `models JOIN sites`.
const MODEL_COLUMNS: &str = "sites.id, version, state, models.create_time, promote_time, \
     ledger_position, base_version, ham_count, spam_count, report";

fn model_record(row: &Row) -> Result<ModelRecord, StoreError> {
    Ok(ModelRecord {
        site: get::<&str>(row, 0)?.parse().map_err(corrupt)?,
        version: get(row, 1)?,
        state: word(row, 2)?,
        create_time: time(row, 3)?,
        promote_time: time_or_none(row, 4)?,
        ledger_position: get(row, 5)?,
        base_version: get(row, 6)?,
        ham_count: get::<i64>(row, 7)? as u64,
        spam_count: get::<i64>(row, 8)? as u64,
        report: get(row, 9)?,
    })
}

async fn model(
    db: &Db,
    site_number: i64,
    version: &str,
) -> Result<Option<ModelRecord>, StoreError> {
    let sql = format!(
        "SELECT {MODEL_COLUMNS} FROM models JOIN sites ON sites.number = models.site \
         WHERE models.site = $1 AND version = $2"
    );
    db.first(&sql, &[&site_number, &version], model_record).await
}

async fn create_model(
    db: &Db,
    site_number: i64,
    record: &ModelRecord,
    artifact: &[u8],
    actor: &str,
    operation: Option<Uuid>,
) -> Result<ModelRecord, StoreError> {
    if let Some(id) = operation
        && !runs(db, id).await?
    {
        return Err(StoreError::Conflict);
    }
    let sql = "INSERT INTO models (site, version, state, create_time, ledger_position, \
             base_version, ham_count, spam_count, report, artifact) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT (site, version) DO NOTHING";
    let values: Values<'_> = &[
        &site_number,
        &record.version,
        &record.state.as_str(),
        &millis(record.create_time),
        &record.ledger_position,
        &record.base_version,
        &(record.ham_count as i64),
        &(record.spam_count as i64),
        &record.report,
        &artifact,
    ];
    if db.execute(sql, values).await? > 0 {
        Audit {
            site_number: Some(site_number),
            time: record.create_time,
            actor,
            action: "train-model",
            subject: model_name(record),
            before: None,
            after: Some(record.state.as_str().to_owned()),
            note: None,
        }
        .write(db)
        .await?;
    }
    model(db, site_number, &record.version).await?.ok_or(StoreError::NotFound)
}

fn model_name(record: &ModelRecord) -> String {
    format!("{}/models/{}", record.site.name(), record.version)
}

async fn change_model(
    db: &Db,
    site_number: i64,
    change: &ModelChange,
) -> Result<ModelRecord, StoreError> {
    // Two promotions at once would leave two models active.
    let lock = "SELECT 1 FROM models WHERE site = $1 ORDER BY number FOR UPDATE";
    db.all(lock, &[&site_number], |_| Ok(())).await?;
    let before = model(db, site_number, &change.version).await?.ok_or(StoreError::NotFound)?;
    let replaced = match change.state {
        ModelState::Active => Some(ModelState::Retired),
        ModelState::Shadow => Some(ModelState::Candidate),
        ModelState::Candidate | ModelState::Retired => None,
    };
    let state = change.state.as_str();
    if let Some(replaced) = replaced {
        let sql = "UPDATE models SET state = $3 WHERE site = $1 AND state = $2 AND version <> $4";
        let replaced = replaced.as_str();
        db.execute(sql, &[&site_number, &state, &replaced, &change.version]).await?;
    }
    if change.rolls_back {
        let decides = before.promote_time.filter(|_| change.state == ModelState::Active);
        let decides = decides.map_or(i64::MIN, millis);
        let sql = "UPDATE models SET promote_time = NULL WHERE site = $1 AND promote_time > $2";
        db.execute(sql, &[&site_number, &decides]).await?;
    }
    let promoted = change.promote_time.map(millis);
    let sql = "UPDATE models SET state = $3, promote_time = coalesce($4, promote_time) \
         WHERE site = $1 AND version = $2";
    db.execute(sql, &[&site_number, &change.version, &state, &promoted]).await?;
    Audit {
        site_number: Some(site_number),
        time: change.time,
        actor: &change.actor,
        action: "change-model",
        subject: model_name(&before),
        before: Some(before.state.as_str().to_owned()),
        after: Some(state.to_owned()),
        note: change.note.as_deref(),
    }
    .write(db)
    .await?;
    db.tell(&Told::Models(change.site.clone())).await?;
    model(db, site_number, &change.version).await?.ok_or(StoreError::NotFound)
}

#[async_trait]
impl ModelStore for PostgresStore {
    async fn ledger_examples(
        &self,
        site: &SiteId,
        after: i64,
        until: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<LedgerExample>, StoreError> {
        let Some(stored) = self.stored_site(site).await? else { return Ok(Vec::new()) };
        let (db, until) = (self.patient_db().await?, until.unwrap_or(i64::MAX));
        ledger::ledger_examples(&db, stored.number, after, until, count_max).await
    }

    async fn examples_at(
        &self,
        site: &SiteId,
        positions: Vec<i64>,
    ) -> Result<Vec<LedgerExample>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        ledger::examples_at(&db, number, &positions).await
    }

    async fn ledger_entries(
        &self,
        site: &SiteId,
        after: i64,
        count_max: usize,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        ledger::ledger_entries(&db, number, after, count_max).await
    }

    async fn ledger_position(&self, site: &SiteId) -> Result<i64, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(0) };
        ledger::ledger_position(&db, number).await
    }

    async fn import_examples(
        &self,
        site: &SiteId,
        examples: Vec<ImportedExample>,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<u64, StoreError> {
        let owner = (site, self.site_number(site).await?);
        transaction!(self, begin_patiently, |db| ledger::import_examples(
            &db, owner, &examples, actor, time
        )
        .await)
    }

    async fn retract_labels(
        &self,
        site: &SiteId,
        what: Retraction,
        actor: &str,
        note: Option<String>,
        time: OffsetDateTime,
    ) -> Result<u64, StoreError> {
        let owner = (site, self.site_number(site).await?);
        let audit = (actor, note.as_deref(), time);
        transaction!(self, begin_patiently, |db| ledger::retract_labels(&db, owner, &what, audit)
            .await)
    }

    async fn create_model(
        &self,
        record: ModelRecord,
        artifact: Vec<u8>,
        actor: &str,
        operation: Option<Uuid>,
    ) -> Result<ModelRecord, StoreError> {
        let number = self.site_number(&record.site).await?;
        transaction!(self, begin_patiently, |db| create_model(
            &db, number, &record, &artifact, actor, operation
        )
        .await)
    }

    async fn list_models(&self, site: &SiteId) -> Result<Vec<ModelRecord>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        let sql = format!(
            "SELECT {MODEL_COLUMNS} FROM models JOIN sites ON sites.number = models.site \
             WHERE models.site = $1 ORDER BY models.number DESC"
        );
        db.all(&sql, &[&number], model_record).await
    }

    async fn get_model(
        &self,
        site: &SiteId,
        version: &str,
    ) -> Result<Option<(ModelRecord, Vec<u8>)>, StoreError> {
        let Some(stored) = self.stored_site(site).await? else { return Ok(None) };
        let sql = format!(
            "SELECT {MODEL_COLUMNS}, artifact FROM models JOIN sites \
                 ON sites.number = models.site WHERE models.site = $1 AND version = $2"
        );
        let read = |row: &Row| Ok((model_record(row)?, get(row, 10)?));
        self.patient_db().await?.first(&sql, &[&stored.number, &version], read).await
    }

    async fn change_model(&self, change: ModelChange) -> Result<ModelRecord, StoreError> {
        let number = self.site_number(&change.site).await?;
        transaction!(self, |db| change_model(&db, number, &change).await)
    }

    async fn deciding_models(&self) -> Result<Vec<ModelRecord>, StoreError> {
        let sql = format!(
            "SELECT {MODEL_COLUMNS} FROM models JOIN sites ON sites.number = models.site \
             WHERE state IN ('active', 'shadow') ORDER BY models.number"
        );
        self.db().await?.all(&sql, &[], model_record).await
    }
}
