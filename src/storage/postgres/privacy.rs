//! The port of erasure, export and retention.

use async_trait::async_trait;
use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::domain::{CommentId, Fingerprint, Site, SiteId, SiteSecret};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::privacy::{
    Act, ExportKind, Holdings, PrivacyStore, StoredExample, Whose,
};
use crate::moderation::ports::review::ReviewedComment;
use crate::storage::record::{self, SubmissionColumns};
use crate::storage::values::millis;

use super::audit::Audit;
use super::db::{Db, Values, transaction};
use super::erase::{self, Bound, Doomed, Removal, owner};
use super::listener::Told;
use super::operations::forget_reports;
use super::queries;
use super::review_queries::{CLAIMS, listed, listed_columns};
use super::rows::{bytes_or_none, comment_id, get, word_or_none};
use super::store::PostgresStore;

#[async_trait]
impl PrivacyStore for PostgresStore {
    async fn holdings(&self, site: &SiteId, whose: Whose) -> Result<Holdings, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Holdings::default()) };
        holdings(&db, number, whose).await
    }

    async fn stored_comments(
        &self,
        site: &SiteId,
        whose: Option<Whose>,
        after: Option<CommentId>,
        count_max: usize,
    ) -> Result<Vec<ReviewedComment>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        let (condition, value) = of("comments", whose);
        let columns = listed_columns();
        let sql = format!(
            "SELECT {columns} FROM comments {CLAIMS} WHERE comments.site = $1 \
             AND comments.id > $3 AND {condition} ORDER BY comments.id LIMIT $4"
        );
        let after = after.map_or(Uuid::nil(), |id| *id.as_uuid());
        let values: Values<'_> = &[&number, &*value, &after, &(count_max as i64)];
        db.all(&sql, values, |row| listed(site, row).map(|listed| listed.reviewed)).await
    }

    async fn stored_examples(
        &self,
        site: &SiteId,
        whose: Option<Whose>,
        after: Option<CommentId>,
        count_max: usize,
    ) -> Result<Vec<StoredExample>, StoreError> {
        let Some((db, number)) = self.site_db(site).await? else { return Ok(Vec::new()) };
        let (condition, value) = of("examples", whose);
        let sql = format!(
            "SELECT id, source, author, page_uri, lang, body, (SELECT label FROM labels AS label \
                 WHERE label.site = $1 AND label.comment = examples.id AND retracts IS NULL \
                     AND NOT EXISTS (SELECT 1 FROM labels AS back \
                         WHERE back.retracts = label.position) ORDER BY position DESC LIMIT 1) \
             FROM examples WHERE site = $1 AND id > $3 AND {condition} ORDER BY id LIMIT $4"
        );
        let after = after.map_or(Uuid::nil(), |id| *id.as_uuid());
        let values: Values<'_> = &[&number, &*value, &after, &(count_max as i64)];
        db.all(&sql, values, stored_example).await
    }

    async fn erase(
        &self,
        site: &SiteId,
        whose: Whose,
        count_max: usize,
        act: Act,
    ) -> Result<Holdings, StoreError> {
        let site_number = self.site_number(site).await?;
        let removal = Removal { site_number, keep_labelled: false, time: act.time };
        transaction!(self, |db| {
            let mut erased = removal.comments(&db, Doomed::Of(whose), count_max).await?;
            erased.add(removal.examples(&db, whose, count_max).await?);
            if erased.is_empty() {
                if let Whose::Author(author) = whose {
                    erase::forget_author(&db, site_number, author).await?;
                }
                return Ok(erased);
            }
            let counts = json!({
                "comment_count": erased.comment_count,
                "example_count": erased.example_count,
                "label_count": erased.label_count,
            });
            let after = Some(counts.to_string());
            audit(site, site_number, "erase-author", after, &act).write(&db).await?;
            db.tell(&Told::Relabelled(site.clone())).await?;
            Ok(erased)
        })
    }

    async fn remove_comments(
        &self,
        site: &SiteId,
        before: OffsetDateTime,
        keep_labelled: bool,
        count_max: usize,
        now: OffsetDateTime,
    ) -> Result<u64, StoreError> {
        let site_number = self.site_number(site).await?;
        let removal = Removal { site_number, keep_labelled, time: now };
        transaction!(self, |db| {
            let removed = removal.comments(&db, Doomed::Before(before), count_max).await?;
            Ok(removed.comment_count)
        })
    }

    async fn remove_audit_entries(
        &self,
        site: &SiteId,
        before: OffsetDateTime,
        count_max: usize,
    ) -> Result<u64, StoreError> {
        let (number, before) = (self.site_number(site).await?, millis(before));
        transaction!(self, |db| {
            let sql = "INSERT INTO audit_ends (site, time) VALUES ($1, $2) \
                 ON CONFLICT (site) DO UPDATE SET time = greatest(audit_ends.time, $2)";
            db.execute(sql, &[&number, &before]).await?;
            let sql = "DELETE FROM audit_entries WHERE position IN (\
                 SELECT position FROM (SELECT position, time FROM audit_entries \
                     WHERE site = $1 ORDER BY position LIMIT $3) AS oldest WHERE time < $2)";
            db.execute(sql, &[&number, &before, &(count_max as i64)]).await
        })
    }

    async fn remove_deliveries(
        &self,
        site: &SiteId,
        before: OffsetDateTime,
        count_max: usize,
    ) -> Result<u64, StoreError> {
        let number = self.site_number(site).await?;
        let sql = "DELETE FROM deliveries WHERE number IN (SELECT deliveries.number \
             FROM webhooks JOIN deliveries ON deliveries.webhook = webhooks.number \
             WHERE webhooks.site = $1 AND deliveries.state IN ('delivered', 'dead') \
                 AND deliveries.create_time < $2 LIMIT $3)";
        let values: Values<'_> = &[&number, &millis(before), &(count_max as i64)];
        self.db().await?.execute(sql, values).await
    }

    async fn note_export(
        &self,
        site: &SiteId,
        what: ExportKind,
        act: Act,
    ) -> Result<(), StoreError> {
        let number = self.site_number(site).await?;
        audit(site, number, what.action(), None, &act).write(&self.db().await?).await
    }

    async fn rotate_fingerprint_key(
        &self,
        site: &SiteId,
        secret: SiteSecret,
        act: Act,
    ) -> Result<Site, StoreError> {
        let number = self.site_number(site).await?;
        let rotated = transaction!(self, |db| {
            let sql = "UPDATE sites SET secret = $2, revision = revision + 1 WHERE number = $1";
            db.execute(sql, &[&number, &secret.as_bytes().as_slice()]).await?;
            forget_reports(&db, number).await?;
            audit(site, number, "rotate-fingerprint-key", None, &act).write(&db).await?;
            db.tell(&Told::Site(site.clone())).await?;
            let after = queries::site(&db, site).await?.ok_or(StoreError::NotFound)?;
            Ok(Site::clone(&after.site))
        });
        self.forget_site(site);
        rotated
    }

    /// The server does it: VACUUM frees what was deleted, and what comes later is written over it.
    async fn scrub(&self) -> Result<bool, StoreError> {
        Ok(true)
    }
}

