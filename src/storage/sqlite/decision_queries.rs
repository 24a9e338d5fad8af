//! What is read of decisions.

use rusqlite::{Connection, Row, params};

use crate::domain::{Action, CommentId, DecisionId, Label, State};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::review::{DecidedComment, DecisionRecord};

use super::error::from_sqlite;
use super::queries::{all, first};
use super::rows::{Word, comment_id, time};

/// The columns that [`decided_comment`] reads.
const DECIDED_COLUMNS: &str = "position, decisions.id, decided_comments.comment, action, actor, \
     note, state_before, state_after, label_before, label_after, decided_comments.time";

fn decided_comment(row: &Row<'_>) -> rusqlite::Result<DecidedComment> {
    let label = |column| -> rusqlite::Result<Option<Label>> {
        Ok(row.get::<_, Option<Word<Label>>>(column)?.map(|word| word.0))
    };
    Ok(DecidedComment {
        position: row.get(0)?,
        decision: decision_id(row, 1)?,
        comment: comment_id(row, 2)?,
        action: row.get::<_, Word<Action>>(3)?.0,
        actor: row.get(4)?,
        note: row.get(5)?,
        state_before: row.get::<_, Word<State>>(6)?.0,
        state_after: row.get::<_, Word<State>>(7)?.0,
        label_before: label(8)?,
        label_after: label(9)?,
        time: time(row, 10)?,
    })
}

fn decision_id(row: &Row<'_>, column: usize) -> rusqlite::Result<DecisionId> {
    Ok(DecisionId::from_uuid(uuid::Uuid::from_bytes(row.get(column)?)))
}

/// What was done to a comment, oldest first.
pub(super) fn comment_decisions(
    db: &Connection,
    site_number: i64,
    id: CommentId,
) -> Result<Vec<DecidedComment>, StoreError> {
    let sql = format!(
        "SELECT {DECIDED_COLUMNS} FROM decided_comments \
         JOIN decisions ON decisions.number = decided_comments.decision \
         WHERE decided_comments.site = ?1 AND decided_comments.comment = ?2 ORDER BY position"
    );
    let values = params![site_number, id.as_uuid().as_bytes()];
    all(db, &sql, values, |row| decided_comment(row).map_err(from_sqlite))
}

/// What was done on a site after a position, oldest first.
pub(super) fn decided_comments(
    db: &Connection,
    site_number: i64,
    after: i64,
    count_max: usize,
) -> Result<Vec<DecidedComment>, StoreError> {
    let sql = format!(
        "SELECT {DECIDED_COLUMNS} FROM decided_comments \
         JOIN decisions ON decisions.number = decided_comments.decision \
         WHERE decided_comments.site = ?1 AND position > ?2 ORDER BY position LIMIT ?3"
    );
    let values = params![site_number, after, count_max as i64];
    all(db, &sql, values, |row| decided_comment(row).map_err(from_sqlite))
}

/// The columns that [`decision_record`] reads.
const DECISION_COLUMNS: &str = "number, id, action, actor, note, time, comment_count, \
     (SELECT id FROM decisions AS other WHERE other.number = decisions.undoes), \
     (SELECT id FROM decisions AS other WHERE other.number = decisions.undone)";

fn decision_record(row: &Row<'_>) -> rusqlite::Result<DecisionRecord> {
    let other = |column| -> rusqlite::Result<Option<DecisionId>> {
        let id = row.get::<_, Option<[u8; 16]>>(column)?;
        Ok(id.map(|id| DecisionId::from_uuid(uuid::Uuid::from_bytes(id))))
    };
    Ok(DecisionRecord {
        number: row.get(0)?,
        id: decision_id(row, 1)?,
        action: row.get::<_, Word<Action>>(2)?.0,
        actor: row.get(3)?,
        note: row.get(4)?,
        time: time(row, 5)?,
        comment_count: row.get::<_, i64>(6)? as u64,
        undoes: other(7)?,
        undone: other(8)?,
    })
}

pub(super) fn decision(
    db: &Connection,
    site_number: i64,
    id: DecisionId,
) -> Result<Option<DecisionRecord>, StoreError> {
    let sql = format!("SELECT {DECISION_COLUMNS} FROM decisions WHERE site = ?1 AND id = ?2");
    let values = params![site_number, id.as_uuid().as_bytes()];
    first(db, &sql, values, |row| decision_record(row).map_err(from_sqlite))
}

pub(super) fn decisions(
    db: &Connection,
    site_number: i64,
    before: i64,
    count_max: usize,
) -> Result<Vec<DecisionRecord>, StoreError> {
    let sql = format!(
        "SELECT {DECISION_COLUMNS} FROM decisions WHERE site = ?1 AND number < ?2 \
         ORDER BY number DESC LIMIT ?3"
    );
    let values = params![site_number, before, count_max as i64];
    all(db, &sql, values, |row| decision_record(row).map_err(from_sqlite))
}

/// Whether a decision is being taken back, or was.
pub(super) fn undo_began(db: &Connection, decision: i64) -> Result<bool, StoreError> {
    // Asked while the decision is being made, so few are newer.
    let sql = "SELECT 1 FROM decisions WHERE number > ?1 AND undoes = ?1 LIMIT 1";
    Ok(first(db, sql, params![decision], |_| Ok(()))?.is_some())
}

/// What an undo looks at.
pub(super) struct UndoneRow {
    pub position: i64,
    pub comment: CommentId,
    pub state_before: State,
    /// The first entry that it appended to the comment's ledger.
    pub entry: Option<i64>,
    pub revision: i64,
    pub time: i64,
    /// Whether an undo took it back before, and that one stands.
    pub taken_back: bool,
}

/// The comments of a decision before a position, the last first.
pub(super) fn rows_to_undo(
    db: &Connection,
    decision: i64,
    before: Option<i64>,
    count_max: usize,
) -> Result<Vec<UndoneRow>, StoreError> {
    let sql = "SELECT position, comment, state_before, label, revision, time, \
             EXISTS (SELECT 1 FROM decided_comments AS later \
                 JOIN decisions AS undo ON undo.number = later.decision \
                 WHERE later.site = made.site AND later.comment = made.comment \
                     AND later.position > made.position \
                     AND undo.undoes = made.decision AND undo.undone IS NULL) \
         FROM decided_comments AS made WHERE decision = ?1 AND position < ?2 \
         ORDER BY position DESC LIMIT ?3";
    let read = |row: &Row<'_>| -> rusqlite::Result<UndoneRow> {
        Ok(UndoneRow {
            position: row.get(0)?,
            comment: comment_id(row, 1)?,
            state_before: row.get::<_, Word<State>>(2)?.0,
            entry: row.get(3)?,
            revision: row.get(4)?,
            time: row.get(5)?,
            taken_back: row.get(6)?,
        })
    };
    let values = params![decision, before.unwrap_or(i64::MAX), count_max as i64];
    all(db, sql, values, |row| read(row).map_err(from_sqlite))
}
