//! Domain values as rows and back.

use std::sync::Arc;

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{
    CheckedComment, CommentId, Fingerprint, IpFingerprints, Label, Score, Site, SiteId, SiteSecret,
    State, Verdict,
};
use crate::moderation::ports::{
    AuditEntry, AuthorRecord, ContentPrint, KeyRecord, LabelEntry, RecentComment, Reporter,
    StoreError,
};

use super::error::from_sqlite;
use crate::storage::record::{self, SubmissionColumns};
pub(super) use crate::storage::values::{CommentRow, StoredSite, Worded, corrupt, millis};

/// The columns that [`comment`] reads, in its order.
pub(super) const COMMENT_COLUMNS: &str = "id, check_time, verdict, state, discard, probability, \
     model_version, content_hash, simhash, author, ip, ip_prefix, page_uri, lang, body, \
     campaign, uncertainty";

/// The comment of a row of [`COMMENT_COLUMNS`].
pub(super) fn comment(site: &SiteId, row: &Row<'_>) -> Result<CheckedComment, StoreError> {
    let columns = submission_columns(row).map_err(from_sqlite)?;
    let body = row.get_ref(14).map_err(from_sqlite)?.as_bytes().map_err(corrupt)?;
    let body = record::decode(body, columns)?;
    let read = || -> rusqlite::Result<CheckedComment> {
        let probability: Option<f64> = row.get(5)?;
        let model_version: Option<String> = row.get(6)?;
        let score = match (probability, body.raw_score, model_version) {
            (Some(probability), Some(raw_score), Some(model_version)) => Some(Score {
                probability,
                raw_score,
                contributions: body.contributions,
                model_version,
                abuse: body.abuse,
            }),
            _ => None,
        };
        Ok(CheckedComment {
            id: comment_id(row, 0)?,
            site: site.clone(),
            check_time: time(row, 1)?,
            submission: body.submission,
            verdict: row.get::<_, Word<Verdict>>(2)?.0,
            state: row.get::<_, Word<State>>(3)?.0,
            score,
            signals: body.signals,
            reasons: body.reasons,
            missing: body.missing,
            degraded: body.degraded,
            discard: row.get(4)?,
            content_hash: row.get::<_, i64>(7)? as u64,
            simhash: u128::from_be_bytes(row.get(8)?),
            campaign: comment_id(row, 15)?,
            uncertainty: row.get(16)?,
        })
    };
    read().map_err(from_sqlite)
}

/// What the columns 9 to 13 of [`COMMENT_COLUMNS`] say.
fn submission_columns(row: &Row<'_>) -> rusqlite::Result<SubmissionColumns> {
    let fingerprint = |column| -> rusqlite::Result<Option<Fingerprint>> {
        Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(Fingerprint::from_bytes))
    };
    let ip = match (fingerprint(10)?, fingerprint(11)?) {
        (Some(address), Some(prefix)) => Some(IpFingerprints { address, prefix }),
        _ => None,
    };
    Ok(SubmissionColumns {
        author: fingerprint(9)?,
        ip,
        page_uri: row.get(12)?,
        lang: row.get(13)?,
    })
}

/// The columns that [`recent_comment`] reads.
pub(super) const RECENT_COLUMNS: &str = "id, check_time, content_hash, simhash, label, campaign";

/// The recent comment of a row of [`RECENT_COLUMNS`].
pub(super) fn recent_comment(row: &Row<'_>) -> rusqlite::Result<RecentComment> {
    let simhash = u128::from_be_bytes(row.get(3)?);
    Ok(RecentComment {
        id: comment_id(row, 0)?,
        check_time: time(row, 1)?,
        print: ContentPrint {
            content_hash: row.get::<_, i64>(2)? as u64,
            simhash,
            // A text too short for likeness has the SimHash 0.
            comparable: simhash != 0,
        },
        campaign: comment_id(row, 5)?,
        label: row.get::<_, Option<Word<Label>>>(4)?.map(|word| word.0),
    })
}

/// The columns that [`stored_site`] reads.
pub(super) const SITE_COLUMNS: &str =
    "number, id, display_name, secret, policy, revision, create_time";

/// The site of a row of [`SITE_COLUMNS`].
pub(super) fn stored_site(row: &Row<'_>) -> Result<StoredSite, StoreError> {
    let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let read = || -> rusqlite::Result<(i64, [u8; 32], i64, OffsetDateTime)> {
        Ok((row.get(0)?, row.get(3)?, row.get(5)?, time(row, 6)?))
    };
    let (number, secret, revision, create_time) = read().map_err(from_sqlite)?;
    let site = Site {
        id: text(1).map_err(from_sqlite)?.parse().map_err(corrupt)?,
        display_name: text(2).map_err(from_sqlite)?.to_owned(),
        secret: SiteSecret::from_bytes(secret),
        policy: serde_json::from_str(text(4).map_err(from_sqlite)?).map_err(corrupt)?,
        revision,
        create_time,
    };
    Ok(StoredSite { number, site: Arc::new(site) })
}

