//! Labels that a site sends back: entries of the ledger that move a comment like a decision.

use crate::domain::{Action, Label, State};
use crate::moderation::ports::review::NewDecision;
use crate::moderation::ports::{AppliedLabel, LabelEntry, StoreError};
use crate::storage::values::{feedback_id, label_actor, millis};

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
        actor: label_actor(entry),
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
    work.move_all(&[Move { comment, state, label, entry: Some(position) }]).await?;
    audit_label(db, site_number, entry, [before, state]).await?;
    work.finish(false).await?;
    let after = queries::comment(db, site_number, &entry.site, entry.comment).await?;
    let comment = Box::new(after.ok_or(StoreError::NotFound)?);
    Ok(AppliedLabel { position, state_before: before, comment })
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

async fn audit_label(
    db: &Db,
    site_number: i64,
    entry: &LabelEntry,
    [before, after]: [State; 2],
) -> Result<(), StoreError> {
    Audit {
        site_number: Some(site_number),
        time: entry.time,
        actor: &label_actor(entry),
        action: "label-comment",
        subject: entry.comment.name(&entry.site),
        before: Some(before.as_str().to_owned()),
        after: Some(after.as_str().to_owned()),
        note: entry.note.as_deref(),
    }
    .write(db)
    .await
}
