//! Removing comments with all that hangs on them. What is to be removed is found by a reading
//! connection, which may take its time; what writes runs inside the writer's transaction.

use std::collections::{BTreeSet, HashSet};

use rusqlite::{Connection, Row, params};
use time::{Duration, OffsetDateTime};

use crate::domain::{CommentId, Fingerprint, Label, State};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::privacy::{Holdings, Whose};
use crate::storage::record::{self, SubmissionColumns};

use super::authors::AuthorChange;
use super::cache::{Effect, SiteKey, author_key};
use super::commands::execute;
use super::error::from_sqlite;
use super::operations::forget_reports;
use super::queries::{REQUEST_LIFE, all, first, hour, id_bound};
use super::queue;
use super::rows::{Word, comment_id, corrupt, millis};
use super::writer::Batch;

/// A comment to be removed.
struct Target {
    number: i64,
    id: [u8; 16],
    check_time: i64,
}

/// What is to be removed, as it was read.
#[derive(Default)]
pub(super) struct Found {
    comments: Vec<Target>,
    /// Hours and ids of the requests that these answered.
    requests: Vec<(i64, [u8; 16])>,
    /// Ids of examples.
    examples: Vec<[u8; 16]>,
}

impl Found {
    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.comments.is_empty() && self.examples.is_empty()
    }
}

fn target(row: &Row<'_>) -> Result<Target, StoreError> {
    let read = || -> rusqlite::Result<Target> {
        Ok(Target { number: row.get(0)?, id: row.get(1)?, check_time: row.get(2)? })
    };
    read().map_err(from_sqlite)
}

/// The column that tells whose a comment or example is, and its value.
pub(super) fn condition(whose: Whose) -> (&'static str, [u8; 16]) {
    match whose {
        Whose::Author(author) => ("author", *author.as_bytes()),
        Whose::Comment(id) => ("id", *id.as_uuid().as_bytes()),
    }
}

/// At most `count_max` comments and as many examples of somebody.
pub(super) fn find(
    db: &Connection,
    site_number: i64,
    whose: Whose,
    count_max: usize,
    now: OffsetDateTime,
) -> Result<Found, StoreError> {
    let (column, value) = condition(whose);
    let values = params![site_number, value, count_max as i64];
    let sql = format!(
        "SELECT number, id, check_time FROM comments WHERE site = ?1 AND {column} = ?2 LIMIT ?3"
    );
    let comments = all(db, &sql, values, target)?;
    let sql = format!("SELECT id FROM examples WHERE site = ?1 AND {column} = ?2 LIMIT ?3");
    let examples = all(db, &sql, values, |row| row.get(0).map_err(from_sqlite))?;
    let requests = requests(db, site_number, &comments, now)?;
    Ok(Found { comments, requests, examples })
}

/// The oldest comments that were checked before a time, at most `count_max`.
pub(super) fn find_expired(
    db: &Connection,
    site_number: i64,
    before: OffsetDateTime,
    count_max: usize,
    now: OffsetDateTime,
) -> Result<Found, StoreError> {
    // Ids sort by check time to the millisecond.
    let sql = "SELECT number, id, check_time FROM comments WHERE site = ?1 AND id < ?2 \
         ORDER BY id LIMIT ?3";
    let comments =
        all(db, sql, params![site_number, id_bound(before, 0), count_max as i64], target)?;
    let requests = requests(db, site_number, &comments, now)?;
    Ok(Found { comments, requests, examples: Vec::new() })
}

/// The request ids that may still give these comments back. They are sorted by hour and id, so
/// the hours of the comments are read through.
fn requests(
    db: &Connection,
    site_number: i64,
    comments: &[Target],
    now: OffsetDateTime,
) -> Result<Vec<(i64, [u8; 16])>, StoreError> {
    let oldest = millis(now - REQUEST_LIFE - Duration::HOUR);
    let young = || comments.iter().filter(|comment| comment.check_time >= oldest);
    let hours: BTreeSet<i64> = young().map(|comment| hour(comment.check_time)).collect();
    let ids: HashSet<[u8; 16]> = young().map(|comment| comment.id).collect();
    let sql = "SELECT id, comment FROM requests WHERE hour = ?1 AND site = ?2";
    let mut found = Vec::new();
    for hour in hours {
        let read = |row: &Row<'_>| -> rusqlite::Result<([u8; 16], [u8; 16])> {
            Ok((row.get(0)?, row.get(1)?))
        };
        let mut statement = db.prepare_cached(sql).map_err(from_sqlite)?;
        let rows = statement.query_map(params![hour, site_number], read).map_err(from_sqlite)?;
        for row in rows {
            let (id, comment) = row.map_err(from_sqlite)?;
            if ids.contains(&comment) {
                found.push((hour, id));
            }
        }
    }
    Ok(found)
}