/// The columns that [`key`] reads, of `keys JOIN sites`.
pub(super) const KEY_COLUMNS: &str = "keys.id, sites.id, keys.hash, keys.scopes, \
     keys.display_name, keys.create_time, keys.revoke_time, keys.use_time";

/// The key of a row of [`KEY_COLUMNS`].
pub(super) fn key(row: &Row<'_>) -> Result<KeyRecord, StoreError> {
    let site: String = row.get(1).map_err(from_sqlite)?;
    let scopes: String = row.get(3).map_err(from_sqlite)?;
    let site = site.parse().map_err(corrupt)?;
    let scopes = serde_json::from_str(&scopes).map_err(corrupt)?;
    let read = || -> rusqlite::Result<KeyRecord> {
        Ok(KeyRecord {
            id: Uuid::from_bytes(row.get(0)?),
            site,
            hash: row.get(2)?,
            scopes,
            display_name: row.get(4)?,
            create_time: time(row, 5)?,
            revoke_time: row.get::<_, Option<Millis>>(6)?.map(|millis| millis.0),
            use_time: row.get::<_, Option<Millis>>(7)?.map(|millis| millis.0),
        })
    };
    read().map_err(from_sqlite)
}

/// The columns that [`author_record`] reads.
pub(super) const AUTHOR_COLUMNS: &str =
    "approved_count, held_count, rejected_count, spam_label_count, ham_label_count";

/// The author record of a row of [`AUTHOR_COLUMNS`].
pub(super) fn author_record(row: &Row<'_>) -> rusqlite::Result<AuthorRecord> {
    let count =
        |column| row.get(column).map(|count: i64| u32::try_from(count.max(0)).unwrap_or(u32::MAX));
    Ok(AuthorRecord {
        approved_count: count(0)?,
        held_count: count(1)?,
        rejected_count: count(2)?,
        spam_label_count: count(3)?,
        ham_label_count: count(4)?,
    })
}

/// The columns that [`label_entry`] reads.
pub(super) const LABEL_COLUMNS: &str =
    "position, comment, label, reporter, reporter_name, note, time";

/// The ledger entry of a row of [`LABEL_COLUMNS`], with its position.
pub(super) fn label_entry(site: &SiteId, row: &Row<'_>) -> rusqlite::Result<(i64, LabelEntry)> {
    let entry = LabelEntry {
        comment: comment_id(row, 1)?,
        site: site.clone(),
        label: row.get::<_, Word<Label>>(2)?.0,
        reporter: row.get::<_, Word<Reporter>>(3)?.0,
        reporter_name: row.get(4)?,
        note: row.get(5)?,
        time: time(row, 6)?,
    };
    Ok((row.get(0)?, entry))
}

/// The columns that [`audit_entry`] reads.
pub(super) const AUDIT_COLUMNS: &str =
    "position, time, actor, action, subject, before, after, note";

/// The audit entry of a row of [`AUDIT_COLUMNS`].
pub(super) fn audit_entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        position: row.get(0)?,
        time: time(row, 1)?,
        actor: row.get(2)?,
        action: row.get(3)?,
        subject: row.get(4)?,
        before: row.get(5)?,
        after: row.get(6)?,
        note: row.get(7)?,
    })
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<OffsetDateTime> {
    Ok(row.get::<_, Millis>(column)?.0)
}

pub(super) fn time_or_none(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<OffsetDateTime>> {
    Ok(row.get::<_, Option<Millis>>(column)?.map(|millis| millis.0))
}

pub(super) fn comment_id(row: &Row<'_>, column: usize) -> rusqlite::Result<CommentId> {
    Ok(CommentId::from_uuid(Uuid::from_bytes(row.get(column)?)))
}

/// An instant in milliseconds since 1970.
struct Millis(OffsetDateTime);

impl FromSql for Millis {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let millis = i64::column_result(value)?;
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
            .map(Self)
            .map_err(|_| FromSqlError::OutOfRange(millis))
    }
}

/// A value that is stored as its word.
pub(super) struct Word<T>(pub T);

impl<T: Worded> FromSql for Word<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let word = value.as_str()?;
        let known = T::ALL.iter().find(|known| known.word() == word);
        known.map(|value| Self(*value)).ok_or(FromSqlError::InvalidType)
    }
}
