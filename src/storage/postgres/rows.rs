//! Domain values as rows and back.

use std::sync::Arc;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use crate::domain::{
    CheckedComment, CommentId, Fingerprint, IpFingerprints, Label, Score, Site, SiteId, SiteSecret,
};
use crate::moderation::ports::{
    AuditEntry, AuthorRecord, ContentPrint, KeyRecord, LabelEntry, RecentComment, StoreError,
};
use crate::storage::record::{self, SubmissionColumns};
use crate::storage::values::{StoredSite, Worded, corrupt, worded};

/// A column's value.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, StoreError> {
    row.try_get(column).map_err(|error| {
        let name = row.columns().get(column).map_or("?", tokio_postgres::Column::name);
        StoreError::Corrupt(format!("column {column} ({name}): {error}"))
    })
}

/// Bytes of a known number.
pub(super) fn bytes<const N: usize>(row: &Row, column: usize) -> Result<[u8; N], StoreError> {
    exact(get(row, column)?)
}

/// Bytes of a known number, or none.
pub(super) fn bytes_or_none<const N: usize>(
    row: &Row,
    column: usize,
) -> Result<Option<[u8; N]>, StoreError> {
    get::<Option<&[u8]>>(row, column)?.map(exact).transpose()
}

fn exact<const N: usize>(found: &[u8]) -> Result<[u8; N], StoreError> {
    let error = |_| StoreError::Corrupt(format!("{} bytes instead of {N}", found.len()));
    found.try_into().map_err(error)
}

/// A value that is stored as its word.
pub(super) fn word<T: Worded>(row: &Row, column: usize) -> Result<T, StoreError> {
    known(get(row, column)?)
}

/// A value that is stored as its word, or none.
pub(super) fn word_or_none<T: Worded>(row: &Row, column: usize) -> Result<Option<T>, StoreError> {
    get::<Option<&str>>(row, column)?.map(known).transpose()
}

fn known<T: Worded>(word: &str) -> Result<T, StoreError> {
    worded(word).ok_or_else(|| StoreError::Corrupt("a word of another version".into()))
}

/// An instant.
pub(super) fn time(row: &Row, column: usize) -> Result<OffsetDateTime, StoreError> {
    instant(get(row, column)?)
}

/// An instant, or none.
pub(super) fn time_or_none(row: &Row, column: usize) -> Result<Option<OffsetDateTime>, StoreError> {
    get::<Option<i64>>(row, column)?.map(instant).transpose()
}

fn instant(millis: i64) -> Result<OffsetDateTime, StoreError> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).map_err(corrupt)
}

/// A comment's id.
pub(super) fn comment_id(row: &Row, column: usize) -> Result<CommentId, StoreError> {
    Ok(CommentId::from_uuid(get::<Uuid>(row, column)?))
}

fn fingerprint(row: &Row, column: usize) -> Result<Option<Fingerprint>, StoreError> {
    Ok(bytes_or_none(row, column)?.map(Fingerprint::from_bytes))
}

/// The columns that [`comment`] reads, in its order.
pub(super) const COMMENT_COLUMNS: &str = "comments.id, check_time, verdict, state, discard, \
     probability, model_version, content_hash, simhash, author, ip, ip_prefix, page_uri, lang, \
     body, campaign, uncertainty";

/// The comment of a row of [`COMMENT_COLUMNS`].
pub(super) fn comment(site: &SiteId, row: &Row) -> Result<CheckedComment, StoreError> {
    let columns = SubmissionColumns {
        author: fingerprint(row, 9)?,
        ip: match (fingerprint(row, 10)?, fingerprint(row, 11)?) {
            (Some(address), Some(prefix)) => Some(IpFingerprints { address, prefix }),
            _ => None,
        },
        page_uri: get(row, 12)?,
        lang: get(row, 13)?,
    };
    let body = record::decode(get(row, 14)?, columns)?;
    let score = match (get(row, 5)?, body.raw_score, get(row, 6)?) {
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
        verdict: word(row, 2)?,
        state: word(row, 3)?,
        score,
        signals: body.signals,
        reasons: body.reasons,
        missing: body.missing,
        degraded: body.degraded,
        discard: get(row, 4)?,
        content_hash: get::<i64>(row, 7)? as u64,
        simhash: u128::from_be_bytes(bytes(row, 8)?),
        campaign: comment_id(row, 15)?,
        uncertainty: get(row, 16)?,
    })
}

