//! The port of erasure, export and retention, on top of writer and readers.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use serde_json::json;
use time::OffsetDateTime;

use crate::domain::{CommentId, Fingerprint, Label, Site, SiteId, SiteSecret};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::privacy::{
    Act, ExportKind, Holdings, PrivacyStore, StoredExample, Whose,
};
use crate::moderation::ports::review::ReviewedComment;
use crate::storage::record::{self, SubmissionColumns};

use super::cache::Effect;
use super::commands::{Audit, execute, stored_site};
use super::erase::{self, Found, Removal};
use super::error::from_sqlite;
use super::open;
use super::operations::forget_reports;
use super::queries::{self, all, first};
use super::review_queries;
use super::rows::{Word, comment_id, corrupt, millis};
use super::store::SqliteStore;
use super::writer::{Batch, Undo};

/// Pages of the search index that are merged in one transaction: a few milliseconds.
const MERGE_PAGES: i32 = 64;
/// Kibibytes of page cache of the connection that empties the log.
const SCRUB_CACHE_KIB: i32 = 256;
/// How long emptying the log waits for readers and for the writer.
const SCRUB_TIMEOUT: Duration = Duration::from_millis(500);

#[async_trait]
impl PrivacyStore for SqliteStore {
    async fn holdings(&self, site: &SiteId, whose: Whose) -> Result<Holdings, StoreError> {
        self.read_site(site, move |db, number| holdings(db, number, whose)).await
    }

    async fn stored_comments(
        &self,
        site: &SiteId,
        whose: Option<Whose>,
        after: Option<CommentId>,
        count_max: usize,
    ) -> Result<Vec<ReviewedComment>, StoreError> {
        let owner = site.clone();
        self.read_site(site, move |db, number| {
            let whose = whose.map(erase::condition);
            review_queries::stored(db, number, &owner, whose, after, count_max)
        })
        .await
    }

    async fn stored_examples(
        &self,
        site: &SiteId,
        whose: Option<Whose>,
        after: Option<CommentId>,
        count_max: usize,
    ) -> Result<Vec<StoredExample>, StoreError> {
        self.read_site(site, move |db, number| examples(db, number, whose, after, count_max)).await
    }

