//! Decisions: comments that move, what that teaches, and how both are taken back. Each function
//! runs inside the writer's transaction.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, params};
use serde_json::json;

use crate::domain::{
    Action, CommentId, ContentPrint, DecisionId, Fingerprint, Label, State, Verdict,
};
use crate::moderation::ports::review::{Decided, DecidedComment, NewDecision, Passed, Target};
use crate::moderation::ports::{LabelEntry, Reporter, StoreError};

use super::authors::AuthorChange;
use super::cache::author_key;
use super::commands::{Audit, execute, stored_site};
use super::days::DayChange;
use super::decision_queries::{UndoneRow, rows_to_undo, undo_began};
use super::error::from_sqlite;
use super::queries::first;
use super::queue;
use super::rows::{Word, comment_id, millis};
use super::writer::Batch;
use super::{claims, feedback};

/// What a decision looks at.
pub(super) struct Current {
    pub id: CommentId,
    pub state: State,
    label: Option<Label>,
    revision: i64,
    author: Option<[u8; 16]>,
    campaign: CommentId,
    pub verdict: Verdict,
    print: ContentPrint,
}

pub(super) fn current(
    db: &Connection,
    site: i64,
    id: CommentId,
) -> Result<Option<Current>, StoreError> {
    let sql = "SELECT state, label, revision, author, campaign, verdict, content_hash, simhash \
         FROM comments \
         WHERE site = ?1 AND id = ?2";
    let read = |row: &Row<'_>| -> rusqlite::Result<Current> {
        let simhash = u128::from_be_bytes(row.get(7)?);
        let content_hash = row.get::<_, i64>(6)? as u64;
        Ok(Current {
            id,
            state: row.get::<_, Word<State>>(0)?.0,
            label: row.get::<_, Option<Word<Label>>>(1)?.map(|word| word.0),
            revision: row.get(2)?,
            author: row.get(3)?,
            campaign: comment_id(row, 4)?,
            verdict: row.get::<_, Word<Verdict>>(5)?.0,
            print: ContentPrint { content_hash, simhash, comparable: simhash != 0 },
        })
    };
    first(db, sql, params![site, id.as_uuid().as_bytes()], |row| read(row).map_err(from_sqlite))
}

/// A decision under way.
pub(super) struct Work<'a> {
    site_number: i64,
    decision: &'a NewDecision,
    reporter: Reporter,
    /// The row of the decision, once something was decided.
    number: Option<i64>,
    undoes: Option<i64>,
    campaigns: BTreeSet<CommentId>,
    done: Decided,
}

impl<'a> Work<'a> {
    pub fn new(batch: &Batch<'_>, decision: &'a NewDecision) -> Result<Self, StoreError> {
        let site_number = stored_site(batch, &decision.site)?.number;
        Ok(Self {
            site_number,
            decision,
            reporter: match decision.administrator {
                true => Reporter::Administrator,
                false => Reporter::Moderator,
            },
            number: decision_number(batch.db, site_number, decision.id)?,
            undoes: None,
            campaigns: BTreeSet::new(),
            done: Decided::default(),
        })
    }

    /// The row of the decision, written when it is first needed.
    fn number(&mut self, db: &Connection) -> Result<i64, StoreError> {
        if let Some(number) = self.number {
            return Ok(number);
        }
        let sql = "INSERT INTO decisions \
             (site, id, action, actor, note, time, comment_count, undoes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)";
        let decision = self.decision;
        let id = decision.id.as_uuid().as_bytes();
        let (action, time) = (decision.action.as_str(), millis(decision.time));
        let (actor, note) = (&decision.actor, &decision.note);
        execute(db, sql, params![self.site_number, id, action, actor, note, time, self.undoes])?;
        let number = db.last_insert_rowid();
        self.number = Some(number);
        Ok(number)
    }

