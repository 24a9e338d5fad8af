//! The ledger as examples, and the registry of models.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use time::OffsetDateTime;

use crate::domain::{Fingerprint, IpFingerprints, SiteId};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::models::{
    ImportedExample, LedgerExample, ModelChange, ModelRecord, ModelState, ModelStore, Retraction,
};
use crate::storage::record::{self, SubmissionColumns};

use super::commands::{Audit, execute, stored_site};
use super::error::from_sqlite;
use super::queries::{all, first};
use super::rows::{Word, comment_id, corrupt, millis, time, time_or_none};
use super::store::SqliteStore;
use super::writer::{Batch, Undo};

/// The labels that count at a position: of each comment the last that is not taken back.
const COUNTING: &str = "SELECT max(position) AS position FROM labels AS label \
     WHERE site = ?1 AND retracts IS NULL AND position <= ?3 AND NOT EXISTS (\
         SELECT 1 FROM labels AS back WHERE back.retracts = label.position AND back.position <= ?3) \
     GROUP BY comment";

fn ledger_examples(
    db: &Connection,
    site_number: i64,
    after: i64,
    until: i64,
    count_max: usize,
) -> Result<Vec<LedgerExample>, StoreError> {
    let sql = format!(
        "SELECT label.position, label.comment, label.label, label.reporter, label.time, \
             coalesce(example.source, 'site'), \
             coalesce(comment.content_hash, example.content_hash), \
             coalesce(comment.author, example.author), comment.ip, comment.ip_prefix, \
             coalesce(comment.page_uri, example.page_uri), coalesce(comment.lang, example.lang), \
             comment.body, example.body \
         FROM ({COUNTING}) AS counting \
         JOIN labels AS label ON label.position = counting.position \
         LEFT JOIN comments AS comment ON comment.site = ?1 AND comment.id = label.comment \
         LEFT JOIN examples AS example ON example.site = ?1 AND example.id = label.comment \
         WHERE label.position > ?2 AND coalesce(comment.number, example.number) IS NOT NULL \
         ORDER BY label.position LIMIT ?4"
    );
    all(db, &sql, params![site_number, after, until, count_max as i64], ledger_example)
}

fn ledger_example(row: &Row<'_>) -> Result<LedgerExample, StoreError> {
    let fingerprint = |column| -> rusqlite::Result<Option<Fingerprint>> {
        Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(Fingerprint::from_bytes))
    };
    let columns = || -> rusqlite::Result<SubmissionColumns> {
        let ip = fingerprint(8)?.zip(fingerprint(9)?);
        Ok(SubmissionColumns {
            author: fingerprint(7)?,
            ip: ip.map(|(address, prefix)| IpFingerprints { address, prefix }),
            page_uri: row.get(10)?,
            lang: row.get(11)?,
        })
    };
    let columns = columns().map_err(from_sqlite)?;
    let bytes = |column| -> Result<Option<&[u8]>, StoreError> {
        row.get_ref(column).map_err(from_sqlite)?.as_blob_or_null().map_err(corrupt)
    };
    let submission = match (bytes(12)?, bytes(13)?) {
        (Some(body), _) => record::decode(body, columns)?.submission,
        (None, Some(body)) => record::decode_submission(body, columns)?,
        (None, None) => return Err(StoreError::Corrupt("an example without a body".into())),
    };
    let read = || -> rusqlite::Result<LedgerExample> {
        Ok(LedgerExample {
            position: row.get(0)?,
            id: comment_id(row, 1)?,
            label: row.get::<_, Word<_>>(2)?.0,
            reporter: row.get::<_, Word<_>>(3)?.0,
            time: time(row, 4)?,
            source: row.get(5)?,
            content_hash: row.get::<_, i64>(6)? as u64,
            submission,
        })
    };
    read().map_err(from_sqlite)
}

fn import_examples(
    batch: &mut Batch<'_>,
    site: &SiteId,
    examples: &[ImportedExample],
    actor: &str,
    now: OffsetDateTime,
) -> Result<u64, StoreError> {
    let site_number = stored_site(batch, site)?.number;
    let db = batch.db;
    let mut count = 0;
    for example in examples {
        count += u64::from(import_example(db, site_number, example)?);
    }
    if count > 0 {
        let audit = Audit {
            site_number,
            time: now,
            actor,
            action: "import-examples",
            subject: site.name(),
            before: None,
            after: Some(format!("{count} examples")),
            note: None,
        };
        audit.write(db)?;
    }
    Ok(count)
}