    async fn erase(
        &self,
        site: &SiteId,
        whose: Whose,
        count_max: usize,
        act: Act,
    ) -> Result<Holdings, StoreError> {
        let time = act.time;
        loop {
            let found: Found = self
                .read_site(site, move |db, number| erase::find(db, number, whose, count_max, time))
                .await?;
            let was_empty = found.is_empty();
            let (site, act) = (site.clone(), act.clone());
            let work = move |batch: &mut Batch<'_>| {
                erase::overwriting(batch.db, || erase(batch, &site, whose, &found, &act))
            };
            let erased = self.writer().submit(Undo::Savepoint, work).await?;
            // Something else took all that was found, such as retention, which may have kept some of
            // it as examples: that it is gone from where it was says nothing of what is left. Each
            // time there is less to find, so this ends.
            if was_empty || !erased.is_empty() {
                return Ok(erased);
            }
        }
    }

    async fn remove_comments(
        &self,
        site: &SiteId,
        before: OffsetDateTime,
        keep_labelled: bool,
        count_max: usize,
        now: OffsetDateTime,
    ) -> Result<u64, StoreError> {
        let found: Found = self
            .read_site(site, move |db, number| {
                erase::find_expired(db, number, before, count_max, now)
            })
            .await?;
        if found.is_empty() {
            return Ok(0);
        }
        let site = site.clone();
        let work = move |batch: &mut Batch<'_>| {
            let site_number = stored_site(batch, &site)?.number;
            let removal = Removal { site_number, keep_labelled, time: now };
            let removed = erase::overwriting(batch.db, || removal.run(batch, &found))?;
            Ok(removed.comment_count)
        };
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn remove_audit_entries(
        &self,
        site: &SiteId,
        before: OffsetDateTime,
        count_max: usize,
    ) -> Result<u64, StoreError> {
        let (site, before) = (site.clone(), millis(before));
        let work = move |batch: &mut Batch<'_>| {
            let (db, site_number) = (batch.db, stored_site(batch, &site)?.number);
            let sql = "INSERT INTO audit_ends (site, time) VALUES (?1, ?2) \
                 ON CONFLICT DO UPDATE SET time = max(time, ?2)";
            execute(db, sql, params![site_number, before])?;
            let sql = "DELETE FROM audit_entries WHERE position IN (\
                 SELECT position FROM (SELECT position, time FROM audit_entries \
                     WHERE site = ?1 ORDER BY position LIMIT ?3) WHERE time < ?2)";
            execute(db, sql, params![site_number, before, count_max as i64])?;
            Ok(db.changes())
        };
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn remove_deliveries(
        &self,
        site: &SiteId,
        before: OffsetDateTime,
        count_max: usize,
    ) -> Result<u64, StoreError> {
        let site = site.clone();
        let work = move |batch: &mut Batch<'_>| {
            let (db, site_number) = (batch.db, stored_site(batch, &site)?.number);
            let sql = "DELETE FROM deliveries WHERE number IN (SELECT deliveries.number \
                 FROM webhooks JOIN deliveries ON deliveries.webhook = webhooks.number \
                 WHERE webhooks.site = ?1 AND deliveries.state IN ('delivered', 'dead') \
                     AND deliveries.create_time < ?2 LIMIT ?3)";
            execute(db, sql, params![site_number, millis(before), count_max as i64])?;
            Ok(db.changes())
        };
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn note_export(
        &self,
        site: &SiteId,
        what: ExportKind,
        act: Act,
    ) -> Result<(), StoreError> {
        let site = site.clone();
        let work = move |batch: &mut Batch<'_>| {
            let site_number = stored_site(batch, &site)?.number;
            audit(&site, site_number, what.action(), None, &act).write(batch.db)
        };
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn rotate_fingerprint_key(
        &self,
        site: &SiteId,
        secret: SiteSecret,
        act: Act,
    ) -> Result<Site, StoreError> {
        let site = site.clone();
        let work = move |batch: &mut Batch<'_>| {
            erase::overwriting(batch.db, || rotate(batch, &site, &secret, &act))
        };
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn scrub(&self) -> Result<bool, StoreError> {
        let wanted = self.read(scrubs_wanted).await?;
        if wanted == 0 {
            return Ok(true);
        }
        // A negative number begins a merge of the whole index, positive ones go on with it.
        let mut pages = -MERGE_PAGES;
        while self
            .writer()
            .submit(Undo::Savepoint, move |batch: &mut Batch<'_>| merge(batch.db, pages))
            .await?
        {
            pages = MERGE_PAGES;
        }
        let path = self.path().to_owned();
        let emptied = tokio::task::spawn_blocking(move || empty_log(&path));
        let emptied =
            emptied.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())));
        if !emptied? {
            return Ok(false);
        }
        // What was erased meanwhile is still to be done.
        let work = move |batch: &mut Batch<'_>| {
            let sql = "UPDATE privacy_marks SET erasure_count = erasure_count - ?1 \
                 WHERE number = 1";
            execute(batch.db, sql, [wanted])?;
            scrubs_wanted(batch.db)
        };
        Ok(self.writer().submit(Undo::Savepoint, work).await? == 0)
    }
}

fn audit<'a>(
    site: &SiteId,
    site_number: i64,
    action: &'static str,
    after: Option<String>,
    act: &'a Act,
) -> Audit<'a> {
    Audit {
        site_number,
        time: act.time,
        actor: &act.actor,
        action,
        subject: site.name(),
        before: None,
        after,
        note: act.note.as_deref(),
    }
}

fn erase(
    batch: &mut Batch<'_>,
    site: &SiteId,
    whose: Whose,
    found: &Found,
    act: &Act,
) -> Result<Holdings, StoreError> {
    let site_number = stored_site(batch, site)?.number;
    let removal = Removal { site_number, keep_labelled: false, time: act.time };
    let erased = removal.run(batch, found)?;
    if erased.is_empty() {
        if let Whose::Author(author) = whose
            && found.is_empty()
        {
            erase::forget_author(batch, site_number, author)?;
        }
        return Ok(erased);
    }
    erase::want_scrub(batch.db)?;
    let counts = json!({
        "comment_count": erased.comment_count,
        "example_count": erased.example_count,
        "label_count": erased.label_count,
    });
    audit(site, site_number, "erase-author", Some(counts.to_string()), act).write(batch.db)?;
    Ok(erased)
}

fn rotate(
    batch: &mut Batch<'_>,
    site: &SiteId,
    secret: &SiteSecret,
    act: &Act,
) -> Result<Site, StoreError> {
    let site_number = stored_site(batch, site)?.number;
    let sql = "UPDATE sites SET secret = ?2, revision = revision + 1 WHERE number = ?1";
    execute(batch.db, sql, params![site_number, secret.as_bytes()])?;
    forget_reports(batch.db, site_number)?;
    erase::want_scrub(batch.db)?;
    audit(site, site_number, "rotate-fingerprint-key", None, act).write(batch.db)?;
    let after = queries::site(batch.db, site)?.ok_or(StoreError::NotFound)?;
    let rotated = Site::clone(&after.site);
    batch.effects.push(Effect::Site(after));
    Ok(rotated)
}

