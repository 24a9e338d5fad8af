//! The ledger: the examples that count, imports, and labels that are taken back.

use std::collections::HashMap;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::domain::{CommentId, Fingerprint, IpFingerprints, Label, SiteId};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::models::{ImportedExample, LedgerEntry, LedgerExample, Retraction};
use crate::storage::record::{self, SubmissionColumns};
use crate::storage::values::{is_news, millis};

use super::audit::Audit;
use super::authors::{self, AuthorChange};
use super::db::{Db, Values};
use super::listener::Told;
use super::rows::{bytes_or_none, comment_id, get, time, word, word_or_none};

/// The columns that [`ledger_example`] reads, of [`LABELLED`].
const COLUMNS: &str = "label.position, label.comment, label.label, label.reporter, label.time, \
     coalesce(example.source, 'site'), coalesce(comment.content_hash, example.content_hash), \
     coalesce(comment.author, example.author), comment.ip, comment.ip_prefix, \
     coalesce(comment.page_uri, example.page_uri), coalesce(comment.lang, example.lang), \
     comment.body, example.body, label.reporter_name";
/// What labels of the site `$1` are of, as far as it is stored, for [`IS_STORED`].
const LABELLED: &str = "labels AS label \
     LEFT JOIN comments AS comment ON comment.site = $1 AND comment.id = label.comment \
     LEFT JOIN examples AS example ON example.site = $1 AND example.id = label.comment";
const IS_STORED: &str = "label.site = $1 AND label.retracts IS NULL \
     AND coalesce(comment.number, example.number) IS NOT NULL";

/// The examples whose label counts at a position: of each comment the last label that is not
/// taken back. Looks only at the entries from `after` on, so that a page costs what it has and
/// not what the ledger has.
pub(super) async fn ledger_examples(
    db: &Db,
    site_number: i64,
    after: i64,
    until: i64,
    count_max: usize,
) -> Result<Vec<LedgerExample>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {LABELLED} \
         WHERE {IS_STORED} AND label.position > $2 AND label.position <= $3 \
             AND NOT EXISTS (SELECT 1 FROM labels AS back \
                 WHERE back.retracts = label.position AND back.position <= $3) \
             AND NOT EXISTS (SELECT 1 FROM labels AS later \
                 WHERE later.site = $1 AND later.comment = label.comment \
                     AND later.position > label.position AND later.position <= $3 \
                     AND later.retracts IS NULL AND NOT EXISTS (SELECT 1 FROM labels AS back \
                         WHERE back.retracts = later.position AND back.position <= $3)) \
         ORDER BY label.position LIMIT $4"
    );
    db.all(&sql, &[&site_number, &after, &until, &(count_max as i64)], ledger_example).await
}

pub(super) async fn examples_at(
    db: &Db,
    site_number: i64,
    positions: &[i64],
) -> Result<Vec<LedgerExample>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {LABELLED} \
         WHERE label.position = ANY($2::bigint[]) AND {IS_STORED}"
    );
    db.all(&sql, &[&site_number, &positions], ledger_example).await
}

fn ledger_example(row: &Row) -> Result<LedgerExample, StoreError> {
    let fingerprint = |column| -> Result<Option<Fingerprint>, StoreError> {
        Ok(bytes_or_none(row, column)?.map(Fingerprint::from_bytes))
    };
    let ip = fingerprint(8)?.zip(fingerprint(9)?);
    let columns = SubmissionColumns {
        author: fingerprint(7)?,
        ip: ip.map(|(address, prefix)| IpFingerprints { address, prefix }),
        page_uri: get(row, 10)?,
        lang: get(row, 11)?,
    };
    let submission = match (get::<Option<&[u8]>>(row, 12)?, get::<Option<&[u8]>>(row, 13)?) {
        (Some(body), _) => record::decode(body, columns)?.submission,
        (None, Some(body)) => record::decode_submission(body, columns)?,
        (None, None) => return Err(StoreError::Corrupt("an example without a body".into())),
    };
    Ok(LedgerExample {
        position: get(row, 0)?,
        id: comment_id(row, 1)?,
        label: word(row, 2)?,
        reporter: word(row, 3)?,
        reporter_name: get(row, 14)?,
        time: time(row, 4)?,
        source: get(row, 5)?,
        content_hash: get::<i64>(row, 6)? as u64,
        submission,
    })
}

