//! What is read of decisions.

use tokio_postgres::Row;
use uuid::Uuid;

use crate::domain::{CommentId, DecisionId, State};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::review::{DecidedComment, DecisionRecord};

use super::db::Db;
use super::rows::{comment_id, get, time, word, word_or_none};

/// The columns that [`decided_comment`] reads.
const DECIDED_COLUMNS: &str = "position, decisions.id, decided_comments.comment, action, actor, \
     note, state_before, state_after, label_before, label_after, decided_comments.time";

fn decided_comment(row: &Row) -> Result<DecidedComment, StoreError> {
    Ok(DecidedComment {
        position: get(row, 0)?,
        decision: decision_id(row, 1)?,
        comment: comment_id(row, 2)?,
        action: word(row, 3)?,
        actor: get(row, 4)?,
        note: get(row, 5)?,
        state_before: word(row, 6)?,
        state_after: word(row, 7)?,
        label_before: word_or_none(row, 8)?,
        label_after: word_or_none(row, 9)?,
        time: time(row, 10)?,
    })
}

fn decision_id(row: &Row, column: usize) -> Result<DecisionId, StoreError> {
    Ok(DecisionId::from_uuid(get::<Uuid>(row, column)?))
}

/// What was done to a comment, oldest first.
pub(super) async fn comment_decisions(
    db: &Db,
    site_number: i64,
    id: CommentId,
) -> Result<Vec<DecidedComment>, StoreError> {
    let sql = format!(
        "SELECT {DECIDED_COLUMNS} FROM decided_comments \
         JOIN decisions ON decisions.number = decided_comments.decision \
         WHERE decided_comments.site = $1 AND decided_comments.comment = $2 ORDER BY position"
    );
    db.all(&sql, &[&site_number, id.as_uuid()], decided_comment).await
}

/// What was done on a site after a position, oldest first.
pub(super) async fn decided_comments(
    db: &Db,
    site_number: i64,
    after: i64,
    count_max: usize,
) -> Result<Vec<DecidedComment>, StoreError> {
    let sql = format!(
        "SELECT {DECIDED_COLUMNS} FROM decided_comments \
         JOIN decisions ON decisions.number = decided_comments.decision \
         WHERE decided_comments.site = $1 AND position > $2 ORDER BY position LIMIT $3"
    );
    db.all(&sql, &[&site_number, &after, &(count_max as i64)], decided_comment).await
}

/// The last position of what was done on a site; 0 if nothing was.
pub(super) async fn decided_position(db: &Db, site_number: i64) -> Result<i64, StoreError> {
    // In the order of the index by site: backwards through all positions, a site without any
    // would be looked for to the end.
    let sql = "SELECT position FROM (SELECT site, position FROM decided_comments \
             WHERE (site, position) <= ($1, 9223372036854775807) \
             ORDER BY site DESC, position DESC LIMIT 1) AS last WHERE site = $1";
    Ok(db.first(sql, &[&site_number], |row| get(row, 0)).await?.unwrap_or_default())
}

/// The columns that [`decision_record`] reads.
const DECISION_COLUMNS: &str = "number, id, action, actor, note, time, comment_count, \
     (SELECT id FROM decisions AS other WHERE other.number = decisions.undoes), \
     (SELECT id FROM decisions AS other WHERE other.number = decisions.undone)";

fn decision_record(row: &Row) -> Result<DecisionRecord, StoreError> {
    let other = |column| Ok(get::<Option<Uuid>>(row, column)?.map(DecisionId::from_uuid));
    Ok(DecisionRecord {
        number: get(row, 0)?,
        id: decision_id(row, 1)?,
        action: word(row, 2)?,
        actor: get(row, 3)?,
        note: get(row, 4)?,
        time: time(row, 5)?,
        comment_count: get::<i64>(row, 6)? as u64,
        undoes: other(7)?,
        undone: other(8)?,
    })
}

pub(super) async fn decision(
    db: &Db,
    site_number: i64,
    id: DecisionId,
) -> Result<Option<DecisionRecord>, StoreError> {
    let sql = format!("SELECT {DECISION_COLUMNS} FROM decisions WHERE site = $1 AND id = $2");
    db.first(&sql, &[&site_number, id.as_uuid()], decision_record).await
}

pub(super) async fn decisions(
    db: &Db,
    site_number: i64,
    before: i64,
    count_max: usize,
) -> Result<Vec<DecisionRecord>, StoreError> {
    let sql = format!(
        "SELECT {DECISION_COLUMNS} FROM decisions WHERE site = $1 AND number < $2 \
         ORDER BY number DESC LIMIT $3"
    );
    db.all(&sql, &[&site_number, &before, &(count_max as i64)], decision_record).await
}

/// A decision's row, and by which row it was undone.
pub(super) async fn decision_number(
    db: &Db,
    site_number: i64,
    id: DecisionId,
) -> Result<Option<(i64, Option<i64>)>, StoreError> {
    let sql = "SELECT number, undone FROM decisions WHERE site = $1 AND id = $2";
    let read = |row: &Row| Ok((get(row, 0)?, get(row, 1)?));
    db.first(sql, &[&site_number, id.as_uuid()], read).await
}

/// Whether a decision is being taken back, or was.
pub(super) async fn undo_began(
    db: &Db,
    site_number: i64,
    decision: i64,
) -> Result<bool, StoreError> {
    // Asked while the decision is being made, so few are newer.
    let sql = "SELECT 1 FROM decisions WHERE site = $1 AND number > $2 AND undoes = $2 LIMIT 1";
    Ok(db.first(sql, &[&site_number, &decision], |_| Ok(())).await?.is_some())
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
pub(super) async fn rows_to_undo(
    db: &Db,
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
         FROM decided_comments AS made WHERE decision = $1 AND position < $2 \
         ORDER BY position DESC LIMIT $3";
    let read = |row: &Row| {
        Ok(UndoneRow {
            position: get(row, 0)?,
            comment: comment_id(row, 1)?,
            state_before: word(row, 2)?,
            entry: get(row, 3)?,
            revision: get(row, 4)?,
            time: get(row, 5)?,
            taken_back: get(row, 6)?,
        })
    };
    let before = before.unwrap_or(i64::MAX);
    db.all(sql, &[&decision, &before, &(count_max as i64)], read).await
}
