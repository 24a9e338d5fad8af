//! Long work, and the leases of those who work on it.

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::domain::SiteId;
use crate::moderation::ports::StoreError;
use crate::moderation::ports::operations::{OperationRecord, OperationStore, Standing, WorkStage};
use crate::storage::values::{millis, work_state};

use super::db::{Db, Values, transaction};
use super::listener::Told;
use super::rows::{get, time, word};
use super::store::PostgresStore;

/// That nobody works on running work any more.
const ABANDONED: &str = "state = 'running' AND NOT EXISTS (SELECT 1 FROM leases \
     WHERE leases.name = 'operation ' || operations.id AND leases.expire_time > now())";

struct Read {
    record: OperationRecord,
    abandoned: bool,
}

fn read(site: &SiteId, row: &Row) -> Result<Read, StoreError> {
    let record = OperationRecord {
        site: site.clone(),
        id: get(row, 0)?,
        kind: word(row, 1)?,
        stage: word(row, 2)?,
        example_count: get::<i64>(row, 3)? as u64,
        create_time: time(row, 4)?,
        state: work_state(get(row, 5)?, get(row, 6)?)?,
    };
    Ok(Read { record, abandoned: get(row, 7)? })
}

/// Notes for good that nobody works on the site's work any more.
async fn give_up(db: &Db, site_number: i64) -> Result<u64, StoreError> {
    let sql = format!(
        "WITH given_up AS (UPDATE operations SET state = 'interrupted' \
             WHERE site = $1 AND {ABANDONED} RETURNING id) \
         DELETE FROM leases USING given_up WHERE name = 'operation ' || given_up.id"
    );
    db.execute(&sql, &[&site_number]).await
}

/// Forgets what lists or learns labels of a site, in the transaction that removes some of them.
/// What ran has an empty answer then, by which it is told from work whose process is gone. Who
/// ends meanwhile is waited for, and deleted after.
pub(super) async fn forget_reports(db: &Db, site_number: i64) -> Result<(), StoreError> {
    let sql = "WITH erased AS (UPDATE operations SET state = 'interrupted', answer = '' \
             WHERE site = $1 AND state = 'running' RETURNING id) \
         DELETE FROM leases USING erased WHERE name = 'operation ' || erased.id";
    db.execute(sql, &[&site_number]).await?;
    let sql = "DELETE FROM operations \
         WHERE site = $1 AND kind IN ('evaluate', 'prove') AND state = 'ended'";
    db.execute(sql, &[&site_number]).await.map(drop)
}

/// Whether work runs, which it does until the transaction ends.
pub(super) async fn runs(db: &Db, id: Uuid) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM operations WHERE id = $1 AND state = 'running' FOR SHARE";
    Ok(db.first(sql, &[&id], |_| Ok(())).await?.is_some())
}

async fn begin(
    db: &Db,
    site_number: i64,
    record: &OperationRecord,
    kept_count: i64,
    (replica, life): (Uuid, f64),
) -> Result<bool, StoreError> {
    // What is erased now is gone before this reads anything.
    db.lock_site(site_number).await?;
    give_up(db, site_number).await?;
    let sql = "INSERT INTO operations (site, id, kind, state, stage, example_count, create_time) \
         VALUES ($1, $2, $3, 'running', $4, $5, $6) \
         ON CONFLICT (site) WHERE state = 'running' DO NOTHING";
    let values: Values<'_> = &[
        &site_number,
        &record.id,
        &record.kind.as_str(),
        &record.stage.as_str(),
        &(record.example_count as i64),
        &millis(record.create_time),
    ];
    if db.execute(sql, values).await? == 0 {
        return Ok(false);
    }
    let sql = "INSERT INTO leases (name, holder, expire_time) \
         VALUES ('operation ' || $1::uuid, $2, now() + make_interval(secs => $3))";
    db.execute(sql, &[&record.id, &replica, &life]).await?;
    let sql = "DELETE FROM operations WHERE site = $1 AND state <> 'running' AND number NOT IN \
         (SELECT number FROM operations WHERE site = $1 AND state <> 'running' \
          ORDER BY number DESC LIMIT $2)";
    db.execute(sql, &[&site_number, &kept_count]).await?;
    Ok(true)
}