/// Imports one example, unless its text is there with this label from the same source.
fn import_example(
    db: &Connection,
    site_number: i64,
    example: &ImportedExample,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM examples AS example JOIN labels AS label \
             ON label.site = ?1 AND label.comment = example.id AND label.label = ?4 \
                 AND label.retracts IS NULL \
             WHERE example.site = ?1 AND example.source = ?2 AND example.content_hash = ?3";
    let hash = example.content_hash as i64;
    let known = params![site_number, example.source, hash, example.label.as_str()];
    if first(db, sql, known, |_| Ok(()))?.is_some() {
        return Ok(false);
    }
    let submission = &example.submission;
    let author = submission.email.as_ref().map(|email| *email.folded_fingerprint.as_bytes());
    let sql = "INSERT INTO examples \
             (site, id, source, author, content_hash, page_uri, lang, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let id = example.id.as_uuid().as_bytes();
    let body = record::encode_submission(submission);
    let (page, lang) = (&submission.page_uri, &submission.lang);
    execute(db, sql, params![site_number, id, example.source, author, hash, page, lang, body])?;
    let sql = "INSERT INTO labels (site, comment, label, reporter, time) \
             VALUES (?1, ?2, ?3, 'import', ?4)";
    execute(db, sql, params![site_number, id, example.label.as_str(), millis(example.time)])?;
    Ok(true)
}

/// Which labels a retraction means, as a condition on `label` with the parameter `?2`.
fn condition(what: &Retraction) -> (&'static str, Box<dyn ToSql>) {
    match what {
        Retraction::Position(position) => ("label.position = ?2", Box::new(*position)),
        Retraction::Comment(id) => ("label.comment = ?2", Box::new(*id.as_uuid().as_bytes())),
        Retraction::ReporterName(name) => ("label.reporter_name = ?2", Box::new(name.clone())),
        Retraction::Author(author) => (
            "label.comment IN (SELECT id FROM comments WHERE site = ?1 AND author = ?2 \
             UNION ALL SELECT id FROM examples WHERE site = ?1 AND author = ?2)",
            Box::new(*author.as_bytes()),
        ),
        Retraction::Source(source) => (
            "label.comment IN (SELECT id FROM examples WHERE site = ?1 AND source = ?2)",
            Box::new(source.clone()),
        ),
    }
}

fn retract_labels(
    batch: &mut Batch<'_>,
    site: &SiteId,
    what: &Retraction,
    audit: (&str, Option<String>, OffsetDateTime),
) -> Result<u64, StoreError> {
    let site_number = stored_site(batch, site)?.number;
    let (actor, note, now) = audit;
    let (condition, value) = condition(what);
    let sql = format!(
        "INSERT INTO labels (site, comment, label, reporter, note, time, retracts) \
         SELECT site, comment, label, 'administrator', ?3, ?4, position FROM labels AS label \
         WHERE site = ?1 AND retracts IS NULL AND {condition} AND NOT EXISTS (\
             SELECT 1 FROM labels AS back WHERE back.retracts = label.position) \
         ORDER BY position"
    );
    execute(batch.db, &sql, params![site_number, value, note, millis(now)])?;
    let count = batch.db.changes();
    if count > 0 {
        Audit {
            site_number,
            time: now,
            actor,
            action: "retract-labels",
            subject: site.name(),
            before: None,
            after: Some(format!("{count} labels")),
            note: note.as_deref(),
        }
        .write(batch.db)?;
    }
    Ok(count)
}

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
) -> Result<ModelRecord, StoreError> {
    let site_number = stored_site(batch, &record.site)?.number;
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
        let values = params![site_number, change.state.as_str(), replaced.as_str(), change.version];
        execute(db, sql, values)?;
    }
    let promoted = change.promote_time.map(millis);
    let sql = "UPDATE models SET state = ?3, promote_time = coalesce(?4, promote_time) \
             WHERE site = ?1 AND version = ?2";
    execute(db, sql, params![site_number, change.version, change.state.as_str(), promoted])?;
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
    ) -> Result<ModelRecord, StoreError> {
        let actor = actor.to_owned();
        let work = move |batch: &mut Batch<'_>| create_model(batch, &record, &artifact, &actor);
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
