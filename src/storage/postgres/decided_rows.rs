//! What decisions read and write, each step for all comments at once.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::Row;
use uuid::Uuid;

use crate::domain::{CommentId, ContentPrint, Label, State, Verdict};
use crate::moderation::ports::review::NewDecision;
use crate::moderation::ports::{Reporter, StoreError};
use crate::storage::values::millis;

use super::db::{Db, Values};
use super::decisions::Move;
use super::rows::{bytes, bytes_or_none, comment_id, get, word, word_or_none};

/// What a decision looks at.
#[derive(Clone)]
pub(super) struct Current {
    pub id: CommentId,
    pub state: State,
    pub label: Option<Label>,
    pub revision: i64,
    pub author: Option<[u8; 16]>,
    pub campaign: CommentId,
    pub verdict: Verdict,
    pub print: ContentPrint,
}

/// Some comments of a site as they are now.
pub(super) async fn current(
    db: &Db,
    site_number: i64,
    ids: &[Uuid],
) -> Result<HashMap<CommentId, Current>, StoreError> {
    let sql = "SELECT id, state, label, revision, author, campaign, verdict, content_hash, simhash \
         FROM comments WHERE site = $1 AND id = ANY($2::uuid[]) ORDER BY number FOR UPDATE";
    let read = |row: &Row| {
        let simhash = u128::from_be_bytes(bytes(row, 8)?);
        let content_hash = get::<i64>(row, 7)? as u64;
        let current = Current {
            id: comment_id(row, 0)?,
            state: word(row, 1)?,
            label: word_or_none(row, 2)?,
            revision: get(row, 3)?,
            author: bytes_or_none(row, 4)?,
            campaign: comment_id(row, 5)?,
            verdict: word(row, 6)?,
            print: ContentPrint { content_hash, simhash, comparable: simhash != 0 },
        };
        Ok((current.id, current))
    };
    Ok(db.all(sql, &[&site_number, &ids], read).await?.into_iter().collect())
}

/// What counts as the comments' labels, with its time.
pub(super) async fn counting_labels(
    db: &Db,
    site_number: i64,
    ids: &[Uuid],
) -> Result<HashMap<CommentId, (Label, i64)>, StoreError> {
    let sql = "SELECT DISTINCT ON (comment) comment, label, time FROM labels AS label \
         WHERE site = $1 AND comment = ANY($2::uuid[]) AND retracts IS NULL AND NOT EXISTS (\
             SELECT 1 FROM labels AS back WHERE back.retracts = label.position) \
         ORDER BY comment, position DESC";
    let read = |row: &Row| Ok((comment_id(row, 0)?, (word(row, 1)?, get(row, 2)?)));
    Ok(db.all(sql, &[&site_number, &ids], read).await?.into_iter().collect())
}

/// Appends labels to the ledger, in this order; answers with their positions.
pub(super) async fn append_labels(
    db: &Db,
    site_number: i64,
    decision: &NewDecision,
    reporter: Reporter,
    labels: &[(CommentId, Label)],
) -> Result<BTreeMap<CommentId, i64>, StoreError> {
    if labels.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<Uuid> = labels.iter().map(|(id, _)| *id.as_uuid()).collect();
    let words: Vec<&str> = labels.iter().map(|(_, label)| label.as_str()).collect();
    let sql = "INSERT INTO labels (site, comment, label, reporter, reporter_name, note, time) \
         SELECT $1, comment, label, $4, $5, $6, $7 \
         FROM unnest($2::uuid[], $3::text[]) WITH ORDINALITY AS fresh (comment, label, place) \
         ORDER BY place RETURNING comment, position";
    let (reporter, time) = (reporter.as_str(), millis(decision.time));
    let values: Values<'_> =
        &[&site_number, &ids, &words, &reporter, &decision.actor, &decision.note, &time];
    Ok(db.all(sql, values, entry).await?.into_iter().collect())
}

/// Takes the labels of comments back that count, of each from a position on; answers with the first
/// entry of each comment that says so. It has a name: a retraction without one is for good.
pub(super) async fn retract(
    db: &Db,
    site_number: i64,
    decision: &NewDecision,
    reporter: Reporter,
    firsts: &[(CommentId, i64)],
) -> Result<BTreeMap<CommentId, i64>, StoreError> {
    if firsts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (ids, positions) = columns(firsts);
    let sql = "INSERT INTO labels \
             (site, comment, label, reporter, reporter_name, note, time, retracts) \
         SELECT label.site, label.comment, label.label, $4, $5, $6, $7, label.position \
         FROM unnest($2::uuid[], $3::bigint[]) AS made (comment, position) \
         JOIN labels AS label ON label.site = $1 AND label.comment = made.comment \
             AND label.position >= made.position \
         WHERE label.retracts IS NULL AND NOT EXISTS (\
             SELECT 1 FROM labels AS back WHERE back.retracts = label.position) \
         ORDER BY label.position RETURNING comment, position";
    let (reporter, time) = (reporter.as_str(), millis(decision.time));
    let (name, note) = (&decision.actor, &decision.note);
    let values: Values<'_> = &[&site_number, &ids, &positions, &reporter, name, note, &time];
    Ok(first_entries(db.all(sql, values, entry).await?))
}