/// Does `work` with every byte that it frees overwritten.
pub(super) fn overwriting<T>(
    db: &Connection,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let set = |mode| {
        db.pragma_update_and_check(None, "secure_delete", mode, |_| Ok(())).map_err(from_sqlite)
    };
    set("on")?;
    let done = work();
    set("fast")?;
    done
}

/// How comments are removed.
#[derive(Clone, Copy)]
pub(super) struct Removal {
    pub site_number: i64,
    /// Whether those whose label counts become examples.
    pub keep_labelled: bool,
    pub time: OffsetDateTime,
}

impl Removal {
    /// Removes what was found, as far as it is still there.
    pub fn run(self, batch: &mut Batch<'_>, found: &Found) -> Result<Holdings, StoreError> {
        let mut removed = Holdings::default();
        let mut campaigns = BTreeSet::new();
        for target in &found.comments {
            let Some(comment) = doomed(batch.db, self.site_number, target)? else { continue };
            if comment.state == State::Held {
                campaigns.insert(comment.campaign);
            }
            self.remove(batch, target, &comment, &mut removed)?;
        }
        let db = batch.db;
        for (hour, id) in &found.requests {
            let sql = "DELETE FROM requests WHERE hour = ?1 AND site = ?2 AND id = ?3";
            execute(db, sql, params![hour, self.site_number, id])?;
        }
        for id in &found.examples {
            let sql = "DELETE FROM examples WHERE site = ?1 AND id = ?2";
            execute(db, sql, params![self.site_number, id])?;
            removed.example_count += db.changes();
            removed.label_count += self.take_back(db, id)?;
        }
        for campaign in campaigns {
            queue::refresh(db, self.site_number, campaign)?;
        }
        if let Some(last) = found.comments.iter().map(|comment| comment.number).max() {
            raise_floor(batch, last)?;
        }
        if lost_labels(db, self.site_number, found)? {
            forget_reports(db, self.site_number)?;
        }
        Ok(removed)
    }

    fn remove(
        self,
        batch: &mut Batch<'_>,
        target: &Target,
        comment: &Doomed,
        removed: &mut Holdings,
    ) -> Result<(), StoreError> {
        let db = batch.db;
        let site = self.site_number;
        if self.keep_labelled && comment.label.is_some() {
            keep(db, site, target)?;
        } else {
            removed.label_count += self.take_back(db, &target.id)?;
        }
        execute(db, "DELETE FROM comment_words WHERE rowid = ?1", [target.number])?;
        execute(db, "DELETE FROM comments WHERE number = ?1", [target.number])?;
        removed.comment_count += 1;
        let sql = "UPDATE decisions SET note = NULL WHERE comment_count = 1 AND number IN \
             (SELECT decision FROM decided_comments WHERE site = ?1 AND comment = ?2)";
        execute(db, sql, params![site, target.id])?;
        let sql = "DELETE FROM decided_comments WHERE site = ?1 AND comment = ?2";
        execute(db, sql, params![site, target.id])?;
        let sql = "DELETE FROM akismet_waits WHERE comment = ?2 AND webhook IN \
             (SELECT number FROM webhooks WHERE site = ?1)";
        execute(db, sql, params![site, target.id])?;
        if let Some(author) = comment.author {
            let mut change = AuthorChange::default();
            *change.of_state(comment.state) -= 1;
            if let Some(label) = comment.label {
                *change.of_label(label) -= 1;
            }
            batch.author_changes.push((author_key(site, author), change));
        }
        Ok(())
    }

    /// Takes the labels of a comment or example back that count, blanks the notes on all, and
    /// answers with how many there were.
    fn take_back(self, db: &Connection, id: &[u8; 16]) -> Result<u64, StoreError> {
        let sql = "INSERT INTO labels (site, comment, label, reporter, time, retracts) \
             SELECT site, comment, label, 'administrator', ?3, position FROM labels AS label \
             WHERE site = ?1 AND comment = ?2 AND retracts IS NULL AND NOT EXISTS (\
                 SELECT 1 FROM labels AS back WHERE back.retracts = label.position)";
        execute(db, sql, params![self.site_number, id, millis(self.time)])?;
        let count = db.changes();
        let sql = "UPDATE labels SET note = NULL \
             WHERE site = ?1 AND comment = ?2 AND note IS NOT NULL";
        execute(db, sql, params![self.site_number, id])?;
        Ok(count)
    }
}