    /// Gives a comment a state and a label with its time; `entry` is the first that was appended to
    /// the ledger for it: a label, or the retraction of one.
    pub fn move_to(
        &mut self,
        batch: &mut Batch<'_>,
        comment: &Current,
        state: State,
        label: Option<(Label, i64)>,
        entry: Option<i64>,
    ) -> Result<(), StoreError> {
        let db = batch.db;
        let time = millis(self.decision.time);
        let sql = "UPDATE comments SET state = ?3, label = ?4, label_time = ?5, \
             revision = revision + 1 WHERE site = ?1 AND id = ?2";
        let id = comment.id.as_uuid().as_bytes();
        let (label, label_time) = label.unzip();
        let word = label.map(Label::as_str);
        execute(db, sql, params![self.site_number, id, state.as_str(), word, label_time])?;
        let number = self.number(db)?;
        let sql = "INSERT INTO decided_comments (site, decision, comment, state_before, \
             state_after, label_before, label_after, label, revision, time) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let before = comment.label.map(Label::as_str);
        let states = [comment.state.as_str(), state.as_str()];
        let revision = comment.revision + 1;
        execute(
            db,
            sql,
            params![
                self.site_number,
                number,
                id,
                states[0],
                states[1],
                before,
                word,
                entry,
                revision,
                time
            ],
        )?;
        self.note(batch, comment, state, label, db.last_insert_rowid());
        Ok(())
    }

    /// Notes what a move means for author, day and queue.
    fn note(
        &mut self,
        batch: &mut Batch<'_>,
        comment: &Current,
        state: State,
        label: Option<Label>,
        position: i64,
    ) {
        if let Some(author) = comment.author {
            let mut change = AuthorChange::default();
            *change.of_state(comment.state) -= 1;
            *change.of_state(state) += 1;
            // A comment counts once, by its last label.
            if let Some(label) = comment.label {
                *change.of_label(label) -= 1;
            }
            if let Some(label) = label {
                *change.of_label(label) += 1;
            }
            let key = author_key(self.site_number, Fingerprint::from_bytes(author));
            batch.author_changes.push((key, change));
        }
        if comment.state == State::Held || state == State::Held {
            self.campaigns.insert(comment.campaign);
        }
        let decision = self.decision;
        self.done.prints.push(comment.print);
        self.done.comments.push(DecidedComment {
            position,
            decision: decision.id,
            comment: comment.id,
            action: decision.action,
            actor: decision.actor.clone(),
            note: decision.note.clone(),
            state_before: comment.state,
            state_after: state,
            label_before: comment.label,
            label_after: label,
            time: decision.time,
        });
    }

    /// Writes what is written once for all comments.
    pub fn finish(self, batch: &mut Batch<'_>, audits: bool) -> Result<Decided, StoreError> {
        for campaign in &self.campaigns {
            queue::refresh(batch.db, self.site_number, *campaign)?;
        }
        let Some(number) = self.number.filter(|_| !self.done.comments.is_empty()) else {
            return Ok(self.done);
        };
        let sql = "UPDATE decisions SET comment_count = comment_count + ?2 WHERE number = ?1";
        let count = self.done.comments.len();
        execute(batch.db, sql, params![number, count as i64])?;
        if audits {
            self.audit(batch.db, count)?;
        }
        Ok(self.done)
    }

    /// One entry for all comments; it names the comment if there is just one.
    fn audit(&self, db: &Connection, count: usize) -> Result<(), StoreError> {
        let decision = self.decision;
        let first = &self.done.comments[0];
        let (subject, before) = match count {
            1 => (first.comment.name(&decision.site), first.state_before.as_str().to_owned()),
            _ => (decision.id.name(&decision.site), format!("{count} comments")),
        };
        let action = if decision.action == Action::Undo { "undo-decision" } else { "decide" };
        let after = json!({
            "action": decision.action.as_str(),
            "state": first.state_after.as_str(),
            "decision": decision.id.to_string(),
        });
        Audit {
            site_number: self.site_number,
            time: decision.time,
            actor: &decision.actor,
            action,
            subject,
            before: Some(before),
            after: Some(after.to_string()),
            note: decision.note.as_deref(),
        }
        .write(db)
    }

    /// Appends a label to the ledger.
    fn teach(&self, db: &Connection, id: CommentId, label: Label) -> Result<i64, StoreError> {
        let entry = LabelEntry {
            comment: id,
            site: self.decision.site.clone(),
            label,
            reporter: self.reporter,
            reporter_name: Some(self.decision.actor.clone()),
            note: self.decision.note.clone(),
            time: self.decision.time,
        };
        feedback::insert_label(db, self.site_number, &entry)
    }