pub(super) async fn ledger_entries(
    db: &Db,
    site_number: i64,
    after: i64,
    count_max: usize,
) -> Result<Vec<LedgerEntry>, StoreError> {
    let sql = "SELECT position, comment, retracts FROM labels \
         WHERE site = $1 AND position > $2 ORDER BY position LIMIT $3";
    let read = |row: &Row| {
        let (position, id, retracts) = (get(row, 0)?, comment_id(row, 1)?, get(row, 2)?);
        Ok(LedgerEntry { position, id, retracts })
    };
    db.all(sql, &[&site_number, &after, &(count_max as i64)], read).await
}

pub(super) async fn ledger_position(db: &Db, site_number: i64) -> Result<i64, StoreError> {
    let sql = "SELECT coalesce(max(position), 0) FROM labels WHERE site = $1";
    Ok(db.first(sql, &[&site_number], |row| get(row, 0)).await?.unwrap_or_default())
}

pub(super) async fn import_examples(
    db: &Db,
    (site, site_number): (&SiteId, i64),
    examples: &[ImportedExample],
    actor: &str,
    now: OffsetDateTime,
) -> Result<u64, StoreError> {
    db.lock_site(site_number).await?;
    let fresh = unknown(db, site_number, examples).await?;
    let count = fresh.len();
    if count == 0 {
        return Ok(0);
    }
    insert_examples(db, site_number, &fresh).await?;
    Audit {
        site_number: Some(site_number),
        time: now,
        actor,
        action: "import-examples",
        subject: site.name(),
        before: None,
        after: Some(format!("{count} examples")),
        note: None,
    }
    .write(db)
    .await?;
    Ok(count as u64)
}

/// The examples whose label is news of their text from the same source, each by those before it.
async fn unknown<'a>(
    db: &Db,
    site_number: i64,
    examples: &'a [ImportedExample],
) -> Result<Vec<&'a ImportedExample>, StoreError> {
    let sources: Vec<&str> = examples.iter().map(|example| example.source.as_str()).collect();
    let hashes: Vec<i64> = examples.iter().map(|example| example.content_hash as i64).collect();
    let sql = "SELECT wanted.source, wanted.content_hash, label.label, label.time \
         FROM (SELECT DISTINCT source, content_hash \
             FROM unnest($2::text[], $3::bigint[]) AS given (source, content_hash)) AS wanted \
         JOIN examples AS example ON example.site = $1 AND example.source = wanted.source \
             AND example.content_hash = wanted.content_hash \
         JOIN labels AS label ON label.site = $1 AND label.comment = example.id \
             AND label.retracts IS NULL \
         WHERE NOT EXISTS (SELECT 1 FROM labels AS back WHERE back.retracts = label.position) \
         ORDER BY label.position";
    let read = |row: &Row| {
        let text = (get::<String>(row, 0)?, get::<i64>(row, 1)? as u64);
        Ok((text, (word::<Label>(row, 2)?, get::<i64>(row, 3)?)))
    };
    let mut known: HashMap<_, Vec<_>> = HashMap::new();
    for (text, label) in db.all(sql, &[&site_number, &sources, &hashes], read).await? {
        known.entry(text).or_default().push(label);
    }
    let is_new = |example: &&ImportedExample| {
        let labels = known.entry((example.source.clone(), example.content_hash)).or_default();
        let label = (example.label, millis(example.time));
        let is_new = is_news(labels, label);
        labels.extend(is_new.then_some(label));
        is_new
    };
    Ok(examples.iter().filter(is_new).collect())
}