/// The columns that [`recent_comment`] reads.
pub(super) const RECENT_COLUMNS: &str = "id, check_time, content_hash, simhash, label, campaign";

/// The recent comment of a row of [`RECENT_COLUMNS`].
pub(super) fn recent_comment(row: &Row) -> Result<RecentComment, StoreError> {
    Ok(RecentComment {
        id: comment_id(row, 0)?,
        check_time: time(row, 1)?,
        print: print(row, 2)?,
        campaign: comment_id(row, 5)?,
        label: word_or_none::<Label>(row, 4)?,
    })
}

/// The prints of the columns `content_hash` and `simhash`, in this order from `column` on.
pub(super) fn print(row: &Row, column: usize) -> Result<ContentPrint, StoreError> {
    let simhash = u128::from_be_bytes(bytes(row, column + 1)?);
    Ok(ContentPrint {
        content_hash: get::<i64>(row, column)? as u64,
        simhash,
        // A text too short for likeness has the SimHash 0.
        comparable: simhash != 0,
    })
}

/// The columns that [`stored_site`] reads.
pub(super) const SITE_COLUMNS: &str =
    "number, id, display_name, secret, policy, revision, create_time";

/// The site of a row of [`SITE_COLUMNS`].
pub(super) fn stored_site(row: &Row) -> Result<StoredSite, StoreError> {
    let site = Site {
        id: get::<&str>(row, 1)?.parse().map_err(corrupt)?,
        display_name: get(row, 2)?,
        secret: SiteSecret::from_bytes(bytes(row, 3)?),
        policy: serde_json::from_str(get(row, 4)?).map_err(corrupt)?,
        revision: get(row, 5)?,
        create_time: time(row, 6)?,
    };
    Ok(StoredSite { number: get(row, 0)?, site: Arc::new(site) })
}

/// The columns that [`key`] reads, of `keys JOIN sites`.
pub(super) const KEY_COLUMNS: &str = "keys.id, sites.id, keys.hash, keys.scopes, \
     keys.display_name, keys.create_time, keys.revoke_time, keys.use_time";

/// The key of a row of [`KEY_COLUMNS`].
pub(super) fn key(row: &Row) -> Result<KeyRecord, StoreError> {
    Ok(KeyRecord {
        id: get(row, 0)?,
        site: get::<&str>(row, 1)?.parse().map_err(corrupt)?,
        hash: bytes(row, 2)?,
        scopes: serde_json::from_str(get(row, 3)?).map_err(corrupt)?,
        display_name: get(row, 4)?,
        create_time: time(row, 5)?,
        revoke_time: time_or_none(row, 6)?,
        use_time: time_or_none(row, 7)?,
    })
}

/// The columns that [`author_record`] reads.
pub(super) const AUTHOR_COLUMNS: &str =
    "approved_count, held_count, rejected_count, spam_label_count, ham_label_count";

/// The author record of a row of [`AUTHOR_COLUMNS`].
pub(super) fn author_record(row: &Row) -> Result<AuthorRecord, StoreError> {
    let count = |column| Ok(u32::try_from(get::<i64>(row, column)?.max(0)).unwrap_or(u32::MAX));
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
pub(super) fn label_entry(site: &SiteId, row: &Row) -> Result<(i64, LabelEntry), StoreError> {
    let entry = LabelEntry {
        comment: comment_id(row, 1)?,
        site: site.clone(),
        label: word(row, 2)?,
        reporter: word(row, 3)?,
        reporter_name: get(row, 4)?,
        note: get(row, 5)?,
        time: time(row, 6)?,
    };
    Ok((get(row, 0)?, entry))
}

/// The columns that [`audit_entry`] reads.
pub(super) const AUDIT_COLUMNS: &str =
    "position, time, actor, action, subject, before, after, note";

/// The audit entry of a row of [`AUDIT_COLUMNS`].
pub(super) fn audit_entry(row: &Row) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        position: get(row, 0)?,
        time: time(row, 1)?,
        actor: get(row, 2)?,
        action: get(row, 3)?,
        subject: get(row, 4)?,
        before: get(row, 5)?,
        after: get(row, 6)?,
        note: get(row, 7)?,
    })
}