/// A condition on the rows of a table with the parameter `$2`, which stands for nothing if all are
/// meant.
fn of(table: &str, whose: Option<Whose>) -> (String, Bound) {
    match whose.map(owner) {
        Some((column, value)) => (format!("{table}.{column} = $2"), value),
        None => ("$2::boolean".into(), Box::new(true)),
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
        site_number: Some(site_number),
        time: act.time,
        actor: &act.actor,
        action,
        subject: site.name(),
        before: None,
        after,
        note: act.note.as_deref(),
    }
}

async fn holdings(db: &Db, site_number: i64, whose: Whose) -> Result<Holdings, StoreError> {
    let (column, value) = owner(whose);
    let mut counts = Vec::new();
    for table in ["comments", "examples"] {
        let sql = format!(
            "SELECT (SELECT count(*) FROM {table} WHERE site = $1 AND {column} = $2), \
                 (SELECT count(*) FROM {table} AS own JOIN labels AS label \
                     ON label.site = $1 AND label.comment = own.id AND label.retracts IS NULL \
                 WHERE own.site = $1 AND own.{column} = $2 AND NOT EXISTS (\
                     SELECT 1 FROM labels AS back WHERE back.retracts = label.position))"
        );
        let read = |row: &Row| Ok((get::<i64>(row, 0)? as u64, get::<i64>(row, 1)? as u64));
        let found = db.first(&sql, &[&site_number, &*value], read).await?;
        counts.push(found.unwrap_or_default());
    }
    Ok(Holdings {
        comment_count: counts[0].0,
        example_count: counts[1].0,
        label_count: counts[0].1 + counts[1].1,
    })
}

fn stored_example(row: &Row) -> Result<StoredExample, StoreError> {
    let columns = SubmissionColumns {
        author: bytes_or_none(row, 2)?.map(Fingerprint::from_bytes),
        ip: None,
        page_uri: get(row, 3)?,
        lang: get(row, 4)?,
    };
    Ok(StoredExample {
        id: comment_id(row, 0)?,
        source: get(row, 1)?,
        label: word_or_none(row, 6)?,
        submission: record::decode_submission(get(row, 5)?, columns)?,
    })
}