/// Whether labels lost what they are of, counting or taken back: reports may list both.
fn lost_labels(db: &Connection, site_number: i64, found: &Found) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM labels WHERE site = ?1 AND comment = ?2 AND NOT EXISTS (\
             SELECT 1 FROM examples WHERE examples.site = ?1 AND examples.id = ?2) LIMIT 1";
    for id in found.comments.iter().map(|target| &target.id).chain(&found.examples) {
        if first(db, sql, params![site_number, id], |_| Ok(()))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the removal of a comment looks at.
struct Doomed {
    state: State,
    label: Option<Label>,
    author: Option<Fingerprint>,
    campaign: CommentId,
}

fn doomed(
    db: &Connection,
    site_number: i64,
    target: &Target,
) -> Result<Option<Doomed>, StoreError> {
    let sql = "SELECT state, label, author, campaign FROM comments \
         WHERE number = ?1 AND site = ?2 AND id = ?3";
    let read = |row: &Row<'_>| -> rusqlite::Result<Doomed> {
        Ok(Doomed {
            state: row.get::<_, Word<State>>(0)?.0,
            label: row.get::<_, Option<Word<Label>>>(1)?.map(|word| word.0),
            author: row.get::<_, Option<[u8; 16]>>(2)?.map(Fingerprint::from_bytes),
            campaign: comment_id(row, 3)?,
        })
    };
    let values = params![target.number, site_number, target.id];
    first(db, sql, values, |row| read(row).map_err(from_sqlite))
}

/// Makes a comment an example of the ledger, under its id. The author's fingerprint stays, so that
/// an erasure finds it.
fn keep(db: &Connection, site_number: i64, target: &Target) -> Result<(), StoreError> {
    let sql = "SELECT body, author FROM comments WHERE number = ?1";
    let body = first(db, sql, [target.number], |row| {
        let author = row.get::<_, Option<[u8; 16]>>(1).map_err(from_sqlite)?;
        let columns = SubmissionColumns {
            author: author.map(Fingerprint::from_bytes),
            ip: None,
            page_uri: None,
            lang: None,
        };
        let bytes = row.get_ref(0).map_err(from_sqlite)?.as_blob().map_err(corrupt)?;
        Ok(record::encode_submission(&record::decode(bytes, columns)?.submission))
    })?;
    let Some(body) = body else { return Ok(()) };
    let sql = "INSERT OR IGNORE INTO examples \
         (site, id, source, author, content_hash, page_uri, lang, body) \
         SELECT site, id, 'site', author, content_hash, page_uri, lang, ?2 \
         FROM comments WHERE number = ?1";
    execute(db, sql, params![target.number, body])?;
    let sql = "UPDATE labels SET note = NULL WHERE site = ?1 AND comment = ?2";
    execute(db, sql, params![site_number, target.id])
}

/// Sees to it that no later comment gets the number of one that was removed: lists, watchers and
/// the search index go on after a number.
fn raise_floor(batch: &mut Batch<'_>, last: i64) -> Result<(), StoreError> {
    let sql = "UPDATE privacy_marks SET comment_floor = max(comment_floor, ?1) \
         WHERE number = 1 AND NOT EXISTS (SELECT 1 FROM comments WHERE number > ?1)";
    execute(batch.db, sql, [last])?;
    if batch.db.changes() > 0 {
        // At once, for later jobs of this batch; too high a floor does no harm.
        batch.caches.raise_comment_floor(last);
    }
    Ok(())
}

/// The number below which no comment may come.
pub(super) fn comment_floor(db: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT comment_floor FROM privacy_marks WHERE number = 1";
    Ok(first(db, sql, [], |row| row.get(0).map_err(from_sqlite))?.unwrap_or_default())
}

/// Forgets how an author fared, once none of their comments is left.
pub(super) fn forget_author(
    batch: &mut Batch<'_>,
    site_number: i64,
    author: Fingerprint,
) -> Result<(), StoreError> {
    let key: SiteKey = author_key(site_number, author);
    // What is still to be taken out of the record, or added to it, leaves nothing behind either.
    if batch.author_changes.iter().any(|(known, _)| *known == key) {
        return Ok(());
    }
    let sql = "DELETE FROM author_records WHERE site = ?1 AND author = ?2 AND NOT EXISTS (\
             SELECT 1 FROM comments WHERE comments.site = ?1 AND comments.author = ?2)";
    execute(batch.db, sql, params![key.0, key.1])?;
    if batch.db.changes() > 0 {
        batch.effects.push(Effect::AuthorForgotten(key));
    }
    Ok(())
}

/// Notes that something is to be overwritten.
pub(super) fn want_scrub(db: &Connection) -> Result<(), StoreError> {
    let sql = "UPDATE privacy_marks SET erasure_count = erasure_count + 1 WHERE number = 1";
    execute(db, sql, [])
}