async fn insert_examples(
    db: &Db,
    site_number: i64,
    examples: &[&ImportedExample],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = examples.iter().map(|example| *example.id.as_uuid()).collect();
    let sources: Vec<&str> = examples.iter().map(|example| example.source.as_str()).collect();
    let authors: Vec<Option<&[u8]>> = examples
        .iter()
        .map(|example| {
            let email = example.submission.email.as_ref();
            email.map(|email| email.folded_fingerprint.as_bytes().as_slice())
        })
        .collect();
    let hashes: Vec<i64> = examples.iter().map(|example| example.content_hash as i64).collect();
    let pages: Vec<Option<&str>> =
        examples.iter().map(|example| example.submission.page_uri.as_deref()).collect();
    let langs: Vec<Option<&str>> =
        examples.iter().map(|example| example.submission.lang.as_deref()).collect();
    let bodies: Vec<Vec<u8>> =
        examples.iter().map(|example| record::encode_submission(&example.submission)).collect();
    let sql = "INSERT INTO examples (site, id, source, author, content_hash, page_uri, lang, body) \
         SELECT $1, id, source, author, content_hash, page_uri, lang, body \
         FROM unnest($2::uuid[], $3::text[], $4::bytea[], $5::bigint[], $6::text[], $7::text[], \
             $8::bytea[]) WITH ORDINALITY \
             AS fresh (id, source, author, content_hash, page_uri, lang, body, place) \
         ORDER BY place";
    let values: Values<'_> =
        &[&site_number, &ids, &sources, &authors, &hashes, &pages, &langs, &bodies];
    db.execute(sql, values).await?;
    let labels: Vec<&str> = examples.iter().map(|example| example.label.as_str()).collect();
    let times: Vec<i64> = examples.iter().map(|example| millis(example.time)).collect();
    let sql = "INSERT INTO labels (site, comment, label, reporter, time) \
         SELECT $1, id, label, 'import', time \
         FROM unnest($2::uuid[], $3::text[], $4::bigint[]) WITH ORDINALITY \
             AS fresh (id, label, time, place) \
         ORDER BY place";
    db.execute(sql, &[&site_number, &ids, &labels, &times]).await.map(drop)
}

/// Labels by whom the name `$2` calls: as it stands, and as decisions have it, which are by
/// `moderator:NAME` of the console or by `NAME (key:UUID)` of a caller who named somebody: six
/// characters, the 36 of the UUID, and one.
const REPORTER: &str = "(label.reporter_name = $2::text \
     OR label.reporter IN ('moderator', 'administrator') AND (\
         label.reporter_name = 'moderator:' || $2 \
         OR substr(label.reporter_name, 1, length($2) + 6) = $2 || ' (key:' \
             AND substr(label.reporter_name, length($2) + 43) = ')'))";

/// Which labels a retraction means, as a condition on `label` with the parameter `$2`.
fn condition(what: &Retraction) -> (&'static str, Box<dyn ToSql + Sync + Send + '_>) {
    match what {
        Retraction::Position(position) => ("label.position = $2", Box::new(*position)),
        Retraction::Comment(id) => ("label.comment = $2", Box::new(*id.as_uuid())),
        Retraction::ReporterName(name) => (REPORTER, Box::new(name.as_str())),
        Retraction::Author(author) => (
            "label.comment IN (SELECT id FROM comments WHERE site = $1 AND author = $2 \
             UNION ALL SELECT id FROM examples WHERE site = $1 AND author = $2)",
            Box::new(author.as_bytes().as_slice()),
        ),
        Retraction::Source(source) => (
            "label.comment IN (SELECT id FROM examples WHERE site = $1 AND source = $2)",
            Box::new(source.as_str()),
        ),
    }
}

