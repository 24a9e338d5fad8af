//! Labels that a site sends back: entries of the ledger that move a comment like a decision.

use rusqlite::{Connection, params};

use crate::domain::{Action, Label, State};
use crate::moderation::ports::review::NewDecision;
use crate::moderation::ports::{AppliedLabel, LabelEntry, StoreError};
use crate::storage::values::{feedback_id, label_actor};

use super::commands::{Audit, execute, stored_site};
use super::days::DayChange;
use super::decisions::{Work, current};
use super::queries;
use super::rows::millis;
use super::writer::Batch;

pub(super) fn append_label(
    batch: &mut Batch<'_>,
    entry: &LabelEntry,
) -> Result<AppliedLabel, StoreError> {
    let site_number = stored_site(batch, &entry.site)?.number;
    let comment = current(batch.db, site_number, entry.comment)?.ok_or(StoreError::NotFound)?;
    let position = insert_label(batch.db, site_number, entry)?;
    let decision = NewDecision {
        id: feedback_id(entry.time, position),
        site: entry.site.clone(),
        action: Action::Feedback,
        actor: label_actor(entry),
        administrator: false,
        note: entry.note.clone(),
        time: entry.time,
    };
    let mut work = Work::new(batch, &decision)?;
    let state = match entry.label {
        Label::Ham => State::Approved,
        Label::Spam => State::Rejected,
    };
    if comment.state == State::from(comment.verdict) {
        let moved = [comment.state, state];
        let time = millis(entry.time);
        batch.day_changes.extend(DayChange::decision(site_number, time, moved, 1));
    }
    let label = Some((entry.label, millis(entry.time)));
    work.move_to(batch, &comment, state, label, Some(position))?;
    audit_label(batch.db, site_number, entry, comment.state, state)?;
    work.finish(batch, false)?;
    let after = queries::comment(batch.db, site_number, &entry.site, entry.comment)?
        .ok_or(StoreError::NotFound)?;
    Ok(AppliedLabel { position, state_before: comment.state, comment: Box::new(after) })
}

pub(super) fn insert_label(
    db: &Connection,
    site_number: i64,
    entry: &LabelEntry,
) -> Result<i64, StoreError> {
    let sql = "INSERT INTO labels (site, comment, label, reporter, reporter_name, note, time) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let values = params![
        site_number,
        entry.comment.as_uuid().as_bytes(),
        entry.label.as_str(),
        entry.reporter.as_str(),
        entry.reporter_name,
        entry.note,
        millis(entry.time)
    ];
    execute(db, sql, values)?;
    Ok(db.last_insert_rowid())
}

fn audit_label(
    db: &Connection,
    site_number: i64,
    entry: &LabelEntry,
    before: State,
    after: State,
) -> Result<(), StoreError> {
    Audit {
        site_number,
        time: entry.time,
        actor: &label_actor(entry),
        action: "label-comment",
        subject: entry.comment.name(&entry.site),
        before: Some(before.as_str().to_owned()),
        after: Some(after.as_str().to_owned()),
        note: entry.note.as_deref(),
    }
    .write(db)
}