fn holdings(db: &Connection, site_number: i64, whose: Whose) -> Result<Holdings, StoreError> {
    let (column, value) = erase::condition(whose);
    let labels = |table: &str| {
        format!(
            "SELECT count(*) FROM {table} AS own JOIN labels AS label \
                 ON label.site = ?1 AND label.comment = own.id AND label.retracts IS NULL \
             WHERE own.site = ?1 AND own.{column} = ?2 AND NOT EXISTS (\
                 SELECT 1 FROM labels AS back WHERE back.retracts = label.position)"
        )
    };
    let rows =
        |table: &str| format!("SELECT count(*) FROM {table} WHERE site = ?1 AND {column} = ?2");
    let count = |sql: String| -> Result<u64, StoreError> {
        let read = |row: &Row<'_>| row.get::<_, i64>(0).map_err(from_sqlite);
        Ok(first(db, &sql, params![site_number, value], read)?.unwrap_or(0) as u64)
    };
    Ok(Holdings {
        comment_count: count(rows("comments"))?,
        example_count: count(rows("examples"))?,
        label_count: count(labels("comments"))? + count(labels("examples"))?,
    })
}

fn examples(
    db: &Connection,
    site_number: i64,
    whose: Option<Whose>,
    after: Option<CommentId>,
    count_max: usize,
) -> Result<Vec<StoredExample>, StoreError> {
    // The signs keep SQLite from reading the whole site in the order of its ids.
    let (condition, value) = match whose.map(erase::condition) {
        Some((column, value)) => (format!("{column} = ?2 AND +id > ?3 ORDER BY +id"), value),
        None => ("?2 IS NOT NULL AND id > ?3 ORDER BY id".to_owned(), [0; 16]),
    };
    let sql = format!(
        "SELECT id, source, author, page_uri, lang, body, (SELECT label FROM labels AS label \
             WHERE label.site = ?1 AND label.comment = examples.id AND retracts IS NULL \
                 AND NOT EXISTS (SELECT 1 FROM labels AS back \
                     WHERE back.retracts = label.position) ORDER BY position DESC LIMIT 1) \
         FROM examples WHERE site = ?1 AND {condition} LIMIT ?4"
    );
    let after = after.map_or([0; 16], |id| *id.as_uuid().as_bytes());
    all(db, &sql, params![site_number, value, after, count_max as i64], |row| {
        let columns = || -> rusqlite::Result<SubmissionColumns> {
            let author = row.get::<_, Option<[u8; 16]>>(2)?.map(Fingerprint::from_bytes);
            Ok(SubmissionColumns { author, ip: None, page_uri: row.get(3)?, lang: row.get(4)? })
        };
        let body = row.get_ref(5).map_err(from_sqlite)?.as_blob().map_err(corrupt)?;
        let submission = record::decode_submission(body, columns().map_err(from_sqlite)?)?;
        let read = || -> rusqlite::Result<StoredExample> {
            Ok(StoredExample {
                id: comment_id(row, 0)?,
                source: row.get(1)?,
                label: row.get::<_, Option<Word<Label>>>(6)?.map(|word| word.0),
                submission,
            })
        };
        read().map_err(from_sqlite)
    })
}

/// How many erasures are still to be overwritten.
fn scrubs_wanted(db: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT erasure_count FROM privacy_marks WHERE number = 1";
    Ok(first(db, sql, [], |row| row.get(0).map_err(from_sqlite))?.unwrap_or_default())
}

/// Merges pages of the search index, by which removed words go, and answers whether there are
/// more. SQLite says that a merge with nothing to do changes fewer than two rows.
fn merge(db: &Connection, pages: i32) -> Result<bool, StoreError> {
    erase::overwriting(db, || {
        let before = db.total_changes();
        let sql = "INSERT INTO comment_words (comment_words, rank) VALUES ('merge', ?1)";
        execute(db, sql, [pages])?;
        Ok(db.total_changes() - before >= 2)
    })
}

/// Moves all of the write-ahead log into the database and cuts it off; false if it is in use.
fn empty_log(path: &Path) -> Result<bool, StoreError> {
    let db = open::connect(path, SCRUB_CACHE_KIB).map_err(from_sqlite)?;
    db.busy_timeout(SCRUB_TIMEOUT).map_err(from_sqlite)?;
    let read = |row: &Row<'_>| row.get::<_, i64>(0);
    let busy = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], read).map_err(from_sqlite)?;
    Ok(busy == 0)
}