    /// Takes the labels of a comment back that count, from a position on, and answers with the
    /// first entry that says so. It has a name: a retraction without one is for good.
    fn retract(
        &self,
        db: &Connection,
        id: CommentId,
        from: i64,
    ) -> Result<Option<i64>, StoreError> {
        let sql = "INSERT INTO labels \
                 (site, comment, label, reporter, reporter_name, note, time, retracts) \
             SELECT site, comment, label, ?3, ?4, ?5, ?6, position FROM labels AS label \
             WHERE site = ?1 AND comment = ?2 AND position >= ?7 AND retracts IS NULL \
                 AND NOT EXISTS (\
                     SELECT 1 FROM labels AS back WHERE back.retracts = label.position) \
             ORDER BY position";
        let id = id.as_uuid().as_bytes();
        let (reporter, time) = (self.reporter.as_str(), millis(self.decision.time));
        let (name, note) = (&self.decision.actor, &self.decision.note);
        execute(db, sql, params![self.site_number, id, reporter, name, note, time, from])?;
        Ok(first_appended(db))
    }

    /// Takes back what a decision appended to the ledger of a comment, beginning with `first`, if
    /// nobody decided since: its labels, or else its retractions, whose labels are appended again as
    /// they were but for those that were retracted for good since.
    fn unmake(
        &self,
        db: &Connection,
        id: CommentId,
        first: i64,
    ) -> Result<Option<i64>, StoreError> {
        if let Some(entry) = self.retract(db, id, first)? {
            return Ok(Some(entry));
        }
        let sql = "INSERT INTO labels (site, comment, label, reporter, reporter_name, note, time) \
             SELECT label.site, label.comment, label.label, label.reporter, label.reporter_name, \
                 label.note, label.time \
             FROM labels AS back CROSS JOIN labels AS label ON label.position = back.retracts \
             WHERE back.site = ?1 AND back.comment = ?2 AND back.position >= ?3 \
                 AND back.retracts < ?3 AND back.reporter_name IS NOT NULL AND NOT EXISTS (\
                     SELECT 1 FROM labels AS person \
                     WHERE person.retracts = label.position AND person.reporter_name IS NULL) \
             ORDER BY label.position";
        execute(db, sql, params![self.site_number, id.as_uuid().as_bytes(), first])?;
        Ok(first_appended(db))
    }

    fn decide_one(
        &mut self,
        batch: &mut Batch<'_>,
        target: &Target,
    ) -> Result<Option<Passed>, StoreError> {
        let db = batch.db;
        let Some((state, teaches)) = self.decision.action.effect() else {
            return Ok(Some(Passed::NothingToDo));
        };
        let Some(comment) = current(db, self.site_number, target.comment)? else {
            return Ok(Some(Passed::NotFound));
        };
        if target.revision.is_some_and(|revision| revision != comment.revision) {
            return Ok(Some(Passed::Changed));
        }
        // A rejection as abuse or other says more than that the comment is rejected.
        let says_nothing_new = match self.decision.action {
            Action::RejectAbuse | Action::RejectOther => comment.label.is_none(),
            _ => comment.label == teaches,
        };
        if comment.state == state && says_nothing_new {
            return Ok(Some(Passed::NothingToDo));
        }
        if claims::claimed_by_another(db, self.site_number, comment.campaign, self.decision)? {
            return Ok(Some(Passed::Claimed));
        }
        let entry = match teaches {
            Some(label) => Some(self.teach(db, comment.id, label)?),
            None => self.retract(db, comment.id, 0)?,
        };
        let time = millis(self.decision.time);
        if comment.state == State::from(comment.verdict) {
            let moved = [comment.state, state];
            batch.day_changes.extend(DayChange::decision(self.site_number, time, moved, 1));
        }
        self.move_to(batch, &comment, state, teaches.map(|label| (label, time)), entry)?;
        Ok(None)
    }

