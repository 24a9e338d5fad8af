//! Labels that a site sends back: entries of the ledger that move a comment like a decision.

use time::OffsetDateTime;

use crate::domain::{Action, DecisionId, Label, State};
use crate::moderation::ports::review::NewDecision;
use crate::moderation::ports::{AppliedLabel, LabelEntry, StoreError};
use crate::storage::values::millis;

use super::audit::Audit;
use super::db::{Db, Values};
use super::decided_rows::current;
use super::decisions::{Move, Work};
use super::queries;
use super::rows::get;

/// See `Store::append_label`; runs inside a transaction.
pub(super) async fn append_label(
    db: &Db,
    site_number: i64,
    entry: &LabelEntry,
) -> Result<AppliedLabel, StoreError> {
    db.lock_site(site_number).await?;
    let id = *entry.comment.as_uuid();
    let mut known = current(db, site_number, &[id]).await?;
    let comment = known.remove(&entry.comment).ok_or(StoreError::NotFound)?;
    let position = insert_label(db, site_number, entry).await?;
    let decision = NewDecision {
        id: feedback_id(entry.time, position),
        site: entry.site.clone(),
        action: Action::Feedback,
        actor: actor(entry),
        administrator: false,
        note: entry.note.clone(),
        time: entry.time,
    };
    let mut work = Work::begin(db, site_number, &decision).await?;
    let state = match entry.label {
        Label::Ham => State::Approved,
        Label::Spam => State::Rejected,
    };
    let (before, time) = (comment.state, millis(entry.time));
    if before == State::from(comment.verdict) {
        work.count(time, [before, state], 1);
    }
    let label = Some((entry.label, time));
    work.move_all(&[Move { comment, state, label, appended: Some(position) }]).await?;
    audit_label(db, site_number, entry, [before, state]).await?;
    work.finish(false).await?;
    let after = queries::comment(db, site_number, &entry.site, entry.comment).await?;
    let comment = Box::new(after.ok_or(StoreError::NotFound)?);
    Ok(AppliedLabel { position, state_before: before, comment })
}

/// The id of the decision that a label of the ledger is: its time, then its position, which no
/// other has (a UUIDv8, RFC 9562).
fn feedback_id(time: OffsetDateTime, position: i64) -> DecisionId {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&millis(time).max(0).to_be_bytes()[2..]);
    bytes[8..].copy_from_slice(&position.to_be_bytes());
    DecisionId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

async fn insert_label(db: &Db, site_number: i64, entry: &LabelEntry) -> Result<i64, StoreError> {
    let sql = "INSERT INTO labels (site, comment, label, reporter, reporter_name, note, time) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING position";
    let (label, reporter) = (entry.label.as_str(), entry.reporter.as_str());
    let (name, note, time) = (&entry.reporter_name, &entry.note, millis(entry.time));
    let values: Values<'_> =
        &[&site_number, entry.comment.as_uuid(), &label, &reporter, name, note, &time];
    db.first(sql, values, |row| get(row, 0)).await?.ok_or(StoreError::NotFound)
}

/// Who gave a label, as the audit log has it.
fn actor(entry: &LabelEntry) -> String {
    let reporter = entry.reporter.as_str();
    match &entry.reporter_name {
        Some(name) => format!("{reporter}:{name}"),
        None => reporter.to_owned(),
    }
}

async fn audit_label(
    db: &Db,
    site_number: i64,
    entry: &LabelEntry,
    [before, after]: [State; 2],
) -> Result<(), StoreError> {
    Audit {
        site_number: Some(site_number),
        time: entry.time,
        actor: &actor(entry),
        action: "label-comment",
        subject: entry.comment.name(&entry.site),
        before: Some(before.as_str().to_owned()),
        after: Some(after.as_str().to_owned()),
        note: entry.note.as_deref(),
    }
    .write(db)
    .await
}