/// Appends the labels again, as they were, that decisions took back whose entries of comments begin
/// at these positions, if nobody decided since; but for those that were retracted for good since.
/// Answers with the first entry of each comment.
pub(super) async fn restore(
    db: &Db,
    site_number: i64,
    firsts: &[(CommentId, i64)],
) -> Result<BTreeMap<CommentId, i64>, StoreError> {
    if firsts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (ids, positions) = columns(firsts);
    let sql = "INSERT INTO labels (site, comment, label, reporter, reporter_name, note, time) \
         SELECT label.site, label.comment, label.label, label.reporter, label.reporter_name, \
             label.note, label.time \
         FROM unnest($2::uuid[], $3::bigint[]) AS made (comment, position) \
         JOIN labels AS back ON back.site = $1 AND back.comment = made.comment \
             AND back.position >= made.position AND back.retracts < made.position \
         JOIN labels AS label ON label.position = back.retracts \
         WHERE back.reporter_name IS NOT NULL AND NOT EXISTS (\
             SELECT 1 FROM labels AS person \
             WHERE person.retracts = label.position AND person.reporter_name IS NULL) \
         ORDER BY label.position RETURNING comment, position";
    Ok(first_entries(db.all(sql, &[&site_number, &ids, &positions], entry).await?))
}

fn columns(firsts: &[(CommentId, i64)]) -> (Vec<Uuid>, Vec<i64>) {
    firsts.iter().map(|(id, position)| (*id.as_uuid(), *position)).unzip()
}

fn entry(row: &Row) -> Result<(CommentId, i64), StoreError> {
    Ok((comment_id(row, 0)?, get(row, 1)?))
}

fn first_entries(entries: Vec<(CommentId, i64)>) -> BTreeMap<CommentId, i64> {
    let mut first = BTreeMap::new();
    for (comment, position) in entries {
        let known = first.entry(comment).or_insert(position);
        *known = position.min(*known);
    }
    first
}

/// Writes the row of a decision and answers with its number.
pub(super) async fn insert_decision(
    db: &Db,
    site_number: i64,
    decision: &NewDecision,
    undoes: Option<i64>,
) -> Result<i64, StoreError> {
    let sql = "INSERT INTO decisions \
         (site, id, action, actor, note, time, comment_count, undoes) \
         VALUES ($1, $2, $3, $4, $5, $6, 0, $7) RETURNING number";
    let (action, time) = (decision.action.as_str(), millis(decision.time));
    let (id, actor, note) = (decision.id.as_uuid(), &decision.actor, &decision.note);
    let values: Values<'_> = &[&site_number, id, &action, actor, note, &time, &undoes];
    db.first(sql, values, |row| get(row, 0)).await?.ok_or(StoreError::NotFound)
}

/// Gives comments their states and labels.
pub(super) async fn update_comments(
    db: &Db,
    site_number: i64,
    moves: &[Move],
) -> Result<(), StoreError> {
    let sql = "UPDATE comments SET state = moved.state, label = moved.label, \
             label_time = moved.label_time, revision = revision + 1 \
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[]) \
             AS moved (id, state, label, label_time) \
         WHERE comments.site = $1 AND comments.id = moved.id";
    let ids: Vec<Uuid> = moves.iter().map(|one| *one.comment.id.as_uuid()).collect();
    let states: Vec<&str> = moves.iter().map(|one| one.state.as_str()).collect();
    let labels: Vec<Option<&str>> =
        moves.iter().map(|one| one.label.map(|(label, _)| label.as_str())).collect();
    let times: Vec<Option<i64>> = moves.iter().map(|one| one.label.map(|(_, time)| time)).collect();
    db.execute(sql, &[&site_number, &ids, &states, &labels, &times]).await.map(drop)
}

/// Writes what a decision did to comments, in this order; answers with the positions.
pub(super) async fn insert_decided(
    db: &Db,
    site_number: i64,
    decision_number: i64,
    time: i64,
    moves: &[Move],
) -> Result<Vec<i64>, StoreError> {
    let sql = "INSERT INTO decided_comments (site, decision, time, comment, state_before, \
             state_after, label_before, label_after, label, revision) \
         SELECT $1, $2, $3, comment, state_before, state_after, label_before, label_after, label, \
             revision \
         FROM unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], \
             $10::bigint[]) WITH ORDINALITY AS moved (comment, state_before, state_after, \
             label_before, label_after, label, revision, place) \
         ORDER BY place RETURNING position";
    let ids: Vec<Uuid> = moves.iter().map(|one| *one.comment.id.as_uuid()).collect();
    let before: Vec<&str> = moves.iter().map(|one| one.comment.state.as_str()).collect();
    let after: Vec<&str> = moves.iter().map(|one| one.state.as_str()).collect();
    let known: Vec<Option<&str>> =
        moves.iter().map(|one| one.comment.label.map(Label::as_str)).collect();
    let labels: Vec<Option<&str>> =
        moves.iter().map(|one| one.label.map(|(label, _)| label.as_str())).collect();
    let entries: Vec<Option<i64>> = moves.iter().map(|one| one.entry).collect();
    let revisions: Vec<i64> = moves.iter().map(|one| one.comment.revision + 1).collect();
    let values: Values<'_> = &[
        &site_number,
        &decision_number,
        &time,
        &ids,
        &before,
        &after,
        &known,
        &labels,
        &entries,
        &revisions,
    ];
    let mut positions = db.all(sql, values, |row| get(row, 0)).await?;
    positions.sort_unstable();
    Ok(positions)
}
