//! The ledger: the examples that count, imports, and labels that are taken back.

use rusqlite::{Connection, Row, ToSql, params};
use time::OffsetDateTime;

use crate::domain::{Fingerprint, IpFingerprints, Label, SiteId};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::models::{ImportedExample, LedgerEntry, LedgerExample, Retraction};
use crate::storage::record::{self, SubmissionColumns};
use crate::storage::values::is_news;

use super::authors::AuthorChange;
use super::cache::author_key;
use super::commands::{Audit, execute, stored_site};
use super::error::from_sqlite;
use super::queries::all;
use super::rows::{Word, comment_id, corrupt, millis, time};
use super::writer::Batch;

/// The columns that [`ledger_example`] reads, of [`LABELLED`].
const COLUMNS: &str = "label.position, label.comment, label.label, label.reporter, label.time, \
     coalesce(example.source, 'site'), coalesce(comment.content_hash, example.content_hash), \
     coalesce(comment.author, example.author), comment.ip, comment.ip_prefix, \
     coalesce(comment.page_uri, example.page_uri), coalesce(comment.lang, example.lang), \
     comment.body, example.body, label.reporter_name";
/// What labels of the site `?1` are of, as far as it is stored, for [`IS_STORED`].
const LABELLED: &str = "labels AS label \
     LEFT JOIN comments AS comment ON comment.site = ?1 AND comment.id = label.comment \
     LEFT JOIN examples AS example ON example.site = ?1 AND example.id = label.comment";
const IS_STORED: &str = "label.site = ?1 AND label.retracts IS NULL \
     AND coalesce(comment.number, example.number) IS NOT NULL";

/// The examples whose label counts at the position `?3`: of each comment the last label that is
/// not taken back. Looks only at the entries from `?2` on, so that a page costs what it has and not
/// what the ledger has.
fn page_query() -> String {
    format!(
        "SELECT {COLUMNS} FROM {LABELLED} \
         WHERE {IS_STORED} AND label.position > ?2 AND label.position <= ?3 \
             AND NOT EXISTS (SELECT 1 FROM labels AS back \
                 WHERE back.retracts = label.position AND back.position <= ?3) \
             AND NOT EXISTS (SELECT 1 FROM labels AS later \
                 WHERE later.site = ?1 AND later.comment = label.comment \
                     AND later.position > label.position AND later.position <= ?3 \
                     AND later.retracts IS NULL AND NOT EXISTS (SELECT 1 FROM labels AS back \
                         WHERE back.retracts = later.position AND back.position <= ?3)) \
         ORDER BY label.position LIMIT ?4"
    )
}

/// The examples of the labels at the positions `?2`. CROSS JOIN keeps SQLite from scanning all
/// labels of the site first.
fn positions_query() -> String {
    format!(
        "SELECT {COLUMNS} FROM json_each(?2) AS wanted CROSS JOIN {LABELLED} \
         WHERE label.position = wanted.value AND {IS_STORED}"
    )
}

pub(super) fn ledger_examples(
    db: &Connection,
    site_number: i64,
    after: i64,
    until: i64,
    count_max: usize,
) -> Result<Vec<LedgerExample>, StoreError> {
    let parameters = params![site_number, after, until, count_max as i64];
    all(db, &page_query(), parameters, ledger_example)
}

pub(super) fn examples_at(
    db: &Connection,
    site_number: i64,
    positions: &[i64],
) -> Result<Vec<LedgerExample>, StoreError> {
    let positions = serde_json::Value::from(positions).to_string();
    all(db, &positions_query(), params![site_number, positions], ledger_example)
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
            reporter_name: row.get(14)?,
            time: time(row, 4)?,
            source: row.get(5)?,
            content_hash: row.get::<_, i64>(6)? as u64,
            submission,
        })
    };
    read().map_err(from_sqlite)
}

pub(super) fn ledger_entries(
    db: &Connection,
    site_number: i64,
    after: i64,
    count_max: usize,
) -> Result<Vec<LedgerEntry>, StoreError> {
    let sql = "SELECT position, comment, retracts FROM labels \
         WHERE site = ?1 AND position > ?2 ORDER BY position LIMIT ?3";
    let read = |row: &Row<'_>| -> rusqlite::Result<LedgerEntry> {
        let (position, id, retracts) = (row.get(0)?, comment_id(row, 1)?, row.get(2)?);
        Ok(LedgerEntry { position, id, retracts })
    };
    let parameters = params![site_number, after, count_max as i64];
    all(db, sql, parameters, |row| read(row).map_err(from_sqlite))
}