    fn undo_one(
        &mut self,
        batch: &mut Batch<'_>,
        row: &UndoneRow,
    ) -> Result<Option<Passed>, StoreError> {
        let db = batch.db;
        let Some(comment) = current(db, self.site_number, row.comment)? else {
            return Ok(Some(Passed::NotFound));
        };
        if comment.revision != row.revision {
            return Ok(Some(Passed::Changed));
        }
        let entry = match row.entry {
            Some(first) => self.unmake(db, comment.id, first)?,
            None => None,
        };
        let label = counting_label(db, self.site_number, comment.id)?;
        if row.state_before == State::from(comment.verdict) {
            let moved = [row.state_before, comment.state];
            batch.day_changes.extend(DayChange::decision(self.site_number, row.time, moved, -1));
        }
        self.move_to(batch, &comment, row.state_before, label, entry)?;
        Ok(None)
    }
}

/// The first of the entries that the last statement appended to the ledger, if there are any.
fn first_appended(db: &Connection) -> Option<i64> {
    let count = db.changes() as i64;
    (count > 0).then(|| db.last_insert_rowid() - count + 1)
}

/// What counts as a comment's label.
fn counting_label(
    db: &Connection,
    site: i64,
    id: CommentId,
) -> Result<Option<(Label, i64)>, StoreError> {
    let sql = "SELECT label, time FROM labels AS label \
         WHERE site = ?1 AND comment = ?2 AND retracts IS NULL AND NOT EXISTS (\
             SELECT 1 FROM labels AS back WHERE back.retracts = label.position) \
         ORDER BY position DESC LIMIT 1";
    let read = |row: &Row<'_>| Ok((row.get::<_, Word<Label>>(0)?.0, row.get(1)?));
    first(db, sql, params![site, id.as_uuid().as_bytes()], |row| read(row).map_err(from_sqlite))
}

pub(super) fn decision_number(
    db: &Connection,
    site: i64,
    id: DecisionId,
) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT number FROM decisions WHERE site = ?1 AND id = ?2";
    let read = |row: &Row<'_>| row.get(0).map_err(from_sqlite);
    first(db, sql, params![site, id.as_uuid().as_bytes()], read)
}

pub(super) fn decide(
    batch: &mut Batch<'_>,
    decision: &NewDecision,
    targets: &[Target],
) -> Result<Decided, StoreError> {
    let mut work = Work::new(batch, decision)?;
    if let Some(number) = work.number
        && undo_began(batch.db, number)?
    {
        return Err(StoreError::Conflict);
    }
    for target in targets {
        if let Some(passed) = work.decide_one(batch, target)? {
            work.done.passed.push((target.comment, passed));
        }
    }
    work.finish(batch, true)
}

pub(super) fn undo(
    batch: &mut Batch<'_>,
    decision: &NewDecision,
    undoes: DecisionId,
    before: Option<i64>,
    count_max: usize,
) -> Result<Decided, StoreError> {
    let mut work = Work::new(batch, decision)?;
    let db = batch.db;
    let undone = decision_number(db, work.site_number, undoes)?.ok_or(StoreError::NotFound)?;
    work.undoes = Some(undone);
    let sql = "SELECT undone FROM decisions WHERE number = ?1";
    let by: Option<i64> = db.query_row(sql, [undone], |row| row.get(0)).map_err(from_sqlite)?;
    // Whoever took a part of it back goes on, though another was faster with the rest.
    if by.is_some() && work.number.is_none() {
        return Err(StoreError::Conflict);
    }
    let rows = rows_to_undo(db, undone, before, count_max)?;
    for row in &rows {
        let passed = work.undo_one(batch, row)?;
        if let Some(passed) = passed.filter(|_| !row.taken_back) {
            work.done.passed.push((row.comment, passed));
        }
    }
    if rows.len() == count_max {
        work.done.next = rows.last().map(|row| row.position);
    } else if let Some(number) = work.number.filter(|_| by.is_none()) {
        // Only the end says so: what is taken back in part can be taken back further.
        let sql = "UPDATE decisions SET undone = ?2 WHERE number = ?1";
        execute(db, sql, params![undone, number])?;
    }
    work.finish(batch, true)
}