pub(super) async fn retract_labels(
    db: &Db,
    (site, site_number): (&SiteId, i64),
    what: &Retraction,
    (actor, note, now): (&str, Option<&str>, OffsetDateTime),
) -> Result<u64, StoreError> {
    db.lock_site(site_number).await?;
    let (condition, value) = condition(what);
    let sql = format!(
        "INSERT INTO labels (site, comment, label, reporter, note, time, retracts) \
         SELECT site, comment, label, 'administrator', $3, $4, position FROM labels AS label \
         WHERE site = $1 AND retracts IS NULL AND {condition} AND NOT EXISTS (\
             SELECT 1 FROM labels AS back \
             WHERE back.retracts = label.position AND back.reporter_name IS NULL) \
         ORDER BY position RETURNING comment"
    );
    let values: Values<'_> = &[&site_number, &*value, &note, &millis(now)];
    let touched = db.all(&sql, values, |row| comment_id(row, 0)).await?;
    let count = touched.len();
    if count == 0 {
        return Ok(0);
    }
    relabel(db, site_number, &touched).await?;
    Audit {
        site_number: Some(site_number),
        time: now,
        actor,
        action: "retract-labels",
        subject: site.name(),
        before: None,
        after: Some(format!("{count} labels")),
        note,
    }
    .write(db)
    .await?;
    db.tell(&Told::Relabelled(site.clone())).await?;
    Ok(count as u64)
}

/// What a retraction changes: a comment's author, the label it had and the one that counts now.
struct Relabelled {
    id: CommentId,
    old: Option<Label>,
    author: Option<[u8; 16]>,
    new: Option<Label>,
    time: Option<i64>,
}

/// Gives the comments whose labels were taken back the label that counts now, and their authors'
/// records with them.
async fn relabel(db: &Db, site_number: i64, touched: &[CommentId]) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = touched.iter().map(|id| *id.as_uuid()).collect();
    // Locked in one order, so that no circle of waiting comes about.
    let lock = "SELECT 1 FROM comments WHERE site = $1 AND id = ANY($2) ORDER BY id FOR UPDATE";
    db.all(lock, &[&site_number, &ids], |_| Ok(())).await?;
    let sql = "SELECT comment.id, comment.label, comment.author, label.label, label.time \
         FROM comments AS comment LEFT JOIN LATERAL (\
             SELECT label, time FROM labels AS counting \
             WHERE counting.site = $1 AND counting.comment = comment.id \
                 AND counting.retracts IS NULL AND NOT EXISTS (\
                     SELECT 1 FROM labels AS back WHERE back.retracts = counting.position) \
             ORDER BY position DESC LIMIT 1) AS label ON true \
         WHERE comment.site = $1 AND comment.id = ANY($2)";
    let read = |row: &Row| {
        Ok(Relabelled {
            id: comment_id(row, 0)?,
            old: word_or_none(row, 1)?,
            author: bytes_or_none(row, 2)?,
            new: word_or_none(row, 3)?,
            time: get(row, 4)?,
        })
    };
    let changed = db.all(sql, &[&site_number, &ids], read).await?;
    let ids: Vec<Uuid> = changed.iter().map(|one| *one.id.as_uuid()).collect();
    let labels: Vec<Option<&str>> = changed.iter().map(|one| one.new.map(Label::as_str)).collect();
    let times: Vec<Option<i64>> = changed.iter().map(|one| one.time).collect();
    let sql = "UPDATE comments SET label = now.label, label_time = now.time \
         FROM unnest($2::uuid[], $3::text[], $4::bigint[]) AS now (id, label, time) \
         WHERE site = $1 AND comments.id = now.id";
    db.execute(sql, &[&site_number, &ids, &labels, &times]).await?;
    let changes = changed.iter().filter_map(|one| {
        let mut change = AuthorChange::default();
        if let Some(old) = one.old {
            *change.of_label(old) -= 1;
        }
        if let Some(new) = one.new {
            *change.of_label(new) += 1;
        }
        Some(((site_number, one.author?), change))
    });
    authors::write(db, &changes.collect::<Vec<_>>()).await
}