pub(super) fn import_examples(
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

/// Imports one example, unless its label is no news of its text from the same source.
fn import_example(
    db: &Connection,
    site_number: i64,
    example: &ImportedExample,
) -> Result<bool, StoreError> {
    // CROSS JOIN keeps SQLite from scanning all labels of the site first.
    let sql = "SELECT label.label, label.time FROM examples AS example CROSS JOIN labels AS label \
             ON label.site = ?1 AND label.comment = example.id \
                 AND label.retracts IS NULL AND NOT EXISTS (\
                     SELECT 1 FROM labels AS back WHERE back.retracts = label.position) \
             WHERE example.site = ?1 AND example.source = ?2 AND example.content_hash = ?3 \
             ORDER BY label.position";
    let read = |row: &Row<'_>| -> rusqlite::Result<(Label, i64)> {
        Ok((row.get::<_, Word<_>>(0)?.0, row.get(1)?))
    };
    let hash = example.content_hash as i64;
    let known = params![site_number, example.source, hash];
    let known = all(db, sql, known, |row| read(row).map_err(from_sqlite))?;
    if !is_news(&known, (example.label, millis(example.time))) {
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

/// Labels by whom the name `?2` calls: as it stands, and as decisions have it, which are by
/// `moderator:NAME` of the console or by `NAME (key:UUID)` of a caller who named somebody: six
/// characters, the 36 of the UUID, and one.
const REPORTER: &str = "(label.reporter_name = ?2 \
     OR label.reporter IN ('moderator', 'administrator') AND (\
         label.reporter_name = 'moderator:' || ?2 \
         OR substr(label.reporter_name, 1, length(?2) + 6) = ?2 || ' (key:' \
             AND substr(label.reporter_name, length(?2) + 43) = ')'))";

/// Which labels a retraction means, as a condition on `label` with the parameter `?2`.
fn condition(what: &Retraction) -> (&'static str, Box<dyn ToSql>) {
    match what {
        Retraction::Position(position) => ("label.position = ?2", Box::new(*position)),
        Retraction::Comment(id) => ("label.comment = ?2", Box::new(*id.as_uuid().as_bytes())),
        Retraction::ReporterName(name) => (REPORTER, Box::new(name.clone())),
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

pub(super) fn retract_labels(
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
             SELECT 1 FROM labels AS back \
             WHERE back.retracts = label.position AND back.reporter_name IS NULL) \
         ORDER BY position"
    );
    let before: i64 = batch
        .db
        .query_row("SELECT coalesce(max(position), 0) FROM labels", [], |row| row.get(0))
        .map_err(from_sqlite)?;
    execute(batch.db, &sql, params![site_number, value, note, millis(now)])?;
    let count = batch.db.changes();
    if count > 0 {
        relabel(batch, site_number, before)?;
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

/// Gives the comments whose labels were taken back after position `before` the label that counts
/// now, and their authors' records with them.
fn relabel(batch: &mut Batch<'_>, site_number: i64, before: i64) -> Result<(), StoreError> {
    let sql = "SELECT comment.id, comment.label, comment.author, label.label, label.time \
         FROM (SELECT DISTINCT comment AS id FROM labels \
             WHERE site = ?1 AND position > ?2 AND retracts IS NOT NULL) AS touched \
         JOIN comments AS comment ON comment.site = ?1 AND comment.id = touched.id \
         LEFT JOIN labels AS label ON label.position = (\
             SELECT max(position) FROM labels AS counting \
             WHERE counting.site = ?1 AND counting.comment = touched.id \
                 AND counting.retracts IS NULL AND NOT EXISTS (\
                     SELECT 1 FROM labels AS back WHERE back.retracts = counting.position))";
    type Touched = ([u8; 16], Option<Label>, Option<[u8; 16]>, Option<Label>, Option<i64>);
    let word = |row: &Row<'_>, column| -> rusqlite::Result<Option<Label>> {
        Ok(row.get::<_, Option<Word<Label>>>(column)?.map(|word| word.0))
    };
    let read = |row: &Row<'_>| -> rusqlite::Result<Touched> {
        Ok((row.get(0)?, word(row, 1)?, row.get(2)?, word(row, 3)?, row.get(4)?))
    };
    let touched: Vec<Touched> =
        all(batch.db, sql, params![site_number, before], |row| read(row).map_err(from_sqlite))?;
    for (id, old, author, new, time) in touched {
        let sql = "UPDATE comments SET label = ?3, label_time = ?4 WHERE site = ?1 AND id = ?2";
        execute(batch.db, sql, params![site_number, id, new.map(Label::as_str), time])?;
        if let Some(author) = author {
            let mut change = AuthorChange::default();
            if let Some(old) = old {
                *change.of_label(old) -= 1;
            }
            if let Some(new) = new {
                *change.of_label(new) += 1;
            }
            let key = author_key(site_number, Fingerprint::from_bytes(author));
            batch.author_changes.push((key, change));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::SqliteOptions;
    use super::super::open::open_writer;
    use super::*;

    /// All labels of the ledger were grouped for each page, and for each quote of a report.
    #[test]
    fn the_ledger_is_read_by_its_indexes() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("records.sqlite3");
        let db = open_writer(&path, &SqliteOptions::default()).unwrap();
        for sql in [page_query(), positions_query()] {
            let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            for place in 1..=statement.parameter_count() {
                statement.raw_bind_parameter(place, 1).unwrap();
            }
            let mut rows = statement.raw_query();
            let mut plan: Vec<String> = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                plan.push(row.get(3).unwrap());
            }
            let is_slow = |step: &&String| {
                step.contains("TEMP B-TREE")
                    || step.contains("MATERIALIZE")
                    || step.starts_with("SCAN") && !step.starts_with("SCAN wanted VIRTUAL")
            };
            assert_eq!(plan.iter().find(is_slow), None, "{plan:#?}");
            assert!(plan.iter().any(|step| step.starts_with("SEARCH label")), "{plan:#?}");
        }
    }
}