async fn end(db: &Db, id: Uuid, answer: Option<&[u8]>, replica: Uuid) -> Result<bool, StoreError> {
    let sql = "UPDATE operations SET answer = $2, \
             state = CASE WHEN $2::bytea IS NULL THEN 'interrupted' ELSE 'ended' END \
         WHERE id = $1 AND state = 'running' AND EXISTS (SELECT 1 FROM leases \
             WHERE leases.name = 'operation ' || $1::uuid AND leases.holder = $3)";
    let ended = db.execute(sql, &[&id, &answer, &replica]).await? == 1;
    let sql = "DELETE FROM leases WHERE name = 'operation ' || $1::uuid AND holder = $2";
    db.execute(sql, &[&id, &replica]).await?;
    Ok(ended)
}

#[async_trait]
impl OperationStore for PostgresStore {
    async fn begin_operation(
        &self,
        record: OperationRecord,
        kept_count: usize,
    ) -> Result<bool, StoreError> {
        let number = self.site_number(&record.site).await?;
        let lease = (self.replica(), self.lease_life().as_secs_f64());
        transaction!(self, |db| begin(&db, number, &record, kept_count as i64, lease).await)
    }

    async fn note_progress(
        &self,
        id: Uuid,
        stage: WorkStage,
        example_count: u64,
    ) -> Result<Standing, StoreError> {
        let sql = "UPDATE operations SET stage = $2, example_count = $3 \
             WHERE id = $1 AND state = 'running' RETURNING cancelled";
        let values: Values<'_> = &[&id, &stage.as_str(), &(example_count as i64)];
        let cancelled = self.db().await?.first(sql, values, |row| get(row, 0)).await?;
        Ok(Standing::of(cancelled))
    }

    async fn end_operation(&self, id: Uuid, answer: Option<Vec<u8>>) -> Result<bool, StoreError> {
        let replica = self.replica();
        transaction!(self, begin_patiently, |db| end(&db, id, answer.as_deref(), replica).await)
    }

    async fn operations(
        &self,
        site: &SiteId,
        id: Option<Uuid>,
    ) -> Result<Vec<OperationRecord>, StoreError> {
        let Some(stored) = self.stored_site(site).await? else { return Ok(Vec::new()) };
        let db = self.patient_db().await?;
        let sql = format!(
            "SELECT id, kind, stage, example_count, create_time, state, answer, {ABANDONED} \
             FROM operations WHERE site = $1 AND ($2::uuid IS NULL OR id = $2) \
             ORDER BY number DESC"
        );
        let values: Values<'_> = &[&stored.number, &id];
        let mut found = db.all(&sql, values, |row| read(site, row)).await?;
        // Noted before it is told: what ended once has ended.
        if found.iter().any(|one| one.abandoned) {
            give_up(&db, stored.number).await?;
            found = db.all(&sql, values, |row| read(site, row)).await?;
        }
        Ok(found.into_iter().map(|one| one.record).collect())
    }

    async fn cancel_operation(&self, site: &SiteId, id: Uuid) -> Result<(), StoreError> {
        let number = self.site_number(site).await?;
        transaction!(self, |db| {
            let sql = "UPDATE operations SET cancelled = true \
                 WHERE site = $1 AND id = $2 AND state = 'running'";
            match db.execute(sql, &[&number, &id]).await? {
                0 => Ok(()),
                _ => db.tell(&Told::Cancelled(id)).await,
            }
        })
    }

    async fn forget_operation(&self, site: &SiteId, id: Uuid) -> Result<bool, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(false) };
        let sql = "DELETE FROM operations WHERE site = $1 AND id = $2 AND state <> 'running'";
        Ok(db.execute(sql, &[&number, &id]).await? == 1)
    }

    async fn forget_operations(&self, before: OffsetDateTime) -> Result<u64, StoreError> {
        let sql = "DELETE FROM operations WHERE state <> 'running' AND create_time < $1";
        self.patient_db().await?.execute(sql, &[&millis(before)]).await
    }
}
